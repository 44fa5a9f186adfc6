"""Which axis goes where, and the lines that results make: a point for each value of the horizontal axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.experiments.estimates import estimate, paired_ratios
from superpoint.experiments.returns import diminishing_returns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.experiments.estimates import Estimate
    from superpoint.experiments.results import Axis, Combination, Results, Value
    from superpoint.experiments.returns import Returns

LEAST_ON_X = 3
"""Values that make a curve of an axis, if none is asked for."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each axis is drawn; nothing but repeats is ever averaged over."""

    x: Axis | None = None
    """The horizontal axis; None where nothing is a curve."""
    lines: tuple[Axis, ...] = ()
    """Whose values together name a line."""
    panels: Axis | None = None
    """That has a chart for each value."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a line goes through."""

    name: str
    place: int
    """Among all lines of all panels of such names: what gives it its colour."""
    at: Mapping[str, Value]
    """Its place on the axes but x."""
    points: tuple[Combination, ...]
    """In the order of x; a single one without x where x does not concern the line."""
    is_reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The lines of one chart."""

    name: str
    """Empty if there is but one."""
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One score, or its ratio to the reference, along a line."""

    line: Line
    x: NDArray[np.float64]
    """Budgets that have a value, ascending; one NaN for a line that x does not concern."""
    values: NDArray[np.float64]
    """Of shape (points, repeats); NaN where there is none."""
    estimates: tuple[Estimate, ...]
    """Of each point."""
    combinations: tuple[Combination, ...]
    """What each point is of."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each point."""
        return np.array([one.mean for one in self.estimates])

    @property
    def is_level(self) -> bool:
        """Whether x does not matter to it: no place on x, or the same values at every one."""
        if self.x.size and np.isnan(self.x).all():
            return True
        return self.x.size > 1 and bool((_bits(self.values) == _bits(self.values[:1])).all())

    def returns(self, *, less_is_better: bool = False) -> Returns | None:
        """Return from where on more does not help; None where x does not matter."""
        if self.is_level:
            return None
        errors = [one.standard_error for one in self.estimates]
        known = np.array([np.nan if error is None else error for error in errors], np.float64)
        return diminishing_returns(self.x, self.means, known, less_is_better=less_is_better)


def layout_of(results: Results, *, x: str | None = None, lines: str | None = None, panels: str | None = None) -> Layout:
    """Decide where each axis is drawn.

    Parameters
    ----------
    results : Results
        Of which the axes with several values count, without that of the repeats.
    x, lines, panels : str, optional
        Axes asked for. Without, x is the first numeric axis with at least three values, the lines are the first of
        the others, the panels the next; what is left over names lines too.
    """
    free = [axis for axis in results.free_axes if axis.name not in {x, lines, panels}]
    asked = {name: results.named(name) for name in (x, lines, panels) if name}
    across = asked.get(x or "") or next((a for a in free if a.is_numeric and len(a.values) >= LEAST_ON_X), None)
    left = [axis for axis in free if axis != across]
    first = [asked[lines]] if lines else left[:1]
    left = left if lines else left[1:]
    small = asked.get(panels or "") or (left.pop(0) if left and across else None)
    return Layout(x=across, lines=(*first, *left), panels=small)


def panels_of(results: Results, layout: Layout, reference: Mapping[str, Value]) -> tuple[Panel, ...]:
    """Return the lines of each chart, in the order of the grid.

    Parameters
    ----------
    results : Results
        Of the experiment.
    layout : Layout
        Where each axis goes.
    reference : mapping of str to value
        The axes that make a line the reference; none for no reference.
    """
    found: dict[Value, dict[tuple[Value, ...], list[Combination]]] = {}
    for one in results.combinations:
        panel = found.setdefault(one.at[layout.panels.name] if layout.panels else None, {})
        panel.setdefault(tuple(one.at[axis.name] for axis in layout.lines), []).append(one)
    places: dict[tuple[Value, ...], int] = {}
    for lines in found.values():
        for key in lines:
            places.setdefault(key, len(places))
    return tuple(
        Panel(
            name=layout.panels.with_name(value) if layout.panels else "",
            lines=tuple(_line(key, those, layout, places[key], reference) for key, those in lines.items()),
        )
        for value, lines in found.items()
    )


def _line(
    key: tuple[Value, ...], those: list[Combination], layout: Layout, place: int, reference: Mapping[str, Value]
) -> Line:
    shown = [axis.with_name(value) for axis, value in zip(layout.lines, key, strict=True) if value is not None]
    on_x = layout.x.name if layout.x else ""
    at = {name: value for name, value in those[0].at.items() if name != on_x}
    return Line(
        name=", ".join(shown),
        place=place,
        at=at,
        points=tuple(those),
        is_reference=bool(reference) and all(at.get(name) == value for name, value in reference.items()),
    )


def curve_of(line: Line, layout: Layout, score: str) -> Curve:
    """Return a score along a line; points without a value are left out."""
    return _curve(line, layout, [(one, one.values(score)) for one in line.points])


def ratio_curve_of(line: Line, layout: Layout, score: str, results: Results, reference: Mapping[str, Value]) -> Curve:
    """Return a score along a line over that of the reference, each repeat over the same repeat."""
    pairs = [(one, results.reference_of(one, reference)) for one in line.points]
    ratios = [(one, paired_ratios(one.values(score), other.values(score))) for one, other in pairs if other]
    return _curve(line, layout, ratios)


def _curve(line: Line, layout: Layout, values: list[tuple[Combination, NDArray[np.float64]]]) -> Curve:
    estimates = [estimate(found) for _, found in values]
    kept = [(one, found, mean) for (one, found), mean in zip(values, estimates, strict=True) if mean is not None]
    kept.sort(key=lambda point: _number(point[0].at.get(layout.x.name) if layout.x else None))
    n_repeats = len(line.points[0].cells)
    return Curve(
        line=line,
        x=np.array([_number(one.at.get(layout.x.name) if layout.x else None) for one, _, _ in kept], np.float64),
        values=np.array([found for _, found, _ in kept], np.float64).reshape(-1, n_repeats),
        estimates=tuple(mean for _, _, mean in kept),
        combinations=tuple(one for one, _, _ in kept),
    )


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _bits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values of which those that are missing are equal."""
    return np.nan_to_num(values, nan=-np.inf)
