"""Whole-raster scaling: robust percentiles of each band, exact, in one or two reads and a fixed memory.

The percentiles are found by radix selection. A float32 maps to an integer of the same order; a first read
counts its upper 16 bits, a second one the lower 16 within the few bins that matter. Counts add up, so windows
can be read in any order, and rasters can be pooled. Never per tile: labels must not depend on the tiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Pieces = Callable[[], Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]]]
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
        low = np.array(self.low, np.float32)[:, None, None]
        high = np.array(self.high, np.float32)[:, None, None]
        span = np.where(high > low, high - low, np.float32(1))
        values = image if valid is None else np.where(valid, image, low)
        if len(image) != len(self.low):
            raise ValueError(f"an image of {len(image)} bands cannot be scaled as one of {len(self.low)}")
        scaled: NDArray[np.float32] = values - low  # (band, row, col)
        scaled /= span
        return np.nan_to_num(scaled, copy=False, nan=0.0)


def measure_scaling(pieces: Pieces, *, n_bands: int, dtype: str) -> Scaling | None:
    """Find the `PERCENTILES` of each band over all valid pixels.

    Parameters
    ----------
    pieces : callable returning an iterable of (image, valid)
        Called once, or twice where `dtype` has more than 8 bits; must give the same pixels each time.
    n_bands : int
        Bands of every image.
    dtype : str
        The data type as stored; values are counted as float32.

    Returns
    -------
    Scaling or None
        None if no pixel is valid. The percentiles are values of the data: NumPy's method "lower".
    """
    coarse = np.zeros((n_bands, _BINS), np.int64)
    for image, valid in pieces():
        for band, values in enumerate(image[:, valid]):
            coarse[band] += np.bincount(_sortable(values) >> 16, minlength=_BINS)
    if not coarse.any():
        return None
    coarse[coarse.sum(axis=1) == 0, _SIGN >> 16] = 1  # a band without a value is constantly 0
    shares = np.array(PERCENTILES) / 100
    ranks = (shares * (coarse.sum(axis=1)[:, None] - 1)).astype(np.int64)  # (band, percentile)
    bins = np.array([[_bin_of(c, rank) for rank in row] for c, row in zip(coarse, ranks.tolist(), strict=True)])
    before = np.array([[counts[:b].sum() for b in row] for counts, row in zip(coarse, bins, strict=True)])
    found: NDArray[np.uint32] = (bins << 16).astype(np.uint32)
    if np.dtype(dtype).itemsize > 1:
        found |= _fine_bins(pieces, bins, ranks - before)
    else:  # the upper 16 bits of a float32 hold any 8-bit integer; below them are zeros, complemented if negative
        found |= np.where(found & _SIGN, np.uint32(0), np.uint32(_BINS - 1))
    values = _from_sortable(found)
    return Scaling(low=tuple(values[:, 0].tolist()), high=tuple(values[:, 1].tolist()))


def _fine_bins(pieces: Pieces, bins: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
    fine = np.zeros((*bins.shape, _BINS), np.int64)
    for image, valid in pieces():
        for band, values in enumerate(image[:, valid]):
            keys = _sortable(values)
            for index, coarse_bin in enumerate(bins[band]):
                inside = keys[(keys >> 16) == coarse_bin]
                fine[band, index] += np.bincount(inside & (_BINS - 1), minlength=_BINS)
    fine[fine.sum(axis=2) == 0, 0] = 1  # the band without a value
    found = [[_bin_of(c, r) for c, r in zip(cs, rs, strict=True)] for cs, rs in zip(fine, ranks.tolist(), strict=True)]
    return np.array(found, np.uint32)


def _bin_of(counts: NDArray[np.int64], rank: int) -> int:
    return int(np.searchsorted(np.cumsum(counts), rank, side="right"))


def _sortable(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return integers in the order of the floats, without NaN; -0.0 counts as 0.0."""
    bits = (values[~np.isnan(values)].astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _from_sortable(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).astype(np.uint32).view(np.float32)
