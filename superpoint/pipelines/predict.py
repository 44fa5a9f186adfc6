"""A network and rasters to maps: a raster a job, in this process or on a cluster; what is done already is kept."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from superpoint.cache.inputs import find_sources
from superpoint.errors import DiskFullError, InputError, TilesFailedError
from superpoint.models import require_train_extra
from superpoint.pipelines.jobs import Batch, Conduct, Outcome, drive, open_client, threads_a_worker
from superpoint.pipelines.networks import bands_of, check_overlap, device_of, open_network
from superpoint.pipelines.outputs import check_exports, outputs_of
from superpoint.pipelines.predictjobs import Map, MapJob, probabilities_of
from superpoint.pipelines.progress import progress
from superpoint.pipelines.rasterjobs import compute, lost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from distributed import Client

    from superpoint.cache.inputs import Source
    from superpoint.pipelines.jobs import Work
    from superpoint.pipelines.settings import PredictSettings

__all__ = ["Map", "predict"]

log = logging.getLogger("superpoint")

AUTO = "auto"


def predict(settings: PredictSettings, *, client: Client | None = None) -> list[Map]:
    """Map rasters with a trained network; a map that is there, made of the very same, is kept.

    Parameters
    ----------
    settings : PredictSettings
        See the fields.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.

    Returns
    -------
    list of Map
        One for each raster, in order.

    Raises
    ------
    InputError
        If an input cannot be used, or an output is there already and was made otherwise.
    TilesFailedError
        If some of several rasters failed; its `results` are the maps of the others, and the same call tries again.
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    sources = find_sources(settings.rasters)
    outputs = outputs_of(settings.output, sources, suffix="map")
    label_maps = _label_maps(settings.crisp, sources)
    files = [file for output in outputs for file in (output, *_probabilities(output, settings))]
    check_exports(files, overwrite=settings.overwrite)
    recipe = open_network(settings.checkpoint).recipe
    check_overlap(settings, recipe)
    bands_of(settings, recipe)
    if client is None and settings.cluster == "inprocess":
        device_of(settings.device)
    small = settings.model_copy(update={"rasters": []})  # goes along with every job
    threads = threads_a_worker(settings.cluster) if client is None else None
    jobs = [
        MapJob(source=source, output=output, label_map=label_map, settings=small, n_threads=threads)
        for source, output, label_map in zip(sources, outputs, label_maps, strict=True)
    ]
    outcomes = _outcomes(jobs, settings, client)
    return _results(sources, outcomes)


def _label_maps(crisp: Sequence[str], sources: Sequence[Source]) -> list[str | None]:
    """Return the label map of each raster as it is named, if edges are to be crisp."""
    if not crisp:
        return [None] * len(sources)
    if list(crisp) == [AUTO]:
        return [source.paths[0] if source.paths else source.name for source in sources]
    if len(crisp) != len(sources):
        raise InputError(
            f"{len(crisp)} label maps are given with --crisp for {len(sources)} rasters; give one for each, in their "
            f"order, or auto"
        )
    return list(crisp)


def _probabilities(output: Path, settings: PredictSettings) -> list[Path]:
    return [probabilities_of(output)] if settings.probabilities else []


def _outcomes(jobs: Sequence[MapJob], settings: PredictSettings, client: Client | None) -> list[Outcome[Map]]:
    """Do all jobs, and return what came of each."""
    found: dict[int, Outcome[Map]] = {}
    name = f"map of {jobs[0].source.name}" if len(jobs) == 1 else "maps"
    with (
        open_client(settings.cluster, client=client) as own,
        progress(name, total=float(len(jobs)), unit="rasters") as advance,
    ):

        def work(number: int, job: MapJob) -> Work:
            def collect(outcome: Outcome[Map]) -> None:
                found[number] = outcome
                if own:
                    advance(1.0)
                if outcome.error and len(jobs) > 1:
                    log.warning("no map of %s: %s", job.source.label, outcome.reason)

            call = compute if own else partial(_here, advance=advance)
            yield Batch(jobs=[job], call=call, lost=lost, collect=collect)

        drive((work(number, job) for number, job in enumerate(jobs)), client=own, conduct=Conduct())
    return [found[number] for number in range(len(jobs))]


def _here(job: MapJob, _: Conduct, *, advance: Callable[[float], None]) -> Outcome[Map]:
    """Do a job in this very thread, so that Ctrl-C leaves no file half written."""
    try:
        return Outcome(value=job.compute(advance))
    except DiskFullError:
        raise
    except Exception as error:  # whatever one raster comes to, the others go on
        log.debug("%s", job.source.name, exc_info=True)
        return Outcome(error=error)


def _results(sources: Sequence[Source], outcomes: Sequence[Outcome[Map]]) -> list[Map]:
    """Return all maps, or raise what stands for those that failed.

    Raises
    ------
    Exception
        The error itself, if there is but one raster.
    TilesFailedError
        Else, with the maps of the others.
    """
    made = [outcome.value for outcome in outcomes if outcome.value is not None]
    failed = [(source, outcome) for source, outcome in zip(sources, outcomes, strict=True) if outcome.error]
    if not failed:
        return made
    source, outcome = failed[0]
    if len(sources) == 1 and outcome.error:
        raise outcome.error
    raise TilesFailedError(
        f"{len(failed)} of {len(sources)} rasters failed, the others are mapped; first {source.label}: "
        f"{outcome.reason}; the same command tries them again",
        results=made,
    )
