"""A mean over repeats and how sure it is, and ratios paired by repeat.

Repeats are few (three seeds, five), so the interval is Student's (1908), "The Probable Error of a Mean",
doi:10.2307/2331554, not that of the normal distribution: over three repeats it is 2.2 times as wide. It speaks of
further repeats, and of nothing that was the same in all of them: where these are seeds, never of other rasters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95
"""Share of such intervals that hold the true mean, if repeats are normally distributed."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over repeats.

    Examples
    --------
    >>> found = estimate(np.array([1.0, 2.0, 3.0]))
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """

    mean: float
    n: int
    """Repeats it is the mean of."""
    deviation: float | None = None
    """Sample standard deviation, with n - 1; None of one repeat."""
    half_width: float | None = None
    """Half of the interval; None of one repeat."""

    @property
    def standard_error(self) -> float | None:
        """Standard deviation of the mean; None of one repeat."""
        return None if self.deviation is None else float(self.deviation / np.sqrt(self.n))

    @property
    def low(self) -> float | None:
        """Lower end of the interval; None of one repeat."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval; None of one repeat."""
        return None if self.half_width is None else self.mean + self.half_width


def estimate(values: NDArray[np.float64], *, level: float = LEVEL) -> Estimate | None:
    """Return the mean of repeats with Student's interval.

    Parameters
    ----------
    values : float64 array of shape (repeats,)
        One value a repeat; NaN where there is none.
    level : float
        Of the interval, above 0 and below 1.

    Returns
    -------
    Estimate or None
        None if there is no value.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is above 0 and below 1, got {level}")
    known = values[np.isfinite(values)]
    if known.size < 2:  # noqa: PLR2004  # one repeat says nothing of others
        return Estimate(mean=float(known[0]), n=1) if known.size else None
    deviation = float(known.std(ddof=1))
    reach = _student(known.size - 1, level) * deviation / np.sqrt(known.size)
    return Estimate(mean=float(known.mean()), n=known.size, deviation=deviation, half_width=float(reach))


def paired_ratios(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return value / reference of each repeat.

    Parameters
    ----------
    values, reference : float64 arrays of shape (repeats,)
        Of the same repeats in the same order; NaN where there is none.

    Returns
    -------
    float64 array of shape (repeats,)
        NaN where either is missing or the reference is 0.

    Examples
    --------
    >>> paired_ratios(np.array([0.3, 0.4, 0.5]), np.array([0.6, np.nan, 0.0])).tolist()
    [0.5, nan, nan]
    """
    found = np.full(values.shape, np.nan)
    usable = np.isfinite(values) & np.isfinite(reference) & (reference != 0)
    found[usable] = values[usable] / reference[usable]
    return found


def _student(freedom: int, level: float) -> float:
    """Return how many standard errors the interval reaches to either side."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))
