"""The jobs of one raster before its tiles: open it, know its values, lay out the result and see what is there already.

They are jobs as tiles are: an archive has thousands of rasters, and none of them is read by the process that started
the run.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.groups import ArraySpec, TiledGroup, chunk_of, open_group
from superpoint.cache.inputs import find_sources
from superpoint.cache.rasters import Raster, open_source
from superpoint.cache.scalings import find_scaling, keep_scaling, window_of
from superpoint.errors import InputError
from superpoint.pipelines.jobs import Batch, Conduct, Outcome, attempt
from superpoint.pipelines.superpixeljobs import Recipe, Tally
from superpoint.scaling import Pass, Scaling, first_pass
from superpoint.superpixels import identify_algorithm, load_algorithm, make_algorithm, traits_of
from superpoint.superpixels.algorithm import ChecksBands
from superpoint.superpixels.joining import VERSION as JOINING_VERSION
from superpoint.superpixels.joining import is_joined, smallest_halo
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from superpoint.cache.inputs import Source
    from superpoint.pipelines.jobs import Stage
    from superpoint.pipelines.settings import InputSettings, SuperpixelSettings
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

log = logging.getLogger("superpoint")

DEFAULT_REGION_SIZE = 20.0
HIDDEN_NODATA = 1e30  # no band measures anything this large
ARRAYS = {"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id, 0 is nodata")}
WINDOWS_AT_ONCE = 4  # a raster of no more windows is counted by the job that opens it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one raster is superpixelized, decided before a tile is computed."""

    raster: Raster
    algorithm: SuperpixelAlgorithm
    grid: TileGrid
    warnings: tuple[str, ...] = ()
    """What the user should know of this raster."""

    @property
    def is_joined(self) -> bool:
        """Whether the tiles do not agree on ids by themselves."""
        return len(self.grid) > 1 and is_joined(self.algorithm)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A raster whose tiles can be computed."""

    plan: Plan
    recipe: Recipe
    group: TiledGroup
    done: frozenset[str] = field(repr=False)
    """Names of the tiles that are in the cache, intact."""
    tally: Tally
    """What they come to."""


def sources_of(settings: InputSettings) -> list[Source]:
    """Return the rasters that the settings name.

    Raises
    ------
    InputError
        If there are none, or mask values are given and no raster has a mask.
    """
    sources = find_sources(settings.rasters, assets=settings.assets, mask_asset=settings.mask_asset)
    if settings.mask_values and settings.mask_band is None and not any(source.mask for source in sources):
        raise InputError(
            "--mask-values needs a mask; name one with --mask-asset or --mask-band, or in the list's column mask"
        )
    return sources


def check_request(settings: SuperpixelSettings) -> None:
    """Refuse settings that no raster fits, before any is opened.

    Raises
    ------
    InputError
        If so.
    """
    chunk_of(settings.tile)
    algorithm = make_algorithm(settings.algorithm, _parameters(settings, (settings.tile, settings.tile)))
    identify_algorithm(algorithm)
    _halo(settings, algorithm)


def plan_raster(raster: Raster, settings: SuperpixelSettings) -> Plan:
    """Decide how a raster is superpixelized.

    Raises
    ------
    InputError
        If the settings do not fit the raster.
    """
    algorithm = make_algorithm(settings.algorithm, _parameters(settings, raster.shape))
    if isinstance(algorithm, ChecksBands):
        algorithm.check_bands(len(raster.bands))
    grid = TileGrid(shape=raster.shape, size=settings.tile, halo=_halo(settings, algorithm))
    plan = Plan(
        raster=raster,
        algorithm=algorithm,
        grid=grid,
        warnings=() if raster.georeference.crs else (f"{raster.path} has no CRS: working in pixel space",),
    )
    if plan.is_joined:
        _refuse_small_halo(algorithm, grid.halo)
    return plan


def make_ready(source: Source, settings: SuperpixelSettings) -> Stage[Ready]:
    """Yield the batches of jobs that make a raster ready, and return it.

    Raises
    ------
    Exception
        Whatever made it impossible.
    """
    outcomes: list[Outcome[Any]] = []
    yield _one(OpenJob(source=source, settings=settings), outcomes)
    plan: Plan | Ready = value_of(outcomes.pop())
    if isinstance(plan, Ready):
        return plan
    wanted: Pass | Scaling | None = first_pass(n_bands=len(plan.raster.bands), dtype=plan.raster.dtype)
    while isinstance(wanted, Pass):
        counts = wanted.zeros()
        yield _counting(plan.raster, wanted, counts, outcomes)
        for failed in outcomes:
            value_of(failed)
        wanted = wanted.resolve(counts)
    keep_scaling([plan.raster], settings.cache, wanted)
    yield _one(LayOutJob(plan=plan, scaling=wanted, settings=settings), outcomes)
    ready: Ready = value_of(outcomes.pop())
    return ready


@dataclass(frozen=True, kw_only=True)
class OpenJob:
    """Open a raster and decide how it is superpixelized; make a small one ready."""

    source: Source
    settings: SuperpixelSettings

    def compute(self) -> Plan | Ready:
        """Return what is known then."""
        settings = self.settings
        raster = open_raster_of(self.source, settings)
        plan = plan_raster(raster, settings)
        is_known, scaling = find_scaling([raster], settings.cache)
        if not is_known:
            windows = [tile.core for tile in TileGrid(shape=raster.shape, size=window_of(raster))]
            if len(windows) > WINDOWS_AT_ONCE:
                return plan
            scaling = _scaling_of(raster, windows)
            keep_scaling([raster], settings.cache, scaling)
        return lay_out(plan, scaling, settings)


@dataclass(frozen=True, kw_only=True)
class LayOutJob:
    """Lay out the label map of a raster."""

    plan: Plan
    scaling: Scaling | None
    settings: SuperpixelSettings

    def compute(self) -> Ready:
        """Return it, with the tiles that are there."""
        return lay_out(self.plan, self.scaling, self.settings)


@dataclass(frozen=True, kw_only=True)
class CountJob:
    """Count the values of a window."""

    raster: Raster
    window: Window
    wanted: Pass

    def compute(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Return where counts are not 0, and these."""
        counts = self.wanted.zeros()
        self.wanted.count(*self.raster.read_stored(self.window), counts)
        where = np.flatnonzero(counts)
        return where, counts.reshape(-1)[where]


QUICK = (OpenJob, CountJob)  # about one window, or a few


def open_raster_of(source: Source, settings: SuperpixelSettings) -> Raster:
    """Open a source with the bands and the mask that the settings ask for."""
    return open_source(source, bands=settings.bands, mask_band=settings.mask_band, mask_values=settings.mask_values)


def lay_out(plan: Plan, scaling: Scaling | None, settings: SuperpixelSettings) -> Ready:
    """Lay out the label map of a raster whose scaling is known; None where no pixel is valid."""
    raster = plan.raster
    warnings = [*plan.warnings]
    if scaling is None:
        warnings.append(f"{raster.path} holds nothing but nodata: its label map is all 0")
        scaling = flat_scaling(raster)
    warnings += _hidden_nodata(raster, scaling)
    group = open_group(settings.cache, arrays=ARRAYS, **group_arguments(plan, scaling, settings))
    done, tally = set(), Tally()
    for record in group.done(check=settings.check):
        done.add(record.tile)
        tally.add(record)
    return Ready(
        plan=replace(plan, warnings=tuple(warnings)),
        recipe=Recipe(raster=raster, algorithm=plan.algorithm, scaling=scaling, seed=seed_of(plan.algorithm, settings)),
        group=group,
        done=frozenset(done),
        tally=tally,
    )


def group_arguments(plan: Plan, scaling: Scaling, settings: SuperpixelSettings) -> dict[str, Any]:
    """Return what decides the place and the bytes of a label map, as `group_of` takes it."""
    raster = plan.raster
    return {
        "kind": "label-maps",
        "name": raster.name,
        "georeference": raster.georeference,
        "tile_size": settings.tile,
        "provenance": {
            "source": raster.identity(),
            "algorithm": identify_algorithm(plan.algorithm),
            "scaling": {"low": list(scaling.low), "high": list(scaling.high)},
            "halo": plan.grid.halo,
            "seed": seed_of(plan.algorithm, settings),
            **({"joining": JOINING_VERSION} if plan.is_joined else {}),
        },
        "sharding": settings.sharding,
    }


def seed_of(algorithm: SuperpixelAlgorithm, settings: SuperpixelSettings) -> int:
    """Return the seed of what an algorithm draws; 0 for one that draws nothing, so that all seeds share its labels."""
    traits = traits_of(type(algorithm))
    return settings.seed if traits is None or traits.draws else 0


def flat_scaling(raster: Raster) -> Scaling:
    """Return the scaling of a raster without a valid pixel."""
    return Scaling(low=(0.0,) * len(raster.bands), high=(1.0,) * len(raster.bands))


def compute(job: Any, conduct: Conduct) -> Outcome[Any]:  # noqa: ANN401  # any of the jobs here
    """Compute a job; this is what a worker runs. One that has to look at all tiles takes as long as it takes."""
    return attempt(job.compute, replace(conduct, timeout=conduct.timeout if isinstance(job, QUICK) else None))


def lost(job: Any, error: BaseException) -> Outcome[Any]:  # noqa: ANN401, ARG001  # any of the jobs here
    """Return the outcome of a job whose worker died."""
    return Outcome(error=error)


def value_of(outcome: Outcome[Any]) -> Any:  # noqa: ANN401  # of any job
    """Return the value of an outcome, or raise its error."""
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _one(job: Any, outcomes: list[Outcome[Any]]) -> Batch[Any, Any]:  # noqa: ANN401  # any of the jobs here
    """Return the batch of a single job."""
    return Batch(jobs=[job], call=compute, lost=lost, collect=outcomes.append)


def _counting(
    raster: Raster, wanted: Pass, counts: NDArray[np.int64], failed: list[Outcome[Any]]
) -> Batch[CountJob, Outcome[Any]]:
    """Return the batch that counts all windows of a raster."""

    def add(outcome: Outcome[Any]) -> None:
        if outcome.error is not None:
            failed.append(outcome)
            return
        where, values = value_of(outcome)
        counts.reshape(-1)[where] += values

    grid = TileGrid(shape=raster.shape, size=window_of(raster))
    jobs = (CountJob(raster=raster, window=tile.core, wanted=wanted) for tile in grid)
    return Batch(jobs=jobs, call=compute, lost=lost, collect=add)


def _scaling_of(raster: Raster, windows: Sequence[Window]) -> Scaling | None:
    wanted: Pass | Scaling | None = first_pass(n_bands=len(raster.bands), dtype=raster.dtype)
    while isinstance(wanted, Pass):
        counts = wanted.zeros()
        for window in windows:
            wanted.count(*raster.read_stored(window), counts)
        wanted = wanted.resolve(counts)
    return wanted


def _hidden_nodata(raster: Raster, scaling: Scaling) -> Iterator[str]:
    for band, low, high in zip(raster.bands, scaling.low, scaling.high, strict=True):
        if max(abs(low), abs(high)) > HIDDEN_NODATA:
            yield (
                f"band {band} of {raster.path} runs from {low:g} to {high:g}, which looks like a nodata value that is "
                f"not declared; declare it with: gdal_edit.py -a_nodata VALUE '{raster.path}'"
            )


def _parameters(settings: SuperpixelSettings, shape: tuple[int, int]) -> dict[str, JsonValue]:
    """Return the algorithm's parameters for a raster; a number of segments becomes a region size."""
    if "region_size" in settings.parameter:
        raise InputError("region_size has a setting of its own; give --region-size, not --parameter region_size=...")
    if settings.n_segments is not None:
        region_size = math.sqrt(shape[0] * shape[1] / settings.n_segments)
    else:
        region_size = settings.region_size or _default_region_size(settings.algorithm)
    return {"region_size": region_size, **settings.parameter}


def _default_region_size(algorithm: str) -> float:
    """Return the region size of an algorithm if nothing is said: its own, if it has one."""
    return float(getattr(load_algorithm(algorithm), "region_size", DEFAULT_REGION_SIZE))


def _halo(settings: SuperpixelSettings, algorithm: SuperpixelAlgorithm) -> int:
    if isinstance(settings.halo, int):
        return settings.halo
    if settings.halo == "default":
        return algorithm.halo()
    if is_joined(algorithm):
        raise InputError(f"superpixel algorithm {algorithm.name} has no exact halo; use --halo default")
    return algorithm.halo(exact=True)


def _refuse_small_halo(algorithm: SuperpixelAlgorithm, halo: int) -> None:
    """Refuse a halo in which no superpixel is seen whole by two tiles."""
    smallest = smallest_halo(algorithm)
    if halo < smallest:
        raise InputError(
            f"superpixel algorithm {algorithm.name} joins its tiles where they overlap and needs a halo of at least "
            f"{smallest} pixels, its region size, got {halo}; give --halo {smallest} or more"
        )
