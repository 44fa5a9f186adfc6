"""A grid of settings: many runs of one pipeline, what they share done once, and a table of what came of them.

A cell is a run with its own value on each axis. What cells share is a stage (`experiments/stages.py`): points, labels,
a trained network, a map. Labels come first, each divided into tiles as usual; then the models, one job each, in this
process or on a Dask cluster. A row is written when its cell is judged, so that a killed experiment goes on with the
next one.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from superpoint import __version__
from superpoint.cache.runs import now_text
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.experiments.cells import (
    Course,
    ModelJob,
    make_labels,
    model_of,
    models_work,
    recall,
)
from superpoint.pipelines.experiments.estimate import TimeEstimate, estimate_of
from superpoint.pipelines.experiments.grid import read_grid
from superpoint.pipelines.experiments.table import row_of, write_table
from superpoint.pipelines.experiments.words import steps_hushed, tell
from superpoint.pipelines.jobs import Conduct, drive, open_client, threads_a_worker
from superpoint.pipelines.outputs import alone_in, claim_folder, write_document
from superpoint.pipelines.progress import progress
from superpoint.pipelines.settings.experiment import ExperimentReportSettings, check_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from superpoint.pipelines.experiments.grid import Grid
    from superpoint.pipelines.settings import ExperimentSettings

log = logging.getLogger("superpoint.experiment")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A grid that was run."""

    out: str
    title: str
    table: str
    """The results: a Parquet file; a CSV lies beside it."""
    report: str
    """The page."""
    n_cells: int
    n_done: int
    n_failed: int
    n_trainings: int
    """Networks that the cells share."""
    verdicts: list[str]
    """What the report says first."""
    seconds: float


def experiment(settings: ExperimentSettings, *, client: Client | None = None) -> Experiment:
    """Run a pipeline for each cell of a grid; the same call again goes on where a killed one stopped.

    Parameters
    ----------
    settings : ExperimentSettings
        See the fields.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.

    Returns
    -------
    Experiment
        What came of it.

    Raises
    ------
    InputError
        If the file cannot be used.
    TilesFailedError
        If some cells failed; its `results` is what came of the others, and the same call tries again.
    """
    started = time.perf_counter()
    grid, courses, out = _opened(settings)
    claim_folder(out)
    book = _Book(courses=courses, out=out)
    with (
        alone_in(out),
        open_client(settings.cluster, client=client) as own,
        steps_hushed(),
        progress("cells", total=len(courses), unit="cells") as advance,
    ):
        for course in courses:
            make_labels(course, out, own)
        models = _models(courses, out)
        _describe(grid, out, courses)
        advance(book.begin())
        threads = threads_a_worker(settings.cluster)
        waiting = [tuple(course for course in group if course.status == "waiting") for group in models]
        jobs = [ModelJob(courses=group, out=out, threads=threads) for group in waiting if group]
        drive([models_work(jobs, lambda judged: advance(book.take(judged)))], client=own, conduct=Conduct())
    return _finished(grid, out, book.courses, started)


@dataclass(kw_only=True)
class _Book:
    """The cells as they come back; what is written down and said of them."""

    courses: list[Course]
    out: Path
    n_ended: int = 0

    def begin(self) -> int:
        """Write what is known before any network is trained; return how many cells have ended."""
        failed = [course for course in self.courses if course.status == "failed"]
        n_before = sum(course.status == "done" for course in self.courses)
        if n_before:
            log.info("%d of %d cells were done before", n_before, len(self.courses))
        self.n_ended = n_before
        self.take(failed)
        return self.n_ended

    def take(self, judged: Sequence[Course]) -> int:
        """Take in cells that have ended; return how many."""
        by_name = {course.cell.name: course for course in judged}  # a cluster returns copies
        self.courses = [by_name.get(course.cell.name, course) for course in self.courses]
        _keep(self.courses, self.out, judged)
        for number, course in enumerate(judged, self.n_ended + 1):
            tell(course, number, len(self.courses))
        self.n_ended += len(judged)
        return len(judged)


def estimate(settings: ExperimentSettings) -> TimeEstimate:
    """Say what is left of an experiment and how long that will take.

    Parameters
    ----------
    settings : ExperimentSettings
        See the fields.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    _, courses, out = _opened(settings)
    return estimate_of(courses, out, n_workers=settings.n_workers, threads=threads_a_worker(settings.cluster))


def _opened(settings: ExperimentSettings) -> tuple[Grid, list[Course], Path]:
    """Read the file, and refuse a report that it cannot have before hours are spent."""
    grid = read_grid(settings.experiment, settings.set)
    check_report(report_of(grid), {axis.name: axis.values for axis in grid.axes})
    return grid, [Course(cell=cell) for cell in grid.cells], Path(grid.out).absolute()


def report_of(grid: Grid) -> ExperimentReportSettings:
    """Return what the report is to show.

    Raises
    ------
    InputError
        If `[report]` has a setting that there is not, or a value that is not allowed.
    """
    try:
        return ExperimentReportSettings(**grid.report)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        words = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise InputError(f"[report] {name}: {words.removeprefix('Value error, ')}, got {first['input']!r}") from error


def _models(courses: Sequence[Course], out: Path) -> list[list[Course]]:
    """Return the cells of each model; what is known of them already is taken in."""
    groups: dict[str, list[Course]] = {}
    for course in [course for course in courses if course.status != "failed"]:
        try:
            groups.setdefault(model_of(course, out), []).append(course)
            recall(course, out)
        except InputError as error:
            course.fail(error)
    return list(groups.values())


def _describe(grid: Grid, out: Path, courses: Sequence[Course]) -> None:
    """Write what the table does not say of the grid."""
    path = out / "experiment.json"
    created = json.loads(path.read_text()).get("created") if path.exists() else None
    document = {
        "superpoint": __version__,
        "title": grid.title,
        "axes": [{"name": axis.name, "values": axis.values} for axis in grid.axes],
        "report": grid.report,
        "classes": _classes(courses),
        "created": created or now_text(),
    }
    write_document(path, document)


def _classes(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Return the classes with their colours, once they are known."""
    for mask in [mask for course in courses for mask in course.results.get("label", [])]:
        return [{"name": one["name"], "color": one["color"]} for one in mask["classes"]["classes"]]
    tables = [course.cell.pipeline["classes"] for course in courses if course.cell.pipeline.get("classes")]
    known = read_class_table(Path(tables[0])).classes if tables else ()
    return [{"name": one.name, "color": one.color} for one in known]


def _keep(courses: Sequence[Course], out: Path, judged: Sequence[Course] = ()) -> None:
    """Write the table, and what is known of the cells that were just judged."""
    write_table(out, [row_of(course) for course in courses])
    (out / "cells").mkdir(exist_ok=True)
    for course in judged:
        document = {
            "cell": course.cell.name,
            "status": course.status,
            "error": course.error,
            "seconds": round(course.seconds, 3),
            "settings": {"axes": course.cell.values, "pipeline": course.cell.pipeline, "resolved": course.settings},
            "results": course.results,
        }
        write_document(out / "cells" / f"{course.cell.name}.json", document)


def _finished(grid: Grid, out: Path, courses: Sequence[Course], started: float) -> Experiment:
    from superpoint.pipelines.experimentreport import experiment_report  # matplotlib, when there is something to draw

    report = experiment_report(out)
    n_failed = sum(course.status == "failed" for course in courses)
    result = Experiment(
        out=str(out),
        title=grid.title,
        table=str(out / "results.parquet"),
        report=str(report.output),
        n_cells=len(courses),
        n_done=sum(course.status == "done" for course in courses),
        n_failed=n_failed,
        n_trainings=len({course.digests["train"] for course in courses if "train" in course.digests}),
        verdicts=list(report.verdicts),
        seconds=round(time.perf_counter() - started, 3),
    )
    if n_failed:
        first = next(course for course in courses if course.status == "failed")
        raise TilesFailedError(
            f"{n_failed} of {len(courses)} cells failed, the first because: {first.error}; the others are done, run "
            f"the same command to try these again",
            results=result,
        )
    return result
