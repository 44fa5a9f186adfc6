"""Rasters to label maps: one job a tile, into the cache."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.groups import ArraySpec, TiledGroup, chunk_of, load_group, open_group
from superpoint.cache.rasters import Raster, open_raster
from superpoint.cache.scalings import n_reads, scaling_of
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.jobs import open_client, track_tiles
from superpoint.pipelines.outputs import block_windows, outputs_of
from superpoint.pipelines.progress import progress
from superpoint.scaling import Scaling
from superpoint.superpixels import describe_algorithm, make_algorithm
from superpoint.superpixels.algorithm import Origin
from superpoint.tiles import Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from distributed import Client
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from superpoint.cache.ledger import TileRecord
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


@dataclass(frozen=True, kw_only=True)
class SuperpixelJob:
    """Superpixelize one tile."""

    raster: Raster
    group: TiledGroup
    tile: Tile
    algorithm: SuperpixelAlgorithm
    scaling: Scaling
    seed: int

    def compute(self) -> tuple[Mapping[str, NDArray[np.generic]], dict[str, Any]]:
        """Return the labels of the core; the facts count superpixels without reading the array again."""
        window = self.tile.read
        image, valid = self.raster.read(window)
        labels = self.algorithm(
            self.scaling.apply(image, valid),
            valid,
            origin=Origin(row=window.row, col=window.col, raster_shape=self.raster.shape),
            rng=np.random.default_rng([self.seed, *self.tile.index]),
        )
        core = np.ascontiguousarray(labels[self.tile.core.within(window)])
        return {"labels": core}, _count_ids(core)


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
    if raster.georeference.crs is None:
        log.info("%s has no CRS: working in pixel space", raster.path)
    group, scaling = _open(raster, settings, algorithm)
    grid = TileGrid(shape=raster.shape, size=settings.tile, halo=_halo(settings, algorithm))
    if len(grid) > 1 and _exact_halo(algorithm) is None:
        raise InputError(
            f"superpixel algorithm {algorithm.name} cannot be tiled without seams; "
            f"give a --tile that holds {raster.path} whole, or another algorithm"
        )
    done = group.ledger.done(grid)
    todo = [tile for tile in grid if tile.name not in done]
    if done:
        log.info("%s: %d of %d tiles are in the cache, computing %d", raster.name, len(done), len(grid), len(todo))
    jobs = [
        SuperpixelJob(raster=raster, group=group, tile=tile, algorithm=algorithm, scaling=scaling, seed=settings.seed)
        for tile in todo
    ]
    records = track_tiles(f"superpixels of {raster.name}", jobs, client=client, retries=settings.retries)
    failed = [record for record in records if record.state == "failed"]
    return LabelMap(
        raster=raster.path,
        path=group.path,
        shape=raster.shape,
        n_superpixels=_count_superpixels([*done.values(), *records]),
        n_tiles=len(grid),
        n_computed=len(records) - len(failed),
        n_failed=len(failed),
        seconds=round(time.perf_counter() - started, 3),
    )


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


def _open(raster: Raster, settings: SuperpixelSettings, algorithm: SuperpixelAlgorithm) -> tuple[TiledGroup, Scaling]:
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
            "algorithm": describe_algorithm(algorithm),
            "scaling": {"low": list(scaling.low), "high": list(scaling.high)},
            "halo": _halo(settings, algorithm),
            "seed": settings.seed,
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
    exact = _exact_halo(algorithm)
    if exact is None:
        raise InputError(f"superpixel algorithm {algorithm.name} has no exact halo; use --halo default")
    return exact


def _exact_halo(algorithm: SuperpixelAlgorithm) -> int | None:
    try:
        return algorithm.halo(exact=True)
    except ValueError:
        return None


def _count_ids(core: NDArray[np.uint32]) -> dict[str, Any]:
    """Tell the superpixels that lie inside a tile from those that touch its edge and may go on beyond."""
    edge = np.unique(np.concatenate([core[0], core[-1], core[:, 0], core[:, -1]]))
    n_all = int(np.count_nonzero(np.unique(core)))
    edge_ids = edge[edge > 0].tolist()
    return {"n_inside": n_all - len(edge_ids), "edge_ids": edge_ids}


def _count_superpixels(records: Iterable[TileRecord]) -> int:
    facts = [record.facts for record in records if record.state == "done"]
    n_inside: int = sum(fact["n_inside"] for fact in facts)
    return n_inside + len({edge_id for fact in facts for edge_id in fact["edge_ids"]})


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
