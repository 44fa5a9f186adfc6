"""The vote: a superpixel's class is the mode of the classes of the query points in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The vote of every superpixel that has a point, in the order of ids."""

    superpixels: NDArray[np.uint32]
    """Ids, ascending, of shape (voted,)."""
    winners: NDArray[np.uint8]
    """Class of each; 255 where a tie is ignored."""
    shares: NDArray[np.float32]
    """Votes for the leading class over all votes, (0, 1]."""
    counts: NDArray[np.uint32]
    """All votes of each."""

    def winner_of(self, superpixels: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the class of superpixels that all have votes."""
        return self.winners[np.searchsorted(self.superpixels, superpixels)]

    def paint(self, labels: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint16]]:
        """Paint the votes onto a label map.

        Parameters
        ----------
        labels : uint32 array of shape (rows, cols)
            Superpixel ids; 0 is nodata.

        Returns
        -------
        mask : uint8 array of shape (rows, cols)
            The class; 255 where no point voted, and on nodata.
        share : float32 array of shape (rows, cols)
            Vote share of the leading class; 0 where no point voted.
        votes : uint16 array of shape (rows, cols)
            Number of votes, at most 65535.
        """
        found, inverse = np.unique(labels, return_inverse=True)
        place = np.minimum(np.searchsorted(self.superpixels, found), max(len(self.superpixels) - 1, 0))
        has_votes = self.superpixels[place] == found if len(self.superpixels) else np.zeros(len(found), bool)
        winners = np.full(len(found), IGNORE, np.uint8)
        shares = np.zeros(len(found), np.float32)
        counts = np.zeros(len(found), np.uint16)
        winners[has_votes] = self.winners[place[has_votes]]
        shares[has_votes] = self.shares[place[has_votes]]
        counts[has_votes] = np.minimum(self.counts[place[has_votes]], np.iinfo(np.uint16).max)
        inverse = inverse.reshape(labels.shape)
        return winners[inverse], shares[inverse], counts[inverse]


def count_votes(superpixels: NDArray[np.uint32], values: NDArray[np.uint8], *, tie: str = "lowest") -> Votes:
    """Count the votes of points in superpixels; the order of the points has no say.

    Parameters
    ----------
    superpixels : uint32 array of shape (points,)
        Id of the superpixel each point lies in, not 0.
    values : uint8 array of shape (points,)
        Class value of each point.
    tie : {"lowest", "ignore"}
        What a tie gives: the lowest of the leading classes, or 255.

    Raises
    ------
    ValueError
        If `tie` is neither.

    Examples
    --------
    >>> votes = count_votes(np.array([7, 7, 7, 9, 9], np.uint32), np.array([2, 1, 2, 4, 3], np.uint8))
    >>> votes.superpixels.tolist(), votes.winners.tolist(), votes.counts.tolist()
    ([7, 9], [2, 3], [3, 2])
    """
    if tie not in ("lowest", "ignore"):
        raise ValueError(f"tie must be 'lowest' or 'ignore', got {tie!r}")
    pairs, counts = np.unique(superpixels.astype(np.uint64) << np.uint64(8) | values, return_counts=True)
    pair_ids, pair_values = (
        (pairs >> np.uint64(8)).astype(np.uint32),
        (pairs & np.uint64(255)).astype(np.uint8),
    )
    # The leading class comes first: by id, then most votes, then lowest class.
    order = np.lexsort((pair_values, -counts, pair_ids))
    ids, starts = np.unique(pair_ids[order], return_index=True)
    leading = counts[order][starts]
    totals = np.add.reduceat(counts, np.searchsorted(pair_ids, ids)) if len(ids) else counts
    winners = pair_values[order][starts]
    if tie == "ignore":
        has_runner_up = np.diff(starts, append=len(order)) > 1
        runner_up = counts[order][np.minimum(starts + 1, len(order) - 1)] if len(order) else counts
        winners = np.where(has_runner_up & (runner_up == leading), np.uint8(IGNORE), winners)
    return Votes(
        superpixels=ids,
        winners=winners,
        shares=(leading / np.maximum(totals, 1)).astype(np.float32),
        counts=totals.astype(np.uint32),
    )
