"""The page about a pseudo-mask: whether to trust it, what is wrong with it, and where to look, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.report.labelcharts import keys_of, share_cell, stacked_bar, swatch
from superpoint.report.labellook import LABEL_STYLE
from superpoint.report.labelsections import (
    PALE,
    PLAIN,
    annotators_section,
    classes_section,
    confusion_section,
    percent_text,
    points_section,
    steps_section,
    superpixels_section,
)
from superpoint.report.markup import Html, element, join
from superpoint.report.parts import (
    Cell,
    boxes,
    count_text,
    data_url,
    document,
    facts_list,
    number_cell,
    section,
    soft,
    table_of,
)
from superpoint.report.wording import NONE, many_text, moment_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from superpoint.inspection.facts import Inspection, WorstSuperpixel
    from superpoint.report.labelpictures import Picture

TITLE = "superpoint inspect"
"""What the titles of all such pages begin with."""
LEVELS = {"good": "good", "check": "to be checked", "poor": "poor", "unknown": "not judged"}
ERRORS = {
    "correct": ("right", "the label is the true class"),
    "mixed": ("superpixel mixes classes", "wrong, though the label is what most of the superpixel truly is"),
    "wrong_vote": ("vote was wrong", "wrong, and most of the superpixel truly is another class; the vote gave it"),
    "filled_wrongly": ("filled wrongly", "the same, but a step gave the superpixel its class"),
    "wrong": ("wrong", "why cannot be said without the label map"),
    "not_covered": ("not covered", "no label"),
}


@dataclass(frozen=True, kw_only=True)
class LabelPage:
    """What is on the page besides the numbers."""

    inspection: Inspection
    title: str
    facts: Mapping[str, str]
    """What was inspected, by name."""
    colours: Mapping[str, str]
    """Of the classes, by name, as CSS takes them."""
    made: float
    """When the page was made, seconds since 1970."""
    overviews: Sequence[Picture] = ()
    overview_note: str = ""
    """What is said above them."""
    close_ups: Sequence[Sequence[Picture]] = ()
    """Of each of the worst superpixels, in their order; empty for one that could not be drawn."""


def label_page(page: LabelPage) -> str:
    """Return the page about a pseudo-mask.

    Parameters
    ----------
    page : LabelPage
        Everything that is shown.

    Returns
    -------
    str
        HTML that needs nothing else and asks for nothing.
    """
    found = page.inspection
    parts = (
        _header(page),
        _errors(found),
        _overview(page),
        classes_section(found, page.colours),
        confusion_section(found),
        superpixels_section(found),
        points_section(found),
        annotators_section(found),
        steps_section(found),
        _worst(page),
        _masks(found),
        _missing(page),
    )
    return document(f"{TITLE} {page.title}", *parts, style=LABEL_STYLE)


def _header(page: LabelPage) -> Html:
    found = page.inspection
    level = found.verdict.level
    title = element("h1", f"{page.title} ", element("span", LEVELS.get(level, level), class_=f"badge {level}"))
    verdict = element("div", *(element("p", text) for text in found.verdict.sentences), class_=f"verdict {level}")
    return element("header", title, verdict, boxes(_key_numbers(found)), facts_list(page.facts))


def _key_numbers(found: Inspection) -> dict[str, str]:
    numbers: dict[str, float | None] = {
        "of the labelled pixels right": found.accuracy,
        "mIoU on the labelled pixels": found.miou,
        "right at best, with these superpixels": found.reachable_accuracy,
        "of the pixels labelled": found.coverage,
        "oracle mIoU, of all pixels": found.oracle_miou,
        "of the points right where they lie": found.point_agreement if found.accuracy is not None else None,
        "mean vote share": found.conflicts.mean_vote_share if found.conflicts else None,
    }
    shown = {name: percent_text(share) for name, share in numbers.items() if share is not None}
    if found.superpixels:
        shown["superpixels labelled"] = (
            f"{many_text(found.superpixels.labelled)} / {many_text(found.superpixels.total)}"
        )
    if found.conflicts:
        shown["votes out-voted"] = f"{many_text(found.conflicts.outvoted)} / {many_text(found.conflicts.votes)}"
    return shown


def _errors(found: Inspection) -> Html:
    if not found.error_pixels:
        return Html("")
    kinds = [kind for kind in ERRORS if found.error_pixels.get(kind) is not None and not _is_sum(found, kind)]
    pixels = {kind: found.error_pixels[kind] or 0 for kind in kinds}
    labelled = {kind: n for kind, n in pixels.items() if kind != "not_covered"}
    rows = [
        (kind, *ERRORS[kind], (_of(n, pixels), _of(n, labelled) if kind in labelled else ""))
        for kind, n in pixels.items()
    ]
    return section(
        "What is right, and what is wrong for which reason",
        soft(f"{many_text(sum(pixels.values()))} pixels of known truth; below, the labelled ones alone."),
        stacked_bar(_shares(pixels), label="All pixels of known truth"),
        stacked_bar(_shares(labelled), label="Labelled pixels of known truth"),
        keys_of(rows, ("of all", "of labelled")),
    )


def _is_sum(found: Inspection, kind: str) -> bool:
    """Tell whether a kind of error is the sum of others that are shown."""
    return kind == "wrong" and found.error_pixels.get("mixed") is not None


def _shares(pixels: Mapping[str, int]) -> dict[str, float]:
    total = sum(pixels.values())
    return {kind: n / total if total else 0.0 for kind, n in pixels.items()}


def _of(n: int, among: Mapping[str, int]) -> str:
    total = sum(among.values())
    return f"{100 * n / total:.1f} %" if total else NONE


def _overview(page: LabelPage) -> Html:
    if not page.overviews:
        return Html("")
    figures = [
        element("figure", element("div", _image(picture)), element("figcaption", picture.title))
        for picture in page.overviews
    ]
    keys = [swatch(name, colour) for name, colour in page.colours.items()]
    keys.append(swatch("no label: the image in pale grey", PALE))
    legend = element("ul", *(element("li", key) for key in keys), class_="legend")
    note = soft(page.overview_note) if page.overview_note else None
    return section("The whole", note, element("div", *figures, class_="panels"), legend)


def _image(picture: Picture) -> Html:
    rows, cols = picture.size
    return element("img", src=data_url(picture.data, picture.kind), alt=picture.title, width=cols, height=rows)


def _worst(page: LabelPage) -> Html:
    worst, has_truth = page.inspection.worst, page.inspection.accuracy is not None
    if not worst:
        return Html("")
    shown = [
        element(
            "figure", element("div", *(_image(one) for one in pictures)), element("figcaption", _caption(page, facts))
        )
        for facts, pictures in zip(worst, page.close_ups, strict=False)
        if pictures
    ]
    title = "Superpixels that cost most" if has_truth else "Superpixels that want a look"
    note = (
        "By wrong pixels. From the left: the image with the points, the pseudo-mask, the truth."
        if has_truth
        else "By the pixels that votes disagree over, then by those that a single vote decides over. From the left: "
        "the image with the points, the pseudo-mask."
    )
    listed = _worst_table(page) if not shown else element("div", *shown, class_="cases")
    return section(title, soft(note), listed)


def _caption(page: LabelPage, facts: WorstSuperpixel) -> Html:
    name = swatch(facts.label, page.colours.get(facts.label, PLAIN))
    where = ""
    if len(page.inspection.pseudo_masks) > 1:
        where = f" of {page.inspection.pseudo_masks[facts.raster].name}"
    return join((element("b", f"Superpixel {facts.superpixel:,}{where}, "), name, f": {_cost(facts)}"))


def _cost(facts: WorstSuperpixel) -> str:
    votes = count_text(facts.votes, "vote")
    if facts.votes > 1:
        votes += f", {percent_text(facts.share)} for the leading class"
    pixels = count_text(facts.pixels, "pixel")
    if facts.wrong_pixels is None:
        return f"{pixels}, {votes}"
    true = f", truly {percent_text(facts.purity)} {facts.true_class}" if facts.true_class else ""
    return f"{facts.wrong_pixels:,} of {pixels} wrong{true}; {votes}"


def _worst_table(page: LabelPage) -> Html:
    rows: list[list[str | Cell]] = [
        [f"{facts.superpixel:,}", facts.label, number_cell(facts.pixels), number_cell(facts.votes),
         share_cell(facts.share), number_cell(facts.wrong_pixels), facts.true_class or NONE,
         f"rows {facts.box[0]}-{facts.box[2]}, cols {facts.box[1]}-{facts.box[3]}"]
        for facts in page.inspection.worst
    ]  # fmt: skip
    return table_of(["superpixel", "label", "pixels", "votes", "vote share", "wrong pixels", "truly", "where"], rows)


def _masks(found: Inspection) -> Html:
    masks = found.pseudo_masks
    if len(masks) < 2:  # noqa: PLR2004  # one is all of the page
        return Html("")
    rows: list[list[str | Cell]] = [
        [one.name, share_cell(one.coverage), number_cell(one.labelled_superpixels), number_cell(one.points),
         share_cell(one.accuracy), share_cell(one.oracle_miou), share_cell(one.mixed), share_cell(one.wrong_vote),
         share_cell(one.filled_wrongly), one.path]
        for one in masks
    ]  # fmt: skip
    columns = ["pseudo-mask", "coverage", "superpixels labelled", "points", "accuracy", "oracle mIoU",
               *(ERRORS[kind][0] for kind in ("mixed", "wrong_vote", "filled_wrongly")), "path"]  # fmt: skip
    note = "All numbers above are of all pixels together. Accuracy is of labelled pixels"
    note += "; mixed, wrongly voted and wrongly filled are of all pixels of known truth."
    return section("Each pseudo-mask", soft(note), table_of(columns, rows))


def _missing(page: LabelPage) -> Html:
    missing = page.inspection.missing
    listed = element("ul", *(element("li", text) for text in missing)) if missing else None
    made = soft(f"This page was made at {moment_text(page.made)}; docs/inspect.md defines every number on it.")
    return section("What cannot be said", listed, made) if missing else element("section", made)
