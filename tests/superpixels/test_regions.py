from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skimage.measure
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage

from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.regions import connect_regions, label_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_FREE = 1000


@st.composite
def cell_maps(draw: st.DrawFn) -> NDArray[np.int32]:
    """Patches of a few numbers, speckled, with holes of -1: worse than clustering ever makes them."""
    shape = draw(st.tuples(st.integers(1, 28), st.integers(1, 28)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grain = draw(st.sampled_from([1, 1, 2, 5]))
    coarse = rng.integers(0, draw(st.integers(1, 6)), (-(-shape[0] // grain), -(-shape[1] // grain)))
    cells = np.kron(coarse, np.ones((grain, grain), int))[: shape[0], : shape[1]]
    cells[rng.random(shape) < draw(st.sampled_from([0, 0.2, 0.5, 0.9]))] = -1
    return cells.astype(np.int32)


@given(cells=cell_maps())
@example(cells=np.full((3, 3), -1, np.int32))
@example(cells=np.indices((9, 9)).sum(axis=0).astype(np.int32) % 2)
def test_pieces_are_those_of_scikit_image_in_raster_order(cells: NDArray[np.int32]) -> None:
    pieces, sizes = label_pieces(cells)
    expected = skimage.measure.label(cells, background=-1, connectivity=1) - 1
    np.testing.assert_array_equal(pieces, expected)
    np.testing.assert_array_equal(sizes, np.bincount(expected[expected >= 0], minlength=0))


def test_a_spiral_is_one_piece() -> None:
    spiral = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1, 1, 1, 1, 1, 0],
            [0, 0, 0, 0, 1, 0],
            [0, 1, 1, 0, 1, 0],
            [0, 1, 1, 1, 1, 0],
            [0, 0, 0, 0, 0, 0],
        ],
        np.int32,
    )
    pieces, sizes = label_pieces(spiral)
    assert sizes.tolist() == [23, 13]
    np.testing.assert_array_equal(pieces, spiral)


def test_more_pieces_than_half_the_pixels_are_counted() -> None:
    cells = np.arange(35, dtype=np.int32).reshape(5, 7)
    pieces, sizes = label_pieces(cells)
    np.testing.assert_array_equal(pieces, cells)
    assert sizes.tolist() == [1] * 35


def connected(
    cells: NDArray[np.int32], bands: NDArray[np.int16], colours: NDArray[np.int64], *, reach: int, origin: Origin
) -> NDArray[np.uint32]:
    seeds = np.arange(len(colours), dtype=np.int64) * 7 + 3
    return connect_regions(cells, bands, colours, seeds, origin=origin, first_free_id=FIRST_FREE, reach=reach)


def twin(
    cells: NDArray[np.int32], bands: NDArray[np.int16], colours: NDArray[np.int64], *, reach: int, origin: Origin
) -> NDArray[np.int64]:
    """The three steps of the module's text, by scipy and one pixel after another."""
    kept = np.full(cells.shape, -1)
    for cell in range(len(colours)):
        pieces, n_pieces = ndimage.label(cells == cell)
        if n_pieces:
            sizes = np.bincount(pieces.ravel())[1:]
            kept[pieces == sizes.argmax() + 1] = cell
    for _ in range(reach):
        before = kept.copy()
        for row, col in np.argwhere((before < 0) & (cells >= 0)).tolist():
            beside = [(row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)]
            there = {
                int(before[r, c])
                for r, c in beside
                if 0 <= r < cells.shape[0] and 0 <= c < cells.shape[1] and before[r, c] >= 0
            }
            if there:
                kept[row, col] = min(there, key=lambda c: (((bands[:, row, col] - colours[c]) ** 2).sum(), c))
    labels = np.where(kept >= 0, kept * 7 + 3, 0)
    for cell in range(len(colours)):
        pieces, n_pieces = ndimage.label((cells == cell) & (kept < 0))
        for piece in range(1, n_pieces + 1):
            row, col = np.argwhere(pieces == piece)[0]
            place = (origin.row + row) * origin.raster_shape[1] + origin.col + col
            labels[pieces == piece] = FIRST_FREE + place
    return labels


@given(cells=cell_maps(), reach=st.integers(1, 4), n_bands=st.integers(1, 3), seed=st.integers(0, 99))
def test_regions_are_those_of_the_rule_done_by_hand(
    cells: NDArray[np.int32], reach: int, n_bands: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bands = rng.integers(0, 4, (n_bands, *cells.shape)).astype(np.int16)
    colours = rng.integers(0, 4, (max(1, cells.max() + 1), n_bands))
    origin = Origin(row=11, col=5, raster_shape=(100, 90))
    arguments: dict[str, Any] = {"reach": reach, "origin": origin}
    labels = connected(cells, bands, colours, **arguments)
    np.testing.assert_array_equal(labels, twin(cells, bands, colours, **arguments))
    assert labels.dtype == np.uint32


@given(cells=cell_maps(), reach=st.integers(1, 4))
def test_every_id_is_one_region_and_0_is_where_nothing_was(cells: NDArray[np.int32], reach: int) -> None:
    bands, colours = np.zeros((1, *cells.shape), np.int16), np.zeros((max(1, cells.max() + 1), 1), np.int64)
    labels = connected(cells, bands, colours, reach=reach, origin=Origin(raster_shape=cells.shape))
    np.testing.assert_array_equal(labels == 0, cells < 0)
    # scikit-image counts pieces of equal id; there must be as many as there are ids.
    assert skimage.measure.label(labels, background=0, connectivity=1).max() == len(np.unique(labels[labels > 0]))


def test_a_speck_goes_to_the_neighbour_nearest_in_colour_and_not_to_the_longest_border() -> None:
    cells = np.zeros((5, 6), np.int32)
    cells[:, 3:] = 1
    cells[0, 0] = 1  # cut off from the rest of cell 1, and beside cell 0 only
    cells[2, 3] = 0  # beside cell 0 on one side and cell 1 on three: joined with its own
    cells[4, 5] = 2
    cells[0, 5] = 2  # a second piece of cell 2, beside cell 1 only
    bands = np.zeros((1, 5, 6), np.int16)
    labels = connected(cells, bands, np.zeros((3, 1), np.int64), reach=2, origin=Origin(raster_shape=(5, 6)))
    assert labels[0, 0] == 3
    assert labels[2, 3] == 3
    assert {int(labels[0, 5]), int(labels[4, 5])} == {10, 17}


def test_an_id_that_does_not_fit_is_refused() -> None:
    cells = np.array([[0, 0, -1, 0]], np.int32)
    origin = Origin(row=2**17, col=0, raster_shape=(2**18, 2**16))
    with pytest.raises(ValueError, match="cut the raster in two"):
        connected(cells, np.zeros((1, 1, 4), np.int16), np.zeros((1, 1), np.int64), reach=1, origin=origin)
