"""`report` of an experiment's folder: from the files that a run leaves to a page and its figures, finished or not."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import Page
from pydantic import ValidationError
from resultsets import CLASSES, write_results
from smallworld import write_raster

from superpoint.cache.cogs import CogProfile, write_cog
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.rasters import open_raster
from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.pipelines.experimentpictures import distinct_names
from superpoint.pipelines.experimentreport import experiment_report
from superpoint.pipelines.experimentresults import read_experiment
from superpoint.pipelines.report import report
from superpoint.pipelines.settings import ReportSettings
from superpoint.pipelines.settings.experiment import ExperimentReportSettings, check_report
from superpoint.tiles import Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TABLE = ClassTable.from_dict({"class": [one | {"value": value} for value, one in enumerate(CLASSES)]})
AXES = {"sample.n_points": [10, 20, 30], "supervision": ["points", "masks"], "seed": [0, 1]}
REPORT = {"reference": {"supervision": "masks"}, "target_ratio": 0.9, "examples": 1}
SHAPE = (60, 90)


def quarters(shift: int) -> NDArray[np.uint8]:
    rows, cols = np.indices(SHAPE)
    return (2 * (rows >= SHAPE[0] // 2) + (cols >= SHAPE[1] // 2 + shift)).astype(np.uint8)


def write_map(path: Path, raster: Path, values: NDArray[np.uint8]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    place = open_raster(raster).georeference
    profile = CogProfile(georeference=place, dtype="uint8", nodata=255, band_names=("class",), colormap=TABLE.colormap,
                         tags={CLASSES_TAG: TABLE.to_dict()})  # fmt: skip
    write_cog(path, profile, [(Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1]), values)], overwrite=True)
    return str(path)


def write_cells(folder: Path) -> None:
    """Write what the runner keeps of each cell: maps of two rasters, with their truth."""
    rasters = [write_raster(folder / f"tile{n}.tif", np.full((3, *SHAPE), 90 * n, np.uint8)) for n in (2, 1)]
    truth = write_map(folder / "truth.tif", rasters[0], quarters(0))
    (folder / "cells").mkdir()
    shifts = {"points": 5, "masks": 1}
    maps = {
        kind: write_map(folder / "stages" / kind / "map.tif", rasters[0], quarters(shift))
        for kind, shift in shifts.items()
    }
    for row in pq.read_table(folder / "results.parquet").to_pylist():
        output, shift = maps[row["supervision"]], shifts[row["supervision"]]
        predict = [{"raster": str(raster), "output": output} for raster in rasters]
        evaluate = {"maps": [output], "rasters": [{"map": output, "truth": truth, "miou": 0.3 + 0.01 * shift}]}
        document = {"cell": row["cell"], "results": {"predict": predict, "evaluate": evaluate}}
        (folder / "cells" / f"{row['cell']}.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an experiment with one cell that failed and one that waits, and its report."""
    folder = write_results(
        tmp_path_factory.mktemp("grid") / "out", AXES, report=REPORT, statuses={0: "failed", 5: "waiting"}
    )
    write_cells(folder)
    experiment_report(folder)
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text()


def pictures_in(html: str) -> list[NDArray[np.uint8]]:
    import io

    from matplotlib.image import imread

    found = re.findall(r"data:image/png;base64,([^\"]+)", html)
    return [np.rint(imread(io.BytesIO(b64decode(data)))[..., :3] * 255).astype(np.uint8) for data in found]


def test_the_page_says_how_many_cells_there_are_and_why_one_failed(html: str) -> None:
    page = Page(html)
    assert "10 of 12 cells are done (1 failed, 1 waiting): what is said here is of those." in page.text
    assert "the points of tile3.tif have no class 'water'; give --classes" in page.text
    assert page.texts["h1"] == ["Points per image unfinished"]


def test_settings_that_cells_share_are_listed_and_axes_are_not(folder: Path) -> None:
    kept = read_experiment(folder)
    assert kept.shared == {
        "sample.strategy": "random",
        "train.loss": "weighted-masked-mse",
        "train.encoder": "not given",
    }
    assert kept.differing == {}  # train.seed only takes the values of the axis seed


def test_the_maps_are_the_class_colours_of_the_first_raster(html: str) -> None:
    truth, best, reference = pictures_in(html)
    colours = np.array(list(TABLE.colormap.values()), np.uint8)
    for picture, shift in ((truth, 0), (best, 5), (reference, 1)):
        np.testing.assert_array_equal(picture, colours[quarters(shift)])
    page = Page(html)
    assert "tile1.tif" in page.texts["h3"]
    assert "tile2.tif" not in page.texts["h3"]
    assert any("mIoU 0.310 here" in text for text in page.texts["figcaption"])


def test_rasters_of_one_name_are_told_apart_by_their_folders() -> None:
    tiles = ["in/tile 1/images/a.png", "in/tile 2/images/a.png", "in/tile 2/images/b.png"]
    names = ["tile 1/images/a.png", "tile 2/images/a.png", "tile 2/images/b.png"]
    assert distinct_names(tiles) == dict(zip(tiles, names, strict=True))
    assert distinct_names(["in/1/a.png", "in/1/b.png"]) == {"in/1/a.png": "a.png", "in/1/b.png": "b.png"}
    assert distinct_names(["a.png", "in/a.png"]) == {"a.png": "a.png", "in/a.png": "in/a.png"}


def test_the_head_says_on_how_many_rasters_cells_were_judged_and_when_it_was_begun(folder: Path, html: str) -> None:
    assert read_experiment(folder).n_test_rasters() == [1]
    page = Page(html)
    assert "test rasters" in page.text
    assert "begun" in page.texts["dt"]
    assert "written" not in page.texts["dt"]


def test_the_figures_are_there_as_png_and_svg(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == sorted(
        f"{name}.{form}" for name in ("curves", "ratio", "classes", "maps") for form in ("png", "svg")
    )
    assert all(path.stat().st_size > 1000 for path in (folder / "figures").iterdir())


def test_the_same_results_make_the_same_bytes_also_where_they_were_moved_to(folder: Path, html: str) -> None:
    moved = folder.parent / "moved"
    shutil.copytree(folder, moved)
    shutil.move(folder / "stages", folder / "stages-gone")
    try:
        written = experiment_report(moved)
    finally:
        shutil.move(folder / "stages-gone", folder / "stages")
    assert (moved / "report.html").read_text() == html
    assert (written.n_cells, written.n_done, written.n_failed) == (12, 10, 1)
    for path in (folder / "figures").iterdir():
        assert (moved / "figures" / path.name).read_bytes() == path.read_bytes()


def test_a_map_that_is_gone_is_told_of_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = write_results(tmp_path, {"supervision": ["points", "masks"], "seed": [0]}, report={"examples": 1})
    write_cells(folder)
    shutil.rmtree(folder / "stages" / "points")
    experiment_report(folder)
    page = Page((folder / "report.html").read_text())
    assert len(pictures_in((folder / "report.html").read_text())) == 2  # the truth and the other map
    assert re.search(r"worst: points.* cannot be shown: raster .* does not exist", page.text)


def test_report_takes_the_folder_of_an_experiment(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "out", {"supervision": ["points", "masks"], "seed": [0]})
    written = report(ReportSettings(run=str(folder), cache=str(tmp_path), output=tmp_path / "page.html"))
    assert written.output == str(tmp_path / "page.html")
    assert "One repeat each: no interval can be given" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "figures" / "bars.svg").exists()
    assert not (folder / "report.html").exists()


def test_only_pages_of_ours_are_replaced(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine")
    with pytest.raises(InputError, match="exists already"):
        experiment_report(folder, output=mine)
    assert mine.read_text() == "<p>mine"


def test_a_folder_that_is_no_experiment_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no experiment\.json; give the folder that an experiment wrote"):
        report(ReportSettings(run=str(tmp_path), cache=str(tmp_path)))
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    (tmp_path / "experiment.json").write_text('{"axes": []}')
    with pytest.raises(InputError, match=r"cannot read .*results\.parquet"):
        experiment_report(tmp_path)


def test_values_of_several_kinds_find_their_places_on_the_axis(tmp_path: Path) -> None:
    """Such a column holds text: 10 is "10" there."""
    folder = write_results(tmp_path, {"budget": ["10", "all"]}, score=lambda _: 0.5)
    document = json.loads((folder / "experiment.json").read_text())
    document["axes"][0]["values"] = [10, "all"]
    (folder / "experiment.json").write_text(json.dumps(document))
    assert [cell.at["budget"] for cell in read_experiment(folder).results.cells] == [10, "all"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"x": "points"},
            "report.x = 'points' is no axis of the grid; its axes are sample.n_points, supervision, seed",
        ),
        ({"x": "supervision"}, "report.x = 'supervision' has values that are no numbers"),
        ({"reference": {"model": "unet"}}, "report.reference names 'model', no axis of the grid"),
        ({"reference": {"supervision": "mask"}}, "report.reference has supervision = 'mask', which the grid has not"),
    ],
)
def test_a_report_of_what_the_grid_does_not_have_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        check_report(ExperimentReportSettings(**table), AXES)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"x": "seed"}, "seed is given for two of x, lines, panels and repeats"),
        ({"target_ratio": 0.92}, "target_ratio is a ratio to the reference; give one"),
        ({"metric": "iou"}, "String should match pattern"),
        ({"colour": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_report_table_that_makes_no_sense_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ExperimentReportSettings(**table)
