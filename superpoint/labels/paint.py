"""Painting: each pixel of a label map gets what is known of its superpixel.

Ids may be anything up to 2^32 - 1 and lie far apart in one tile, so there is no table from id to class. Instead a memo
of 4096 slots, small enough for a core's fast cache, holds what was painted last for the ids that share a slot: a pixel
reads its slot, and only when another id is there is its own searched for among all. Nothing else branches, so the
processor runs ahead over the borders of superpixels. What cannot be avoided: where every pixel is another superpixel,
every pixel is a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.labels.vote import Tally

    Ids = NDArray[np.uint32]
    Bytes = NDArray[np.uint8]
    Shares = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Counts = NDArray[np.uint16]
    Columns = tuple[Ids, Bytes, Shares, Ids, Bytes]

_SLOT_BITS = 12
_KNOWN = np.dtype(
    [("id", np.uint32), ("share", np.float32), ("votes", np.uint16), ("value", np.uint8), ("flags", np.uint8)]
)
_PAIRS = np.dtype([("start", np.int64), ("stop", np.int64), ("total", np.float64), ("id", np.uint32)], align=True)
_MOST = np.uint32(np.iinfo(np.uint16).max)


def paint(labels: Ids, pseudo: PseudoLabels) -> tuple[Bytes, Shares, Counts, Bytes]:
    """Paint what is known of superpixels, and the evidence for it, onto a label map.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids; 0 is nodata.
    pseudo : PseudoLabels
        Of any superpixels, on this tile or not.

    Returns
    -------
    mask : uint8 array of shape (rows, cols)
        The class; 255 where none is known, and on nodata.
    share : float32 array of shape (rows, cols)
        Share of the votes for the leading class; 0 where nobody voted.
    votes : uint16 array of shape (rows, cols)
        Number of votes, at most 65535.
    flags : uint8 array of shape (rows, cols)
        Bits of `Flag`.

    Notes
    -----
    Takes 8 bytes a pixel, all of them the result, and 48 KiB.

    Examples
    --------
    >>> from superpoint.labels.vote import VoteRule, elect, tally_votes
    >>> points = np.array([7, 7, 9], np.uint32), np.array([2, 3, 4], np.uint8)
    >>> mask, share, votes, flags = paint(np.array([[0, 7, 9, 8]], np.uint32), elect(tally_votes(*points), VoteRule()))
    >>> mask.tolist(), share.tolist(), votes.tolist(), flags.tolist()
    ([[255, 2, 4, 255]], [[0.0, 0.5, 1.0, 0.0]], [[0, 2, 1, 0]], [[0, 3, 0, 0]])
    """
    mask, share = np.empty(labels.shape, np.uint8), np.empty(labels.shape, np.float32)
    votes, flags = np.empty(labels.shape, np.uint16), np.empty(labels.shape, np.uint8)
    _paint(np.ascontiguousarray(labels), _columns_of(pseudo), _empty_memo(), mask, share, votes, flags)
    return mask, share, votes, flags


def paint_shares(labels: Ids, tally: Tally, n_classes: int) -> Shares:
    """Paint the share of the votes that each class has in a pixel's superpixel.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids; 0 is nodata.
    tally : Tally
        Of any superpixels, on this tile or not.
    n_classes : int
        Number of classes; their values are 0, 1, 2, ...

    Returns
    -------
    float32 array of shape (classes, rows, cols)
        Weight of the class over the weight of all; the shares of a pixel sum to 1, or are 0 where nobody voted.

    Raises
    ------
    ValueError
        If there are votes for a class beyond `n_classes`.

    Examples
    --------
    >>> from superpoint.labels.vote import tally_votes
    >>> tally = tally_votes(np.array([7, 7, 7, 7], np.uint32), np.array([1, 0, 1, 1], np.uint8))
    >>> paint_shares(np.array([[7, 8]], np.uint32), tally, 2).tolist()
    [[[0.25, 0.0]], [[0.75, 0.0]]]
    """
    highest = int(tally.values.max(initial=0))
    if highest >= n_classes and len(tally):
        raise ValueError(f"there are votes for class {highest}, but only {n_classes} classes (0 to {n_classes - 1})")
    shares = np.zeros((n_classes, *labels.shape), np.float32)
    memo = np.zeros(2**_SLOT_BITS, _PAIRS)
    _paint_shares(np.ascontiguousarray(labels), tally.superpixels, tally.values, tally.weights, memo, shares)
    return shares


def _columns_of(pseudo: PseudoLabels) -> Columns:
    return pseudo.superpixels, pseudo.classes, pseudo.shares, pseudo.votes, pseudo.flags


def _empty_memo() -> NDArray[np.void]:
    """Return a memo in which every slot holds nodata, id 0, which is unlabelled."""
    memo = np.zeros(2**_SLOT_BITS, _KNOWN)
    memo["value"] = IGNORE
    return memo


@njit(cache=True, nogil=True)
def _paint(
    labels: Ids, columns: Columns, memo: NDArray[np.void], mask: Bytes, share: Shares, votes: Counts, flags: Bytes
) -> None:
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            label = labels[row, col]
            known = memo[_slot_of(label)]
            if known.id != label:
                _look_up(label, columns, known)
            mask[row, col] = known.value
            share[row, col] = known.share
            votes[row, col] = known.votes
            flags[row, col] = known.flags


@njit(cache=True, nogil=True)
def _slot_of(label: int) -> int:
    """Return the slot of an id by Fibonacci hashing (Knuth, The Art of Computer Programming 3, section 6.4).

    Ids that follow each other have different slots.
    """
    return int((np.uint64(label) * np.uint64(2654435769) & np.uint64(2**32 - 1)) >> np.uint64(32 - _SLOT_BITS))


@njit(cache=True, nogil=True)
def _look_up(label: int, columns: Columns, known: Any) -> None:  # noqa: ANN401  # a record
    ids, classes, shares, counts, flags = columns
    place = np.searchsorted(ids, label)
    known.id, known.value, known.share, known.votes, known.flags = label, IGNORE, 0, 0, 0
    if place < len(ids) and ids[place] == label:
        known.value, known.share, known.flags = classes[place], shares[place], flags[place]
        known.votes = min(counts[place], _MOST)


@njit(cache=True, nogil=True)
def _paint_shares(
    labels: Ids, superpixels: Ids, values: Bytes, weights: Doubles, memo: NDArray[np.void], shares: Shares
) -> None:
    for row in range(labels.shape[0]):
        stop = 0
        while stop < labels.shape[1]:
            first, label = stop, labels[row, stop]
            while stop < labels.shape[1] and labels[row, stop] == label:
                stop += 1
            known = memo[_slot_of(label)]
            if known.id != label:
                _find_pairs(label, superpixels, weights, known)
            for pair in range(known.start, known.stop):
                shares[values[pair], row, first:stop] = weights[pair] / known.total


@njit(cache=True, nogil=True)
def _find_pairs(label: int, superpixels: Ids, weights: Doubles, known: Any) -> None:  # noqa: ANN401  # a record
    start = np.searchsorted(superpixels, label)
    stop, total = start, 0.0
    while stop < len(superpixels) and superpixels[stop] == label:
        total += weights[stop]
        stop += 1
    known.id, known.start, known.stop, known.total = label, start, stop, total
