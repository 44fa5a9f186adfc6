"""One class a superpixel: against sums in fractions, whatever the blocks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.inference import SHARE, ClassSums, RegionClasses, regions
from superpoint.tiles import TileGrid

SHAPE = (23, 31)


def made_up(seed: int, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Superpixels, probabilities and each pixel's own class."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 3, 9, 70_000, 2**32 - 1], np.uint32), SHAPE)
    probabilities = rng.dirichlet(np.ones(n_classes), SHAPE).transpose(2, 0, 1).astype(np.float32)
    return ids, probabilities, probabilities.argmax(axis=0).astype(np.uint8)


def summed(ids: np.ndarray, probabilities: np.ndarray, size: int, *, backwards: bool = False) -> RegionClasses:
    sums = ClassSums(n_classes=len(probabilities))
    tiles = list(TileGrid(shape=SHAPE, size=size))
    for tile in reversed(tiles) if backwards else tiles:
        sums.add(ids[tile.core.slices], probabilities[:, *tile.core.slices])
    return sums.classes()


@pytest.mark.parametrize("seed", range(3))
def test_a_superpixel_takes_the_class_of_the_highest_mean_over_all_its_pixels(seed: int) -> None:
    ids, probabilities, own = made_up(seed)
    expected = own.copy()
    for one in set(ids.ravel().tolist()) - {0}:
        pixels = probabilities[:, ids == one]
        sums = [sum(Fraction(round(float(value) / SHARE)) for value in row) for row in pixels]
        expected[ids == one] = sums.index(max(sums))
    np.testing.assert_array_equal(summed(ids, probabilities, 8).paint(ids, own), expected)
    np.testing.assert_array_equal(expected[ids == 0], own[ids == 0])


@given(seed=st.integers(0, 99), size=st.integers(1, 40), backwards=st.booleans())
def test_neither_the_blocks_nor_their_order_change_a_class(seed: int, size: int, backwards: bool) -> None:
    ids, probabilities, own = made_up(seed, n_classes=4)
    whole = summed(ids, probabilities, 64).paint(ids, own)
    np.testing.assert_array_equal(summed(ids, probabilities, size, backwards=backwards).paint(ids, own), whole)


def test_sums_that_are_merged_on_the_way_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, probabilities, own = made_up(7)
    expected = summed(ids, probabilities, 4).paint(ids, own)
    monkeypatch.setattr(regions, "MERGE_ROWS", 6)
    np.testing.assert_array_equal(summed(ids, probabilities, 4).paint(ids, own), expected)


def test_of_equally_likely_classes_the_first_is_taken() -> None:
    sums = ClassSums(n_classes=3)
    sums.add(np.array([[5, 5]], np.uint32), np.array([[[0.0, 0.0]], [[0.2, 0.8]], [[0.8, 0.2]]], np.float32))
    assert sums.classes().classes.tolist() == [1]


def test_what_no_block_held_keeps_its_own_class() -> None:
    own = np.array([[2, 1]], np.uint8)
    empty = ClassSums(n_classes=3).classes()
    np.testing.assert_array_equal(empty.paint(np.array([[4, 0]], np.uint32), own), own)
    one = RegionClasses(ids=np.array([4], np.uint32), classes=np.array([0], np.uint8))
    np.testing.assert_array_equal(one.paint(np.array([[4, 9]], np.uint32), own), [[0, 1]])
