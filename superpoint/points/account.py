"""The account: every point ends in exactly one state, and the sums are kept."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.vote import Votes, count_votes
from superpoint.points.query import UNREADABLE, QueryPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray


class State(IntEnum):
    """What became of a point. The first that holds, in this order, is its state."""

    OUTSIDE = 0
    """Not on the raster."""
    UNREADABLE_CLASS = 1
    """Its class is missing or ignored."""
    ON_NODATA = 2
    """On a pixel without data, which has no superpixel."""
    DUPLICATE = 3
    """In the same pixel and of the same class as an earlier point."""
    CONFLICTING = 4
    """It voted, and its superpixel went to another class or, with a tie ignored, to none."""
    USED = 5
    """It voted, and its superpixel has its class."""


def settle(
    points: QueryPoints,
    superpixels: NDArray[np.uint32],
    shape: tuple[int, int],
    *,
    tie: str = "lowest",
) -> tuple[Votes, NDArray[np.int8]]:
    """Vote, and give every point its state.

    Parameters
    ----------
    points : QueryPoints
        All points, also those outside.
    superpixels : uint32 array of shape (points,)
        Id of the superpixel each point lies in; 0 on nodata and outside.
    shape : tuple of int
        `(rows, cols)` of the raster.
    tie : {"lowest", "ignore"}
        See `count_votes`.

    Returns
    -------
    votes : Votes
        The vote of each superpixel that has a point.
    states : int8 array of shape (points,)
        Values of `State`.
    """
    inside = points.inside(shape)
    readable = points.values != UNREADABLE
    on_data = superpixels > 0
    voting = inside & readable & on_data
    duplicate = np.zeros(len(points), bool)
    duplicate[voting] = _is_repeated(points, voting, shape)
    voting &= ~duplicate
    votes = count_votes(superpixels[voting], points.values[voting].astype(np.uint8), tie=tie)
    states = np.full(len(points), State.CONFLICTING, np.int8)
    states[voting] = np.where(
        votes.winner_of(superpixels[voting]) == points.values[voting], State.USED, State.CONFLICTING
    )
    states[duplicate] = State.DUPLICATE
    states[~on_data] = State.ON_NODATA
    states[~readable] = State.UNREADABLE_CLASS
    states[~inside] = State.OUTSIDE
    return votes, states


def _is_repeated(points: QueryPoints, voting: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which voting points repeat an earlier one's pixel and class."""
    pixels = points.rows[voting] * shape[1] + points.cols[voting]
    keys = pixels * (IGNORE + 1) + points.values[voting]
    _, first = np.unique(keys, return_index=True)
    repeated = np.ones(len(keys), bool)
    repeated[first] = False
    return repeated


def sums(states: NDArray[np.int8]) -> dict[str, int]:
    """Return the number of points in each state, used first, by the state's name in lower case."""
    counts = np.bincount(states, minlength=len(State))
    return {state.name.lower(): int(counts[state]) for state in sorted(State, reverse=True)}
