"""A labelled raster in memory, for the tests of what learns from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from superpoint.tiles import Window


@dataclass(frozen=True)
class Picture:
    """A labelled raster in memory; `superpoint.training.patches.Source`."""

    pixels: np.ndarray
    classes: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.classes.shape
        return rows, cols

    def image(self, window: Window) -> np.ndarray:
        return self.pixels[:, *window.slices].astype(np.float32)

    def labels(self, window: Window) -> np.ndarray:
        return self.classes[window.slices].astype(np.uint8)


def two_colours(size: int = 96) -> Picture:
    """Bright discs on dark ground, with noise."""
    rows, cols = np.indices((size, size))
    classes = ((rows % 48 - 24) ** 2 + (cols % 48 - 24) ** 2 < 250).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 0.03, (3, size, size))
    return Picture(0.25 + 0.5 * classes + noise, classes)
