"""An experiment file: a pipeline, and the grid of settings that its cells differ in."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.cache.keys import digest
from superpoint.errors import InputError
from superpoint.pipelines.experiments.table import is_result
from superpoint.pipelines.pipelinefile import changed, check_pipeline, read_toml
from superpoint.pipelines.steps import FORMS, steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OWN_TABLES = ("title", "grid", "report")
STEPS_OF_CELLS = ("split", "sample", "label", "train", "predict", "evaluate")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One value on an axis."""

    label: Any
    """The value itself, or the name of a variant."""
    changes: dict[str, Any]
    """Settings that it replaces, by name or STEP.NAME."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What the cells of a grid differ in."""

    name: str
    choices: tuple[Choice, ...]

    @property
    def values(self) -> list[Any]:
        """The labels of the choices, in order."""
        return [choice.label for choice in self.choices]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of the grid."""

    values: dict[str, Any]
    """Its value on each axis."""
    pipeline: dict[str, Any]

    @property
    def name(self) -> str:
        """Digest of all its settings."""
        return digest({"axes": self.values, "pipeline": self.pipeline})[:16]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """An experiment, as its file has it."""

    title: str
    out: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    """All combinations, the last axis going through its values first."""
    report: dict[str, Any]
    """How it is to be reported."""


def read_grid(path: Path, changes: Mapping[str, Any]) -> Grid:
    """Read an experiment file.

    Parameters
    ----------
    path : Path
        TOML: a pipeline, `[grid]`, and what the report shows.
    changes : mapping of str to value
        Settings to replace, as `train.epochs`, or axes, as `grid.seed`.

    Raises
    ------
    InputError
        If it cannot be read, has no grid, or a cell asks for something that there is not.
    """
    file = changed(read_toml(path), changes, where=str(path))
    pipeline = {name: value for name, value in file.items() if name not in OWN_TABLES}
    axes = _axes(file.get("grid"), str(path))
    if not file.get("out"):
        raise InputError(f"{path} has no 'out'; name the folder for the results")
    cells = tuple(_cell(axes, choices, pipeline, str(path)) for choices in itertools.product(*map(_choices, axes)))
    for axis in axes:
        _refuse_idle(axis, cells, str(path))
    return Grid(
        title=_title(file.get("title") or path.stem.replace("-", " "), str(path)),
        out=str(file["out"]),
        axes=axes,
        cells=cells,
        report=file.get("report", {}),
    )


def _title(title: object, where: str) -> str:
    if not isinstance(title, str):
        raise InputError(f"{where}: title is text, got {title!r}")
    return title


def _choices(axis: Axis) -> tuple[Choice, ...]:
    return axis.choices


def _cell(axes: tuple[Axis, ...], choices: tuple[Choice, ...], pipeline: dict[str, Any], where: str) -> Cell:
    changes: dict[str, Any] = {}
    for axis, choice in zip(axes, choices, strict=True):
        twice = sorted(set(changes) & set(choice.changes))
        if twice:
            raise InputError(
                f"{where}: the axis {axis.name!r} of [grid] sets {twice[0]!r}, which another axis sets too"
            )
        changes |= choice.changes
    # What leaves a step out comes first: what another axis sets in it is then of no account.
    ordered = sorted(changes.items(), key=lambda change: change[1] is not False)
    cell = Cell(
        values={axis.name: choice.label for axis, choice in zip(axes, choices, strict=True)},
        pipeline=changed(pipeline, dict(ordered), where=where),
    )
    check_pipeline(cell.pipeline, where=where)
    strange = [step for step in steps_of(cell.pipeline) if step not in STEPS_OF_CELLS]
    if strange:
        raise InputError(f"{where}: an experiment has no [{strange[0]}]; steps are {', '.join(STEPS_OF_CELLS)}")
    return cell


def _refuse_idle(axis: Axis, cells: Sequence[Cell], where: str) -> None:
    """Refuse an axis of a shared setting that reaches no step of any cell."""
    for name in {name for choice in axis.choices for name in choice.changes if "." not in name and name not in FORMS}:
        if not any(_reaches(name, cell.pipeline) for cell in cells):
            raise InputError(
                f"{where}: the axis {axis.name!r} of [grid] changes nothing: no step takes {name!r}, or each has a "
                f"value of its own; write STEP.{name}"
            )


def _reaches(name: str, pipeline: Mapping[str, Any]) -> bool:
    return any(name in FORMS[step].model_fields and name not in pipeline[step] for step in steps_of(pipeline))


def _axes(grid: object, where: str) -> tuple[Axis, ...]:
    if not isinstance(grid, dict) or not grid:
        raise InputError(f"{where} has no [grid]; give at least one axis, as seed = [0, 1, 2]")
    return tuple(_axis(name, values, where) for name, values in _flat(grid).items())


def _flat(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes by name: TOML reads `sample.n_points = [...]` without quotes as a table in a table."""
    axes: dict[str, Any] = {}
    for name, values in grid.items():
        nested = isinstance(values, dict) and name in STEPS_OF_CELLS
        axes |= {f"{name}.{key}": value for key, value in values.items()} if nested else {name: values}
    return axes


def _axis(name: str, values: object, where: str) -> Axis:
    if isinstance(values, list):
        choices = [Choice(label=value, changes={name: value}) for value in values]
    elif isinstance(values, dict) and all(isinstance(value, dict) for value in values.values()):
        choices = [Choice(label=label, changes=_settings(changes)) for label, changes in values.items()]
    elif isinstance(values, dict) and all(isinstance(value, list) for value in values.values()):
        raise InputError(
            f"{where}: [grid] has {name}.{next(iter(values))}, and no cell has a step {name!r}; steps are "
            f"{', '.join(STEPS_OF_CELLS)}"
        )
    else:
        raise InputError(
            f"{where}: the axis {name!r} of [grid] is a list of values, or a table of variants, each a table of "
            f"settings; got {values!r}"
        )
    if is_result(name):
        raise InputError(
            f"{where}: {name!r} is a column of the results and no name of an axis; write STEP.{name} for a setting"
        )
    if not choices:
        raise InputError(f"{where}: the axis {name!r} of [grid] has no values")
    labels = [choice.label for choice in choices]
    if any(isinstance(label, list | dict) for label in labels):
        raise InputError(f"{where}: the values of the axis {name!r} are lists; name them, as a table of variants")
    if len(set(labels)) < len(labels):
        raise InputError(f"{where}: the axis {name!r} of [grid] has a value twice: {labels}")
    return Axis(name=name, choices=tuple(choices))


def _settings(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a variant by STEP.NAME."""
    found: dict[str, Any] = {}
    for name, value in variant.items():
        nested = isinstance(value, dict) and name in STEPS_OF_CELLS
        found |= {f"{name}.{key}": one for key, one in value.items()} if nested else {name: value}
    return found
