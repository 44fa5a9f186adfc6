from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.points.suggesting import QUERIES, Candidates, least_area, make_query, standardise

if TYPE_CHECKING:
    from numpy.typing import NDArray


def candidates_of(
    areas: list[int] | None = None,
    features: list[list[float]] | NDArray[np.float64] | None = None,
    labelled: tuple[int, ...] = (),
    min_area: int = 1,
) -> Candidates:
    n = len(features if areas is None and features is not None else areas or ())
    return Candidates(
        ids=np.arange(1, n + 1, dtype=np.uint32) * 10,
        areas=np.array(areas or [9] * n, np.int64),
        features=np.zeros((n, 0)) if features is None else np.array(features, np.float64),
        labelled=np.isin(np.arange(n), labelled),
        min_area=min_area,
    )


def test_coverage_takes_the_largest_superpixels_without_a_point_ties_by_id() -> None:
    ranking = make_query("coverage").rank(candidates_of([5, 9, 7, 9, 8], labelled=(4,)), 3)
    assert ranking.places.tolist() == [1, 3, 2]
    assert ranking.scores.tolist() == [9, 9, 7]


@pytest.mark.parametrize("name", ["uncertainty", "disagreement"])
def test_the_highest_entropy_comes_first_and_superpixels_without_a_prediction_never(name: str) -> None:
    candidates = candidates_of(features=[[0.2], [np.nan], [0.6], [0.6], [0.7]], labelled=(4,))
    assert make_query(name).rank(candidates, 9).places.tolist() == [2, 3, 0]


def test_diversity_without_points_begins_nearest_to_the_mean_and_goes_to_the_farthest() -> None:
    ranking = make_query("diversity").rank(candidates_of(features=[[0], [4], [5], [11]]), 4)
    # Mean 5, deviation 3.9: then the farthest from 5, which is 11, then 0, which is 5 away, and 4, which is 1 away.
    assert ranking.places.tolist() == [2, 3, 0, 1]
    spread = np.std([0, 4, 5, 11])
    assert np.isnan(ranking.scores[0])
    np.testing.assert_allclose(ranking.scores[1:], np.array([6, 5, 1]) / spread)


@given(
    colours=st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=2), min_size=1, max_size=12),
    chosen=st.sets(st.integers(0, 11), max_size=4),
    n_points=st.integers(1, 12),
)
def test_diversity_is_the_traversal_that_compares_all_with_all(
    colours: list[list[int]], chosen: set[int], n_points: int
) -> None:
    labelled = tuple(sorted(place for place in chosen if place < len(colours)))
    candidates = candidates_of(features=np.array(colours, np.float64), labelled=labelled)
    ranking = make_query("diversity").rank(candidates, n_points)
    features = standardise(candidates.features)
    taken = list(labelled)
    for place, score in zip(ranking.places.tolist(), ranking.scores.tolist(), strict=True):
        if taken:
            away = [min(np.linalg.norm(one - features[other]) for other in taken) for one in features]
            best = max(distance for other, distance in enumerate(away) if other not in taken)
            assert away[place] == pytest.approx(best)
            assert score == pytest.approx(best)
        assert place not in taken
        taken.append(place)
    assert len(ranking.places) == min(n_points, len(colours) - len(labelled))


def test_bands_count_alike_whatever_their_range_and_a_flat_one_not_at_all() -> None:
    features = np.array([[0, 0, 3], [1, 0, 3], [0, 1000, 3], [1, 1000, np.nan]])
    np.testing.assert_allclose(standardise(features), [[-1, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]])


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_no_strategy_asks_for_a_superpixel_below_the_least_area_but_one_that_has_a_point_still_counts(
    name: str,
) -> None:
    features = [[0.9], [0.1], [0.2], [0.4]]
    few = candidates_of([9, 10, 11, 50], features, min_area=10)
    assert sorted(make_query(name).rank(few, 9).places.tolist()) == [1, 2, 3]
    assert len(make_query(name).rank(candidates_of([9, 10], features[:2], min_area=11), 9).places) == 0
    beside = make_query("diversity").rank(candidates_of([9, 10, 11, 50], features, (0,), min_area=10), 1)
    assert beside.places.tolist() == [1]  # the farthest from the small one, which has a point


def test_the_first_of_a_traversal_is_large_enough() -> None:
    candidates = candidates_of([3, 9, 9], [[5], [0], [9.5]], min_area=4)
    assert make_query("diversity").rank(candidates, 1).places.tolist() == [2]  # the mean is 4.8


@pytest.mark.parametrize(("areas", "least"), [([1], 1), ([4], 1), ([5], 2), ([7, 400, 402, 900], 101)])
def test_the_least_area_is_a_quarter_of_the_median_rounded_up(areas: list[int], least: int) -> None:
    assert least_area(np.array(areas)) == least


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_nothing_is_asked_for_where_all_have_a_point(name: str) -> None:
    candidates = candidates_of([3, 4], features=[[0.1], [0.2]], labelled=(0, 1))
    assert len(make_query(name).rank(candidates, 5).places) == 0


def test_an_unknown_strategy_is_refused_with_the_list() -> None:
    with pytest.raises(InputError, match="unknown strategy 'best'; known: coverage, disagreement, diversity, unc"):
        make_query("best")
