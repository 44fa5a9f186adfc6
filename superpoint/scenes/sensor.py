"""The camera: uneven light, the optics' blur, and the noise of photons and electronics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLUR_PX = 0.75
"""Standard deviation of the point spread function."""
SHOT_NOISE = 0.28
"""Standard deviation of the photon noise at a brightness of 1; it grows with the square root."""
READ_NOISE = 1.3
"""Standard deviation of the electronics' noise."""
HAZE = (5.0, 7.0, 11.0)
"""Light scattered in the air below the camera; blue most."""


def expose(tone: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the picture.

    Parameters
    ----------
    tone : float64 array of shape (3, rows, cols)
        Light that leaves the ground, 0 to 255.
    rng : numpy.random.Generator
        Decides the light's gradient and the noise.

    Returns
    -------
    uint8 array of shape (3, rows, cols)
        Red, green, blue.
    """
    _, rows, cols = tone.shape
    row, col = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, cols)[None, :]
    tilts = rng.normal(0, 0.03, 2) + rng.normal(0, 0.01, (3, 2))
    image = np.empty(tone.shape, np.uint8)
    for band, (down, right) in enumerate(tilts.tolist()):
        light = tone[band] * (1 + down * row + right * col) + HAZE[band]
        light = ndimage.gaussian_filter(light, BLUR_PX, mode="nearest")
        spread = np.sqrt(SHOT_NOISE**2 * np.maximum(light, 0) + READ_NOISE**2)
        light += spread * rng.standard_normal((rows, cols))
        image[band] = np.clip(np.rint(light), 0, 255)
    return image
