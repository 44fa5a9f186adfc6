"""Points on the grids of rasters: reprojected once for each CRS, found by where they lie or the raster they name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine

from superpoint.cache.points.burning import burn
from superpoint.cache.points.systems import system_of
from superpoint.points.naming import is_called
from superpoint.points.query import QueryPoints, pixels_of
from superpoint.points.table import PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.points.systems import Box, System
    from superpoint.points.matching import ClassMatch
    from superpoint.points.table import PointTable

    Longs = NDArray[np.int64]
    Pixels = tuple[Longs, Longs, Longs]

_KEPT = 4  # CRSs whose coordinates are kept: 16 bytes a place each, and 16 more where an order is kept
_BLOCK = 2**18  # places at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedPoints:
    """A table of points with the values of its classes, to be put on rasters."""

    table: PointTable
    match: ClassMatch
    _systems: dict[tuple[str | None, bool], System] = field(default_factory=dict, repr=False)

    def on(self, georeference: Georeference, *, names: Sequence[str]) -> QueryPoints:
        """Return the points that lie on a raster, but those that name another one.

        Parameters
        ----------
        georeference : Georeference
            The raster's grid.
        names : sequence of str
            What the raster is called, as in `is_called`; the first is named in errors.

        Returns
        -------
        QueryPoints
            Those inside, in the order of the table, with `origins`, and `annotators` if the table has them.

        Raises
        ------
        InputError
            If points with a CRS meet a raster without one, or the other way round, or cannot be reprojected.
        """
        system = self._system(georeference, names[0])
        parts = [*self._on_grid(system, georeference, names)]
        rows, cols, origins = (np.concatenate(column) for column in zip(*parts, strict=True))
        if np.any(origins[1:] < origins[:-1]):
            order = np.argsort(origins, kind="stable")
            rows, cols, origins = rows[order], cols[order], origins[order]
        table = self.table
        return QueryPoints(
            rows=rows,
            cols=cols,
            values=self.match.of(table.labels[origins]),
            annotators=None if table.annotators is None else table.annotators[origins],
            origins=origins,
        )

    def extent(self, georeference: Georeference, *, name: str) -> Box | None:
        """Return `(x min, y min, x max, y max)` of all places in a raster's CRS; None if all files are of pixels.

        Parameters
        ----------
        georeference : Georeference
            The raster's grid.
        name : str
            What the raster is called in errors.

        Raises
        ------
        InputError
            As `on`.
        """
        system = self._system(georeference, name)
        placed = np.isfinite(system.xs) & np.isfinite(system.ys)
        xs, ys = system.xs[placed], system.ys[placed]
        bounds = np.concatenate([np.stack([xs, ys, xs, ys], axis=1), system.bounds])
        if not len(bounds):
            return None
        west, south = bounds[:, :2].min(axis=0).tolist()
        east, north = bounds[:, 2:].max(axis=0).tolist()
        return west, south, east, north

    def exchanged(self) -> PlacedPoints:
        """Return the points with x and y, or rows and columns, exchanged."""
        table = self.table
        shapes = shapely.transform(table.geometries, lambda xs, ys: (ys, xs), interleaved=False)
        return PlacedPoints(table=replace(table, xs=table.ys, ys=table.xs, geometries=shapes), match=self.match)

    def _on_grid(self, system: System, georeference: Georeference, names: Sequence[str]) -> Iterator[Pixels]:
        """Yield pixels inside a raster and the row of each, some at a time: memory holds a block and the result."""
        # A pixel around it: which pixel a place lies in is not decided here.
        table, box, called = self.table, box_of(georeference, margin_px=1), self._called(names)
        covering = system.shapes_near(box)
        burned = burn(system.shapes[covering], system.bounds[covering], table.geometry_rows[covering], georeference)
        yield self._kept(*burned, georeference, called)
        for places in _blocks(system.near(box)):
            rows, cols = pixels_of(system.xs[places], system.ys[places], georeference.affine)
            yield self._kept(rows, cols, table.rows_of(places), georeference, called)
        for places in _blocks(self._by_pixel(called)):
            # Pixel centres and pixel corners alike: 12.0 and 12.5 are in pixel 12.
            rows, cols = pixels_of(table.xs[places], table.ys[places], Affine.identity())
            yield self._kept(rows, cols, table.rows_of(places), georeference, called)

    def _kept(
        self, rows: Longs, cols: Longs, origins: Longs, georeference: Georeference, called: Sequence[int]
    ) -> Pixels:
        """Leave out what lies outside a raster, or names another one."""
        kept = (rows >= 0) & (rows < georeference.shape[0]) & (cols >= 0) & (cols < georeference.shape[1])
        kept &= self._may_be(origins, called)
        return rows[kept], cols[kept], origins[kept]

    @cached_property
    def _by_file_name(self) -> dict[str, list[int]]:
        """The rasters that rows name, by the last part of what they say."""
        found: dict[str, list[int]] = {}
        for code, text in enumerate(self.table.raster_names):
            found.setdefault(text.rpartition("/")[2], []).append(code)
        return found

    def _called(self, names: Sequence[str]) -> list[int]:
        """Return the codes of what rows say that mean a raster."""
        files = [name.rpartition("/")[2] for name in names]
        endings = dict.fromkeys([*files, *(file.rpartition(".")[0] for file in files)])
        return [
            code
            for ending in endings
            for code in self._by_file_name.get(ending, [])
            if is_called(self.table.raster_names[code], names)
        ]

    def _may_be(self, rows: Longs, called: Sequence[int]) -> NDArray[np.bool_]:
        """Tell which rows name a raster or none."""
        if self.table.rasters is None:
            return np.ones(len(rows), bool)
        accepted = np.zeros(len(self.table.raster_names) + 1, bool)
        accepted[[*called, -1]] = True  # the last is that of rows that name none
        return accepted[self.table.rasters[rows]]

    def _by_pixel(self, called: Sequence[int]) -> Longs:
        """Return the places of files of pixels that may be on the raster."""
        if all(file.system != PIXELS for file in self.table.files):
            return np.zeros(0, np.int64)
        if self.table.rasters is None:
            return self._pixel_places
        order, starts = self._by_raster
        return np.sort(np.concatenate([order[starts[code + 1] : starts[code + 2]] for code in (-1, *called)]))

    @cached_property
    def _pixel_places(self) -> Longs:
        starts = self.table.place_starts
        return np.concatenate(
            [
                np.arange(starts[number], starts[number + 1])
                for number, file in enumerate(self.table.files)
                if file.system == PIXELS
            ]
        )

    @cached_property
    def _by_raster(self) -> tuple[Longs, Longs]:
        """The places of files of pixels by the raster they name, and where each raster begins, -1 first."""
        if self.table.rasters is None:
            raise ValueError("the table names no rasters")
        named = self.table.rasters[self.table.rows_of(self._pixel_places)]
        order = np.argsort(named, kind="stable")
        starts = np.searchsorted(named[order], np.arange(-1, len(self.table.raster_names) + 1))
        return self._pixel_places[order], starts

    def _system(self, georeference: Georeference, raster: str) -> System:
        """Return all places in the CRS of a raster."""
        # A raster without any transform: QGIS draws its rows downwards from 0, so that y is negative there.
        is_drawn = georeference.crs is None and georeference.affine == Affine.identity()
        key = (georeference.crs, is_drawn)
        if key not in self._systems:
            if len(self._systems) >= _KEPT:
                del self._systems[next(iter(self._systems))]
            self._systems[key] = system_of(self.table, georeference.crs, raster, is_drawn=is_drawn)
        return self._systems[key]


def _blocks(places: Longs) -> Iterator[Longs]:
    for start in range(0, len(places), _BLOCK):
        yield places[start : start + _BLOCK]


def box_of(georeference: Georeference, *, margin_px: int = 0) -> Box:
    """Return `(x min, y min, x max, y max)` of a raster, with some pixels around it."""
    first, rows, cols = -margin_px, *(size + margin_px for size in georeference.shape)
    corners = [georeference.affine @ corner for corner in ((first, first), (cols, first), (first, rows), (cols, rows))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
