"""Writing Cloud-Optimized GeoTIFFs, block by block, so that a file is either whole or not there."""

from __future__ import annotations

import json
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import rasterio
import rasterio.shutil
import rasterio.windows
from rasterio._err import CPLE_BaseError  # what a full disk raises; rasterio exports no public name for it
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.tiles import Window

BLOCK = 512
PROVENANCE_TAG = "SUPERPOINT_PROVENANCE"
"""Where a GeoTIFF of ours says what it was made of."""


@dataclass(frozen=True, kw_only=True)
class CogProfile:
    """What a GeoTIFF holds."""

    georeference: Georeference
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    colormap: Mapping[int, tuple[int, int, int]] | None = None
    """Colour of each value, for a single uint8 band."""
    tags: Mapping[str, Any] | None = None
    """Written as JSON into the file's metadata."""


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that is there already, or whose folder cannot be written.

    Raises
    ------
    InputError
        If so; the message says what to do.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; give --overwrite to replace it, or another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent}: {error.strerror}; give another output") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write in the folder {path.parent}; give another output")


def write_cog(
    path: Path,
    profile: CogProfile,
    blocks: Iterable[tuple[Window, NDArray[np.generic]]],
    *,
    overwrite: bool = False,
) -> Path:
    """Write a Cloud-Optimized GeoTIFF from blocks that cover it.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    profile : CogProfile
        What it holds.
    blocks : iterable of (Window, array of shape (bands, rows, cols) or (rows, cols))
        Consumed one at a time.
    overwrite : bool
        Whether to replace a file that is there.

    Returns
    -------
    Path
        The file, which appears only when it is whole.
    """
    with cog_writer(path, profile, overwrite=overwrite) as write:
        for window, values in blocks:
            write(window, values)
    return path


@contextmanager
def cog_writer(
    path: Path, profile: CogProfile, *, overwrite: bool = False
) -> Iterator[Callable[[Window, NDArray[np.generic]], None]]:
    """Give a function that writes a block of a Cloud-Optimized GeoTIFF; for several files out of one pass.

    Parameters
    ----------
    path, profile, overwrite
        As `write_cog` takes them.

    Yields
    ------
    callable
        Takes a window and an array of shape (bands, rows, cols) or (rows, cols). The file appears when the context is
        left without an error.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    check_output(path, overwrite=overwrite)
    with _scratch(path, "blocks") as plain, _scratch(path, "cog") as cog:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = _create(plain, profile)
            with dataset:
                yield partial(_write_block, dataset)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                rasterio.shutil.copy(
                    plain, cog, driver="COG", BLOCKSIZE=BLOCK, COMPRESS="DEFLATE", PREDICTOR="YES",
                    OVERVIEW_RESAMPLING="NEAREST", BIGTIFF="IF_SAFER",
                )  # fmt: skip
        except (RasterioError, CPLE_BaseError, OSError) as error:
            raise InputError(f"cannot write {path}: {error}; check the space on the disk") from error
        cog.replace(path)


def _create(path: Path, profile: CogProfile) -> Any:  # noqa: ANN401  # rasterio publishes no types
    grid = profile.georeference
    options: dict[str, Any] = {
        "driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": len(profile.band_names),
        "dtype": profile.dtype, "nodata": profile.nodata, "crs": grid.crs, "transform": grid.affine,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "ZSTD", "bigtiff": "IF_SAFER",
    }  # fmt: skip
    dataset = rasterio.open(path, "w", **options)
    for band, name in enumerate(profile.band_names, start=1):
        dataset.set_band_description(band, name)
    if profile.colormap:
        dataset.write_colormap(1, profile.colormap)
    dataset.update_tags(**{key: json.dumps(value, sort_keys=True) for key, value in (profile.tags or {}).items()})
    return dataset


def _write_block(dataset: Any, window: Window, values: NDArray[np.generic]) -> None:  # noqa: ANN401
    area = rasterio.windows.Window(window.col, window.row, window.n_cols, window.n_rows)
    dataset.write(values if values.ndim == 3 else values[None], window=area)  # noqa: PLR2004  # (band, row, col)


@contextmanager
def _scratch(path: Path, role: str) -> Iterator[Path]:
    """Name a file beside `path` (the same disk, so that it can be renamed) and remove it in the end."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{role}.tif")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)
