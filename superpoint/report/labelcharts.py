"""Charts of the page about a pseudo-mask, as HTML that stays readable however narrow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.report.charts import bar_chart
from superpoint.report.markup import Html, element
from superpoint.report.parts import Cell
from superpoint.report.wording import NONE, many_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def stacked_bar(shares: Mapping[str, float], *, label: str) -> Html:
    """Draw shares that add up to 1 as one bar.

    Parameters
    ----------
    shares : mapping of str to float
        By the kind that gives the colour.
    label : str
        What the bar shows, for those who do not see it.
    """
    parts = (
        element("i", class_=f"k-{kind}", style=f"width:{100 * share:.3f}%", title=f"{kind}: {100 * share:.2f} %")
        for kind, share in shares.items()
        if share > 0
    )
    return element("div", *parts, class_="stack", role="img", aria_label=label)


def keys_of(rows: Sequence[tuple[str, str, str, Sequence[str]]], columns: Sequence[str]) -> Html:
    """Say what the parts of bars are, and how large.

    Parameters
    ----------
    rows : sequence of (str, str, str, sequence of str)
        Kind, name, what it means, and its share of each bar.
    columns : sequence of str
        What each bar is of.
    """
    head = element("tr", element("th"), *(element("th", name, class_="n", scope="col") for name in columns))
    body = (
        element(
            "tr",
            element("td", element("i", class_=f"swatch k-{kind}"), name, element("small", meaning)),
            *(element("td", share, class_="n") for share in shares),
        )
        for kind, name, meaning, shares in rows
    )
    return element("table", element("thead", head), element("tbody", *body), class_="keys")


def swatch(name: str, colour: str) -> Html:
    """Return a class's name after a square of its colour."""
    return element("span", element("i", class_="swatch", style=f"background:{colour}"), name)


def meter(share: float | None, colour: str) -> Cell:
    """Return a cell that shows a share as a bar and in percent."""
    if share is None:
        return Cell(text=NONE, value=None)
    bar = element("i", style=f"width:{100 * share:.2f}%;background:{colour}")
    text = element("span", element("u", bar), element("span", f"{100 * share:.1f} %"), class_="meter")
    return Cell(text=text, value=share)


def share_cell(share: float | None) -> Cell:
    """Return a cell of a share in percent."""
    return Cell(text=NONE if share is None else f"{100 * share:.1f} %", value=share)


def heat_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Html:
    """Draw a confusion matrix: numbers of pixels, shaded by their share of the row's labelled pixels.

    Parameters
    ----------
    confusion : sequence of sequence of int
        Rows truth, columns label, the last for pixels without one.
    names : sequence of str
        Of the classes.
    """
    head = (element("th", text, scope="col") for text in ("truly", *names, "no label"))
    rows = (element("tr", *_heat_row(value, row, names[value])) for value, row in enumerate(confusion))
    table = element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_="heat")
    return element("div", table, class_="scroll", tabindex=0)


def _heat_row(value: int, row: Sequence[int], name: str) -> list[Html]:
    labelled = sum(row[:-1])
    cells = [element("th", name, scope="row")]
    for place, n in enumerate(row):
        is_label = place < len(row) - 1
        share = n / labelled if is_label and labelled else 0.0
        colour = "--good" if place == value else "--bad"
        shade = f"background:color-mix(in srgb,var({colour}) {65 * share:.0f}%,transparent)" if share else None
        small = element("small", f"{100 * share:.0f} %") if is_label and n else None
        cells.append(
            element("td", many_text(n), small, style=shade, class_="hit" if place == value else None, title=f"{n:,}")
        )
    return cells


def counts_chart(counts: Sequence[int], *, label: str, marks: Mapping[int, str], bins: Sequence[str]) -> Html:
    """Draw numbers of superpixels as bars.

    Parameters
    ----------
    counts : sequence of int
        One a bar.
    label : str
        What the chart shows.
    marks : mapping of int to str
        What is written below bars, by their number; that of a whole axis ends at the number of bars.
    bins : sequence of str
        What each bar counts.
    """
    return bar_chart(
        {"superpixels": np.array(counts, np.float64)},
        label=label,
        ticks=[((place + 0.5) / len(counts), text) for place, text in marks.items()],
        title=lambda number, _, height: f"{bins[number]}: {height:,.0f} superpixels",
        shows_peak=True,
    )


def share_chart(counts: Sequence[int], *, label: str) -> Html:
    """Draw a histogram of shares from 0 to 1."""
    n = len(counts)
    bins = [f"{number / n:.0%} to {(number + 1) / n:.0%}" for number in range(n)]
    return bar_chart(
        {"superpixels": np.array(counts, np.float64)},
        label=label,
        ticks=[(place, f"{place:.0%}") for place in (0.0, 0.25, 0.5, 0.75, 1.0)],
        title=lambda number, _, height: f"{bins[number]}: {height:,.0f} superpixels",
        shows_peak=True,
    )
