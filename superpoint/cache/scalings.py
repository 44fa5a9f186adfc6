"""Whole-raster scalings, measured once a raster and kept: a resumed run does not read the archive again."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.keys import digest
from superpoint.errors import InputError
from superpoint.scaling import PERCENTILES, Scaling, measure_scaling
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.rasters import Raster

WINDOW_SAMPLES = 2**24  # samples read at a time, all bands together


def scaling_of(
    rasters: Sequence[Raster], cache: Path, *, on_pixels: Callable[[int], None] = lambda _: None
) -> Scaling | None:
    """Return the scaling of one raster, or of several together, from the cache or by reading them whole.

    Parameters
    ----------
    rasters : sequence of Raster
        With the same number of bands; their pixels are pooled.
    cache : Path
        Folder of the cache.
    on_pixels : callable
        Called with the number of pixels read, for progress.

    Returns
    -------
    Scaling or None
        None if no pixel is valid.

    Raises
    ------
    InputError
        If a raster cannot be read, or the cache folder cannot be written.
    """
    identity = {"percentiles": list(PERCENTILES), "rasters": [raster.identity() for raster in rasters]}
    path = cache / "scalings" / f"{rasters[0].name}-{digest(identity)}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged: measured (again)
        stored = json.loads(path.read_text())
        kept = {name: tuple(stored[name]) for name in ("low", "high")}
        return Scaling(**kept) if kept["low"] else None
    scaling = measure_scaling(
        lambda: _pieces(rasters, on_pixels),
        n_bands=len(rasters[0].bands),
        dtype=max((raster.dtype for raster in rasters), key=_dtype_bytes),
    )
    low, high = (list(scaling.low), list(scaling.high)) if scaling else ([], [])
    _write_json(path, {"low": low, "high": high, **identity})
    return scaling


def n_reads(dtype: str) -> int:
    """Return how often `scaling_of` reads a raster of this type."""
    return 1 if _dtype_bytes(dtype) == 1 else 2


def window_of(raster: Raster) -> int:
    """Return the side of the windows read, in pixels: fewer where there are many bands, at least 256."""
    return max(256, math.isqrt(WINDOW_SAMPLES // len(raster.bands)) // 256 * 256)


def _dtype_bytes(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def _pieces(
    rasters: Sequence[Raster], on_pixels: Callable[[int], None]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    for raster in rasters:
        for tile in TileGrid(shape=raster.shape, size=window_of(raster)):
            yield raster.read(tile.core)
            on_pixels(tile.core.n_rows * tile.core.n_cols)


def _write_json(path: Path, document: dict[str, object]) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(document, indent=1, sort_keys=True))
        scratch.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write the cache folder {path.parent}: {error.strerror}; give another with --cache"
        ) from error
