"""Borůvka rounds on the graph of pixels: which trees merge, and in which order.

Borůvka (1926): in each round every tree picks its best edge and all picked edges are joined at once, so that trees
at least halve and a few rounds leave one. Between rounds the graph is contracted (`contraction.py`), so that all
rounds together cost little more than the first, which works on the grid itself and needs no list of edges.

The order of a round's merges is the hierarchy, so its candidates must be sorted. What comes of sorting, going
through an image at random, is avoided all the same: joins are made tree by tree, where neighbours in memory are
neighbours in the image, and only what they gave is put in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from superpoint.superpixels.contraction import Edges, contract_edges, contract_pixels
from superpoint.superpixels.radix import ascending, descending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Words = NDArray[np.uint32]
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Index = int | np.integer

STEPS = ((0, 1), (1, 0), (1, 1), (-1, 1))
"""`(row, col)` steps of the edges that a pixel owns, in order: E, S and, where 8-connected, SE, NE."""
MAX_PIXELS = 2**30  # four edges a pixel are numbered in 32 bits
_TINY = 1e-50  # keeps the value of an edge between equal colours finite
_NONE = np.uint32(2**32 - 1)
_FEW = 64  # so few are sorted by insertion


class Trees(NamedTuple):
    """The nodes of the graph, in ascending order of their names."""

    names: Words
    """Smallest pixel of each tree, uint32 (trees,)."""
    colours: Floats
    """Mean colour, float32 (trees, bands)."""
    sizes: Ints
    """Pixels, int32 (trees,)."""


class Candidates(NamedTuple):
    """The best edges of all trees, in the order of their numbers: a forest."""

    values: Doubles
    """Gain over distance in colour, float64 (candidates,)."""
    ends: Words
    """The two trees of each, uint32 (candidates, 2)."""


def merge_trees(
    gains: NDArray[np.float32], colours: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Merge pixels to trees until no edge is left between two of them.

    Parameters
    ----------
    gains : float32 array of shape (rows, cols, steps)
        Gain of the edge from each pixel by the first 2 (4-connected) or all 4 of `STEPS`; NaN where there is none.
    colours : float32 array of shape (rows, cols, bands)
        Colour of each pixel, finite.
    valid : bool array of shape (rows, cols)
        Where False, a pixel belongs to no tree; all its edges must be NaN.

    Returns
    -------
    absorbed, into : uint32 arrays of shape (merges,)
        In order: the tree that ends and the tree it becomes part of, each named by its smallest pixel in
        raster order.
    """
    n_rows, n_cols, n_bands = colours.shape
    steps = np.array([row * n_cols + col for row, col in STEPS[: gains.shape[2]]], np.int64)
    gains, colours = gains.reshape(-1, len(steps)), colours.reshape(-1, n_bands)
    merges = np.empty((2, n_rows * n_cols), np.uint32)
    trees = Trees(np.arange(n_rows * n_cols, dtype=np.uint32), colours, np.ones(n_rows * n_cols, np.int32))
    new, trees, n_merges = _merge(_pixel_candidates(gains, colours, steps), trees, valid.ravel(), merges, 0)
    edges = contract_pixels(gains, steps, new, len(trees.names))
    while len(edges.others):
        candidates = _edge_candidates(edges, trees.colours)
        new, trees, n_merges = _merge(candidates, trees, np.ones(len(trees.names), bool), merges, n_merges)
        edges = contract_edges(edges, new, len(trees.names))
    return merges[0, :n_merges].copy(), merges[1, :n_merges].copy()


def _merge(candidates: Candidates, trees: Trees, alive: Mask, merges: Words, n_merges: int) -> tuple[Ints, Trees, int]:
    """Make one round's merges; return the new tree of each old one, the new trees, and the merges so far."""
    values, ends = candidates
    new, n_trees = _components(ends, alive)
    _join(values, ends, new, n_trees, trees.names)
    _enter(descending(values), ends, merges, n_merges)
    return new, _gather(new, n_trees, *trees), n_merges + len(values)


@njit(cache=True, nogil=True)
def _distance(colours: Floats, one: Index, other: Index) -> float:
    """Return the L1 distance of two trees' mean colours, never 0."""
    total = 0.0
    for band in range(colours.shape[1]):
        total += abs(np.float64(colours[one, band]) - np.float64(colours[other, band]))
    return total + _TINY


@njit(cache=True, nogil=True)
def _pixel_candidates(gains: Floats, colours: Floats, steps: Longs) -> Candidates:
    n_pixels = len(gains)
    best_values, best_numbers = np.full(n_pixels, -np.inf), np.full(n_pixels, _NONE)
    for pixel in range(n_pixels):
        for step in range(len(steps)):
            gain = gains[pixel, step]
            if np.isnan(gain):
                continue
            other, number = pixel + steps[step], len(steps) * pixel + step
            value = gain / _distance(colours, pixel, other)
            # Edges come in the order of their numbers: the first of equal value stays.
            if value > best_values[pixel]:
                best_values[pixel], best_numbers[pixel] = value, number
            if value > best_values[other]:
                best_values[other], best_numbers[other] = value, number
    n_found = 0
    for pixel in range(n_pixels):
        number = best_numbers[pixel]
        if number != _NONE:
            owner = np.int64(number) // len(steps)
            n_found += pixel == owner or best_numbers[owner] != number  # counted once
    return _list_pixel_candidates(n_found, best_values, best_numbers, steps)


@njit(cache=True, nogil=True)
def _list_pixel_candidates(n_found: int, best_values: Doubles, best_numbers: Words, steps: Longs) -> Candidates:
    values, ends = np.empty(n_found), np.empty((n_found, 2), np.uint32)
    index = 0
    for pixel in range(len(best_numbers)):
        for step in range(len(steps)):
            other, number = pixel + steps[step], len(steps) * pixel + step
            if not 0 <= other < len(best_numbers):
                continue
            if best_numbers[pixel] == number or best_numbers[other] == number:
                values[index] = best_values[pixel] if best_numbers[pixel] == number else best_values[other]
                ends[index, 0], ends[index, 1] = pixel, other
                index += 1
    return Candidates(values, ends)


@njit(cache=True, nogil=True)
def _edge_candidates(edges: Edges, colours: Floats) -> Candidates:
    n_trees = len(colours)
    best_values, best_numbers = np.full(n_trees, -np.inf), np.full(n_trees, _NONE)
    for tree in range(n_trees):
        for slot in range(edges.starts[tree], edges.starts[tree + 1]):
            other, number = np.int64(edges.others[slot]), edges.numbers[slot]
            value = edges.gains[slot] / _distance(colours, tree, other)
            for end in (tree, other):
                if value > best_values[end] or (value == best_values[end] and number < best_numbers[end]):
                    best_values[end], best_numbers[end] = value, number
    values, ends, numbers = np.empty(n_trees), np.empty((n_trees, 2), np.uint32), np.empty(n_trees, np.uint32)
    n_found = 0  # fewer than trees: a forest
    for tree in range(n_trees):
        for slot in range(edges.starts[tree], edges.starts[tree + 1]):
            other, number = edges.others[slot], edges.numbers[slot]
            if best_numbers[tree] == number or best_numbers[other] == number:
                values[n_found] = best_values[tree] if best_numbers[tree] == number else best_values[other]
                ends[n_found, 0], ends[n_found, 1], numbers[n_found] = tree, other, number
                n_found += 1
    order = ascending(numbers[:n_found])
    return Candidates(values[order], ends[order])


@njit(cache=True, nogil=True)
def _root(parents: Ints, tree: Index) -> Index:
    while parents[tree] != tree:
        parents[tree] = parents[parents[tree]]
        tree = parents[tree]
    return tree


@njit(cache=True, nogil=True)
def _link(parents: Ints, one: Index, other: Index) -> tuple[Index, Index]:
    """Join two trees; return the higher root, which ends, and the lower one."""
    one, other = _root(parents, np.int64(one)), _root(parents, np.int64(other))
    high, low = max(one, other), min(one, other)
    parents[high] = low
    return high, low


@njit(cache=True, nogil=True)
def _components(ends: Words, alive: Mask) -> tuple[Ints, int]:
    """Return the new tree of each old one (-1 if not alive), counted off by its lowest, and how many there are."""
    parents = np.arange(len(alive)).astype(np.int32)
    for index in range(len(ends)):
        _link(parents, ends[index, 0], ends[index, 1])
    new = np.full(len(alive), -1, np.int32)
    n_trees = 0
    for tree in range(len(alive)):
        root = _root(parents, tree)
        if root != tree:
            new[tree] = new[root]  # a root is the lowest of its tree, so it has its number
        elif alive[tree]:
            new[tree] = n_trees
            n_trees += 1
    return new, n_trees


@njit(cache=True, nogil=True)
def _join(values: Doubles, ends: Words, new: Ints, n_trees: int, names: Words) -> None:
    """Replace the ends of each candidate by the names of what it joins when taken in order of value.

    Merges of one new tree have no say in those of another: they are made tree by tree.
    """
    starts = np.zeros(n_trees + 1, np.int64)
    for index in range(len(values)):
        starts[new[ends[index, 0]] + 1] += 1
    starts = np.cumsum(starts)
    free, grouped = starts[:-1].copy(), np.empty(len(values), np.int32)
    for index in range(len(values)):
        tree = new[ends[index, 0]]
        grouped[free[tree]] = index
        free[tree] += 1
    parents = np.arange(len(new)).astype(np.int32)
    for tree in range(n_trees):
        members = grouped[starts[tree] : starts[tree + 1]]
        _sort_by_value(members, values)
        for index in members:
            high, low = _link(parents, ends[index, 0], ends[index, 1])
            ends[index, 0], ends[index, 1] = names[high], names[low]


@njit(cache=True, nogil=True)
def _sort_by_value(members: Ints, values: Doubles) -> None:
    """Sort a few candidates from high to low in place; equal ones stay in their order."""
    if len(members) > _FEW:
        members[:] = members[descending(values[members])]
        return
    for index in range(1, len(members)):
        member = members[index]
        place = index
        while place > 0 and values[members[place - 1]] < values[member]:
            members[place] = members[place - 1]
            place -= 1
        members[place] = member


@njit(cache=True, nogil=True)
def _enter(order: Ints, ends: Words, merges: Words, n_merges: int) -> None:
    for index in range(len(order)):
        merges[0, n_merges + index], merges[1, n_merges + index] = ends[order[index], 0], ends[order[index], 1]


@njit(cache=True, nogil=True)
def _gather(new: Ints, n_trees: int, names: Words, colours: Floats, sizes: Ints) -> Trees:
    """Return the new trees, their colours averaged in ascending order of the absorbed ones."""
    new_names, new_sizes = np.empty(n_trees, np.uint32), np.zeros(n_trees, np.int32)
    new_colours = np.empty((n_trees, colours.shape[1]), np.float32)
    for tree in range(len(new)):
        target = new[tree]
        if target < 0:
            continue
        before, more = np.float64(new_sizes[target]), np.float64(sizes[tree])
        if before == 0:
            new_names[target], new_colours[target] = names[tree], colours[tree]
        else:
            for band in range(colours.shape[1]):
                weighted = before * new_colours[target, band] + more * colours[tree, band]
                new_colours[target, band] = np.float32(weighted / (before + more))
        new_sizes[target] += sizes[tree]
    return Trees(new_names, new_colours, new_sizes)
