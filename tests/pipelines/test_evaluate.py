"""Scores of maps that are known by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from smallworld import write_raster

from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.pipelines.evaluate import evaluate
from superpoint.pipelines.settings import EvaluateSettings

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
