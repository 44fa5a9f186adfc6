"""Sampling query points from a dense mask, to simulate an annotator.

A mask may be larger than memory: it is read twice, in strips of full rows. The first pass counts the labelled pixels
of each stratum; the plan is made of the counts alone, and of each stratum *ranks* are drawn, the k-th of its labelled
pixels in raster order. The second pass picks them up. Memory is bounded by the strip and by the points, and the points
depend neither on the height of the strips nor on anything else than the mask, the strategy and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.classes import IGNORE
from superpoint.points.query import QueryPoints
from superpoint.points.strategies import Balanced, Strata, Strip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from superpoint.points.strategies import Plan, SamplingStrategy

    Longs = NDArray[np.int64]

SPREAD = 4  # times the pixels: the range of stratum numbers that is counted without sorting


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Points drawn from a mask, and what could not be drawn."""

    points: QueryPoints
    """Distinct labelled pixels with the class of the mask, by stratum in the order of the plan."""
    strata: Strata
    """What there was."""
    plan: Plan
    """What was drawn of it."""
    class_pixels: NDArray[np.int64]
    """Pixels of each class value, of shape (255,)."""

    @property
    def n_missing(self) -> int:
        """Points asked for that there are no pixels for."""
        return self.plan.n_asked - len(self.points)

    @property
    def short(self) -> dict[int, tuple[int, int]]:
        """Number of points got and asked for, by stratum, of each that had too few labelled pixels."""
        few = np.flatnonzero(self.plan.quotas < self.plan.asked)
        ids = self.strata.ids[self.plan.places[few]].tolist()
        got, asked = self.plan.quotas[few].tolist(), self.plan.asked[few].tolist()
        return dict(zip(ids, zip(got, asked, strict=True), strict=True))


def sample(strips: Callable[[], Iterable[Strip]], strategy: SamplingStrategy, *, rng: np.random.Generator) -> Sample:
    """Draw points from a mask of any size.

    Parameters
    ----------
    strips : callable
        Returns the mask anew each time, as strips of full rows from top to bottom without gaps.
    strategy : SamplingStrategy
        How many points of which stratum.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    Sample
        The same whatever the height of the strips.
    """
    class_pixels, parts = np.zeros(IGNORE, np.int64), []
    for strip in strips():
        class_pixels += np.bincount(strip.values.ravel(), minlength=IGNORE + 1)[:IGNORE]
        parts.append(_count(strip, strategy))
    strata = _merge(parts)
    plan = strategy.plan(strata)
    ranks = [
        rng.choice(count, size=quota, replace=False)
        for count, quota in zip(strata.counts[plan.places].tolist(), plan.quotas.tolist(), strict=True)
        if quota
    ]
    owners = np.repeat(strata.ids[plan.places], plan.quotas)
    points = _collect(strips(), strategy, owners, np.concatenate([np.zeros(0, np.int64), *ranks]))
    return Sample(points=points, strata=strata, plan=plan, class_pixels=class_pixels)


def sample_mask(
    mask: NDArray[np.uint8],
    strategy: SamplingStrategy,
    *,
    rng: np.random.Generator,
    labels: NDArray[np.uint32] | None = None,
) -> Sample:
    """Draw points from a mask in memory.

    Parameters
    ----------
    mask : uint8 array of shape (rows, cols)
        Class values; 255 is never drawn.
    strategy : SamplingStrategy
        How many points of which stratum.
    rng : numpy.random.Generator
        The only source of randomness.
    labels : uint32 array of shape (rows, cols), optional
        Superpixel ids, 0 on nodata, for a strategy that needs them.

    Raises
    ------
    ValueError
        If mask and label map differ in shape, or a label map is needed and there is none.

    Examples
    --------
    >>> from superpoint.points.strategies import make_strategy
    >>> mask = np.array([[0, 0, 0, 1], [0, 0, 255, 1]], np.uint8)
    >>> drawn = sample_mask(mask, make_strategy("balanced", {"n_points": 6}), rng=np.random.default_rng(0))
    >>> drawn.points.values.tolist(), drawn.short
    ([0, 0, 0, 0, 1, 1], {1: (2, 3)})
    """
    if labels is not None and labels.shape != mask.shape:
        raise ValueError(f"the mask is {mask.shape}, the label map {labels.shape}")
    return sample(lambda: [Strip(row=0, values=mask, labels=labels)], strategy, rng=rng)


def sample_balanced(mask: NDArray[np.uint8], n_points: int, *, rng: np.random.Generator) -> QueryPoints:
    """Draw the same number of points for each class present, and never lose one to rounding.

    Parameters
    ----------
    mask : uint8 array of shape (rows, cols)
        Class values; 255 is never drawn.
    n_points : int
        How many to draw. What does not divide evenly goes to the lowest classes, and what a class with too few
        pixels leaves over goes to the others.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    QueryPoints
        Distinct pixels, by class; fewer than `n_points` only if the mask has fewer labelled pixels.
    """
    return sample_mask(mask, Balanced(n_points=n_points), rng=rng).points


def _count(strip: Strip, strategy: SamplingStrategy) -> Strata:
    """Count the pixels, and the labelled ones, of each stratum of a strip."""
    strata, labelled = strategy.strata_of(strip).ravel(), (strip.values != IGNORE).ravel()
    low, high = int(strata.min(initial=0)), int(strata.max(initial=0))
    if high - low >= SPREAD * max(strata.size, IGNORE):
        found, places = np.unique(strata, return_inverse=True)
    else:
        found, places = np.arange(low, high + 1), strata - low
    sizes, counts = (np.bincount(of, minlength=len(found)) for of in (places, places[labelled]))
    there = (sizes > 0) & (found >= 0)
    return Strata(ids=found[there], sizes=sizes[there], counts=counts[there])


def _merge(parts: list[Strata]) -> Strata:
    """Add up what several strips have of each stratum."""
    ids, places = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    sums = np.zeros((2, len(ids)), np.int64)
    for row, name in enumerate(("sizes", "counts")):
        np.add.at(sums[row], places, np.concatenate([getattr(part, name) for part in parts]))
    return Strata(ids=ids, sizes=sums[0], counts=sums[1])


def _collect(strips: Iterable[Strip], strategy: SamplingStrategy, owners: Longs, ranks: Longs) -> QueryPoints:
    """Return the pixel of each rank in its stratum, in the order given."""
    order = np.lexsort((ranks, owners))
    ids, firsts = np.unique(owners[order], return_index=True)
    ends = np.append(firsts[1:], len(ranks)).astype(np.int64)
    cursors, seen = firsts.astype(np.int64), np.zeros(len(ids), np.int64)
    found = np.zeros((len(ranks), 3), np.int64)
    for strip in strips:
        if len(ids) and (cursors < ends).any():
            strata = strategy.strata_of(strip)
            _pick(strata, strip.values, strip.row, ids, ranks[order], cursors, ends, seen, found)
    rows, cols, values = found[np.argsort(order)].T
    return QueryPoints(rows=rows.copy(), cols=cols.copy(), values=values.astype(np.int16))


@njit(cache=True, nogil=True)
def _pick(
    strata: Longs,
    values: NDArray[np.uint8],
    first_row: int,
    ids: Longs,
    ranks: Longs,
    cursors: Longs,
    ends: Longs,
    seen: Longs,
    found: Longs,
) -> None:
    """Note row, column and class of the pixels whose turn it is in their stratum.

    `ranks` ascend within each of the strata `ids`, from the cursor on, up to its end; `seen` counts labelled pixels.
    """
    last, place = np.int64(-1), -1  # neighbours are mostly of one stratum: look it up when it changes
    for row in range(strata.shape[0]):
        for col in range(strata.shape[1]):
            stratum, value = strata[row, col], values[row, col]
            if stratum < 0 or value == IGNORE:
                continue
            if stratum != last:
                last, place = stratum, np.searchsorted(ids, stratum)
                if place == len(ids) or ids[place] != stratum:
                    place = -1
            if place < 0:
                continue
            cursor = cursors[place]
            if cursor < ends[place] and ranks[cursor] == seen[place]:
                found[cursor, 0], found[cursor, 1], found[cursor, 2] = first_row + row, col, value
                cursors[place] += 1
            seen[place] += 1
