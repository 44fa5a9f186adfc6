"""The vote: a superpixel's class is the mode of the classes of the query points in it.

Points are packed into one integer each (superpixel, class, annotator) and sorted: what is equal is then side by side,
and nothing that follows knows the order in which the points came. Votes that annotators share are summed as whole
numbers of 2^-40, whose sum has no order either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag, PseudoLabels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    Longs = NDArray[np.int64]

Tie = Literal["lowest", "ignore"]

TOLERANCE = 1e-6
"""Weights that differ by less than this part of a vote are equal: three times 1/3 is 1."""

_UNIT = 2.0**40
_VALUE_BITS, _ANNOTATOR_BITS = 8, 24


@dataclass(frozen=True, kw_only=True)
class VoteRule:
    """How the votes in a superpixel decide its class.

    Examples
    --------
    >>> VoteRule(min_votes=2)
    VoteRule(tie='lowest', min_votes=2, min_share=0.0, balance_annotators=False)
    """

    tie: Tie = "lowest"
    """What a tie gives: the lowest of the leading classes, or none (255)."""
    min_votes: int = 1
    """A superpixel with fewer points stays unlabelled."""
    min_share: float = 0.0
    """A superpixel whose leading class has a smaller share of the votes stays unlabelled, [0, 1]."""
    balance_annotators: bool = False
    """Whether an annotator has one vote in a superpixel, however many points: see `tally_votes`."""

    def __post_init__(self) -> None:
        if self.tie not in get_args(Tie):
            raise ValueError(f"tie must be 'lowest' or 'ignore', got {self.tie!r}")
        if self.min_votes < 1:
            raise ValueError(f"min_votes must be at least 1, got {self.min_votes}")
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"min_share must be from 0 to 1, got {self.min_share}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """The votes for each class in each superpixel, those that got any: ordered by superpixel, then by class."""

    superpixels: NDArray[np.uint32]
    """Id of the superpixel, of shape (pairs,)."""
    values: NDArray[np.uint8]
    """Class value."""
    counts: NDArray[np.uint32]
    """Points of that class in that superpixel."""
    weights: NDArray[np.float64]
    """What they weigh: as many votes, or less where annotators are balanced."""

    def __post_init__(self) -> None:
        sizes = {len(self.superpixels), len(self.values), len(self.counts), len(self.weights)}
        if len(sizes) > 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.superpixels)


def tally_votes(
    superpixels: NDArray[np.uint32], values: NDArray[np.uint8], annotators: NDArray[np.int32] | None = None
) -> Tally:
    """Count the votes of points in superpixels; the order of the points has no say.

    Parameters
    ----------
    superpixels : uint32 array of shape (points,)
        Id of the superpixel each point lies in, not 0.
    values : uint8 array of shape (points,)
        Class value of each point, not 255.
    annotators : int32 array of shape (points,), optional
        Who set each point, any numbers. Each annotator then has one vote in a superpixel, shared by their points
        there: a class weighs the sum over annotators of n(annotator, class) / n(annotator). Without it every point
        weighs 1.

    Returns
    -------
    Tally
        The pairs of superpixel and class that occur.

    Raises
    ------
    ValueError
        If lengths differ, a point votes in superpixel 0 or for class 255, or there are more than 2^24 annotators.

    Notes
    -----
    At its peak it takes 44 bytes a point beyond its arguments, result included, and 24 where there are two points to a
    pair; 76 and 51 with annotators.

    Examples
    --------
    >>> superpixels, values = np.array([7, 9, 7, 7], np.uint32), np.array([2, 1, 0, 2], np.uint8)
    >>> tally = tally_votes(superpixels, values)
    >>> tally.superpixels.tolist(), tally.values.tolist(), tally.counts.tolist()
    ([7, 7, 9], [0, 2, 1], [1, 2, 1])
    >>> tally_votes(superpixels, values, np.array([5, 5, 6, 5], np.int32)).weights.tolist()
    [1.0, 1.0, 1.0]
    """
    _check_votes(superpixels, values, annotators)
    codes = np.zeros(1, np.uint64) if annotators is None else _codes_of(annotators)
    keys = superpixels.astype(np.uint64)
    keys <<= np.uint64(_VALUE_BITS)
    keys |= values
    keys <<= np.uint64(_ANNOTATOR_BITS)
    keys |= codes
    keys.sort()
    keys, counts = _run_lengths(keys)
    if annotators is None:
        return _tally_of(keys >> np.uint64(_ANNOTATOR_BITS), counts, counts.astype(np.float64))
    shares = np.rint(counts / _votes_of_annotators(keys, counts) * _UNIT).astype(np.int64)
    pairs = keys >> np.uint64(_ANNOTATOR_BITS)
    starts = _starts(pairs)
    return _tally_of(pairs[starts], _sums(counts, starts), _sums(shares, starts) / _UNIT)


def elect(tally: Tally, rule: VoteRule) -> PseudoLabels:
    """Let the votes in each superpixel decide its class.

    Parameters
    ----------
    tally : Tally
        See `tally_votes`.
    rule : VoteRule
        What a tie gives, and what is too weak. Whether annotators are balanced was decided by the tally.

    Returns
    -------
    PseudoLabels
        Of every superpixel that has a vote, also those left unlabelled; the flags say why.

    Examples
    --------
    >>> tally = tally_votes(np.array([7, 7, 7, 9, 9], np.uint32), np.array([2, 1, 2, 4, 3], np.uint8))
    >>> labels = elect(tally, VoteRule())
    >>> labels.superpixels.tolist(), labels.classes.tolist(), labels.votes.tolist(), labels.flags.tolist()
    ([7, 9], [2, 3], [3, 2], [1, 3])
    """
    starts = _starts(tally.superpixels)
    n_classes = np.diff(starts, append=len(tally))
    highest = np.maximum.reduceat(tally.weights, starts)
    is_leading = tally.weights > np.repeat(highest - TOLERANCE, n_classes)
    winners = np.where(is_leading, tally.values, np.uint8(IGNORE))
    winners = np.minimum.reduceat(winners, starts)
    votes, total = _sums(tally.counts, starts), _sums(tally.weights, starts)
    is_tied = _sums(is_leading.view(np.uint8), starts) > 1
    is_weak = (votes < rule.min_votes) | (highest < rule.min_share * total - TOLERANCE)
    is_unlabelled = is_weak | is_tied if rule.tie == "ignore" else is_weak
    flags = np.where(n_classes > 1, np.uint8(Flag.CONFLICT), np.uint8(0))
    flags |= np.where(is_tied, np.uint8(Flag.TIED), np.uint8(0))
    flags |= np.where(is_weak, np.uint8(Flag.TOO_WEAK), np.uint8(0))
    return PseudoLabels(
        superpixels=tally.superpixels[starts],
        classes=np.where(is_unlabelled, np.uint8(IGNORE), winners),
        shares=(highest / total).astype(np.float32),
        votes=votes.astype(np.uint32),
        flags=flags,
    )


def _check_votes(
    superpixels: NDArray[np.uint32], values: NDArray[np.uint8], annotators: NDArray[np.int32] | None
) -> None:
    lengths = [len(column) for column in (superpixels, values, annotators) if column is not None]
    if len(set(lengths)) > 1:
        raise ValueError(f"superpixels, values and annotators must be equally many, got {lengths}")
    if superpixels.min(initial=1) == 0:
        raise ValueError("superpixel 0 is nodata and has no vote")
    if values.max(initial=0) == IGNORE:
        raise ValueError(f"class {IGNORE} is unlabelled and has no vote")


def _codes_of(annotators: NDArray[np.int32]) -> Keys:
    """Return numbers from 0 that tell annotators apart."""
    lowest, highest = int(annotators.min(initial=0)), int(annotators.max(initial=0))
    if highest - lowest < 2**_ANNOTATOR_BITS:
        return (annotators.astype(np.int64) - lowest).view(np.uint64)
    names, codes = np.unique(annotators, return_inverse=True)
    if len(names) > 2**_ANNOTATOR_BITS:
        raise ValueError(f"at most {2**_ANNOTATOR_BITS} annotators can be balanced, got {len(names)}")
    return codes.view(np.uint64)


def _votes_of_annotators(keys: Keys, counts: Longs) -> Longs:
    """Return how many points the annotator of each key has in its superpixel, for whatever class."""
    annotator = np.uint64(2**_ANNOTATOR_BITS - 1)
    who = keys >> np.uint64(_VALUE_BITS + _ANNOTATOR_BITS) << np.uint64(_ANNOTATOR_BITS) | keys & annotator
    order = np.argsort(who)
    starts = _starts(who[order])
    totals = np.empty_like(counts)
    totals[order] = np.repeat(_sums(counts[order], starts), np.diff(starts, append=len(keys)))
    return totals


def _tally_of(pairs: Keys, counts: Longs, weights: NDArray[np.float64]) -> Tally:
    return Tally(
        superpixels=(pairs >> np.uint64(_VALUE_BITS)).astype(np.uint32),
        values=pairs.astype(np.uint8),  # the lowest bits
        counts=counts.astype(np.uint32),
        weights=weights,
    )


def _run_lengths(ascending: Keys) -> tuple[Keys, Longs]:
    """Return the distinct keys and how often each occurs."""
    starts = _starts(ascending)
    return ascending[starts], np.diff(starts, append=len(ascending))


def _starts(ascending: NDArray[np.unsignedinteger]) -> Longs:
    """Return where each new value begins."""
    is_new = np.ones(len(ascending), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


def _sums(values: NDArray[np.generic], starts: Longs) -> NDArray[Any]:
    return np.add.reduceat(values, starts)  # of whole numbers, in 64 bits
