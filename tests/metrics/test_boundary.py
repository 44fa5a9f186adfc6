"""Boundary IoU against the authors' definition, against a brute-force twin, and cut into tiles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from superpoint.metrics import ClassCounts, boundary_counts, default_width
from superpoint.tiles import TileGrid

MAPS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255])),
        arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])),
    )
)


def counts_of(found: ClassCounts) -> list[list[int]]:
    return [found.both.tolist(), found.true.tolist(), found.predicted.tolist()]


def twin(truth: np.ndarray, predicted: np.ndarray, width: int) -> list[list[int]]:
    """Pixel by pixel: is there another class within the width, where the truth is labelled?"""
    predicted = np.where(predicted < 3, predicted, 3)
    counts = np.zeros((3, 4), int)
    for row, col in np.argwhere(truth != 255):
        window = np.s_[max(0, row - width) : row + width + 1, max(0, col - width) : col + width + 1]
        known = truth[window] != 255
        true, guess = truth[row, col], predicted[row, col]
        in_true = bool((truth[window][known] != true).any())
        in_guess = bool((predicted[window][known] != guess).any())
        counts[0, true] += in_true and in_guess and true == guess
        counts[1, true] += in_true
        counts[2, guess] += in_guess
    return counts[:, :3].tolist()


@given(maps=MAPS, width=st.integers(1, 4))
def test_the_counts_are_those_of_a_loop_over_pixels(maps: tuple[np.ndarray, np.ndarray], width: int) -> None:
    truth, predicted = maps
    assert counts_of(boundary_counts(truth, predicted, 3, width=width)) == twin(truth, predicted, width)


@given(maps=MAPS, width=st.integers(1, 4), size=st.integers(1, 5))
def test_tiles_that_read_the_width_around_them_add_up_to_the_whole(
    maps: tuple[np.ndarray, np.ndarray], width: int, size: int
) -> None:
    truth, predicted = maps
    total = ClassCounts.none(3)
    for tile in TileGrid(shape=truth.shape, size=size, halo=width):
        window, core = tile.read.slices, tile.core.within(tile.read)
        total += boundary_counts(truth[window], predicted[window], 3, width=width, core=core)
    assert counts_of(total) == counts_of(boundary_counts(truth, predicted, 3, width=width))


@given(maps=MAPS, width=st.integers(1, 4))
def test_what_the_map_says_where_the_truth_is_unlabelled_does_not_matter(
    maps: tuple[np.ndarray, np.ndarray], width: int
) -> None:
    truth, predicted = maps
    other = np.where(truth == 255, (predicted + 1) % 3, predicted)
    found = [counts_of(boundary_counts(truth, p, 3, width=width)) for p in (predicted, other)]
    assert found[0] == found[1]


@given(maps=MAPS, width=st.integers(1, 4))
def test_a_map_that_is_right_wherever_the_truth_is_labelled_scores_1_or_nothing(
    maps: tuple[np.ndarray, np.ndarray], width: int
) -> None:
    truth, predicted = maps
    iou = boundary_counts(truth, np.where(truth == 255, predicted, truth), 3, width=width).iou
    assert (np.isnan(iou) | (iou == 1)).all()


def blobs(seed: int) -> np.ndarray:
    """Three classes with smooth outlines."""
    noise = np.random.default_rng(seed).normal(size=(90, 120)).astype(np.float32)
    return np.digitize(cv2.GaussianBlur(noise, (0, 0), 6), [-0.02, 0.02]).astype(np.uint8)


@pytest.mark.parametrize("width", [1, 3, 7])
def test_it_is_the_iou_of_what_erosions_take_away_as_in_the_authors_code(width: int) -> None:
    truth, predicted = blobs(1), np.roll(blobs(1), (1, 2), (0, 1))
    square = np.ones((3, 3), np.uint8)
    expected = []
    for value in range(3):
        masks = [(image == value).astype(np.uint8) for image in (truth, predicted)]
        bands = [mask - cv2.erode(mask, square, iterations=width) for mask in masks]
        expected.append((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())
    np.testing.assert_allclose(boundary_counts(truth, predicted, 3, width=width).iou, expected)


def test_with_a_band_as_wide_as_the_raster_it_is_the_iou() -> None:
    truth, predicted = blobs(2), blobs(3)
    iou = [((truth == v) & (predicted == v)).sum() / ((truth == v) | (predicted == v)).sum() for v in range(3)]
    np.testing.assert_allclose(boundary_counts(truth, predicted, 3, width=120).iou, iou)


def test_a_blurred_outline_costs_more_than_it_does_of_the_iou() -> None:
    """A field of 100 x 100 pixels whose outline is off by two: IoU 0.92, in a band of 4 pixels 0.33."""
    truth, predicted = np.zeros((2, 140, 140), np.uint8)
    truth[20:120, 20:120] = 1
    predicted[22:118, 22:118] = 1
    outer, inner = 100**2 - 92**2, 96**2 - 88**2
    both = 96**2 - 92**2
    assert boundary_counts(truth, predicted, 2, width=4).iou[1] == pytest.approx(both / (outer + inner - both))


def test_the_edge_of_the_raster_is_no_outline() -> None:
    truth = np.zeros((6, 6), np.uint8)
    assert counts_of(boundary_counts(truth, truth, 1, width=2)) == [[0], [0], [0]]


@pytest.mark.parametrize("n_classes", [254, 255])
def test_as_many_classes_as_a_mask_can_hold_are_told_apart(n_classes: int) -> None:
    last = n_classes - 1
    truth = np.array([[last, last, 0, 255]], np.uint8)
    predicted = np.array([[last, 255, 0, 0]], np.uint8)
    found = boundary_counts(truth, predicted, n_classes, width=1)
    assert (found.true[last], found.predicted[last], found.both[last]) == (1, 1, 0)
    assert (found.true[0], found.predicted[0], found.both[0]) == (1, 1, 1)
    assert found.true.sum() == found.predicted.sum() == 2


def test_the_default_width_is_2_percent_of_the_diagonal_within_bounds() -> None:
    assert [default_width(shape) for shape in ((480, 640), (3, 3), (10**6, 10**6))] == [16, 1, 256]


@pytest.mark.parametrize(("shape", "width", "reason"), [((2, 2), 1, r"\(2, 2\)"), ((1, 2), 0, "at least 1")])
def test_what_cannot_be_counted_is_refused(shape: tuple[int, int], width: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        boundary_counts(np.zeros((1, 2), int), np.zeros(shape, int), 1, width=width)
