"""One label map of many tiles: compared with a plain twin that knows pixels and no tables."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.joining import (
    is_joined,
    join_tiles,
    look,
    number_ids,
    smallest_halo,
    tabulate,
    tiles_seeing,
)
from superpoint.superpixels.resolving import PieceTable
from superpoint.superpixels.slic import Slic
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

Labels = NDArray[np.uint32]
Pixel = tuple[int, int]
Source = tuple[int, int]


def cut_out(grid: TileGrid, labels: NDArray[np.integer]) -> list[Labels]:
    """Let every tile see the same superpixels."""
    return [labels[tile.read.slices].astype(np.uint32) for tile in grid]


def squares(shape: tuple[int, int], side: int, shift: int = 0) -> NDArray[np.int64]:
    rows, cols = np.indices(shape) + shift
    return rows // side * 1000 + cols // side + 1


def same_regions(one: NDArray[np.integer], other: NDArray[np.integer]) -> bool:
    pairs = {*zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)}
    return len(pairs) == len(np.unique(one)) == len(np.unique(other))


def n_pieces(labels: NDArray[np.integer]) -> int:
    return sum(ndimage.label(labels == number)[1] for number in np.unique(labels[labels > 0]))


# --- what it is for


@pytest.mark.parametrize(("side", "shift"), [(5, 0), (5, 2), (7, 3), (8, 0)])
def test_superpixels_on_which_tiles_agree_come_out_as_they_are(side: int, shift: int) -> None:
    grid = TileGrid(shape=(50, 61), size=16, halo=8)
    expected = squares(grid.shape, side, shift)
    joined = join_tiles(grid, cut_out(grid, expected), region_size=side)
    assert same_regions(joined, expected)


def test_an_outline_between_tiles_is_that_of_a_superpixel_and_not_the_grid() -> None:
    grid = TileGrid(shape=(20, 40), size=20, halo=10)
    left, right = np.ones((20, 30), np.uint32), np.ones((20, 30), np.uint32)
    left[5:12, 15:22] = 2  # its centre lies in the left core, and it reaches two pixels beyond
    right[5:12, 4:13] = 2  # the right tile sees it larger, and its centre in the left core as well
    joined = join_tiles(grid, [left, right], region_size=10)
    inside = np.argwhere(joined == joined[8, 20])
    # The left tile's outline, and the rest of what the right one sees there is a small remnant of it that touches.
    assert inside.min(axis=0).tolist() == [5, 15]
    assert joined.max() == 2


def test_a_lake_larger_than_the_halo_is_one_superpixel() -> None:
    grid = TileGrid(shape=(96, 96), size=16, halo=8)
    lake = squares(grid.shape, 6)
    lake[10:80, 20:70] = 99_999
    joined = join_tiles(grid, cut_out(grid, lake), region_size=6)
    assert len(np.unique(joined[10:80, 20:70])) == 1
    assert same_regions(joined, np.where(lake == 99_999, 0, number_ids(lake.astype(np.uint32))))


def test_tiles_that_disagree_on_everything_still_leave_no_straight_seam() -> None:
    grid = TileGrid(shape=(192, 192), size=64, halo=24)
    rng = np.random.default_rng(3)
    windows = [voronoi(tile.read.shape, 8, rng) for tile in grid]
    joined = join_tiles(grid, windows, region_size=8)
    naive = np.zeros(grid.shape, np.int64)
    for number, (tile, labels) in enumerate(zip(grid, windows, strict=True)):
        naive[tile.core.slices] = labels[tile.core.within(tile.read)] + 10_000 * number
    on_edges = [(labels[:, 63::64][:, :2] != labels[:, 64::64]).mean() for labels in (joined, naive)]
    elsewhere = (joined[:, 1:] != joined[:, :-1]).mean()
    assert on_edges[0] < 1.5 * elsewhere < on_edges[1] == 1


def voronoi(shape: tuple[int, int], side: int, rng: np.random.Generator) -> Labels:
    seeds = rng.random((shape[0] * shape[1] // side**2, 2)) * shape
    pixels = np.indices(shape)
    nearest = ((pixels[:, None] - seeds.T[:, :, None, None]) ** 2).sum(axis=0).argmin(axis=0)
    return number_ids((nearest + 1).astype(np.uint32)).astype(np.uint32)


def test_a_remnant_goes_to_the_neighbour_with_the_longest_border() -> None:
    grid = TileGrid(shape=(12, 24), size=12, halo=6)
    left, right = np.ones((12, 18), np.uint32), np.ones((12, 18), np.uint32)
    left[:, 13:] = 2  # its centre lies in the right core
    right[:, 9:] = 3  # from column 15 on, so that of the left tile's 2 only the columns 13 and 14 are left
    right[6:, 8] = 3  # and a bit of those
    joined = join_tiles(grid, [left, right], region_size=12)
    assert joined[0].tolist() == [1] * 13 + [2] * 11
    assert joined[11].tolist() == [1] * 13 + [2] * 11


def test_small_superpixels_of_the_algorithm_stay() -> None:
    grid = TileGrid(shape=(40, 40), size=20, halo=10)
    expected = squares(grid.shape, 10)
    expected[3, 3] = expected[20, 24] = 77_777
    joined = join_tiles(grid, cut_out(grid, expected), region_size=10)
    assert [(joined == joined[place]).sum() for place in ((3, 3), (20, 24))] == [1, 1]


def test_islands_in_nodata_stay() -> None:
    grid = TileGrid(shape=(40, 40), size=20, halo=10)
    island = np.zeros(grid.shape, np.int64)
    island[19:21, 19:21] = 1
    assert join_tiles(grid, cut_out(grid, island), region_size=10).tolist() == island.tolist()


def test_nodata_everywhere_is_zero_everywhere() -> None:
    grid = TileGrid(shape=(10, 30), size=8, halo=3)
    assert not join_tiles(grid, cut_out(grid, np.zeros(grid.shape, int)), region_size=3).any()


# --- the promises, and the twin


def pixels_of(window: Window) -> Iterable[Pixel]:
    return itertools.product(
        range(window.row, window.row + window.n_rows), range(window.col, window.col + window.n_cols)
    )


def beside(pixel: Pixel) -> list[Pixel]:
    row, col = pixel
    return [(row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)]


def spread(keys: dict[Pixel, Hashable]) -> dict[Pixel, int]:
    """Number 4-connected pixels of equal key, in raster order."""
    found: dict[Pixel, int] = {}
    numbers = itertools.count()
    for start in sorted(keys):
        if start in found:
            continue
        found[start], waiting = next(numbers), [start]
        while waiting:
            pixel = waiting.pop()
            for other in beside(pixel):
                if other not in found and keys.get(other) == keys[pixel]:
                    found[other] = found[start]
                    waiting.append(other)
    return found


def merged(n_nodes: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Number the sets of joined nodes in the order of their first nodes."""
    heads = list(range(n_nodes))
    for one, other in pairs:
        low, high = sorted((heads[one], heads[other]))
        heads = [low if head == high else head for head in heads]
    ranks = {head: rank for rank, head in enumerate(sorted(set(heads)))}
    return [ranks[head] for head in heads]


def pairs_that_match(one: dict[Pixel, int], other: dict[Pixel, int], cut: Callable[[int, int], bool]) -> set[Source]:
    shared = Counter((one[pixel], other[pixel]) for pixel in one.keys() & other.keys())
    sizes = Counter(one[pixel] for pixel in one.keys() & other.keys())
    other_sizes = Counter(other[pixel] for pixel in one.keys() & other.keys())
    best = {a: min((-n, b) for (c, b), n in shared.items() if c == a)[1] for a in sizes}
    other_best = {b: min((-n, a) for (a, c), n in shared.items() if c == b)[1] for b in other_sizes}
    return {
        (a, b)
        for (a, b), n in shared.items()
        if 2 * n >= min(sizes[a], other_sizes[b]) and ((best[a] == b and other_best[b] == a) or cut(a, b))
    }


class Twin:
    """The rules of joining, pixel by pixel."""

    def __init__(self, grid: TileGrid, windows: list[Labels]) -> None:
        self.grid, self.tiles = grid, list(grid)
        self.views: list[dict[Pixel, int]] = []
        for tile, labels in zip(self.tiles, windows, strict=True):
            ids = {p: labels[p[0] - tile.read.row, p[1] - tile.read.col] for p in pixels_of(tile.read)}
            self.views.append(spread({pixel: number for pixel, number in ids.items() if number}))
        self.members: dict[Source, list[Pixel]] = defaultdict(list)
        for number, view in enumerate(self.views):
            for pixel, label in view.items():
                self.members[number, label].append(pixel)
        self.central = {source for source in self.members if self.is_central(source)}
        self.cut = {source for source in self.members if self.is_cut(source)}

    def is_central(self, source: Source) -> bool:
        core = self.tiles[source[0]].core
        centre = np.mean(self.members[source], axis=0) + 0.5 - (core.row, core.col)
        return bool((centre >= 0).all() and (centre < core.shape).all())

    def is_cut(self, source: Source) -> bool:
        seen = {*pixels_of(self.tiles[source[0]].read)}
        around = {other for pixel in self.members[source] for other in beside(pixel)} - seen
        return any(0 <= row < self.grid.shape[0] and 0 <= col < self.grid.shape[1] for row, col in around)

    def claim_of(self, source: Source) -> int:
        return 2 if source not in self.central else 1 if source in self.cut else 0

    def sources(self) -> dict[Pixel, Source]:
        found = {}
        for pixel in itertools.product(*map(range, self.grid.shape)):
            seen_as = [(number, view[pixel]) for number, view in enumerate(self.views) if pixel in view]
            if seen_as:
                found[pixel] = min(seen_as, key=lambda source: (self.claim_of(source), source))
        return found

    def matches(self) -> set[tuple[Source, Source]]:
        return {
            ((i, a), (j, b))
            for i, j in itertools.combinations(range(len(self.tiles)), 2)
            for a, b in pairs_that_match(
                self.views[i], self.views[j], lambda a, b, i=i, j=j: {(i, a), (j, b)} <= self.cut
            )
        }

    def pieces(self, sources: dict[Pixel, Source]) -> dict[Pixel, int]:
        """Number pieces in the order of the tiles, and within a core in raster order."""
        core_of = {pixel: number for number, tile in enumerate(self.tiles) for pixel in pixels_of(tile.core)}
        loose = spread({pixel: (core_of[pixel], source) for pixel, source in sources.items()})
        in_order = sorted(sources, key=lambda pixel: (core_of[pixel], pixel))
        order = {piece: rank for rank, piece in enumerate(dict.fromkeys(loose[pixel] for pixel in in_order))}
        return {pixel: order[piece] for pixel, piece in loose.items()}

    def labels(self, region_size: float) -> Labels:
        sources, matches = self.sources(), self.matches()
        pieces = self.pieces(sources)
        source_of = {pieces[pixel]: source for pixel, source in sources.items()}
        edges = [(pieces[p], pieces[q]) for p in pieces for q in beside(p) if q in pieces and pieces[p] != pieces[q]]
        pairs = [tuple(sorted((source_of[p], source_of[q]))) for p, q in edges]
        one = [edge for edge, pair in zip(edges, pairs, strict=True) if pair[0] == pair[1] or pair in matches]
        regions = merged(len(source_of), one)
        while chosen := self.choices(regions, edges, Counter(pieces.values()), source_of, region_size):
            united = merged(max(regions) + 1, chosen)
            regions = [united[region] for region in regions]
        numbers: dict[int, int] = {}
        labels = np.zeros(self.grid.shape, np.uint32)
        for pixel in sorted(pieces):
            labels[pixel] = numbers.setdefault(regions[pieces[pixel]], len(numbers) + 1)
        return labels

    def choices(
        self,
        regions: list[int],
        edges: list[tuple[int, int]],
        sizes: Counter[int],
        source_of: dict[int, Source],
        region_size: float,
    ) -> list[tuple[int, int]]:
        """Pair each sliver with the neighbour that it goes to."""
        borders = Counter((regions[p], regions[q]) for p, q in edges if regions[p] != regions[q])
        found = []
        for region in set(regions):
            parts = [piece for piece, other in enumerate(regions) if other == region]
            whole = [len(self.members[source_of[piece]]) for piece in parts]
            size = sum(sizes[piece] for piece in parts)
            small = 2 * size < max(whole) and size < region_size**2
            beyond = [(-n, other) for (here, other), n in borders.items() if here == region]
            if small and beyond and not any(sizes[p] == n for p, n in zip(parts, whole, strict=True)):
                found.append((region, min(beyond)[1]))
        return found


@st.composite
def sights(draw: st.DrawFn) -> tuple[TileGrid, list[Labels], float]:
    """Tiles that see nearly the same blocks, each with mistakes of its own."""
    grid = TileGrid(
        shape=(draw(st.integers(1, 22)), draw(st.integers(1, 22))),
        size=draw(st.integers(3, 12)),
        halo=draw(st.integers(0, 9)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side, n_mistakes = draw(st.integers(2, 9)), draw(st.sampled_from([0, 2, 6, 20]))
    holes = rng.random(grid.shape) < draw(st.sampled_from([0, 0.05, 0.4]))
    windows = []
    for labels in cut_out(grid, np.where(holes, 0, squares(grid.shape, side))):
        for _ in range(n_mistakes):
            row, col = rng.integers(labels.shape)
            patch = labels[row : row + rng.integers(1, 6), col : col + rng.integers(1, 6)]
            patch[patch > 0] = rng.choice(labels.ravel()) or rng.integers(1, 2**32)
        windows.append(labels)
    return grid, windows, float(draw(st.sampled_from([2.0, 3.5, 8.0])))


@settings(max_examples=120)
@given(sights())
def test_tables_come_to_what_the_plain_twin_comes_to(sight: tuple[TileGrid, list[Labels], float]) -> None:
    grid, windows, region_size = sight
    np.testing.assert_array_equal(
        join_tiles(grid, windows, region_size=region_size), Twin(grid, windows).labels(region_size)
    )


@settings(max_examples=60)
@given(sights())
def test_the_contract_holds_over_the_whole_raster(sight: tuple[TileGrid, list[Labels], float]) -> None:
    grid, windows, region_size = sight
    joined = join_tiles(grid, windows, region_size=region_size)
    for tile, labels in zip(grid, windows, strict=True):
        np.testing.assert_array_equal(joined[tile.core.slices] > 0, labels[tile.core.within(tile.read)] > 0)
    ids, firsts = np.unique(joined[joined > 0], return_index=True)
    assert ids.tolist() == [*range(1, len(ids) + 1)]
    assert (np.diff(firsts) > 0).all()
    assert n_pieces(joined) == len(ids)


@settings(max_examples=30)
@given(sights(), st.randoms(use_true_random=False))
def test_ids_mean_nothing_beyond_their_tile(
    sight: tuple[TileGrid, list[Labels], float], random: np.random.Generator
) -> None:
    grid, windows, region_size = sight
    renamed = []
    for labels in windows:
        ids = np.unique(labels[labels > 0])
        names = np.array(random.sample(range(1, 10_000), len(ids)), np.uint32)
        renamed.append(np.where(labels > 0, np.append(names, 0)[np.searchsorted(ids, labels)], 0).astype(np.uint32))
    np.testing.assert_array_equal(
        join_tiles(grid, windows, region_size=region_size), join_tiles(grid, renamed, region_size=region_size)
    )


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.integers(1, 15),
    halo=st.integers(0, 20),
    corner=st.tuples(st.integers(0, 39), st.integers(0, 39)),
    extent=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_the_tiles_that_see_a_window_are_those_that_read_a_pixel_of_it(
    shape: tuple[int, int], size: int, halo: int, corner: Pixel, extent: Pixel
) -> None:
    grid = TileGrid(shape=shape, size=size, halo=halo)
    row, col = min(corner[0], shape[0] - 1), min(corner[1], shape[1] - 1)
    window = Window(row=row, col=col, n_rows=min(extent[0], shape[0] - row), n_cols=min(extent[1], shape[1] - col))
    wanted = np.zeros(shape, bool)
    wanted[window.slices] = True
    assert [tile.index for tile in tiles_seeing(grid, window)] == [
        tile.index for tile in grid if wanted[tile.read.slices].any()
    ]


# --- small things


def test_ids_are_numbered_by_piece_even_if_they_are_as_large_as_can_be() -> None:
    top = 2**32 - 1
    labels = np.array([[top, top, 0, 5], [0, 5, 0, 5], [5, 5, 2**31, top]], np.uint32)
    assert number_ids(labels).tolist() == [[1, 1, 0, 2], [0, 3, 0, 2], [3, 3, 4, 5]]


def test_slic_needs_no_joining_and_what_has_no_exact_halo_does() -> None:
    class Other(Slic):
        def halo(self, *, exact: bool = False) -> int:
            if exact:
                raise ValueError("none")
            return 40

    assert (is_joined(Slic()), is_joined(Other())) == (False, True)
    assert smallest_halo(Other(region_size=7.2)) == 8


def test_tables_stay_small_and_survive_packing() -> None:
    grid = TileGrid(shape=(600, 600), size=200, halo=40)
    labels = Slic(region_size=10)(
        np.random.default_rng(0).random((1, 600, 600)).astype(np.float32),
        np.ones(grid.shape, bool),
        origin=Origin(raster_shape=grid.shape),
        rng=np.random.default_rng(0),
    )
    views = {
        tile.index: look(tile, number_ids(window), grid.shape)
        for tile, window in zip(grid, cut_out(grid, labels), strict=True)
    }
    tables = [tabulate(tile, views, grid)[1] for tile in grid]
    assert sum(table.pack().nbytes for table in tables) / len(np.unique(labels)) < 90
    for table in tables:
        for field, expected in asdict(table).items():
            np.testing.assert_array_equal(getattr(PieceTable.unpack(table.pack()), field), expected)
