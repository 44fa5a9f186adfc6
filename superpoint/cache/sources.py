"""A raster with its mask, as the trainer reads it: scaled patches and their labels, straight from the files.

Small ones are decoded once and kept, see `decoded.py`; what is read is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache import decoded
from superpoint.cache.georeference import refuse_other_grid
from superpoint.classes import IGNORE
from superpoint.tiles import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.scaling import Scaling


@dataclass(frozen=True, kw_only=True)
class LabelledRaster:
    """A raster and a mask on the same grid; `superpoint.training.patches.Source`."""

    raster: Raster
    mask: Mask
    scaling: Scaling

    def __post_init__(self) -> None:
        refuse_other_grid(self.mask.path, self.mask.georeference, self.raster.path, self.raster.georeference)

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.raster.shape

    def image(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the raster, scaled, 0 on nodata, as (bands, rows, cols)."""
        image, valid = self._read(window)
        return self.scaling.apply(image, valid)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Read a window of the mask; 255 is unlabelled, and so is a pixel without data, whatever the mask says."""
        if not decoded.is_small(self.shape):
            return self._labels(window)
        key = self.mask, _state(self.mask.path), self.raster
        (labels,) = decoded.KEPT.get(key, lambda: (self._labels(whole(self.shape)),))
        return np.asarray(labels[window.slices], np.uint8)

    def _labels(self, window: Window) -> NDArray[np.uint8]:
        labels = self.mask.read(window)
        if not self.raster.has_gaps:
            return labels
        _, valid = self._read(window)
        return np.where(valid, labels, IGNORE).astype(np.uint8)

    def _read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        if not decoded.is_small(self.shape):
            return self.raster.read(window)
        # As stored, mostly one byte a value.
        image, valid = decoded.KEPT.get(self.raster, lambda: self.raster.read_stored(whole(self.shape)))
        return image[:, *window.slices].astype(np.float32), np.asarray(valid[window.slices], np.bool_)


def whole(shape: tuple[int, int]) -> Window:
    """Return the window that is all of a raster of `(rows, cols)`."""
    return Window(row=0, col=0, n_rows=shape[0], n_cols=shape[1])


def _state(path: str) -> tuple[int, int] | None:
    """Return size and time of change of a local file; a mask made anew is another one, as the raster itself knows."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
