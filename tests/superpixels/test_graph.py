"""The graph of superpixels: against a pixel by pixel twin and scikit-image, tiled and whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import mosaic
from scipy import ndimage
from skimage.graph import RAG

from superpoint.scaling import Scaling
from superpoint.superpixels.graph import GraphPart, SuperpixelGraph, graph_of_tile, merge_graphs
from superpoint.superpixels.statistics import measure
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = mosaic((40, 60))
IMAGE = np.random.default_rng(1).normal(100, 20, (3, 40, 60)).astype(np.float32)
WHOLE = merge_graphs([graph_of_tile(LABELS, IMAGE)])
SEEDS = {
    "seed": st.integers(0, 999),
    "size": st.integers(1, 30),
    "rows": st.integers(1, 30),
    "cols": st.integers(1, 30),
}


def in_tiles(labels: NDArray[np.uint32], image: NDArray[np.float32], size: int) -> list[GraphPart]:
    cores = [tile.core for tile in TileGrid(shape=labels.shape, size=size)]
    return [
        graph_of_tile(
            labels[w.row : w.row + w.n_rows + 1, w.col : w.col + w.n_cols + 1],
            image[:, *w.slices], row=w.row, col=w.col,
        )
        for w in cores
    ]  # fmt: skip


def same(one: SuperpixelGraph, other: SuperpixelGraph, *, but: str = "") -> None:
    """Assert that two are the same, bit for bit; but for the rounding of one field."""
    for field in fields(SuperpixelGraph):
        found, expected = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_allclose(found, expected, rtol=1e-13 if field.name == but else 0, atol=0)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)


def pairs_of(labels: NDArray[np.uint32]) -> Counter[tuple[int, int]]:
    """Look at every pixel and its two neighbours."""
    found: Counter[tuple[int, int]] = Counter()
    for row, col in np.ndindex(labels.shape):
        for beyond in ((row, col + 1), (row + 1, col)):
            if beyond[0] < labels.shape[0] and beyond[1] < labels.shape[1]:
                low, high = sorted((int(labels[row, col]), int(labels[beyond])))
                if 0 < low < high:
                    found[low, high] += 1
    return found


def by_id(graph: SuperpixelGraph) -> dict[tuple[int, int], int]:
    pairs = ((int(graph.ids[a]), int(graph.ids[b])) for a, b in graph.edges)
    return dict(zip(pairs, graph.borders.tolist(), strict=True))


def test_who_touches_whom_and_how_long_is_what_looking_at_every_pixel_finds() -> None:
    expected = pairs_of(LABELS)
    assert by_id(WHOLE) == expected
    assert list(by_id(WHOLE)) == sorted(expected)
    assert WHOLE.borders.sum() == expected.total()


def test_scikit_image_finds_the_same_neighbours() -> None:
    ranks = np.searchsorted(np.append(0, WHOLE.ids), LABELS)
    theirs = {tuple(sorted((a - 1, b - 1))) for a, b in RAG(ranks, connectivity=1).edges if a and b}
    assert {(a, b) for a, b in WHOLE.edges.tolist()} == theirs


def test_sizes_centroids_and_means_are_those_of_scipy_and_of_our_statistics() -> None:
    graph = merge_graphs([graph_of_tile(LABELS, IMAGE, row=1000, col=2000)])
    np.testing.assert_array_equal(graph.ids, np.unique(LABELS[LABELS > 0]))
    centres = np.add(ndimage.center_of_mass(LABELS > 0, LABELS, graph.ids), (1000, 2000))
    np.testing.assert_allclose(graph.centroids, centres, rtol=1e-13)
    statistics = measure(LABELS, IMAGE)
    np.testing.assert_array_equal(graph.sizes, statistics.areas)
    np.testing.assert_allclose(graph.means, statistics.means, rtol=1e-12)


@settings(max_examples=40)
@given(**SEEDS)
def test_tiles_merged_are_the_whole(seed: int, size: int, rows: int, cols: int) -> None:
    labels, image = mosaic((rows, cols), seed), IMAGE[:, :rows, :cols]
    same(merge_graphs(in_tiles(labels, image, size)), merge_graphs([graph_of_tile(labels, image)]), but="means")


@settings(max_examples=20)
@given(**SEEDS)
def test_integers_merge_to_the_last_bit(seed: int, size: int, rows: int, cols: int) -> None:
    labels, image = mosaic((rows, cols), seed), np.floor(IMAGE[:, :rows, :cols] * 300)
    scaling = Scaling(low=(7, 8, 9), high=(30_001, 17_777, 9))
    whole = merge_graphs([graph_of_tile(labels, image)], scaling=scaling)
    same(merge_graphs(in_tiles(labels, image, size), scaling=scaling), whole)


@settings(max_examples=20)
@given(seed=st.integers(0, 999), size=st.integers(1, 30))
def test_the_order_of_tiles_does_not_matter_to_the_last_bit(seed: int, size: int) -> None:
    parts = in_tiles(LABELS, IMAGE, size)
    shuffled = [parts[place] for place in np.random.default_rng(seed).permutation(len(parts))]
    same(merge_graphs(shuffled), merge_graphs(parts))


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_other_ids_are_the_same_graph_in_another_order(seed: int) -> None:
    ids = np.random.default_rng(seed).permutation(len(WHOLE)).astype(np.uint32) + np.uint32(1)
    renamed = np.where(LABELS > 0, ids[np.searchsorted(WHOLE.ids, LABELS) % len(ids)], np.uint32(0))
    graph = merge_graphs([graph_of_tile(renamed, IMAGE)])
    np.testing.assert_array_equal(graph.sizes[ids - 1], WHOLE.sizes)
    np.testing.assert_array_equal(graph.centroids[ids - 1], WHOLE.centroids)
    ends = ids[WHOLE.edges].astype(int)
    expected = {tuple(sorted(pair)): border for pair, border in zip(ends.tolist(), WHOLE.borders.tolist(), strict=True)}
    assert by_id(graph) == expected


def test_superpixels_that_touch_at_a_corner_or_across_nodata_do_not_touch() -> None:
    labels = np.array([[1, 1, 0, 4], [2, 2, 0, 4], [0, 0, 3, 0]], np.uint32)
    graph = merge_graphs([graph_of_tile(labels, np.zeros((0, 3, 4), np.float32))])
    assert by_id(graph) == {(1, 2): 2}
    assert (graph.sizes.tolist(), graph.means.shape) == ([2, 2, 1, 2], (4, 0))


def test_a_pixel_edge_between_tiles_is_counted_once() -> None:
    labels = np.array([[1, 1], [2, 2]], np.uint32)
    blank = np.zeros((0, 1, 2), np.float32)
    above, below = graph_of_tile(labels, blank), graph_of_tile(labels[1:], blank, row=1)
    assert (above.borders.tolist(), below.borders.tolist()) == ([2], [])
    assert (above.ids.tolist(), below.ids.tolist()) == ([1], [2])


def test_means_are_scaled_as_the_image_would_be_and_leave_out_what_is_not_finite() -> None:
    labels = np.array([[5, 5, 5, 8]], np.uint32)
    image = np.array([[[10, np.nan, 30, np.nan]], [[np.inf, 4, 6, 7]]], np.float32)
    graph = merge_graphs([graph_of_tile(labels, image)], scaling=Scaling(low=(10, 0), high=(50, 10)))
    np.testing.assert_allclose(graph.means, [[0.25, 0.5], [0, 0.7]], rtol=1e-7)
    scaled = Scaling(low=(10, 0), high=(50, 10)).apply(image[1:].repeat(2, axis=0))
    assert graph.means[1, 1] == pytest.approx(scaled[1, 0, 3])


def test_a_raster_of_nodata_has_an_empty_graph() -> None:
    graph = merge_graphs(in_tiles(LABELS * np.uint32(0), IMAGE, 16), scaling=Scaling(low=(0,) * 3, high=(1,) * 3))
    assert (len(graph), graph.edges.shape, graph.centroids.shape, graph.means.shape) == (0, (0, 2), (0, 2), (0, 3))


def test_labels_that_do_not_fit_the_core_and_missing_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels of \(40, 60\) pixels do not go one beyond a core of \(40, 58\)"):
        graph_of_tile(LABELS, IMAGE[:, :, 2:])
    parts = in_tiles(LABELS, IMAGE, 16)
    with pytest.raises(ValueError, match="give the parts of all tiles of the raster"):
        merge_graphs(parts[:3] + parts[4:])


def test_a_graph_that_is_none_is_refused() -> None:
    columns = {field.name: getattr(WHOLE, field.name) for field in fields(WHOLE)}
    for wrong, sentence in (
        ({"ids": WHOLE.ids[::-1]}, "ids must ascend"),
        ({"sizes": WHOLE.sizes[1:]}, "must be of the same superpixels"),
        ({"borders": WHOLE.borders[1:]}, "edges must be pairs"),
    ):
        with pytest.raises(ValueError, match=sentence):
            SuperpixelGraph(**(columns | wrong))
