from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.tiles import TileGrid, Window

shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))
sizes = st.integers(1, 100)
halos = st.integers(0, 40)


@given(shape=shapes, size=sizes, halo=halos)
def test_cores_own_every_pixel_exactly_once(shape: tuple[int, int], size: int, halo: int) -> None:
    owners = np.zeros(shape, int)
    for tile in TileGrid(shape=shape, size=size, halo=halo):
        owners[tile.core.slices] += 1
    np.testing.assert_array_equal(owners, 1)


@given(shape=shapes, size=sizes, halo=halos)
def test_a_tile_reads_every_pixel_within_its_halo_and_no_other(shape: tuple[int, int], size: int, halo: int) -> None:
    rows, cols = np.indices(shape)
    for tile in TileGrid(shape=shape, size=size, halo=halo):
        core = tile.core
        rows_off = np.maximum(core.row - rows, rows - (core.row + core.n_rows - 1))
        cols_off = np.maximum(core.col - cols, cols - (core.col + core.n_cols - 1))
        read = np.zeros(shape, bool)
        read[tile.read.slices] = True
        np.testing.assert_array_equal(read, np.maximum(rows_off, cols_off) <= halo)


@given(shape=shapes, size=sizes, halo=halos)
def test_a_core_is_cut_out_of_what_its_tile_read(shape: tuple[int, int], size: int, halo: int) -> None:
    raster = np.arange(shape[0] * shape[1]).reshape(shape)
    for tile in TileGrid(shape=shape, size=size, halo=halo):
        read = raster[tile.read.slices]
        assert read.shape == tile.read.shape
        np.testing.assert_array_equal(read[tile.core.within(tile.read)], raster[tile.core.slices])


@given(shape=shapes, size=sizes)
def test_a_grid_counts_and_names_its_tiles_in_raster_order(shape: tuple[int, int], size: int) -> None:
    grid = TileGrid(shape=shape, size=size)
    tiles = list(grid)
    assert len(tiles) == len(grid) == grid.n_tiles[0] * grid.n_tiles[1]
    assert [tile.index for tile in tiles] == list(np.ndindex(grid.n_tiles))
    assert len({tile.name for tile in tiles}) == len(tiles)
    assert all(grid.tile(*tile.index) == tile for tile in tiles)


def test_only_the_last_tiles_are_smaller() -> None:
    cores = {tile.name: tile.core for tile in TileGrid(shape=(130, 64), size=64)}
    assert {name: core.shape for name, core in cores.items()} == {"0.0": (64, 64), "1.0": (64, 64), "2.0": (2, 64)}
    assert cores["2.0"] == Window(row=128, col=0, n_rows=2, n_cols=64)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"shape": (0, 5), "size": 4}, r"\(0, 5\)"),
        ({"shape": (5, 5), "size": 0}, "tile size is at least 1 pixel, got 0"),
        ({"shape": (5, 5), "size": 4, "halo": -1}, "halo is at least 0 pixels, got -1"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_by_its_value(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TileGrid(**settings)  # type: ignore[arg-type]


def test_a_window_without_pixels_is_refused_by_its_shape() -> None:
    with pytest.raises(ValueError, match="got 0 x 7"):
        Window(row=0, col=0, n_rows=0, n_cols=7)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 15), st.integers(0, 30), st.integers(0, 99))
def test_pixels_are_split_among_the_tiles_that_own_them(height: int, width: int, size: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(0, height, n), rng.integers(0, width, n)
    grid = TileGrid(shape=(height, width), size=size)
    owners = np.full((height, width), "", object)
    for tile in grid:
        owners[tile.core.slices] = tile.name
    parts = {tile.name: places.tolist() for tile, places in grid.split(rows, cols)}
    expected: dict[str, list[int]] = {}
    for place, name in sorted(enumerate(owners[rows, cols]), key=lambda one: tuple(map(int, one[1].split(".")))):
        expected.setdefault(name, []).append(place)
    assert list(parts.items()) == list(expected.items())
