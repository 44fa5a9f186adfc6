"""The page about an experiment and its figures: what they hold, that nobody's settings change them, and no overflow."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from pages import Page

from superpoint.experiments.findings import Question, findings_of
from superpoint.experiments.results import Axis, GridCell, Results, axis_of_repeats
from superpoint.experiments.verdicts import verdicts_of
from superpoint.report.experimentcharts import CurveChart, DrawnCurve, is_geometric, limits_of, ticks_of_values
from superpoint.report.experimentfigures import GLYPHS, SERIES, Key, inline_svg, png_of, svg_of
from superpoint.report.experimentpage import Example, ExperimentPage, Shown, experiment_page
from superpoint.report.experimentplots import plots_of

if TYPE_CHECKING:
    from superpoint.experiments.findings import Findings

SCORES = {10: 0.2, 20: 0.3, 40: 0.35}
AXES = (
    Axis(name="sample.n_points", values=(10, 20, 40)),
    Axis(name="supervision", values=("points", "masks")),
    Axis(name="seed", values=(0, 1)),
)


def cell_at(number: int, at: dict[str, Any]) -> GridCell:
    miou = (0.4 if at.get("supervision") == "masks" else SCORES.get(at.get("sample.n_points", 0), 0.1)) + 0.01 * at[
        "seed"
    ]
    status = "failed" if number == 0 else "waiting" if number == 1 else "done"
    scores = {"miou": miou, "mean_f1": 1.1 * miou, "iou_<road>": 0.5 * miou} if status == "done" else {}
    error = "no water in <tile3>; give --classes" if status == "failed" else None
    return GridCell(name=f"{number:016x}", status=status, at=at, scores=scores, error=error, seconds=60.0)


def findings_with(*axes: Axis, **asked: Any) -> Findings:  # noqa: ANN401  # any field of a question
    places = itertools.product(*(axis.values for axis in axes))
    cells = [cell_at(n, dict(zip((a.name for a in axes), values, strict=True))) for n, values in enumerate(places)]
    results = Results(title="Points & <seeds>", axes=axes, cells=tuple(cells), repeats=axis_of_repeats(axes, "seed"),
                      class_colours={"<road>": "#FEDD3A"})  # fmt: skip
    return findings_of(results, Question(metrics=("mean_f1",), **asked))


def page_of(findings: Findings, **changed: Any) -> str:  # noqa: ANN401  # any field of a page
    facts = {"facts": {"seed": "0, 1 (averaged over)"}, "plots": plots_of(findings), "verdicts": verdicts_of(findings)}
    return experiment_page(ExperimentPage(findings=findings, **facts | changed))


@pytest.fixture(scope="module")
def findings() -> Findings:
    return findings_with(*AXES, reference={"supervision": "masks"}, target_ratio=0.92)


@pytest.fixture(scope="module")
def html(findings: Findings) -> str:
    dots = np.zeros((4, 6, 3), np.uint8)
    pictures = [Shown(title="image", pixels=dots, is_photograph=True), Shown(title="map", pixels=dots)]
    example = Example(title="tile6.tif", note="truth cannot be shown: it is gone.", pictures=pictures)
    return page_of(findings, examples=[example], examples_note="The first.", shared={"train.model": "unet"})


def test_the_first_words_are_the_verdicts(html: str, findings: Findings) -> None:
    page = Page(html)
    assert page.texts["title"][0] == "superpoint experiment Points & <seeds>"
    assert page.texts["h1"] == ["Points & <seeds> unfinished"]
    assert page.texts["p"][: len(verdicts_of(findings))] == verdicts_of(findings)
    assert page.texts["b"][:3] == ["10 / 12", "1", "1"]


def test_the_sections_come_in_the_order_of_questions(html: str) -> None:
    assert Page(html).texts["h2"] == [
        "mIoU over points", "mIoU over that of masks", "IoU of each class", "All combinations", "Maps", "Failed cells",
        "Settings", "What the numbers are",
    ]  # fmt: skip


def test_names_from_files_are_text_and_nothing_is_asked_for(html: str) -> None:
    page = Page(html)
    assert "<road>" not in html
    assert "no water in <tile3>; give --classes" in page.text
    addresses = [value or "" for _, name, value in page.attributes if name in {"src", "href", "xlink:href"}]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)


def test_the_table_has_means_with_half_intervals_and_the_best_in_bold(html: str) -> None:
    """Of two repeats 0.01 apart: s / sqrt(2) = 0.005, t(0.975, 1) = 12.706."""
    page = Page(html)
    bold = [text.strip() for text in page.texts["b"]]
    assert "0.305 ± 0.064" in page.texts["td"]
    assert "0.355 ± 0.064" in bold
    assert "0.305 ± 0.064" not in bold
    assert "0.405 ± 0.064" in page.texts["td"]
    assert "0.405 ± 0.064" not in bold  # the reference is not compared
    assert "of masks" in page.texts["th"]


def test_a_reference_that_does_not_depend_on_x_has_one_row_and_that_is_the_last(html: str) -> None:
    kinds = [text for text in Page(html).texts["td"] if text in {"points", "masks"}]
    assert kinds == ["points", "points", "points", "masks"]


def test_the_head_has_epochs_and_test_rasters_where_they_are_known(findings: Findings, html: str) -> None:
    cells = tuple(replace(cell, scores=cell.scores | {"epochs": 8.0 + (n % 3)}) for n, cell in
                  enumerate(findings.results.cells))  # fmt: skip
    known = replace(findings, results=replace(findings.results, cells=cells))
    named = Page(page_of(known, n_test_rasters=[15])).text
    assert "8 to 10epochs" in named.replace(" epochs", "epochs")
    assert "15test rasters" in named.replace(" test", "test")
    assert "test rasters" not in Page(html).text


def test_columns_that_are_easily_misread_are_defined(findings: Findings) -> None:
    more = {"n_points": 80.0, "epochs": 8.0, "train_loss": 0.1, "seconds": 60.0, "val_miou": 0.3}
    cells = tuple(replace(cell, scores=cell.scores | more) for cell in findings.results.cells)
    page = Page(page_of(replace(findings, results=replace(findings.results, cells=cells))))
    meanings = dict(zip(page.texts["dt"][-len(page.texts["dd"]) :], page.texts["dd"], strict=True))
    assert "on all training rasters together" in meanings["n_points"]
    assert "best val_miou" in meanings["checkpoint"]
    assert "epochs and train_loss are of the last epoch" in meanings["checkpoint"]
    assert "a stage that cells share counts in each of them" in meanings["seconds"]


def test_every_id_is_there_once(html: str) -> None:
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = {value for _, name, value in Page(html).attributes if name == "xlink:href"}
    assert used <= {f"#{value}" for value in ids}


def test_charts_take_the_colours_of_the_page_and_keep_those_of_classes(html: str) -> None:
    drawings = html[html.index("<svg") : html.rindex("</svg>")]
    assert "var(--fg)" in drawings
    assert "var(--s0)" in drawings
    assert not any(colour in drawings for colour in SERIES)
    assert "#fedd3a" in drawings


def test_numbers_in_charts_are_not_cut_when_coordinates_are() -> None:
    bars = plots_of(findings_with(AXES[1], AXES[2]))[0]
    assert bars.name == "bars"
    assert ">0.405</text>" in inline_svg(bars.charts[0], "bars", salt="a")


def test_two_axes_of_numbers_make_a_heat_map(findings: Findings) -> None:
    size = Axis(name="label.region_size", values=(5, 10))
    plots = {plot.name: plot for plot in plots_of(findings_with(AXES[0], size, AXES[2]))}
    (heat,) = plots["heat"].charts
    assert (heat.cols, heat.rows, heat.best) == (["10", "20", "40"], ["5", "10"], (0, 2))
    np.testing.assert_allclose(heat.means[1], [0.105 + 0.1, 0.305, 0.355])
    assert "heat" not in {plot.name for plot in plots_of(findings)}


def test_one_class_line_is_in_the_colour_of_the_class_and_several_are_in_their_own(findings: Findings) -> None:
    (alone,) = {plot.name: plot for plot in plots_of(findings)}["classes"].charts
    assert [curve.colour for curve in alone.curves] == ["#fedd3a", None]
    several = findings_with(*AXES)
    (chart,) = {plot.name: plot for plot in plots_of(several)}["classes"].charts
    assert [curve.colour for curve in chart.curves] == [None, None]


def test_a_reference_in_a_panel_of_its_own_keeps_the_colours_of_its_lines() -> None:
    model = Axis(name="train.model", values=("unet", "fcn"))
    asked = {"lines": "train.model", "panels": "supervision", "reference": {"supervision": "masks"}}
    curves = plots_of(findings_with(AXES[0], AXES[1], model, AXES[2], **asked))[0]
    assert [(key.name, key.place, key.is_reference) for key in curves.keys] == [("unet", 0, False), ("fcn", 1, False)]


def curve(name: str, place: int, *, x: tuple[float, ...] = (1, 2, 4)) -> DrawnCurve:
    mean = np.linspace(0.2, 0.4, len(x)) + 0.01 * place
    return DrawnCurve(key=Key(name=name, place=place), x=np.array(x), mean=mean, low=mean - 0.05, high=mean + 0.05,
                      dots=np.stack((np.array(x), mean), axis=-1))  # fmt: skip


def chart(*curves: DrawnCurve) -> CurveChart:
    return CurveChart(curves=curves, x_title="points $x_1$", y_title="mIoU", ticks=[(1, "1"), (4, "4")],
                      limits=limits_of(curves), title="a & b")  # fmt: skip


def test_the_same_chart_has_the_same_bytes_whatever_the_users_style_is() -> None:
    drawn = chart(curve("hers", 0), curve("slic", 1))
    keys = [Key(name="hers", place=0), Key(name="slic", place=1)]
    first = svg_of([drawn], salt="s", keys=keys), png_of([drawn], keys=keys)
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "black", "font.size": 30}):
        assert (svg_of([drawn], salt="s", keys=keys), png_of([drawn], keys=keys)) == first
    assert "<dc:date>" not in first[0]


def test_a_figure_is_well_formed_and_shows_what_it_says() -> None:
    drawn = chart(curve("hers", 0))
    root = ET.fromstring(svg_of([drawn, drawn], salt="s", n_cols=2))  # noqa: S314  # our own
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("a & b") == 2
    assert "points $x_1$" in texts  # no formula
    picture = imread(io.BytesIO(png_of([drawn])))
    blue = np.abs(picture[..., :3] - np.array([0, 0x72, 0xB2]) / 255).max(axis=-1) < 0.02
    assert 200 < blue.sum() < 0.05 * blue.size


def test_bands_are_left_out_where_they_would_hide_each_other() -> None:
    few, many = ([curve(str(place), place) for place in range(n)] for n in (4, 5))
    assert "FillBetweenPolyCollection" in svg_of([chart(*few)], salt="s")
    assert "FillBetweenPolyCollection" not in svg_of([chart(*many)], salt="s")


def test_the_limits_show_every_repeat_and_are_not_blown_up_by_an_interval_of_two() -> None:
    wide = DrawnCurve(
        key=Key(name="", place=0),
        x=np.array([1.0, 2]),
        mean=np.array([0.3, 0.4]),
        low=np.array([-2.0, 0.38]),
        high=np.array([3.0, 0.42]),
        dots=np.array([[1, 0.29], [1, 0.31]]),
    )
    low, high = limits_of([wide])
    assert low < 0.29
    assert high > 0.42
    assert high - low < 0.5


def test_no_axis_shows_what_a_score_cannot_be_and_a_band_that_is_cut_is_told_of(findings: Findings) -> None:
    """The second repeat has ten times the score of the first: the interval reaches far below 0."""
    plots = {plot.name: plot for plot in plots_of(findings)}
    assert "goes on beyond it" not in plots["curves"].note
    cells = [replace(cell, scores={name: (0.1 + 0.9 * cell.at["seed"]) * value for name, value in cell.scores.items()})
             if cell.at["supervision"] == "points" else cell for cell in findings.results.cells]  # fmt: skip
    wide = plots_of(findings_of(replace(findings.results, cells=tuple(cells)), findings.question))
    assert [plot.name for plot in wide] == ["curves", "ratio", "classes"]
    assert all(chart.limits[0] == 0 for plot in wide for chart in plot.charts)
    assert all(plot.note.endswith("A band that meets the edge of a chart goes on beyond it.") for plot in wide)


@pytest.mark.parametrize(("bounds", "expected"), [((0.0, 1.0), (0.0, 1.0)), ((-1.0, 1.0), (-0.3, 1.0))])
def test_limits_end_where_values_do(bounds: tuple[float, float], expected: tuple[float, float]) -> None:
    ends = np.array([0.02, 0.98])
    drawn = DrawnCurve(key=Key(name="", place=0), x=np.array([1.0, 2]), mean=ends, low=ends - 0.2, high=ends + 0.2,
                       dots=np.stack((ends, ends), axis=-1))  # fmt: skip
    assert limits_of([drawn], bounds=bounds) == pytest.approx(expected, abs=0.05)


def test_bars_end_at_one_and_a_whisker_that_is_cut_is_told_of() -> None:
    found = findings_with(AXES[1], AXES[2])
    high = [replace(cell, scores={"miou": 0.6 + 0.3 * cell.at["seed"]}, status="done") for cell in found.results.cells]
    (bars,) = plots_of(findings_of(replace(found.results, cells=tuple(high)), found.question))
    assert bars.charts[0].reach == 1
    assert bars.note.endswith("A whisker that meets the edge of the chart goes on beyond it.")


def test_lines_beyond_the_colours_differ_in_marker_and_dashes() -> None:
    keys = [Key(name=str(place), place=place) for place in range(12)]
    assert len({(key.colour, key.glyph) for key in keys}) == 12
    assert len({(key.colour, str(key.dashes)) for key in keys}) == 12
    assert [key.glyph for key in keys[:6]] == list(GLYPHS)


def test_many_ticks_are_thinned_and_doublings_get_a_logarithmic_axis() -> None:
    assert [place for place, _ in ticks_of_values(range(5, 60, 5), [""] * 11)] == [5, 15, 25, 35, 45, 55]
    assert is_geometric([1e-4, 1e-3, 1e-2])
    assert not is_geometric([0, 1, 10])


def test_a_page_without_any_value_says_so() -> None:
    cell = GridCell(name="0", status="waiting", at={"sample.n_points": 10}, scores={})
    waiting = Results(title="t", axes=(AXES[0],), cells=(cell,))
    found = findings_of(waiting, Question())
    page = Page(page_of(found))
    assert page.texts["p"][0] == "No cell has a value of mIoU yet."
    assert page.texts["h1"] == ["t unfinished"]
