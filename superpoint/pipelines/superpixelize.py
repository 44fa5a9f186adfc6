"""Rasters to label maps, tile by tile, into the cache.

Where tiles agree on ids by themselves a tile is one job; `joined.py` is about all other algorithms.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.groups import ArraySpec, TiledGroup, chunk_of, load_group, open_group
from superpoint.cache.rasters import Raster, open_raster
from superpoint.cache.scalings import n_reads, scaling_of
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.jobs import open_client
from superpoint.pipelines.joined import refuse_small_halo, superpixelize_joined
from superpoint.pipelines.outputs import block_windows, outputs_of
from superpoint.pipelines.progress import progress
from superpoint.pipelines.superpixeljobs import Recipe, Round, SuperpixelJob, run_round
from superpoint.scaling import Scaling
from superpoint.superpixels import identify_algorithm, make_algorithm
from superpoint.superpixels.algorithm import ChecksBands
from superpoint.superpixels.joining import VERSION as JOINING_VERSION
from superpoint.superpixels.joining import is_joined
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from distributed import Client
    from pydantic import JsonValue

    from superpoint.pipelines.settings import SuperpixelizeSettings, SuperpixelSettings
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

log = logging.getLogger("superpoint")

DEFAULT_REGION_SIZE = 20.0
HIDDEN_NODATA = 1e30  # no band measures anything this large


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """The superpixels of one raster, in the cache."""

    raster: str
    path: str
    """Zarr group with the array `labels`."""
    shape: tuple[int, int]
    n_superpixels: int
    n_tiles: int
    n_computed: int
    """Tiles computed by this call; the others were done already."""
    n_failed: int
    seconds: float
    output: str | None = None
    """The COG, if one was asked for."""


def superpixelize(settings: SuperpixelizeSettings) -> list[LabelMap]:
    """Superpixelize rasters, tile by tile, into the cache; what is there already is not computed again.

    Parameters
    ----------
    settings : SuperpixelizeSettings
        See the fields.

    Returns
    -------
    list of LabelMap
        One for each raster, in order.

    Raises
    ------
    InputError
        If a raster or a setting cannot be used.
    TilesFailedError
        If tiles failed; the others are in the cache, and the same call tries only those again.
    """
    outputs = outputs_of(settings.output, settings.rasters, suffix="labels")
    for output in outputs:
        check_output(output, overwrite=settings.overwrite)
    rasters = [open_raster(path, bands=tuple(settings.bands)) for path in settings.rasters]
    with open_client(workers=settings.workers, scheduler=settings.scheduler) as client:
        label_maps = [superpixelize_raster(raster, settings, client) for raster in rasters]
    refuse_failed(label_maps)
    if not outputs:
        return label_maps
    return [
        replace(label_map, output=str(export_labels(label_map, output, overwrite=settings.overwrite)))
        for label_map, output in zip(label_maps, outputs, strict=True)
    ]


def superpixelize_raster(raster: Raster, settings: SuperpixelSettings, client: Client | None) -> LabelMap:
    """Superpixelize one raster that has been opened; failed tiles are counted, not raised."""
    started = time.perf_counter()
    chunk_of(settings.tile)
    algorithm = make_algorithm(settings.algorithm, _parameters(settings, raster.shape))
    if isinstance(algorithm, ChecksBands):
        algorithm.check_bands(len(raster.bands))
    if raster.georeference.crs is None:
        log.info("%s has no CRS: working in pixel space", raster.path)
    grid = TileGrid(shape=raster.shape, size=settings.tile, halo=_halo(settings, algorithm))
    joined = len(grid) > 1 and is_joined(algorithm)
    if joined:
        refuse_small_halo(algorithm, grid.halo)
    group, scaling = _open(raster, settings, algorithm, {"joining": JOINING_VERSION} if joined else {})
    recipe = Recipe(raster=raster, algorithm=algorithm, scaling=scaling, seed=settings.seed)
    rounds = (superpixelize_joined if joined else _superpixelize_lattice)(
        recipe, group, grid, client=client, retries=settings.retries
    )
    return LabelMap(
        raster=raster.path,
        path=group.path,
        shape=raster.shape,
        n_superpixels=0 if rounds[-1].n_failed else rounds[-1].count_superpixels(),
        n_tiles=len(grid),
        n_computed=len(set[str]().union(*(found.computed for found in rounds))),
        n_failed=rounds[-1].n_failed,
        seconds=round(time.perf_counter() - started, 3),
    )


def _superpixelize_lattice(
    recipe: Recipe, group: TiledGroup, grid: TileGrid, *, client: Client | None, retries: int
) -> list[Round]:
    """Superpixelize all tiles of a raster; they agree on ids by themselves."""
    what = f"superpixels of {recipe.raster.name}"
    return [
        run_round(
            what,
            group,
            grid,
            lambda tile: SuperpixelJob(recipe=recipe, group=group, tile=tile),
            client=client,
            retries=retries,
        )
    ]


class TiledResult(Protocol):
    """What label maps and pseudo-masks have in common."""

    @property
    def raster(self) -> str: ...  # noqa: D102  # named as in LabelMap
    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def n_tiles(self) -> int: ...  # noqa: D102
    @property
    def n_failed(self) -> int: ...  # noqa: D102


def refuse_failed(results: Sequence[TiledResult]) -> None:
    """Raise `TilesFailedError` if tiles of any raster failed."""
    for result in results:
        if result.n_failed:
            raise TilesFailedError(
                f"{result.n_failed} of {result.n_tiles} tiles of {result.raster} failed (reasons above and in "
                f"the ledger beside {result.path}); the others are done, run the same command to try again"
            )


def _open(
    raster: Raster, settings: SuperpixelSettings, algorithm: SuperpixelAlgorithm, joining: Mapping[str, str]
) -> tuple[TiledGroup, Scaling]:
    megapixels = raster.shape[0] * raster.shape[1] / 1e6
    with progress(f"statistics of {raster.name}", total=megapixels * n_reads(raster.dtype), unit="Mpx") as advance:
        scaling = scaling_of([raster], settings.cache, on_pixels=lambda n_pixels: advance(n_pixels / 1e6))
    if scaling is None:
        log.warning("%s holds nothing but nodata: its label map is all 0", raster.path)
        scaling = Scaling(low=(0.0,) * len(raster.bands), high=(1.0,) * len(raster.bands))
    _warn_of_hidden_nodata(raster, scaling)
    group = open_group(
        settings.cache,
        kind="label-maps",
        name=raster.name,
        georeference=raster.georeference,
        tile_size=settings.tile,
        arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id, 0 is nodata")},
        provenance={
            "source": raster.identity(),
            "algorithm": identify_algorithm(algorithm),
            "scaling": {"low": list(scaling.low), "high": list(scaling.high)},
            "halo": _halo(settings, algorithm),
            "seed": settings.seed,
            **joining,
        },
    )
    return group, scaling


def _warn_of_hidden_nodata(raster: Raster, scaling: Scaling) -> None:
    for band, low, high in zip(raster.bands, scaling.low, scaling.high, strict=True):
        if max(abs(low), abs(high)) > HIDDEN_NODATA:
            log.warning(
                "band %d of %s runs from %g to %g, which looks like a nodata value that is not declared; "
                "declare it with: gdal_edit.py -a_nodata VALUE '%s'",
                band, raster.path, low, high, raster.path,
            )  # fmt: skip


def _parameters(settings: SuperpixelSettings, shape: tuple[int, int]) -> dict[str, JsonValue]:
    """Return the algorithm's parameters for a raster; a number of segments becomes a region size."""
    if "region_size" in settings.parameter:
        raise InputError("region_size has a setting of its own; give --region-size, not --parameter region_size=...")
    if settings.n_segments is not None:
        region_size = math.sqrt(shape[0] * shape[1] / settings.n_segments)
    else:
        region_size = settings.region_size or DEFAULT_REGION_SIZE
    return {"region_size": region_size, **settings.parameter}


def _halo(settings: SuperpixelSettings, algorithm: SuperpixelAlgorithm) -> int:
    if isinstance(settings.halo, int):
        return settings.halo
    if settings.halo == "default":
        return algorithm.halo()
    if is_joined(algorithm):
        raise InputError(f"superpixel algorithm {algorithm.name} has no exact halo; use --halo default")
    return algorithm.halo(exact=True)


def export_labels(label_map: LabelMap, output: Path, *, overwrite: bool) -> Path:
    """Write a label map as a Cloud-Optimized GeoTIFF, uint32 with nodata 0."""
    group = load_group(label_map.path)
    profile = CogProfile(
        georeference=group.georeference,
        dtype="uint32",
        nodata=0,
        band_names=("superpixel id",),
        tags={"SUPERPOINT_PROVENANCE": group.provenance},
    )
    blocks = ((window, group.read("labels", window)) for window in block_windows(group))
    return write_cog(output, profile, blocks, overwrite=overwrite)
