"""A raster seen smaller: fewer pixels for the whole of it, and a window of those.

Images are averaged over the area of each pixel, truth is only ever taken from the nearest pixel: a mean of classes
is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio.windows
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from superpoint.cache.rasters import open_dataset
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster

BLOCK = 2048  # side of the blocks of a mask read at a time, pixels


@dataclass(frozen=True, kw_only=True)
class View:
    """How a raster is looked at.

    Examples
    --------
    >>> View.of((600, 900), long_side=450, crop=(100, 100)).window
    Window(row=100, col=175, n_rows=100, n_cols=100)
    """

    source: tuple[int, int]
    """`(rows, cols)` of the raster as stored."""
    shape: tuple[int, int]
    """`(rows, cols)` of the whole raster as seen, never more than stored."""
    window: Window
    """The part of it that is looked at, in pixels of `shape`."""

    @classmethod
    def of(cls, source: tuple[int, int], *, long_side: int | None = None, crop: tuple[int, int] | None = None) -> View:
        """Make the longer side at most `long_side` pixels, then cut the centre.

        Parameters
        ----------
        source : tuple of int
            `(rows, cols)` as stored.
        long_side : int, optional
            Longest side in pixels; a smaller raster stays as it is.
        crop : tuple of int, optional
            `(rows, cols)` of the centre; a side that is longer than the raster's is cut to it.
        """
        factor = min(1.0, (long_side or max(source)) / max(source))
        shape = (max(1, round(source[0] * factor)), max(1, round(source[1] * factor)))
        rows, cols = (min(part, whole) for part, whole in zip(crop or shape, shape, strict=True))
        window = Window(row=(shape[0] - rows) // 2, col=(shape[1] - cols) // 2, n_rows=rows, n_cols=cols)
        return cls(source=source, shape=shape, window=window)

    @property
    def is_resized(self) -> bool:
        """Whether pixels are made fewer."""
        return self.shape != self.source


def read_view(raster: Raster, view: View) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read what a view shows of a raster.

    Parameters
    ----------
    raster : Raster
        The raster.
    view : View
        Made for its shape.

    Returns
    -------
    image : float32 array of shape (bands, rows, cols)
        As stored, averaged over each pixel's area; 0 where not valid, NaN where a band of a valid pixel is nodata.
    valid : bool array of shape (rows, cols)
        False on nodata.

    Raises
    ------
    InputError
        If the file cannot be decoded there.
    """
    if not view.is_resized:
        return raster.read(view.window)
    window = view.window
    down, across = (stored / seen for stored, seen in zip(view.source, view.shape, strict=True))
    area = rasterio.windows.Window(window.col * across, window.row * down, window.n_cols * across, window.n_rows * down)
    try:
        with open_dataset(raster.path) as dataset:
            image = dataset.read(
                list(raster.bands), window=area, out_shape=(len(raster.bands), *window.shape),
                resampling=Resampling.average, out_dtype=np.float32,
            )  # fmt: skip
            known = dataset.read_masks(list(raster.bands), window=area, out_shape=image.shape) > 0  # (band, row, col)
    except (RasterioError, MemoryError) as error:
        raise InputError(f"cannot read {raster.path}: {error.__cause__ or error}; get the file again") from error
    valid = known.any(axis=0) & np.isfinite(image).all(axis=0)
    image[~known] = np.nan
    image[:, ~valid] = 0
    return image, valid


def read_mask_view(mask: Mask, view: View) -> NDArray[np.uint8]:
    """Read what a view shows of a mask: the class value of the pixel in the middle of each.

    Parameters
    ----------
    mask : Mask
        The mask, read block by block.
    view : View
        Made for its shape.

    Returns
    -------
    uint8 array of shape (rows, cols)
        Class values; 255 is unlabelled.

    Raises
    ------
    InputError
        If a value or colour is not in the class table, or the file cannot be decoded.
    """
    window = view.window
    rows = _nearest(view.source[0], view.shape[0], window.row, window.n_rows)
    cols = _nearest(view.source[1], view.shape[1], window.col, window.n_cols)
    values = np.empty(window.shape, np.uint8)
    for tile in TileGrid(shape=view.source, size=BLOCK):
        inner_rows, inner_cols = (_inside(rows, tile.core.slices[0]), _inside(cols, tile.core.slices[1]))
        if rows[inner_rows].size and cols[inner_cols].size:
            block = mask.read(tile.core)
            picked = np.ix_(rows[inner_rows] - tile.core.row, cols[inner_cols] - tile.core.col)
            values[inner_rows, inner_cols] = block[picked]
    return values


def _nearest(n_stored: int, n_seen: int, first: int, n: int) -> NDArray[np.int64]:
    """Return the stored pixels in whose middle, or beside it, lies the middle of each pixel seen."""
    return (2 * np.arange(first, first + n) + 1) * n_stored // (2 * n_seen)


def _inside(pixels: NDArray[np.int64], block: slice) -> slice:
    """Return where ascending pixels lie in a block."""
    start, stop = np.searchsorted(pixels, [block.start, block.stop])
    return slice(int(start), int(stop))
