"""Contracting a graph: trees become its nodes, edges inside a tree go, of parallel edges the best stays.

Edges lie in buckets, one a tree, each edge in that of its lower tree; so parallel ones meet in one bucket, and
finding them takes one look at each edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Words = NDArray[np.uint32]
    Floats = NDArray[np.float32]

_NONE = -1


class Edges(NamedTuple):
    """The edges of a contracted graph, in buckets."""

    starts: Longs
    """Where each tree's bucket begins, int64 (trees + 1,)."""
    others: Ints
    """The higher tree of each edge, int32 (edges,)."""
    gains: Floats
    """Gain of each edge, float32 (edges,)."""
    numbers: Words
    """Number of the pixel edge that each stands for, uint32 (edges,); the lower one is first in a tie."""


@njit(cache=True, nogil=True)
def contract_pixels(gains: Floats, steps: Longs, new: Ints, n_trees: int) -> Edges:
    """Return the edges between trees of pixels.

    Parameters
    ----------
    gains : float32 array of shape (pixels, steps)
        Gain of the edge from each pixel by each step; NaN where there is none.
    steps : int64 array of shape (steps,)
        From a pixel's index to the other's.
    new : int32 array of shape (pixels,)
        The tree of each pixel.
    n_trees : int
        How many there are.
    """
    starts = np.zeros(n_trees + 1, np.int64)
    for pixel in range(len(gains)):
        for step in range(len(steps)):
            if not np.isnan(gains[pixel, step]):
                _count(starts, new[pixel], new[pixel + steps[step]])
    edges = _allocate(starts)
    free = edges.starts[:-1].copy()
    for pixel in range(len(gains)):
        for step in range(len(steps)):
            gain = gains[pixel, step]
            if not np.isnan(gain):
                _put(edges, free, new[pixel], new[pixel + steps[step]], gain, len(steps) * pixel + step)
    return _collapse(edges)


@njit(cache=True, nogil=True)
def contract_edges(edges: Edges, new: Ints, n_trees: int) -> Edges:
    """Return the edges between trees of trees.

    Parameters
    ----------
    edges : Edges
        Between the old trees.
    new : int32 array of shape (old trees,)
        The new tree of each old one, in the same order.
    n_trees : int
        How many new ones there are.
    """
    starts = np.zeros(n_trees + 1, np.int64)
    for tree in range(len(new)):
        for slot in range(edges.starts[tree], edges.starts[tree + 1]):
            _count(starts, new[tree], new[edges.others[slot]])
    found = _allocate(starts)
    free = found.starts[:-1].copy()
    for tree in range(len(new)):
        for slot in range(edges.starts[tree], edges.starts[tree + 1]):
            _put(found, free, new[tree], new[edges.others[slot]], edges.gains[slot], edges.numbers[slot])
    return _collapse(found)


@njit(cache=True, nogil=True)
def _count(starts: Longs, one: int, other: int) -> None:
    if one != other:
        starts[min(one, other) + 1] += 1


@njit(cache=True, nogil=True)
def _allocate(counts: Longs) -> Edges:
    starts = np.cumsum(counts)
    n_edges = starts[-1]
    return Edges(starts, np.empty(n_edges, np.int32), np.empty(n_edges, np.float32), np.empty(n_edges, np.uint32))


@njit(cache=True, nogil=True)
def _put(edges: Edges, free: Longs, one: int, other: int, gain: float, number: int) -> None:
    """Put an edge into its bucket, unless it lies inside a tree."""
    if one != other:
        slot = free[min(one, other)]
        free[min(one, other)] += 1
        edges.others[slot], edges.gains[slot], edges.numbers[slot] = max(one, other), gain, number


@njit(cache=True, nogil=True)
def _collapse(edges: Edges) -> Edges:
    """Keep the best of parallel edges, in place."""
    starts, others, gains, numbers = edges
    seen = np.full(len(starts) - 1, _NONE, np.int64)  # where the last edge to each other tree was kept
    kept_starts = np.zeros(len(starts), np.int64)
    n_kept = 0
    for tree in range(len(starts) - 1):
        for slot in range(starts[tree], starts[tree + 1]):
            other, place = others[slot], seen[others[slot]]
            if place < kept_starts[tree]:
                seen[other] = n_kept
                others[n_kept], gains[n_kept], numbers[n_kept] = other, gains[slot], numbers[slot]
                n_kept += 1
            elif gains[slot] > gains[place] or (gains[slot] == gains[place] and numbers[slot] < numbers[place]):
                gains[place], numbers[place] = gains[slot], numbers[slot]
        kept_starts[tree + 1] = n_kept
    return Edges(kept_starts, others[:n_kept].copy(), gains[:n_kept].copy(), numbers[:n_kept].copy())
