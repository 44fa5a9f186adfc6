"""All places of a table in one CRS, and which of them lie in a box.

To find the points on one raster of many, places are put in order along x, once for each CRS: a raster looks at the
places in its own strip only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyproj
import shapely

from superpoint.errors import InputError
from superpoint.points.table import NO_SYSTEM, PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from superpoint.points.table import PointTable

    Floats = NDArray[np.float64]
    Longs = NDArray[np.int64]
    Shapes = NDArray[np.object_]
    Box = tuple[float, float, float, float]
    Change = Callable[[Floats, Floats], tuple[Floats, Floats]]

_IN_ORDER = 200_000  # places from which an order along x pays
_SCANS = 3  # and rasters


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """All places of a table in one CRS."""

    xs: Floats
    """NaN where a file has pixels."""
    ys: Floats
    shapes: Shapes
    """The geometries of the table."""
    uses: Iterator[int] = field(default_factory=itertools.count)
    """How often a box was looked for."""

    @cached_property
    def order(self) -> Longs:
        """The places from west to east, those that are no numbers last."""
        return np.argsort(self.xs)

    @cached_property
    def sorted_xs(self) -> Floats:
        """The x of the places, from west to east."""
        return self.xs[self.order]

    @cached_property
    def bounds(self) -> Floats:
        """`(x min, y min, x max, y max)` of each geometry."""
        return np.asarray(shapely.bounds(self.shapes), np.float64).reshape(-1, 4)

    def near(self, box: Box) -> Longs:
        """Return the places in a box, ascending."""
        west, south, east, north = box
        if len(self.xs) < _IN_ORDER or next(self.uses) < _SCANS:
            inside = (self.xs >= west) & (self.xs <= east) & (self.ys >= south) & (self.ys <= north)
            return np.flatnonzero(inside)
        first, last = np.searchsorted(self.sorted_xs, west), np.searchsorted(self.sorted_xs, east, side="right")
        strip = self.order[first:last]
        ys = self.ys[strip]
        return np.sort(strip[(ys >= south) & (ys <= north)])

    def shapes_near(self, box: Box) -> Longs:
        """Return the geometries whose bounds meet a box."""
        west, south, east, north = box
        x_min, y_min, x_max, y_max = self.bounds.T
        return np.flatnonzero((x_min <= east) & (x_max >= west) & (y_min <= north) & (y_max >= south))


def system_of(table: PointTable, crs: str | None, raster: str, *, is_drawn: bool) -> System:
    """Put all places of a table into a CRS.

    Parameters
    ----------
    table : PointTable
        The places.
    crs : str, optional
        WKT of a raster's CRS; None if it has none, and then the places of files without one are as they are.
    raster : str
        Named in errors.
    is_drawn : bool
        Whether the raster's rows are drawn downwards from 0: places of a file without a CRS none of which lies above 0
        are then turned over.

    Raises
    ------
    InputError
        If only one of a file and the raster has a CRS, or one cannot be put into the other.
    """
    changes = [_change(table, number, crs, raster, is_drawn=is_drawn) for number in range(len(table.files))]
    if all(change is None for change in changes):
        return System(xs=table.xs, ys=table.ys, shapes=table.geometries)
    xs, ys, shapes = np.empty_like(table.xs), np.empty_like(table.ys), table.geometries.copy()
    bounds = np.searchsorted(table.geometry_rows, table.starts)
    for number, change in enumerate(changes):
        part = slice(*table.place_starts[number : number + 2].tolist())
        xs[part], ys[part] = (change or _same)(table.xs[part], table.ys[part])
        mine = slice(*bounds[number : number + 2].tolist())
        if change is not None and mine.stop > mine.start:
            shapes[mine] = shapely.transform(shapes[mine], change, interleaved=False)
    return System(xs=xs, ys=ys, shapes=shapes)


def _change(table: PointTable, number: int, crs: str | None, raster: str, *, is_drawn: bool) -> Change | None:
    """Return how the coordinates of a file come into a CRS; None if they are there already."""
    file = table.files[number]
    if file.system == PIXELS:
        return _nowhere
    if file.system == NO_SYSTEM:
        if crs is not None:
            raise InputError(f"{file.name} has no CRS; give the points' CRS with --points-crs, as EPSG:4326")
        ys = table.ys[slice(*table.place_starts[number : number + 2].tolist())]
        return _downwards if is_drawn and not np.any(ys > 0) else None
    if crs is None:
        raise InputError(
            f"{raster} has no CRS, so the world coordinates of {file.name} lie nowhere on it; "
            f"give pixel coordinates (a CSV with row,col) or set the CRS with: gdal_edit.py -a_srs EPSG:CODE '{raster}'"
        )
    before, after = pyproj.CRS(table.systems[file.system]), pyproj.CRS(crs)
    if before.equals(after, ignore_axis_order=True):
        return None
    try:
        transformer = pyproj.Transformer.from_crs(before, after, always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise InputError(f"the points of {file.name} cannot be put into the CRS of {raster}: {error}") from error
    return transformer.transform


def _same(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    return xs, ys


def _downwards(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    return xs, -ys


def _nowhere(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    return np.full_like(xs, np.nan), np.full_like(ys, np.nan)
