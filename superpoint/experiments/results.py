"""The results of an experiment: axes, cells, and cells that differ in nothing but the repeat brought together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from superpoint.report.wording import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

type Value = str | float | bool | None
"""Of an axis in one cell; lists are JSON text, None is an axis that does not concern the cell."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What is varied, and how."""

    name: str
    """A setting's path, as `sample.n_points`, or a name of its own."""
    values: tuple[Value, ...]

    @property
    def is_numeric(self) -> bool:
        """Whether its values have places on a scale."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def title(self) -> str:
        """The name for people.

        Examples
        --------
        >>> Axis(name="sample.n_points", values=(10,)).title, Axis(name="train.batch_size", values=(8,)).title
        ('points', 'batch size')
        """
        return self.name.rpartition(".")[2].removeprefix("n_").replace("_", " ")

    @property
    def counts(self) -> bool:
        """Whether its values are numbers of something."""
        return self.name.rpartition(".")[2].startswith("n_")

    def with_name(self, value: Value) -> str:
        """Return a value with what it is of.

        Examples
        --------
        >>> Axis(name="sample.n_points", values=(10,)).with_name(10), Axis(name="seed", values=(1,)).with_name(1)
        ('10 points', 'seed 1')
        """
        if isinstance(value, str) or value is None:
            return value_text(value)
        return f"{value_text(value)} {self.title}" if self.counts else f"{self.title} {value_text(value)}"


def value_text(value: Value) -> str:
    """Return an axis's value for people.

    Examples
    --------
    >>> value_text(50.0), value_text(0.0001), value_text(True), value_text("slic")
    ('50', '0.0001', 'true', 'slic')
    """
    if value is None:
        return NONE
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.0f}"  # noqa: PLR2004  # no power of ten before a million


def plain(value: object) -> Value:
    """Return a value as cells hold it: lists and tables as JSON text, numbers without a type of their own.

    Examples
    --------
    >>> plain([1, 2]), plain(np.int64(3)), plain("a")
    ('[1,2]', 3, 'a')
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int | float):
        return None if value != value else value  # noqa: PLR0124  # NaN is no value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One run of an experiment."""

    name: str
    status: Literal["done", "failed", "waiting"]
    at: Mapping[str, Value]
    """Its place on each axis."""
    scores: Mapping[str, float]
    """Its numbers, by column; those that are not known are not there."""
    error: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Cells that differ in nothing but the repeat."""

    at: Mapping[str, Value]
    """The place on each axis but that of the repeats."""
    cells: tuple[GridCell | None, ...]
    """One a repeat, in the order of its axis; None where there is no such cell."""

    def values(self, score: str) -> NDArray[np.float64]:
        """Return a score of each repeat, shape (repeats,); NaN where it is not known."""
        found = [cell.scores.get(score) if cell and cell.status == "done" else None for cell in self.cells]
        return np.array([np.nan if value is None else value for value in found], np.float64)

    @property
    def n_done(self) -> int:
        """Cells of it that are done."""
        return sum(cell is not None and cell.status == "done" for cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What an experiment has come to so far."""

    title: str
    axes: tuple[Axis, ...]
    cells: tuple[GridCell, ...]
    repeats: Axis | None = None
    """The axis that is averaged over; None if there is none."""
    scores: tuple[str, ...] = ()
    """The columns that hold numbers."""
    class_colours: Mapping[str, str] = field(default_factory=dict)
    """`#RRGGBB` of each class, by name, in the order of their values."""

    @property
    def free_axes(self) -> tuple[Axis, ...]:
        """The axes that are not averaged over and have several values."""
        return tuple(axis for axis in self.axes if axis != self.repeats and len(axis.values) > 1)

    @property
    def counts(self) -> Counter[str]:
        """Cells by status."""
        return Counter(cell.status for cell in self.cells)

    @cached_property
    def combinations(self) -> tuple[Combination, ...]:
        """All combinations, in the order of the grid: the last axis runs fastest."""
        kept = [axis for axis in self.axes if axis != self.repeats]
        names = [axis.name for axis in kept]
        again = self.repeats.values if self.repeats else (None,)
        places = {value: place for place, value in enumerate(again)}
        found: dict[tuple[Value, ...], list[GridCell | None]] = {}
        for cell in self.cells:
            row = found.setdefault(tuple(cell.at.get(name) for name in names), [None] * len(again))
            row[places.get(cell.at.get(self.repeats.name), 0) if self.repeats else 0] = cell
        order = [
            {value: place for place, value in enumerate(axis.values)} for axis in self.axes if axis != self.repeats
        ]
        keys = sorted(found, key=lambda key: [rank.get(value, -1) for rank, value in zip(order, key, strict=True)])
        return tuple(Combination(at=dict(zip(names, key, strict=True)), cells=tuple(found[key])) for key in keys)

    def named(self, name: str) -> Axis:
        """Return an axis by its name."""
        return next(axis for axis in self.axes if axis.name == name)

    def text_of(self, at: Mapping[str, Value]) -> str:
        """Return a place on the axes for people, as in `50 points, hers`."""
        parts = [axis.with_name(at[axis.name]) for axis in self.free_axes if at.get(axis.name) is not None]
        return ", ".join(parts) or "all cells"

    def phrase_of(self, at: Mapping[str, Value]) -> str:
        """Return a place on the axes for the middle of a sentence, as in `50 points (hers)`."""
        first, _, more = self.text_of(at).partition(", ")
        return f"{first} ({more})" if more else first

    def reference_of(self, combination: Combination, reference: Mapping[str, Value]) -> Combination | None:
        """Return the combination at the same place but for the axes that the reference gives.

        Where a reference does not have all axes, as full masks have no budget, the one that agrees in those it has.
        """
        wanted = {**combination.at, **reference}
        exact = (one for one in self.combinations if one.at == wanted)
        return next(exact, None) or next((one for one in self.combinations if _agrees(one.at, wanted)), None)


def axis_of_repeats(axes: Sequence[Axis], name: str) -> Axis | None:
    """Return the axis that is averaged over: of that name, or the only one that ends in it, as `train.seed`."""
    exact = [axis for axis in axes if axis.name == name]
    ending = exact or [axis for axis in axes if axis.name.endswith(f".{name}")]
    return ending[0] if len(ending) == 1 else None


def _agrees(at: Mapping[str, Value], wanted: Mapping[str, Value]) -> bool:
    return any(value is None for value in at.values()) and all(
        value is None or value == wanted[name] for name, value in at.items()
    )
