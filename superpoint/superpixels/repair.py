"""Making any array of ids keep the contract of label maps.

Other people's algorithms give one id to several regions, leave specks, number from 0 or wrap around. Here every
4-connected piece of an id becomes a region of its own, and regions that are too small join the neighbour nearest
in mean colour. Pieces are counted off in raster order and a merged region keeps its smallest number, so neither
order nor ties are left to chance; sums run in raster order in float64, so they are the same everywhere. Only
pieces that are too small list their neighbours: the work is near-linear in the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.pieces import join, label_pieces, root_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_NONE = -1  # no piece, no further neighbour


def repair_labels(
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    image: NDArray[np.float32],
    *,
    min_size: int = 1,
) -> NDArray[np.uint32]:
    """Turn any integer ids into labels that keep the contract of `SuperpixelAlgorithm`.

    Ids are split into their 4-connected pieces. From the smallest up, a piece of fewer than `min_size` pixels, or
    of pixels without an id, joins the region beside it whose mean colour is nearest (a tie goes to the region
    whose first pixel comes first). One with nothing but nodata around it stays as it is.

    Parameters
    ----------
    labels : integer array of shape (rows, cols)
        Ids of any kind; a negative one means that the pixel has none.
    valid : bool array of shape (rows, cols)
        False on nodata; what `labels` says there is of no account.
    image : float32 array of shape (bands, rows, cols)
        The colours that decide which neighbour is nearest.
    min_size : int
        Pixels that a region must have; 1 merges nothing that has an id.

    Returns
    -------
    uint32 array of shape (rows, cols)
        0 exactly where not valid, elsewhere regions numbered from 1 by their first pixel in raster order.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not agree or `min_size` is less than 1.

    Examples
    --------
    >>> labels = np.array([[7, 7, 9, 7], [7, 7, 7, 7]])
    >>> image = np.array([[[0, 0, 1, 0], [0, 0, 0, 0]]], np.float32)
    >>> repair_labels(labels, np.ones((2, 4), bool), image)
    array([[1, 1, 2, 1],
           [1, 1, 1, 1]], dtype=uint32)
    >>> repair_labels(labels, np.ones((2, 4), bool), image, min_size=2).max()
    np.uint32(1)
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    if image.ndim != 3 or not labels.shape == valid.shape == image.shape[1:]:  # noqa: PLR2004  # (band, row, col)
        raise ValueError(
            f"labels {labels.shape}, valid {valid.shape} and image {image.shape} must be "
            "(rows, cols), (rows, cols) and (bands, rows, cols)"
        )
    if min_size < 1:
        raise ValueError(f"min_size must be at least 1 pixel, got {min_size}")
    ids = np.ascontiguousarray(labels, np.int64)
    pieces, sizes, nameless = label_pieces(ids, np.ascontiguousarray(valid))
    small = (sizes < min_size) | nameless
    parents = np.arange(len(sizes), dtype=np.int32)
    if small.any():
        order = np.flatnonzero(small)
        order = order[np.argsort(sizes[order], kind="stable")]
        colours = _sum_colours(pieces, np.ascontiguousarray(image, np.float32), len(sizes))
        _merge(order, pieces, small, nameless, sizes, colours, parents, min_size)
    return _number(pieces, parents)


@njit(cache=True, nogil=True)
def _sum_colours(pieces: Ints, image: Floats, n_pieces: int) -> Doubles:
    sums = np.zeros((n_pieces, len(image)), np.float64)
    for band in range(len(image)):
        for row in range(pieces.shape[0]):
            for col in range(pieces.shape[1]):
                if pieces[row, col] >= 0:
                    sums[pieces[row, col], band] += image[band, row, col]
    return sums


@njit(cache=True, nogil=True)
def _merge(
    order: Longs,
    pieces: Ints,
    small: Mask,
    nameless: Mask,
    sizes: Longs,
    colours: Doubles,
    parents: Ints,
    min_size: int,
) -> None:
    """Join each small piece, in `order`, to its nearest neighbour until it is large enough; in place."""
    heads, tails, followers, neighbours = _list_neighbours(pieces, small)
    for piece in order:
        while True:
            region = root_of(parents, piece)
            if sizes[region] >= min_size and not nameless[region]:
                break
            nearest = _nearest(region, heads, followers, neighbours, parents, sizes, colours)
            if nearest < 0:
                break  # an island
            kept = join(parents, region, nearest)
            gone = region + nearest - kept
            sizes[kept] += sizes[gone]
            colours[kept] += colours[gone]
            nameless[kept] = nameless[kept] and nameless[gone]
            if heads[gone] >= 0:
                if heads[kept] >= 0:
                    followers[tails[kept]] = heads[gone]
                else:
                    heads[kept] = heads[gone]
                tails[kept] = tails[gone]


@njit(cache=True, nogil=True)
def _list_neighbours(pieces: Ints, small: Mask) -> tuple[Ints, Ints, Ints, Ints]:
    """List what lies beside each small piece: chains of `neighbours`, from `heads` by `followers` to `tails`."""
    n_rows, n_cols = pieces.shape
    heads, tails = np.full(len(small), np.int32(_NONE), np.int32), np.full(len(small), np.int32(_NONE), np.int32)
    followers, neighbours = np.empty(1024, np.int32), np.empty(1024, np.int32)
    count = 0
    for row in range(n_rows):
        for col in range(n_cols):
            for row_step, col_step in ((0, 1), (1, 0)):
                if row + row_step == n_rows or col + col_step == n_cols:
                    continue
                here, there = pieces[row, col], pieces[row + row_step, col + col_step]
                if here == there or here < 0 or there < 0:
                    continue
                for owner, other in ((here, there), (there, here)):
                    if not small[owner] or (heads[owner] >= 0 and neighbours[tails[owner]] == other):
                        continue
                    if count == len(neighbours):
                        followers = np.concatenate((followers, np.empty_like(followers)))
                        neighbours = np.concatenate((neighbours, np.empty_like(neighbours)))
                    neighbours[count], followers[count] = other, _NONE
                    if heads[owner] >= 0:
                        followers[tails[owner]] = count
                    else:
                        heads[owner] = count
                    tails[owner] = count
                    count += 1
    return heads, tails, followers, neighbours


@njit(cache=True, nogil=True)
def _nearest(
    region: int, heads: Ints, followers: Ints, neighbours: Ints, parents: Ints, sizes: Longs, colours: Doubles
) -> int:
    """Return the region beside `region` of nearest mean colour, -1 if there is none."""
    best, best_distance = _NONE, np.inf
    entry = heads[region]
    while entry >= 0:
        other = root_of(parents, neighbours[entry])
        entry = followers[entry]
        if other in (region, best):
            continue
        distance = 0.0
        for band in range(colours.shape[1]):
            difference = colours[other, band] / sizes[other] - colours[region, band] / sizes[region]
            distance += difference * difference
        if best < 0 or distance < best_distance or (distance == best_distance and other < best):
            best, best_distance = other, distance
    return best


@njit(cache=True, nogil=True)
def _number(pieces: Ints, parents: Ints) -> NDArray[np.uint32]:
    """Return each pixel's region, numbered from 1 in the order of their first pieces."""
    numbers = np.zeros(len(parents), np.uint32)
    count = 0
    for piece in range(len(parents)):
        root = root_of(parents, piece)
        if root == piece:
            count += 1
            numbers[piece] = count
        else:
            numbers[piece] = numbers[root]
    labels = np.zeros(pieces.shape, np.uint32)
    for row in range(pieces.shape[0]):
        for col in range(pieces.shape[1]):
            if pieces[row, col] >= 0:
                labels[row, col] = numbers[pieces[row, col]]
    return labels
