from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag, PseudoLabels
from superpoint.labels.vote import Tally, VoteRule, elect, tally_votes

if TYPE_CHECKING:
    from collections.abc import Sequence

Ballot = tuple[int, int, int]
"""Superpixel, class and annotator."""
Weights = dict[int, dict[int, Fraction]]
"""By superpixel and class."""

FAR_APART = [-(2**31), 0, 2**31 - 1]

ids = st.sampled_from([1, 2, 3, 7, 2**31, 2**32 - 1])
people = st.sampled_from([[0], [-1, 3, 4], FAR_APART]).flatmap(st.sampled_from)
ballots = st.lists(st.tuples(ids, st.sampled_from([0, 1, 2, 253, 254]), people), max_size=40)
rules = st.builds(
    VoteRule,
    tie=st.sampled_from(["lowest", "ignore"]),
    min_votes=st.integers(1, 4),
    min_share=st.sampled_from([0.0, 1 / 3, 0.5, 0.6, 2 / 3, 1.0]),
    balance_annotators=st.booleans(),
)


def tally(cast: Sequence[tuple[int, ...]], *, balanced: bool = False) -> Tally:
    superpixels, values, annotators = np.array([(*ballot, 0)[:3] for ballot in cast], np.int64).reshape(-1, 3).T
    return tally_votes(
        superpixels.astype(np.uint32), values.astype(np.uint8), annotators.astype(np.int32) if balanced else None
    )


def vote(cast: Sequence[tuple[int, ...]], **rule: Any) -> PseudoLabels:  # noqa: ANN401  # fields of VoteRule
    made = VoteRule(**rule)
    return elect(tally(cast, balanced=made.balance_annotators), made)


def weigh(cast: Sequence[Ballot], *, balanced: bool) -> Weights:
    """Weigh votes one by one, in fractions."""
    points = Counter((superpixel, annotator) for superpixel, _, annotator in cast)
    weights: Weights = defaultdict(lambda: defaultdict(Fraction))
    for superpixel, value, annotator in cast:
        weights[superpixel][value] += Fraction(1, points[superpixel, annotator] if balanced else 1)
    return {superpixel: dict(sorted(weights[superpixel].items())) for superpixel in sorted(weights)}


def decide(weights: dict[int, Fraction], n_votes: int, rule: VoteRule) -> tuple[int, float, int, int]:
    """Return class, share, votes and flags of one superpixel."""
    leaders = [value for value, weight in weights.items() if weight == max(weights.values())]
    share = float(max(weights.values()) / sum(weights.values()))
    weak = n_votes < rule.min_votes or share < rule.min_share
    tied = len(leaders) > 1
    flags = Flag.CONFLICT * (len(weights) > 1) | Flag.TIED * tied | Flag.TOO_WEAK * weak
    return IGNORE if weak or (tied and rule.tie == "ignore") else min(leaders), np.float32(share), n_votes, flags


def rows_of(labels: PseudoLabels) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(labels, field.name).tolist() for field in fields(labels)), strict=True))


@given(cast=ballots, balanced=st.booleans())
def test_the_tally_is_that_of_counting_one_by_one(cast: list[Ballot], balanced: bool) -> None:
    counted, expected = tally(cast, balanced=balanced), weigh(cast, balanced=balanced)
    pairs = [(superpixel, value) for superpixel, weights in expected.items() for value in weights]
    points = Counter((superpixel, value) for superpixel, value, _ in cast)
    assert list(zip(counted.superpixels.tolist(), counted.values.tolist(), strict=True)) == pairs
    assert counted.counts.tolist() == [points[pair] for pair in pairs]
    # Each of at most three annotators is rounded to a multiple of 2^-40.
    weights = [float(expected[superpixel][value]) for superpixel, value in pairs]
    np.testing.assert_allclose(counted.weights, weights, rtol=0, atol=3 * 2.0**-41 if balanced else 0)


@given(cast=ballots, rule=rules)
def test_the_vote_is_that_of_deciding_one_by_one(cast: list[Ballot], rule: VoteRule) -> None:
    labels = elect(tally(cast, balanced=rule.balance_annotators), rule)
    n_votes = Counter(superpixel for superpixel, _, _ in cast)
    expected = [
        (superpixel, *decide(weights, n_votes[superpixel], rule))
        for superpixel, weights in weigh(cast, balanced=rule.balance_annotators).items()
    ]
    assert rows_of(labels) == expected


@given(cast=ballots, rule=rules, names=st.permutations(FAR_APART), data=st.data())
def test_the_order_of_points_and_the_names_of_annotators_have_no_say(
    cast: list[Ballot], rule: VoteRule, names: list[int], data: st.DataObject
) -> None:
    renamed = [(superpixel, value, names[annotator % 3]) for superpixel, value, annotator in cast]
    plain = [(superpixel, value, annotator % 3) for superpixel, value, annotator in cast]
    once = tally(plain, balanced=rule.balance_annotators)
    again = tally(data.draw(st.permutations(renamed)), balanced=rule.balance_annotators)
    for field in fields(Tally):
        assert getattr(once, field.name).tobytes() == getattr(again, field.name).tobytes()
    for field in fields(PseudoLabels):
        assert getattr(elect(once, rule), field.name).tobytes() == getattr(elect(again, rule), field.name).tobytes()


def test_columns_have_the_types_that_are_promised() -> None:
    for cast in ([], [(1, 0)]):
        counted, labels = tally(cast), vote(cast)
        assert [getattr(counted, field.name).dtype for field in fields(Tally)] == [
            np.uint32, np.uint8, np.uint32, np.float64,
        ]  # fmt: skip
        assert [getattr(labels, field.name).dtype for field in fields(PseudoLabels)] == [
            np.uint32, np.uint8, np.float32, np.uint32, np.uint8,
        ]  # fmt: skip
        assert len(counted) == len(labels) == len(cast)


def test_a_tie_goes_to_the_lowest_class_or_is_ignored_and_is_flagged_either_way() -> None:
    cast = [(5, 3), (5, 1), (5, 3), (5, 1), (5, 2), (6, 4)]
    assert vote(cast).classes.tolist() == [1, 4]
    assert vote(cast, tie="ignore").classes.tolist() == [IGNORE, 4]
    for tie in ("lowest", "ignore"):
        assert vote(cast, tie=tie).votes.tolist() == [5, 1]
        assert vote(cast, tie=tie).flags.tolist() == [Flag.CONFLICT | Flag.TIED, 0]


def test_a_clear_winner_after_a_tie_for_second_place_wins() -> None:
    cast = [(5, 3), (5, 3), (5, 1), (5, 2)]
    assert vote(cast, tie="ignore").classes.tolist() == [3]
    assert vote(cast, tie="ignore").flags.tolist() == [Flag.CONFLICT]


def test_a_superpixel_and_the_next_do_not_share_votes() -> None:
    assert vote([(1, 254), (2, 0), (2, 0)]).classes.tolist() == [254, 0]


def test_too_few_votes_leave_a_superpixel_unlabelled_and_say_so() -> None:
    labels = vote([(1, 4), (2, 4), (2, 4)], min_votes=2)
    assert labels.classes.tolist() == [IGNORE, 4]
    assert labels.flags.tolist() == [Flag.TOO_WEAK, 0]
    assert labels.shares.tolist() == [1, 1]


def test_a_share_that_is_just_enough_is_enough() -> None:
    cast = [(1, 0)] * 2 + [(1, 5)] * 3
    assert vote(cast, min_share=0.6).classes.tolist() == [5]
    assert vote(cast, min_share=0.61).classes.tolist() == [IGNORE]


def test_a_busy_annotator_is_outvoted_by_two_others_only_when_balanced() -> None:
    cast = [(8, 1, 70)] * 9 + [(8, 2, 71), (8, 2, 72)]
    assert vote(cast).classes.tolist() == [1]
    balanced = vote(cast, balance_annotators=True)
    assert balanced.classes.tolist() == [2]
    assert balanced.shares.tolist() == [np.float32(2 / 3)]
    assert balanced.votes.tolist() == [11]


def test_three_thirds_of_a_vote_tie_with_one_whole() -> None:
    thirds = [(8, value, annotator) for annotator in (0, 1, 2) for value in (3, 4, 5)]
    labels = vote([*thirds, (8, 6, 3)], balance_annotators=True)
    assert labels.classes.tolist() == [3]
    assert labels.flags.tolist() == [Flag.CONFLICT | Flag.TIED]


def test_an_annotators_votes_in_one_superpixel_do_not_weaken_those_in_another() -> None:
    assert tally([(1, 0, 9), (2, 0, 9), (2, 1, 9)], balanced=True).weights.tolist() == [1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"tie": "highest"}, "tie must be 'lowest' or 'ignore', got 'highest'"),
        ({"min_votes": 0}, "min_votes must be at least 1, got 0"),
        ({"min_share": -0.1}, "min_share must be from 0 to 1, got -0.1"),
        ({"min_share": 1.5}, "min_share must be from 0 to 1, got 1.5"),
        ({"min_share": float("nan")}, "min_share must be from 0 to 1, got nan"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_field(rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        VoteRule(**rule)


def test_votes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="superpixel 0 is nodata and has no vote"):
        tally([(0, 1)])
    with pytest.raises(ValueError, match="class 255 is unlabelled and has no vote"):
        tally([(1, IGNORE)])
    with pytest.raises(ValueError, match=r"must be equally many, got \[2, 1\]"):
        tally_votes(np.ones(2, np.uint32), np.ones(1, np.uint8))
    with pytest.raises(ValueError, match=r"columns of different lengths: \[1, 2\]"):
        Tally(
            superpixels=np.ones(2, np.uint32), values=np.ones(1, np.uint8), counts=np.ones(1, np.uint32),
            weights=np.ones(1),
        )  # fmt: skip
