"""Sorting in linear time, digit by digit: the same order on every machine, and quick where sorting is the bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Keys = NDArray[np.uint64]

_DIGIT_BITS = 11


@njit(cache=True, nogil=True)
def descending(values: NDArray[np.float64]) -> Ints:
    """Return the order of values from high to low; equal ones stay in their order.

    Parameters
    ----------
    values : float64 array of shape (n,)
        Not NaN.

    Returns
    -------
    int32 array of shape (n,)
        Indices into `values`.

    Examples
    --------
    >>> descending(np.array([1.0, 3.0, -2.0, 3.0])).tolist()
    [1, 3, 0, 2]
    """
    keys = (values + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    sign = np.uint64(2**63)
    for index in range(len(keys)):
        # The bits of positive floats ascend with them, those of negative ones descend.
        keys[index] = keys[index] if keys[index] & sign else ~(keys[index] | sign)
    return _radix_sort(keys, 64)


@njit(cache=True, nogil=True)
def ascending(numbers: NDArray[np.uint32]) -> Ints:
    """Return the order of numbers from low to high.

    Parameters
    ----------
    numbers : uint32 array of shape (n,)

    Returns
    -------
    int32 array of shape (n,)
        Indices into `numbers`.

    Examples
    --------
    >>> ascending(np.array([4, 2**32 - 1, 0], np.uint32)).tolist()
    [2, 0, 1]
    """
    return _radix_sort(numbers.astype(np.uint64), 32)


@njit(cache=True, nogil=True)
def _radix_sort(keys: Keys, n_bits: int) -> Ints:
    """Return the order of the keys, stably, from the lowest digit up; overwrites them."""
    mask = np.uint64(2**_DIGIT_BITS - 1)
    n_digits = (n_bits + _DIGIT_BITS - 1) // _DIGIT_BITS
    counts = np.zeros((n_digits, 2**_DIGIT_BITS), np.int64)
    for key in keys:
        for digit in range(n_digits):
            counts[digit, (key >> np.uint64(digit * _DIGIT_BITS)) & mask] += 1
    order = np.arange(len(keys)).astype(np.int32)
    next_keys, next_order = np.empty_like(keys), np.empty_like(order)
    for digit in range(n_digits):
        if counts[digit].max() == len(keys):
            continue  # all keys agree here
        shift = np.uint64(digit * _DIGIT_BITS)
        places = np.cumsum(counts[digit]) - counts[digit]
        for index in range(len(keys)):
            bucket = (keys[index] >> shift) & mask
            place = places[bucket]
            places[bucket] += 1
            next_keys[place], next_order[place] = keys[index], order[index]
        keys, next_keys = next_keys, keys
        order, next_order = next_order, order
    return order
