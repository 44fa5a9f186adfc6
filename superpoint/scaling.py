"""Whole-raster scaling: robust percentiles of each band, exact, in one or two reads and a fixed memory.

Integers of up to 16 bits are counted, each value by itself. Anything else goes by radix selection: a float32 maps to
an integer of the same order; a first read counts its upper 16 bits, a second one the lower 16 within the few bins that
matter. Counts add up, so windows can be read in any order, by anyone, and rasters can be pooled. Never per tile:
labels must not depend on the tiling.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """One read of everything, on the way to the `PERCENTILES` of each band.

    Counts of pieces add up, so pieces may be counted anywhere and in any order:

    >>> wanted = first_pass(n_bands=1, dtype="uint8")
    >>> counts = wanted.zeros()
    >>> wanted.count(np.arange(101, dtype=np.uint8).reshape(1, 1, 101), np.ones((1, 101), bool), counts)
    >>> wanted.resolve(counts)
    Scaling(low=(1.0,), high=(99.0,))
    """

    n_bands: int
    dtype: str
    """The data type as stored; values are counted as float32."""
    upper: NDArray[np.int64] | None = None
    """Upper halves of the keys that the second pass looks into, (band, percentile)."""
    ranks: NDArray[np.int64] | None = None
    """Rank of each percentile among the values of that half."""

    @property
    def is_exact(self) -> bool:
        """Whether every value has a count of its own, so that one pass suffices."""
        return counts_values(self.dtype)

    def zeros(self) -> NDArray[np.int64]:
        """Return counts of nothing, int64 array of shape (bands, tables, bins)."""
        n_tables = 1 if self.upper is None else self.upper.shape[1]
        return np.zeros((self.n_bands, n_tables, _n_values(self.dtype) if self.is_exact else _BINS), np.int64)

    def count(
        self, image: NDArray[Any], valid: NDArray[np.bool_], counts: NDArray[np.int64], *, threads: int = 1
    ) -> None:
        """Count the valid values of a piece into counts.

        Parameters
        ----------
        image : array of shape (bands, rows, cols)
            Integers as stored, or float32; NaN is no value.
        valid : bool array of shape (rows, cols)
            What counts.
        counts : int64 array
            From `zeros`; is added to.
        threads : int
            Threads that share the bands.
        """
        if threads == 1:
            for band in range(len(image)):
                self._count_band(band, image[band], valid, counts[band])
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda band: self._count_band(band, image[band], valid, counts[band]), range(len(image))))

    def resolve(self, counts: NDArray[np.int64]) -> Pass | Scaling | None:
        """Return what the counts of everything say: the scaling, or the pass that is needed next.

        Returns
        -------
        Pass or Scaling or None
            None if no pixel is valid.
        """
        if self.upper is None and not counts.any():
            return None
        found = _find(counts, self._ranks_in(counts) if self.ranks is None else self.ranks)
        if self.is_exact:
            return _scaling_of((found + np.iinfo(self.dtype).min).astype(np.float32))
        if self.upper is not None:
            return _scaling_of(_from_sortable((self.upper << 16 | found).astype(np.uint32)))
        before = np.array([[c[0, :b].sum() for b in row] for c, row in zip(counts, found, strict=True)])
        return replace(self, upper=found, ranks=self._ranks_in(counts) - before)

    def _ranks_in(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        zero = -np.iinfo(self.dtype).min if self.is_exact else int(_SIGN >> 16)
        counts[counts[:, 0].sum(axis=1) == 0, 0, zero] = 1  # a band without a value is constantly 0
        shares = np.array(PERCENTILES) / 100
        return (shares * (counts[:, 0].sum(axis=1)[:, None] - 1)).astype(np.int64)  # (band, percentile)

    def _count_band(self, band: int, values: NDArray[Any], valid: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
        if not self.is_exact:
            bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
            _count_floats(bits, valid, np.array([-1]) if self.upper is None else self.upper[band], counts)
        elif values.dtype.kind in "iu":
            _count_integers(values, valid, np.iinfo(self.dtype).min, counts[0])
        else:
            _count_whole_floats(values, valid, np.iinfo(self.dtype).min, counts[0])


def first_pass(*, n_bands: int, dtype: str) -> Pass:
    """Return what to count first.

    Parameters
    ----------
    n_bands : int
        Bands of every image.
    dtype : str
        The data type as stored.
    """
    return Pass(n_bands=n_bands, dtype=dtype)


def counts_values(dtype: str) -> bool:
    """Return whether a type has so few values, integers of up to 16 bits, that each is counted: in a single pass."""
    return np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize <= 2  # noqa: PLR2004  # 65,536 values at most


def measure_scaling(pieces: Pieces, *, n_bands: int, dtype: str, threads: int = 1) -> Scaling | None:
    """Find the `PERCENTILES` of each band over all valid pixels.

    Parameters
    ----------
    pieces : callable returning an iterable of (image, valid)
        Called once, or twice where `dtype` is no integer of up to 16 bits; must give the same pixels each time.
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
    found: Pass | Scaling | None = first_pass(n_bands=n_bands, dtype=dtype)
    while isinstance(found, Pass):
        counts = found.zeros()
        for image, valid in pieces():
            found.count(image, valid, counts, threads=threads)
        found = found.resolve(counts)
    return found


def _n_values(dtype: str) -> int:
    info = np.iinfo(dtype)
    return int(info.max) - int(info.min) + 1


def _find(counts: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bin of each rank, (band, percentile); each has a table of its own, or all share the first."""
    tables = np.broadcast_to(counts, (len(counts), ranks.shape[1], counts.shape[2]))
    return np.array(
        [[_bin_of(c, rank) for c, rank in zip(cs, row, strict=True)] for cs, row in zip(tables, ranks, strict=True)],
        np.int64,
    )


def _bin_of(counts: NDArray[np.int64], rank: int) -> int:
    return int(np.searchsorted(np.cumsum(counts), rank, side="right")) if counts.any() else 0


def _scaling_of(values: NDArray[np.float32]) -> Scaling:
    return Scaling(low=tuple(values[:, 0].tolist()), high=tuple(values[:, 1].tolist()))


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
def _count_whole_floats(
    values: NDArray[Any], valid: NDArray[np.bool_], lowest: int, histogram: NDArray[np.int64]
) -> None:
    """Count integers that are kept as floats; NaN is no value."""
    n_rows, n_cols = values.shape
    for row in range(n_rows):
        for col in range(n_cols):
            value = values[row, col]
            if valid[row, col] and value == value:  # noqa: PLR0124  # NaN
                histogram[np.int64(value) - lowest] += 1


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


def _from_sortable(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).astype(np.uint32).view(np.float32)
