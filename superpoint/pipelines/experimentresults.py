"""What an experiment has left in its folder, read back: the grid, the table, and what is known of single cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from superpoint.errors import InputError
from superpoint.experiments.results import Axis, GridCell, Results, axis_of_repeats, plain, value_text
from superpoint.pipelines.settings.experiment import ExperimentReportSettings, check_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from superpoint.experiments.results import Value

GRID, TABLE = "experiment.json", "results.parquet"
STATUSES = ("done", "failed", "waiting")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the folder of an experiment holds."""

    folder: Path
    results: Results
    report: ExperimentReportSettings
    version: str
    created: str
    shared: Mapping[str, str]
    """Settings that all cells have in common, that are done and have such a step."""
    differing: Mapping[str, Sequence[str]]
    """Values of all others that are no axes."""

    def cell(self, name: str) -> dict[str, Any]:
        """Return what was written of a cell; nothing if that is not there or cannot be read."""
        try:
            document = json.loads((self.folder / "cells" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def n_test_rasters(self) -> list[int]:
        """Return on how many rasters cells were judged, each number once, ascending; none where not known."""
        done = (self.cell(cell.name) for cell in self.results.cells if cell.status == "done")
        judged = (document.get("results", {}).get("evaluate") or {} for document in done)
        return sorted({len(one["maps"]) for one in judged if one.get("maps")})


def is_folder(place: str) -> bool:
    """Return whether a place is a folder that is to be that of an experiment, and no run's id."""
    folder = Path(place)
    return (folder / GRID).exists() or (folder / TABLE).exists() or (folder.is_dir() and folder.name != place)


def read_experiment(folder: Path) -> Kept:
    """Read what an experiment has left, whether it is finished or not.

    Parameters
    ----------
    folder : Path
        Its `out`.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the report that is asked for names what the grid does not have.
    """
    missing = [name for name in (GRID, TABLE) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}; give the folder that an experiment wrote, or the id of a run")
    document, rows = _document(folder / GRID), _rows(folder / TABLE)
    report = _report(document.get("report", {}), folder / GRID)
    axes = tuple(Axis(name=axis["name"], values=tuple(map(plain, axis["values"]))) for axis in document["axes"])
    check_report(report, {axis.name: axis.values for axis in axes})
    names = {axis.name for axis in axes}
    absent = [name for name in ("cell", "status", *names) if rows and name not in rows[0]]
    if absent:
        raise InputError(f"{folder / TABLE} has no column {absent[0]!r}; run the experiment again")
    shared, differing = _settings(rows, axes)
    return Kept(
        folder=folder,
        results=Results(
            title=str(document.get("title", folder.name)),
            axes=axes,
            cells=tuple(_cell(row, axes) for row in rows),
            repeats=axis_of_repeats(axes, report.repeats),
            class_colours={one["name"]: one["color"] for one in document.get("classes", [])},
        ),
        report=report,
        version=str(document.get("superpoint", "")),
        created=str(document.get("created", "")),
        shared=shared,
        differing=differing,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; give the folder of an experiment") from error
    if not isinstance(document, dict) or not isinstance(document.get("axes"), list):
        raise InputError(f"{path} does not describe an experiment: it has no axes; run the experiment again")
    return document


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}; run the experiment again, what is done is kept") from error
    return rows


def _report(table: Mapping[str, Any], path: Path) -> ExperimentReportSettings:
    try:
        return ExperimentReportSettings(**table)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(("report", *(str(part) for part in first["loc"])))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {name}: {message}, got {first['input']!r}") from error


def _cell(row: Mapping[str, Any], axes: Sequence[Axis]) -> GridCell:
    at = {axis.name: _placed(row[axis.name], axis) for axis in axes}
    numbers = {name: value for name, value in row.items() if name not in at and "." not in name and _is_number(value)}
    status = row["status"]
    return GridCell(
        name=str(row["cell"]),
        status=status if status in STATUSES else "waiting",
        at=at,
        scores={name: float(value) for name, value in numbers.items()},
        error=row.get("error"),
        seconds=row.get("seconds"),
    )


def _placed(value: object, axis: Axis) -> Value:
    """Return the value of the axis that a row has; columns of several kinds hold text."""
    known = plain(value)
    equal = (one for one in axis.values if one == known)
    same = (one for one in axis.values if known is not None and str(one) == str(known))
    return next(equal, next(same, known))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  # NaN


def _settings(rows: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the settings that cells share, and the values of those that differ."""
    done = [row for row in rows if row["status"] == "done"] or list(rows)
    names = {axis.name for axis in axes}
    columns = [name for name in (rows[0] if rows else {}) if "." in name and name not in names]
    shared, differing = {}, {}
    for name in columns:
        step = f"{name.partition('.')[0]}."
        have = [row for row in done if any(row[other] is not None for other in columns if other.startswith(step))]
        values = list(dict.fromkeys(plain(row[name]) for row in have))
        if len(values) == 1:
            shared[name] = _text(values[0])
        elif values and not _is_of_axis(name, values, axes):
            differing[name] = [_text(value) for value in values]
    return shared, differing


def _is_of_axis(name: str, values: Sequence[Value], axes: Sequence[Axis]) -> bool:
    """Whether a setting only takes the values of an axis of its name, as `train.seed` those of `seed`."""
    return any(name.endswith(f".{axis.name}") and set(values) <= set(axis.values) for axis in axes)


def _text(value: Value) -> str:
    return "not given" if value is None else value_text(value)
