"""Sections of the page about a pseudo-mask: its classes, superpixels, points and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.report.labelcharts import counts_chart, heat_table, meter, share_cell, share_chart, swatch
from superpoint.report.markup import Html, element
from superpoint.report.parts import Cell, count_text, number_cell, section, soft, table_of
from superpoint.report.wording import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.inspection.facts import ClassFacts, Inspection

PLAIN = "#9aa3ad"
"""Colour of what has none."""
PALE = "#b4b4b4"
"""Of an image, about, where it is shown without a label."""
FLAGS = {
    "conflict": "conflict: votes for more than one class",
    "tied": "tied: the leading classes have equal votes",
    "too_weak": "too weak: too few votes, or too small a share, so unlabelled",
    "filled": "filled: a step gave it its class, not the vote",
    "removed": "removed: a step took its class away",
}


def classes_section(found: Inspection, colours: Mapping[str, str]) -> Html:
    """Return what is known of each class."""
    has_truth = found.accuracy is not None
    total = sum(facts.true_pixels or 0 for facts in found.per_class.values())
    columns = ["class", "labelled", *(["truth"] if has_truth else []), "weight", "superpixels", "votes"]
    columns += ["points right", "covered", "precision", "recall", "IoU", "oracle IoU"] if has_truth else []
    rows = [_class_row(name, facts, colours.get(name, PLAIN), total) for name, facts in found.per_class.items()]
    note = (
        "Labelled is the share of the labelled pixels, the class frequency of the weighted loss if it is trained on "
        "these labels alone; weight is 1 / frequency."
    )
    if has_truth:
        note += " Precision, recall and IoU are of labelled pixels; covered is the part of a class that has any label."
    return section("Classes", soft(note), table_of(columns, rows))


def _class_row(name: str, facts: ClassFacts, colour: str, total: int) -> list[str | Cell]:
    row: list[str | Cell] = [swatch(name, colour), meter(facts.frequency, colour)]
    tail = [_weight(facts.weight), number_cell(facts.superpixels), number_cell(facts.points)]
    if facts.true_pixels is None:
        return [*row, *tail]
    right = facts.points_agreeing / facts.points_checked if facts.points_agreeing and facts.points_checked else None
    scores = (right, facts.covered, facts.precision, facts.recall, facts.iou, facts.oracle_iou)
    true = meter(facts.true_pixels / total if total else None, colour)
    return [*row, true, *tail, *(share_cell(score) for score in scores)]


def _weight(weight: float | None) -> Cell:
    return Cell(text="left out" if weight is None else f"{weight:,.1f}", value=weight)


def confusion_section(found: Inspection) -> Html:
    """Return which classes are taken for which."""
    if not found.confusion:
        return Html("")
    note = "Pixels by true class (rows) and label (columns); the shares are of the labelled pixels of a row."
    return section("Confusion", soft(note), heat_table(found.confusion, list(found.per_class)))


def superpixels_section(found: Inspection) -> Html:
    """Return how many votes superpixels have, how far these agree, and how pure superpixels are."""
    if found.superpixels is None:
        return Html("")
    charts = [_votes_chart(found), _vote_shares_chart(found), _purity_chart(found)]
    flags: list[list[str | Cell]] = [
        [
            element("span", FLAGS.get(name, name), class_="wraps"),
            number_cell(flag.superpixels),
            number_cell(flag.pixels),
        ]
        for name, flag in found.flags.items()
        if flag.superpixels
    ]
    facts = found.superpixels
    note = f"{facts.labelled:,} of {count_text(facts.total, 'superpixel')} are labelled."
    if facts.with_points is not None:
        note += f" {facts.with_points:,} have votes, {facts.single_vote:,} of these a single one."
    table = table_of(["flagged", "superpixels", "pixels"], flags) if flags else None
    return section("Superpixels and their votes", soft(note), element("div", *charts, class_="pair"), table)


def _votes_chart(found: Inspection) -> Html | None:
    counts = found.points_per_superpixel[1:]
    if not any(counts):
        return None
    shown = counts if counts[-1] else counts[: max(place for place, n in enumerate(counts) if n) + 1]
    shown = list(shown) + [0] * max(0, 5 - len(shown))
    is_full = len(shown) == len(counts)
    marks = {place: str(place + 1) for place in range(0, len(shown), 1 if len(shown) <= 10 else 4)}  # noqa: PLR2004
    if is_full:
        marks = _with_last(marks, len(shown) - 1, f"{len(shown)}+")
    elif len(shown) - 1 not in marks:
        marks = _with_last(marks, len(shown) - 1, str(len(shown)))
    bins = [f"{n} votes" if n > 1 else "1 vote" for n in range(1, len(shown) + 1)]
    chart = counts_chart(shown, label="Superpixels by number of votes", marks=marks, bins=bins)
    return element("div", element("h3", "Votes in a superpixel that has any"), chart)


def _with_last(marks: Mapping[int, str], last: int, text: str) -> dict[int, str]:
    """Return marks with one at the last bar, and none so near that they would overlap."""
    return {place: mark for place, mark in marks.items() if place < last - 1} | {last: text}


def _vote_shares_chart(found: Inspection) -> Html | None:
    conflicts = found.conflicts
    if conflicts is None or not conflicts.votes:
        return None
    note = (
        f"{conflicts.superpixels:,} in conflict: {percent_text(conflicts.share_of_superpixels)} of those with points, "
        f"{percent_text(conflicts.share_of_contested)} of those with several "
        "opinions (rows of the points)."
    )
    chart = share_chart(found.vote_shares, label="Superpixels by vote share")
    return element("div", element("h3", "Share of the votes for the leading class"), chart, soft(note))


def _purity_chart(found: Inspection) -> Html | None:
    if found.purity is None or not any(found.purity.histogram):
        return None
    note = (
        f"{percent_text(found.purity.mean)} of the pixels are of the class that most of their superpixel truly is; the "
        f"mean of superpixels is {percent_text(found.purity.mean_of_superpixels)}."
    )
    chart = share_chart(found.purity.histogram, label="Superpixels by purity")
    return element("div", element("h3", "Purity: share of the majority true class"), chart, soft(note))


def points_section(found: Inspection) -> Html:
    """Return the account of the points."""
    if not found.points:
        return Html("")
    total = sum(found.points.values())
    rows: list[list[str | Cell]] = [[state.replace("_", " "), number_cell(n), share_cell(n / total if total else None)]
            for state, n in found.points.items() if n]  # fmt: skip
    notes = [f"{count_text(total, 'row')} of the account, each in one state."]
    n_votes = found.conflicts.votes if found.conflicts else 0
    if n_votes:
        notes.append(f"They cast {count_text(n_votes, 'vote')}: a row casts one in each pixel that it covers.")
    if found.point_agreement is not None:
        notes.append(
            f"{percent_text(found.point_agreement)} of those that voted on known truth have the true class there."
        )
    contradictions = element("ul", *(element("li", text) for text in found.contradictions))
    return section(
        "Points",
        soft(" ".join(notes)),
        table_of(["state", "rows", "share of the rows"], rows),
        element("h3", "Contradictions in their attribute tables") if found.contradictions else None,
        contradictions if found.contradictions else None,
    )


def annotators_section(found: Inspection) -> Html:
    """Return how often each annotator was out-voted, and right."""
    if not found.annotators:
        return Html("")
    has_truth = found.accuracy is not None
    columns = ["annotator", "rows that voted", "out-voted", *(["right where they lie"] if has_truth else [])]
    rows: list[list[str | Cell]] = [
        [name, number_cell(one.rows), share_cell(one.share_outvoted),
         *((share_cell(one.agreement),) if has_truth else ())]
        for name, one in found.annotators.items()
    ]  # fmt: skip
    note = "Rows whose superpixel went to another class are out-voted, rightly or not."
    return section("Annotators", soft(note), table_of(columns, rows))


def steps_section(found: Inspection) -> Html:
    """Return what the vote and each step after it came to."""
    steps = found.steps
    if not steps:
        return Html("")
    has_truth = found.accuracy is not None
    columns = ["after", "superpixels", "coverage", "gained", "lost", "changed"]
    rows: list[list[str | Cell]] = [
        [step.stage, number_cell(step.superpixels), share_cell(step.coverage), number_cell(step.gained),
         number_cell(step.lost), number_cell(step.changed),
         *((share_cell(step.accuracy), share_cell(step.gained_accuracy)) if has_truth else ())]
        for step in steps
    ]  # fmt: skip
    note = "Only the vote decided." if len(steps) == 1 else "Before and after each step that improved the labels."
    more = ["accuracy", "accuracy of the gained"] if has_truth else []
    return section("Steps", soft(note), table_of([*columns, *more], rows))


def percent_text(share: float | None) -> str:
    """Return a share in percent with one decimal."""
    return NONE if share is None else f"{100 * share:.1f} %"
