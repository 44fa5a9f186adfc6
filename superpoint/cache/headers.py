"""What a raster declares, and whether to believe it.

A header is not trusted. Memory is bounded by the window that is read, and by the file's own blocks, which have to be
decoded whole: a raster whose blocks are too large, or that declares far more than its bytes can hold, is refused
before anything is read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
from rasterio.enums import ColorInterp, MaskFlags

from superpoint.cache.addresses import gdal_path, holder, is_remote, shown
from superpoint.cache.georeference import Georeference
from superpoint.cache.handles import FAILURES, Facts, facts_of, open_dataset, reason, twice_if_remote
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BLOCK_BYTES = 2**29  # one block of a raster is decoded whole
MAX_PIXELS = 2**40
MAX_FILES = 100_000
TRUSTED_BYTES = 2**28  # up to this decoded size a header needs no further check
MAX_EXPANSION = 100_000  # decoded bytes per byte of file; a constant raster in ZSTD reaches about 18,000
SIDECARS = (".aux.xml", ".ovr")  # statistics and overviews come and go; the pixels do not
VECTORS = (".gpkg", ".shp", ".dbf", ".csv", ".tsv", ".fgb", ".gml", ".kml", ".geoparquet")
IF_POINTS = "if it holds points, give it with --points, repeated for several"
"""What to do with a vector file that was given as a raster."""
NO_NAME = (ColorInterp.undefined, ColorInterp.gray, ColorInterp.palette)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a raster declares, having been looked at with distrust."""

    path: str
    """As it is opened."""
    georeference: Georeference
    dtypes: tuple[str, ...]
    """Data type of each band as stored."""
    nodata: tuple[str, ...]
    """Declared nodata value of each band, as text; empty where there is none."""
    has_gaps: tuple[bool, ...]
    """Whether some pixels of each band may be without data."""
    names: tuple[tuple[str, ...], ...]
    """What each band is called: its description and what colour it is taken for."""
    alpha: int | None
    """Number of the band that says what is transparent."""
    masks_by_alpha: bool
    """Whether GDAL knows by itself that the alpha band masks the others."""
    files: tuple[Facts, ...]
    """What tells each file it consists of from what that was."""

    @property
    def n_bands(self) -> int:
        """Number of bands, alpha included."""
        return len(self.dtypes)

    @property
    def data_bands(self) -> tuple[int, ...]:
        """Band numbers but that of alpha."""
        return tuple(number for number in range(1, self.n_bands + 1) if number != self.alpha)


def read_header(path: str) -> Header:
    """Look at a raster and decide whether it can be worked on.

    Parameters
    ----------
    path : str
        Absolute for local files, or anything else rasterio opens.

    Raises
    ------
    InputError
        If it is missing or not a raster, has ground control points only, or declares a size that cannot be true or
        cannot be read in bounded memory.
    UnreachableError
        If its server does not answer.
    """
    if facts_of(path) is None and not Path(holder(path)).exists():
        raise InputError(f"raster {path} does not exist; check the path")
    try:
        return twice_if_remote(path, lambda: _look_at(path), reads_remote=is_remote(path))
    except FAILURES as error:
        advice = IF_POINTS if path.lower().endswith(VECTORS) else "give a raster that gdalinfo reads"
        raise InputError(f"cannot open {shown(path)} as a raster: {reason(error)}; {advice}") from error


def files_of(path: str, dataset: Any) -> tuple[Facts, ...]:  # noqa: ANN401  # rasterio publishes no types
    """Return the facts of every file that a raster takes pixels from, those of nested VRTs included."""
    # On a server nothing is looked for beside the object, and GDAL would ask for it all the same.
    alone = is_remote(path) and dataset.driver != "VRT"
    waiting, seen = deque([gdal_path(path)] if alone else dataset.files), {""}
    facts: dict[Facts, None] = {}
    while waiting:
        name = waiting.popleft()
        if name in seen or name.endswith(SIDECARS):
            continue
        if len(seen) > MAX_FILES:
            raise InputError(f"{shown(path)} is made of more than {MAX_FILES:,} files; cut it into several")
        seen.add(name)
        fact = facts_of(name)
        if fact:
            facts[fact] = None
        if name.lower().endswith(".vrt") and name != gdal_path(path):
            waiting.extend(_files_below(name))
    return tuple(facts)


def _files_below(vrt: str) -> Iterable[str]:
    try:
        with open_dataset(vrt) as dataset:
            return [str(name) for name in dataset.files]
    except FAILURES:  # reading will say so, if a pixel is wanted of it
        return []


def _look_at(path: str) -> Header:
    with open_dataset(path) as dataset:
        if dataset.gcps[0] and dataset.transform.is_identity:
            warped = Path(path).with_suffix(".warped.tif").name
            raise InputError(f"{path} has ground control points only; run: gdalwarp '{path}' {warped} and use {warped}")
        if any(name.startswith("complex") for name in dataset.dtypes):
            raise InputError(
                f"{path} holds complex numbers; give their magnitude, as made by: gdal_calc.py --calc 'abs(A)'"
            )
        files = files_of(path, dataset)
        _distrust(shown(path), dataset, sum(size for _, size, _ in files))
        return _header(path, dataset, files)


def _header(path: str, dataset: Any, files: tuple[Facts, ...]) -> Header:  # noqa: ANN401  # rasterio publishes no types
    # Each of these is a walk over all bands: once a raster, never once a band.
    dtypes, flags, roles = dataset.dtypes, dataset.mask_flag_enums, dataset.colorinterp
    alpha = next((number for number, role in enumerate(roles, start=1) if role == ColorInterp.alpha), None)
    return Header(
        path=path,
        georeference=_georeference(shown(path), dataset),
        dtypes=dtypes,
        nodata=tuple("" if value is None else repr(value) for value in dataset.nodatavals),
        has_gaps=tuple(
            MaskFlags.all_valid not in flag or dtype.startswith("float")
            for flag, dtype in zip(flags, dtypes, strict=True)
        ),
        names=tuple(
            tuple(dict.fromkeys(filter(None, (words, "" if role in NO_NAME else role.name))))
            for words, role in zip(dataset.descriptions, roles, strict=True)
        ),
        alpha=alpha,
        masks_by_alpha=any(MaskFlags.alpha in flag for flag in flags),
        files=files,
    )


def _georeference(place: str, dataset: Any) -> Georeference:  # noqa: ANN401  # rasterio publishes no types
    crs = dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else None
    transform = dataset.transform
    if not np.isfinite(tuple(transform)).all() or transform.is_degenerate:
        raise InputError(
            f"{place} declares a transform under which pixels have no area; set it right with: gdal_edit.py -a_ullr"
        )
    try:
        pyproj.CRS(crs or "EPSG:4326")
    except pyproj.exceptions.CRSError as error:
        raise InputError(f"{place} declares a CRS that PROJ cannot read; set it with: gdal_edit.py -a_srs") from error
    return Georeference(shape=dataset.shape, transform=tuple(transform)[:6], crs=crs)


def _distrust(place: str, dataset: Any, n_file_bytes: int) -> None:  # noqa: ANN401  # rasterio publishes no types
    (rows, cols), n_bands = dataset.shape, dataset.count
    item_bytes = max(np.dtype(name).itemsize for name in set(dataset.dtypes))
    per_block = n_bands if _decodes_all_bands(dataset) else 1
    block_bytes = max(block_rows * block_cols for block_rows, block_cols in set(dataset.block_shapes))
    block_bytes *= item_bytes * per_block
    declared = rows * cols * item_bytes * n_bands
    if rows * cols > MAX_PIXELS:
        raise InputError(f"{place} declares {cols} x {rows} pixels, more than can be real; check the file's header")
    if block_bytes > MAX_BLOCK_BYTES:
        raise InputError(
            f"{place} stores blocks of {block_bytes / 2**20:.0f} MiB that must be decoded whole (limit 512 MiB); "
            f"rewrite it with: gdal_translate -of COG '{place}' tiled.tif"
        )
    if n_file_bytes and declared > max(TRUSTED_BYTES, n_file_bytes * MAX_EXPANSION):
        raise InputError(
            f"{place} declares {cols} x {rows} x {n_bands} values ({declared / 2**30:.1f} GiB) in "
            f"{'an object' if is_remote(place) else 'a file'} of {n_file_bytes} bytes; the header is wrong or the "
            f"raster is empty, check it with: gdalinfo '{gdal_path(place)}'"
        )


def _decodes_all_bands(dataset: Any) -> bool:  # noqa: ANN401  # rasterio publishes no types
    """Whether a block of one band is decoded together with those of the others."""
    if dataset.driver.startswith("JP2"):  # which searches a damaged file for its interleaving without end
        return True
    return bool(dataset.interleaving and dataset.interleaving.value == "PIXEL")
