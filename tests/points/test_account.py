from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE
from superpoint.labels.vote import VoteRule
from superpoint.points.account import Account, State, settle, sums
from superpoint.points.query import UNREADABLE, QueryPoints
from superpoint.points.table import PIXELS, PointFile, PointTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from superpoint.labels.vote import Tie

Point = tuple[int, int, int]
"""Row, col and class value."""

# Six superpixels of two columns each; the first row is nodata.
MAP = np.repeat(np.arange(1, 7, dtype=np.uint32)[None], 4, axis=0).repeat(2, axis=1)
MAP[0] = 0

anywhere = st.tuples(st.integers(-1, 4), st.integers(-2, 13), st.sampled_from([UNREADABLE, 0, 1, 2]))
crowded = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 2))
points_on_and_off_the_map = st.lists(anywhere | crowded, max_size=40)


def as_points(points: Sequence[Point]) -> tuple[QueryPoints, NDArray[np.uint32]]:
    rows, cols, values = np.array(points, np.int64).reshape(-1, 3).T
    query = QueryPoints(rows=rows, cols=cols, values=values.astype(np.int16))
    superpixels = np.zeros(len(points), np.uint32)
    on_map = query.inside(MAP.shape)
    superpixels[on_map] = MAP[rows[on_map], cols[on_map]]
    return query, superpixels


def states_of(points: Sequence[Point], **rule: Any) -> list[State]:  # noqa: ANN401  # fields of VoteRule
    _, _, states = settle(*as_points(points), MAP.shape, VoteRule(**rule))
    return [State(state) for state in states.tolist()]


def twin(points: Sequence[Point], *, tie: str) -> list[State]:
    """The account, one point after another."""
    states: dict[int, State] = {}
    seen: set[Point] = set()
    ballots: dict[int, Counter[int]] = {}
    for index, (row, col, value) in enumerate(points):
        if not (0 <= row < MAP.shape[0] and 0 <= col < MAP.shape[1]):
            states[index] = State.OUTSIDE
        elif value == UNREADABLE:
            states[index] = State.UNREADABLE_CLASS
        elif MAP[row, col] == 0:
            states[index] = State.ON_NODATA
        elif (row, col, value) in seen:
            states[index] = State.DUPLICATE
        else:
            seen.add((row, col, value))
            ballots.setdefault(int(MAP[row, col]), Counter())[value] += 1
    for index, (row, col, value) in enumerate(points):
        if index not in states:
            votes = ballots[int(MAP[row, col])]
            leaders = sorted(label for label, count in votes.items() if count == max(votes.values()))
            winner = None if tie == "ignore" and len(leaders) > 1 else leaders[0]
            states[index] = State.USED if value == winner else State.CONFLICTING
    return [states[index] for index in range(len(points))]


@given(points=points_on_and_off_the_map, tie=st.sampled_from(["lowest", "ignore"]))
def test_every_point_is_in_the_one_state_that_a_plain_loop_gives_it(points: list[Point], tie: str) -> None:
    assert states_of(points, tie=tie) == twin(points, tie=tie)


@given(points=points_on_and_off_the_map, tie=st.sampled_from(["lowest", "ignore"]), data=st.data())
def test_the_order_of_the_points_has_no_say(points: list[Point], tie: Tie, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(points))
    tally, labels, states = settle(*as_points(points), MAP.shape, VoteRule(tie=tie))
    other_tally, other_labels, other_states = settle(*as_points(shuffled), MAP.shape, VoteRule(tie=tie))
    assert sums(states) == sums(other_states)
    for name in ("superpixels", "classes", "shares", "votes", "flags"):
        np.testing.assert_array_equal(getattr(labels, name), getattr(other_labels, name))
    np.testing.assert_array_equal(tally.counts, other_tally.counts)
    # Of duplicates the first counts; but for that a point's state is its own.
    mine, others = (
        Counter((point, state) for point, state in zip(some, found.tolist(), strict=True))
        for some, found in ((points, states), (shuffled, other_states))
    )
    assert mine == others


@given(points=points_on_and_off_the_map)
def test_the_sums_are_those_of_a_counter_and_add_up_to_all_points(points: list[Point]) -> None:
    _, _, states = settle(*as_points(points), MAP.shape, VoteRule())
    account = sums(states)
    counted = Counter(State(state).name.lower() for state in states.tolist())
    assert account == {state.name.lower(): counted[state.name.lower()] for state in State}
    assert sum(account.values()) == len(points)


def test_the_account_names_what_was_used_first() -> None:
    _, _, states = settle(*as_points([]), MAP.shape, VoteRule())
    assert list(sums(states)) == [
        "used", "too_weak", "conflicting", "duplicate", "on_nodata", "unreadable_class", "outside", "no_place",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("point", "state"),
    [
        ((1, 0, 0), State.USED),
        ((3, 11, 0), State.USED),
        ((4, 11, 0), State.OUTSIDE),
        ((3, 12, 0), State.OUTSIDE),
        ((-1, 0, 0), State.OUTSIDE),
        ((0, 0, 0), State.ON_NODATA),
        ((1, 0, UNREADABLE), State.UNREADABLE_CLASS),
        ((0, 0, UNREADABLE), State.UNREADABLE_CLASS),
        ((-1, 0, UNREADABLE), State.OUTSIDE),
    ],
)
def test_a_point_alone_has_the_first_state_that_holds(point: Point, state: State) -> None:
    assert states_of([point]) == [state]


def test_a_point_that_is_there_twice_votes_once() -> None:
    points = [(1, 0, 1), (1, 0, 1), (2, 0, 0)]
    assert states_of(points) == [State.CONFLICTING, State.DUPLICATE, State.USED]


def test_two_classes_in_one_pixel_are_two_votes() -> None:
    points = [(1, 0, 1), (1, 0, 2), (2, 0, 2)]
    assert states_of(points) == [State.CONFLICTING, State.USED, State.USED]


def test_a_point_beyond_the_right_edge_is_no_duplicate_of_one_in_the_next_row() -> None:
    assert states_of([(2, 0, 1), (1, 12, 1)]) == [State.USED, State.OUTSIDE]


def test_an_ignored_tie_leaves_its_points_conflicting() -> None:
    points = [(1, 0, 0), (1, 1, 1), (1, 2, 1)]
    assert states_of(points, tie="lowest") == [State.USED, State.CONFLICTING, State.USED]
    assert states_of(points, tie="ignore") == [State.CONFLICTING, State.CONFLICTING, State.USED]


# --- weak votes and several annotators


def test_points_of_a_superpixel_with_too_few_votes_are_too_weak() -> None:
    points = [(1, 0, 0), (1, 2, 1), (2, 2, 1), (3, 2, 0)]
    assert states_of(points, min_votes=2) == [State.TOO_WEAK, State.USED, State.USED, State.CONFLICTING]
    assert states_of(points, min_share=0.7) == [State.USED, State.TOO_WEAK, State.TOO_WEAK, State.TOO_WEAK]


def by_annotators(points: Sequence[tuple[int, int, int, int]]) -> tuple[QueryPoints, NDArray[np.uint32]]:
    query, superpixels = as_points([point[:3] for point in points])
    annotators = np.array([point[3] for point in points], np.int32)
    return QueryPoints(rows=query.rows, cols=query.cols, values=query.values, annotators=annotators), superpixels


def test_the_same_place_and_class_by_another_annotator_is_a_vote_of_its_own() -> None:
    query, superpixels = by_annotators([(1, 0, 1, 0), (1, 0, 1, 1), (1, 0, 1, 0), (1, 0, 0, -1)])
    _, labels, states = settle(query, superpixels, MAP.shape, VoteRule())
    assert states.tolist() == [State.USED, State.USED, State.DUPLICATE, State.CONFLICTING]
    assert labels.votes.tolist() == [3]


def test_annotators_are_balanced_only_where_the_rule_says_so() -> None:
    query, superpixels = by_annotators([(1, 0, 0, 7), (1, 1, 0, 7), (2, 0, 0, 7), (2, 1, 1, 8), (3, 1, 1, 9)])
    assert settle(query, superpixels, MAP.shape, VoteRule())[1].classes.tolist() == [0]
    assert settle(query, superpixels, MAP.shape, VoteRule(balance_annotators=True))[1].classes.tolist() == [1]


@given(points=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(0, 1), st.integers(-1, 2))))
def test_a_duplicate_has_the_pixel_class_and_annotator_of_an_earlier_point(
    points: list[tuple[int, int, int, int]],
) -> None:
    _, _, states = settle(*by_annotators(points), MAP.shape, VoteRule())
    repeated = [point in points[:index] for index, point in enumerate(points)]
    assert (states == State.DUPLICATE).tolist() == repeated


def test_pixels_and_annotators_beyond_64_bits_are_told_apart_all_the_same() -> None:
    side = 2**20
    rows, cols = np.array([0, side - 1, side - 1, 0]), np.array([0, side - 1, side - 1, 0])
    query = QueryPoints(
        rows=rows, cols=cols, values=np.zeros(4, np.int16), annotators=np.array([2**30, 1, 1, 2**30 - 1], np.int32)
    )
    _, _, states = settle(query, np.full(4, 3, np.uint32), (side, side), VoteRule())
    assert states.tolist() == [State.USED, State.USED, State.DUPLICATE, State.USED]


# --- the account of rows


def rows_of(n_rows: int, *, without_place: Sequence[int] = ()) -> PointTable:
    xs = np.zeros(n_rows)
    xs[list(without_place)] = np.nan
    return PointTable(
        files=(PointFile(name="p", n_rows=n_rows, system=PIXELS),), systems=(), xs=xs, ys=np.zeros(n_rows),
        labels=np.zeros(n_rows, np.int32), names=("a",),
    )  # fmt: skip


def enter(account: Account, raster: int, found: Sequence[tuple[int, State]]) -> None:
    origins, states = (
        np.array(column, np.int64) for column in zip(*sorted(found, key=lambda one: one[0]), strict=True)
    )
    zeros = np.zeros(len(origins), np.int64)
    query = QueryPoints(
        rows=zeros + raster, cols=np.arange(len(origins)), values=zeros.astype(np.int16), origins=origins
    )
    labels = settle(*as_points([(1, 0, 0)]), MAP.shape, VoteRule())[1]
    account.enter(
        query, states.astype(np.int8), raster=raster, superpixels=np.ones(len(origins), np.uint32), labels=labels
    )


def test_nothing_is_entered_at_first() -> None:
    account = Account.open(rows_of(3, without_place=[1]), ["r"])
    assert account.states.tolist() == [State.OUTSIDE, State.NO_PLACE, State.OUTSIDE]
    assert (account.sums()["outside"], account.sums()["no_place"], len(account)) == (2, 1, 3)


entries = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(State)[2:])), min_size=1, max_size=12)


@given(rasters=st.lists(entries, min_size=1, max_size=4), data=st.data())
def test_a_rows_state_is_the_best_it_came_to_on_any_raster_whatever_their_order(
    rasters: list[list[tuple[int, State]]], data: st.DataObject
) -> None:
    account, other = (Account.open(rows_of(6), [str(number) for number in range(4)]) for _ in range(2))
    for number, found in enumerate(rasters):
        enter(account, number, found)
    for number in data.draw(st.permutations(range(len(rasters)))):
        enter(other, number, rasters[number])
    best = [max([State.OUTSIDE, *(s for found in rasters for row, s in found if row == mine)]) for mine in range(6)]
    assert account.states.tolist() == best
    for name in ("states", "raster", "pixel_rows", "pixel_cols", "superpixels", "winners", "shares", "votes"):
        np.testing.assert_array_equal(getattr(account, name), getattr(other, name))


def test_the_account_says_where_a_row_came_to_its_state() -> None:
    account = Account.open(rows_of(3), ["r", "s"])
    enter(account, 1, [(0, State.USED), (2, State.ON_NODATA)])
    enter(account, 0, [(2, State.CONFLICTING)])
    assert account.raster.tolist() == [1, -1, 0]
    assert account.pixel_rows.tolist() == [1, -1, 0]
    assert account.votes.tolist() == [1, 0, 1]
    assert account.winners.tolist() == [0, IGNORE, 0]
