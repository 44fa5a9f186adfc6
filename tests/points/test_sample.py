from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.points.sample import sample_balanced

masks = st.lists(
    st.lists(st.sampled_from([0, 0, 0, 1, 1, 5, IGNORE]), min_size=7, max_size=7), min_size=1, max_size=8
).map(lambda rows: np.array(rows, np.uint8))


@given(mask=masks, n_points=st.integers(0, 80), seed=st.integers(0, 9))
def test_points_are_distinct_labelled_pixels_with_the_class_of_their_pixel(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], n_points: int, seed: int
) -> None:
    points = sample_balanced(mask, n_points, rng=np.random.default_rng(seed))
    assert points.inside(mask.shape).all()
    np.testing.assert_array_equal(mask[points.rows, points.cols], points.values)
    assert len(set(zip(points.rows.tolist(), points.cols.tolist(), strict=True))) == len(points)
    assert IGNORE not in points.values


@given(mask=masks, n_points=st.integers(0, 80))
def test_no_class_has_more_points_than_another_that_had_pixels_left(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], n_points: int
) -> None:
    points = sample_balanced(mask, n_points, rng=np.random.default_rng(0))
    available = Counter(mask[mask != IGNORE].tolist())
    drawn = Counter(points.values.tolist())
    assert len(points) == min(n_points, sum(available.values()))
    for label, n_pixels in available.items():
        assert drawn[label] == n_pixels or drawn[label] >= max(drawn.values(), default=0) - 1


def test_what_does_not_divide_evenly_goes_to_the_lowest_classes() -> None:
    mask = np.repeat(np.array([[3, 4, 9]], np.uint8), 20, axis=0)
    points = sample_balanced(mask, 11, rng=np.random.default_rng(0))
    assert Counter(points.values.tolist()) == {3: 4, 4: 4, 9: 3}


def test_the_same_seed_draws_the_same_points_and_another_seed_others() -> None:
    mask = np.random.default_rng(1).integers(0, 3, (50, 50)).astype(np.uint8)
    first, again, other = (sample_balanced(mask, 30, rng=np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal((first.rows, first.cols), (again.rows, again.cols))
    assert not np.array_equal((first.rows, first.cols), (other.rows, other.cols))


def test_every_pixel_of_a_class_can_be_drawn() -> None:
    mask = np.zeros((3, 4), np.uint8)
    seen = {
        (int(points.rows[0]), int(points.cols[0]))
        for points in (sample_balanced(mask, 1, rng=np.random.default_rng(seed)) for seed in range(200))
    }
    assert seen == set(np.ndindex(3, 4))


def test_a_mask_without_labels_gives_no_points() -> None:
    assert len(sample_balanced(np.full((3, 3), IGNORE, np.uint8), 5, rng=np.random.default_rng(0))) == 0
