"""A few pixels of a pseudo-mask, for a picture of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.tiles import Window

OVERVIEW_PX = 480
"""Longer side of a picture of the whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A pseudo-mask in few pixels: of each, what lies in its middle."""

    rows: NDArray[np.int64]
    """Rows of the raster, ascending."""
    cols: NDArray[np.int64]
    labels: NDArray[np.uint32]
    """`(rows, cols)`: superpixel; 0 on nodata and where there is no label map."""
    classes: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    """255 where it is unknown."""

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Samples:
        """Return samples of a raster of a shape, to be filled."""
        factor = max(1.0, max(shape) / OVERVIEW_PX)
        rows, cols = (
            ((np.arange(max(1, int(side / factor))) + 0.5) * side / max(1, int(side / factor))).astype(np.int64)
            for side in shape
        )
        seen = len(rows), len(cols)
        unknown = np.full(seen, IGNORE, np.uint8)
        return cls(rows=rows, cols=cols, labels=np.zeros(seen, np.uint32), classes=unknown, truth=unknown.copy())

    def take(
        self, window: Window, labels: NDArray[np.uint32] | None, classes: NDArray[np.uint8],
        truth: NDArray[np.uint8] | None,
    ) -> None:  # fmt: skip
        """Fill in what lies in a window of the raster."""
        (r0, r1), (c0, c1) = (
            np.searchsorted(places, [start, start + size])
            for places, start, size in zip((self.rows, self.cols), (window.row, window.col), window.shape, strict=True)
        )
        inner, picked = np.s_[r0:r1, c0:c1], np.ix_(self.rows[r0:r1] - window.row, self.cols[c0:c1] - window.col)
        self.classes[inner] = classes[picked]
        if labels is not None:
            self.labels[inner] = labels[picked]
        if truth is not None:
            self.truth[inner] = truth[picked]
