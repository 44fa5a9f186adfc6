"""Settling the pieces of clusters: by hand, and beside a twin that knows no runs."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import skimage.measure
from hypothesis import example, given
from hypothesis import strategies as st

from superpoint.superpixels.lattice import MAX_ID
from superpoint.superpixels.regions import ROUNDS, Runs, label_runs, number_pieces, paint_runs, settle

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from superpoint.superpixels.regions import Share

    Cells = NDArray[np.int32]

NODATA = -1


def runs_of(cells: Cells) -> Runs:
    firsts, stops, numbers, row_starts = [], [], [], [0]
    for row in cells.tolist():
        col = 0
        for cell, pixels in groupby(row):
            firsts.append(col)
            col += len(list(pixels))
            stops.append(col)
            numbers.append(cell)
        row_starts.append(len(firsts))
    ints = (np.array(values, np.int32) for values in (firsts, stops, numbers))
    return Runs(*ints, row_starts=np.array(row_starts, np.int64))


def painted(cells: Cells, runs: Runs, pieces: NDArray[np.int32], ids: ArrayLike) -> NDArray[np.uint32]:
    labels = np.full(cells.shape, 2**32 - 1, np.uint32)
    paint_runs(runs, pieces, np.asarray(ids, np.uint32), (0, len(cells)), labels)
    return labels


def in_parts(n_rows: int, n_parts: int) -> Share:
    """Return what calls a function with parts of the rows, one after another."""
    edges = [n_rows * part // n_parts for part in range(n_parts + 1)]
    return lambda work: [work(rows) for rows in pairwise(edges)]


class Settled(NamedTuple):
    labels: NDArray[np.uint32]
    pieces: NDArray[np.uint32]
    clusters: NDArray[np.int32]
    into: NDArray[np.int32]


def settled(
    cells: ArrayLike,
    quantised: ArrayLike | None = None,
    colours: ArrayLike | None = None,
    *,
    alive: ArrayLike | None = None,
    min_size: float = 3,
    n_parts: int = 1,
) -> Settled:
    """Settle and number clusters whose seeds are 1, 2, 3, ... of a raster that has no others."""
    cells = np.atleast_2d(np.asarray(cells, np.int32))
    n_clusters = max(1, cells.max() + 1)
    bands = np.zeros((1, *cells.shape)) if quantised is None else np.asarray(quantised).reshape(-1, *cells.shape)
    centres = np.zeros((n_clusters, len(bands))) if colours is None else np.asarray(colours).reshape(-1, len(bands))
    living = np.ones(n_clusters, bool) if alive is None else np.asarray(alive)
    runs = runs_of(cells)
    share = in_parts(len(cells), min(n_parts, len(cells)))
    pieces, clusters, into = settle(runs, bands.astype(np.uint8), centres.astype(np.int32), living, min_size, share)
    ids = number_pieces(clusters, into, np.arange(1, n_clusters + 1), n_clusters)
    return Settled(
        painted(cells, runs, pieces, ids), painted(cells, runs, pieces, range(len(clusters))), clusters, into
    )


def twin(
    cells: Cells, quantised: NDArray[np.uint8], colours: NDArray[np.int32], alive: NDArray[np.bool_], min_size: float
) -> Settled:
    """The three rules of the module's text, on whole arrays, one piece after another."""
    pieces = skimage.measure.label(cells + 2, background=0, connectivity=1) - 1
    numbers = range(pieces.max() + 1)
    sizes = np.bincount(pieces.ravel())
    clusters = [int(cells[pieces == piece][0]) for piece in numbers]
    into: list[int | None] = []
    for piece in numbers:
        siblings = [other for other in numbers if clusters[other] == clusters[piece]]
        largest = max(siblings, key=lambda other: (sizes[other], -other))
        stays = clusters[piece] == NODATA or sizes[piece] >= min_size or piece == largest
        into.append(piece if stays else None)
    means = [
        colours[clusters[piece]]
        if into[piece] is not None and alive[clusters[piece]]
        else np.floor(quantised[:, pieces == piece].mean(axis=1) + 0.5).astype(int)
        for piece in numbers
    ]
    pairs = {tuple(pair) for here, there in ((pieces[1:], pieces[:-1]), (pieces[:, 1:], pieces[:, :-1]))
             for pair in np.stack([here.ravel(), there.ravel()], axis=1).tolist()}  # fmt: skip
    beside = {piece: [sum(pair) - piece for pair in pairs if piece in pair] for piece in numbers}
    for _ in range(ROUNDS):
        before = into.copy()
        for speck in [piece for piece in numbers if before[piece] is None]:
            takers = {before[other] for other in beside[speck] if clusters[other] != NODATA} - {None}
            if takers:
                into[speck] = min(takers, key=lambda taker: (((means[speck] - means[taker]) ** 2).sum(), taker))
    final = [piece if taker is None else taker for piece, taker in enumerate(into)]
    seen = [0] * len(colours)
    ids = [0] * len(numbers)
    for piece in numbers:
        if clusters[piece] != NODATA and final[piece] == piece:
            ids[piece] = clusters[piece] + 1 + seen[clusters[piece]] * len(colours)
            seen[clusters[piece]] += 1
    return Settled(np.array(ids)[np.array(final)][pieces], pieces, np.array(clusters), np.array(final))


@st.composite
def cell_maps(draw: st.DrawFn) -> Cells:
    """Patches of a few numbers, speckled, with holes of nodata: worse than clustering ever makes them."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grain = draw(st.sampled_from([1, 1, 2, 5]))
    coarse = rng.integers(0, draw(st.integers(1, 6)), (-(-shape[0] // grain), -(-shape[1] // grain)))
    cells = np.kron(coarse, np.ones((grain, grain), int))[: shape[0], : shape[1]]
    cells[rng.random(shape) < draw(st.sampled_from([0, 0.2, 0.5, 0.9]))] = NODATA
    return cells.astype(np.int32)


# --- pieces


@given(cells=cell_maps(), n_parts=st.integers(1, 4))
@example(cells=np.full((3, 3), NODATA, np.int32), n_parts=3)
@example(cells=np.indices((9, 9)).sum(axis=0).astype(np.int32) % 2, n_parts=2)
def test_pieces_are_those_of_scikit_image_in_raster_order(cells: Cells, n_parts: int) -> None:
    runs = runs_of(cells)
    pieces, clusters, sizes = label_runs(runs, in_parts(len(cells), min(n_parts, len(cells))))
    expected = skimage.measure.label(cells + 2, background=0, connectivity=1) - 1
    np.testing.assert_array_equal(painted(cells, runs, pieces, range(len(sizes))), expected)
    np.testing.assert_array_equal(sizes, np.bincount(expected.ravel()))
    np.testing.assert_array_equal(clusters[expected], cells)


def test_a_spiral_is_one_piece() -> None:
    spiral = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1, 1, 1, 1, 1, 0],
            [0, 0, 0, 0, 1, 0],
            [0, 1, 1, 0, 1, 0],
            [0, 1, 1, 1, 1, 0],
            [0, 0, 0, 0, 0, 0],
        ],
        np.int32,
    )
    _, clusters, sizes = label_runs(runs_of(spiral), in_parts(6, 1))
    assert clusters.tolist() == [0, 1]
    assert sizes.tolist() == [23, 13]


def test_only_the_rows_asked_for_are_painted() -> None:
    cells = np.zeros((4, 3), np.int32)
    labels = np.zeros((4, 3), np.uint32)
    paint_runs(runs_of(cells), np.zeros(4, np.int32), np.array([7], np.uint32), (1, 3), labels)
    assert labels[:, 0].tolist() == [0, 7, 7, 0]


# --- what becomes of them


def test_the_largest_piece_is_kept_and_another_large_one_is_a_superpixel_of_its_own() -> None:
    assert settled([0, 0, 0, 0, 1, 1, 1, 0, 0, 0]).labels.tolist() == [[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]]


def test_the_largest_piece_is_kept_however_small() -> None:
    assert settled([0, 0, 1, 2, 2, 2], min_size=100).labels.tolist() == [[1, 1, 2, 3, 3, 3]]


def test_of_two_pieces_of_one_size_the_first_is_kept() -> None:
    assert settled([0, 0, 1, 1, 1, 0, 0]).labels.tolist() == [[1, 1, 2, 2, 2, 2, 2]]


def test_a_speck_goes_whole_to_the_neighbour_nearest_in_colour_and_not_to_the_longest_border() -> None:
    cells = [
        [0, 0, 0, 0, 1, 1],
        [0, 0, 2, 2, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [2, 2, 2, 2, 2, 2],
    ]
    values = np.zeros((4, 6))
    values[1, 2:4] = 10, 90  # pixel by pixel it would be split: their mean is 50
    near_one = settled(cells, values, [0, 60, 255]).labels
    assert near_one[1].tolist() == [1, 1, 2, 2, 2, 2]
    near_zero = settled(cells, values, [45, 60, 255]).labels
    assert near_zero[1].tolist() == [1, 1, 1, 1, 2, 2]


def test_of_neighbours_equally_near_in_colour_the_first_takes_a_speck() -> None:
    assert settled([0, 0, 0, 2, 1, 1, 1, NODATA, 2, 2, 2]).labels.tolist() == [[1, 1, 1, 1, 2, 2, 2, 0, 3, 3, 3]]


def test_a_cluster_without_a_centre_has_the_mean_colour_of_its_piece() -> None:
    cells, values = [0, 0, 0, 2, 1, 1, 1, NODATA, 2, 2, 2], [40, 40, 40, 50, 90, 90, 90, 0, 0, 0, 0]
    dead = settled(cells, values, [0, 60, 0], alive=[False, True, True])
    assert dead.labels[0, 3] == 1  # 40 is as near as 60; the dead centre's 0 would not be
    assert settled(cells, values, [0, 60, 0]).labels[0, 3] == 2


def test_an_island_in_nodata_is_a_superpixel_of_its_own() -> None:
    labels = settled([0, 0, 0, NODATA, 0, NODATA, 1, 0, NODATA, 1, 1]).labels
    # A speck beside the speck of another cluster: neither has a kept neighbour to go to.
    assert labels.tolist() == [[1, 1, 1, 0, 3, 0, 2, 5, 0, 4, 4]]


def test_specks_beside_specks_go_over_round_by_round_and_those_too_far_off_stay() -> None:
    chain = [1, 2] * ROUNDS
    cells = [0, 0, 0, *chain, NODATA, 1, 1, 1, NODATA, 2, 2, 2]
    labels = settled(cells).labels[0]
    assert labels[: 3 + ROUNDS].tolist() == [1] * (3 + ROUNDS)
    left = labels[3 + ROUNDS : 3 + 2 * ROUNDS]
    assert len(np.unique(left)) == ROUNDS
    assert 1 not in left


def test_specks_of_a_round_choose_before_any_goes_over() -> None:
    # The second speck touches cell 1 as well: it must not see that the first went to cell 0, nearer in colour.
    cells, values = [0, 0, 0, 2, 3, 1, 1, 1, NODATA, 2, 2, 2, NODATA, 3, 3, 3], np.zeros(16)
    values[4] = 10
    assert settled(cells, values, [10, 200, 0, 0]).labels[0, 3:5].tolist() == [1, 2]


@given(
    cells=cell_maps(),
    n_bands=st.integers(1, 3),
    min_size=st.sampled_from([0.4, 2, 3.5, 10, 1000]),
    n_parts=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_pieces_settle_as_by_the_rule_on_whole_arrays(
    cells: Cells, n_bands: int, min_size: float, n_parts: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n_clusters = max(1, cells.max() + 1)
    quantised = rng.integers(0, 4, (n_bands, *cells.shape)).astype(np.uint8)
    colours, alive = rng.integers(0, 4, (n_clusters, n_bands)).astype(np.int32), rng.random(n_clusters) < 0.8
    found = settled(cells, quantised, colours, alive=alive, min_size=min_size, n_parts=n_parts)
    for ours, theirs in zip(found, twin(cells, quantised, colours, alive, min_size), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(cells=cell_maps(), min_size=st.sampled_from([0.4, 3, 1000]))
def test_every_id_is_one_region_and_0_is_where_nothing_was(cells: Cells, min_size: float) -> None:
    labels = settled(cells, min_size=min_size).labels
    np.testing.assert_array_equal(labels == 0, cells < 0)
    # scikit-image counts pieces of equal id; there must be as many as there are ids.
    assert skimage.measure.label(labels, background=0, connectivity=1).max() == len(np.unique(labels[labels > 0]))


# --- ids


def test_the_first_piece_has_its_seeds_id_and_each_further_one_as_many_as_there_are_seeds_beyond() -> None:
    clusters, into = np.array([4, -1, 7, 4, 4, 7], np.int32), np.array([0, 1, 2, 3, 2, 5], np.int32)
    seeds = np.arange(100, 110)
    ids = number_pieces(clusters, into, seeds, 5000)
    assert ids.dtype == np.uint32
    assert ids.tolist() == [104, 0, 107, 5104, 107, 5107]


def test_an_id_that_does_not_fit_is_refused_and_the_greatest_that_fits_is_not() -> None:
    clusters, into = np.array([0, 0], np.int32), np.array([0, 1], np.int32)
    n_seeds = 2**31
    fitting = np.array([MAX_ID - n_seeds])
    assert number_pieces(clusters, into, fitting, n_seeds).tolist() == [2**31 - 1, MAX_ID]
    sentence = f"{n_seeds} superpixels, one of them in 2 parts, cannot be numbered in uint32; .* cut the raster in two"
    with pytest.raises(ValueError, match=sentence):
        number_pieces(clusters, into, fitting + 1, n_seeds)
