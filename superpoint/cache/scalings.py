"""Whole-raster scalings, measured once a raster and kept: a resumed run does not read the archive again."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.keys import digest
from superpoint.cache.stores import Store, as_store
from superpoint.scaling import PERCENTILES, Scaling, counts_values, measure_scaling
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.rasters import Raster

WINDOW_SAMPLES = 2**24  # samples read at a time, all bands together


def scaling_of(
    rasters: Sequence[Raster], cache: Store | Path | str, *, on_pixels: Callable[[int], None] = lambda _: None
) -> Scaling | None:
    """Return the scaling of one raster, or of several together, from the cache or by reading them whole.

    Parameters
    ----------
    rasters : sequence of Raster
        With the same number of bands; their pixels are pooled.
    cache : Store or path or str
        Folder or URL of the cache.
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
    known, scaling = find_scaling(rasters, cache)
    if known:
        return scaling
    scaling = measure_scaling(
        lambda: _pieces(rasters, on_pixels), n_bands=len(rasters[0].bands), dtype=pooled_dtype(rasters)
    )
    keep_scaling(rasters, cache, scaling)
    return scaling


def find_scaling(rasters: Sequence[Raster], cache: Store | Path | str) -> tuple[bool, Scaling | None]:
    """Return whether the cache knows the scaling of rasters, and the scaling; None if no pixel is valid."""
    store, key, _ = _place(rasters, cache)
    with suppress(ValueError, KeyError, TypeError):  # not there, or damaged: measured (again)
        stored = json.loads(store.read(key) or b"")
        kept = {name: tuple(stored[name]) for name in ("low", "high")}
        if stored["seal"] == digest(kept):
            return True, Scaling(**kept) if kept["low"] else None
    return False, None


def keep_scaling(rasters: Sequence[Raster], cache: Store | Path | str, scaling: Scaling | None) -> None:
    """Keep the scaling of rasters; None if no pixel is valid."""
    store, key, identity = _place(rasters, cache)
    found = {"low": list(scaling.low), "high": list(scaling.high)} if scaling else {"low": [], "high": []}
    document = {**found, "seal": digest(found), **identity}
    store.write(key, json.dumps(document, indent=1, sort_keys=True).encode())


def pooled_dtype(rasters: Sequence[Raster]) -> str:
    """Return the data type that holds the values of all rasters."""
    return np.result_type(*(raster.dtype for raster in rasters)).name


def n_reads(dtype: str) -> int:
    """Return how often `scaling_of` reads a raster of this type."""
    return 1 if counts_values(dtype) else 2


def window_of(raster: Raster) -> int:
    """Return the side of the windows read, in pixels: fewer where there are many bands, at least 256."""
    return max(256, math.isqrt(WINDOW_SAMPLES // len(raster.bands)) // 256 * 256)


def _place(rasters: Sequence[Raster], cache: Store | Path | str) -> tuple[Store, str, dict[str, Any]]:
    identity = {"percentiles": list(PERCENTILES), "rasters": [raster.identity() for raster in rasters]}
    return as_store(cache).child("scalings"), f"{rasters[0].name}-{digest(identity)}.json", identity


def _pieces(
    rasters: Sequence[Raster], on_pixels: Callable[[int], None]
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    for raster in rasters:
        for tile in TileGrid(shape=raster.shape, size=window_of(raster)):
            yield raster.read_stored(tile.core)
            on_pixels(tile.core.n_rows * tile.core.n_cols)
