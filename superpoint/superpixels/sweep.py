"""Whole superpixels out of tiles, with memory for those that are not whole yet.

Tiles come in raster order. As a superpixel is 4-connected, a later tile can hold a part of it only if it touches the
border of what has been swept: the last row swept in each column, and the last column of the newest tile. Only
superpixels along that border are kept, and besides them as many as make a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from superpoint.superpixels.outlines import find_corners, trace
from superpoint.superpixels.statistics import measure, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from superpoint.superpixels.outlines import Outlines
    from superpoint.superpixels.statistics import Statistics
    from superpoint.tiles import Tile, TileGrid

    Labels = NDArray[np.uint32]

BATCH_CORNERS = 2**18  # some 4,000 superpixels of region size 20


def sweep(
    tiles: Iterable[tuple[Tile, NDArray[np.uint32], NDArray[np.float32]]],
    grid: TileGrid,
    *,
    clockwise: bool = False,
    batch_corners: int = BATCH_CORNERS,
) -> Iterator[tuple[Outlines, Statistics]]:
    """Outline and measure superpixels, each once, as soon as a batch of them is whole.

    Parameters
    ----------
    tiles : iterable of (Tile, uint32 array of shape (rows, cols), float32 array of shape (bands, rows, cols))
        Labels and image of the core of each tile of the grid, in its order; the image may have no bands. A
        superpixel is one 4-connected region over the whole raster.
    grid : TileGrid
        The tiles.
    clockwise : bool
        Whether exteriors go clockwise as seen with the first row on top and the first column on the left.
    batch_corners : int
        Corners of outlines that are gathered before whole superpixels are given out, beyond twice the corners of
        those that were not whole the last time.

    Yields
    ------
    Outlines, Statistics
        Of the same superpixels, ascending by id within a batch; the batches follow the tiles. An empty batch is left
        out.

    Raises
    ------
    ValueError
        If a superpixel is not one 4-connected region.
    """
    below = np.zeros(grid.shape[1], np.uint32)
    before = np.zeros(0, np.uint32)
    pool, limit = _Pool([], []), batch_corners
    for tile, labels, image in tiles:
        row, col = tile.core.row, tile.core.col
        framed = _frame(labels, tile, grid, below, before)
        pool.corners.append(find_corners(framed, row=row - 1, col=col - 1))
        pool.parts.append(measure(labels, image, row=row, col=col))
        # At the raster's own edges nothing comes later.
        below[tile.core.slices[1]] = 0 if _is_last(tile, grid, 0) else labels[-1]
        before = framed[: len(labels) + 1, -1].copy()
        if pool.n_corners >= limit or tile.index == (grid.n_tiles[0] - 1, grid.n_tiles[1] - 1):
            corners, statistics, pool = _settle(pool, np.concatenate([below, before]))
            limit = batch_corners + 2 * pool.n_corners
            if len(statistics):
                yield trace(corners, clockwise=clockwise), statistics


class _Pool(NamedTuple):
    """What is known of superpixels that were not whole the last time."""

    corners: list[NDArray[np.int64]]
    parts: list[Statistics]

    @property
    def n_corners(self) -> int:
        return sum(map(len, self.corners))


def _settle(pool: _Pool, border: Labels) -> tuple[NDArray[np.int64], Statistics, _Pool]:
    """Return corners and statistics of the superpixels that are not on the border, and those that are."""
    corners, statistics = np.concatenate(pool.corners), merge(pool.parts)
    whole = np.isin(statistics.ids, border, invert=True)
    are_whole = whole[np.searchsorted(statistics.ids, corners[:, 0])]
    return corners[are_whole], statistics[whole], _Pool([corners[~are_whole]], [statistics[~whole]])


def _frame(labels: Labels, tile: Tile, grid: TileGrid, below: Labels, before: Labels) -> Labels:
    """Put the row above a tile and the column before it around its labels, and zeros where the raster ends.

    `below` is the last row swept in each column of the raster, `before` the column before the tile from one row above
    it on.
    """
    n_rows, n_cols = labels.shape
    framed = np.zeros((n_rows + 1 + _is_last(tile, grid, 0), n_cols + 1 + _is_last(tile, grid, 1)), np.uint32)
    framed[0, 1 : n_cols + 1] = below[tile.core.slices[1]]
    if tile.core.col > 0:
        framed[: n_rows + 1, 0] = before
    framed[1 : n_rows + 1, 1 : n_cols + 1] = labels
    return framed


def _is_last(tile: Tile, grid: TileGrid, axis: int) -> int:
    """Return 1 for a tile of the last row (axis 0) or column (axis 1) of tiles, else 0."""
    return int(tile.index[axis] == grid.n_tiles[axis] - 1)
