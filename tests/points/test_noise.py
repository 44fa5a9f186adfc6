from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.points.noise import AnnotatorNoise
from superpoint.points.query import QueryPoints

SHAPE = (400, 500)


def points_of(n: int, n_classes: int = 3) -> QueryPoints:
    rng = np.random.default_rng(9)
    rows, cols = rng.integers(0, SHAPE[0], n), rng.integers(0, SHAPE[1], n)
    return QueryPoints(rows=rows, cols=cols, values=rng.integers(0, n_classes, n).astype(np.int16))


def test_an_annotator_without_noise_says_what_is_true() -> None:
    true = points_of(100)
    made = AnnotatorNoise(n_classes=3).annotate(true, SHAPE, rng=np.random.default_rng(0))
    for axis in ("rows", "cols", "values"):
        np.testing.assert_array_equal(getattr(made.points, axis), getattr(true, axis))
    assert made.true.tolist() == list(range(100))


def test_classes_are_wrong_as_often_as_asked_and_each_of_the_others_alike() -> None:
    true = points_of(60_000)
    made = AnnotatorNoise(n_classes=3, wrong=0.3).annotate(true, SHAPE, rng=np.random.default_rng(0))
    shares = np.histogram2d(true.values, made.points.values, bins=3)[0] / np.bincount(true.values)[:, None]
    expected = np.full((3, 3), 0.15) + np.eye(3) * 0.55
    np.testing.assert_allclose(shares, expected, atol=0.015)  # 20,000 draws a class: five standard deviations


def test_a_confusion_matrix_says_which_class_is_taken_for_which() -> None:
    confusion = np.array([[80, 20, 0], [0, 1, 0], [30, 10, 60]], np.float64)
    alone = AnnotatorNoise(n_classes=3, confusion=confusion)
    np.testing.assert_allclose(alone.transitions(), [[0.8, 0.2, 0], [0, 1, 0], [0.3, 0.1, 0.6]])
    # With a probability the diagonal does not count, and a class that is never taken for another stays.
    given_wrong = AnnotatorNoise(n_classes=3, confusion=confusion, wrong=0.5)
    np.testing.assert_allclose(given_wrong.transitions(), [[0.5, 0.5, 0], [0, 1, 0], [0.375, 0.125, 0.5]])
    made = alone.annotate(points_of(60_000), SHAPE, rng=np.random.default_rng(0))
    true = points_of(60_000).values
    shares = np.histogram2d(true, made.points.values, bins=3)[0] / np.bincount(true)[:, None]
    np.testing.assert_allclose(shares, alone.transitions(), atol=0.015)
    assert shares[0, 2] == shares[1, 0] == shares[1, 2] == 0


@given(weights=st.lists(st.floats(0, 1e9), min_size=16, max_size=16), wrong=st.none() | st.floats(0, 1))
def test_the_probabilities_of_every_class_add_up_to_one(weights: list[float], wrong: float | None) -> None:
    noise = AnnotatorNoise(n_classes=4, confusion=np.array(weights).reshape(4, 4), wrong=wrong)
    np.testing.assert_allclose(noise.transitions().sum(axis=1), 1)


def test_clicks_lie_about_the_pixel_as_a_normal_deviate_says() -> None:
    true = QueryPoints(rows=np.full(40_000, 200), cols=np.full(40_000, 250), values=np.zeros(40_000, np.int16))
    made = AnnotatorNoise(n_classes=1, jitter_px=3).annotate(true, SHAPE, rng=np.random.default_rng(0)).points
    for moved in (made.rows - 200, made.cols - 250):
        assert abs(moved.mean()) < 0.1
        assert abs(moved.std() - np.sqrt(9 + 1 / 12)) < 0.1  # of the deviate, and of rounding to pixels


def test_the_same_labels_are_wrong_at_any_jitter() -> None:
    true = points_of(500)
    still, moved = (
        AnnotatorNoise(n_classes=3, wrong=0.4, jitter_px=jitter).annotate(true, SHAPE, rng=np.random.default_rng(4))
        for jitter in (0, 5)
    )
    np.testing.assert_array_equal(still.points.values, moved.points.values)
    assert not np.array_equal(still.points.rows, moved.points.rows)


@pytest.mark.parametrize("off_raster", ["clip", "drop"])
def test_a_click_off_the_raster_is_clipped_or_dropped(off_raster: Any) -> None:  # noqa: ANN401  # a parameter
    true = QueryPoints(rows=np.zeros(1000, np.int64), cols=np.arange(1000) % 3, values=np.zeros(1000, np.int16))
    noise = AnnotatorNoise(n_classes=1, jitter_px=2, off_raster=off_raster)
    made = noise.annotate(true, (2, 3), rng=np.random.default_rng(0))
    assert made.points.inside((2, 3)).all()
    if off_raster == "clip":
        assert len(made.points) == 1000
    else:
        assert 0 < len(made.points) < 500
        assert (np.diff(made.true) > 0).all()
        clipped = AnnotatorNoise(n_classes=1, jitter_px=2).annotate(true, (2, 3), rng=np.random.default_rng(0))
        np.testing.assert_array_equal(clipped.points.rows[made.true], made.points.rows)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"wrong": 1.2}, "wrong must be a probability from 0 to 1, got 1.2"),
        ({"n_classes": 1, "wrong": 0.1}, "with one class none can be taken for another"),
        ({"jitter_px": -1}, "jitter must be at least 0 pixels, got -1"),
        ({"jitter_px": float("nan")}, "jitter must be at least 0 pixels, got nan"),
        ({"off_raster": "wrap"}, "off_raster must be clip or drop, got 'wrap'"),
        ({"confusion": np.ones((2, 3))}, "the confusion matrix has 2 x 3 entries; 3 classes need 3 x 3"),
        ({"confusion": -np.ones((3, 3))}, "the confusion matrix holds numbers that are negative or not finite"),
    ],
)
def test_noise_that_cannot_be_is_refused_in_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        AnnotatorNoise(**({"n_classes": 3} | settings))
    assert str(caught.value).startswith(sentence)
