"""Making each superpixel one 4-connected region, with bounded reach, on runs of pixels.

A cluster of pixels falls into pieces: a main part, sometimes other parts as large as a superpixel, and specks.
Merging specks one by one can cascade over the whole raster, so the rule here is local:

1. Of each cell's pieces the largest is kept (a tie goes to the first in raster order), and so is any other of at
   least `min_size` pixels: it is a superpixel in its own right.
2. A speck goes over, whole, to the kept piece beside it that is nearest in colour (a tie goes to the first); those
   beside none wait for a neighbour to go over, for at most `ROUNDS` rounds.
3. What is left, cut off by nodata, is a superpixel of its own.

A piece lies in its cell and the eight around it. Everything works on runs of equal cell along the rows, of which
there are some twenty times fewer than pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from superpoint.superpixels.lattice import MAX_ID
from superpoint.superpixels.pieces import join, root_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    Share = Callable[[Callable[[tuple[int, int]], Any]], list[Any]]
    """Calls a function with parts of the rows, and returns the results in the order of the rows."""

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Labels = NDArray[np.uint32]
    Mask = NDArray[np.bool_]

ROUNDS = 5  # specks beside specks are settled after three or four


class Runs(NamedTuple):
    """Pixels of equal cell side by side in a row, over all rows: a label map in run lengths."""

    firsts: Ints
    """First column of each run."""
    stops: Ints
    """The column after each run; the row's next run begins there."""
    cells: Ints
    """Cluster of each run, -1 on nodata."""
    row_starts: Longs
    """The first run of each row, and the number of runs."""


def settle(
    runs: Runs, quantised: Bytes, colours: Ints, alive: Mask, min_size: float, share: Share | None = None
) -> tuple[Ints, Ints, Ints]:
    """Find the pieces of clusters and what becomes of each.

    Parameters
    ----------
    runs : Runs
        Clusters of pixels.
    quantised : uint8 array of shape (bands, rows, cols)
        The bands that clustering saw.
    colours : int32 array of shape (clusters, bands)
        Colour of each cluster's centre, in the units of `quantised`.
    alive : bool array of shape (clusters,)
        Clusters that have a centre.
    min_size : float
        Pixels from which on a piece is kept.
    share : callable, optional
        Calls a function with `(first, stop)` for parts of the rows, maybe in threads, and returns the results in
        the order of the rows. By default one part is all rows.

    Returns
    -------
    pieces : int32 array of shape (runs,)
        The piece of each run, numbered by first pixel; nodata has pieces as well.
    clusters : int32 array of shape (pieces,)
        The cluster of each piece, -1 on nodata.
    into : int32 array of shape (pieces,)
        The piece that each becomes part of: itself, if it stays.
    """
    share = share or (lambda work: [work((0, len(runs.row_starts) - 1))])
    pieces, clusters, sizes = label_runs(runs, share)
    into = _keep(clusters, sizes, len(colours), min_size)
    if (into < 0).any():
        by_centre = (clusters >= 0) & (into >= 0) & alive[clusters]
        sums = np.sum(share(lambda rows: _sum_colours(runs, rows, pieces, by_centre, quantised)), axis=0)
        means = (2 * sums + sizes[:, None]) // (2 * sizes[:, None])
        piece_colours = np.where(by_centre[:, None], colours[clusters], means).astype(np.int32)
        pairs = share(lambda rows: _neighbours_of_specks(runs, rows, pieces, clusters, into))
        ones, others = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        _hand_over(ones, others, piece_colours, into)
    return pieces, clusters, into


def number_pieces(clusters: Ints, into: Ints, seeds: Longs, n_seeds: int) -> Labels:
    """Give ids to pieces: to the first of a cluster its seed's, to the k-th after it that plus `k * n_seeds`.

    Parameters
    ----------
    clusters, into : int32 arrays of shape (pieces,)
        As `settle` returns them.
    seeds : int64 array of shape (clusters,)
        Id of each cluster's seed in the whole raster, from 1.
    n_seeds : int
        Seeds of the whole raster.

    Returns
    -------
    uint32 array of shape (pieces,)
        The id of the piece that each becomes part of; 0 on nodata.

    Raises
    ------
    ValueError
        If an id does not fit uint32.
    """
    ranks = _ranks(clusters, into, len(seeds))
    ids = np.where(clusters >= 0, seeds[clusters] + ranks.astype(np.int64) * n_seeds, 0)
    if ids.size and ids.max() > MAX_ID:
        raise ValueError(
            f"a raster of {n_seeds} superpixels, one of them in {ranks.max() + 1} parts, cannot be numbered in uint32; "
            "use a larger region_size or cut the raster in two"
        )
    found: Labels = ids.astype(np.uint32)[into]
    return found


def label_runs(runs: Runs, share: Share) -> tuple[Ints, Ints, Longs]:
    """Count off the 4-connected pieces of equal cell in raster order of their first pixels.

    Parameters
    ----------
    runs : Runs
        Clusters of pixels.
    share : callable
        See `settle`.

    Returns
    -------
    pieces : int32 array of shape (runs,)
        From 0.
    clusters : int32 array of shape (pieces,)
        -1 on nodata.
    sizes : int64 array of shape (pieces,)
        Pixels of each piece.
    """
    parents = np.arange(len(runs.firsts), dtype=np.int32)

    def within(rows: tuple[int, int]) -> int:
        _join_rows(runs, rows[0] + 1, rows[1], parents)
        return rows[0]

    for first in share(within):
        _join_rows(runs, max(first, 1), first + 1, parents)  # what the parts have apart
    return _number(runs, parents)


@njit(cache=True, nogil=True)
def _join_rows(runs: Runs, first: int, stop: int, parents: Ints) -> None:
    """Join the runs of the rows `first:stop` with those of equal cell above them."""
    _, stops, cells, row_starts = runs
    for row in range(first, stop):
        upper, lower = row_starts[row - 1], row_starts[row]
        upper_end, lower_end = row_starts[row], row_starts[row + 1]
        while upper < upper_end and lower < lower_end:
            if cells[upper] == cells[lower]:
                join(parents, upper, lower)
            upper_stop, lower_stop = stops[upper], stops[lower]
            upper += upper_stop <= lower_stop
            lower += lower_stop <= upper_stop


@njit(cache=True, nogil=True)
def _number(runs: Runs, parents: Ints) -> tuple[Ints, Ints, Longs]:
    # A root is its piece's smallest run, the one of its first pixel: the order is raster order.
    firsts, stops, cells, _ = runs
    pieces = np.empty(len(firsts), np.int32)
    clusters = np.empty(len(firsts), np.int32)
    sizes = np.zeros(len(firsts), np.int64)
    n_pieces = 0
    for run in range(len(firsts)):
        if parents[run] == run:
            pieces[run], clusters[n_pieces] = n_pieces, cells[run]
            n_pieces += 1
        else:
            pieces[run] = pieces[root_of(parents, run)]
        sizes[pieces[run]] += stops[run] - firsts[run]
    return pieces, clusters[:n_pieces].copy(), sizes[:n_pieces].copy()


@njit(cache=True, nogil=True)
def paint_runs(runs: Runs, pieces: Ints, ids: Labels, rows: tuple[int, int], labels: Labels) -> None:
    """Write the id of each run's piece over its pixels, in the rows `rows[0]:rows[1]`."""
    firsts, stops, _, row_starts = runs
    for row in range(rows[0], rows[1]):
        target = labels[row]
        for run in range(row_starts[row], row_starts[row + 1]):
            label = ids[pieces[run]]
            for col in range(firsts[run], stops[run]):
                target[col] = label


@njit(cache=True, nogil=True)
def _keep(clusters: Ints, sizes: Longs, n_clusters: int, min_size: float) -> Ints:
    """Return the pieces that stay as they are, each by itself; -1 for specks."""
    largest = np.full(n_clusters, -1, np.int32)
    for piece in range(len(clusters)):
        cluster = clusters[piece]
        if cluster >= 0 and (largest[cluster] < 0 or sizes[piece] > sizes[largest[cluster]]):
            largest[cluster] = piece
    into = np.full(len(clusters), -1, np.int32)
    for piece in range(len(clusters)):
        cluster = clusters[piece]
        if cluster < 0 or sizes[piece] >= min_size or largest[cluster] == piece:
            into[piece] = piece
    return into


@njit(cache=True, nogil=True)
def _sum_colours(runs: Runs, rows: tuple[int, int], pieces: Ints, by_centre: Mask, quantised: Bytes) -> Longs:
    """Add up the bands over the pieces that have no centre's colour, in the rows `rows[0]:rows[1]`."""
    firsts, stops, _, row_starts = runs
    n_bands = len(quantised)
    sums = np.zeros((len(by_centre), n_bands), np.int64)
    for row in range(rows[0], rows[1]):
        for run in range(row_starts[row], row_starts[row + 1]):
            piece = pieces[run]
            if by_centre[piece]:
                continue
            first, stop = firsts[run], stops[run]
            for band in range(n_bands):
                total = np.int64(0)
                for col in range(first, stop):
                    total += quantised[band, row, col]
                sums[piece, band] += total
    return sums


@njit(cache=True, nogil=True)
def _neighbours_of_specks(
    runs: Runs, rows: tuple[int, int], pieces: Ints, clusters: Ints, into: Ints
) -> tuple[Ints, Ints]:
    """List what touches specks: pairs of pieces of which at least one is a speck, some more than once."""
    _, stops, _, row_starts = runs
    # A run has one run after it and, over all runs, two above it; memory that is not written is not used.
    most = 3 * (row_starts[rows[1]] - row_starts[max(rows[0] - 1, 0)])
    ones, others = np.empty(most, np.int32), np.empty(most, np.int32)
    n_pairs = 0
    for row in range(rows[0], rows[1]):
        upper, lower = row_starts[max(row - 1, 0)], row_starts[row]
        upper_end, lower_end = row_starts[row], row_starts[row + 1]
        for run in range(lower, lower_end - 1):
            one, other = pieces[run], pieces[run + 1]
            if into[one] < 0 or into[other] < 0:
                ones[n_pairs], others[n_pairs] = one, other
                n_pairs += 1
        while upper < upper_end and lower < lower_end:
            one, other = pieces[upper], pieces[lower]
            if one != other and (into[one] < 0 or into[other] < 0):
                ones[n_pairs], others[n_pairs] = one, other
                n_pairs += 1
            upper_stop, lower_stop = stops[upper], stops[lower]
            upper += upper_stop <= lower_stop
            lower += lower_stop <= upper_stop
    n_kept = 0
    for pair in range(n_pairs):  # nodata takes nothing up
        if clusters[ones[pair]] >= 0 and clusters[others[pair]] >= 0:
            ones[n_kept], others[n_kept] = ones[pair], others[pair]
            n_kept += 1
    return ones[:n_kept].copy(), others[:n_kept].copy()


@njit(cache=True, nogil=True)
def _hand_over(ones: Ints, others: Ints, colours: Ints, into: Ints) -> None:
    """Give specks to the pieces beside them, in place; those that none takes stay as they are."""
    nearest = np.full(len(into), 2**62, np.int64)
    chosen = np.full(len(into), -1, np.int32)
    n_pairs = len(ones)
    for _ in range(ROUNDS):
        # All specks of a round choose before any goes over: their order has no say.
        n_pairs = _choose(ones, others, n_pairs, colours, into, nearest, chosen)
        for piece in range(len(into)):
            if into[piece] < 0 and chosen[piece] >= 0:
                into[piece] = chosen[piece]
    for piece in range(len(into)):
        if into[piece] < 0:
            into[piece] = piece


@njit(cache=True, nogil=True)
def _choose(ones: Ints, others: Ints, n_pairs: int, colours: Ints, into: Ints, nearest: Longs, chosen: Ints) -> int:
    """Let each speck choose among the pieces beside it; return how many pairs, moved to the front, are undecided."""
    n_left = 0
    for pair in range(n_pairs):
        speck, taker = ones[pair], into[others[pair]]
        if into[speck] >= 0:
            speck, taker = others[pair], into[ones[pair]]
        if into[speck] >= 0:
            continue
        if taker < 0:  # two specks: the next round may know
            ones[n_left], others[n_left] = ones[pair], others[pair]
            n_left += 1
            continue
        distance = np.int64(0)
        for band in range(colours.shape[1]):
            distance += (colours[speck, band] - colours[taker, band]) ** 2
        if distance < nearest[speck] or (distance == nearest[speck] and taker < chosen[speck]):
            nearest[speck], chosen[speck] = distance, taker
    return n_left


@njit(cache=True, nogil=True)
def _ranks(clusters: Ints, into: Ints, n_clusters: int) -> Ints:
    """Return which of its cluster's pieces each is that stays: the first found is 0, then 1, 2, ... in raster order."""
    found = np.zeros(n_clusters, np.int32)
    ranks = np.zeros(len(clusters), np.int32)
    for piece in range(len(clusters)):
        cluster = clusters[piece]
        if cluster >= 0 and into[piece] == piece:
            ranks[piece] = found[cluster]
            found[cluster] += 1
    return ranks
