"""Whole-raster scaling: robust percentiles of each band, exact, in one or two reads and a fixed memory.

The percentiles are found by radix selection. A float32 maps to an integer of the same order; a first read
counts its upper 16 bits, a second one the lower 16 within the few bins that matter. Counts add up, so windows
can be read in any order, and rasters can be pooled. Never per tile: labels must not depend on the tiling.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Pieces = Callable[[], Iterable[tuple[NDArray[Any], NDArray[np.bool_]]]]
    """Reads everything once more, as pairs of image (bands, rows, cols) and valid (rows, cols); NaN is no value."""

PERCENTILES = (1.0, 99.0)
_BINS = 2**16
_SIGN = np.uint32(2**31)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Linear scaling of each band: `low` to 0 and `high` to 1, without clipping.

    Examples
    --------
    >>> scaling = Scaling(low=(10.0,), high=(20.0,))
    >>> scaling.apply(np.array([[[10, 15, 30]]], np.float32)).tolist()
    [[[0.0, 0.5, 2.0]]]
    """

    low: tuple[float, ...]
    """Value of each band that becomes 0."""
    high: tuple[float, ...]
    """Value of each band that becomes 1."""

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise ValueError(f"low and high need one value a band, got {len(self.low)} and {len(self.high)}")

    def low_and_span(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what is subtracted from each band, and what it is then divided by: 1 for a constant band."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return low, np.where(high > low, high - low, np.float32(1))

    def apply(self, image: NDArray[np.float32], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Scale an image.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            As read.
        valid : bool array of shape (rows, cols), optional
            Where False, the result is 0.

        Returns
        -------
        float32 array of shape (bands, rows, cols)
            A constant band becomes 0, and so does NaN.

        Raises
        ------
        ValueError
            If the image has another number of bands.
        """
        low, span = (values[:, None, None] for values in self.low_and_span())
        values = image if valid is None else np.where(valid, image, low)
        if len(image) != len(self.low):
            raise ValueError(f"an image of {len(image)} bands cannot be scaled as one of {len(self.low)}")
        scaled: NDArray[np.float32] = values - low  # (band, row, col)
        scaled /= span
        return np.nan_to_num(scaled, copy=False, nan=0.0)


def measure_scaling(pieces: Pieces, *, n_bands: int, dtype: str, threads: int = 1) -> Scaling | None:
    """Find the `PERCENTILES` of each band over all valid pixels.

    Parameters
    ----------
    pieces : callable returning an iterable of (image, valid)
        Called once, or twice where `dtype` has more than 8 bits; must give the same pixels each time.
    n_bands : int
        Bands of every image.
    dtype : str
        The data type as stored; values are counted as float32.
    threads : int
        Threads that share the bands.

    Returns
    -------
    Scaling or None
        None if no pixel is valid. The percentiles are values of the data: NumPy's method "lower".
    """
    coarse = np.zeros((n_bands, _BINS), np.int64)
    _count_bands(pieces, coarse[:, None], None, threads)
    if not coarse.any():
        return None
    coarse[coarse.sum(axis=1) == 0, _SIGN >> 16] = 1  # a band without a value is constantly 0
    shares = np.array(PERCENTILES) / 100
    ranks = (shares * (coarse.sum(axis=1)[:, None] - 1)).astype(np.int64)  # (band, percentile)
    bins = np.array([[_bin_of(c, rank) for rank in row] for c, row in zip(coarse, ranks.tolist(), strict=True)])
    before = np.array([[counts[:b].sum() for b in row] for counts, row in zip(coarse, bins, strict=True)])
    found: NDArray[np.uint32] = (bins << 16).astype(np.uint32)
    if np.dtype(dtype).itemsize > 1:
        found |= _fine_bins(pieces, bins, ranks - before, threads)
    else:  # the upper 16 bits of a float32 hold any 8-bit integer; below them are zeros, complemented if negative
        found |= np.where(found & _SIGN, np.uint32(0), np.uint32(_BINS - 1))
    values = _from_sortable(found)
    return Scaling(low=tuple(values[:, 0].tolist()), high=tuple(values[:, 1].tolist()))


def _fine_bins(pieces: Pieces, bins: NDArray[np.int64], ranks: NDArray[np.int64], threads: int) -> NDArray[np.uint32]:
    fine = np.zeros((*bins.shape, _BINS), np.int64)
    _count_bands(pieces, fine, bins, threads)
    fine[fine.sum(axis=2) == 0, 0] = 1  # the band without a value
    found = [[_bin_of(c, r) for c, r in zip(cs, rs, strict=True)] for cs, rs in zip(fine, ranks.tolist(), strict=True)]
    return np.array(found, np.uint32)


def _bin_of(counts: NDArray[np.int64], rank: int) -> int:
    return int(np.searchsorted(np.cumsum(counts), rank, side="right"))


def _count_bands(pieces: Pieces, counts: NDArray[np.int64], upper: NDArray[np.int64] | None, threads: int) -> None:
    """Count every piece, each band by one thread at a time, into counts of shape (bands, tables, bins)."""
    with ThreadPoolExecutor(threads) as pool:
        for image, valid in pieces():
            jobs = [
                (values, valid, counts[band], None if upper is None else upper[band])
                for band, values in enumerate(image)
            ]
            list(pool.map(lambda job: _count(*job), jobs))


def _count(
    values: NDArray[Any], valid: NDArray[np.bool_], counts: NDArray[np.int64], upper: NDArray[np.int64] | None
) -> None:
    """Count the valid values of a band by the upper half of their keys, or by the lower where the upper is given."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:  # noqa: PLR2004  # 65,536 values at most
        info = np.iinfo(values.dtype)
        histogram = np.zeros(info.max - info.min + 1, np.int64)
        _count_integers(values, valid, info.min, histogram)
        keys = _sortable(np.arange(info.min, info.max + 1, dtype=np.float32))
        for row, coarse_bin in enumerate([None] if upper is None else upper.tolist()):
            inside = slice(None) if coarse_bin is None else (keys >> 16) == coarse_bin
            bins = keys[inside] >> 16 if coarse_bin is None else keys[inside] & (_BINS - 1)
            np.add.at(counts[row], bins, histogram[inside])
        return
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    _count_floats(bits, valid, np.array([-1]) if upper is None else upper, counts)


@njit(cache=True, nogil=True)
def _count_integers(values: NDArray[Any], valid: NDArray[np.bool_], lowest: int, histogram: NDArray[np.int64]) -> None:
    # Four tables: a run of equal values need not wait for its own last count to be written.
    tables = np.zeros((4, len(histogram)), np.int64)
    first, second, third, fourth = tables
    n_rows, n_cols = values.shape
    for row in range(n_rows):
        line, usable = values[row], valid[row]
        for col in range(0, n_cols - 3, 4):
            first[np.uint64(np.int64(line[col]) - lowest)] += usable[col]
            second[np.uint64(np.int64(line[col + 1]) - lowest)] += usable[col + 1]
            third[np.uint64(np.int64(line[col + 2]) - lowest)] += usable[col + 2]
            fourth[np.uint64(np.int64(line[col + 3]) - lowest)] += usable[col + 3]
        for col in range(n_cols - n_cols % 4, n_cols):
            first[np.uint64(np.int64(line[col]) - lowest)] += usable[col]
    histogram += first + second + third + fourth


@njit(cache=True, nogil=True)
def _count_floats(
    bits: NDArray[np.uint32], valid: NDArray[np.bool_], upper: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Count float32 values, given by their bits; `upper` of -1 counts all by the upper half of their keys."""
    n_rows, n_cols = bits.shape
    for row in range(n_rows):
        for col in range(n_cols):
            value = bits[row, col]
            if not valid[row, col] or (value & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):  # NaN
                continue
            if value == _SIGN:  # -0.0 counts as 0.0
                value = np.uint32(0)
            key = ~value if value & _SIGN else value | _SIGN
            if upper[0] < 0:
                counts[0, key >> np.uint32(16)] += 1
                continue
            for index in range(len(upper)):
                if (key >> np.uint32(16)) == upper[index]:
                    counts[index, key & np.uint32(0xFFFF)] += 1


def _sortable(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return integers in the order of the floats, without NaN; -0.0 counts as 0.0."""
    bits = (values[~np.isnan(values)].astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _from_sortable(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).astype(np.uint32).view(np.float32)
