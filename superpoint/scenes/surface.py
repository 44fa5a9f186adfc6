"""The ground as a painter's canvas: what colour it has, which class it is and how high it stands under the sun."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

type Index = tuple[slice, slice]
"""A window as a NumPy index `(rows, cols)`."""

EVERYWHERE: Index = (slice(None), slice(None))

HALF = 0.5
"""A layer that covers this share of a pixel decides its class."""
SHADOW_TINT = (0.40, 0.45, 0.54)
"""What a shadow leaves of each band: light from the sky is blue."""


@dataclass(frozen=True, kw_only=True)
class Sun:
    """Where the light comes from."""

    azimuth: float
    """Radians clockwise from north (up)."""
    elevation: float
    """Radians above the horizon."""

    @property
    def direction(self) -> tuple[float, float]:
        """The way to the sun on the ground, a unit `(row, col)`."""
        return -math.cos(self.azimuth), math.sin(self.azimuth)

    @property
    def slope(self) -> float:
        """How much a ray climbs while it crosses one pixel, in pixels."""
        return math.tan(self.elevation)

    def facet_light(self, d_row: ArrayLike, d_col: ArrayLike, pitch: float) -> NDArray[np.float64]:
        """Return the light on facets that face `(d_row, d_col)` at slope `pitch`, relative to level ground."""
        toward = np.asarray(d_row) * self.direction[0] + np.asarray(d_col) * self.direction[1]
        return math.cos(pitch) + math.sin(pitch) * toward / self.slope


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The scene while it is painted; each layer covers what lies below."""

    tone: NDArray[np.float64]
    """Colour in sunlight, shape (3, rows, cols), 0 to 255."""
    truth: NDArray[np.uint8]
    """Class values, shape (rows, cols)."""
    height: NDArray[np.float64]
    """Height above ground in pixels, shape (rows, cols)."""

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Surface:
        """Make a level surface of class 0, to be covered."""
        return cls(tone=np.zeros((3, *shape)), truth=np.zeros(shape, np.uint8), height=np.zeros(shape))

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)` of the scene."""
        rows, cols = self.truth.shape
        return rows, cols

    def paint(
        self, coverage: NDArray[np.float64], tone: ArrayLike, value: int | None, *, at: Index = EVERYWHERE
    ) -> None:
        """Cover the window `at` with a colour and, where it covers half a pixel or more, a class.

        Parameters
        ----------
        coverage : float64 array of shape (rows, cols)
            Share of each pixel that is covered, 0 to 1; this is what keeps edges smooth.
        tone : float array that broadcasts to (3, rows, cols)
            Colour of the layer.
        value : int or None
            Class value of the layer; None leaves the truth as it is.
        at : (slice, slice)
            The window.
        """
        tones = self.tone[:, *at]
        tones += coverage * (np.asarray(tone) - tones)
        if value is not None:
            self.truth[at][coverage >= HALF] = value


def rgb(color: ArrayLike) -> NDArray[np.float64]:
    """Return one colour as an array of shape (3, 1, 1), ready to broadcast over rows and cols."""
    return np.asarray(color, np.float64).reshape(3, 1, 1)


def edge_coverage(inside_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the distance inside an outline (negative outside) into the share of a pixel that is covered."""
    return np.clip(inside_px + 0.5, 0, 1)


def cast_shadows(surface: Surface, sun: Sun) -> None:
    """Darken what something higher hides from the sun, in place; the truth stays as it is."""
    shadow = ndimage.gaussian_filter(_hidden(surface.height, sun).astype(np.float64), 0.7)
    surface.tone[:] *= 1 - shadow * (1 - rgb(SHADOW_TINT))


def _hidden(height: NDArray[np.float64], sun: Sun) -> NDArray[np.bool_]:
    """Walk from every pixel towards the sun and note where the surface rises above the ray."""
    hidden = np.zeros(height.shape, np.bool_)
    for step in range(1, math.ceil(float(height.max()) / sun.slope) + 1):
        offset = [round(step * axis) for axis in sun.direction]
        here, there = _overlap(offset, height.shape)
        hidden[here] |= height[there] > height[here] + step * sun.slope
    return hidden


def _overlap(offset: list[int], shape: tuple[int, ...]) -> tuple[Index, Index]:
    """Return the pixels whose neighbour at `offset` is in the raster, and those neighbours."""
    here = [slice(max(0, -o), min(n, n - o)) for o, n in zip(offset, shape, strict=True)]
    there = [slice(max(0, o), min(n, n + o)) for o, n in zip(offset, shape, strict=True)]
    return (here[0], here[1]), (there[0], there[1])
