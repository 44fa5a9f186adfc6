"""Bars as inline SVG. Labels are HTML beside it, so that they stay readable however narrow the chart is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.report.facts import OTHERS
from superpoint.report.markup import Html, element
from superpoint.report.wording import clock_text, nice_step, number_text, ticks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    type Ticks = Sequence[tuple[float, str]]

WIDTH, HEIGHT = 1000, 100  # of an SVG, stretched to whatever there is
MOST_COLOURS = 6
FAILED = "failed"
CLOSE = 0.12  # of an axis, where two labels above each other would touch
MOST_SHARE = 0.85  # of an axis that has ticks, where there is a word at its end


def bar_chart(
    series: Mapping[str, NDArray[np.float64]],
    *,
    label: str,
    ticks: Ticks,
    title: Callable[[int, str, float], str],
    shows_peak: bool = False,
) -> Html:
    """Draw stacked bars of one width.

    Parameters
    ----------
    series : mapping of str to float64 array of shape (bars,)
        Heights by name, the lowest first; at most six besides `others` and `failed`, which have colours of their own.
    label : str
        What the chart shows, for those who do not see it.
    ticks : sequence of (float, str)
        Place on the horizontal axis, from 0 to 1, and label.
    title : callable
        Makes what is said of one piece of a bar, from its number, the series and the height.
    shows_peak : bool
        Whether the vertical axis says how high the highest bar is, instead of what is close to that.
    """
    heights = np.array(list(series.values()))  # (series, bars)
    peak = top = float(heights.sum(axis=0).max()) or 1.0
    step = nice_step(top, 4)
    top = max(float(ticks_of(top, step)[-1]), top)
    width = WIDTH / heights.shape[1]
    bars = [
        element(
            "rect",
            element("title", title(number, name, float(heights[place, number]))),
            x=round((number + 0.05) * width, 2),
            y=round(HEIGHT * (1 - heights[: place + 1, number].sum() / top), 3),
            width=round(0.9 * width, 2),
            height=round(HEIGHT * heights[place, number] / top, 3),
            class_=colour_of(name, place),
        )
        for place, name in enumerate(series)
        for number in np.flatnonzero(heights[place]).tolist()
    ]
    drawing = element(
        "svg", *bars, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label
    )
    grid = [
        element("div", element("span", number_text(value)), class_="grid", style=f"bottom:{100 * value / top:.3g}%")
        for value in _marks(ticks_of(top, step)[1:].tolist(), top, peak if shows_peak else None)
    ]
    below = [element("div", text, class_="tick", style=f"left:{100 * place:.3g}%") for place, text in ticks]
    return element("div", *grid, drawing, *below, class_="chart")


def _marks(ticks: list[float], top: float, peak: float | None) -> list[float]:
    """Return what is marked on a vertical axis: ticks, and in place of those too close to it the peak."""
    return ticks if peak is None else [*(tick for tick in ticks if abs(tick - peak) > CLOSE * top), peak]


def legend(names: Sequence[str]) -> Html:
    """Say which colour is which."""
    return element(
        "ul",
        *(element("li", element("i", class_=colour_of(name, place)), name) for place, name in enumerate(names)),
        class_="legend",
    )


def colour_of(name: str, place: int) -> str:
    """Return the class of a series' colour."""
    return {OTHERS: "c-others", FAILED: "c-failed"}.get(name, f"c{place % MOST_COLOURS}")


def time_ticks(span: float, step: float) -> list[tuple[float, str]]:
    """Return the ticks of an axis of `span` seconds."""
    return [(value / span, clock_text(value, step)) for value in ticks_of(span, step).tolist()]


def histogram(values: NDArray[np.float64], *, most: int) -> tuple[NDArray[np.float64], bool]:
    """Return edges of at most `most` round bins, and whether the last one is for all that is larger.

    A few values far off do not squeeze the others into one bin: what exceeds four times the 90th percentile
    shares the last. The bins begin at 0 unless all values are far from it.
    """
    largest, smallest = float(values.max()), float(values.min())
    limit = min(largest, 4 * float(np.quantile(values, 0.9)))
    base = smallest if limit > smallest > limit / 2 else 0.0
    step = nice_step((limit - base) or limit or 1.0, most - 2)
    first = int(np.floor(base / step))
    n_bins = int(np.floor(limit / step * (1 + 1e-9))) + 1 - first
    overflows = largest >= (first + n_bins) * step
    return np.arange(first, first + n_bins + 1 + overflows, dtype=np.float64) * step, overflows


def count(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many values lie in each bin; those beyond the last edge are in the last one."""
    found: NDArray[np.float64] = np.histogram(np.minimum(values, edges[-1]), edges)[0].astype(np.float64)
    return found


def histogram_chart(
    series: Mapping[str, NDArray[np.float64]], *, label: str, unit: str, what: str, most: int = 40
) -> Html:
    """Draw how often values occur.

    Parameters
    ----------
    series : mapping of str to float64 array
        Values, stacked by name.
    label : str
        What the chart shows.
    unit : str
        Of the values.
    what : str
        What is counted, in the plural.
    most : int
        Number of bins.
    """
    edges, overflows = histogram(np.concatenate(list(series.values())), most=most)
    counts = {name: count(values, edges) for name, values in series.items()}
    start, span = float(edges[0]), float(edges[-1] - edges[0])
    step = nice_step(span, 5)
    marks = [value for value in ticks_of(float(edges[-1]), step).tolist() if value >= start - step * 1e-9]

    def title(number: int, name: str, height: float) -> str:
        last = overflows and number == len(edges) - 2
        place = f"{edges[number]:.3g} and more" if last else f"{edges[number]:.3g} to {edges[number + 1]:.3g}"
        return f"{place} {unit}: {height:,.0f} {what}" + (f", {name}" if len(counts) > 1 else "")

    ticks = [((value - start) / span, f"{value:.3g} {unit}".strip()) for value in marks]
    if overflows:
        ticks = [tick for tick in ticks if tick[0] < MOST_SHARE]
        ticks.append((1 - 0.5 / (len(edges) - 1), f"over {edges[-2]:.3g}"))
    return bar_chart(counts, label=label, ticks=ticks, title=title)
