"""Rasters to label maps of several sizes at once: a hierarchy is computed once, kept, and cut.

Unlike `superpixelize` this works on whole rasters in memory, without tiles: each level is a cut of one hierarchy,
has exactly as many superpixels as were asked for, and is made of whole superpixels of any finer one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.hierarchies import hierarchy_store, read_hierarchy, write_hierarchy
from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import n_reads, scaling_of, window_of
from superpoint.errors import InputError
from superpoint.pipelines.outputs import EXPORT_BLOCK, outputs_of
from superpoint.pipelines.progress import progress
from superpoint.scaling import Scaling
from superpoint.superpixels.hers import Hers
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.settings import CutSettings
    from superpoint.superpixels.hierarchy import Hierarchy

log = logging.getLogger("superpoint")

DEFAULT_REGION_SIZE = 20.0
BYTES_PER_PIXEL = 84  # at the peak of computing a hierarchy, and
BYTES_PER_SAMPLE = 12  # more for each band (`benchmarks/hers.py`)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Cuts of one raster's hierarchy."""

    raster: str
    path: str
    """Zarr group of the hierarchy, in the cache."""
    shape: tuple[int, int]
    levels: list[int]
    """Number of superpixels of each level, in the order asked for; it may differ from what was asked only where
    nodata holds more islands apart, or there are fewer valid pixels."""
    from_cache: bool
    """Whether the hierarchy was there already."""
    seconds: float
    output: str | None = None
    """The COG, a band a level, if one was asked for."""


def cut(settings: CutSettings) -> list[Cut]:
    """Cut the hierarchies of rasters into superpixels of several sizes.

    Parameters
    ----------
    settings : CutSettings
        See the fields.

    Returns
    -------
    list of Cut
        One for each raster, in order.

    Raises
    ------
    InputError
        If a raster or a setting cannot be used, or a raster is too large for the machine's memory.
    MissingExtraError
        If learned affinities are asked for and PyTorch is not installed.
    """
    from distributed.system import MEMORY_LIMIT  # minds what a container may use

    algorithm = _algorithm(settings)
    outputs = outputs_of(settings.output, settings.rasters, suffix="cuts")
    for output in outputs:
        check_output(output, overwrite=settings.overwrite)
    rasters = [open_raster(path, bands=tuple(settings.bands)) for path in settings.rasters]
    for raster in rasters:
        _refuse_too_large(raster, MEMORY_LIMIT)
    places: list[Path | None] = [*outputs] if outputs else [None] * len(rasters)
    return [_cut(raster, place, algorithm, settings) for raster, place in zip(rasters, places, strict=True)]


def _algorithm(settings: CutSettings) -> Hers:
    try:
        weights = None if settings.weights is None else str(settings.weights)
        return Hers(affinity=settings.affinity, sigma=settings.sigma, weights=weights)
    except ValueError as error:
        raise InputError(f"superpixel algorithm hers: {error}") from error


def _refuse_too_large(raster: Raster, memory_bytes: int) -> None:
    rows, cols = raster.shape
    needed = rows * cols * (BYTES_PER_PIXEL + BYTES_PER_SAMPLE * len(raster.bands))
    if needed > memory_bytes:
        raise InputError(
            f"{raster.path} has {cols} x {rows} pixels, whose hierarchy needs {needed / 2**30:.1f} GiB of memory and "
            f"this machine has {memory_bytes / 2**30:.1f}; use: superpoint superpixelize --algorithm hers, which works "
            f"in tiles"
        )


def _cut(raster: Raster, output: Path | None, algorithm: Hers, settings: CutSettings) -> Cut:
    started = time.perf_counter()
    scaling = _scaling(raster, settings.cache)
    provenance = {
        "source": raster.identity(),
        "scaling": {"low": list(scaling.low), "high": list(scaling.high)},
        "algorithm": algorithm.describe_hierarchy(),
    }
    store = hierarchy_store(settings.cache, name=raster.name, provenance=provenance)
    kept = read_hierarchy(store)
    if kept is not None:
        log.info("%s: the hierarchy is in the cache, cutting it", raster.name)
        hierarchy = kept
    else:
        log.info("%s: computing the hierarchy", raster.name)
        hierarchy = algorithm.hierarchy(*_read(raster, scaling))
        write_hierarchy(store, hierarchy, georeference=raster.georeference, provenance=provenance)
    levels = _levels(hierarchy, settings)
    if output is not None:
        _export(raster, hierarchy, levels, output, provenance, overwrite=settings.overwrite)
    return Cut(
        raster=raster.path,
        path=store.url,
        shape=raster.shape,
        levels=levels,
        from_cache=kept is not None,
        seconds=round(time.perf_counter() - started, 3),
        output=None if output is None else str(output),
    )


def _scaling(raster: Raster, cache: str) -> Scaling:
    megapixels = raster.shape[0] * raster.shape[1] / 1e6
    with progress(f"statistics of {raster.name}", total=megapixels * n_reads(raster.dtype), unit="Mpx") as advance:
        scaling = scaling_of([raster], cache, on_pixels=lambda n_pixels: advance(n_pixels / 1e6))
    if scaling is None:
        log.warning("%s holds nothing but nodata: its label maps are all 0", raster.path)
        return Scaling(low=(0.0,) * len(raster.bands), high=(1.0,) * len(raster.bands))
    return scaling


def _read(raster: Raster, scaling: Scaling) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a raster whole, window by window, so that nothing of its size is held twice."""
    image = np.empty((len(raster.bands), *raster.shape), np.float32)
    valid = np.empty(raster.shape, bool)
    for tile in TileGrid(shape=raster.shape, size=window_of(raster)):
        values, known = raster.read(tile.core)
        image[:, *tile.core.slices] = scaling.apply(values, known)
        valid[tile.core.slices] = known
    return image, valid


def _levels(hierarchy: Hierarchy, settings: CutSettings) -> list[int]:
    if settings.n_segments:
        return [hierarchy.n_superpixels(n_segments=number) for number in settings.n_segments]
    sizes = settings.region_size or [DEFAULT_REGION_SIZE]
    return [hierarchy.n_superpixels(region_size=size) for size in sizes]


def _export(
    raster: Raster,
    hierarchy: Hierarchy,
    levels: Sequence[int],
    output: Path,
    provenance: dict[str, Any],
    *,
    overwrite: bool,
) -> None:
    profile = CogProfile(
        georeference=raster.georeference,
        dtype="uint32",
        nodata=0,
        band_names=tuple(f"{number} superpixels" for number in levels),
        tags={"SUPERPOINT_PROVENANCE": provenance},
    )
    stack = hierarchy.stack(n_segments=[max(1, number) for number in levels])  # (level, row, col)
    tiles = TileGrid(shape=raster.shape, size=EXPORT_BLOCK)
    write_cog(output, profile, ((tile.core, stack[:, *tile.core.slices]) for tile in tiles), overwrite=overwrite)
