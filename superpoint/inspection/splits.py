"""How labels of superpixels split against a truth, and what the best labels of the same superpixels would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.inspection.census import Census

    type Longs = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truths:
    """What is true of each superpixel of a census, in its order; all arrays have the shape (superpixels,)."""

    known: NDArray[np.int64]
    """Pixels of known truth."""
    most: NDArray[np.int64]
    """Pixels of the true class that has most; 0 where none is known."""
    majority: NDArray[np.uint8]
    """That class, of several the lowest; 255 where none is known."""

    @property
    def purity(self) -> NDArray[np.float64]:
        """Share of the majority class among the pixels of known truth; NaN without any."""
        found: NDArray[np.float64] = np.full(len(self.known), np.nan)
        return np.divide(self.most, self.known, out=found, where=self.known > 0)


def truths_of(census: Census) -> Truths:
    """Return what is true of each superpixel.

    Examples
    --------
    >>> from superpoint.inspection.census import count_tile
    >>> labels, truth = np.array([[7, 7, 7, 2]], np.uint32), np.array([[1, 0, 1, 255]], np.uint8)
    >>> found = truths_of(count_tile(labels, classes=truth, shares=truth * 1.0, votes=truth, flags=truth, truth=truth))
    >>> found.known.tolist(), found.most.tolist(), found.majority.tolist()
    ([0, 3], [0, 2], [255, 1])
    """
    overlaps = census.overlaps
    places = census.places_of(overlaps.superpixels)
    most, majority = np.zeros(len(census), np.int64), np.full(len(census), IGNORE, np.uint8)
    order = np.lexsort((overlaps.classes, -overlaps.pixels, places))
    first = order[np.flatnonzero(np.r_[True, np.diff(places[order]) > 0][: len(order)])]
    most[places[first]], majority[places[first]] = overlaps.pixels[first], overlaps.classes[first]
    return Truths(known=_sums(places, overlaps.pixels, len(census)), most=most, majority=majority)


def hits_of(census: Census, classes: NDArray[np.uint8]) -> Longs:
    """Return how many pixels of each superpixel truly are of a class that is given for it.

    Parameters
    ----------
    census : Census
        The superpixels.
    classes : uint8 array of shape (superpixels,)
        A class for each; 255 is none, and hits nothing.
    """
    overlaps = census.overlaps
    places = census.places_of(overlaps.superpixels)
    hit = overlaps.classes == classes[places]
    return _sums(places[hit], overlaps.pixels[hit], len(census))


def confusion_of(census: Census, classes: NDArray[np.uint8], n_classes: int) -> Longs:
    """Count the pixels of each true class by the class that is given for their superpixel.

    Parameters
    ----------
    census : Census
        The superpixels.
    classes : uint8 array of shape (superpixels,)
        A class for each; 255 is none.
    n_classes : int
        Number of classes.

    Returns
    -------
    int64 array of shape (n_classes, n_classes + 1)
        Rows truth, columns the class given; the last column is none.
    """
    overlaps, width = census.overlaps, n_classes + 1
    given = np.minimum(classes[census.places_of(overlaps.superpixels)], n_classes).astype(np.int64)
    return _sums(overlaps.classes * np.int64(width) + given, overlaps.pixels, n_classes * width).reshape(-1, width)


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """How the pixels of known truth split, by the class they are labelled with; `(n_classes,)` each but the last."""

    correct: NDArray[np.int64]
    mixed: NDArray[np.int64]
    """Wrong, and the label is a class that no other has more pixels than, in the superpixel: it mixes classes."""
    wrong_vote: NDArray[np.int64]
    """Wrong, the label is not such a class, and the vote gave it."""
    filled_wrongly: NDArray[np.int64]
    """Wrong, the label is not such a class, and a step gave it."""
    wrong_superpixels: NDArray[np.int64]
    """Superpixels, not pixels, with a wrong vote."""
    not_covered: int
    """Without a label."""


def split_of(census: Census, truths: Truths, n_classes: int) -> Split:
    """Split the pixels of known truth by whether they are right, and why not.

    Parameters
    ----------
    census : Census
        Superpixels with their labels.
    truths : Truths
        Of the same.
    n_classes : int
        Number of classes.
    """
    labelled = census.classes != IGNORE
    hits, label = hits_of(census, census.classes)[labelled], census.classes[labelled].astype(np.int64)
    misses = truths.known[labelled] - hits
    is_best = hits == truths.most[labelled]
    is_filled = census.flags[labelled] & Flag.FILLED > 0
    is_voted = ~is_best & ~is_filled
    return Split(
        correct=_sums(label, hits, n_classes),
        mixed=_sums(label, np.where(is_best, misses, 0), n_classes),
        wrong_vote=_sums(label, np.where(is_voted, misses, 0), n_classes),
        filled_wrongly=_sums(label, np.where(~is_best & is_filled, misses, 0), n_classes),
        wrong_superpixels=np.bincount(label[is_voted], minlength=n_classes),
        not_covered=int(truths.known[~labelled].sum()),
    )


def _sums(places: Longs, values: Longs, n_places: int) -> Longs:
    """Add up integers by place; float64 holds all pixels of any raster exactly."""
    return np.bincount(places, weights=values, minlength=n_places).astype(np.int64)
