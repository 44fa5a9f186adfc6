"""Sampling query points from a dense mask, to simulate an annotator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.points.query import QueryPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample_balanced(mask: NDArray[np.uint8], n_points: int, *, rng: np.random.Generator) -> QueryPoints:
    """Draw the same number of points for each class present, and never lose one to rounding.

    Parameters
    ----------
    mask : uint8 array of shape (rows, cols)
        Class values; 255 is never drawn.
    n_points : int
        How many to draw. What does not divide evenly goes to the lowest classes, and what a class with too few
        pixels leaves over goes to the others.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    QueryPoints
        Distinct pixels, by class; fewer than `n_points` only if the mask has fewer labelled pixels.
    """
    labelled = np.flatnonzero(mask != IGNORE)
    values = mask.ravel()[labelled]
    available = np.bincount(values, minlength=IGNORE)
    quotas = _share_out(available, n_points)
    drawn = [
        rng.choice(labelled[values == value], size=quotas[value], replace=False) for value in np.flatnonzero(quotas)
    ]
    pixels = np.concatenate(drawn) if drawn else np.zeros(0, np.int64)
    rows, cols = np.divmod(pixels, mask.shape[1])
    return QueryPoints(rows=rows, cols=cols, values=mask.ravel()[pixels].astype(np.int16))


def _share_out(available: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Divide a budget equally among classes, none getting more than it has."""
    quotas = np.zeros_like(available)
    left = min(budget, int(available.sum()))
    while left:
        hungry = np.flatnonzero(quotas < available)
        each, rest = divmod(left, len(hungry))
        extra = np.minimum(each or np.arange(len(hungry)) < rest, (available - quotas)[hungry])
        quotas[hungry] += extra
        left -= int(extra.sum())
    return quotas
