"""Areas, boxes, means and deviations: against SciPy, scikit-image and exact fractions."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import mosaic
from scipy import ndimage
from skimage.measure import regionprops_table

from superpoint.superpixels.statistics import Statistics, measure, merge
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = mosaic((40, 60))
IDS = np.unique(LABELS[LABELS > 0])
IMAGE = np.random.default_rng(1).normal(100, 20, (3, 40, 60)).astype(np.float32)


def in_tiles(labels: NDArray[np.uint32], image: NDArray[np.float32], size: int) -> list[Statistics]:
    windows = [tile.core for tile in TileGrid(shape=labels.shape, size=size)]
    return [measure(labels[w.slices], image[:, *w.slices], row=w.row, col=w.col) for w in windows]


def same(one: Statistics, other: Statistics) -> None:
    """Assert that two are the same, up to the order in which numbers were added."""
    for field in fields(Statistics):
        exact = field.name not in ("means", "squares")
        tolerance = {"rtol": 0} if exact else {"rtol": 1e-12, "atol": 1e-9}
        np.testing.assert_allclose(getattr(one, field.name), getattr(other, field.name), **tolerance)
        assert getattr(one, field.name).dtype == getattr(other, field.name).dtype


def test_means_and_deviations_are_those_of_scipy() -> None:
    found = measure(LABELS, IMAGE)
    np.testing.assert_array_equal(found.ids, IDS)
    for band, values in enumerate(IMAGE.astype(np.float64)):
        np.testing.assert_allclose(found.mean(band), ndimage.mean(values, LABELS, IDS), rtol=1e-13)
        np.testing.assert_allclose(found.std(band), ndimage.standard_deviation(values, LABELS, IDS), atol=1e-12)


def test_areas_and_boxes_are_those_of_scikit_image() -> None:
    ranks = np.searchsorted(np.append(0, IDS), LABELS)  # scikit-image takes no ids above 2^31
    truth = regionprops_table(ranks, properties=("area", "bbox"))
    found = measure(LABELS, IMAGE, row=1000, col=2000)
    np.testing.assert_array_equal(found.areas, truth["area"])
    np.testing.assert_array_equal(found.row_min - 1000, truth["bbox-0"])
    np.testing.assert_array_equal(found.col_min - 2000, truth["bbox-1"])
    np.testing.assert_array_equal(found.row_max - 1000, truth["bbox-2"] - 1)  # its boxes are half open
    np.testing.assert_array_equal(found.col_max - 2000, truth["bbox-3"] - 1)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), size=st.integers(1, 30), rows=st.integers(1, 30), cols=st.integers(1, 30))
def test_tiles_merged_say_what_the_whole_raster_says(seed: int, size: int, rows: int, cols: int) -> None:
    labels, image = mosaic((rows, cols), seed), IMAGE[:, :rows, :cols]
    same(merge(in_tiles(labels, image, size)), measure(labels, image))


def test_the_order_and_grouping_of_tiles_does_not_matter() -> None:
    parts = in_tiles(LABELS, IMAGE, 16)
    same(merge(parts[::-1]), merge([merge(parts[:5]), merge(parts[5:])]))


def test_a_large_offset_costs_no_digits() -> None:
    values = 2**23 + np.random.default_rng(0).integers(0, 3, (1, 40, 60)).astype(np.float32)
    found = merge(in_tiles(LABELS, values, 7))
    for number, label in enumerate(IDS):
        exact = [Fraction(float(value)) for value in values[0][label == LABELS]]
        mean = sum(exact) / len(exact)
        variance = sum((value - mean) ** 2 for value in exact) / len(exact)
        assert found.mean(0)[number] == pytest.approx(float(mean), rel=1e-15)
        # Merging knows the tiles' means to half a unit in the last place of the offset, 1e-9.
        assert found.std(0)[number] ** 2 == pytest.approx(float(variance), rel=1e-8)


def test_a_constant_superpixel_has_no_deviation_at_all() -> None:
    found = measure(LABELS, np.full((1, 40, 60), 0.1, np.float32))
    assert not found.std(0).any()
    assert (found.mean(0) == np.float32(0.1)).all()


def test_values_that_are_not_finite_are_left_out_band_by_band() -> None:
    labels = np.array([[5, 5, 5, 8]], np.uint32)
    image = np.array([[[1, np.nan, 3, np.nan]], [[np.inf, 4, 6, 7]]], np.float32)
    found = measure(labels, image)
    assert found.areas.tolist() == [3, 1]
    assert found.counts.tolist() == [[2, 2], [0, 1]]
    np.testing.assert_array_equal([found.mean(0), found.std(0)], [[2, np.nan], [1, np.nan]])
    np.testing.assert_array_equal([found.mean(1), found.std(1)], [[5, 7], [1, 0]])


def test_a_tile_without_a_value_does_not_pull_the_mean() -> None:
    labels = np.array([[5, 5]], np.uint32)
    parts = [measure(labels, np.full((1, 1, 2), value, np.float32)) for value in (np.nan, 7, np.nan)]
    assert (merge(parts).mean(0).tolist(), merge(parts).areas.tolist()) == ([7], [6])


def test_there_may_be_no_bands_and_no_superpixels() -> None:
    found = merge(in_tiles(LABELS, np.empty((0, 40, 60), np.float32), 16))
    np.testing.assert_array_equal(found.areas, [(label == LABELS).sum() for label in IDS])
    assert (found.means.shape, len(found)) == ((len(IDS), 0), len(IDS))
    assert len(merge([measure(LABELS * np.uint32(0), IMAGE)])) == 0


def test_some_of_the_superpixels_can_be_taken() -> None:
    found = measure(LABELS, IMAGE)
    large = found[found.areas > 5]
    np.testing.assert_array_equal(large.ids, IDS[found.areas > 5])
    np.testing.assert_array_equal(large.mean(2), found.mean(2)[found.areas > 5])


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels have rows and cols \(40, 60\), the image has \(40, 59\)"):
        measure(LABELS, IMAGE[:, :, 1:])
