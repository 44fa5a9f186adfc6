"""The 4-connected pieces of an array of ids: two passes and a union-find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Mask = NDArray[np.bool_]


def ids_in(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the ids of a label map, each once, in order; `numpy.unique` without looking at every pixel twice.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Of any ids, best of few and large regions.

    Examples
    --------
    >>> ids_in(np.array([[7, 7, 0], [7, 2, 2]], np.uint32)).tolist()
    [0, 2, 7]
    """
    return np.unique(_corners(labels))


@njit(cache=True, nogil=True)
def _corners(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the label of each pixel that differs from those above and to the left: every id has one."""
    found = []
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            label = labels[row, col]
            if (col == 0 or labels[row, col - 1] != label) and (row == 0 or labels[row - 1, col] != label):
                found.append(label)  # Numba
    return np.array(found, np.uint32)


@njit(cache=True, nogil=True)
def label_pieces(ids: Longs, valid: Mask) -> tuple[Ints, Longs, Mask]:
    """Count off the 4-connected pieces of equal id in raster order of their first pixels.

    Parameters
    ----------
    ids : int64 array of shape (rows, cols)
        All negative ids are alike: no id.
    valid : bool array of shape (rows, cols)
        False on background.

    Returns
    -------
    pieces : int32 array of shape (rows, cols)
        From 0; -1 on background.
    sizes : int64 array of shape (pieces,)
        Pixels of each piece.
    nameless : bool array of shape (pieces,)
        Whether its pixels have no id.
    """
    pieces, parents = _join_runs(ids, valid)
    # A root is its piece's smallest provisional number, given at its first pixel: counting roots keeps that order.
    numbers = np.empty(len(parents), np.int32)
    count = 0
    for piece in range(len(parents)):
        root = root_of(parents, piece)
        numbers[piece] = count if root == piece else numbers[root]
        count += root == piece
    sizes, nameless = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    for row in range(pieces.shape[0]):
        for col in range(pieces.shape[1]):
            if pieces[row, col] >= 0:
                piece = numbers[pieces[row, col]]
                pieces[row, col] = piece
                sizes[piece] += 1
                nameless[piece] = ids[row, col] < 0
    return pieces, sizes, nameless


@njit(cache=True, nogil=True)
def root_of(parents: Ints, piece: int) -> int:
    """Return the number of the region that a piece belongs to, and shorten the way there."""
    while parents[piece] != piece:
        parents[piece] = parents[parents[piece]]
        piece = parents[piece]
    return piece


@njit(cache=True, nogil=True)
def join(parents: Ints, one: int, other: int) -> int:
    """Make one region of two; it keeps the smaller number, which is returned."""
    one, other = root_of(parents, one), root_of(parents, other)
    low, high = min(one, other), max(one, other)
    parents[high] = low
    return low


@njit(cache=True, nogil=True)
def _join_runs(ids: Longs, valid: Mask) -> tuple[Ints, Ints]:
    """Return a provisional piece of each pixel, and the piece that each of those was joined to."""
    n_rows, n_cols = ids.shape
    pieces = np.full((n_rows, n_cols), np.int32(-1), np.int32)
    parents = np.empty(1024, np.int32)
    count = 0
    for row in range(n_rows):
        for col in range(n_cols):
            if not valid[row, col]:
                continue
            above = row > 0 and valid[row - 1, col] and _same(ids[row - 1, col], ids[row, col])
            before = col > 0 and valid[row, col - 1] and _same(ids[row, col - 1], ids[row, col])
            if above and before and pieces[row - 1, col] != pieces[row, col - 1]:
                pieces[row, col] = join(parents, pieces[row - 1, col], pieces[row, col - 1])
            elif above:
                pieces[row, col] = pieces[row - 1, col]
            elif before:
                pieces[row, col] = pieces[row, col - 1]
            else:
                if count == len(parents):
                    parents = np.concatenate((parents, np.empty_like(parents)))
                parents[count] = count
                pieces[row, col] = count
                count += 1
    return pieces, parents[:count]


@njit(cache=True, nogil=True)
def _same(one: int, other: int) -> bool:
    return one == other or (one < 0 and other < 0)
