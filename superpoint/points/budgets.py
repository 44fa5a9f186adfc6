"""Dividing a budget of points: whole numbers that add up to it exactly, none larger than what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def equal_shares(available: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Divide a budget equally; what one has too little of goes to the others.

    Parameters
    ----------
    available : int64 array of shape (strata,)
        The most that each can give.
    budget : int
        What is divided; what does not divide evenly goes to the first ones.

    Returns
    -------
    int64 array of shape (strata,)
        Adds up to `budget`, or to all there is if that is less.

    Examples
    --------
    >>> equal_shares(np.array([50, 2, 50]), 11).tolist()
    [5, 2, 4]
    """
    quotas = np.zeros_like(available)
    left = min(budget, int(available.sum()))
    while left:
        hungry = np.flatnonzero(quotas < available)
        each, rest = divmod(left, len(hungry))
        extra = np.minimum(each or np.arange(len(hungry)) < rest, (available - quotas)[hungry])
        quotas[hungry] += extra
        left -= int(extra.sum())
    return quotas


def even_parts(n_parts: int, budget: int) -> NDArray[np.int64]:
    """Divide a budget equally, whatever there is to give; what does not divide evenly goes to the first ones.

    Examples
    --------
    >>> even_parts(3, 11).tolist()
    [4, 4, 3]
    """
    each, rest = divmod(budget, n_parts) if n_parts else (0, 0)
    return np.int64(each) + (np.arange(n_parts) < rest)


def proportional_shares(available: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Divide a budget in proportion to what there is, by the largest remainder (Hamilton's method).

    Parameters
    ----------
    available : int64 array of shape (strata,)
        The most that each can give; no share is larger.
    budget : int
        What is divided.

    Returns
    -------
    int64 array of shape (strata,)
        Adds up to `budget`, or to all there is if that is less. Equal remainders: the first ones are rounded up.

    Examples
    --------
    >>> proportional_shares(np.array([70, 25, 5]), 10).tolist()
    [7, 3, 0]
    """
    total = int(available.sum())
    budget = min(budget, total)
    # Python's whole numbers: budget times pixels may be beyond 64 bits.
    parts = [divmod(budget * n, max(total, 1)) for n in available.tolist()]
    quotas = np.array([whole for whole, _ in parts], np.int64)
    remainders = [remainder for _, remainder in parts]
    first = sorted(range(len(parts)), key=lambda place: (-remainders[place], place))[: budget - int(quotas.sum())]
    quotas[first] += 1
    return quotas


def rounded_shares(available: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return a fraction of each, rounded half up, and one of each that has any.

    Examples
    --------
    >>> rounded_shares(np.array([1000, 150, 7, 0]), 0.01).tolist()
    [10, 2, 1, 0]
    """
    quotas = np.floor(available * fraction + 0.5).astype(np.int64)
    return np.minimum(np.maximum(quotas, 1), available)
