from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from superpoint.superpixels.lattice import Lattice

shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))
region_sizes = st.floats(2, 90)


@given(shape=shapes, region_size=region_sizes)
def test_cells_partition_the_raster_in_order(shape: tuple[int, int], region_size: float) -> None:
    lattice = Lattice.over(shape, region_size=region_size)
    for size, n_cells, edges, cells_of in (
        (shape[0], lattice.n_rows, lattice.row_edges(0, shape[0]), lattice.rows_of),
        (shape[1], lattice.n_cols, lattice.col_edges(0, shape[1]), lattice.cols_of),
    ):
        assert (edges[0], edges[-1], len(edges)) == (0, size, n_cells + 1)
        np.testing.assert_array_equal(np.repeat(np.arange(n_cells), np.diff(edges)), cells_of(np.arange(size)))


@given(shape=shapes, region_size=region_sizes)
def test_cells_differ_by_at_most_a_pixel_and_are_as_near_the_region_size_as_divides_the_raster(
    shape: tuple[int, int], region_size: float
) -> None:
    lattice = Lattice.over(shape, region_size=region_size)
    sides = [np.diff(lattice.row_edges(0, shape[0])), np.diff(lattice.col_edges(0, shape[1]))]
    assert all(np.ptp(side) <= 1 for side in sides)
    assert lattice.min_cell == min(side.min() for side in sides)
    for size, n_cells in zip(shape, (lattice.n_rows, lattice.n_cols), strict=True):
        assert abs(n_cells - size / region_size) <= 0.5 or (n_cells == 1 and size < region_size)


@given(shape=shapes, region_size=region_sizes, data=st.data())
def test_a_window_sees_the_edges_of_the_cells_it_touches(
    shape: tuple[int, int], region_size: float, data: st.DataObject
) -> None:
    lattice = Lattice.over(shape, region_size=region_size)
    first = data.draw(st.integers(0, shape[0] - 1))
    stop = data.draw(st.integers(first + 1, shape[0]))
    edges = lattice.row_edges(0, shape[0])
    touched = [cell for cell in range(lattice.n_rows) if edges[cell] < stop and edges[cell + 1] > first]
    np.testing.assert_array_equal(lattice.row_edges(first, stop), edges[touched[0] : touched[-1] + 2])


@given(shape=st.tuples(st.integers(1, 400), st.integers(1, 400)), region_size=region_sizes, n_cells=st.integers(1, 60))
def test_neighbouring_cells_together_are_no_wider_than_the_halo_takes_them_to_be(
    shape: tuple[int, int], region_size: float, n_cells: int
) -> None:
    lattice = Lattice.over(shape, region_size=region_size)
    assume(n_cells <= lattice.n_rows)
    edges = lattice.row_edges(0, shape[0])
    assert (edges[n_cells:] - edges[:-n_cells]).max() <= n_cells * (region_size + 1) + region_size / 2


@pytest.mark.parametrize(
    ("shape", "cells"),
    [((40, 60), (2, 3)), ((49, 51), (2, 3)), ((1, 1000), (1, 50)), ((9, 9), (1, 1)), ((1, 1), (1, 1))],
)
def test_a_raster_has_the_number_of_cells_that_rounds_its_size(shape: tuple[int, int], cells: tuple[int, int]) -> None:
    lattice = Lattice.over(shape, region_size=20)
    assert (lattice.n_rows, lattice.n_cols, len(lattice)) == (*cells, cells[0] * cells[1])
