"""The pixel nearest to a superpixel's centroid, compared with all pixels of it in memory and whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from smallworld import write_raster

from superpoint.cache import labelmaps, labelplaces
from superpoint.cache.labelmaps import open_labels
from superpoint.cache.labelplaces import nearest_pixels
from superpoint.superpixels.statistics import measure

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (41, 57)


def strewn(seed: int) -> NDArray[np.uint32]:
    """Return superpixels that are squares, and some whose pixels lie all over the raster."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(SHAPE) // int(rng.integers(2, 9))
    squares = (rows * 60 + cols + 9).astype(np.uint32)
    anywhere = rng.choice(np.array([0, 1, 2, 2**32 - 1], np.uint32), SHAPE)
    return np.where(rng.random(SHAPE) < rng.choice([0.0, 0.3]), anywhere, squares)


def nearest_of_all(labels: NDArray[np.uint32], label: int) -> list[int]:
    """Return the pixel of the smallest exact distance; the first in raster order of equals."""
    pixels = np.argwhere(labels == label)
    away = ((pixels * len(pixels) - pixels.sum(axis=0)) ** 2).sum(axis=1)
    return [int(place) for place in pixels[away.argmin()]]


@pytest.mark.parametrize("size", [8, 23, 1024])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_pixel_that_a_search_of_all_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    monkeypatch.setattr(labelmaps, "BLOCK", size)
    monkeypatch.setattr(labelplaces, "ROWS_AT_ONCE", 5)
    ids = strewn(seed)
    labels = open_labels(str(tmp_path), str(write_raster(tmp_path / "ids.tif", ids[None], nodata=0)))
    statistics = measure(ids, np.zeros((0, *SHAPE), np.float32))
    some = np.flatnonzero(np.random.default_rng(seed).random(len(statistics)) < 0.6)
    expected = [nearest_of_all(ids, label) for label in statistics.ids[some].tolist()]
    assert nearest_pixels(labels, statistics, some).tolist() == expected


def test_ties_are_exact_where_a_centroid_is_no_binary_fraction(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros((60, 900), np.uint32)
    for number in range(1, 1801):  # up to 9 pixels strewn over a square of 5 each
        row, col = divmod(number - 1, 180)
        ids[row * 6 + rng.integers(0, 5, 9), col * 5 + rng.integers(0, 5, 9)] = number
    labels = open_labels(str(tmp_path), str(write_raster(tmp_path / "ids.tif", ids[None], nodata=0)))
    statistics = measure(ids, np.zeros((0, *ids.shape), np.float32))
    expected = [nearest_of_all(ids, label) for label in statistics.ids.tolist()]
    assert nearest_pixels(labels, statistics, np.arange(len(statistics))).tolist() == expected


def test_of_four_pixels_around_a_centroid_the_first_in_raster_order_is_taken(tmp_path: Path) -> None:
    ids = np.zeros((7, 8), np.uint32)
    ids[2:6, 3:7] = 4  # its centroid is where four pixels meet
    labels = open_labels(str(tmp_path), str(write_raster(tmp_path / "ids.tif", ids[None], nodata=0)))
    statistics = measure(ids, np.zeros((0, 7, 8), np.float32))
    assert nearest_pixels(labels, statistics, np.array([0])).tolist() == [[3, 4]]
