"""The results of an experiment as a tidy table: one row a cell, with all its settings, digests and scores."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from superpoint.cache.stores import Store
from superpoint.metrics import MEANS
from superpoint.pipelines.experiments.stages import WHEREVER
from superpoint.pipelines.steps import taken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from superpoint.pipelines.experiments.cells import Course

DIGESTS = tuple(f"{step}_digest" for step in ("sample", "label", "train"))
QUALITIES = ("coverage", "label_accuracy")
TRAINING = ("n_patches", "epochs", "train_loss", "val_miou")
SCORES = (*MEANS, "boundary_miou")
IOU = "iou_"
"""What comes before the name of a class."""
RESULT_COLUMNS = frozenset({
    "cell", "status", "error", "seconds", "n_points", *DIGESTS, *QUALITIES, *TRAINING, *SCORES,
})  # fmt: skip
"""Columns that no axis may have the name of; neither may one begin with `IOU`."""


def is_result(name: str) -> bool:
    """Say whether a column tells what came of a cell, and so cannot be an axis."""
    return name in RESULT_COLUMNS or name.startswith(IOU)


def row_of(course: Course) -> dict[str, Any]:
    """Return a cell as a row."""
    results = course.results
    return {
        "cell": course.cell.name,
        "status": course.status,
        "error": course.error,
        "seconds": round(course.seconds, 3) if course.status == "done" else None,
        **course.cell.values,
        **_settings(course),
        **{name: course.digests.get(name.removesuffix("_digest")) for name in DIGESTS},
        "n_points": results.get("sample", {}).get("n_points"),
        **{name: course.quality.get(name) for name in QUALITIES},
        **_training(results.get("train")),
        **_scores(results.get("evaluate")),
    }


def write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows as `results.parquet` and `results.csv`, each whole or not at all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})
    store = Store(str(out))
    for name, write in (("results.parquet", pq.write_table), ("results.csv", pa_csv.write_csv)):
        content = io.BytesIO()
        write(table, content)
        store.write(name, content.getvalue())


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    """Return a column; values of several kinds become text, as a region size that is a number or none.

    One of nothing is of numbers if it is a score, and of text if it is a setting or the error: tables of several grids
    can then be put together.
    """
    if all(value is None for value in values):
        return pa.array(values, pa.string() if name == "error" or "." in name else pa.float64())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _settings(course: Course) -> dict[str, Any]:
    """Return the settings of each step by STEP.NAME; lists and tables as JSON."""
    return {
        f"{step}.{name}": json.dumps(value) if isinstance(value, list | dict) else value
        for step, values in course.settings.items()
        for name, value in values.items()
        if name not in WHEREVER | _made_before(step, course) and f"{step}.{name}" not in course.cell.values
    }


def _made_before(step: str, course: Course) -> set[str]:
    """Return the settings of a step that name what earlier steps made: of these the digests tell."""
    pipeline = course.cell.pipeline
    named = taken(step, pipeline, {})  # of nothing earlier: the rasters that the file names
    made = taken(step, pipeline, course.results)
    return {name for name, value in made.items() if name not in pipeline[step] and value != named.get(name)}


def _training(result: dict[str, Any] | None) -> dict[str, Any]:
    if result is None:
        return dict.fromkeys(TRAINING)
    last = result["history"][-1] if result["history"] else {}
    judged = [row["val_miou"] for row in result["history"] if "val_miou" in row]
    epochs = int(last["epoch"]) if last else None
    found = (result["n_patches"], epochs, last.get("train_loss"), max(judged, default=None))
    return dict(zip(TRAINING, found, strict=True))


def _scores(result: dict[str, Any] | None) -> dict[str, Any]:
    if result is None:
        return dict.fromkeys(SCORES)
    each = {f"{IOU}{name}": scores["iou"] for name, scores in result["classes"].items()}
    return {name: result[name] for name in SCORES} | each
