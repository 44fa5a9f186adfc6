"""Measures that are known by hand, and their brute-force twins."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st

from superpoint.superpixels.quality import (
    achievable_segmentation_accuracy,
    boundary_recall,
    compactness,
    disconnected_ids,
    explained_variation,
    n_superpixels,
    region_sizes,
    seam_ratio,
    undersegmentation_error,
    undersegmentation_error_levin,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    type Labels = NDArray[np.uint32]
    type Truth = NDArray[np.uint8]

AGAINST_TRUTH = [
    achievable_segmentation_accuracy,
    boundary_recall,
    undersegmentation_error,
    undersegmentation_error_levin,
]

LABELS = np.array([[1, 1, 1, 2], [1, 1, 1, 2], [3, 3, 3, 2]], np.uint32)
TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]], np.uint8)
"""By hand: superpixel 1 has 4 + 2 pixels of the classes 0 + 1, superpixel 2 has 0 + 3, superpixel 3 has 1 + 2."""


@st.composite
def maps(draw: st.DrawFn) -> tuple[Labels, Truth]:
    """A label map with nodata, some ids very large, and a truth with ignored pixels."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = np.array([0, 1, 2, 3, 9, draw(st.sampled_from([5, 2**32 - 1]))], np.uint32)
    labels = ids[rng.integers(0, draw(st.integers(1, len(ids))), shape)]
    values = np.array([255, 0, 1, 4], np.uint8)
    return labels, values[rng.integers(0, draw(st.integers(1, len(values))), shape)]


def pixels_of(labels: Labels, truth: Truth) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """The pixels of each superpixel and of each segment, as sets."""
    superpixels: dict[int, set[int]] = {}
    segments: dict[int, set[int]] = {}
    for pixel, (label, value) in enumerate(zip(labels.ravel().tolist(), truth.ravel().tolist(), strict=True)):
        if label != 0 and value != 255:
            superpixels.setdefault(label, set()).add(pixel)
            segments.setdefault(value, set()).add(pixel)
    return superpixels, segments


def neighbours(shape: tuple[int, ...], row: int, col: int) -> Iterator[tuple[int, int]]:
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        if 0 <= row + down < shape[0] and 0 <= col + right < shape[1]:
            yield row + down, col + right


def test_achievable_accuracy_is_counted_by_hand() -> None:
    assert achievable_segmentation_accuracy(LABELS, TRUTH) == pytest.approx((4 + 3 + 2) / 12)


def test_undersegmentation_is_counted_by_hand() -> None:
    # Superpixel 1 spills min(4, 2) over class 0 and min(2, 4) over class 1; superpixel 3 min(1, 2) and min(2, 1).
    assert undersegmentation_error(LABELS, TRUTH) == pytest.approx((2 + 2 + 1 + 1) / 12)


def test_undersegmentation_by_levinshtein_is_counted_by_hand() -> None:
    # Class 0 has 5 pixels under superpixels of 6 + 3; class 1 has 7 under 6 + 3 + 3.
    assert undersegmentation_error_levin(LABELS, TRUTH) == pytest.approx(((9 - 5) / 5 + (12 - 7) / 7) / 2)


@given(maps())
def test_overlap_measures_are_those_of_sets_of_pixels(pair: tuple[Labels, Truth]) -> None:
    superpixels, segments = pixels_of(*pair)
    n_pixels = sum(map(len, segments.values()))
    if not n_pixels:
        assert all(math.isnan(measure(*pair)) for measure in AGAINST_TRUTH)
        return
    best = sum(max(len(s & g) for g in segments.values()) for s in superpixels.values())
    spilt = sum(min(len(s & g), len(s - g)) for s, g in product(superpixels.values(), segments.values()))
    covers = [sum(len(s) for s in superpixels.values() if s & g) / len(g) - 1 for g in segments.values()]
    assert achievable_segmentation_accuracy(*pair) == pytest.approx(best / n_pixels)
    assert undersegmentation_error(*pair) == pytest.approx(spilt / n_pixels)
    assert undersegmentation_error_levin(*pair) == pytest.approx(np.mean(covers))


def test_boundary_recall_is_counted_by_hand() -> None:
    # True boundary pixels: cols 1 and 2 of rows 0 and 1, cols 0 and 1 of row 2.
    # Superpixel boundary pixels: cols 2 and 3 of row 0, all of rows 1 and 2. Only (0, 1) is missed.
    assert boundary_recall(LABELS, TRUTH, tolerance=0) == pytest.approx(5 / 6)
    assert boundary_recall(LABELS, TRUTH, tolerance=1) == 1


@given(maps(), st.integers(0, 3))
def test_boundary_recall_is_that_of_a_search_around_each_pixel(pair: tuple[Labels, Truth], tolerance: int) -> None:
    labels, truth = pair
    cells = list(product(*map(range, labels.shape)))
    found = {
        cell for cell in cells if any(0 != labels[cell] != labels[n] != 0 for n in neighbours(labels.shape, *cell))
    }
    counted = (labels != 0) & (truth != 255)
    true = [
        cell
        for cell in cells
        if any(counted[cell] and counted[n] and truth[cell] != truth[n] for n in neighbours(labels.shape, *cell))
    ]
    near = [any(max(abs(r - row), abs(c - col)) <= tolerance for r, c in found) for row, col in true]
    assert boundary_recall(labels, truth, tolerance=tolerance) == pytest.approx(
        np.mean(near) if near else math.nan, nan_ok=True
    )


def test_the_tolerance_reaches_a_corner_but_not_a_pixel_further() -> None:
    labels, truth = np.ones((9, 9), np.uint32), np.zeros((9, 9), np.uint8)
    labels[0, 0] = 2  # boundary pixels (0, 0), (0, 1), (1, 0)
    truth[4, 4] = 1  # boundary pixels (4, 4) and its four neighbours; (3, 4) is 3 rows and 3 cols from (0, 1)
    assert boundary_recall(labels, truth, tolerance=2) == 0
    assert boundary_recall(labels, truth, tolerance=3) == pytest.approx(2 / 5)


def test_a_step_to_an_ignored_pixel_is_no_true_boundary() -> None:
    assert math.isnan(boundary_recall(np.array([[1, 2]], np.uint32), np.array([[0, 255]], np.uint8)))


def test_another_ignore_value_can_be_given() -> None:
    truth = np.where(TRUTH == 0, 9, TRUTH)
    assert achievable_segmentation_accuracy(LABELS, truth, ignore=9) == 1
    assert achievable_segmentation_accuracy(LABELS, truth) < 1


def test_explained_variation_is_counted_by_hand() -> None:
    image = np.array([[[0, 2, 9]], [[4, 4, 9]]], np.float32)
    labels = np.array([[1, 2, 0]], np.uint32)
    assert explained_variation(labels, image) == 1  # each superpixel is one pixel
    assert explained_variation(np.array([[1, 1, 0]], np.uint32), image) == 0  # one superpixel is everything
    assert math.isnan(explained_variation(labels, np.ones((2, 1, 3), np.float32)))


@given(maps())
def test_explained_variation_is_the_r2_of_the_means_of_superpixels(pair: tuple[Labels, Truth]) -> None:
    labels = pair[0]
    image = np.random.default_rng(labels.size).random((1, *labels.shape), np.float32)
    values = image[0, labels != 0]
    ids = labels[labels != 0]
    if len(values) < 2:
        assert math.isnan(explained_variation(labels, image))
        return
    means = {label: values[ids == label].mean(dtype=np.float64) for label in np.unique(ids).tolist()}
    unexplained = np.mean([(value - means[i]) ** 2 for value, i in zip(values.tolist(), ids.tolist(), strict=True)])
    expected = 1 - unexplained / values.var(dtype=np.float64)
    assert explained_variation(labels, image) == pytest.approx(expected, abs=1e-6)


def test_the_compactness_of_a_rectangle_is_known() -> None:
    labels = np.zeros((6, 9), np.uint32)
    labels[1:4, 1:8] = 5  # 3 x 7
    assert compactness(labels) == pytest.approx(4 * np.pi * 21 / 20**2)
    assert compactness(np.ones((4, 4), np.uint32)) == pytest.approx(np.pi / 4)
    assert math.isnan(compactness(np.zeros((4, 4), np.uint32)))


@given(maps())
def test_compactness_is_that_of_sides_counted_one_by_one(pair: tuple[Labels, Truth]) -> None:
    labels = pair[0]
    areas: Counter[int] = Counter()
    perimeters: Counter[int] = Counter()
    for row, col in product(*map(range, labels.shape)):
        label = int(labels[row, col])
        alike = sum(labels[n] == label for n in neighbours(labels.shape, row, col))
        areas[label] += 1
        perimeters[label] += 4 - int(alike)
    del areas[0]
    quotients = [area * 4 * math.pi * area / perimeters[label] ** 2 for label, area in areas.items()]
    expected = sum(quotients) / areas.total() if areas else math.nan
    assert compactness(labels) == pytest.approx(expected, nan_ok=True)


@given(maps())
def test_sizes_and_numbers_of_superpixels_are_those_of_numpy(pair: tuple[Labels, Truth]) -> None:
    ids, sizes = np.unique(pair[0][pair[0] != 0], return_counts=True)
    np.testing.assert_array_equal(region_sizes(pair[0]), sizes)
    assert region_sizes(pair[0]).dtype == np.int64
    assert n_superpixels(pair[0]) == len(ids)


@given(maps())
def test_disconnected_ids_are_those_with_several_pieces_of_scikit_image(pair: tuple[Labels, Truth]) -> None:
    labels = pair[0]
    n_pieces = [skimage.measure.label(labels == i, connectivity=1).max() for i in np.unique(labels) if i]
    assert disconnected_ids(labels) == sum(n > 1 for n in n_pieces)


def test_pixels_that_touch_at_a_corner_are_disconnected() -> None:
    assert disconnected_ids(np.array([[1, 2], [2, 1]], np.uint32)) == 2
    assert disconnected_ids(np.array([[1, 2], [1, 2]], np.uint32)) == 0


@pytest.mark.parametrize("measure", AGAINST_TRUTH)
def test_a_truth_of_another_shape_is_refused(measure: object) -> None:
    with pytest.raises(ValueError, match=r"labels have rows and cols \(3, 4\), the truth has \(2, 4\)"):
        measure(LABELS, TRUTH[:2])  # type: ignore[operator]  # one of the four functions


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the image has"):
        explained_variation(LABELS, np.zeros((3, 2, 4), np.float32))


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance must be 0 pixels or more, got -1"):
        boundary_recall(LABELS, TRUTH, tolerance=-1)


def test_the_ratio_is_counted_by_hand_on_a_small_map() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 3], [4, 4, 4, 4], [4, 4, 4, 4]], np.uint32)
    # Down: across the edge between rows 1 and 2, 4 of 4 steps change; elsewhere 1 of 8.
    # Across: between cols 1 and 2, 2 of 4 steps change; elsewhere 1 of 8.
    assert seam_ratio(labels, 2) == (pytest.approx(1 / (1 / 8)), pytest.approx((2 / 4) / (1 / 8)))


def test_random_labels_have_no_seam() -> None:
    labels = np.random.default_rng(0).integers(1, 5, (600, 600)).astype(np.uint32)
    assert seam_ratio(labels, 60) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))


def test_a_map_of_one_tile_has_no_tile_edges() -> None:
    assert all(math.isnan(ratio) for ratio in seam_ratio(np.ones((50, 60), np.uint32), 64))
