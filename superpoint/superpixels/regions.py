"""Making each id one 4-connected region, with bounded reach.

Clustering leaves specks: pieces of a superpixel cut off from its main part. Merging a speck into a neighbour
can cascade over the whole raster, so the rule here is local:

1. Of each cell's pieces the largest is kept (a tie goes to the first in raster order).
2. Other pixels are taken up by the kept regions beside them, ring by ring, each pixel by the neighbour nearest
   in colour (a tie goes to the earlier seed), for at most `reach` rings.
3. What no ring reached (islands in nodata) becomes a region of its own, numbered by its first pixel.

Step 1 looks two cells far, step 2 one cell, step 3 two more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.lattice import MAX_ID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Bands = NDArray[np.int16]

SETTLE_CELLS = 5  # how far the rule looks, in cells
_NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0))


def connect_regions(
    cells: NDArray[np.int32],
    quantised: NDArray[np.int16],
    colours: NDArray[np.int64],
    seeds: NDArray[np.int64],
    *,
    origin: Origin,
    first_free_id: int,
    reach: int,
) -> NDArray[np.uint32]:
    """Turn clusters into labels whose every id is one 4-connected region.

    Parameters
    ----------
    cells : int32 array of shape (rows, cols)
        Cluster of each pixel, -1 on nodata.
    quantised : int16 array of shape (bands, rows, cols)
        The bands that clustering saw.
    colours : int64 array of shape (clusters, bands)
        Colour of each cluster's centre, in the units of `quantised`.
    seeds : int64 array of shape (clusters,)
        Id of each cluster in the whole raster.
    origin : Origin
        The array's place in the raster.
    first_free_id : int
        The first id that belongs to no seed.
    reach : int
        Rings by which kept regions may grow, pixels; at most the shortest side of a cell.

    Returns
    -------
    uint32 array of shape (rows, cols)
        0 on nodata.

    Raises
    ------
    ValueError
        If the id of a cut-off piece does not fit uint32 (rasters beyond four billion pixels).
    """
    pieces, sizes = label_pieces(cells)
    kept = _keep_largest(cells, pieces, sizes, len(seeds))
    _grow(kept, cells, quantised, colours, reach)
    labels = np.where(kept >= 0, seeds[kept], 0).astype(np.uint32)
    islands = (kept < 0) & (cells >= 0)
    if islands.any():
        pieces, _ = label_pieces(np.where(islands, cells, np.int32(-1)))
        _number_islands(labels, pieces, islands, origin, first_free_id)
    return labels


def _number_islands(
    labels: NDArray[np.uint32],
    pieces: NDArray[np.int32],
    islands: NDArray[np.bool_],
    origin: Origin,
    first_free_id: int,
) -> None:
    numbers, first = np.unique(pieces, return_index=True)
    rows, cols = np.divmod(first, pieces.shape[1])
    ids = first_free_id + (origin.row + rows) * origin.raster_shape[1] + origin.col + cols
    if ids[numbers >= 0].max() > MAX_ID:
        raise ValueError(
            "the raster has more than 2**32 pixels and pieces of valid data cut off by nodata, "
            "which cannot be numbered in uint32; cut the raster in two"
        )
    labels[islands] = ids[np.searchsorted(numbers, pieces[islands])].astype(np.uint32)


@njit(cache=True, nogil=True)
def label_pieces(ids: Ints) -> tuple[Ints, Longs]:
    """Count off the 4-connected pieces of equal id in raster order of their first pixels.

    Parameters
    ----------
    ids : int32 array of shape (rows, cols)
        Negative ids are background.

    Returns
    -------
    pieces : int32 array of shape (rows, cols)
        From 0; -1 on background.
    sizes : int64 array of shape (pieces,)
        Pixels of each piece.
    """
    n_rows, n_cols = ids.shape
    pieces = np.full((n_rows, n_cols), -1, np.int32)
    parents = np.empty(n_rows * n_cols // 2 + n_cols + 2, np.int32)
    n_provisional = 0
    for row in range(n_rows):
        for col in range(n_cols):
            if ids[row, col] < 0:
                continue
            above = row > 0 and ids[row - 1, col] == ids[row, col]
            before = col > 0 and ids[row, col - 1] == ids[row, col]
            if above and before:
                pieces[row, col] = _join(parents, pieces[row - 1, col], pieces[row, col - 1])
            elif above:
                pieces[row, col] = pieces[row - 1, col]
            elif before:
                pieces[row, col] = pieces[row, col - 1]
            else:
                if n_provisional == len(parents):
                    parents = np.concatenate((parents, np.empty_like(parents)))
                parents[n_provisional] = n_provisional
                pieces[row, col] = n_provisional
                n_provisional += 1
    return _renumber(pieces, parents, n_provisional)


@njit(cache=True, nogil=True)
def _root(parents: Ints, piece: int) -> int:
    while parents[piece] != piece:
        parents[piece] = parents[parents[piece]]
        piece = parents[piece]
    return piece


@njit(cache=True, nogil=True)
def _join(parents: Ints, one: int, other: int) -> int:
    one, other = _root(parents, one), _root(parents, other)
    low, high = min(one, other), max(one, other)
    parents[high] = low
    return low


@njit(cache=True, nogil=True)
def _renumber(pieces: Ints, parents: Ints, n_provisional: int) -> tuple[Ints, Longs]:
    # A root is its piece's smallest provisional number, given at its first pixel: the order is raster order.
    numbers = np.empty(n_provisional, np.int32)
    n_pieces = 0
    for piece in range(n_provisional):
        if parents[piece] == piece:
            numbers[piece] = n_pieces
            n_pieces += 1
        else:
            numbers[piece] = numbers[_root(parents, piece)]
    sizes = np.zeros(n_pieces, np.int64)
    for row in range(pieces.shape[0]):
        for col in range(pieces.shape[1]):
            if pieces[row, col] >= 0:
                pieces[row, col] = numbers[pieces[row, col]]
                sizes[pieces[row, col]] += 1
    return pieces, sizes


@njit(cache=True, nogil=True)
def _keep_largest(cells: Ints, pieces: Ints, sizes: Longs, n_cells: int) -> Ints:
    """Return the cells with all but the largest piece of each set to -1."""
    n_rows, n_cols = cells.shape
    largest = np.full(n_cells, -1, np.int32)
    for row in range(n_rows):
        for col in range(n_cols):
            cell, piece = cells[row, col], pieces[row, col]
            if cell < 0:
                continue
            best = largest[cell]
            if best < 0 or sizes[piece] > sizes[best] or (sizes[piece] == sizes[best] and piece < best):
                largest[cell] = piece
    kept = np.full((n_rows, n_cols), -1, np.int32)
    for row in range(n_rows):
        for col in range(n_cols):
            if cells[row, col] >= 0 and pieces[row, col] == largest[cells[row, col]]:
                kept[row, col] = cells[row, col]
    return kept


@njit(cache=True, nogil=True)
def _grow(kept: Ints, cells: Ints, quantised: Bands, colours: Longs, reach: int) -> None:
    """Let kept regions take up the pixels beside them, ring by ring, in place."""
    rows, cols = _left_over(kept, cells)
    n_left = len(rows)
    taken_by = np.empty(n_left, np.int32)
    for _ in range(reach):
        # All pixels of a ring are decided before any is taken: the order of pixels has no say.
        for index in range(n_left):
            taken_by[index] = _nearest_neighbour(kept, quantised, colours, rows[index], cols[index])
        n_still = 0
        for index in range(n_left):
            if taken_by[index] >= 0:
                kept[rows[index], cols[index]] = taken_by[index]
            else:
                rows[n_still], cols[n_still] = rows[index], cols[index]
                n_still += 1
        if n_still == n_left:
            break
        n_left = n_still


@njit(cache=True, nogil=True)
def _left_over(kept: Ints, cells: Ints) -> tuple[Ints, Ints]:
    """List the pixels with data that belong to no kept region, in raster order."""
    n_rows, n_cols = kept.shape
    n_left = 0
    for row in range(n_rows):
        for col in range(n_cols):
            n_left += kept[row, col] < 0 and cells[row, col] >= 0
    rows, cols = np.empty(n_left, np.int32), np.empty(n_left, np.int32)
    index = 0
    for row in range(n_rows):
        for col in range(n_cols):
            if kept[row, col] < 0 and cells[row, col] >= 0:
                rows[index], cols[index] = row, col
                index += 1
    return rows, cols


@njit(cache=True, nogil=True)
def _nearest_neighbour(kept: Ints, quantised: Bands, colours: Longs, row: int, col: int) -> int:
    best_cell, best_distance = -1, 2**62
    for row_step, col_step in _NEIGHBOURS:
        beside_row, beside_col = row + row_step, col + col_step
        if not (0 <= beside_row < kept.shape[0] and 0 <= beside_col < kept.shape[1]):
            continue
        cell = kept[beside_row, beside_col]
        if cell < 0:
            continue
        distance = 0
        for band in range(quantised.shape[0]):
            distance += (quantised[band, row, col] - colours[cell, band]) ** 2
        if distance < best_distance or (distance == best_distance and cell < best_cell):
            best_cell, best_distance = cell, distance
    return best_cell
