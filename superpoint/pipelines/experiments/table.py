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

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from superpoint.pipelines.experiments.cells import Course

TAKEN = frozenset({
    "rasters", "raster", "masks", "labels", "label_map", "validation_raster", "validation_labels", "checkpoint", "maps",
    "truth", "points",
})  # fmt: skip
"""Settings that name what earlier steps made: the digests tell of these."""
DIGESTS = ("sample", "label", "train")


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
        **{f"{step}_digest": course.digests.get(step) for step in DIGESTS},
        "n_points": results.get("sample", {}).get("n_points"),
        "coverage": course.quality.get("coverage"),
        "label_accuracy": course.quality.get("label_accuracy"),
        **_training(results.get("train")),
        **_scores(results.get("evaluate")),
    }


def write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows as `results.parquet` and `results.csv`, each whole or not at all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    store = Store(str(out))
    for name, write in (("results.parquet", pq.write_table), ("results.csv", pa_csv.write_csv)):
        content = io.BytesIO()
        write(table, content)
        store.write(name, content.getvalue())


def _column(values: Sequence[Any]) -> pa.Array:
    """Return a column; values of several kinds become text, as a region size that is a number or none."""
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        column = pa.array([None if value is None else str(value) for value in values])
    return pa.array(values, pa.float64()) if pa.types.is_null(column.type) else column


def _settings(course: Course) -> dict[str, Any]:
    """Return the settings of each step by STEP.NAME; lists and tables as JSON."""
    axes = course.cell.values
    return {
        f"{step}.{name}": json.dumps(value) if isinstance(value, list | dict) else value
        for step, values in course.settings.items()
        for name, value in values.items()
        if name not in WHEREVER | TAKEN and f"{step}.{name}" not in axes
    }


def _training(result: dict[str, Any] | None) -> dict[str, Any]:
    names = ("n_patches", "epochs", "train_loss", "val_miou")
    if result is None:
        return dict.fromkeys(names)
    last = result["history"][-1] if result["history"] else {}
    judged = [row["val_miou"] for row in result["history"] if "val_miou" in row]
    epochs = int(last["epoch"]) if last else None
    return dict(
        zip(names, (result["n_patches"], epochs, last.get("train_loss"), max(judged, default=None)), strict=True)
    )


def _scores(result: dict[str, Any] | None) -> dict[str, Any]:
    names = (*MEANS, "boundary_miou")
    if result is None:
        return dict.fromkeys(names)
    each = {f"iou_{name}": scores["iou"] for name, scores in result["classes"].items()}
    return {name: result[name] for name in names} | each
