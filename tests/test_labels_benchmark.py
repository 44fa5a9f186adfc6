"""The arithmetic of `benchmarks/labels.py`, on images made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.pipelines.compare import Scene
from superpoint.points.query import QueryPoints

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("labels")


def scene(truth: NDArray[np.uint8]) -> Scene:
    return Scene(image=np.zeros((1, *truth.shape), np.float32), valid=np.ones(truth.shape, bool), truth=truth)


def points(*places: tuple[int, int, int]) -> QueryPoints:
    rows, cols, values = np.array(places, np.int64).T
    return QueryPoints(rows=rows, cols=cols, values=values.astype(np.int16))


def test_the_squares_are_equal_and_fill_the_image(labels: ModuleType) -> None:
    made = labels.squares((6, 9), 3.0)
    np.testing.assert_array_equal(made, np.kron([[1, 2, 3], [4, 5, 6]], np.ones((3, 3), int)))
    sizes = np.bincount(labels.squares((364, 450), np.sqrt(364 * 450 / 300)).ravel())[1:]
    assert len(sizes) == 16 * 19
    assert sizes.max() - sizes.min() <= 2 * 24


def test_accuracy_is_that_of_labelled_pixels_of_known_truth_and_coverage_of_all(labels: ModuleType) -> None:
    truth = np.array([[0, 0, 1, 1], [0, 1, 255, 255]], np.uint8)
    superpixels = np.array([[1, 1, 2, 2], [1, 1, 2, 3]], np.uint32)
    # Superpixel 1: a tie of 0 and 1 goes to 0, right in 3 of 4. Superpixel 2: 1, right in 2 of 2 known. 3 has no point.
    found = labels.judge(superpixels, points((0, 0, 0), (1, 1, 1), (0, 2, 1)), scene(truth))
    assert found == pytest.approx((5 / 6, 7 / 8, 5 / 6))
    assert labels.judge(superpixels, points((0, 2, 1)), scene(truth)) == pytest.approx((1, 3 / 8, 2 / 6))


def test_every_algorithm_gets_the_same_points(labels: ModuleType) -> None:
    truth = np.random.default_rng(0).integers(0, 3, (40, 40)).astype(np.uint8)
    first, again, other = (labels.draw(scene(truth), 10, seed) for seed in ((0, 1), (0, 1), (1, 1)))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)
    assert np.bincount(first.values).tolist() == [4, 3, 3]
