from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.points.account import State, settle, sums
from superpoint.points.query import UNREADABLE, QueryPoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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


def states_of(points: Sequence[Point], *, tie: str = "lowest") -> list[State]:
    _, states = settle(*as_points(points), MAP.shape, tie=tie)
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
def test_the_order_of_the_points_has_no_say(points: list[Point], tie: str, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(points))
    votes, states = settle(*as_points(points), MAP.shape, tie=tie)
    other_votes, other_states = settle(*as_points(shuffled), MAP.shape, tie=tie)
    assert sums(states) == sums(other_states)
    for name in ("superpixels", "winners", "shares", "counts"):
        np.testing.assert_array_equal(getattr(votes, name), getattr(other_votes, name))


@given(points=points_on_and_off_the_map)
def test_the_sums_are_those_of_a_counter_and_add_up_to_all_points(points: list[Point]) -> None:
    _, states = settle(*as_points(points), MAP.shape)
    account = sums(states)
    counted = Counter(State(state).name.lower() for state in states.tolist())
    assert account == {state.name.lower(): counted[state.name.lower()] for state in State}
    assert sum(account.values()) == len(points)


def test_the_account_names_what_was_used_first() -> None:
    _, states = settle(*as_points([]), MAP.shape)
    assert list(sums(states)) == ["used", "conflicting", "duplicate", "on_nodata", "unreadable_class", "outside"]


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
