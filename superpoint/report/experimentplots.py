"""From what an experiment found to its plots: which there are, and the curves that are drawn in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from superpoint.experiments.results import value_text
from superpoint.experiments.scores import IOU, score_of
from superpoint.report.experimentcharts import (
    MOST_BANDS,
    CurveChart,
    DrawnCurve,
    is_geometric,
    limits_of,
    ticks_of_values,
)
from superpoint.report.experimentcomparisons import ONE_REPEAT, bars_plot, heat_plot
from superpoint.report.experimentfigures import Key, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.experiments.curves import Curve, Panel
    from superpoint.experiments.findings import Findings

_SMALL = (3.1, 1.9)  # axes of small multiples, inches


def plots_of(findings: Findings) -> list[Plot]:
    """Return the plots, in the order of the page; those with nothing in them are left out."""
    found: list[Plot] = []
    if findings.layout.x is None:
        found = [bars_plot(findings)]
    elif findings.panels:
        found = [_curves(findings), _ratios(findings), _classes(findings)]
    return [plot for plot in (*found, heat_plot(findings)) if plot is not None and plot.charts]


def _curves(findings: Findings) -> Plot:
    drawn = {panel.name: [_drawn(findings, c) for c in findings.curves(panel)] for panel in findings.panels}
    has_rings = any(curve.ring is not None for curves in drawn.values() for curve in curves)
    note = _note(findings) + (" A ring marks where diminishing returns begin." if has_rings else "")
    metric = findings.metric.title
    title = f"{metric} over {_x_title(findings)}"
    return _plot_of(findings, "curves", title, note, drawn, y_title=metric, bounds=findings.metric.bounds)


def _ratios(findings: Findings) -> Plot:
    drawn = {
        panel.name: [_drawn(findings, curve, has_ring=False) for curve in findings.ratios(panel)]
        for panel in findings.panels
    }
    name, target = findings.reference_name, findings.question.target_ratio
    aim = f" The dotted line is the target, {value_text(target)}." if target is not None else ""
    note = f"Each repeat over the same repeat of {name}; 1 is as good as {name}.{aim}"
    title = f"{findings.metric.title} over that of {name}"
    bounds = (findings.metric.least if findings.metric.least == 0 else None, None)
    return _plot_of(findings, "ratio", title, note, drawn, y_title=f"ratio to {name}", bounds=bounds, target=target)


def _plot_of(
    findings: Findings,
    name: str,
    title: str,
    note: str,
    drawn: dict[str, list[DrawnCurve]],
    *,
    y_title: str,
    bounds: tuple[float | None, float | None],
    target: float | None = None,
) -> Plot:
    """Return charts of all panels on one vertical scale."""
    drawn = {panel: curves for panel, curves in drawn.items() if curves}
    every = [curve for curves in drawn.values() for curve in curves]
    if not every:
        return Plot(name=name, title=title, note=note, charts=(), descriptions=())
    has_bands = all(len(curves) <= MOST_BANDS for curves in drawn.values())
    limits = limits_of(every, has_bands=has_bands, extra=() if target is None else (target,), bounds=bounds)
    charts = [_chart(findings, panel, curves, y_title, limits, target) for panel, curves in drawn.items()]
    texts = [f"{title}{', ' + chart.title if chart.title else ''}: {_told(chart.curves)}" for chart in charts]
    return Plot(name=name, title=title, note=note + _cut(charts), charts=charts, descriptions=texts, keys=_keys(every))


def _chart(
    findings: Findings,
    title: str,
    curves: Sequence[DrawnCurve],
    y_title: str,
    limits: tuple[float, float],
    target: float | None = None,
) -> CurveChart:
    axis = findings.layout.x
    values = sorted(value for value in (axis.values if axis else ()) if isinstance(value, int | float))
    return CurveChart(
        curves=curves,
        title=title,
        x_title=_x_title(findings),
        y_title=y_title,
        ticks=ticks_of_values(values, [value_text(value) for value in values]),
        limits=limits,
        target=target,
        is_log=is_geometric(values),
    )


def _classes(findings: Findings) -> Plot:
    """Return a small chart for each class, each on a scale of its own; of several panels only the first."""
    panel = findings.panels[0]
    is_alone = sum(not line.is_reference for line in panel.lines) == 1
    names = [score.removeprefix(IOU) for score in findings.class_scores]
    drawn = {name: _class_curves(findings, panel, name, in_its_colour=is_alone) for name in names}
    drawn = {name: curves for name, curves in drawn.items() if curves}
    of_panel = f" Of {panel.name} alone." if panel.name else ""
    has_reference = is_alone and len(panel.lines) > 1
    dashed = f" The dashed line is {findings.reference_name}." if has_reference else ""
    charts = [_class_chart(findings, name, own) for name, own in drawn.items()]
    return Plot(
        name="classes",
        title="IoU of each class",
        note=f"Each class on a scale of its own.{of_panel} {_note(findings)}{dashed}{_cut(charts)}",
        charts=charts,
        descriptions=[f"IoU of {name} over {_x_title(findings)}: {_told(own)}" for name, own in drawn.items()],
        keys=[] if is_alone else _keys([curve for curves in drawn.values() for curve in curves]),
        n_cols=3,
    )


def _class_chart(findings: Findings, name: str, curves: Sequence[DrawnCurve]) -> CurveChart:
    bounds = score_of(f"{IOU}{name}").bounds
    limits = limits_of(curves, has_bands=len(curves) <= MOST_BANDS, bounds=bounds)
    chart = _chart(findings, name, curves, "IoU", limits)
    return replace(chart, size=_SMALL, swatch=findings.results.class_colours[name])


def _class_curves(findings: Findings, panel: Panel, name: str, *, in_its_colour: bool) -> list[DrawnCurve]:
    colour = findings.results.class_colours[name].lower() if in_its_colour else None
    return [
        _drawn(findings, curve, has_ring=False, colour=None if curve.line.is_reference else colour)
        for curve in findings.curves(panel, f"{IOU}{name}")
    ]


def _drawn(findings: Findings, curve: Curve, *, has_ring: bool = True, colour: str | None = None) -> DrawnCurve:
    line = curve.line
    found = curve.returns(less_is_better=findings.less_is_better) if has_ring and not line.is_reference else None
    known = np.isfinite(curve.values)
    is_apart = set(findings.question.reference) <= {axis.name for axis in findings.layout.lines}
    places, repeats = np.nonzero(known & (known.sum(axis=1, keepdims=True) > 1))
    return DrawnCurve(
        key=Key(name=line.name, place=line.place, is_reference=line.is_reference and is_apart),
        x=curve.x,
        mean=curve.means,
        low=_ends(curve, "low"),
        high=_ends(curve, "high"),
        dots=np.stack((curve.x[places], curve.values[places, repeats]), axis=-1),
        is_level=curve.is_level,
        colour=colour,
        ring=found.x if found and found.rule == "one-standard-error" and found.x < curve.x[-1] else None,
    )


def _ends(curve: Curve, side: str) -> np.ndarray:
    ends = [getattr(one, side) for one in curve.estimates]
    return np.array([np.nan if end is None else end for end in ends], np.float64)


def _keys(curves: Sequence[DrawnCurve]) -> list[Key]:
    """Return a legend's entries in the order of the lines, the reference last; none of a single line."""
    found = {curve.key.name: curve.key for curve in curves}
    keys = sorted(found.values(), key=lambda key: (key.is_reference, key.place))
    return keys if len(keys) > 1 else []


def _told(curves: Sequence[DrawnCurve]) -> str:
    """Say in words what curves show."""
    parts = []
    for curve in curves:
        name = f"{curve.key.name} " if curve.key.name else ""
        if curve.is_level:
            parts.append(f"{name}{curve.mean[0]:.3f} throughout")
        else:
            parts.append(f"{name}from {curve.mean[0]:.3f} at {curve.x[0]:g} to {curve.mean[-1]:.3f} at {curve.x[-1]:g}")
    return "; ".join(parts)


def _x_title(findings: Findings) -> str:
    return findings.layout.x.title if findings.layout.x else ""


def _cut(charts: Sequence[CurveChart]) -> str:
    """Say that there is more of a band than is drawn."""
    return " A band that meets the edge of a chart goes on beyond it." if any(one.cuts for one in charts) else ""


def _note(findings: Findings) -> str:
    if findings.n_repeats > 1 and all(len(panel.lines) <= MOST_BANDS for panel in findings.panels):
        return "Means over repeats with the band of their 95 % intervals; a dash for each repeat."
    if findings.n_repeats > 1:
        return "Means over repeats; a dash for each repeat. So many bands would hide each other: see the table."
    return ONE_REPEAT
