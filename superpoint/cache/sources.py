"""A raster with its mask, as the trainer reads it: scaled patches and their labels, straight from the files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.georeference import refuse_other_grid
from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.scaling import Scaling
    from superpoint.tiles import Window


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
        image, valid = self.raster.read(window)
        return self.scaling.apply(image, valid)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Read a window of the mask; 255 is unlabelled, and so is a pixel without data, whatever the mask says."""
        labels = self.mask.read(window)
        if not self.raster.has_gaps:
            return labels
        _, valid = self.raster.read(window)
        return np.where(valid, labels, IGNORE).astype(np.uint8)
