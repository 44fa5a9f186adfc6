"""A hierarchy is what a plain loop over the published description gives, and its cuts are nested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from superpoint.superpixels.affinity import entropy_gains, gaussian_weights
from superpoint.superpixels.boruvka import STEPS
from superpoint.superpixels.hierarchy import Hierarchy, build_hierarchy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Case = tuple[NDArray[np.float32], NDArray[np.bool_]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw an image, of few colours or many, and where it is valid."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_colours = draw(st.sampled_from([1, 2, 4, 1000]))
    image = rng.integers(0, n_colours, (draw(st.integers(1, 4)), *shape)).astype(np.float32) / n_colours
    return image, rng.random(shape) < draw(st.sampled_from([0.0, 0.6, 0.95, 1.0]))


def ramp(n_rows: int, n_cols: int) -> Case:
    """Colours whose differences grow all the way, so that each pixel's best edge leads back."""
    return (np.arange(n_rows * n_cols, dtype=np.float32).reshape(1, n_rows, n_cols) / 1000) ** 2, np.ones(
        (n_rows, n_cols), bool
    )


def hierarchy_of(case: Case, connectivity: int = 4) -> Hierarchy:
    image, valid = case
    return build_hierarchy(image, valid, gaussian_weights(image, valid, sigma=0.2, connectivity=connectivity))


def merges_by_the_description(case: Case, connectivity: int) -> list[tuple[int, int]]:
    """Take rounds of Borůvka literally: no contraction, every edge looked at again in every round."""
    image, valid = case
    edges = edges_with_gains(case, connectivity)
    tree_of = np.arange(valid.size)
    means = dict(enumerate(image.reshape(len(image), -1).T))
    sizes = dict.fromkeys(means, 1)
    merges: list[tuple[int, int]] = []
    while ranked := ranked_edges(edges, tree_of, means):
        best: dict[int, int] = {}
        for rank, (_, _, *trees) in enumerate(ranked):
            for tree in trees:
                best.setdefault(tree, rank)
        joined = []
        for rank in sorted(set(best.values())):
            low, high = sorted(tree_of[list(ranked[rank][2:])].tolist())
            if low != high:
                tree_of[tree_of == high] = low
                joined.append((high, low))
        merges += joined
        for tree, _ in sorted(joined):
            root = tree_of[tree]
            weighted = sizes[root] * means[root].astype(float) + sizes[tree] * means[tree].astype(float)
            sizes[root] += sizes[tree]
            means[root] = (weighted / sizes[root]).astype(np.float32)
    return merges


def edges_with_gains(case: Case, connectivity: int) -> list[tuple[int, int, int, float]]:
    """List number, both pixels and gain of each edge."""
    image, valid = case
    gains = entropy_gains(gaussian_weights(image, valid, sigma=0.2, connectivity=connectivity))
    steps = [down * valid.shape[1] + right for down, right in STEPS[: connectivity // 2]]
    numbers = np.flatnonzero(~np.isnan(gains)).tolist()
    owners = [(number, *divmod(number, len(steps))) for number in numbers]
    return [(number, pixel, pixel + steps[step], float(gains.flat[number])) for number, pixel, step in owners]


def ranked_edges(
    edges: list[tuple[int, int, int, float]], tree_of: NDArray[np.int64], means: dict[int, NDArray[np.float32]]
) -> list[tuple[float, int, int, int]]:
    """List value (turned round), number and both trees of the edges between trees, the best first."""
    ranked = []
    for number, one, other, gain in edges:
        trees = int(tree_of[one]), int(tree_of[other])
        if trees[0] != trees[1]:
            distance = np.abs(means[trees[0]].astype(float) - means[trees[1]]).sum() + 1e-50
            ranked.append((-gain / distance, number, *trees))
    return sorted(ranked)


@given(cases(), st.sampled_from([4, 8]))
@example(ramp(20, 90), 4)
@example(ramp(1, 200), 8)
@example((np.zeros((1, 20, 20), np.float32), np.ones((20, 20), bool)), 8)
@settings(max_examples=60)
def test_the_merges_are_those_of_the_description(case: Case, connectivity: int) -> None:
    hierarchy = hierarchy_of(case, connectivity)
    found = list(zip(hierarchy.absorbed.tolist(), hierarchy.into.tolist(), strict=True))
    assert found == merges_by_the_description(case, connectivity)


@given(cases(), st.data())
def test_every_superpixel_is_made_of_whole_ones_of_a_finer_cut(case: Case, data: st.DataObject) -> None:
    hierarchy = hierarchy_of(case)
    coarse, fine = sorted(data.draw(st.tuples(st.integers(1, 150), st.integers(1, 150))))
    pairs = np.stack([hierarchy.cut(n_segments=fine)[case[1]], hierarchy.cut(n_segments=coarse)[case[1]]])
    assert len(np.unique(pairs, axis=1).T) == len(np.unique(pairs[0]))


@given(cases(), st.integers(1, 150), st.sampled_from([4, 8]))
def test_a_cut_has_exactly_as_many_connected_superpixels_as_asked_for(
    case: Case, number: int, connectivity: int
) -> None:
    _, valid = case
    neighbours = ndimage.generate_binary_structure(2, connectivity // 4)
    n_islands = ndimage.label(valid, neighbours)[1]
    labels = hierarchy_of(case, connectivity).cut(n_segments=number)
    np.testing.assert_array_equal(labels > 0, valid)
    assert labels.max() == min(max(number, n_islands), valid.sum())
    assert all(ndimage.label(labels == label, neighbours)[1] == 1 for label in range(1, labels.max() + 1))


@given(cases(), st.integers(1, 150))
def test_superpixels_are_counted_off_by_their_first_pixels(case: Case, number: int) -> None:
    labels = hierarchy_of(case).cut(n_segments=number)
    ids, first = np.unique(labels[labels > 0], return_index=True)
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert (np.diff(first) > 0).all()


def test_a_stack_holds_the_cuts_in_the_order_asked_for() -> None:
    hierarchy = hierarchy_of(ramp(9, 11))
    levels = hierarchy.stack(n_segments=[7, 50, 1])
    assert levels.dtype == np.uint32
    for level, number in zip(levels, (7, 50, 1), strict=True):
        np.testing.assert_array_equal(level, hierarchy.cut(n_segments=number))


def test_a_region_size_is_as_many_superpixels_as_fit_on_the_valid_pixels() -> None:
    image, valid = ramp(20, 30)
    valid[:10] = False
    assert hierarchy_of((image, valid)).cut(region_size=5).max() == 300 / 25


def test_nodata_alone_has_no_superpixels() -> None:
    hierarchy = hierarchy_of((np.zeros((2, 3, 4), np.float32), np.zeros((3, 4), bool)))
    assert (hierarchy.n_pixels, hierarchy.n_islands) == (0, 0)
    assert not hierarchy.cut(n_segments=3).any()


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "give n_segments or region_size, one of the two"),
        ({"n_segments": 3, "region_size": 2.0}, "give n_segments or region_size, one of the two"),
        ({"n_segments": 0}, "n_segments must be at least 1, got 0"),
        ({"region_size": 0.0}, r"region_size must be more than 0 pixels, got 0\.0"),
    ],
)
def test_a_cut_that_cannot_be_made_is_one_sentence(wanted: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        hierarchy_of(ramp(3, 3)).cut(**wanted)


def test_an_image_that_does_not_fit_is_one_sentence() -> None:
    image, valid = ramp(3, 4)
    weights = gaussian_weights(image, valid, sigma=0.1, connectivity=4)
    with pytest.raises(ValueError, match=r"image \(1, 3, 4\), valid \(4, 3\) and weights"):
        build_hierarchy(image, valid.T, weights)
    image[0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite values on valid pixels; mark them as not valid"):
        build_hierarchy(image, valid, weights)


def test_more_merges_than_pixels_are_no_hierarchy() -> None:
    merges = np.zeros(4, np.uint32)
    with pytest.raises(ValueError, match="4 valid pixels cannot merge 4 times"):
        Hierarchy(absorbed=merges, into=merges, valid=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="as many absorbed as into"):
        Hierarchy(absorbed=merges, into=merges[:1], valid=np.ones((2, 2), bool))
