"""What is done for the cells of a grid: their labels first, then a job for each model that any of them needs."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.errors import DiskFullError, SuperpointError
from superpoint.pipelines.experiments.labelquality import label_quality
from superpoint.pipelines.experiments.stages import stage_of
from superpoint.pipelines.jobs import Batch
from superpoint.pipelines.outputs import write_document
from superpoint.pipelines.steps import steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from distributed import Client

    from superpoint.pipelines.experiments.grid import Cell
    from superpoint.pipelines.experiments.stages import Stage
    from superpoint.pipelines.jobs import Conduct, Work

log = logging.getLogger("superpoint")

LABELLING = ("split", "sample", "label")
LEARNING = ("train", "predict", "evaluate")
QUALITY = "quality.json"
_one_network = threading.Lock()  # PyTorch draws weights and counts threads for a whole process


@dataclass(kw_only=True)
class Course:
    """How far a cell is."""

    cell: Cell
    results: dict[str, Any] = field(default_factory=dict)
    """What its steps returned so far, as JSON values."""
    digests: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    """Time that its stages took, when they were done."""
    status: str = "waiting"
    error: str | None = None

    def enter(self, stage: Stage, document: Mapping[str, Any]) -> None:
        """Take in what a stage returned."""
        self.results[stage.step] = document["result"]
        self.digests[stage.step] = stage.digest
        self.settings[stage.step] = stage.form.model_dump(mode="json")
        self.seconds += document["seconds"]

    def fail(self, error: BaseException) -> None:
        """End the cell with a sentence."""
        self.status, self.error = "failed", sentence_of(error)
        log.debug("cell %s failed", self.cell.values, exc_info=error)


@dataclass(frozen=True, kw_only=True)
class ModelJob:
    """One model, and the cells that are judged by it."""

    courses: tuple[Course, ...]
    out: Path
    threads: int | None
    """Threads that PyTorch may take; None leaves that to it."""


def sentence_of(error: BaseException) -> str:
    """Return an error in one line; what is no error of ours with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SuperpointError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def make_labels(course: Course, out: Path, client: Client | None) -> None:
    """Do the stages of a cell up to its pseudo-masks; what fails is its own failure."""
    try:
        for step in [step for step in steps_of(course.cell.pipeline) if step in LABELLING]:
            stage = stage_of(step, course.cell.pipeline, course.results, out)
            course.enter(stage, stage.do(client))
            if step == "label":
                course.quality = _quality(stage, course)
    except DiskFullError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever one cell comes to, the others go on
        course.fail(error)


def recall(course: Course, out: Path) -> None:
    """Take in what was learned and judged for a cell already; nothing if any of it is missing."""
    known = Course(cell=course.cell, results=dict(course.results), digests=dict(course.digests))
    found: list[tuple[Stage, dict[str, Any]]] = []
    for step in [step for step in steps_of(course.cell.pipeline) if step in LEARNING]:
        stage = stage_of(step, course.cell.pipeline, known.results, out)
        document = stage.document
        if document is None:
            return
        known.enter(stage, document)
        found.append((stage, document))
    for stage, document in found:
        course.enter(stage, document)
    course.status = "done"


def model_of(course: Course, out: Path) -> str:
    """Return what tells the model of a cell from others: the digest of its training, else of all before.

    Raises
    ------
    InputError
        If the training has a setting that is not allowed.
    """
    if "train" not in steps_of(course.cell.pipeline):
        return json.dumps(course.digests, sort_keys=True)
    return stage_of("train", course.cell.pipeline, course.results, out).digest


def models_work(jobs: Iterable[ModelJob], done: Callable[[tuple[Course, ...]], None]) -> Work:
    """Yield the one batch of all models; `done` is called with the cells of each when it is judged."""
    yield Batch(jobs=jobs, call=run_model, lost=_lost, collect=done)


def run_model(job: ModelJob, _conduct: Conduct) -> tuple[Course, ...]:
    """Train a model, map with it and judge that, for each of its cells; this is what a worker runs.

    A worker of several threads does one after another all the same.
    """
    with _one_network:
        if job.threads is not None:
            import torch

            torch.set_num_threads(job.threads)
        return _judged(job)


def _judged(job: ModelJob) -> tuple[Course, ...]:
    for course in job.courses:
        try:
            for step in [step for step in steps_of(course.cell.pipeline) if step in LEARNING]:
                stage = stage_of(step, course.cell.pipeline, course.results, job.out)
                course.enter(stage, stage.do())
            course.status = "done"
        except DiskFullError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever one cell comes to, the others go on
            course.fail(error)
    return job.courses


def _lost(job: ModelJob, error: BaseException) -> tuple[Course, ...]:
    for course in job.courses:
        course.status, course.error = "failed", f"the worker died or could not start the job: {sentence_of(error)}"
    return job.courses


def _quality(stage: Stage, course: Course) -> dict[str, float | None]:
    """Return how good the pseudo-masks of a cell are, where their truth is known."""
    truths = course.results.get("split", {}).get("train", {}).get("masks", [])
    if not truths:
        return {}
    path, compared = stage.folder / QUALITY, [[truth, Path(truth).stat().st_mtime_ns] for truth in truths]
    held = json.loads(path.read_text()) if path.exists() else {}
    if held.get("truths") != compared:
        held = {**label_quality([mask["path"] for mask in course.results["label"]], truths), "truths": compared}
        write_document(path, held)
    return {name: held[name] for name in ("coverage", "label_accuracy")}
