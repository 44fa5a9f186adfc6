"""A raster with its mask, as the trainer reads it: scaled patches and their labels, straight from the files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.errors import InputError

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
        ours, theirs = self.raster.georeference, self.mask.georeference
        if ours.shape != theirs.shape:
            raise InputError(
                f"{self.mask.path} has {theirs.shape[0]} x {theirs.shape[1]} pixels and its raster {self.raster.path} "
                f"{ours.shape[0]} x {ours.shape[1]}; put the mask on the raster's grid (nearest, never bilinear)"
            )
        placed = ours.crs is not None and theirs.crs is not None
        if placed and not np.allclose(ours.transform, theirs.transform, rtol=1e-9, atol=1e-9):
            raise InputError(f"{self.mask.path} lies elsewhere than its raster {self.raster.path}; give masks in order")

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.raster.shape

    def image(self, window: Window) -> NDArray[np.float32]:
        """Read a window of the raster, scaled, 0 on nodata, as (bands, rows, cols)."""
        image, valid = self.raster.read(window)
        return self.scaling.apply(image, valid)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Read a window of the mask; 255 is unlabelled."""
        return self.mask.read(window)
