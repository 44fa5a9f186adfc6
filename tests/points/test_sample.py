"""Points drawn from masks, compared with a sampler that has the whole mask before its eyes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.points.sample import sample, sample_balanced, sample_mask
from superpoint.points.strategies import STRATEGIES, Strip, make_strategy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.points.query import QueryPoints
    from superpoint.points.strategies import SamplingStrategy

    Mask = NDArray[np.uint8]

masks = st.lists(
    st.lists(st.sampled_from([0, 0, 0, 1, 1, 5, IGNORE]), min_size=7, max_size=7), min_size=1, max_size=8
).map(lambda rows: np.array(rows, np.uint8))
strategies = st.one_of(
    st.builds(
        lambda name, n_points, short: make_strategy(name, {"n_points": n_points, "short": short}),
        st.sampled_from(["random", "balanced", "superpixel"]),
        st.integers(0, 80),
        st.sampled_from(["share", "leave"]),
    ),
    st.builds(lambda n_points: make_strategy("proportional", {"n_points": n_points}), st.integers(0, 80)),
    st.builds(
        lambda n_points, patch: make_strategy("per-patch", {"n_points": n_points, "patch": patch}),
        st.integers(0, 12),
        st.integers(1, 9),
    ),
    st.builds(
        lambda name, fraction: make_strategy(name, {"fraction": fraction}),
        st.sampled_from(["fraction", "stratified"]),
        st.floats(0.01, 1),
    ),
)


def blocks(mask: Mask) -> NDArray[np.uint32]:
    """Superpixels of 3 x 2 pixels with ids far apart, and a corner of nodata."""
    rows, cols = np.indices(mask.shape)
    labels = (1 + (rows // 3 * 4 + cols // 2) * 1_000_003).astype(np.uint32)
    labels[0, 0] = 0
    return labels


def draw(mask: Mask, strategy: SamplingStrategy, seed: int = 0) -> QueryPoints:
    return sample_mask(mask, strategy, rng=np.random.default_rng(seed), labels=blocks(mask)).points


def pixels_of(points: QueryPoints) -> list[tuple[int, int]]:
    return list(zip(points.rows.tolist(), points.cols.tolist(), strict=True))


@given(mask=masks, strategy=strategies, seed=st.integers(0, 9))
def test_points_are_distinct_labelled_pixels_with_the_class_of_their_pixel(
    mask: Mask, strategy: SamplingStrategy, seed: int
) -> None:
    points = draw(mask, strategy, seed)
    assert points.inside(mask.shape).all()
    np.testing.assert_array_equal(mask[points.rows, points.cols], points.values)
    assert len(set(pixels_of(points))) == len(points)
    assert IGNORE not in points.values


@given(mask=masks, strategy=strategies, height=st.integers(1, 8), seed=st.integers(0, 9))
def test_the_height_of_the_strips_has_no_say(mask: Mask, strategy: SamplingStrategy, height: int, seed: int) -> None:
    labels = blocks(mask)

    def strips() -> list[Strip]:
        starts = range(0, len(mask), height)
        return [Strip(row=row, values=mask[row : row + height], labels=labels[row : row + height]) for row in starts]

    cut = sample(strips, strategy, rng=np.random.default_rng(seed))
    assert pixels_of(cut.points) == pixels_of(draw(mask, strategy, seed))


@given(mask=masks, n_points=st.integers(0, 80), seed=st.integers(0, 9))
def test_balanced_points_are_those_of_a_choice_among_the_pixels_of_each_class(
    mask: Mask, n_points: int, seed: int
) -> None:
    """The sampler that this one took the place of: whoever kept a seed keeps the points."""
    labelled = np.flatnonzero(mask != IGNORE)
    values = mask.ravel()[labelled]
    quotas = Counter(sample_balanced(mask, n_points, rng=np.random.default_rng(seed)).values.tolist())
    rng = np.random.default_rng(seed)
    naive = [rng.choice(labelled[values == value], size=quotas[value], replace=False) for value in sorted(quotas)]
    expected = [tuple(divmod(pixel, mask.shape[1])) for chosen in naive for pixel in chosen.tolist()]
    assert pixels_of(sample_balanced(mask, n_points, rng=np.random.default_rng(seed))) == expected


@given(mask=masks, n_points=st.integers(0, 80))
def test_no_class_has_more_points_than_another_that_had_pixels_left(mask: Mask, n_points: int) -> None:
    points = sample_balanced(mask, n_points, rng=np.random.default_rng(0))
    available = Counter(mask[mask != IGNORE].tolist())
    drawn = Counter(points.values.tolist())
    assert len(points) == min(n_points, sum(available.values()))
    for label, n_pixels in available.items():
        assert drawn[label] == n_pixels or drawn[label] >= max(drawn.values(), default=0) - 1


def test_what_does_not_divide_evenly_goes_to_the_lowest_classes() -> None:
    mask = np.repeat(np.array([[3, 4, 9]], np.uint8), 20, axis=0)
    points = sample_balanced(mask, 11, rng=np.random.default_rng(0))
    assert Counter(points.values.tolist()) == {3: 4, 4: 4, 9: 3}


@pytest.mark.parametrize(("short", "drawn", "missing"), [("share", {0: 8, 1: 2}, 0), ("leave", {0: 5, 1: 2}, 3)])
def test_what_a_small_class_leaves_over_goes_to_the_others_or_to_none_and_is_told(
    short: str, drawn: dict[int, int], missing: int
) -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :2] = 1
    strategy = make_strategy("balanced", {"n_points": 10, "short": short})
    made = sample_mask(mask, strategy, rng=np.random.default_rng(0))
    assert Counter(made.points.values.tolist()) == drawn
    assert (made.short, made.n_missing) == ({1: (2, 5)}, missing)


def test_a_budget_above_all_labelled_pixels_takes_them_all_and_says_how_many_are_missing() -> None:
    mask = np.array([[0, 1, IGNORE]], np.uint8)
    for name in ("random", "proportional", "balanced"):
        made = sample_mask(mask, make_strategy(name, {"n_points": 5}), rng=np.random.default_rng(0))
        assert (len(made.points), made.n_missing) == (2, 3)


def test_proportional_points_follow_the_share_of_each_class() -> None:
    mask = np.repeat(np.array([0] * 6 + [1] * 3 + [2], np.uint8)[None], 10, axis=0)
    assert Counter(draw(mask, make_strategy("proportional", {"n_points": 20})).values.tolist()) == {0: 12, 1: 6, 2: 2}


def test_stratified_points_are_a_fraction_of_each_class_and_one_at_least() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[50:], mask[0, 0] = 1, 2
    assert Counter(draw(mask, make_strategy("stratified", {})).values.tolist()) == {0: 50, 1: 50, 2: 1}
    assert len(draw(mask, make_strategy("fraction", {}))) == 100


def test_each_patch_gives_its_points_and_one_with_fewer_labelled_pixels_gives_all() -> None:
    mask = np.full((25, 30), IGNORE, np.uint8)
    mask[:10], mask[12, 3] = 0, 1
    strategy = make_strategy("per-patch", {"n_points": 6, "patch": 10})
    made = sample_mask(mask, strategy, rng=np.random.default_rng(0))
    patches = Counter((row // 10, col // 10) for row, col in pixels_of(made.points))
    assert patches == {(0, 0): 6, (0, 1): 6, (0, 2): 6, (1, 0): 1}
    assert made.short == {3: (1, 6), **dict.fromkeys((4, 5, 6, 7, 8), (0, 6))}


@given(mask=masks, n_points=st.integers(0, 12))
def test_superpixels_give_one_point_each_the_largest_first_ties_by_id(mask: Mask, n_points: int) -> None:
    labels = blocks(mask)
    points = draw(mask, make_strategy("superpixel", {"n_points": n_points}))
    sizes = Counter(labels[labels > 0].tolist())
    having = set(labels[(labels > 0) & (mask != IGNORE)].tolist())
    expected = sorted(having, key=lambda label: (-sizes[label], label))[:n_points]
    assert labels[points.rows, points.cols].tolist() == expected


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_same_seed_draws_the_same_points_and_another_seed_others(name: str) -> None:
    mask = np.random.default_rng(1).integers(0, 3, (50, 50)).astype(np.uint8)
    takes_budget = name in ("random", "proportional", "balanced", "superpixel")
    strategy = make_strategy(name, {"n_points": 30} if takes_budget else {})
    first, again, other = (pixels_of(draw(mask, strategy, seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_every_pixel_of_a_class_can_be_drawn() -> None:
    mask = np.zeros((3, 4), np.uint8)
    for name in ("balanced", "random"):
        strategy = make_strategy(name, {"n_points": 1})
        assert {pixels_of(draw(mask, strategy, seed))[0] for seed in range(200)} == set(np.ndindex(3, 4))


def test_a_mask_without_labels_gives_no_points() -> None:
    assert len(sample_balanced(np.full((3, 3), IGNORE, np.uint8), 5, rng=np.random.default_rng(0))) == 0


def test_a_strategy_goes_by_the_seed_alone_and_not_by_superpixels() -> None:
    mask = np.random.default_rng(1).integers(0, 3, (30, 30)).astype(np.uint8)
    others = np.arange(1, 901, dtype=np.uint32).reshape(30, 30)
    strategy = make_strategy("balanced", {"n_points": 30})
    made = [
        sample_mask(mask, strategy, rng=np.random.default_rng(3), labels=labels).points
        for labels in (None, blocks(mask), others)
    ]
    assert pixels_of(made[0]) == pixels_of(made[1]) == pixels_of(made[2])


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("blanced", {}, "unknown strategy 'blanced'; known: balanced, fraction, per-patch, proportional, random, "),
        ("stratified", {"n_points": 3}, "strategy 'stratified' has no parameter 'n_points'; it takes fraction"),
        ("balanced", {}, "strategy 'balanced' needs a number of points; give it with --n-points"),
        ("balanced", {"n_points": -1}, "n_points must be a whole number from 0, got -1"),
        (
            "proportional",
            {"n_points": 1, "short": "leave"},
            "strategy 'proportional' has no parameter 'short'; it takes n",
        ),
        ("proportional", {"n_points": -1}, "n_points must be a whole number from 0, got -1"),
        ("random", {"n_points": 1, "short": "no"}, "short must be share or leave, got 'no'"),
        ("fraction", {"fraction": 1.5}, "fraction must be above 0 and at most 1, got 1.5"),
        ("stratified", {"fraction": 0.0}, "fraction must be above 0 and at most 1, got 0.0"),
        ("per-patch", {"patch": 0}, "patch must be a whole number of pixels from 1, got 0"),
        ("per-patch", {"n_points": 2.5}, "n_points must be a whole number from 0, got 2.5"),
    ],
)
def test_what_no_strategy_can_do_is_refused_in_one_sentence(
    name: str, parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        make_strategy(name, parameters)
    assert str(caught.value).startswith(sentence)


def test_a_strategy_of_superpixels_needs_them_and_on_the_same_grid() -> None:
    mask, strategy = np.zeros((2, 2), np.uint8), make_strategy("superpixel", {"n_points": 1})
    with pytest.raises(ValueError, match="needs a label map"):
        sample_mask(mask, strategy, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"the mask is \(2, 2\), the label map \(1, 2\)"):
        sample_mask(mask, strategy, rng=np.random.default_rng(0), labels=np.ones((1, 2), np.uint32))
