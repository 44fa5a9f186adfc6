"""Joining the superpixels of tiles, for any algorithm: a label map in which nobody can find the tile grid.

Each tile is superpixelized with its halo, so that neighbouring tiles see the same ground and outline it in
slightly different ways. One label map is made of them by rules under which no outline follows the grid:

1. *Claims.* A tile claims its superpixels whose centre of mass lies in its core. A pixel goes to the first tile
   in raster order that claims the superpixel it has there: first among superpixels that no window cuts, whose
   outlines are true, then among those that one cuts, and if nobody claims it to the first tile that sees it.
2. *Matches.* Superpixels of two tiles are one if they share at least half of the smaller within the overlap of
   the windows, and are each other's best, or both cut by their windows: what is larger than the halo.
3. *Pieces.* What then lies in a tile's core falls into 4-connected pieces of one superpixel of one tile. Pieces
   that touch, and are of one superpixel or of matching ones, become one region.
4. *Slivers.* A region that is a small remnant of its superpixel goes to the neighbour with the longest border.
   An algorithm's own small superpixels stay, and so do islands in nodata.

`look` and `tabulate` need a tile and those around it; `resolve` needs small tables only. What cannot be avoided:
something must hold the tables of the whole raster, some 110 bytes a superpixel, and twice that
while it resolves them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.pieces import label_pieces
from superpoint.superpixels.resolving import PieceTable, count_pairs, is_best, resolve
from superpoint.tiles import Tile, TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Mask = NDArray[np.bool_]

VERSION = "1"  # changes whenever the joined labels may change; part of the cache key
_ID_BITS = 32  # a superpixel of a tile is named by the tile's number and, in the lower bits, its id there


@dataclass(frozen=True, kw_only=True)
class View:
    """What one tile makes of all that it reads."""

    tile: Tile
    labels: NDArray[np.int32]
    """Of the tile's read window: ids from 1, 0 on nodata."""
    sizes: NDArray[np.int64]
    """Pixels of each id in the window; the first is that of nodata."""
    central: NDArray[np.bool_]
    """Whether an id's centre of mass lies in the tile's core."""
    cut: NDArray[np.bool_]
    """Whether an id touches an edge of the window within the raster, and may go on beyond."""


def is_joined(algorithm: SuperpixelAlgorithm) -> bool:
    """Tell whether tiles of an algorithm must be joined: it promises no exact halo."""
    try:
        algorithm.halo(exact=True)
    except ValueError:  # the contract's way to say that there is none
        return True
    return False


def region_size_of(algorithm: SuperpixelAlgorithm) -> float:
    """Return the first parameter of an algorithm, in pixels."""
    return float(algorithm.region_size)  # type: ignore[attr-defined]  # every algorithm has it by contract


def smallest_halo(algorithm: SuperpixelAlgorithm) -> int:
    """Return the halo that joining needs, in pixels: one superpixel, or nothing is seen whole by two tiles."""
    return math.ceil(region_size_of(algorithm))


def join_tiles(grid: TileGrid, windows: Sequence[NDArray[np.uint32]], *, region_size: float) -> NDArray[np.uint32]:
    """Join the labels of all tiles in memory; this loop defines what every other way must equal.

    Parameters
    ----------
    grid : TileGrid
        The tiles and their halo.
    windows : sequence of uint32 array of shape (rows, cols)
        Labels of each tile's read window, in the order of the grid; ids mean nothing beyond their tile.
    region_size : float
        Grid step of the superpixels in pixels: regions of less than its square may be slivers.

    Returns
    -------
    uint32 array of shape (rows, cols)
        0 on nodata; ids from 1 in raster order of their first pixels, each one 4-connected region.

    Examples
    --------
    >>> grid = TileGrid(shape=(4, 12), size=6, halo=3)
    >>> left, right = np.repeat([[1, 2, 3]], 4, 0).repeat(3, 1), np.repeat([[7, 5, 9]], 4, 0).repeat(3, 1)
    >>> join_tiles(grid, [left.astype(np.uint32), right.astype(np.uint32)], region_size=3)[0]
    array([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4], dtype=uint32)
    """
    tiles = list(grid)
    views = {}
    for tile, labels in zip(tiles, windows, strict=True):
        views[tile.index] = look(tile, number_ids(labels), grid.shape)
    found = [tabulate(tile, views, grid) for tile in tiles]
    lookups = resolve([table for _, table in found], grid, region_size=region_size)
    labels = np.zeros(grid.shape, np.uint32)
    for tile, (pieces, _), lookup in zip(tiles, found, lookups, strict=True):
        labels[tile.core.slices] = paint(pieces, lookup)
    return labels


def number_ids(labels: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Return the 4-connected pieces of equal id, from 1 in raster order of their first pixels; 0 stays 0."""
    pieces, _, _ = label_pieces(labels.astype(np.int64), labels > 0)
    return pieces + np.int32(1)


def tiles_seeing(grid: TileGrid, window: Window) -> Iterator[Tile]:
    """Yield the tiles whose read windows meet a window, in raster order."""

    def span(first: int, count: int, n_tiles: int) -> range:
        low, high = (first - grid.halo) // grid.size, (first + count - 1 + grid.halo) // grid.size
        return range(max(0, low), min(n_tiles, high + 1))

    for tile_row in span(window.row, window.n_rows, grid.n_tiles[0]):
        for tile_col in span(window.col, window.n_cols, grid.n_tiles[1]):
            yield grid.tile(tile_row, tile_col)


def look(tile: Tile, labels: NDArray[np.int32], shape: tuple[int, int]) -> View:
    """Measure the superpixels in a tile's read window.

    Parameters
    ----------
    tile : Tile
        The tile.
    labels : int32 array of shape (rows, cols)
        Of its read window, as `number_ids` gives them.
    shape : (int, int)
        Of the raster.
    """
    sizes, row_sums, col_sums = _sum_up(labels, int(labels.max()) + 1)
    core, read = tile.core, tile.read
    inside = [
        # Twice the sums, so that a centre between two pixels is compared in whole numbers.
        ((2 * start - 1) * sizes <= 2 * sums) & (2 * sums < (2 * (start + count) - 1) * sizes)
        for sums, start, count in (
            (row_sums, core.row - read.row, core.n_rows),
            (col_sums, core.col - read.col, core.n_cols),
        )
    ]
    cut = np.zeros(len(sizes), bool)
    for edge, is_within in (
        (labels[0], read.row > 0),
        (labels[:, 0], read.col > 0),
        (labels[-1], read.row + read.n_rows < shape[0]),
        (labels[:, -1], read.col + read.n_cols < shape[1]),
    ):
        cut[edge] |= is_within
    return View(tile=tile, labels=labels, sizes=sizes, central=inside[0] & inside[1], cut=cut)


@njit(cache=True, nogil=True)
def _sum_up(labels: Ints, n_ids: int) -> tuple[Longs, Longs, Longs]:
    """Count the pixels of each id, and add up their rows and columns."""
    sizes, row_sums, col_sums = np.zeros(n_ids, np.int64), np.zeros(n_ids, np.int64), np.zeros(n_ids, np.int64)
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            label = labels[row, col]
            sizes[label] += 1
            row_sums[label] += row
            col_sums[label] += col
    return sizes, row_sums, col_sums


def tabulate(tile: Tile, views: Mapping[tuple[int, int], View], grid: TileGrid) -> tuple[NDArray[np.int32], PieceTable]:
    """Compose a tile's core of its own labels and those of the tiles around it, and cut it into pieces.

    Parameters
    ----------
    tile : Tile
        The tile.
    views : mapping of tile index to View
        At least of `tiles_seeing(grid, tile.read)`.
    grid : TileGrid
        The tiles and their halo.

    Returns
    -------
    pieces : int32 array of shape (rows, cols)
        Of the core, from 0; -1 on nodata.
    table : PieceTable
        What `resolve` needs to know of them.
    """
    sources, source_sizes = _compose(tile.core, [views[seen.index] for seen in tiles_seeing(grid, tile.core)], grid)
    pieces, sizes, _ = label_pieces(sources, sources >= 0)
    # Pieces are numbered by first pixel: it is where the highest number so far grows.
    firsts = np.flatnonzero(np.diff(np.maximum.accumulate(pieces.ravel()), prepend=-1))
    rows, cols = np.divmod(firsts, tile.core.n_cols)
    whole = sizes == source_sizes.ravel()[firsts]
    borders = np.concatenate([_borders(pieces[:-1], pieces[1:]), _borders(pieces[:, :-1], pieces[:, 1:])])
    overlapping = [views[seen.index] for seen in tiles_seeing(grid, tile.read) if seen.index > tile.index]
    return pieces, PieceTable(
        sources=sources.ravel()[firsts],
        firsts=(tile.core.row + rows) * grid.shape[1] + tile.core.col + cols,
        sizes=sizes,
        source_sizes=source_sizes.ravel()[firsts],
        borders=borders[~(whole[borders[:, 0]] & whole[borders[:, 1]])],
        matches=np.concatenate(
            [np.zeros((0, 2), np.int64), *(_matches(views[tile.index], v, grid) for v in overlapping)]
        ),
        top=pieces[0].astype(np.int64),
        bottom=pieces[-1].astype(np.int64),
        left=pieces[:, 0].astype(np.int64),
        right=pieces[:, -1].astype(np.int64),
    )


def _compose(core: Window, views: Sequence[View], grid: TileGrid) -> tuple[Longs, Longs]:
    """Return the superpixel that each pixel of a core goes to, -1 on nodata, and that superpixel's size."""
    sources, sizes = np.full(core.shape, -1, np.int64), np.zeros(core.shape, np.int64)
    for claim in (
        lambda view: view.central & ~view.cut,
        lambda view: view.central,
        lambda view: np.ones(len(view.sizes), bool),
    ):
        for view in views:
            shared = _intersection(core, view.tile.read)
            labels, mine = view.labels[shared.within(view.tile.read)], shared.within(core)
            taken = (sources[mine] < 0) & claim(view)[labels] & (labels > 0)
            sources[mine][taken] = _names(view, labels[taken], grid)
            sizes[mine][taken] = view.sizes[labels[taken]]
    return sources, sizes


def _names(view: View, ids: Ints | Longs, grid: TileGrid) -> Longs:
    tile_row, tile_col = view.tile.index
    return ((tile_row * grid.n_tiles[1] + tile_col) << _ID_BITS) + ids.astype(np.int64)


def _intersection(one: Window, other: Window) -> Window:
    row, col = max(one.row, other.row), max(one.col, other.col)
    bottom = min(one.row + one.n_rows, other.row + other.n_rows)
    right = min(one.col + one.n_cols, other.col + other.n_cols)
    return Window(row=row, col=col, n_rows=bottom - row, n_cols=right - col)


def _borders(before: Ints | Longs, after: Ints | Longs) -> Longs:
    """List what differs between neighbours as (lower, higher, how often); negative is nodata."""
    differ = (before != after) & (before >= 0) & (after >= 0)
    return count_pairs(np.minimum(before[differ], after[differ]), np.maximum(before[differ], after[differ]))


def _matches(view: View, later: View, grid: TileGrid) -> Longs:
    """Pair the superpixels of two tiles that are one."""
    shared = _intersection(view.tile.read, later.tile.read)
    one, other = view.labels[shared.within(view.tile.read)], later.labels[shared.within(later.tile.read)]
    usable = (one > 0) & (other > 0)
    pairs = count_pairs(one[usable], other[usable])
    ids, later_ids, counts = pairs.T
    sizes, later_sizes = (np.bincount(labels[usable]) for labels in (one, other))
    large = 2 * counts >= np.minimum(sizes[ids], later_sizes[later_ids])
    mutual = is_best(ids, later_ids, counts) & is_best(later_ids, ids, counts)
    # Half a share without being the best is enough where neither tile sees where the superpixel ends.
    same = large & (mutual | (view.cut[ids] & later.cut[later_ids]))
    return np.stack([_names(view, ids[same], grid), _names(later, later_ids[same], grid)], axis=1)


def paint(pieces: NDArray[np.int32], lookup: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the superpixel of each pixel, 0 where `pieces` is -1."""
    return np.concatenate([lookup, np.zeros(1, np.uint32)])[pieces]
