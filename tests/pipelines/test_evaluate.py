"""Scores of maps that are known by hand."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rich.console import Console
from smallworld import write_raster

import superpoint.pipelines.evaluate as judging
from superpoint.cache.tables import read_class_table
from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.metrics import boundary_counts
from superpoint.pipelines.evaluate import Evaluation, evaluate
from superpoint.pipelines.settings import EvaluateSettings
from superpoint.pipelines.summaries import of_evaluation

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.toml"
    path.write_text('[[class]]\nname = "a"\n[[class]]\nname = "b"\n')
    return path


def values(path: Path, rows: list[list[int]]) -> Path:
    return write_raster(path, np.array([rows], np.uint8), nodata=255)


def test_scores_are_those_counted_by_hand(tmp_path: Path, classes: Path) -> None:
    made = values(tmp_path / "map.tif", [[0, 0, 1, 1], [0, 1, 255, 1]])
    truth = values(tmp_path / "truth.tif", [[0, 0, 0, 1], [0, 1, 1, 255]])
    scores = evaluate(EvaluateSettings(maps=[made], truth=[truth], classes=classes))
    # a: 3 of 4 found, none wrongly; b: 2 of 3 found (one is unlabelled in the map), one wrongly.
    assert scores.confusion == [[3, 1, 0], [0, 2, 1]]
    assert scores.classes["a"]["iou"] == pytest.approx(3 / 4)
    assert scores.classes["b"]["iou"] == pytest.approx(2 / 4)
    assert scores.miou == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert scores.pixel_accuracy == pytest.approx(5 / 7)


def test_several_maps_share_one_confusion_matrix(tmp_path: Path, classes: Path) -> None:
    right = values(tmp_path / "right.tif", [[0, 1]])
    wrong = values(tmp_path / "wrong.tif", [[1, 1, 1, 1]])
    truth = values(tmp_path / "truth.tif", [[0, 0, 0, 0]])
    scores = evaluate(EvaluateSettings(maps=[right, wrong], truth=[right, truth], classes=classes))
    assert scores.confusion == [[1, 4, 0], [0, 1, 0]]


def test_a_truth_of_another_shape_is_refused(tmp_path: Path, classes: Path) -> None:
    made, truth = values(tmp_path / "map.tif", [[0, 1]]), values(tmp_path / "truth.tif", [[0, 1, 0]])
    with pytest.raises(InputError, match=r"truth\.tif has 1 x 3 pixels and .*map\.tif 1 x 2"):
        evaluate(EvaluateSettings(maps=[made], truth=[truth], classes=classes))


def test_each_map_needs_its_truth(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 maps and 1 truths"):
        EvaluateSettings(maps=[tmp_path, tmp_path], truth=[tmp_path])


def test_a_truth_that_lies_elsewhere_is_refused(tmp_path: Path, classes: Path) -> None:
    made = values(tmp_path / "map.tif", [[0, 1]])
    moved = rasterio.transform.from_origin(500_010, 4_600_000, 2, 2)
    truth = write_raster(tmp_path / "truth.tif", np.array([[[0, 1]]], np.uint8), transform=moved)
    with pytest.raises(InputError, match=r"truth\.tif and .*map\.tif lie on different grids"):
        evaluate(EvaluateSettings(maps=[made], truth=[truth], classes=classes))


def test_codes_that_the_points_table_renumbered_are_not_read_as_values(tmp_path: Path) -> None:
    """Points with the codes 1 and 2 and no table became the values 0 and 1; a truth in codes must not pass."""
    tags = json.dumps(ClassTable.from_names(["1", "2"]).to_dict())
    made = values(tmp_path / "map.tif", [[0, 1]])
    with rasterio.open(made, "r+") as dataset:
        dataset.update_tags(SUPERPOINT_CLASSES=tags)
    truth = values(tmp_path / "truth.tif", [[1, 2]])
    with pytest.raises(InputError, match="give both one table with --classes"):
        evaluate(EvaluateSettings(maps=[made], truth=[truth]))


def mosaic(folder: Path, name: str, *, seed: int, shape: tuple[int, int] = (60, 80)) -> tuple[Path, Path]:
    """A map and a truth of two classes, with some pixels of each unlabelled."""
    rng = np.random.default_rng(seed)
    truth = (np.indices(shape).sum(axis=0) // 20 % 2).astype(np.uint8)
    made = np.roll(truth, seed % 4, axis=1)
    for mask in (truth, made):
        mask[rng.random(shape) < 0.05] = 255
    return tuple(
        write_raster(folder / f"{name}-{kind}.tif", mask[None], nodata=255)
        for kind, mask in (("map", made), ("truth", truth))
    )


def evaluated(pairs: list[tuple[Path, Path]], classes: Path, **settings: object) -> Evaluation:
    maps, truths = (list(paths) for paths in zip(*pairs, strict=True))
    return evaluate(EvaluateSettings(maps=maps, truth=truths, classes=classes, **settings))


@pytest.mark.parametrize("width", [1, 5])
def test_blocks_give_the_boundary_iou_of_the_whole(
    tmp_path: Path, classes: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = mosaic(tmp_path, "a", seed=2)
    made, truth = (rasterio.open(path).read(1) for path in pair)
    expected = boundary_counts(truth, made, 2, width=width)
    for block in (7, 32, 2048):
        monkeypatch.setattr(judging, "BLOCK", block)
        scores = evaluated([pair], classes, boundary_width=width)
        assert [scores.classes[name]["boundary_iou"] for name in "ab"] == pytest.approx(expected.iou.tolist())
        assert scores.boundary_miou == pytest.approx(float(expected.miou))


def test_the_boundary_is_2_percent_of_each_rasters_diagonal_wide_or_as_asked_or_left_out(
    tmp_path: Path, classes: Path
) -> None:
    pairs = [mosaic(tmp_path, "a", seed=1), mosaic(tmp_path, "b", seed=1, shape=(300, 400))]
    assert [one.boundary_width_px for one in evaluated(pairs, classes).rasters] == [2, 10]
    assert [one.boundary_width_px for one in evaluated(pairs, classes, boundary_width=4).rasters] == [4, 4]
    without = evaluated(pairs, classes, boundary_width=0)
    assert without.boundary_miou is without.classes["a"]["boundary_iou"] is None


def test_several_maps_have_a_row_each_that_is_what_they_score_alone(tmp_path: Path, classes: Path) -> None:
    pairs = [mosaic(tmp_path, name, seed=seed) for seed, name in enumerate("abc")]
    together = evaluated(pairs, classes)
    for row, pair in zip(together.rasters, pairs, strict=True):
        alone = evaluated([pair], classes)
        assert (row.map, row.truth) == (str(pair[0]), str(pair[1]))
        assert (row.miou, row.micro_iou, row.boundary_miou) == (alone.miou, alone.micro_iou, alone.boundary_miou)
        assert row.iou == {name: scores["iou"] for name, scores in alone.classes.items()}
    assert together.n_pixels == sum(row.n_pixels for row in together.rasters)


def test_intervals_come_from_the_rasters_hold_the_score_and_repeat(tmp_path: Path, classes: Path) -> None:
    pairs = [mosaic(tmp_path, name, seed=seed) for seed, name in enumerate("abcdef")]
    scores = evaluated(pairs, classes, bootstrap=200)
    found = scores.intervals
    assert (found.level, found.n_resamples, found.n_rasters, found.seed) == (0.95, 200, 6, 0)
    for name, (low, high) in found.means.items():
        assert low < getattr(scores, name) < high, name
    for name, ends in found.classes["a"].items():
        assert ends[0] < scores.classes["a"][name] < ends[1], name
    assert evaluated(pairs, classes, bootstrap=200).intervals == found
    assert evaluated(pairs, classes, bootstrap=200, seed=1).intervals != found
    assert evaluated(pairs, classes, bootstrap=0).intervals is None


def test_a_single_raster_has_no_interval_and_the_summary_says_why(tmp_path: Path, classes: Path) -> None:
    scores = evaluated([mosaic(tmp_path, "a", seed=1)], classes)
    assert scores.intervals is None
    assert "no intervals: they come from resampling rasters, and there is one" in shown(scores)


def shown(scores: Evaluation) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(of_evaluation(scores))
    return console.export_text()


def test_the_summary_has_a_row_a_class_and_a_row_a_map(tmp_path: Path, classes: Path) -> None:
    pairs = [mosaic(tmp_path, name, seed=seed) for seed, name in enumerate("ab")]
    text = shown(evaluated(pairs, classes, boundary_width=3))
    for words in ("boundary mIoU", "micro IoU", "kappa", "3 px", "95% of 1,000 resamples of the 2 rasters"):
        assert words in text
    assert all(str(pair[0]) in text for pair in pairs)


def test_an_error_map_holds_the_true_class_where_the_map_is_wrong_and_lies_where_the_truth_does(
    tmp_path: Path, classes: Path
) -> None:
    made = values(tmp_path / "map.tif", [[0, 0, 1, 1], [0, 1, 255, 1]])
    truth = values(tmp_path / "truth.tif", [[0, 1, 0, 1], [0, 1, 1, 255]])
    scores = evaluated([(made, truth)], classes, error_map=tmp_path / "errors.tif")
    assert scores.rasters[0].error_map == str(tmp_path / "errors.tif")
    with rasterio.open(tmp_path / "errors.tif") as errors, rasterio.open(truth) as true:
        np.testing.assert_array_equal(errors.read(1), [[254, 1, 0, 254], [254, 254, 1, 255]])
        assert (errors.crs, errors.transform, errors.nodata) == (true.crs, true.transform, 255)
        assert errors.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        table = read_class_table(classes).colormap
        assert [errors.colormap(1)[value][:3] for value in (0, 1, 254)] == [table[0], table[1], (236, 236, 236)]
        assert json.loads(errors.tags()["SUPERPOINT_ERRORS"])["wrong"] == {"0": "a", "1": "b"}


def test_error_maps_of_several_maps_go_to_a_folder_and_agree_with_the_accuracy(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BLOCK", 32)
    pairs = [mosaic(tmp_path, name, seed=seed) for seed, name in enumerate("ab")]
    scores = evaluated(pairs, classes, error_map=tmp_path / "errors")
    assert sorted(path.name for path in (tmp_path / "errors").iterdir()) == ["a-map.errors.tif", "b-map.errors.tif"]
    for row in scores.rasters:
        errors = rasterio.open(row.error_map).read(1)
        assert (errors == 254).sum() / (errors != 255).sum() == row.pixel_accuracy


def test_an_error_map_replaces_nothing_by_itself_and_no_input_ever(tmp_path: Path, classes: Path) -> None:
    made, truth = pair = mosaic(tmp_path, "a", seed=1)
    (tmp_path / "errors.tif").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"errors\.tif exists already; give --overwrite"):
        evaluated([pair], classes, error_map=tmp_path / "errors.tif")
    assert (tmp_path / "errors.tif").read_bytes() == b"precious"
    evaluated([pair], classes, error_map=tmp_path / "errors.tif", overwrite=True)
    assert rasterio.open(tmp_path / "errors.tif").count == 1
    for path, what in ((truth, "is a truth"), (made, "is an input")):
        with pytest.raises(InputError, match=rf"{path.name} {what}"):
            evaluated([pair], classes, error_map=path, overwrite=True)


def test_a_truth_without_a_label_scores_nothing(tmp_path: Path, classes: Path) -> None:
    made, truth = values(tmp_path / "map.tif", [[0, 1]]), values(tmp_path / "truth.tif", [[255, 255]])
    scores = evaluated([(made, truth)], classes)
    assert (scores.miou, scores.micro_iou, scores.kappa, scores.boundary_miou, scores.n_pixels) == (*[None] * 4, 0)
    assert "mIoU -" in shown(scores)


def test_maps_of_different_classes_are_refused_before_anything_is_judged(tmp_path: Path) -> None:
    pairs = [mosaic(tmp_path, name, seed=1) for name in "ab"]
    for (made, _), names in zip(pairs, (["a", "b"], ["b", "a"]), strict=True):
        with rasterio.open(made, "r+") as dataset:
            dataset.update_tags(SUPERPOINT_CLASSES=json.dumps(ClassTable.from_names(names).to_dict()))
    maps, truths = (list(paths) for paths in zip(*pairs, strict=True))
    with pytest.raises(
        InputError, match=r"b-map\.tif has the classes b, a, and .*a-map\.tif has a, b; judge them apart"
    ):
        evaluate(EvaluateSettings(maps=maps, truth=truths, error_map=tmp_path / "errors"))
    assert not list((tmp_path / "errors").iterdir())
