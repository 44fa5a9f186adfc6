"""What superpixels, their labels and a truth have in common, counted in one pass over the tiles of a raster.

A row of a tile falls into runs of pixels of one superpixel and one true class. A kernel lists the runs, and all that
follows are sums over that list, some twenty times shorter than the pixels: labels may be as large and as spread as they
like, and the counts of tiles add up to those of the raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Longs = NDArray[np.int64]

RASTER_BITS = 32
"""An id in a census of several rasters is its raster's number, shifted by so many bits, and its own."""
_CLASS_BITS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlaps:
    """How many pixels superpixels have in common with true classes, by superpixel and then by class."""

    superpixels: NDArray[np.int64]
    """Id; one that meets several classes occurs several times."""
    classes: NDArray[np.uint8]
    """True class; pixels of unknown truth are nowhere."""
    pixels: NDArray[np.int64]
    """Pixels in common, at least 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """What is known of some superpixels, in ascending order of their ids."""

    superpixels: NDArray[np.int64]
    """Ids, each once, of shape (superpixels,)."""
    areas: NDArray[np.int64]
    """Pixels of each."""
    boxes: NDArray[np.int64]
    """`(superpixels, 4)`: first row, first col, last row, last col, inclusive, from the raster's upper left corner."""
    classes: NDArray[np.uint8]
    """Class that the pseudo-mask gives each; 255 is unlabelled."""
    shares: NDArray[np.float32]
    """Share of the votes for the leading class; 0 without votes."""
    votes: NDArray[np.int64]
    """Number of votes."""
    flags: NDArray[np.uint8]
    """Bits of `Flag`."""
    overlaps: Overlaps

    def __len__(self) -> int:
        return len(self.superpixels)

    def places_of(self, superpixels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return where ids stand in this census; all of them must be in it."""
        return np.searchsorted(self.superpixels, superpixels)

    def of_raster(self, number: int) -> Census:
        """Return the census with ids that are unlike those of any other raster's."""
        offset = np.int64(number) << RASTER_BITS
        overlaps = Overlaps(
            superpixels=self.overlaps.superpixels + offset, classes=self.overlaps.classes, pixels=self.overlaps.pixels
        )
        return Census(
            superpixels=self.superpixels + offset, areas=self.areas, boxes=self.boxes, classes=self.classes,
            shares=self.shares, votes=self.votes, flags=self.flags, overlaps=overlaps,
        )  # fmt: skip


def count_tile(
    labels: NDArray[np.uint32],
    *,
    classes: NDArray[np.uint8],
    shares: NDArray[np.float32],
    votes: NDArray[np.integer],
    flags: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None = None,
    row: int = 0,
    col: int = 0,
) -> Census:
    """Count the superpixels of a tile.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids; 0 is nodata and counted nowhere.
    classes, shares, votes, flags : uint8, float32, integer, uint8 arrays of shape (rows, cols)
        The pseudo-mask and its evidence, the same on all pixels of a superpixel.
    truth : uint8 array of shape (rows, cols), optional
        True class of each pixel; 255 is unknown.
    row, col : int
        Where the tile begins in the raster, in pixels.

    Returns
    -------
    Census
        Of the superpixels that have pixels here.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> labels, mask = np.array([[7, 7, 7, 2]], np.uint32), np.array([[1, 1, 1, 255]], np.uint8)
    >>> share, votes, flags = mask * np.float32(0.5), mask * 0, mask * 0
    >>> truth = np.array([[1, 0, 1, 255]], np.uint8)
    >>> found = count_tile(labels, classes=mask, shares=share, votes=votes, flags=flags, truth=truth)
    >>> found.superpixels.tolist(), found.areas.tolist(), found.classes.tolist(), found.overlaps.pixels.tolist()
    ([2, 7], [1, 3], [255, 1], [1, 2])
    """
    if any(other.shape != labels.shape for other in (classes, shares, votes, flags, truth) if other is not None):
        raise ValueError(f"the arrays of a tile differ in shape; labels have {labels.shape}")
    known = np.full(labels.shape, IGNORE, np.uint8) if truth is None else np.ascontiguousarray(truth)
    ids, truths, pixels, rows, cols = _runs(np.ascontiguousarray(labels), known).T
    found = Census(
        superpixels=ids,
        areas=pixels,
        boxes=np.stack((rows + row, cols + col, rows + row, cols + col + pixels - 1), axis=1),
        classes=classes[rows, cols],
        shares=shares[rows, cols],
        votes=votes[rows, cols].astype(np.int64),
        flags=flags[rows, cols],
        overlaps=Overlaps(superpixels=ids, classes=truths.astype(np.uint8), pixels=pixels),
    )
    return merge([found])


def merge(parts: Sequence[Census]) -> Census:
    """Put together what several tiles say, whatever superpixels they have in common.

    Parameters
    ----------
    parts : sequence of Census
        At least one, in any order.
    """
    ids = np.concatenate([part.superpixels for part in parts])
    order = np.argsort(ids, kind="stable")
    starts = _starts(ids[order])

    def pooled(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    boxes = pooled("boxes")
    return Census(
        superpixels=ids[order][starts],
        areas=_reduce(np.add, pooled("areas"), starts),
        boxes=np.concatenate(
            (_reduce(np.minimum, boxes[:, :2], starts), _reduce(np.maximum, boxes[:, 2:], starts)), axis=1
        ),
        classes=pooled("classes")[starts],
        shares=pooled("shares")[starts],
        votes=pooled("votes")[starts],
        flags=pooled("flags")[starts],
        overlaps=_merge_overlaps([part.overlaps for part in parts]),
    )


def _merge_overlaps(parts: Sequence[Overlaps]) -> Overlaps:
    ids = np.concatenate([part.superpixels for part in parts])
    classes = np.concatenate([part.classes for part in parts])
    pixels = np.concatenate([part.pixels for part in parts])
    known = classes != IGNORE
    keys = ids[known] << _CLASS_BITS | classes[known]
    order = np.argsort(keys, kind="stable")
    starts = _starts(keys[order])
    first = keys[order][starts]
    return Overlaps(
        superpixels=first >> _CLASS_BITS,
        classes=(first & IGNORE).astype(np.uint8),
        pixels=_reduce(np.add, pixels[known][order], starts),
    )


def _starts(ascending: Longs) -> Longs:
    """Return where each value of an ascending array begins."""
    return np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]][: len(ascending)])


def _reduce(how: np.ufunc, values: NDArray[np.generic], starts: Longs) -> Longs:
    """Reduce the values of each group; `reduceat` knows no empty arrays."""
    return np.asarray(how.reduceat(values, starts, axis=0) if len(starts) else values, np.int64)


@njit(cache=True, nogil=True)
def _runs(labels: NDArray[np.uint32], truth: NDArray[np.uint8]) -> Longs:
    """List the runs of pixels of one superpixel and one true class.

    Returns
    -------
    int64 array of shape (runs, 5)
        Superpixel, true class, number of pixels, row and first col; runs on nodata are left out.
    """
    n_rows, n_cols = labels.shape
    table = np.empty((1024, 5), np.int64)
    count = 0
    for row in range(n_rows):
        stop = 0
        while stop < n_cols:
            first, label, known = stop, labels[row, stop], truth[row, stop]
            while stop < n_cols and labels[row, stop] == label and truth[row, stop] == known:
                stop += 1
            if label == 0:
                continue
            if count == len(table):
                table = np.concatenate((table, np.empty_like(table)))
            table[count, 0], table[count, 1], table[count, 2] = label, known, stop - first
            table[count, 3], table[count, 4] = row, first
            count += 1
    return table[:count]
