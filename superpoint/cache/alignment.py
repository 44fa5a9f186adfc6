"""Rasters of other resolutions on one grid, by the nearest pixel.

What lies under a pixel is computed from its place in the whole raster, never from a window's: any window holds what
the whole would hold there. GDAL's warper could do the same, but it loses internal masks, asks for a CRS, and takes
two to six times as long for grids that differ by a scale and a shift alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio.windows

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.tiles import Window

STRIP_SAMPLES = 2**24  # read at a time where the raster is much finer than the grid
TIE = 1e-6  # pixels: a centre on the border of two pixels takes the one right of and below it, on every machine
TURN_PX = 0.01  # how far a raster's far end may stray from the grid's direction


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where the pixels of a grid lie in a raster that is parallel to it."""

    rows: tuple[float, float]
    """`(step, start)`: pixel rows of the raster for each row of the grid, and where the grid's first edge lies."""
    cols: tuple[float, float]
    """The same for columns."""
    shape: tuple[int, int]
    """`(rows, cols)` of the raster."""
    grid_shape: tuple[int, int]
    """`(rows, cols)` of the grid."""

    @classmethod
    def of(cls, grid: Georeference, raster: Georeference) -> Alignment | None:
        """Compare two grids; None if one is turned against the other."""
        between = ~raster.affine @ grid.affine
        if abs(between.b) * grid.shape[0] > TURN_PX or abs(between.d) * grid.shape[1] > TURN_PX:
            return None
        return cls(rows=(between.e, between.f), cols=(between.a, between.c), shape=raster.shape, grid_shape=grid.shape)

    @property
    def is_same(self) -> bool:
        """Whether every pixel of the grid is the raster's pixel of the same row and column, to a hundredth."""
        lines = zip((self.rows, self.cols), self.shape, strict=True)
        ends = [end for (step, start), n in lines for end in (start, start + (step - 1) * n)]
        return self.shape == self.grid_shape and max(abs(end) for end in ends) < TURN_PX

    @property
    def overlaps(self) -> bool:
        """Whether the two share any ground."""
        lines = zip((self.rows, self.cols), self.shape, self.grid_shape, strict=True)
        spans = [(sorted((start, start + step * n_grid)), n) for (step, start), n, n_grid in lines]
        return all(low < n and high > 0 for (low, high), n in spans)

    def covers(self, window: Window) -> NDArray[np.bool_]:
        """Return whether there is a pixel of the raster under each of a window of the grid, as (rows, cols)."""
        rows, cols = self.indices(window)
        return (rows >= 0)[:, None] & (cols >= 0)

    def indices(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the raster's row under each row of a window of the grid, and the column; -1 outside the raster."""
        return (
            _under(window.row, window.n_rows, self.rows, self.shape[0]),
            _under(window.col, window.n_cols, self.cols, self.shape[1]),
        )


def _under(first: int, n: int, line: tuple[float, float], n_raster: int) -> NDArray[np.int64]:
    step, start = line
    places = np.floor(start + step * (np.arange(first, first + n) + 0.5) + TIE)
    return np.where((places >= 0) & (places < n_raster), places, -1).astype(np.int64)


def read_nearest(
    dataset: Any,  # noqa: ANN401  # rasterio publishes no types
    bands: list[int],
    window: Window,
    alignment: Alignment,
    *,
    dtype: DTypeLike | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read a window of a grid from a raster on another.

    Parameters
    ----------
    dataset : rasterio dataset
        The raster.
    bands : list of int
        Band numbers, from 1.
    window : Window
        In pixels of the grid.
    alignment : Alignment
        Of the grid and the raster.
    dtype : dtype, optional
        Of the values; as stored by default.

    Returns
    -------
    values : array of shape (bands, rows, cols)
        0 outside the raster.
    known : bool array of shape (bands, rows, cols)
        False on nodata, where masked or transparent, and outside the raster.
    """
    rows, cols = alignment.indices(window)
    values = np.zeros((len(bands), *window.shape), dtype or dataset.dtypes[bands[0] - 1])
    known = np.zeros(values.shape, np.bool_)
    inside_rows, inside_cols = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
    if not inside_rows.size or not inside_cols.size:
        return values, known
    left, right = cols[inside_cols].min(), cols[inside_cols].max() + 1
    n_strip_rows = max(1, STRIP_SAMPLES // (int(right - left) * len(bands)))
    for strip in _strips(inside_rows, rows, n_strip_rows):
        top, bottom = rows[strip].min(), rows[strip].max() + 1
        area = rasterio.windows.Window(int(left), int(top), int(right - left), int(bottom - top))
        place = np.ix_(range(len(bands)), strip, inside_cols)
        picked = np.ix_(range(len(bands)), rows[strip] - top, cols[inside_cols] - left)
        values[place] = dataset.read(bands, window=area, out_dtype=values.dtype)[picked]
        known[place] = dataset.read_masks(bands, window=area)[picked] > 0
    return values, known


def _strips(inside: NDArray[np.int64], rows: NDArray[np.int64], n_strip_rows: int) -> list[NDArray[np.int64]]:
    """Cut rows of a window into runs that lie within `n_strip_rows` rows of the raster."""
    run = np.abs(rows[inside] - rows[inside[0]]) // n_strip_rows
    return np.split(inside, np.flatnonzero(np.diff(run)) + 1)
