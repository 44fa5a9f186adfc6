"""Curves on the ground: roads, streets and rivers as arrays of points, and the distance of pixels to them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

STEP_PX = 12.0
"""Distance between the points of a curve: chords stay within 0.1 pixel of a bend of 200 pixels radius."""


def smooth_curve(knots: ArrayLike) -> NDArray[np.float64]:
    """Lay a smooth curve through `knots`.

    Parameters
    ----------
    knots : float array of shape (knots, 2)
        At least two different points, `(row, col)` in pixels.

    Returns
    -------
    float64 array of shape (points, 2)
        Points of the curve, evenly spaced by about `STEP_PX`.
    """
    knots = np.asarray(knots, np.float64)
    spline = CubicSpline(_arc(knots), knots, bc_type="natural")
    dense = spline(np.linspace(0, _arc(knots)[-1], 64 * len(knots)))
    arc = _arc(dense)
    even = np.linspace(0, arc[-1], max(2, round(arc[-1] / STEP_PX) + 1))
    return np.stack([np.interp(even, arc, dense[:, axis]) for axis in range(2)], axis=1)


def _arc(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far along the curve each point lies, in pixels."""
    steps = np.sqrt((np.diff(points, axis=0) ** 2).sum(axis=1))
    return np.concatenate([[0.0], np.cumsum(steps)])


def tangents(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit direction `(row, col)` at each point of a curve, shape (points, 2)."""
    slope = np.gradient(curve, axis=0)
    unit: NDArray[np.float64] = slope / np.sqrt((slope**2).sum(axis=1, keepdims=True))
    return unit


def normals(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit direction across each point of a curve, the tangent turned by a right angle."""
    return tangents(curve)[:, ::-1] * (-1.0, 1.0)


def distance_to(
    curves: Iterable[NDArray[np.float64]], shape: tuple[int, int], *, reach_px: float
) -> NDArray[np.float64]:
    """Measure how far each pixel's centre lies from the nearest of `curves`.

    Parameters
    ----------
    curves : iterable of float64 arrays of shape (points, 2)
        Curves, `(row, col)` in pixels; they may leave the raster.
    shape : (rows, cols)
        Shape of the raster.
    reach_px : float
        Where to stop looking; only windows of this margin around the curves are touched.

    Returns
    -------
    float64 array of shape (rows, cols)
        Distances in pixels, `reach_px` where it is farther.
    """
    distance = np.full(shape, float(reach_px))
    for curve in curves:
        for start, stop in pairwise(curve):
            _lower_to_segment(distance, start, stop, reach_px)
    return distance


def _lower_to_segment(
    distance: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64], reach_px: float
) -> None:
    """Lower `distance` in place to that of the segment from `start` to `stop`."""
    low = np.maximum(np.floor(np.minimum(start, stop) - reach_px), 0)
    high = np.minimum(np.ceil(np.maximum(start, stop) + reach_px) + 1, distance.shape)
    if (high <= low).any():
        return
    (top, left), (bottom, right) = low.astype(int).tolist(), high.astype(int).tolist()
    row = np.arange(top, bottom)[:, None] - start[0]
    col = np.arange(left, right)[None, :] - start[1]
    d_row, d_col = (stop - start).tolist()
    along = np.clip((row * d_row + col * d_col) / max(math.hypot(d_row, d_col) ** 2, 1e-9), 0, 1)
    near = np.sqrt((row - along * d_row) ** 2 + (col - along * d_col) ** 2)
    window = distance[top:bottom, left:right]
    np.minimum(window, near, out=window)
