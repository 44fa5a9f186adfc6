"""The page about a pseudo-mask: its first words are the verdict, every number on it is that of the inspection."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from pages import Page

from superpoint.inspection.facts import (
    AnnotatorFacts,
    ClassFacts,
    ConflictFacts,
    FlagFacts,
    Inspection,
    MaskFacts,
    PurityFacts,
    StepFacts,
    SuperpixelFacts,
    Verdict,
    WorstSuperpixel,
)
from superpoint.report.labelpage import LabelPage, label_page
from superpoint.report.labelpictures import (
    NO_DATA_RGB,
    dotted,
    drawing,
    enlargement_of,
    error_picture,
    outlined,
    photograph,
    tinted,
    without_nodata,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def class_facts(**changed: Any) -> ClassFacts:  # noqa: ANN401  # any field
    facts = {
        "pixels": 600, "frequency": 0.6, "weight": 1 / 0.6, "points": 12, "superpixels": 8, "true_pixels": 4000,
        "covered": 0.2, "precision": 0.9, "recall": 0.81, "iou": 0.75, "oracle_iou": 0.88, "points_checked": 10,
        "points_agreeing": 9,
    }  # fmt: skip
    return ClassFacts(**facts | changed)


WORST = WorstSuperpixel(
    raster=0, superpixel=1234, box=(5, 6, 20, 30), pixels=300, label="field", votes=2, share=0.5, true_class="road",
    purity=0.9, wrong_pixels=270,
)  # fmt: skip


def inspected(**changed: Any) -> Inspection:  # noqa: ANN401  # any field
    facts = {
        "coverage": 0.25, "accuracy": 0.831, "miou": 0.71,
        "annotators": {"ann": AnnotatorFacts(rows=14, outvoted=3, share_outvoted=0.25, checked=10, agreement=0.9)},
        "oracle_miou": 0.777, "points": {"used": 20, "outside": 3},
        "per_class": {"field": class_facts(), "road": class_facts(pixels=0, frequency=0.0, weight=None)},
        "verdict": Verdict(level="check", sentences=["83 % are right.", "Votes were wrong.", "Look at field."]),
        "n_pixels": 8000, "n_data": 8000, "n_labelled": 2000, "reachable_accuracy": 0.95,
        "errors": {"correct": 0.2, "mixed": 0.01, "wrong_vote": 0.02, "filled_wrongly": 0.01, "not_covered": 0.76,
                   "wrong": 0.04},
        "error_pixels": {"correct": 1600, "mixed": 80, "wrong_vote": 160, "filled_wrongly": 80, "not_covered": 6080,
                         "wrong": 320},
        "confusion": [[1500, 200, 5000], [120, 100, 1080]],
        "purity": PurityFacts(mean=0.93, mean_of_superpixels=0.91, histogram=[0] * 19 + [40]),
        "superpixels": SuperpixelFacts(total=50, with_points=16, labelled=15, single_vote=10),
        "points_per_superpixel": [34, 10, 6] + [0] * 17 + [1], "vote_shares": [0] * 10 + [6] + [0] * 8 + [10],
        "conflicts": ConflictFacts(superpixels=6, share_of_superpixels=0.375, share_of_contested=1.0, votes=22,
                                   outvoted=6, share_of_votes=0.27, mean_vote_share=0.81),
        "flags": {"conflict": FlagFacts(superpixels=6, pixels=410), "filled": FlagFacts(superpixels=0, pixels=0)},
        "class_frequencies": {"field": 0.6, "road": 0.0}, "point_agreement": 0.9,
        "contradictions": ["id 4 means both barren and urban"],
        "steps": [StepFacts(stage="vote", superpixels=9, coverage=0.2, accuracy=0.8, gained=0, lost=0, changed=0,
                            gained_accuracy=None),
                  StepFacts(stage="fill-nearest", superpixels=15, coverage=0.25, accuracy=0.83, gained=6, lost=0,
                            changed=0, gained_accuracy=0.95)],
        "worst": [WORST], "missing": [],
    }  # fmt: skip
    return Inspection(**facts | changed)


def page_of(found: Inspection, **changed: Any) -> Page:  # noqa: ANN401  # any field
    facts = {
        "title": "ortho", "facts": {"raster": "ortho.tif"}, "colours": {"field": "#B8D078", "road": "#5F6368"},
        "made": 1_795_000_000.0,
    }  # fmt: skip
    return Page(label_page(LabelPage(inspection=found, **facts | changed)))


def words(page: Page) -> str:
    return " ".join(page.texts["body"][0].split())


def test_the_first_words_are_the_verdict_and_the_key_numbers() -> None:
    page = page_of(inspected())
    assert page.texts["h1"] == ["ortho to be checked"]
    assert page.texts["p"][:3] == ["83 % are right.", "Votes were wrong.", "Look at field."]
    assert page.texts["b"][:5] == ["83.1 %", "71.0 %", "95.0 %", "25.0 %", "77.7 %"]
    assert page.texts["title"][0] == "superpoint inspect ortho"


def test_the_sections_come_in_the_order_of_questions() -> None:
    assert page_of(inspected()).texts["h2"] == [
        "What is right, and what is wrong for which reason", "Classes", "Confusion", "Superpixels and their votes",
        "Points", "Annotators", "Steps", "Superpixels that cost most",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "shown",
    [
        "superpixel mixes classeswrong, though the label is what most of the superpixel truly is1.0 %4.2 %",
        "vote was wrongwrong, and most of the superpixel truly is another class; the vote gave it2.0 %8.3 %",
        "filled wronglythe same, but a step gave the superpixel its class1.0 %4.2 %",
        "not coveredno label76.0 %",
        "field60.0 %50.0 %1.781290.0 %20.0 %90.0 %81.0 %75.0 %88.0 %",
        "left out",
        "15 of 50 superpixels are labelled. 16 have votes, 10 of these a single one.",
        "6 in conflict: 37.5 % of those with points, 100.0 % of those with several opinions (rows of the points).",
        "conflict: votes for more than one class6410",
        "23 rows of the account, each in one state. They cast 22 votes: a row casts one in each pixel that it covers.",
        "90.0 % of those that voted on known truth have the true class there.",
        "ann1425.0 %90.0 %",
        "id 4 means both barren and urban",
        "fill-nearest1525.0 %60083.0 %95.0 %",
        "2026-11-18 11:06:40 UTC",
    ],
)
def test_the_numbers_are_those_of_the_inspection(shown: str) -> None:
    assert shown in words(page_of(inspected()))


@pytest.mark.parametrize(
    ("most", "ticks"), [(3, "12345"), (10, "12345678910"), (11, "15911"), (14, "15914"), (20, "1591317")]
)
def test_the_axis_of_votes_says_where_it_ends(most: int, ticks: str) -> None:
    found = inspected(points_per_superpixel=[5] + [0] * (most - 1) + [1] + [0] * (20 - most))
    page = page_of(found)
    assert f"{ticks}{'20+' if most == 20 else ''}" in words(page)


def test_the_vertical_axis_says_how_high_the_highest_bar_is() -> None:
    page = page_of(inspected(points_per_superpixel=[0, 84, 3] + [0] * 18))
    assert "5084" in words(page)


def test_flags_that_nothing_bears_and_states_that_nothing_is_in_are_not_listed() -> None:
    assert "filled:" not in words(page_of(inspected()))
    assert "duplicate" not in words(page_of(inspected(points={"used": 20, "duplicate": 0})))


def test_without_a_truth_nothing_speaks_of_it() -> None:
    found = inspected(
        accuracy=None, miou=None, annotators={}, oracle_miou=None, reachable_accuracy=None, errors={},
        error_pixels={}, confusion=[], purity=None, point_agreement=None, steps=[],
        verdict=Verdict(level="unknown", sentences=["Nobody knows."]),
        per_class={"field": ClassFacts(pixels=600, frequency=1.0, weight=1.0, points=12, superpixels=8)},
        worst=[],
    )  # fmt: skip
    page = page_of(found)
    assert page.texts["h2"] == ["Classes", "Superpixels and their votes", "Points"]
    assert "precision" not in words(page)
    assert page.texts["h1"] == ["ortho not judged"]


def test_without_a_label_map_wrong_is_not_divided() -> None:
    pixels = {"correct": 1600, "mixed": None, "wrong_vote": None, "filled_wrongly": None, "not_covered": 6080,
              "wrong": 320}  # fmt: skip
    found = inspected(
        error_pixels=pixels, errors=dict.fromkeys(pixels, 0.1), superpixels=None, conflicts=None, purity=None, worst=[],
        missing=["ortho has no label map any more."],
    )  # fmt: skip
    shown = words(page_of(found))
    assert "wrongwhy cannot be said without the label map4.0 %16.7 %" in shown
    assert "vote was wrong" not in shown
    assert "What cannot be saidortho has no label map any more." in shown


def test_the_worst_are_listed_where_there_are_no_pictures_of_them() -> None:
    assert "1,234field300250.0 %270roadrows 5-20, cols 6-30" in words(page_of(inspected()))
    picture = drawing("image around superpixel 1234", np.zeros((4, 5, 3), np.uint8))
    page = page_of(inspected(), close_ups=[[picture, picture]])
    assert page.texts["figcaption"] == [
        "Superpixel 1,234, field: 270 of 300 pixels wrong, truly 90.0 % road; 2 votes, 50.0 % for the leading class"
    ]
    assert sum(tag == "img" and name == "src" for tag, name, _ in page.attributes) == 2


def test_several_pseudo_masks_have_a_row_each() -> None:
    row = {"path": "/c/x.zarr", "truth": "t.tif", "coverage": 0.1, "labelled_superpixels": 5, "points": 7}
    scores = {"accuracy": 0.8, "oracle_miou": 0.7, "wrong_vote": 0.03, "mixed": 0.01, "filled_wrongly": 0.02}
    masks = [MaskFacts(name=name, **row, **scores) for name in ("one", "other")]
    shown = words(page_of(inspected(pseudo_masks=masks)))
    assert "other10.0 %5780.0 %70.0 %1.0 %3.0 %2.0 %/c/x.zarr" in shown


def test_a_picture_of_the_whole_is_embedded_with_a_legend() -> None:
    page = page_of(inspected(), overviews=[photograph("pseudo-mask", np.full((20, 30, 3), 90, np.uint8))])
    assert page.texts["li"][:3] == ["field", "road", "no label: the image in pale grey"]
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert sources[0] is not None
    assert sources[0].startswith("data:image/jpeg;base64,")


@settings(max_examples=20)
@given(st.text(min_size=1))
def test_whatever_things_are_called_it_is_shown_as_text(name: str) -> None:
    hostile = f"<script>alert(1)</script>{name}"
    found = inspected(per_class={hostile: class_facts()}, confusion=[[5, 1]], contradictions=[hostile])
    page = page_of(found, title=hostile, colours={hostile: "#000000"}, facts={hostile: hostile})
    assert len(page.texts["script"]) == 1
    assert {name for _, name, _ in page.attributes}.isdisjoint({"onclick", "onload", "onerror"})
    policy = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    assert policy[0] is not None
    assert "default-src 'none'" in policy[0]


# --- pictures


def flat(value: int, shape: tuple[int, int] = (8, 10)) -> NDArray[np.uint8]:
    return np.full((*shape, 3), value, np.uint8)


def test_classes_are_tinted_in_their_colours_and_the_rest_is_pale() -> None:
    values = np.full((8, 10), 255, np.uint8)
    values[:, :5] = 1
    picture = tinted(flat(100), values, {1: (255, 0, 0)})
    assert picture[0, 0].tolist() == [round(0.38 * 100 + 0.62 * 255), 38, 38]
    assert picture[0, 9].tolist() == [160, 160, 160]


def test_errors_have_colours_and_what_is_not_covered_has_none() -> None:
    kinds = np.arange(5, dtype=np.uint8).reshape(1, 5)
    picture = error_picture(flat(100, (1, 5)), kinds)
    assert picture[0, 0].tolist() == [160, 160, 160]
    assert len({tuple(colour) for colour in picture[0].tolist()}) == 5


def test_an_outline_goes_around_a_superpixel_and_leaves_its_inside() -> None:
    inside = np.zeros((8, 10), np.bool_)
    inside[3:6, 3:7] = True
    drawn = outlined(flat(100), inside, 10)
    assert drawn.shape == (80, 100, 3)
    assert (drawn[34:56, 34:66] == 100).all()
    assert drawn[29, 50].tolist() == [255, 226, 31]
    assert drawn[27, 50].tolist() == [16, 16, 16]
    assert (drawn[:25] == 100).all()


def test_points_are_dots_with_rings_also_at_the_edge() -> None:
    drawn = dotted(
        flat(100, (200, 220)), np.array([0, 100]), np.array([0, 110]), np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    )
    assert drawn[100, 110].tolist() == [4, 5, 6]
    assert drawn[0, 0].tolist() == [1, 2, 3]
    assert drawn[100, 110 + 6].tolist() == [255, 255, 255]
    assert (drawn[100, 110 + 9 :] == 100).all()


def test_nodata_is_plain_grey() -> None:
    valid = np.array([[True, False]])
    assert without_nodata(np.zeros((3, 1, 2), np.uint8), valid).tolist() == [[[0, 0, 0], list(NO_DATA_RGB)]]


@pytest.mark.parametrize(("shape", "times"), [((32, 32), 8), ((160, 90), 2), ((1000, 10), 1)])
def test_close_ups_are_enlarged_to_about_one_size(shape: tuple[int, int], times: int) -> None:
    assert enlargement_of(shape) == times


def test_a_drawing_is_kept_to_the_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = drawing("noise", image)
    assert picture.size == (7, 9)
    assert np.array_equal(np.rint(imread(io.BytesIO(picture.data))[..., :3] * 255).astype(np.uint8), image)
