"""Reading rasters: what a file declares, whether to believe it, and windows of it as arrays.

A header is not trusted. Memory is bounded by the window that is read, and by the file's own blocks, which have
to be decoded whole: a raster whose blocks are too large, or that declares far more than its bytes can hold, is
refused before anything is read.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import rasterio.windows
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from superpoint.cache.georeference import Georeference
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from superpoint.tiles import Window

MAX_BLOCK_BYTES = 2**29  # one block of a raster is decoded whole
MAX_PIXELS = 2**40
TRUSTED_BYTES = 2**28  # up to this decoded size a header needs no further check
MAX_EXPANSION = 100_000  # decoded bytes per byte of file; a constant raster in ZSTD reaches about 18,000


@dataclass(frozen=True, kw_only=True)
class Raster:
    """A raster file that can be read, and the bands that are used of it."""

    path: str
    """As given; absolute for local files."""
    bands: tuple[int, ...]
    """Band numbers, from 1."""
    dtype: str
    """Data type as stored."""
    georeference: Georeference
    nodata: str
    """Declared nodata value of each band used, as text; empty where there is none."""
    has_gaps: bool
    """Whether some pixels may be without data."""
    files: tuple[tuple[str, int, int], ...]
    """Name, size in bytes and time of change in nanoseconds of each local file it consists of."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.georeference.shape

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.path).stem

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from any other, as JSON: the source's part of a cache key."""
        grid = {"shape": list(self.shape), "transform": list(self.georeference.transform), "crs": self.georeference.crs}
        files = [list(file) for file in self.files]
        return {"path": self.path, "bands": list(self.bands), "nodata": self.nodata, "grid": grid, "files": files}

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window.

        Parameters
        ----------
        window : Window
            Inside the raster.

        Returns
        -------
        image : float32 array of shape (bands, rows, cols)
            As stored; 0 where not valid, NaN where a band of a valid pixel is nodata.
        valid : bool array of shape (rows, cols)
            False on nodata (a pixel that is nodata in every band used, masked, or transparent) and where any
            of them is not finite.

        Raises
        ------
        InputError
            If the file cannot be decoded there.
        """
        area = rasterio.windows.Window(window.col, window.row, window.n_cols, window.n_rows)
        try:
            with open_dataset(self.path) as dataset:
                image = dataset.read(list(self.bands), window=area, out_dtype=np.float32)
                known = dataset.read_masks(list(self.bands), window=area) > 0  # (band, row, col)
        except (RasterioError, MemoryError) as error:
            raise InputError(
                f"cannot read {self.path} at row {window.row}, col {window.col}: {_reason(error)}; "
                f"the file is damaged or cut short, get it again"
            ) from error
        valid = known.any(axis=0) & np.isfinite(image).all(axis=0)
        image[~known] = np.nan
        image[:, ~valid] = 0
        return image, valid


@contextmanager
def open_dataset(path: str) -> Iterator[Any]:
    """Open a raster with rasterio, quietly: that it is not georeferenced is ours to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            yield dataset


def open_raster(path: str | Path, *, bands: tuple[int, ...] = ()) -> Raster:
    """Look at a raster and decide whether it can be worked on.

    Parameters
    ----------
    path : str or Path
        Anything rasterio opens.
    bands : tuple of int, optional
        Band numbers from 1; all but an alpha band by default.

    Raises
    ------
    InputError
        If the file is missing or not a raster, has no such band, has ground control points only, or declares
        a size that cannot be true or cannot be read in bounded memory.
    """
    text = str(path) if _is_remote(path) else str(Path(path).absolute())
    if not _is_remote(path) and not Path(text).exists():
        raise InputError(f"raster {text} does not exist; check the path")
    try:
        with open_dataset(text) as dataset:
            return _describe(text, dataset, bands)
    except RasterioError as error:
        raise InputError(
            f"cannot open {text} as a raster: {_reason(error)}; give a raster that gdalinfo reads"
        ) from error


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path) or str(path).startswith("/vsi")


def _describe(path: str, dataset: Any, bands: tuple[int, ...]) -> Raster:  # noqa: ANN401  # rasterio publishes no types
    if dataset.gcps[0] and dataset.transform.is_identity:
        warped = Path(path).with_suffix(".warped.tif").name
        raise InputError(f"{path} has ground control points only; run: gdalwarp '{path}' {warped} and use {warped}")
    # Statistics and overviews beside a raster come and go; the pixels do not.
    local = [Path(name) for name in dataset.files if Path(name).is_file()]
    files = tuple(_file_facts(file) for file in local if not file.name.endswith((".aux.xml", ".ovr")))
    dtypes = dataset.dtypes
    if any(name.startswith("complex") for name in dtypes):
        raise InputError(
            f"{path} holds complex numbers; give their magnitude, as made by: gdal_calc.py --calc 'abs(A)'"
        )
    _distrust(path, dataset, dtypes, sum(size for _, size, _ in files))
    chosen = bands or _bands_but_alpha(dataset)
    missing = [band for band in chosen if not 1 <= band <= dataset.count]
    if missing or not chosen:
        raise InputError(f"{path} has bands 1 to {dataset.count}, there is no band {missing[0] if missing else 1}")
    return Raster(
        path=path,
        bands=chosen,
        dtype=max((dtypes[band - 1] for band in chosen), key=lambda name: np.dtype(name).itemsize),
        georeference=Georeference(
            shape=dataset.shape,
            transform=tuple(dataset.transform)[:6],
            crs=dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else None,
        ),
        nodata=",".join("" if dataset.nodatavals[b - 1] is None else repr(dataset.nodatavals[b - 1]) for b in chosen),
        has_gaps=any(
            MaskFlags.all_valid not in dataset.mask_flag_enums[b - 1] or dtypes[b - 1].startswith("float")
            for b in chosen
        ),
        files=files,
    )


def _bands_but_alpha(dataset: Any) -> tuple[int, ...]:  # noqa: ANN401  # rasterio publishes no types
    roles = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return tuple(number for number, role in roles if role != ColorInterp.alpha)


def _distrust(path: str, dataset: Any, dtypes: tuple[str, ...], n_file_bytes: int) -> None:  # noqa: ANN401  # rasterio publishes no types
    rows, cols = dataset.shape
    item_bytes = max(np.dtype(name).itemsize for name in set(dtypes))
    per_block = len(dtypes) if dataset.interleaving and dataset.interleaving.value == "PIXEL" else 1
    block_rows, block_cols = dataset.block_shapes[0]
    block_bytes = block_rows * block_cols * item_bytes * per_block
    declared = rows * cols * item_bytes * len(dtypes)
    if rows * cols > MAX_PIXELS:
        raise InputError(f"{path} declares {cols} x {rows} pixels, more than can be real; check the file's header")
    if block_bytes > MAX_BLOCK_BYTES:
        raise InputError(
            f"{path} stores blocks of {block_bytes / 2**20:.0f} MiB that must be decoded whole (limit 512 MiB); "
            f"rewrite it with: gdal_translate -of COG '{path}' tiled.tif"
        )
    if n_file_bytes and declared > max(TRUSTED_BYTES, n_file_bytes * MAX_EXPANSION):
        raise InputError(
            f"{path} declares {cols} x {rows} x {len(dtypes)} values ({declared / 2**30:.1f} GiB) in a file of "
            f"{n_file_bytes} bytes; the header is wrong or the raster is empty, check it with: gdalinfo '{path}'"
        )


def _file_facts(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns


def _reason(error: BaseException) -> str:
    """Return GDAL's own words: rasterio keeps them in the cause."""
    words = str(error.__cause__ or error).strip().rstrip(".")
    return words.splitlines()[0] if words else type(error).__name__
