"""The plots of an experiment that compare combinations without a curve: bars, and heat maps over two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.experiments.results import value_text
from superpoint.experiments.scores import score_of
from superpoint.report.experimentbars import Bar, BarChart, HeatChart
from superpoint.report.experimentfigures import Key, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.experiments.findings import Findings, Ranked
    from superpoint.experiments.results import Axis, Value

MOST_BARS = 40
MOST_HEATS = 6
ONE_REPEAT = "One repeat: there is no interval."


def bars_plot(findings: Findings) -> Plot:
    """Return the bars of all combinations, a chart for each panel."""
    ranked = {id(one.combination): one for one in findings.ranking}
    rows = [ranked[id(one)] for one in findings.results.combinations if id(one) in ranked]
    panels = findings.layout.panels
    groups: dict[Value, list[Ranked]] = {}
    for row in rows:
        groups.setdefault(row.combination.at[panels.name] if panels else None, []).append(row)
    charts = [_bar_chart(findings, panels.with_name(value) if panels else "", those) for value, those in groups.items()]
    more = "" if all(len(those) <= MOST_BARS for those in groups.values()) else f" The first {MOST_BARS} are drawn."
    several = "Means over repeats, with their 95 % intervals as whiskers and a dot for each repeat."
    cut = " A whisker that meets the edge of the chart goes on beyond it." if any(one.cuts for one in charts) else ""
    note = (several if findings.n_repeats > 1 else ONE_REPEAT) + more + cut
    texts = ["; ".join(f"{bar.name} {bar.text}" for bar in chart.bars) for chart in charts]
    title = f"{findings.metric.title} compared"
    return Plot(name="bars", title=title, note=note, charts=charts, descriptions=texts, n_cols=1)


def _bar_chart(findings: Findings, title: str, rows: Sequence[Ranked]) -> BarChart:
    references = [row.estimate.mean for row in rows if findings.is_reference(row.combination)]
    return BarChart(
        bars=[_bar(findings, row) for row in rows[:MOST_BARS]],
        x_title=findings.metric.title,
        title=title,
        reference=references[0] if len(references) == 1 else None,
        most=findings.metric.bounds[1],
    )


def _bar(findings: Findings, row: Ranked) -> Bar:
    values = row.combination.values(findings.metric.name)
    rivals = findings.compared if findings.metric.better != "neither" else []
    is_rival = bool(rivals) and not findings.is_reference(row.combination)
    return Bar(
        name=findings.results.text_of(row.combination.at),
        key=Key(name="", place=0, is_reference=False),
        mean=row.estimate.mean,
        low=row.estimate.low,
        high=row.estimate.high,
        dots=tuple(values[np.isfinite(values)].tolist()) if row.estimate.n > 1 else (),
        text=findings.metric.text(row.estimate.mean),
        is_best=is_rival and row.estimate.mean == rivals[0].estimate.mean,
    )


def heat_plot(findings: Findings) -> Plot | None:
    """Return a map for each combination of the other axes, if two axes are numeric."""
    free = findings.results.free_axes
    numeric = [axis for axis in free if axis.is_numeric]
    if len(numeric) < 2 or not findings.ranking:  # noqa: PLR2004  # rows and columns
        return None
    across = findings.layout.x if findings.layout.x in numeric else numeric[0]
    up = next(axis for axis in numeric if axis != across)
    if across is None:
        return None
    others = [axis for axis in free if axis not in (across, up)]
    groups: dict[tuple[Value, ...], list[Ranked]] = {}
    for row in findings.ranking:
        groups.setdefault(tuple(row.combination.at[axis.name] for axis in others), []).append(row)
    order = [key for key in dict.fromkeys(tuple(c.at[a.name] for a in others) for c in findings.results.combinations)
             if key in groups][:MOST_HEATS]  # fmt: skip
    charts = [_heat(findings, across, up, others, key, groups[key]) for key in order]
    shown = [chart for chart in charts if chart is not None]
    title = f"{findings.metric.title} by {across.title} and {up.title}"
    texts = [f"{title}{': ' + chart.title if chart.title else ''}, the numbers are in the table" for chart in shown]
    note = "Means over repeats; the best of each map in bold. One scale of colours for all."
    return Plot(name="heat", title=title, note=note, charts=shown, descriptions=texts)


def _heat(
    findings: Findings, across: Axis, up: Axis, others: Sequence[Axis], key: Sequence[Value], rows: Sequence[Ranked]
) -> HeatChart | None:
    cols, ups = list(across.values), list(up.values)
    means = np.full((len(ups), len(cols)), np.nan)
    for row in rows:
        at = row.combination.at
        if at[up.name] in ups and at[across.name] in cols:
            means[ups.index(at[up.name]), cols.index(at[across.name])] = row.estimate.mean
    if not np.isfinite(means).any():
        return None
    every = [row.estimate.mean for row in findings.ranking]
    found = np.nanargmin(means) if findings.less_is_better else np.nanargmax(means)
    best = divmod(int(found), len(cols))
    return HeatChart(
        means=means,
        texts=[[score_of(findings.metric.name).text(value) for value in row] for row in means.tolist()],
        rows=[value_text(value) for value in ups],
        cols=[value_text(value) for value in cols],
        x_title=across.title,
        y_title=up.title,
        limits=(min(every), max(every)),
        best=None if findings.metric.better == "neither" else best,
        title=", ".join(axis.with_name(value) for axis, value in zip(others, key, strict=True)),
    )
