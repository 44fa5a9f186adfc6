"""Points in vector files: whatever OGR reads, and GeoParquet, batch by batch and only the columns that are wanted."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
from pyogrio.raw import open_arrow

from superpoint.cache.points.columns import (
    Axes,
    Batch,
    Opened,
    PointColumns,
    find_axes,
    numbers_of,
    refuse_without_axes,
    wkt_of,
)
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ROWS = 65_536
"""Rows in a batch."""


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Say in one sentence what a reader does not read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # readers raise what their libraries raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read points from {path}: {reason}; give a file that ogrinfo reads") from error


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is read of each batch."""

    roles: dict[str, str]
    """Columns that describe a row, by what they are."""
    geometry: str | None
    axes: Axes | None

    @property
    def names(self) -> list[str]:
        axes = [] if self.axes is None else [self.axes.x, self.axes.y]
        return list(dict.fromkeys([*self.roles.values(), *axes]))

    def batch(self, some: pa.RecordBatch, geometry: pa.Array | NDArray[np.object_] | None = None) -> Batch:
        """Take out of a batch what is wanted."""
        columns = {role: some.column(name) for role, name in self.roles.items()}
        if self.axes is not None:
            xs, ys = numbers_of(some.column(self.axes.x)), numbers_of(some.column(self.axes.y))
            return Batch(columns=columns, xs=xs, ys=ys)
        return Batch(columns=columns, geometry=some.column(self.geometry) if geometry is None else geometry)


def open_ogr(path: Path, columns: PointColumns) -> Opened:
    """Open a file that OGR reads.

    Raises
    ------
    InputError
        If it cannot be read, has several layers and none is chosen, or has not the columns.
    """
    with in_words(path):
        layer = only_layer(path) if columns.layer is None else columns.layer
        info = pyogrio.read_info(path, layer=layer)
    names = [str(name) for name in info["fields"]]
    if not names and info["features"] == 0:  # GeoJSON without features has no columns to look for
        raise InputError(f"{path} has no rows; give a file with points")
    axes = None if info["geometry_type"] is not None else _axes_of(path, names, columns)
    columns.check(path, names)
    crs = info["crs"] if axes is None else axes.crs
    return Opened(
        crs=_given(crs, columns, axes),
        is_pixels=axes is not None and axes.is_pixels,
        batches=_ogr_batches(path, layer, columns, axes),
    )


def _axes_of(path: Path, names: list[str], columns: PointColumns) -> Axes:
    axes = find_axes(path, names, columns)
    if axes is None:
        refuse_without_axes(path, names)
    return axes


def _given(crs: Any, columns: PointColumns, axes: Axes | None) -> str | None:  # noqa: ANN401  # what pyproj takes
    """Return the CRS of a file, else the one that is given for those without."""
    if axes is not None and axes.is_pixels:
        return None
    wkt = None if crs is None else wkt_of(crs)
    # A GeoPackage says "undefined" with a CRS of that name.
    if wkt is None or pyproj.CRS(wkt).name.lower().startswith(("undefined", "unknown engineering")):
        return None if columns.crs is None else wkt_of(columns.crs)
    return wkt


def only_layer(path: Path) -> str | None:
    """Return the name of the one layer with geometries; None if there is none at all.

    Raises
    ------
    InputError
        If there are several.
    """
    names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(names) > 1:
        raise InputError(f"{path} has the layers {', '.join(names)}; choose one with --layer")
    return names[0] if names else None


def _ogr_batches(path: Path, layer: str | None, columns: PointColumns, axes: Axes | None) -> Iterator[Batch]:
    wanted = _Wanted(roles=columns.named(), geometry=None, axes=axes)
    with (
        in_words(path),
        open_arrow(
            path, layer=layer, columns=wanted.names, read_geometry=axes is None, batch_size=ROWS, use_pyarrow=True
        ) as (meta, reader),
    ):
        geometry = meta["geometry_name"] or "wkb_geometry"
        for some in reader:
            yield wanted.batch(some, None if axes else some.column(geometry))


def open_parquet(path: Path, columns: PointColumns) -> Opened:
    """Open GeoParquet, or Parquet with columns of coordinates.

    Raises
    ------
    InputError
        If it cannot be read, or has not the columns.
    """
    with in_words(path):
        schema = pq.read_schema(path)
    names, geo = list(schema.names), _geo_metadata(schema)
    if geo is None:
        axes = _axes_of(path, names, columns)
        columns.check(path, names)
        wanted = _Wanted(roles=columns.named(), geometry=None, axes=axes)
        return Opened(
            crs=_given(axes.crs, columns, axes), is_pixels=axes.is_pixels, batches=_parquet_batches(path, wanted)
        )
    primary = str(geo["primary_column"])
    columns.check(path, [name for name in names if name != primary])
    described = geo["columns"][primary]
    wanted = _Wanted(roles=columns.named(), geometry=primary, axes=None)
    is_wkb = described["encoding"] == "WKB"
    return Opened(
        # The format's default, where the key is not there, is longitude and latitude.
        crs=_given(described.get("crs", "OGC:CRS84"), columns, None),
        is_pixels=False,
        batches=_parquet_batches(path, wanted) if is_wkb else _native_batches(path, wanted),
    )


def _geo_metadata(schema: pa.Schema) -> dict[str, Any] | None:
    geo = (schema.metadata or {}).get(b"geo")
    return None if geo is None else dict(json.loads(geo))


def _parquet_batches(path: Path, wanted: _Wanted) -> Iterator[Batch]:
    names = [*wanted.names, *([] if wanted.geometry is None else [wanted.geometry])]
    with in_words(path), pq.ParquetFile(path) as file:
        for some in file.iter_batches(batch_size=ROWS, columns=names):
            yield wanted.batch(some)


def _native_batches(path: Path, wanted: _Wanted) -> Iterator[Batch]:
    with in_words(path):
        table = gpd.read_parquet(path, columns=[*wanted.names, wanted.geometry])
        described = pa.Table.from_pandas(table[wanted.names], preserve_index=False).combine_chunks().to_batches()
    for some in described:
        yield wanted.batch(some, table.geometry.to_numpy())
