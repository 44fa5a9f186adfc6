"""The report of an experiment: its results as sentences, curves, a table and maps, on one page and as figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.cache.stores import as_store
from superpoint.errors import InputError
from superpoint.experiments.findings import Question, findings_of
from superpoint.experiments.results import plain, value_text
from superpoint.experiments.verdicts import verdicts_of
from superpoint.pipelines.experimentpictures import examples_of
from superpoint.pipelines.experimentresults import read_experiment
from superpoint.report.experimentbars import PictureChart
from superpoint.report.experimentfigures import Key, png_of, svg_of
from superpoint.report.experimentpage import TITLE, ExperimentPage, experiment_page
from superpoint.report.experimentplots import plots_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from superpoint.experiments.results import Axis
    from superpoint.pipelines.experimentresults import Kept
    from superpoint.pipelines.settings.experiment import ExperimentReportSettings
    from superpoint.report.experimentfigures import Plot
    from superpoint.report.experimentpage import Example

PAGE, FIGURES = "report.html", "figures"


@dataclass(frozen=True, kw_only=True)
class ExperimentReport:
    """A page about an experiment."""

    output: str
    """The page."""
    title: str
    n_cells: int
    n_done: int
    n_failed: int
    figures: list[str]
    """PNG and SVG of each plot, and of the maps."""
    verdicts: list[str]
    """What the page says first."""


def experiment_report(folder: Path, *, output: Path | None = None, overwrite: bool = False) -> ExperimentReport:
    """Write the page about an experiment, and its figures in the folder `figures` beside it.

    Parameters
    ----------
    folder : Path
        The experiment's `out`, finished or not.
    output : Path, optional
        The page, instead of `report.html` in the folder.
    overwrite : bool
        Replace a file of that name even if it is no such page.

    Returns
    -------
    ExperimentReport
        Where the page is, and what it says.

    Raises
    ------
    InputError
        If the folder does not hold an experiment, or the page cannot be written.
    """
    kept = read_experiment(folder)
    page = folder / PAGE if output is None else output
    _refuse_other(page, overwrite=overwrite)
    findings = findings_of(kept.results, _question(kept.report))
    plots, verdicts = plots_of(findings), verdicts_of(findings)
    examples, note = examples_of(kept, findings, most=kept.report.examples)
    store = as_store(page.absolute().parent)
    for name, content in (*_drawn(plots), *_maps(examples, kept.results.class_colours)):
        store.write(f"{FIGURES}/{name}", content)
    html = experiment_page(
        ExperimentPage(
            findings=findings,
            verdicts=verdicts,
            plots=plots,
            facts=_facts(kept),
            n_test_rasters=kept.n_test_rasters(),
            examples=examples,
            examples_note=note,
            shared=kept.shared,
            differing=kept.differing,
        )
    )
    store.write(page.name, html.encode())
    names = [*(plot.name for plot in plots), *(["maps"] if _has_maps(examples) else [])]
    counts = kept.results.counts
    return ExperimentReport(
        output=str(page),
        title=kept.results.title,
        n_cells=len(kept.results.cells),
        n_done=counts["done"],
        n_failed=counts["failed"],
        figures=[str(page.parent / FIGURES / f"{name}.{form}") for name in names for form in ("png", "svg")],
        verdicts=verdicts,
    )


def _question(report: ExperimentReportSettings) -> Question:
    return Question(
        metric=report.metric,
        metrics=tuple(report.metrics),
        x=report.x,
        lines=report.lines,
        panels=report.panels,
        reference={name: plain(value) for name, value in report.reference.items()},
        target_ratio=report.target_ratio,
    )


def _facts(kept: Kept) -> dict[str, str]:
    axes = {axis.name: _values_text(axis, kept.results.repeats) for axis in kept.results.axes}
    return axes | {"begun": kept.created.replace("T", " "), "version": f"superpoint {kept.version}"}


def _values_text(axis: Axis, repeats: Axis | None) -> str:
    values = ", ".join(value_text(value) for value in axis.values)
    return f"{values} (averaged over)" if axis == repeats else values


def _drawn(plots: Sequence[Plot]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of plots."""
    for plot in plots:
        yield f"{plot.name}.png", png_of(plot.charts, n_cols=plot.n_cols, keys=plot.keys)
        yield f"{plot.name}.svg", svg_of(plot.charts, salt=plot.name, n_cols=plot.n_cols, keys=plot.keys).encode()


def _has_maps(examples: Sequence[Example]) -> bool:
    return any(example.pictures for example in examples)


def _maps(examples: Sequence[Example], colours: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the maps: a row for each raster."""
    if not _has_maps(examples):
        return
    n_cols = max(len(example.pictures) for example in examples)
    charts = [
        PictureChart(pixels=shown.pixels, title=f"{example.title}, {shown.title}")
        for example in examples
        if len(example.pictures) == n_cols  # else its pictures would stand under titles of others
        for shown in example.pictures
    ]
    keys = [Key(name=name, place=place, swatch=colour) for place, (name, colour) in enumerate(colours.items())]
    yield "maps.png", png_of(charts, n_cols=n_cols, keys=keys)
    yield "maps.svg", svg_of(charts, salt="maps", n_cols=n_cols, keys=keys).encode()


def _refuse_other(page: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is no page of ours."""
    if page.is_dir():
        raise InputError(f"{page} is a folder; give the name of a file with --output")
    if page.exists() and not overwrite and f"<title>{TITLE} ".encode() not in page.read_bytes()[:2000]:
        raise InputError(f"{page} exists already; give --overwrite to replace it, or another --output")
