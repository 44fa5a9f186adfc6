"""The page about an experiment: what it comes to, then the curves, the numbers, the maps, and what all of it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from superpoint.report.experimentfigures import SERIES, inline_svg
from superpoint.report.experimentlook import EXPERIMENT_STYLE
from superpoint.report.experimenttables import (
    class_legend,
    definitions,
    differing_table,
    scores_table,
    settings_list,
)
from superpoint.report.labelpictures import drawing, photograph
from superpoint.report.markup import Html, element, join
from superpoint.report.parts import boxes, count_text, data_url, document, facts_list, section, soft
from superpoint.report.wording import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.experiments.findings import Findings
    from superpoint.experiments.results import GridCell
    from superpoint.report.experimentfigures import Chart, Key, Plot

TITLE = "superpoint experiment"
"""What the titles of all such pages begin with."""
MOST_FAILED = 100
PX_AN_INCH = 115
LEAST_PX = {1: 600, 2: 420, 3: 300}
"""Width of a chart, by how many stand in a row of its figure; less where the page is narrower."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """One picture of an example."""

    title: str
    pixels: NDArray[np.uint8]
    """Red, green, blue, of shape (rows, cols, 3)."""
    is_photograph: bool = False
    """Whether it is compressed as photographs are; maps are kept to the pixel."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """Maps of one test raster."""

    title: str
    pictures: Sequence[Shown]
    note: str = ""
    """What could not be shown, and why."""


@dataclass(frozen=True, kw_only=True)
class ExperimentPage:
    """What is on the page."""

    findings: Findings
    verdicts: Sequence[str]
    plots: Sequence[Plot]
    facts: Mapping[str, str]
    """Of the experiment, by name."""
    n_test_rasters: Sequence[int] = ()
    """That cells were judged on, ascending, each number once; empty where not known."""
    examples: Sequence[Example] = ()
    examples_note: str = ""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Settings that all cells have in common."""
    differing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Values of settings that differ and are no axis, as those that variants set."""


def experiment_page(page: ExperimentPage) -> str:
    """Return the page about an experiment.

    Parameters
    ----------
    page : ExperimentPage
        Everything that is shown.

    Returns
    -------
    str
        HTML that needs nothing else and asks for nothing.
    """
    findings = page.findings
    parts = (
        _header(page),
        *_plots(page.plots),
        _table(findings),
        _examples(page),
        _failed([cell for cell in findings.results.cells if cell.status == "failed"], findings),
        _settings(page),
        element("section", element("h2", "What the numbers are"), definitions(findings), class_="definitions"),
    )
    return document(f"{TITLE} {findings.results.title}", *parts, style=EXPERIMENT_STYLE)


def _header(page: ExperimentPage) -> Html:
    results = page.findings.results
    counts, total = results.counts, len(results.cells)
    state = "done" if counts["done"] == total else "failed" if not counts["waiting"] else "unfinished"
    words = {"done": "done", "failed": f"{counts['failed']:,} failed", "unfinished": "unfinished"}[state]
    title = element("h1", f"{results.title} ", element("span", words, class_=f"badge {state}"))
    verdict = element("div", *(element("p", text) for text in page.verdicts), class_="verdict")
    return element("header", title, verdict, boxes(_numbers(page)), facts_list(page.facts))


def _numbers(page: ExperimentPage) -> dict[str, str]:
    findings, results = page.findings, page.findings.results
    counts = results.counts
    numbers = {"of the cells done": f"{counts['done']:,} / {len(results.cells):,}"}
    if counts["failed"]:
        numbers["cells failed"] = element("span", f"{counts['failed']:,}", class_="bad")
    if counts["waiting"]:
        numbers["cells wait"] = f"{counts['waiting']:,}"
    numbers["repeats"] = f"{findings.n_repeats:,}"
    done = [cell for cell in results.cells if cell.status == "done"]
    epochs = sorted({int(cell.scores["epochs"]) for cell in done if "epochs" in cell.scores})
    several = {"epochs": epochs, "test rasters": page.n_test_rasters}
    numbers |= {name: _range_text(values) for name, values in several.items() if values}
    seconds = [cell.seconds for cell in done if cell.seconds is not None]
    if seconds:
        numbers["half of the cells took up to"] = duration_text(median(seconds))
    return numbers


def _range_text(ascending: Sequence[int]) -> str:
    first, last = ascending[0], ascending[-1]
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _plots(plots: Sequence[Plot]) -> Iterator[Html]:
    """Yield the plots, those of a single chart side by side."""
    for is_single, group in groupby(plots, key=lambda plot: len(plot.charts) == 1):
        sections = [_plot(plot) for plot in group]
        yield element("div", *sections, class_="pair") if is_single else join(sections)


def _plot(plot: Plot) -> Html:
    drawn = zip(plot.charts, plot.descriptions, strict=True)
    figures = [
        element("figure", inline_svg(chart, text, salt=f"{plot.name}-{place}"), style=f"max-width:{_widest(chart)}px")
        for place, (chart, text) in enumerate(drawn)
    ]
    grid = element("div", *figures, class_="plots", style=f"--least:{LEAST_PX[plot.n_cols]}px")
    return section(plot.title, soft(plot.note), _legend(plot.keys), grid)


def _widest(chart: Chart) -> int:
    """Return the pixels up to which a chart grows, so that the text of all charts is alike."""
    left, right, *_ = chart.margins
    return round(PX_AN_INCH * (left + chart.size[0] + right))


def _legend(keys: Sequence[Key]) -> Html | None:
    if not keys:
        return None
    items = [
        element("li", element("b", key.glyph, style=f"color:{_css(key)}"), key.name, _reference_mark(key))
        for key in keys
    ]
    return element("ul", *items, class_="legend")


def _reference_mark(key: Key) -> str | None:
    return " (reference, dashed)" if key.is_reference else None


def _css(key: Key) -> str:
    return "var(--fg)" if key.is_reference else f"var(--s{key.place % len(SERIES)})"


def _table(findings: Findings) -> Html:
    apart = f"; {findings.reference_name} is not compared and stands last" if findings.question.reference else ""
    note = f"Means over repeats ± half of the 95 % interval; the best mean of each column in bold{apart}."
    return section("All combinations", soft(note), scores_table(findings))


def _examples(page: ExperimentPage) -> Html:
    if not page.examples:
        return Html("")
    rows = [_example(example) for example in page.examples]
    return section("Maps", soft(page.examples_note), *rows, class_legend(page.findings.results.class_colours))


def _example(example: Example) -> Html:
    figures = [
        element("figure", element("div", _image(picture)), element("figcaption", picture.title))
        for picture in example.pictures
    ]
    shown = element("div", *figures, class_="maps", style=f"--n:{len(figures)}") if figures else Html("")
    note = soft(example.note) if example.note else Html("")
    return join((element("h3", example.title), shown, note))


def _image(shown: Shown) -> Html:
    picture = (photograph if shown.is_photograph else drawing)(shown.title, shown.pixels)
    rows, cols = picture.size
    return element("img", src=data_url(picture.data, picture.kind), alt=picture.title, width=cols, height=rows)


def _failed(cells: Sequence[GridCell], findings: Findings) -> Html:
    if not cells:
        return Html("")
    items = [_failed_item(cell, findings) for cell in cells[:MOST_FAILED]]
    if len(cells) > MOST_FAILED:
        items.append(element("li", f"and {len(cells) - MOST_FAILED:,} more"))
    note = f"{count_text(len(cells), 'cell')} failed. The command that ran the experiment tries again."
    return section("Failed cells", soft(note), element("ul", *items))


def _failed_item(cell: GridCell, findings: Findings) -> Html:
    axes = [axis for axis in findings.results.axes if cell.at.get(axis.name) is not None]
    place = ", ".join(axis.with_name(cell.at[axis.name]) for axis in axes) or cell.name
    return element(
        "li", element("b", place, class_="bad"), f" ({cell.name[:12]}): {cell.error or 'no reason is known'}"
    )


def _settings(page: ExperimentPage) -> Html:
    if not page.shared and not page.differing:
        return Html("")
    shared = element("details", element("summary", "Settings that all cells share"), settings_list(page.shared))
    parts = [shared] if page.shared else []
    if page.differing:
        summary = element("summary", "Settings that differ and are no axis themselves")
        parts.append(element("details", summary, differing_table(page.differing)))
    return section("Settings", *parts)
