"""Smooth random fields: the unevenness of everything that grows, erodes or is mown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLINE_STD = 151 / 315
"""Standard deviation of a cubic B-spline surface with independent coefficients of standard deviation 1."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> NDArray[np.float64]:
    """Make a random field whose features are a few times `scale_px` across.

    A cubic B-spline surface with random coefficients on a lattice: the cost does not grow with the scale.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the coefficients come from.
    shape : (rows, cols)
        Shape of the field.
    scale_px : float
        Lattice step in pixels.

    Returns
    -------
    float64 array of shape (rows, cols)
        Mean 0, standard deviation 1 on average over many fields.
    """
    lattice = rng.standard_normal([math.ceil(side / scale_px) + 4 for side in shape]) / SPLINE_STD
    row_cells, row_weights = _spline(shape[0], scale_px)
    col_cells, col_weights = _spline(shape[1], scale_px)
    tall = np.zeros((shape[0], lattice.shape[1]))
    for knot in range(4):
        tall += row_weights[knot][:, None] * lattice[row_cells + knot]
    field = np.zeros(shape)
    for knot in range(4):
        field += col_weights[knot] * tall.take(col_cells + knot, axis=1)
    return field


def _spline(side: int, scale_px: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the first of the four knots that shape each pixel of a side, and the weights of all four."""
    place = np.arange(side) / scale_px
    cells = place.astype(np.int64)
    t = place - cells
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return cells, weights


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale_px: float, *, octaves: int = 3
) -> NDArray[np.float64]:
    """Add up smooth fields of halving scale and halving strength, the largest of step `scale_px`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the coefficients come from.
    shape : (rows, cols)
        Shape of the field.
    scale_px : float
        Lattice step of the largest field in pixels.
    octaves : int
        How many fields to add.

    Returns
    -------
    float64 array of shape (rows, cols)
        Mean 0, standard deviation a little above 1.
    """
    field = smooth_noise(rng, shape, scale_px)
    for octave in range(1, octaves):
        field += 0.5**octave * smooth_noise(rng, shape, scale_px / 2**octave)
    return field
