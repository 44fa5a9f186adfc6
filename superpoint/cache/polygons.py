"""Polygons of superpixels with their statistics, from a label map of any size to GeoParquet or GeoPackage.

Tiles are read in raster order and superpixels written as they become whole (`superpixels/sweep.py`): memory holds a
tile, a batch, and the superpixels along the border of what has been swept, however many rows of tiles there are.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from superpoint.cache.cogs import check_output
from superpoint.cache.georeference import refuse_other_grid
from superpoint.errors import InputError
from superpoint.superpixels.outlines import ellipsoid_areas, find_corners, trace
from superpoint.superpixels.statistics import measure
from superpoint.superpixels.sweep import sweep
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.rasters import Raster
    from superpoint.superpixels.outlines import Outlines
    from superpoint.superpixels.statistics import Statistics
    from superpoint.tiles import Tile

GEOPARQUET_VERSION = "1.1.0"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FAILURES = (OSError, pa.ArrowException, DataSourceError, DataLayerError, FeatureError)


def write_polygons(
    path: Path,
    group: TiledGroup,
    raster: Raster | None,
    *,
    overwrite: bool = False,
    on_tile: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the superpixels of a label map as polygons, one row each.

    Parameters
    ----------
    path : Path
        The file, `.parquet` (GeoParquet 1.1) or `.gpkg` (GeoPackage); its folder is made if needed. It appears only
        when it is whole.
    group : TiledGroup
        Has the array `labels`, uint32, 0 on nodata, every id one 4-connected region.
    raster : Raster, optional
        On the same grid; mean and standard deviation of each of its bands are written.
    overwrite : bool
        Whether to replace a file that is there.
    on_tile : callable
        Called with the number of pixels of each tile after it has been read and measured.

    Returns
    -------
    int
        Number of polygons. They ascend by id within a batch of some thousands, and the batches follow the tiles.

    Raises
    ------
    InputError
        If the file is there already or of another format, cannot be written, the raster is on another grid, or the
        labels are not regions.
    """
    write = {".parquet": _write_parquet, ".gpkg": _write_geopackage}.get(path.suffix.lower())
    if write is None:
        raise InputError(
            f"cannot write polygons to {path}; give a name that ends in .parquet (GeoParquet) or .gpkg (GeoPackage)"
        )
    if raster is not None:
        refuse_other_grid(group.path, group.georeference, raster.path, raster.georeference)
    check_output(path, overwrite=overwrite)
    table = _Table(georeference=group.georeference, band_names=_band_names(raster), is_nested=write is _write_parquet)
    batches = _Batches(table, group, raster, on_tile)
    with _scratch(path) as scratch:
        try:
            write(scratch, path.stem, batches)
        except Exception as error:
            if batches.failure is not None:  # a writer in C tells it as one of its own
                raise batches.failure from batches.failure.__cause__
            if not isinstance(error, _FAILURES):
                raise
            raise InputError(f"cannot write {path}: {error}; check the space on the disk") from error
        scratch.replace(path)
    return batches.n_polygons


def _band_names(raster: Raster | None) -> tuple[str, ...]:
    """Return the names of the bands, or their numbers where they are not all different, whatever their case."""
    if raster is None:
        return ()
    numbers = [str(band) for band in raster.bands]
    given = getattr(raster, "band_names", ()) or numbers
    names = [name or number for name, number in zip(given, numbers, strict=True)]
    return tuple(names if len({name.lower() for name in names}) == len(names) else numbers)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The columns of a file."""

    georeference: Georeference
    band_names: tuple[str, ...]
    is_nested: bool
    """Whether the bounding box is one column of four fields, or four columns."""

    @cached_property
    def crs(self) -> pyproj.CRS | None:
        return None if self.georeference.crs is None else pyproj.CRS(self.georeference.crs)

    @cached_property
    def schema(self) -> pa.Schema:
        nothing = np.zeros((1, 1), np.uint32)
        image = np.zeros((len(self.band_names), 1, 1), np.float32)
        return self.batch(trace(find_corners(nothing, row=0, col=0)), measure(nothing, image)).schema

    @property
    def clockwise(self) -> bool:
        """Whether exteriors that go counterclockwise on the map go clockwise in the raster."""
        return bool(self.georeference.affine.determinant > 0)

    def batch(self, outlines: Outlines, statistics: Statistics) -> pa.RecordBatch:
        """Return the rows of some superpixels."""
        rows, cols = outlines.vertices.T
        a, b, c, d, e, f = self.georeference.transform
        xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
        polygons = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, np.stack([xs, ys], axis=1), (outlines.rings, outlines.polygons)
        )
        columns: dict[str, Any] = {"id": statistics.ids, "area_px": statistics.areas}
        if (areas := self._areas(outlines, statistics, xs, ys)) is not None:
            columns["area_m2"] = areas
        columns |= {name: getattr(statistics, name) for name in ("row_min", "row_max", "col_min", "col_max")}
        for band, name in enumerate(self.band_names):
            columns |= {f"mean_{name}": statistics.mean(band), f"std_{name}": statistics.std(band)}
        columns |= self._boxes(shapely.bounds(polygons).reshape(-1, 4))
        columns["geometry"] = pa.array(shapely.to_wkb(polygons, byte_order=1), pa.binary())
        # What is not a number is not known.
        return pa.RecordBatch.from_pydict({name: pa.array(of, from_pandas=True) for name, of in columns.items()})

    def _areas(
        self, outlines: Outlines, statistics: Statistics, xs: NDArray[np.float64], ys: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return square metres, None if the CRS does not tell."""
        if self.crs is None or not (self.crs.is_projected or self.crs.is_geographic):
            return None
        x_unit, y_unit = (axis.unit_conversion_factor for axis in self.crs.axis_info[:2])  # metres or radians
        if self.crs.is_projected:
            return np.asarray(statistics.areas * abs(self.georeference.affine.determinant) * x_unit * y_unit)
        geod = self.crs.get_geod()
        if geod is None:
            return None
        return ellipsoid_areas(outlines, xs * x_unit, ys * y_unit, radius=geod.a, eccentricity2=geod.es)

    def _boxes(self, bounds: NDArray[np.float64]) -> dict[str, Any]:
        sides = dict(zip(_SIDES, (pa.array(side) for side in bounds.T), strict=True))
        return {"bbox": pa.StructArray.from_arrays(list(sides.values()), list(sides))} if self.is_nested else sides


class _Batches:
    """The rows of a file, made as they are asked for."""

    def __init__(self, table: _Table, group: TiledGroup, raster: Raster | None, on_tile: Callable[[int], None]) -> None:
        self.table = table
        self.group = group
        self.n_polygons = 0
        self.failure: BaseException | None = None
        self._raster = raster
        self._on_tile = on_tile

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        grid = TileGrid(shape=self.group.georeference.shape, size=self.group.tile_size)
        try:
            for outlines, statistics in sweep(self._tiles(grid), grid, clockwise=self.table.clockwise):
                self.n_polygons += len(statistics)
                yield self.table.batch(outlines, statistics)
        except GeneratorExit:  # the writer gave up
            raise
        except BaseException as error:
            self.failure = error
            if isinstance(error, ValueError) and not isinstance(error, InputError):
                self.failure = InputError(
                    f"{self.group.path} cannot be written as polygons: {error}, as a default halo may leave it where "
                    f"data are scattered; make the label map with --halo exact"
                )
                self.failure.__cause__ = error
            raise

    def _tiles(self, grid: TileGrid) -> Iterator[tuple[Tile, NDArray[np.uint32], NDArray[np.float32]]]:
        for tile in grid:
            labels = self.group.read("labels", tile.core)
            if self._raster is None:
                image = np.empty((0, *tile.core.shape), np.float32)
            else:
                image, valid = self._raster.read(tile.core)
                image[:, ~valid] = np.nan
            yield tile, labels, image
            self._on_tile(labels.size)


def _write_parquet(path: Path, _: str, batches: _Batches) -> None:
    lows, highs = np.full(2, np.inf), np.full(2, -np.inf)
    with pq.ParquetWriter(path, batches.table.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            box = [np.asarray(batch["bbox"].field(side)) for side in _SIDES]
            lows = np.minimum(lows, [box[0].min(), box[1].min()])
            highs = np.maximum(highs, [box[2].max(), box[3].max()])
        geo = _geo_metadata(batches.table.crs, [*lows, *highs])
        provenance = json.dumps(batches.group.provenance, sort_keys=True)
        writer.add_key_value_metadata({"geo": json.dumps(geo), "superpoint": provenance})


def _geo_metadata(crs: pyproj.CRS | None, bounds: list[float]) -> dict[str, Any]:
    """Return what GeoParquet wants to be told: https://geoparquet.org/releases/v1.1.0/."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "crs": None if crs is None else crs.to_json_dict(),
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
    }
    if all(math.isfinite(bound) for bound in bounds):  # else there is no polygon
        column["bbox"] = bounds
    return {"version": GEOPARQUET_VERSION, "primary_column": "geometry", "columns": {"geometry": column}}


def _write_geopackage(path: Path, layer: str, batches: _Batches) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # as the raster has none
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(batches.table.schema, batches),
            path,
            layer=layer,
            driver="GPKG",
            geometry_name="geometry",
            geometry_type="Polygon",
            crs=batches.table.georeference.crs,
            layer_metadata={"superpoint": json.dumps(batches.group.provenance, sort_keys=True)},
        )


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Name a file beside `path` (the same disk, so that it can be renamed) and remove it and its journal in the end."""
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.polygons{path.suffix.lower()}")
    try:
        yield scratch
    finally:
        for file in (scratch, *(scratch.with_name(scratch.name + part) for part in ("-journal", "-wal", "-shm"))):
            file.unlink(missing_ok=True)
