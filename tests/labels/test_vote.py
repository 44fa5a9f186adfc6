from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.labels.vote import Votes, count_votes

if TYPE_CHECKING:
    from collections.abc import Sequence

Ballot = tuple[int, int]
"""Superpixel and class."""

ids = st.sampled_from([1, 2, 3, 7, 2**31, 2**32 - 1])
ballots = st.lists(st.tuples(ids, st.sampled_from([0, 1, 2, 253, 254])), max_size=60)
ties = st.sampled_from(["lowest", "ignore"])


def count(cast: Sequence[Ballot], *, tie: str = "lowest") -> Votes:
    superpixels, values = np.array(cast, np.int64).reshape(-1, 2).T
    return count_votes(superpixels.astype(np.uint32), values.astype(np.uint8), tie=tie)


def counters(cast: Sequence[Ballot]) -> dict[int, Counter[int]]:
    counted: dict[int, Counter[int]] = defaultdict(Counter)
    for superpixel, value in cast:
        counted[superpixel][value] += 1
    return dict(sorted(counted.items()))


@given(cast=ballots, tie=ties)
def test_the_vote_is_that_of_a_counter_for_each_superpixel(cast: list[Ballot], tie: str) -> None:
    votes, expected = count(cast, tie=tie), counters(cast)
    assert votes.superpixels.tolist() == list(expected)
    assert votes.counts.tolist() == [counted.total() for counted in expected.values()]
    for winner, share, counted in zip(votes.winners.tolist(), votes.shares.tolist(), expected.values(), strict=True):
        leaders = [label for label, n_votes in counted.items() if n_votes == max(counted.values())]
        assert winner == (IGNORE if tie == "ignore" and len(leaders) > 1 else min(leaders))
        assert share == np.float32(max(counted.values()) / counted.total())


@given(cast=ballots, tie=ties, data=st.data())
def test_the_order_of_the_points_has_no_say(cast: list[Ballot], tie: str, data: st.DataObject) -> None:
    votes, shuffled = count(cast, tie=tie), count(data.draw(st.permutations(cast)), tie=tie)
    for name in ("superpixels", "winners", "shares", "counts"):
        np.testing.assert_array_equal(getattr(votes, name), getattr(shuffled, name))


def test_a_tie_goes_to_the_lowest_class_or_is_ignored() -> None:
    cast = [(5, 3), (5, 1), (5, 3), (5, 1), (5, 2), (6, 4)]
    assert count(cast).winners.tolist() == [1, 4]
    assert count(cast, tie="ignore").winners.tolist() == [IGNORE, 4]
    assert count(cast, tie="ignore").counts.tolist() == [5, 1]


def test_a_clear_winner_after_a_tie_for_second_place_wins() -> None:
    cast = [(5, 3), (5, 3), (5, 1), (5, 2)]
    assert count(cast, tie="ignore").winners.tolist() == [3]


def test_a_superpixel_and_the_next_do_not_share_votes() -> None:
    assert count([(1, 254), (2, 0), (2, 0)]).winners.tolist() == [254, 0]


@given(
    cast=ballots,
    tie=ties,
    labels=st.lists(
        st.lists(st.sampled_from([0, 1, 2, 3, 5, 2**32 - 1]), min_size=5, max_size=5), min_size=1, max_size=4
    ),
)
def test_paint_gives_each_pixel_its_superpixels_vote(cast: list[Ballot], tie: str, labels: list[list[int]]) -> None:
    votes = count(cast, tie=tie)
    by_id = {
        superpixel: (winner, share, n_votes)
        for superpixel, winner, share, n_votes in zip(
            votes.superpixels.tolist(),
            votes.winners.tolist(),
            votes.shares.tolist(),
            votes.counts.tolist(),
            strict=True,
        )
    }
    mask, share, n_votes = votes.paint(np.array(labels, np.uint32))
    for pixel, superpixel in np.ndenumerate(labels):
        assert (mask[pixel], share[pixel], n_votes[pixel]) == by_id.get(superpixel, (IGNORE, 0, 0))
    assert (mask.dtype, share.dtype, n_votes.dtype) == (np.uint8, np.float32, np.uint16)


def test_more_votes_than_a_count_holds_are_painted_as_65535() -> None:
    votes = count([(1, 0)] * 70_000)
    assert votes.counts.tolist() == [70_000]
    assert votes.paint(np.ones((1, 1), np.uint32))[2].tolist() == [[65_535]]


def test_winners_are_looked_up_by_superpixel() -> None:
    votes = count([(9, 2), (3, 1), (4, 0)])
    assert votes.winner_of(np.array([9, 9, 3, 4], np.uint32)).tolist() == [2, 2, 1, 0]


def test_a_rule_for_ties_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="tie must be 'lowest' or 'ignore', got 'highest'"):
        count([(1, 0)], tie="highest")
