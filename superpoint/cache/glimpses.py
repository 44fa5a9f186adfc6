"""A raster seen as a small picture, where that is cheap: from its overviews, or because it is small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Resampling

from superpoint.cache.handles import FAILURES, open_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.rasters import Raster

CHEAP_PIXELS = 2**23
"""What a raster without overviews may have, to be read whole for a picture."""


def read_glimpse(raster: Raster, long_side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """Read all of a raster in few pixels.

    Parameters
    ----------
    raster : Raster
        The raster; of files that are stacked, each is taken as a whole.
    long_side : int
        Longer side of the result in pixels, at most.

    Returns
    -------
    image : float32 array of shape (bands, rows, cols)
        Averages over each pixel's area; 0 where not valid.
    valid : bool array of shape (rows, cols)
        False on nodata.
    None
        Instead, if every block would have to be read for it, or the file cannot be read.
    """
    factor = min(1.0, long_side / max(raster.shape))
    rows, cols = (max(1, round(side * factor)) for side in raster.shape)
    image = np.empty((len(raster.bands), rows, cols), np.float32)
    valid = np.ones((rows, cols), np.bool_)
    for place, band in enumerate(raster.bands):
        path, number = (raster.parts[band - 1].path, 1) if raster.parts else (raster.path, band)
        try:
            with open_dataset(path) as dataset:
                if dataset.width * dataset.height > CHEAP_PIXELS and not dataset.overviews(number):
                    return None
                dataset.read(number, out=image[place], resampling=Resampling.average)
                valid &= dataset.read_masks(number, out_shape=(rows, cols)) > 0
        except FAILURES:
            return None
    valid &= np.isfinite(image).all(axis=0)
    image[:, ~valid] = 0
    return image, valid
