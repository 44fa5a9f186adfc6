"""What a run would do and cost, without doing it: rasters, tiles, bytes, memory, and time from one tile computed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.groups import group_of, stored_bytes
from superpoint.cache.scalings import find_scaling, n_reads
from superpoint.pipelines.jobs import open_client
from superpoint.pipelines.joined import WINDOW_SHARE
from superpoint.pipelines.memory import worker_bytes
from superpoint.pipelines.rasterjobs import (
    ARRAYS,
    check_request,
    flat_scaling,
    group_arguments,
    open_raster_of,
    plan_raster,
    seed_of,
    sources_of,
)
from superpoint.pipelines.superpixeljobs import Recipe
from superpoint.scaling import Scaling, measure_scaling

if TYPE_CHECKING:
    from superpoint.pipelines.rasterjobs import Plan
    from superpoint.pipelines.settings import SuperpixelizeSettings
    from superpoint.tiles import Tile


@dataclass(kw_only=True)
class Forecast:
    """What a run would do and cost."""

    n_rasters: int
    problems: list[tuple[str, str]] = field(default_factory=list)
    """The rasters that would be quarantined, and why."""
    n_tiles: int = 0
    n_tiles_done: int = 0
    """In the cache, intact."""
    megapixels: float = 0.0
    """To be computed."""
    bytes_to_read: int = 0
    """As decoded, halos and the statistics of whole rasters included."""
    bytes_to_write: int = 0
    """As compressed, by the tile that was computed."""
    worker_bytes: int = 0
    """Memory of a worker at its peak, about."""
    n_threads: int = 1
    sample_mpx_per_s: float | None = None
    """Speed of one thread, reading and compressing included, by the tile that was computed."""
    seconds: float | None = None
    """Time of the run, about: statistics not included."""


def forecast(settings: SuperpixelizeSettings) -> Forecast:
    """Return what `superpixelize` would do with the same settings; nothing is written.

    Parameters
    ----------
    settings : SuperpixelizeSettings
        See the fields.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """
    check_request(settings)
    sources = sources_of(settings)
    found = Forecast(n_rasters=len(sources), n_threads=_n_threads(settings.cluster))
    todo: list[Plan] = []
    for source in sources:
        try:
            plan = plan_raster(open_raster_of(source, settings), settings)
            if _add(found, plan, settings):
                todo.append(plan)
        except Exception as error:  # noqa: BLE001  # whatever would be quarantined
            found.problems.append((source.label, str(error) or type(error).__name__))
    if todo:
        _time(found, todo, settings)
    return found


def _n_threads(cluster: str) -> int:
    if cluster == "inprocess":
        return 1
    if cluster.startswith("local:"):
        return int(cluster.removeprefix("local:"))
    with open_client(cluster) as client:
        return sum(client.nthreads().values()) if client else 1


def _add(found: Forecast, plan: Plan, settings: SuperpixelizeSettings) -> bool:
    """Add a raster; return whether anything is to be computed."""
    raster, grid = plan.raster, plan.grid
    is_known, scaling = find_scaling([raster], settings.cache)
    group = group_of(settings.cache, **group_arguments(plan, scaling or flat_scaling(raster), settings))
    done = {record.tile for record in group.done(check=settings.check)} if is_known else set()
    todo = [tile for tile in grid if tile.name not in done]
    pixel_bytes = len(raster.bands) * np.dtype(raster.dtype).itemsize
    found.n_tiles += len(grid)
    found.n_tiles_done += len(done)
    found.megapixels += sum(tile.core.n_rows * tile.core.n_cols for tile in todo) / 1e6
    found.bytes_to_read += pixel_bytes * sum(tile.read.n_rows * tile.read.n_cols for tile in todo)
    if not is_known:
        found.bytes_to_read += pixel_bytes * grid.shape[0] * grid.shape[1] * n_reads(raster.dtype)
    estimate = worker_bytes(
        tile=min(settings.tile, max(grid.shape)), halo=grid.halo, n_bands=len(raster.bands), dtype=raster.dtype,
        algorithm=plan.algorithm, has_gaps=raster.has_gaps,
    )  # fmt: skip
    found.worker_bytes = max(found.worker_bytes, estimate.n_bytes)
    return bool(todo)


def _time(found: Forecast, plans: list[Plan], settings: SuperpixelizeSettings) -> None:
    """Compute the tile in the middle of the largest raster that can be read."""
    for plan in sorted(plans, key=lambda plan: math.prod(plan.grid.shape), reverse=True):
        try:
            _time_one(found, plan, settings)
        except Exception as error:  # noqa: BLE001  # as above
            found.problems.append((plan.raster.path, str(error) or type(error).__name__))
        else:
            return


def _time_one(found: Forecast, plan: Plan, settings: SuperpixelizeSettings) -> None:
    rows, cols = plan.grid.n_tiles
    tile = plan.grid.tile(rows // 2, cols // 2)
    for _ in range(2):  # the first time, kernels are loaded or compiled
        started = time.perf_counter()
        n_bytes = _compute(plan, tile, settings)
        seconds = time.perf_counter() - started
    n_pixels = tile.core.n_rows * tile.core.n_cols
    seconds /= WINDOW_SHARE if plan.is_joined else 1.0
    found.sample_mpx_per_s = n_pixels / 1e6 / seconds
    found.bytes_to_write = int(found.megapixels * 1e6 * n_bytes / n_pixels)
    found.seconds = found.megapixels / found.sample_mpx_per_s / found.n_threads


def _compute(plan: Plan, tile: Tile, settings: SuperpixelizeSettings) -> int:
    """Compute a tile as a worker would, with the statistics of its own window; return its size as stored."""
    image, valid = plan.raster.read_stored(tile.read)
    measured = measure_scaling(lambda: [(image, valid)], n_bands=len(image), dtype=plan.raster.dtype)
    scaling: Scaling = measured or flat_scaling(plan.raster)
    recipe = Recipe(
        raster=plan.raster, algorithm=plan.algorithm, scaling=scaling, seed=seed_of(plan.algorithm, settings)
    )
    labels = np.ascontiguousarray(recipe.labels_of(tile)[tile.core.within(tile.read)])
    group = group_of(settings.cache, **group_arguments(plan, scaling, settings))
    return stored_bytes(group, ARRAYS, tile, {"labels": labels})
