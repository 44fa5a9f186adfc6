"""The account: every row of the points ends in exactly one state with a reason, and the sums are kept.

A row's state is the best that any of its places came to on any raster. What the reason says is kept as numbers; the
words are made when the account is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag
from superpoint.labels.vote import elect, tally_votes
from superpoint.points.query import UNREADABLE, QueryPoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.labels.vote import Tally, VoteRule
    from superpoint.points.table import PointTable

    States = NDArray[np.int8]


class State(IntEnum):
    """What became of a row, from worst to best: the first that holds, in this order, is the state of one point."""

    NO_PLACE = 0
    """It has no geometry, or coordinates that are not numbers."""
    OUTSIDE = 1
    """Not on any raster, or not on the one it names."""
    UNREADABLE_CLASS = 2
    """Its class is missing, ignored or not in the class table."""
    ON_NODATA = 3
    """On a pixel without data, which has no superpixel."""
    DUPLICATE = 4
    """In the same pixel, of the same class and of the same annotator as an earlier point."""
    CONFLICTING = 5
    """It voted, and its superpixel went to another class or, with a tie ignored, to none."""
    TOO_WEAK = 6
    """It voted, and its superpixel has fewer votes, or a smaller share for one class, than was asked for."""
    USED = 7
    """It voted, and its superpixel has its class."""


def settle(
    points: QueryPoints, superpixels: NDArray[np.uint32], shape: tuple[int, int], rule: VoteRule
) -> tuple[Tally, PseudoLabels, States]:
    """Vote, and give every point its state.

    Parameters
    ----------
    points : QueryPoints
        All points on a raster; those outside are told apart.
    superpixels : uint32 array of shape (points,)
        Id of the superpixel each point lies in; 0 on nodata and outside.
    shape : tuple of int
        `(rows, cols)` of the raster.
    rule : VoteRule
        How votes decide.

    Returns
    -------
    tally : Tally
        The votes for each class in each superpixel.
    labels : PseudoLabels
        What they decide.
    states : int8 array of shape (points,)
        Values of `State`.
    """
    states = _before_the_vote(points, superpixels, shape)
    voting = np.flatnonzero(states == State.USED)
    ids, values = superpixels[voting], points.values[voting].astype(np.uint8)
    hands = points.annotators if rule.balance_annotators else None
    tally = tally_votes(ids, values, None if hands is None else hands[voting])
    labels = elect(tally, rule)
    places = np.searchsorted(labels.superpixels, ids)
    states[voting[labels.classes[places] != values]] = State.CONFLICTING
    states[voting[labels.flags[places] & Flag.TOO_WEAK > 0]] = State.TOO_WEAK
    return tally, labels, states


def _before_the_vote(points: QueryPoints, superpixels: NDArray[np.uint32], shape: tuple[int, int]) -> States:
    """Tell what keeps a point from voting; `USED` where nothing does."""
    states = np.full(len(points), State.USED, np.int8)
    states[superpixels == 0] = State.ON_NODATA
    states[points.values == UNREADABLE] = State.UNREADABLE_CLASS
    states[~points.inside(shape)] = State.OUTSIDE
    voting = np.flatnonzero(states == State.USED)
    states[voting[_is_repeated(points, voting, shape)]] = State.DUPLICATE
    return states


def _is_repeated(points: QueryPoints, voting: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which of some points repeat an earlier one's pixel, class and annotator."""
    keys = _keys(points, voting, shape)
    # Most points repeat nobody: a plain sort, much faster than one that remembers places, finds the few keys that occur
    # twice, and only the points that have them are put in order.
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    repeated = np.zeros(len(keys), bool)
    if len(twice):
        twice = np.unique(twice)
        places = np.minimum(np.searchsorted(twice, keys), len(twice) - 1)
        suspects = np.flatnonzero(twice[places] == keys)
        order = np.argsort(places[suspects], kind="stable")
        later = np.diff(places[suspects][order], prepend=-1) == 0
        repeated[suspects[order[later]]] = True
    return repeated


def _keys(points: QueryPoints, voting: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.uint64]:
    """Pack pixel, class and annotator into one number."""
    n_pixels, n_annotators = shape[0] * shape[1], 1
    pixels = points.rows[voting] * shape[1] + points.cols[voting]
    keys = pixels.astype(np.uint64)
    if points.annotators is not None and len(voting):
        annotators = points.annotators[voting].astype(np.int64) + 1
        n_annotators = int(annotators.max()) + 1
        if n_pixels * n_annotators >= 2**55:  # the class needs 8 bits more; nobody has so many of both
            keys = np.unique(keys, return_inverse=True)[1].astype(np.uint64)
        keys = keys * np.uint64(n_annotators) + annotators.astype(np.uint64)
    return keys * np.uint64(IGNORE + 1) + points.values[voting].astype(np.uint64)


def sums(states: States) -> dict[str, int]:
    """Return the number of rows in each state, used first, by the state's name in lower case."""
    counts = np.bincount(states, minlength=len(State))
    return {state.name.lower(): int(counts[state]) for state in sorted(State, reverse=True)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """What became of the rows of a table, all or some; 26 bytes each."""

    rows: NDArray[np.int64] | None
    """The rows of the table that it is kept of, ascending; None for all."""
    rasters: tuple[str, ...]
    """Names of the rasters."""
    states: States
    """`State` of each row; the columns below say where it came to that."""
    raster: NDArray[np.int32]
    """The raster, by place in `rasters`; -1 on none."""
    pixel_rows: NDArray[np.int32]
    """Pixel row; -1 on none."""
    pixel_cols: NDArray[np.int32]
    """Pixel column."""
    superpixels: NDArray[np.uint32]
    """Superpixel; 0 on none."""
    winners: NDArray[np.uint8]
    """Class that the superpixel went to; 255 none."""
    shares: NDArray[np.float32]
    """Share of the votes for its leading class."""
    votes: NDArray[np.uint32]
    """Votes in it."""

    @classmethod
    def open(cls, table: PointTable, rasters: Sequence[str], *, rows: NDArray[np.int64] | None = None) -> Account:
        """Return an account in which nothing is entered: rows with a place are outside.

        Parameters
        ----------
        table : PointTable
            The points.
        rasters : sequence of str
            Names of all rasters that will be entered.
        rows : int64 array, optional
            The rows to keep it of, ascending; all if None. Points of other rows are not entered.
        """
        has_place = table.has_place() if rows is None else table.has_place()[rows]
        n_rows = len(has_place)
        return cls(
            rows=rows,
            rasters=tuple(rasters),
            states=np.where(has_place, State.OUTSIDE, State.NO_PLACE).astype(np.int8),
            raster=np.full(n_rows, -1, np.int32),
            pixel_rows=np.full(n_rows, -1, np.int32),
            pixel_cols=np.full(n_rows, -1, np.int32),
            superpixels=np.zeros(n_rows, np.uint32),
            winners=np.full(n_rows, IGNORE, np.uint8),
            shares=np.zeros(n_rows, np.float32),
            votes=np.zeros(n_rows, np.uint32),
        )

    def __len__(self) -> int:
        return len(self.states)

    def enter(
        self,
        points: QueryPoints,
        states: States,
        *,
        raster: int,
        superpixels: NDArray[np.uint32],
        labels: PseudoLabels,
    ) -> None:
        """Enter what became of points on one raster, where it is better than what is there.

        Of what is equally good the raster that comes first in `rasters` stays, and of one row's points on it the
        first: the order in which rasters are entered has no say.

        Parameters
        ----------
        points : QueryPoints
            The points on the raster, in the order of the table.
        states : int8 array of shape (points,)
            As `settle` returns them.
        raster : int
            Its place in `rasters`.
        superpixels : uint32 array of shape (points,)
            Id of the superpixel each point lies in; 0 on nodata.
        labels : PseudoLabels
            What the votes decided.
        """
        best = _best_of_each(points.origins, states)
        places = best if points.origins is None else points.origins[best]
        if self.rows is not None and len(self.rows):
            mine = np.minimum(np.searchsorted(self.rows, places), len(self.rows) - 1)
            kept = self.rows[mine] == places
            best, places = best[kept], mine[kept]
        before = self.states[places]
        better = states[best] > before
        better |= (states[best] == before) & (raster < self.raster[places])
        best, places = best[better], places[better]
        self.states[places] = states[best]
        self.raster[places] = np.where(states[best] > State.OUTSIDE, raster, -1)
        self.pixel_rows[places], self.pixel_cols[places] = points.rows[best], points.cols[best]
        self.superpixels[places] = superpixels[best]
        self._enter_votes(places, superpixels[best], labels)

    def _enter_votes(self, places: NDArray[np.int64], superpixels: NDArray[np.uint32], labels: PseudoLabels) -> None:
        if not len(labels):
            return
        found = np.minimum(np.searchsorted(labels.superpixels, superpixels), len(labels) - 1)
        known = labels.superpixels[found] == superpixels
        self.winners[places] = np.where(known, labels.classes[found], IGNORE)
        self.shares[places] = np.where(known, labels.shares[found], 0)
        self.votes[places] = np.where(known, labels.votes[found], 0)

    def sums(self) -> dict[str, int]:
        """Return the number of rows in each state, used first, by the state's name in lower case."""
        return sums(self.states)


def _best_of_each(origins: NDArray[np.int64] | None, states: States) -> NDArray[np.int64]:
    """Return the first of the best points of each row."""
    order = np.arange(len(states))
    if origins is None or np.all(origins[1:] > origins[:-1]):
        return order
    order = np.lexsort((-states, origins))  # stable: of equals the first
    return order[np.diff(origins[order], prepend=-1) > 0]
