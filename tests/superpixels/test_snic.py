from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.snic import Snic, _grow, _place_seeds, _quantise
from superpoint.testing import check_superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def superpixels(
    snic: Snic, image: Image, valid: Mask | None = None, origin: Origin | None = None
) -> NDArray[np.uint32]:
    valid = np.ones(image.shape[1:], bool) if valid is None else valid
    whole = Origin(raster_shape=(image.shape[1], image.shape[2]))
    return snic(image, valid, origin=origin or whole, rng=np.random.default_rng(0))


def grow_with_a_heap(
    levels: NDArray[np.int64], valid: Mask, seeds: list[tuple[int, int]], weight: int
) -> NDArray[np.int32]:
    """Do as the paper says, with a heap ordered by distance to 9 binary digits, then by insertion."""
    owners = np.where(valid, -1, -2).astype(np.int32)
    members: list[list[tuple[int, ...]]] = [[] for _ in seeds]
    heap = [(0, number, *place, number) for number, place in enumerate(seeds)]
    n_pushed = len(heap)
    while heap:
        _, _, row, col, seed = heapq.heappop(heap)
        if owners[row, col] != -1:
            continue
        owners[row, col] = seed
        members[seed].append((16 * row, 16 * col, *levels[:, row, col].tolist()))
        centroid = [round(sum(axis) / len(members[seed])) for axis in zip(*members[seed], strict=True)]
        for beside in ((row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)):
            if min(beside) < 0 or beside[0] >= valid.shape[0] or beside[1] >= valid.shape[1] or owners[beside] != -1:
                continue
            place = (16 * beside[0] - centroid[0]) ** 2 + (16 * beside[1] - centroid[1]) ** 2
            colour = sum((int(levels[band][beside]) - centroid[2 + band]) ** 2 for band in range(len(levels)))
            distance = (place * weight >> 16) + colour
            mantissa, exponent = np.frexp(np.float32(distance))
            rank = (int(exponent), int(mantissa * 2**9)) if distance else (-999, 0)
            heapq.heappush(heap, (rank[0] * 1000 + rank[1] if distance else 0, n_pushed, *beside, seed))
            n_pushed += 1
    return owners


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    n_bands=st.integers(1, 4),
    weight=st.sampled_from([0, 700, 50_000, 10**7]),
    smooth=st.booleans(),
    share=st.sampled_from([1.0, 0.8]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pixels_are_taken_in_the_order_of_a_heap(
    shape: tuple[int, int], n_bands: int, weight: int, smooth: bool, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((n_bands, *shape), np.float32)
    image = np.round(image * 3) / 3 if smooth else image
    valid = rng.random(shape) < share
    seeds = _place_seeds(Lattice.over(shape, region_size=4), Origin(raster_shape=shape), valid)
    levels = np.rint(np.where(valid, image, 0) * np.float32(512)).astype(np.int64)
    expected = grow_with_a_heap(levels, valid, [(int(row), int(col)) for row, col in seeds], weight)
    assert np.array_equal(_grow(_quantise(image, valid), valid, seeds, weight), expected)


def test_it_keeps_the_contract() -> None:
    check_superpixels(Snic(region_size=8))


def test_outlines_follow_edges_of_any_strength_if_compactness_is_low() -> None:
    image = np.full((13, 40, 60), 0.5, np.float32)
    image[:, :, 33:] += 0.02
    labels = superpixels(Snic(region_size=10, compactness=0.01), image)
    assert not np.intersect1d(labels[:, :33], labels[:, 33:]).size


def test_with_great_compactness_superpixels_are_the_cells_of_the_lattice() -> None:
    image = np.random.default_rng(0).random((3, 45, 63), np.float32)
    labels = superpixels(Snic(region_size=9, compactness=1e6), image)
    cells = np.arange(45)[:, None] // 9 * 7 + np.arange(63) // 9 + 1
    assert np.array_equal(labels, cells)


def test_there_are_as_many_superpixels_as_cells() -> None:
    image = np.random.default_rng(0).random((3, 100, 140), np.float32)
    assert superpixels(Snic(region_size=10), image).max() == 140


def test_a_seed_on_nodata_moves_to_the_nearest_valid_pixel_of_its_cell_or_is_dropped() -> None:
    valid = np.ones((10, 20), bool)
    valid[3:7, 3:7] = False
    valid[:, 10:] = False
    origin = Origin(raster_shape=(10, 20))
    assert _place_seeds(Lattice.over((10, 20), region_size=10), origin, valid).tolist() == [[2, 4]]
    labels = superpixels(Snic(region_size=10), np.zeros((1, 10, 20), np.float32), valid)
    assert np.array_equal(labels, valid)


def test_a_window_starts_from_the_seeds_of_the_raster() -> None:
    lattice = Lattice.over((100, 130), region_size=10)
    whole = _place_seeds(lattice, Origin(raster_shape=(100, 130)), np.ones((100, 130), bool))
    window = _place_seeds(lattice, Origin(row=37, col=51, raster_shape=(100, 130)), np.ones((40, 50), bool))
    moved = {(row + 37, col + 51) for row, col in window.tolist()}
    inside = {(row, col) for row, col in whole.tolist() if 37 <= row < 77 and 51 <= col < 101}
    assert inside <= moved


def test_far_from_its_edge_a_window_shows_what_the_raster_shows() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((3, 30, 35), np.float32).repeat(6, axis=1).repeat(6, axis=2)
    image += rng.normal(0, 0.03, image.shape).astype(np.float32)
    snic = Snic(region_size=10)
    whole = superpixels(snic, image)[50:, 60:]
    window = superpixels(snic, image[:, 50:, 60:], origin=Origin(row=50, col=60, raster_shape=(180, 210)))
    halo = snic.halo()
    inside = np.s_[halo:, halo:]
    pairs = np.unique(np.stack([whole[inside].ravel(), window[inside].ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_it_has_no_exact_halo() -> None:
    assert Snic(region_size=12.5).halo() == 50
    with pytest.raises(ValueError, match="snic has no exact halo; its tiles are joined"):
        Snic().halo(exact=True)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("region_size", 1, "region_size must be at least 2, got 1"),
        ("region_size", "wide", "region_size must be a number, got 'wide'"),
        ("compactness", -1, "compactness must be at least 0, got -1"),
        ("compactness", float("nan"), "compactness must be at least 0, got nan"),
        ("compactness", True, "compactness must be a number, got True"),
    ],
)
def test_parameters_that_cannot_be_are_refused(name: str, value: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make_algorithm("snic", {name: value})


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"image \(3, 5, 5\) and valid \(5, 6\) must be"):
        superpixels(Snic(), np.zeros((3, 5, 5), np.float32), np.ones((5, 6), bool))
