"""Affinities of neighbouring pixels, and what an entropy rate gains by the edge between them.

A weight is near 1 where two pixels belong together and near 0 across an edge of the picture. Weights are kept as
each pixel's edges by the steps E, S and, in an 8-connected graph, SE, NE; NaN where there is no edge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.boruvka import STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

CHANNELS = ("E", "SE", "S", "SW", "W", "NW", "N", "NE")
"""Order of directed affinities."""
FLOOR = 1e-3  # of Gaussian affinities: a random walk leaves every pixel
_THERE = tuple(CHANNELS.index(name) for name in ("E", "S", "SE", "NE"))
_BACK = tuple(CHANNELS.index(name) for name in ("W", "N", "NW", "SW"))
_ROW_STEPS = np.array([row for row, _ in STEPS])
_COL_STEPS = np.array([col for _, col in STEPS])
_LN2 = math.log(2)


def gaussian_weights(
    image: NDArray[np.float32], valid: NDArray[np.bool_], *, sigma: float, connectivity: int
) -> NDArray[np.float32]:
    """Return the likeness in colour of neighbouring pixels, `exp(-d^2 / 2 sigma^2)`.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        Scaled to about 0..1, finite.
    valid : bool array of shape (rows, cols)
        No edge leads to a pixel where it is False.
    sigma : float
        The root mean square difference over the bands, d, that makes a weight of 0.61.
    connectivity : int
        4 or 8.

    Returns
    -------
    float32 array of shape (rows, cols, connectivity / 2)
        At least 0.001; NaN where there is no edge.

    Examples
    --------
    >>> image = np.array([[[0, 0.1, 0.1]]], np.float32)
    >>> print(gaussian_weights(image, np.ones((1, 3), bool), sigma=0.1, connectivity=4)[0, :, 0].round(2))
    [0.61 1.    nan]
    """
    return _gaussian_weights(image, valid, 1 / (2 * sigma**2 * len(image)), n_steps_of(connectivity))


def mean_weights(
    affinities: NDArray[np.float32], valid: NDArray[np.bool_], *, connectivity: int
) -> NDArray[np.float32]:
    """Return the mean of both directions' affinities for each edge.

    Parameters
    ----------
    affinities : float32 array of shape (8, rows, cols)
        From each pixel to its neighbours, in the order of `CHANNELS`; 0..1.
    valid : bool array of shape (rows, cols)
        No edge leads to a pixel where it is False.
    connectivity : int
        4 or 8.

    Returns
    -------
    float32 array of shape (rows, cols, connectivity / 2)
        NaN where there is no edge.

    Raises
    ------
    ValueError
        If there are not 8 channels on the grid of `valid`.
    """
    if affinities.shape != (len(CHANNELS), *valid.shape):
        raise ValueError(f"affinities must be of shape {(len(CHANNELS), *valid.shape)}, got {affinities.shape}")
    n_rows, n_cols = valid.shape
    n_steps = n_steps_of(connectivity)
    weights = np.full((n_rows, n_cols, n_steps), np.nan, np.float32)
    for step, (down, right) in enumerate(STEPS[:n_steps]):
        here = slice(max(0, -down), n_rows - max(0, down)), slice(0, n_cols - right)
        there = slice(max(0, down), n_rows - max(0, -down)), slice(right, n_cols)
        mean = (affinities[_THERE[step]][here] + affinities[_BACK[step]][there]) / np.float32(2)
        weights[*here, step] = np.where(valid[here] & valid[there], mean, np.float32(np.nan))
    return weights


def n_steps_of(connectivity: int) -> int:
    """Return how many edges a pixel owns.

    Raises
    ------
    ValueError
        If `connectivity` is neither 4 nor 8.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, got {connectivity!r}")
    return connectivity // 2


@njit(cache=True, nogil=True)
def _gaussian_weights(image: Floats, valid: Mask, scale: float, n_steps: int) -> Floats:
    n_bands, n_rows, n_cols = image.shape
    weights = np.full((n_rows, n_cols, n_steps), np.nan, np.float32)
    for row in range(n_rows):
        for col in range(n_cols):
            for step in range(n_steps):
                other_row, other_col = row + _ROW_STEPS[step], col + _COL_STEPS[step]
                if not (0 <= other_row < n_rows and other_col < n_cols):
                    continue
                if not (valid[row, col] and valid[other_row, other_col]):
                    continue
                total = 0.0
                for band in range(n_bands):
                    difference = np.float64(image[band, row, col]) - np.float64(image[band, other_row, other_col])
                    total += difference * difference
                weights[row, col, step] = max(math.exp(-total * scale), FLOOR)
    return weights


def entropy_gains(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the entropy rate of a random walk on the pixels gains by each edge.

    With weights normalised by the sum of all pixels' strengths, an edge of weight w between pixels of strengths
    c_u + w and c_v + w gains `phi(w + c_u) + phi(w + c_v) - phi(c_u) - phi(c_v) - 2 phi(w)` bits, where
    phi(x) = x log2(x).

    Parameters
    ----------
    weights : float32 array of shape (rows, cols, 2 or 4)
        NaN where there is no edge. Overwritten.

    Returns
    -------
    float32 array of shape (rows, cols, 2 or 4)
        The array that was given.

    References
    ----------
    Peng, Aviles-Rivero and Schönlieb (2022), "HERS Superpixels: Deep Affinity Learning for Hierarchical Entropy
    Rate Segmentation", doi:10.1109/WACV51458.2022.00014.
    """
    strengths = _strengths(weights)
    total = strengths.sum()
    _weights_to_gains(weights, strengths, total if total > 0 else 1.0)
    return weights


@njit(cache=True, nogil=True)
def _strengths(weights: Floats) -> NDArray[np.float64]:
    n_rows, n_cols, n_steps = weights.shape
    strengths = np.zeros((n_rows, n_cols))
    for row in range(n_rows):
        for col in range(n_cols):
            for step in range(n_steps):
                weight = weights[row, col, step]
                if not np.isnan(weight):
                    strengths[row, col] += weight
                    strengths[row + _ROW_STEPS[step], col + _COL_STEPS[step]] += weight
    return strengths


@njit(cache=True, nogil=True)
def _weights_to_gains(weights: Floats, strengths: NDArray[np.float64], total: float) -> None:
    n_rows, n_cols, n_steps = weights.shape
    for row in range(n_rows):
        for col in range(n_cols):
            for step in range(n_steps):
                if not np.isnan(weights[row, col, step]):
                    weight = np.float64(np.float32(weights[row, col, step] / total))
                    one = strengths[row, col] / total - weight
                    other = strengths[row + _ROW_STEPS[step], col + _COL_STEPS[step]] / total - weight
                    weights[row, col, step] = _gain(weight, one, other)


@njit(cache=True, nogil=True)
def _gain(weight: float, one: float, other: float) -> float:
    joined = _phi(weight + one) + _phi(weight + other)
    return (joined - _phi(one) - _phi(other) - 2 * _phi(weight)) / _LN2


@njit(cache=True, nogil=True)
def _phi(share: float) -> float:
    return share * math.log(share) if share > 0 else 0.0  # below 0 only by rounding
