"""Where points lie that lie on no raster: what a user needs to see which of the two is wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyproj

from superpoint.cache.points.placing import box_of
from superpoint.points.naming import is_called
from superpoint.points.table import PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.points.placing import PlacedPoints
    from superpoint.cache.points.systems import Box

_NAMED = 5  # rasters that are named


def where_instead(points: PlacedPoints, georeference: Georeference, *, names: Sequence[str]) -> str:
    """Say where points lie and where a raster does; and if exchanging x and y would put them on it.

    Parameters
    ----------
    points : PlacedPoints
        None of them lies on the raster.
    georeference : Georeference
        The raster's grid.
    names : sequence of str
        What the raster is called, as in `is_called`.

    Returns
    -------
    str
        Half a sentence.

    Raises
    ------
    InputError
        If the points cannot be put into the raster's CRS.
    """
    table = points.table
    if not table.has_place().any():
        return "none has coordinates that are numbers"
    is_pixels = all(file.system == PIXELS for file in table.files)
    extent = points.extent(georeference, name=names[0])
    where = [_pixels(points, georeference)] if is_pixels else []
    where += [] if extent is None else [_world(extent, georeference)]
    if table.rasters is not None and not any(is_called(text, names) for text in table.raster_names):
        where.append(f"they name the rasters {', '.join(table.raster_names[:_NAMED])}")
    origins = points.exchanged().on(georeference, names=names).origins
    n_exchanged = 0 if origins is None else len(np.unique(origins))
    if n_exchanged:
        where.append(f"with {'row and col' if is_pixels else 'x and y'} exchanged {n_exchanged:,} would lie on it")
    return "; ".join(where)


def _pixels(points: PlacedPoints, georeference: Georeference) -> str:
    n_rows, n_cols = georeference.shape
    placed = np.isfinite(points.table.xs) & np.isfinite(points.table.ys)
    rows, cols = points.table.ys[placed], points.table.xs[placed]
    return (
        f"they lie in rows {rows.min():.0f} to {rows.max():.0f} and cols {cols.min():.0f} to {cols.max():.0f}, and the "
        f"raster has {n_rows} rows and {n_cols} cols"
    )


def _world(extent: Box, georeference: Georeference) -> str:
    box = box_of(georeference)
    span = min(box[2] - box[0], box[3] - box[1])
    n_digits = max(0, 2 - math.floor(math.log10(span)))
    theirs, its = (
        f"x {west:,.{n_digits}f} to {east:,.{n_digits}f}, y {south:,.{n_digits}f} to {north:,.{n_digits}f}"
        for west, south, east, north in (extent, box)
    )
    crs = "no CRS" if georeference.crs is None else pyproj.CRS(georeference.crs).name
    return f"they lie in {theirs}, and the raster in {its} ({crs})"
