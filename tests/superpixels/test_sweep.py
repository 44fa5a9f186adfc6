"""Superpixels given out as they become whole: the same for every tile size, and no more kept than must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import mosaic

from superpoint.superpixels.outlines import Outlines, find_corners, trace
from superpoint.superpixels.sweep import sweep
from superpoint.tiles import Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from superpoint.superpixels.statistics import Statistics

    Labels = NDArray[np.uint32]

IMAGE = np.random.default_rng(5).integers(0, 255, (2, 200, 60)).astype(np.float32)


def tiles_of(labels: Labels, grid: TileGrid) -> Iterator[tuple[Tile, Labels, NDArray[np.float32]]]:
    for tile in grid:
        yield tile, labels[tile.core.slices], IMAGE[:, *tile.core.slices]


def swept(labels: Labels, size: int, batch_corners: int = 0) -> list[tuple[Outlines, Statistics]]:
    grid = TileGrid(shape=labels.shape, size=size)
    return list(sweep(tiles_of(labels, grid), grid, batch_corners=batch_corners))


def rings_by_id(outlines: Outlines) -> dict[int, list[list[list[int]]]]:
    rings = [
        outlines.vertices[start:stop].tolist() for start, stop in zip(outlines.rings, outlines.rings[1:], strict=False)
    ]
    return {
        int(label): rings[start:stop]
        for label, start, stop in zip(outlines.ids, outlines.polygons, outlines.polygons[1:], strict=False)
    }


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 25),
    cols=st.integers(1, 25),
    size=st.integers(1, 12),
    batch_corners=st.sampled_from([0, 50, 10**6]),
)
def test_every_superpixel_comes_once_and_as_if_there_were_no_tiles(
    seed: int, rows: int, cols: int, size: int, batch_corners: int
) -> None:
    labels = mosaic((rows, cols), seed)
    batches = swept(labels, size, batch_corners)
    whole = trace(find_corners(np.pad(labels, 1), row=-1, col=-1))
    ids = np.concatenate([np.zeros(0, np.uint32), *(statistics.ids for _, statistics in batches)])
    np.testing.assert_array_equal(np.sort(ids), whole.ids)
    found: dict[int, list[list[list[int]]]] = {}
    for outlines, statistics in batches:
        np.testing.assert_array_equal(outlines.ids, statistics.ids)
        found |= rings_by_id(outlines)
        for label, area, mean in zip(statistics.ids, statistics.areas, statistics.mean(1), strict=True):
            values = IMAGE[1, :rows, :cols][labels == label]
            assert (area, mean) == (len(values), pytest.approx(values.mean(dtype=np.float64), rel=1e-14))
    assert found == rings_by_id(whole)


def test_ids_ascend_within_a_batch_and_batches_follow_the_rows_of_tiles() -> None:
    batches = swept(mosaic((60, 40), 1), 10)
    assert len(batches) > 3
    assert all((np.diff(statistics.ids.astype(np.int64)) > 0).all() for _, statistics in batches)
    rows_of_tiles = [int(statistics.row_max.max()) // 10 for _, statistics in batches]
    assert rows_of_tiles == sorted(rows_of_tiles)


def most_kept(n_rows: int) -> int:
    """Return the most superpixels seen and not given out after any tile, of bricks of 6 x 10 pixels."""
    rows, cols = np.indices((n_rows, 60))
    labels = (rows // 6 * 100 + (cols + rows // 6 % 2 * 5) // 10 + 1).astype(np.uint32)
    grid = TileGrid(shape=labels.shape, size=20)
    seen: set[int] = set()
    kept = []

    def watched() -> Iterator[tuple[Tile, Labels, NDArray[np.float32]]]:
        for tile, part, image in tiles_of(labels, grid):
            kept.append(len(seen) - n_given)
            seen.update(part[part > 0].tolist())
            yield tile, part, image

    n_given = 0
    for _, statistics in sweep(watched(), grid, batch_corners=40):
        n_given += len(statistics)
    assert n_given == len(seen)
    return max(kept)


def test_what_is_kept_does_not_grow_with_the_rows_of_tiles() -> None:
    assert most_kept(200) == most_kept(80) < 40


def test_a_superpixel_along_the_whole_raster_is_kept_until_it_ends() -> None:
    labels = np.tile(np.array([1, 1, 2, 2, 3, 3], np.uint32), (30, 1))
    labels[:, 4:] = np.arange(3, 33)[:, None]
    batches = swept(labels, 4)
    assert {int(label) for label in batches[-1][1].ids} >= {1, 2, 32}
    assert len(batches) == 8


def test_nothing_but_nodata_gives_nothing() -> None:
    assert swept(np.zeros((10, 10), np.uint32), 4) == []
