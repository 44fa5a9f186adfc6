"""Polygons and lines burned into pixels, block by block: memory holds a block and what it gave."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio import features
from rasterio.errors import NotGeoreferencedWarning

from superpoint.points.query import pixels_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import shapely
    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference

    Longs = NDArray[np.int64]
    Window = tuple[int, int, int, int]

BLOCK = 2048
"""Side of a block in pixels."""


def burn(
    shapes: NDArray[np.object_], bounds: NDArray[np.float64], owners: Longs, georeference: Georeference
) -> tuple[Longs, Longs, Longs]:
    """Return the pixels that geometries cover: of polygons those whose centre is inside, of lines all they touch.

    A polygon so small that no pixel has its centre inside gives the one that a point on its surface lies in.

    Parameters
    ----------
    shapes : object array of shape (geometries,)
        Polygons and lines (shapely) in the CRS of the raster.
    bounds : float64 array of shape (geometries, 4)
        `(x min, y min, x max, y max)` of each.
    owners : int64 array of shape (geometries,)
        Row that each is of.
    georeference : Georeference
        The raster's grid.

    Returns
    -------
    rows, cols, origins : int64 array of shape (pixels,)
        Pixels inside the raster, geometry by geometry, and the row of each.
    """
    found = [(np.zeros(0, np.int64),) * 3]
    for place in range(len(shapes)):
        parts = [
            _burn_block(shapes[place], window, georeference.affine) for window in _blocks(bounds[place], georeference)
        ]
        if parts and not any(len(rows) for rows, _ in parts):
            parts = [_pixel_on(shapes[place], georeference)]
        found += [(rows, cols, np.full(len(rows), owners[place])) for rows, cols in parts]
    rows, cols, origins = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, cols, origins


def _blocks(bounds: NDArray[np.float64], georeference: Georeference) -> Iterator[Window]:
    """Yield the blocks `(row, col, rows, cols)` of the raster that bounds lie on."""
    if not np.isfinite(bounds).all():
        return
    x_min, y_min, x_max, y_max = bounds
    xs, ys = np.array([x_min, x_max, x_min, x_max]), np.array([y_min, y_min, y_max, y_max])
    rows, cols = pixels_of(xs, ys, georeference.affine)
    # A pixel more: a line on the edge of two pixels touches both.
    first_row, last_row = max(int(rows.min()) - 1, 0), min(int(rows.max()) + 2, georeference.shape[0])
    first_col, last_col = max(int(cols.min()) - 1, 0), min(int(cols.max()) + 2, georeference.shape[1])
    for row in range(first_row, last_row, BLOCK):
        for col in range(first_col, last_col, BLOCK):
            yield row, col, min(BLOCK, last_row - row), min(BLOCK, last_col - col)


def _pixel_on(shape: shapely.Geometry, georeference: Georeference) -> tuple[Longs, Longs]:
    """Return the pixel that a point on a surface lies in; none if that is outside the raster."""
    point = shape.representative_point()
    rows, cols = pixels_of(np.array([point.x]), np.array([point.y]), georeference.affine)
    inside = (rows >= 0) & (rows < georeference.shape[0]) & (cols >= 0) & (cols < georeference.shape[1])
    return rows[inside], cols[inside]


def _burn_block(shape: shapely.Geometry, window: Window, affine: Affine) -> tuple[Longs, Longs]:
    row, col, n_rows, n_cols = window
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a raster that lies nowhere is a raster too
        burned = features.rasterize(
            [(shape, 1)],
            out_shape=(n_rows, n_cols),
            transform=affine @ Affine.translation(col, row),
            all_touched=shape.geom_type.endswith(("LineString", "LinearRing")),
            dtype="uint8",
        )
    rows, cols = np.nonzero(burned)
    return rows + row, cols + col
