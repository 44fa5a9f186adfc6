"""Rectangles on the ground: walls, yards and driveways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.surface import Index


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """A rectangle in any direction; everything in pixels."""

    row: float
    col: float
    """Its middle."""
    angle: float
    """Direction of its length, radians from the column axis towards the row axis."""
    half_length: float
    half_width: float

    def window(self, shape: tuple[int, int], margin_px: float = 1) -> Index:
        """Return the pixels around the rectangle, clipped to `shape`; empty where it lies outside."""
        reach = math.hypot(self.half_length, self.half_width) + margin_px
        spans = [
            (min(max(0, math.floor(middle - reach)), n), min(max(0, math.ceil(middle + reach) + 1), n))
            for middle, n in zip((self.row, self.col), shape, strict=True)
        ]
        return slice(*spans[0]), slice(*spans[1])

    def frame(self, at: Index) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how far the pixels of a window lie along the rectangle and across it, from its middle."""
        row = np.arange(at[0].start, at[0].stop)[:, None] - self.row
        col = np.arange(at[1].start, at[1].stop)[None, :] - self.col
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return col * cos + row * sin, row * cos - col * sin

    def inside(self, at: Index) -> NDArray[np.float64]:
        """Return how far the pixels of a window lie inside the rectangle, negative outside."""
        along, across = self.frame(at)
        return np.minimum(self.half_length - np.abs(along), self.half_width - np.abs(across))

    def point(self, along: float, across: float) -> tuple[float, float]:
        """Return the place `(row, col)` of a point of the rectangle's own frame."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.row + along * sin + across * cos, self.col + along * cos - across * sin
