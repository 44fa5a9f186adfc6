from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st

from superpoint.superpixels.repair import repair_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.integer[Any]]
    Mask = NDArray[np.bool_]
    Image = NDArray[np.float32]


@st.composite
def maps(draw: st.DrawFn) -> tuple[Labels, Mask, Image]:
    """Few ids, some missing, some nodata, and bands of few values so that there are ties."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(draw(st.sampled_from([-1, 0])), draw(st.integers(1, 4)), shape)
    valid = rng.random(shape) < draw(st.sampled_from([1, 0.8, 0.4]))
    image = rng.integers(0, draw(st.sampled_from([2, 1000])), (draw(st.integers(1, 3)), *shape))
    return labels, valid, image.astype(np.float32)


def number_pieces(labels: Labels, valid: Mask) -> NDArray[np.int64]:
    """Return the 4-connected pieces from 1 in raster order, by scikit-image."""
    ids = np.where(valid, np.maximum(labels.astype(np.int64), -1) + 2, 0)
    return np.asarray(skimage.measure.label(ids, background=0, connectivity=1), np.int64)


def merge_one_by_one(labels: Labels, valid: Mask, image: Image, min_size: int) -> NDArray[np.int64]:
    """Do the same with whole arrays: each merge relabels the map, each mean is taken anew."""
    regions = number_pieces(labels, valid)
    pieces = regions.copy()
    named = {int(piece) for piece in np.unique(pieces[valid & (labels >= 0)])}
    sizes = {piece: int((pieces == piece).sum()) for piece in np.unique(pieces[valid]).tolist()}
    small = [piece for piece, size in sizes.items() if size < min_size or piece not in named]
    for piece in sorted(small, key=lambda piece: (sizes[piece], piece)):
        while True:
            region = int(regions[pieces == piece][0])
            inside = regions == region
            if inside.sum() >= min_size and region in named:
                break
            beside = np.zeros_like(inside)
            beside[1:] |= inside[:-1]
            beside[:-1] |= inside[1:]
            beside[:, 1:] |= inside[:, :-1]
            beside[:, :-1] |= inside[:, 1:]
            others = np.unique(regions[beside & ~inside & valid]).tolist()
            if not others:
                break
            mean = image[:, inside].astype(float).sum(axis=1) / inside.sum()
            distances = []
            for other in others:
                its = image[:, regions == other].astype(float).sum(axis=1) / (regions == other).sum()
                distances.append((sum(((its - mean) ** 2).tolist()), other))
            nearest = min(distances)[1]
            low, high = sorted((region, nearest))
            regions[regions == high] = low
            if high in named:
                named.add(low)
    numbers = {region: rank for rank, region in enumerate(np.unique(regions[valid]).tolist(), start=1)}
    return np.where(valid, np.vectorize(lambda region: numbers.get(region, 0), otypes=[np.int64])(regions), 0)


@given(maps(), st.integers(1, 12))
def test_merging_is_that_of_a_plain_loop_over_whole_arrays(case: tuple[Labels, Mask, Image], min_size: int) -> None:
    labels, valid, image = case
    expected = merge_one_by_one(labels, valid, image, min_size)
    assert np.array_equal(repair_labels(labels, valid, image, min_size=min_size), expected)


@given(maps())
def test_with_a_least_size_of_one_every_piece_of_an_id_is_a_region(case: tuple[Labels, Mask, Image]) -> None:
    labels, valid, image = case
    labels = np.maximum(labels, 0)
    assert np.array_equal(repair_labels(labels, valid, image), number_pieces(labels, valid))


@given(maps(), st.integers(1, 12))
def test_the_result_keeps_the_contract_and_stays_as_it_is_when_repaired_again(
    case: tuple[Labels, Mask, Image], min_size: int
) -> None:
    labels, valid, image = case
    repaired = repair_labels(labels, valid, image, min_size=min_size)
    assert repaired.dtype == np.uint32
    assert np.array_equal(repaired == 0, ~valid)
    assert np.array_equal(repaired, number_pieces(repaired, valid))
    assert np.array_equal(repaired, repair_labels(repaired, valid, image, min_size=min_size))


def test_a_speck_joins_the_neighbour_nearest_in_colour() -> None:
    labels = np.array([[1, 1, 3, 2, 2]])
    colours = np.array([[[0.0, 0.0, 0.7, 1.0, 1.0]]], np.float32)
    assert repair_labels(labels, labels > 0, colours, min_size=2).tolist() == [[1, 1, 2, 2, 2]]
    assert repair_labels(labels, labels > 0, 1 - colours, min_size=2).tolist() == [[1, 1, 2, 2, 2]]


def test_of_two_neighbours_equally_near_the_first_takes_the_speck() -> None:
    labels = np.array([[1, 1, 3, 2, 2]])
    colours = np.array([[[0.0, 0.0, 0.5, 1.0, 1.0]]], np.float32)
    assert repair_labels(labels, labels > 0, colours, min_size=2).tolist() == [[1, 1, 1, 2, 2]]


def test_pixels_without_an_id_are_filled_however_many_they_are() -> None:
    labels = np.array([[5, -1, -1, -1, -1, -7]])
    image = np.zeros((1, 1, 6), np.float32)
    assert repair_labels(labels, np.ones((1, 6), bool), image).tolist() == [[1, 1, 1, 1, 1, 1]]


def test_an_island_in_nodata_is_a_region_of_its_own_however_small() -> None:
    labels = np.full((3, 5), 4)
    valid = np.array([[1, 1, 0, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 1, 1]], bool)
    repaired = repair_labels(labels, valid, np.zeros((2, 3, 5), np.float32), min_size=100)
    assert repaired.tolist() == [[1, 1, 0, 2, 0], [1, 1, 0, 0, 0], [1, 1, 0, 3, 3]]


def test_what_stands_on_nodata_is_of_no_account() -> None:
    rng = np.random.default_rng(0)
    labels, valid = rng.integers(0, 3, (20, 20)), rng.random((20, 20)) < 0.7
    image = rng.random((3, 20, 20), np.float32)
    hidden = np.where(valid, labels, -99), np.where(valid, image, np.float32(np.nan))
    assert np.array_equal(
        repair_labels(labels, valid, image, min_size=4), repair_labels(hidden[0], valid, hidden[1], min_size=4)
    )


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int64])
def test_any_integers_will_do_and_only_integers(kind: type[np.integer[Any]]) -> None:
    labels = np.array([[0, 0, 9]], kind)
    image = np.zeros((1, 1, 3), np.float32)
    assert repair_labels(labels, np.ones((1, 3), bool), image).tolist() == [[1, 1, 2]]
    with pytest.raises(TypeError, match="labels must be integers, got float64"):
        repair_labels(labels.astype(np.float64), np.ones((1, 3), bool), image)  # type: ignore[arg-type]  # refused


def test_shapes_that_disagree_and_sizes_below_one_are_refused() -> None:
    labels, valid = np.zeros((2, 3), int), np.ones((2, 3), bool)
    with pytest.raises(ValueError, match=r"labels \(2, 3\), valid \(2, 3\) and image \(1, 3, 2\)"):
        repair_labels(labels, valid, np.zeros((1, 3, 2), np.float32))
    with pytest.raises(ValueError, match="min_size must be at least 1 pixel, got 0"):
        repair_labels(labels, valid, np.zeros((1, 2, 3), np.float32), min_size=0)
