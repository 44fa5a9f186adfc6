"""Tables of an experiment's report: all combinations with their scores, settings, and what the numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.experiments.estimates import estimate
from superpoint.experiments.findings import ranking_of
from superpoint.experiments.results import value_text
from superpoint.experiments.scores import IOU, score_of, share_text
from superpoint.report.labelcharts import swatch
from superpoint.report.markup import Html, element
from superpoint.report.parts import Cell, facts_list, table_of
from superpoint.report.wording import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from superpoint.experiments.estimates import Estimate
    from superpoint.experiments.findings import Findings
    from superpoint.experiments.results import Axis, Combination, Value
    from superpoint.experiments.scores import Score

MOST_SETTING_CHARACTERS = 160
EXPLAINED = ("n_points", "epochs", "train_loss", "seconds")
"""Columns of the results that are easily misread: they are explained even where the table does not have them."""


def scores_table(findings: Findings) -> Html:
    """Return a row for each combination, averaged over repeats, the best of each column in bold."""
    results = findings.results
    axes = results.free_axes
    scores = [score_of(name) for name in columns_of(findings)]
    compared = [one for one in results.combinations if not findings.is_reference(one)]
    best = {score.name: _best_mean(compared, score) for score in scores}
    has_ratio = bool(findings.question.reference)
    head = [*(axis.title for axis in axes), "done", *(score.title for score in scores)]
    if has_ratio:
        head.insert(len(axes) + 2, f"of {findings.reference_name}")
    rows = [_row(findings, axes, one, scores, best, has_ratio=has_ratio) for one in findings.distinct]
    return table_of(head, rows)


def columns_of(findings: Findings) -> list[str]:
    """Return the scores of the table: the metric, those asked for, and the classes; each that any cell knows."""
    known = {name for cell in findings.results.cells for name in cell.scores}
    asked = [findings.metric.name, *findings.question.metrics, *findings.class_scores]
    return [name for name in dict.fromkeys(asked) if name in known or name == findings.metric.name]


def _row(
    findings: Findings,
    axes: Sequence[Axis],
    combination: Combination,
    scores: Sequence[Score],
    best: Mapping[str, float | None],
    *,
    has_ratio: bool,
) -> list[str | Cell]:
    n_cells = sum(cell is not None for cell in combination.cells)
    place = findings.place_of(combination)
    places: list[str | Cell] = [_place(axis, place[axis.name]) for axis in axes]
    done = Cell(text=f"{combination.n_done} / {n_cells}", value=combination.n_done)
    is_reference = findings.is_reference(combination)
    bold = {} if is_reference else best
    shown = [_score_cell(score, estimate(combination.values(score.name)), bold.get(score.name)) for score in scores]
    ratio = [Cell(text="1", value=1.0) if is_reference else _ratio_cell(findings.ratio_of(combination))]
    return [*places, done, *shown[:1], *(ratio if has_ratio else []), *shown[1:]]


def _place(axis: Axis, value: Value) -> str | Cell:
    if axis.is_numeric:
        return Cell(text=value_text(value), value=float(value) if isinstance(value, int | float) else None)
    return value_text(value)


def _score_cell(score: Score, found: Estimate | None, best: float | None) -> Cell:
    if found is None:
        return Cell(text=NONE, value=None)
    text = mean_text(score, found)
    return Cell(text=element("b", text) if found.mean == best else text, value=found.mean)


def _ratio_cell(found: Estimate | None) -> Cell:
    if found is None:
        return Cell(text=NONE, value=None)
    half = "" if found.half_width is None else f" ± {share_text(found.half_width)}"
    return Cell(text=f"{share_text(found.mean)}{half}", value=found.mean)


def mean_text(score: Score, found: Estimate) -> str:
    """Return a mean with half of its interval, as `0.412 ± 0.022`; without it if there is one repeat."""
    half = "" if found.half_width is None else f" ± {score.text(found.half_width)}"
    return f"{score.text(found.mean)}{half}"


def _best_mean(combinations: Sequence[Combination], score: Score) -> float | None:
    ranking = ranking_of(combinations, score)
    return ranking[0].estimate.mean if len(ranking) > 1 and score.better != "neither" else None


def settings_list(settings: Mapping[str, str]) -> Html:
    """Return settings and their values, each step below a heading of its own."""
    steps: dict[str, dict[str, str]] = {}
    for name, value in settings.items():
        step, _, key = name.partition(".")
        steps.setdefault(step, {})[key or step] = shortened(value)
    parts = [element("div", element("h3", step), facts_list(own)) for step, own in steps.items()]
    return element("div", *parts, class_="steps")


def shortened(text: str) -> str:
    """Return text with its end left out where it is long."""
    return text if len(text) <= MOST_SETTING_CHARACTERS else f"{text[:MOST_SETTING_CHARACTERS]} ..."


def differing_table(differing: Mapping[str, Sequence[str]]) -> Html:
    """Return settings that differ between cells, with their values."""
    rows: list[list[str | Cell]] = [
        [name, element("span", shortened("; ".join(values)), class_="wraps")] for name, values in differing.items()
    ]
    return table_of(["setting", "values"], rows)


def definitions(findings: Findings) -> Html:
    """Say what every number on the page is."""
    repeats = findings.results.repeats
    over = f"the values of {repeats.name}" if repeats else "nothing: the grid has no axis of repeats"
    facts = {
        "mean": f"arithmetic mean over {over}, of the cells that are done",
        "interval": "95 % interval of that mean, Student's t: mean ± t(0.975, n - 1) s / √n, where s is the sample "
        "standard deviation (n - 1) of n repeats. It speaks of further repeats and of nothing that was the same in all "
        "of them, as the rasters are where repeats are seeds; it takes them for normally distributed, which so few "
        "cannot show",
        "±": "half of that interval",
    }
    if findings.question.reference:
        facts["ratio"] = (
            f"mean over repeats of the score over that of {findings.reference_name} in the same repeat, with the "
            "interval of these ratios"
        )
    if findings.layout.x is not None:
        facts["diminishing returns"] = (
            "the smallest value of the horizontal axis whose mean is no more than one standard error of the best mean "
            "(s / √n, at the best) below the best mean; Breiman, Friedman, Olshen and Stone (1984); Hastie, Tibshirani "
            "and Friedman (2009), section 7.10. With one repeat there is no standard error: then it is said where 95 % "
            "of the gain from the smallest value to the best is there, which is another thing"
        )
    facts["more than chance"] = (
        "the 95 % interval of the paired difference lies above 0; of many combinations the best is favoured by being "
        "picked"
    )
    names = [name for name in columns_of(findings) if not name.startswith(IOU)]
    known = {name for cell in findings.results.cells for name in cell.scores}
    facts |= {score_of(name).title: score_of(name).meaning for name in names}
    if {"epochs", "val_miou"} & known:
        facts["checkpoint"] = (
            "scores are of that with the best val_miou of all epochs, without validation of that of the last epoch; "
            "epochs and train_loss are of the last epoch"
        )
    facts |= {name: score_of(name).meaning for name in EXPLAINED if name in known - set(names)}
    if findings.class_scores:
        facts["IoU of a class"] = "intersection over union, of all test pixels together"
    return facts_list(facts)


def class_legend(colours: Mapping[str, str]) -> Html:
    """Say which colour is which class."""
    return element("ul", *(element("li", swatch(name, colour)) for name, colour in colours.items()), class_="legend")
