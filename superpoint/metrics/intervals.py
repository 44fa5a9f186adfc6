"""How far a score may be from that of other rasters: bootstrap intervals.

Efron (1979), "Bootstrap Methods: Another Look at the Jackknife", doi:10.1214/aos/1176344552, and the percentile
interval of Efron and Tibshirani (1993), "An Introduction to the Bootstrap", section 13.3. What is drawn with
replacement is rasters, never pixels: neighbouring pixels say the same, and an interval from them would be far too
narrow. Every resample is scored as the dataset is, from counts summed over its rasters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.metrics.counts import ClassCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def draw_rasters(n_rasters: int, *, n_resamples: int, seed: int) -> NDArray[np.int64]:
    """Draw resamples of rasters, with replacement.

    Parameters
    ----------
    n_rasters : int
        Rasters there are, and as many in a resample.
    n_resamples : int
        How many resamples.
    seed : int
        Of the generator.

    Returns
    -------
    int64 array of shape (resamples, rasters)
        How often each raster is in each resample; rows add up to `n_rasters`.
    """
    chances = np.full(n_rasters, 1 / n_rasters)
    return np.random.default_rng(seed).multinomial(n_rasters, chances, size=n_resamples).astype(np.int64)


def resample(counts: Sequence[ClassCounts], draws: NDArray[np.int64]) -> ClassCounts:
    """Add up the counts of the rasters in each resample.

    Parameters
    ----------
    counts : sequence of ClassCounts
        One a raster, of shape (classes,).
    draws : int64 array of shape (resamples, rasters)
        As `draw_rasters` returns it.

    Returns
    -------
    ClassCounts
        Of shape (resamples, classes).
    """
    return ClassCounts(
        both=draws @ np.stack([one.both for one in counts]),
        true=draws @ np.stack([one.true for one in counts]),
        predicted=draws @ np.stack([one.predicted for one in counts]),
    )


def percentile_interval(scores: NDArray[np.float64], *, level: float) -> NDArray[np.float64]:
    """Return the middle part of the scores of all resamples.

    Parameters
    ----------
    scores : float64 array of shape (resamples, ...)
        NaN where a resample has no such score, as it has none of a class that is on none of its rasters.
    level : float
        Share of the resamples within the interval, above 0 and below 1.

    Returns
    -------
    float64 array of shape (2, ...)
        Lower and upper end; NaN where no resample has the score.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> percentile_interval(np.arange(101.0), level=0.5).tolist()
    [25.0, 75.0]
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is above 0 and below 1, got {level}")
    is_known = np.isfinite(scores).any(axis=0)
    ends = np.full((2, *scores.shape[1:]), np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    ends[:, is_known] = np.nanquantile(scores[:, is_known], tails, axis=0)
    return ends
