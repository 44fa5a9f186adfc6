"""Size, bounding box, mean and spread of superpixels, measured tile by tile and merged.

A tile's sums are taken about the first value of each superpixel, so that a large offset costs no digits; integers of
up to 16 bits add up exactly. Two tiles' sums of squared deviations are merged as by Chan, Golub and LeVeque (1983),
"Algorithms for computing the sample variance: analysis and recommendations", doi:10.1080/00031305.1983.10483115.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """What is known of some superpixels, in ascending order of their ids."""

    ids: NDArray[np.uint32]
    """Ids, each once."""
    areas: NDArray[np.int64]
    """Pixels of each."""
    row_min: NDArray[np.int32]
    """First row of each, from the raster's top edge."""
    row_max: NDArray[np.int32]
    """Last row of each, inclusive."""
    col_min: NDArray[np.int32]
    """First column of each, from the raster's left edge."""
    col_max: NDArray[np.int32]
    """Last column of each, inclusive."""
    counts: NDArray[np.int64]
    """`(superpixels, bands)`: pixels that have a finite value."""
    means: NDArray[np.float64]
    """`(superpixels, bands)`: mean of those; 0 where there are none."""
    squares: NDArray[np.float64]
    """`(superpixels, bands)`: sum of their squared deviations from the mean."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Statistics:
        """Return those of the superpixels where the mask is true."""
        return Statistics(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def mean(self, band: int) -> NDArray[np.float64]:
        """Return the mean of a band, counted from 0; NaN for a superpixel without a value."""
        return np.where(self.counts[:, band] > 0, self.means[:, band], np.nan)

    def std(self, band: int) -> NDArray[np.float64]:
        """Return the standard deviation of the population of a band's values; NaN where there are none."""
        counts = self.counts[:, band]
        return np.where(counts > 0, np.sqrt(self.squares[:, band] / np.maximum(counts, 1)), np.nan)


def measure(labels: NDArray[np.uint32], image: NDArray[np.float32], *, row: int = 0, col: int = 0) -> Statistics:
    """Measure the superpixels of a tile.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids, 0 on nodata.
    image : float32 array of shape (bands, rows, cols)
        Values that are not finite are left out; there may be no bands.
    row, col : int
        Where the tile begins in the raster, in pixels.

    Returns
    -------
    Statistics
        Of the ids that occur.

    Raises
    ------
    ValueError
        If the rows and cols differ.

    Examples
    --------
    >>> found = measure(np.array([[0, 7, 7, 2]], np.uint32), np.array([[[9, 1, 3, 5]]], np.float32), row=40)
    >>> found.ids.tolist(), found.areas.tolist(), found.row_min.tolist(), found.mean(0).tolist(), found.std(0).tolist()
    ([2, 7], [1, 2], [40, 40], [5.0, 2.0], [0.0, 1.0])
    """
    if labels.shape != image.shape[1:]:
        raise ValueError(f"labels have rows and cols {labels.shape}, the image has {image.shape[1:]}")
    ranks, table = _rank(np.ascontiguousarray(labels))
    sums = [_sum_band(np.ascontiguousarray(band), ranks, len(table)) for band in image]
    counts, means, squares = (
        np.array([of_band[part] for of_band in sums], np.float64).reshape(len(image), len(table)).T for part in range(3)
    )
    place = np.array([row, row, col, col])
    row_min, row_max, col_min, col_max = (table[:, 2:] + place).T.astype(np.int32)
    regions = Statistics(
        ids=table[:, 0].astype(np.uint32), areas=table[:, 1],
        row_min=row_min, row_max=row_max, col_min=col_min, col_max=col_max,
        counts=counts.astype(np.int64), means=means, squares=squares,
    )  # fmt: skip
    return merge([regions])  # a superpixel with several tops was counted as several regions


def merge(parts: Sequence[Statistics]) -> Statistics:
    """Put together what several tiles say, whatever superpixels they have in common.

    Parameters
    ----------
    parts : sequence of Statistics
        At least one, all of as many bands; an id may be in any number of them.

    Returns
    -------
    Statistics
        Of all ids, as if the tiles had been measured as one, up to the rounding of the last bits.
    """
    pooled = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Statistics)}
    order = np.argsort(pooled["ids"], kind="stable")
    pooled = {name: values[order] for name, values in pooled.items()}
    ids = pooled["ids"]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]][: len(ids)])
    if len(starts) == len(ids):
        return Statistics(**pooled)
    counts = np.add.reduceat(pooled["counts"], starts)
    means = np.add.reduceat(pooled["counts"] * pooled["means"], starts) / np.maximum(counts, 1)
    between = pooled["means"] - np.repeat(means, np.diff(starts, append=len(ids)), axis=0)
    return Statistics(
        ids=ids[starts],
        areas=np.add.reduceat(pooled["areas"], starts),
        row_min=np.minimum.reduceat(pooled["row_min"], starts),
        row_max=np.maximum.reduceat(pooled["row_max"], starts),
        col_min=np.minimum.reduceat(pooled["col_min"], starts),
        col_max=np.maximum.reduceat(pooled["col_max"], starts),
        counts=counts,
        means=means,
        squares=np.add.reduceat(pooled["squares"] + pooled["counts"] * between**2, starts),
    )


@njit(cache=True, nogil=True)
def _rank(labels: NDArray[np.uint32]) -> tuple[Ints, Longs]:
    """Give regions numbers by their tops, without a look-up: a run of pixels belongs to a run of equal id above it.

    Returns
    -------
    ranks : int32 array of shape (rows, cols)
        Region of each pixel, -1 on nodata.
    table : int64 array of shape (regions, 6)
        Its id, pixels, first and last row, first and last column. Regions of one id may touch further down.
    """
    n_rows, n_cols = labels.shape
    ranks = np.full((n_rows, n_cols), np.int32(-1), np.int32)
    table = np.empty((1024, 6), np.int64)
    count = 0
    for row in range(n_rows):
        stop = 0
        while stop < n_cols:
            first, label = stop, labels[row, stop]
            while stop < n_cols and labels[row, stop] == label:
                stop += 1
            if label == 0:
                continue
            rank = _rank_above(labels, ranks, row, first, stop)
            if rank < 0:
                if count == len(table):
                    table = np.concatenate((table, np.empty_like(table)))
                rank = count
                count += 1
                table[rank] = np.array([label, 0, row, row, first, stop - 1])
            ranks[row, first:stop] = rank
            region = table[rank]
            region[1] += stop - first
            region[3] = row
            region[4] = min(region[4], first)
            region[5] = max(region[5], stop - 1)
    return ranks, table[:count]


@njit(cache=True, nogil=True)
def _rank_above(labels: NDArray[np.uint32], ranks: Ints, row: int, first: int, stop: int) -> int:
    """Return the region of the first pixel above the run that has its id; -1 if there is none."""
    if row > 0:
        for col in range(first, stop):
            if labels[row - 1, col] == labels[row, col]:
                return int(ranks[row - 1, col])
    return -1


@njit(cache=True, nogil=True)
def _sum_band(values: NDArray[np.float32], ranks: Ints, n_regions: int) -> tuple[Longs, Doubles, Doubles]:
    """Return count, mean and sum of squared deviations of the finite values of each region."""
    counts = np.zeros(n_regions, np.int64)
    shifts, sums, squares = np.zeros(n_regions), np.zeros(n_regions), np.zeros(n_regions)
    for row in range(ranks.shape[0]):
        for col in range(ranks.shape[1]):
            rank, value = ranks[row, col], np.float64(values[row, col])
            if rank < 0 or not np.isfinite(value):
                continue
            if counts[rank] == 0:
                shifts[rank] = value
            deviation = value - shifts[rank]
            counts[rank] += 1
            sums[rank] += deviation
            squares[rank] += deviation * deviation
    for rank in range(n_regions):
        if counts[rank] > 0:
            mean = sums[rank] / counts[rank]
            shifts[rank] += mean
            squares[rank] = max(0.0, squares[rank] - sums[rank] * mean)
    return counts, shifts, squares
