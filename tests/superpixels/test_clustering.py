"""The kernels of SLIC and their twins: whole arrays in NumPy, and one pixel and one centre after another."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from superpoint.scaling import Scaling
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.clustering import FARTHEST, PLACE_BITS
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.slic import MAX_LEVELS, SPREAD, Slic, _units, _Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def work_on(slic: Slic, image: NDArray[np.generic], valid: Mask, scaling: Scaling | None = None) -> _Work:
    """Begin a call of SLIC: the bands are quantised, the pixels not clustered yet."""
    origin = Origin(raster_shape=(valid.shape[0], valid.shape[1]))
    lattice = Lattice.over(origin.raster_shape, region_size=SPREAD * slic.region_size)
    with ThreadPoolExecutor(1) as pool:
        work = _Work(slic, lattice, valid, origin, n_bands=len(image), threads=1, pool=pool)
        work.quantise(image, scaling or Scaling(low=(0.0,) * len(image), high=(1.0,) * len(image)))
    return work


@st.composite
def scenes(draw: st.DrawFn, *, side: int, n_bands: int = 3) -> tuple[NDArray[np.float32], Mask]:
    """A few colours or many, some far outside of 0..1; no, some or mostly nodata."""
    shape = draw(st.tuples(st.integers(1, side), st.integers(1, side)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.normal(0.5, draw(st.sampled_from([0.1, 0.4, 2])), (draw(st.integers(1, n_bands)), *shape))
    if draw(st.booleans()):
        image = np.round(image)
    valid = rng.random(shape) < draw(st.sampled_from([1, 0.95, 0.6, 0.2]))
    return image.astype(np.float32), valid


# --- quantising


def quantised_by_numpy(
    image: NDArray[np.generic], valid: Mask, scaling: Scaling, chroma: float, levels: int
) -> NDArray[np.uint8]:
    low, span = (values[:, None, None] for values in scaling.low_and_span())
    scaled = np.nan_to_num(((image.astype(np.float32) - low) / span).clip(-1, 2))
    mean = scaled.mean(axis=0, dtype=np.float32)
    mixed = mean + np.float32(chroma) * (scaled - mean) if len(image) > 1 else scaled
    padded = np.pad(mixed, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    smooth = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 16
    values = np.where(ndimage.minimum_filter(valid, 3, mode="nearest"), smooth, mixed)
    stepped = ((values + np.float32(0.1)) * np.float32(levels)).clip(0, np.float32(1.2 * levels)) + np.float32(0.5)
    return np.where(valid, stepped, 0).astype(np.uint8)


def quantised(work: _Work) -> NDArray[np.uint8]:
    return work.quantised[:, :, : work.valid.shape[1]]


@given(scene=scenes(side=30), chroma=st.sampled_from([0.0, 1.0, 3.0]), holes=st.sampled_from([np.nan, np.inf, 0, -9]))
def test_bands_are_quantised_as_by_their_numpy_twin(
    scene: tuple[NDArray[np.float32], Mask], chroma: float, holes: float
) -> None:
    image, valid = scene
    scaling = Scaling(low=(0.1, -0.2, 0.5)[: len(image)], high=(0.9, 1.0, 0.5)[: len(image)])
    work = work_on(Slic(region_size=4, chroma=chroma), np.where(valid, image, np.float32(holes)), valid, scaling)
    expected = quantised_by_numpy(image, valid, scaling, chroma, work.levels)
    # The twin sums in another order than the kernel might on another machine; here not a bit differs.
    np.testing.assert_array_equal(quantised(work)[:, valid], expected[:, valid])
    np.testing.assert_array_equal(work.full, valid.all(axis=1))


def test_a_single_bright_pixel_is_spread_by_a_binomial_filter() -> None:
    image = np.zeros((1, 5, 5), np.float32)
    image[0, 2, 2] = 1
    work = work_on(Slic(), image, np.ones((5, 5), bool))
    weights = np.outer([1, 2, 1], [1, 2, 1]) / 16
    np.testing.assert_array_equal(quantised(work)[0, 1:4, 1:4], np.floor((weights + 0.1) * work.levels + 0.5))
    assert set(quantised(work)[0, 0]) == {math.floor(0.1 * work.levels + 0.5)}


def test_a_pixel_beside_nodata_is_not_smoothed() -> None:
    image, valid = np.zeros((1, 5, 6), np.float32), np.ones((5, 6), bool)
    image[0, 2, 2], valid[3, 3] = 1, False
    work = work_on(Slic(), image, valid)
    dark, bright = (math.floor(value * work.levels + 0.5) for value in (0.1, 1.1))
    assert quantised(work)[0, 2].tolist()[2:5] == [bright, dark, dark]
    assert dark < quantised(work)[0, 2, 1] < bright
    assert quantised(work)[0, 3, 3] == 0


# --- clustering


def centre_of(members: list[list[int]]) -> list[int]:
    return [math.floor(Fraction(sum(values), len(members)) + Fraction(1, 2)) for values in zip(*members, strict=True)]


class Twin:
    """SLIC's clustering in whole numbers, one pixel and one centre after another."""

    def __init__(self, work: _Work) -> None:
        self.work, self.lattice = work, work.lattice
        self.half = work.across.shape[1] // 2
        self.col_edges = self.lattice.col_edges(0, work.valid.shape[1]).tolist()
        self.pixels = [(row, col) for row, col in np.argwhere(work.valid).tolist()]
        self.n_strays = 0
        step, phase = work.sampling
        self.sampled = [(row, col) for row, col in self.pixels if (row - phase) % step == 0]
        self.centres: dict[int, list[int]] = {}
        self._move({pixel: self._home(*pixel) for pixel in self.sampled})
        for _ in range(work.slic.iterations - 1):
            self._move({pixel: self._nearest(*pixel) for pixel in self.sampled})
        self.cells = np.full(work.valid.shape, -1)
        for pixel in self.pixels:
            nearest = self._nearest(*pixel)
            self.n_strays += nearest is None
            self.cells[pixel] = self._home(*pixel) if nearest is None else nearest

    def _move(self, owners: dict[tuple[int, int], int | None]) -> None:
        members: dict[int, list[list[int]]] = {}
        for (row, col), cell in owners.items():
            if cell is not None:
                bands = self.work.quantised[:, row, col].tolist()
                members.setdefault(cell, []).append([16 * row, 16 * col, *bands])
        self.centres |= {cell: centre_of(rows) for cell, rows in members.items()}

    def _home(self, row: int, col: int) -> int:
        return int(self.lattice.rows_of(np.array(row)) * self.lattice.n_cols + self.lattice.cols_of(np.array(col)))

    def _around(self, row: int, col: int) -> Iterator[int]:
        """Yield the cells of the nine around a pixel that have a centre, and search it."""
        home_row, home_col = divmod(self._home(row, col), self.lattice.n_cols)
        for cell, centre in sorted(self.centres.items()):
            cell_row, cell_col = divmod(cell, self.lattice.n_cols)
            beside = abs(cell_row - home_row) <= 1 and abs(cell_col - home_col) <= 1
            first_col = centre[1] // 16 - self.half
            if beside and abs(16 * row - centre[0]) <= 16 * self.half and 0 <= col - first_col < 2 * self.half:
                yield cell

    def _nearest(self, row: int, col: int) -> int | None:
        def distance(cell: int) -> int:
            centre = self.centres[cell]
            place = sum(
                offset**2 * self.work.weight // 2**PLACE_BITS for offset in (16 * row - centre[0], 16 * col - centre[1])
            )
            bands = self.work.quantised[:, row, col].tolist()
            total = place + sum((band - colour) ** 2 for band, colour in zip(bands, centre[2:], strict=True))
            assert total < FARTHEST
            return total

        return min(self._around(row, col), key=distance, default=None)


def check_against_twin(slic: Slic, image: NDArray[np.float32], valid: Mask) -> Twin:
    work = work_on(slic, image, valid)
    work.labels()
    twin = Twin(work)
    for cell, centre in enumerate(work.centres.tolist()):
        assert work.alive[cell] == (cell in twin.centres)
        assert not work.alive[cell] or centre == twin.centres[cell]
    runs = work._finish()
    cells = np.repeat(runs.cells, runs.stops - runs.firsts).reshape(valid.shape)
    np.testing.assert_array_equal(cells, twin.cells)
    rows = np.repeat(np.arange(len(valid)), np.diff(runs.row_starts))
    assert (runs.firsts[1:] == np.where(rows[1:] == rows[:-1], runs.stops[:-1], 0)).all()
    return twin


@settings(max_examples=60)
@given(
    scene=scenes(side=26),
    slic=st.builds(
        Slic,
        region_size=st.sampled_from([2.0, 3.5, 6.0, 9.0]),
        compactness=st.sampled_from([0.0, 1.0, 8.0, 40.0, 300.0]),
        iterations=st.integers(1, 3),
    ),
)
def test_the_kernels_cluster_as_their_plain_twin(scene: tuple[NDArray[np.float32], Mask], slic: Slic) -> None:
    check_against_twin(slic, *scene)


@pytest.mark.parametrize("n_bands", [1, 3])
def test_sweeps_that_look_at_every_fifth_row_move_centres_as_the_twin_does(n_bands: int) -> None:
    rng = np.random.default_rng(n_bands)
    image = rng.random((n_bands, 60, 56)).astype(np.float32)
    slic = Slic(region_size=20, iterations=3, compactness=3)
    assert work_on(slic, image, np.ones((60, 56), bool)).sampling[0] == 5
    check_against_twin(slic, image, rng.random((60, 56)) < 0.97)


def test_a_pixel_that_no_centre_searches_belongs_to_the_cell_it_lies_in() -> None:
    # Sparse data of a few colours, found by trying: centres wander off from a pixel, or look at other rows only.
    n_strays = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        image = np.round(rng.random((1, 45, 40)) * 2).astype(np.float32)
        valid = rng.random((45, 40)) < rng.choice([0.02, 0.1, 0.3])
        n_strays += check_against_twin(Slic(region_size=12, compactness=1, iterations=6), image, valid).n_strays
    assert n_strays


@pytest.mark.parametrize("n_bands", [1, 2, 3, 5, 13, 16, 400, 5000])
@pytest.mark.parametrize("compactness", [0, 8, 100, 1e6, 1e300])
@pytest.mark.parametrize("spacing", [2.6, 26, 300, 1e5])
def test_the_farthest_pixel_of_a_search_fits_15_bits(n_bands: int, compactness: float, spacing: float) -> None:
    width = 16 * math.ceil((2 * math.ceil(spacing) + 1) / 16)
    levels, weight = _units(n_bands, compactness, spacing, width)
    assert 1 <= levels <= MAX_LEVELS
    assert math.floor(1.2 * levels + 0.5) < 256
    if n_bands <= 16:  # thousands of bands of which all differ the most are let go
        farthest = (width // 2 * 16) ** 2
        assert 2 * (farthest * weight // 2**PLACE_BITS) + n_bands * math.floor(1.2 * levels + 0.5) ** 2 < FARTHEST
