"""Writing points to files that QGIS and the readers here open, and reading what describes annotators."""

from __future__ import annotations

import csv
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
from pyogrio.errors import DataLayerError, DataSourceError

from superpoint.cache.cogs import check_output
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.classes import ClassTable

type Columns = Mapping[str, Sequence[object] | NDArray[Any]]

PARQUET = (".parquet", ".geoparquet")
GEOJSON = (".geojson", ".json")
FORMATS = (".gpkg", *PARQUET, *GEOJSON, ".csv")
KEY = "superpoint"  # of the provenance in a file's metadata
LONGITUDES = "EPSG:4326"  # of points in several CRS, and of GeoJSON (RFC 7946)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedRows:
    """Points on one raster, and what is known of each."""

    georeference: Georeference
    rows: NDArray[np.int64]
    """Pixel row."""
    cols: NDArray[np.int64]
    """Pixel column."""
    columns: Columns
    """Further columns, in order."""

    def table(self) -> pd.DataFrame:
        """Return the columns, those of the pixel after the first one."""
        first, *others = self.columns
        named = {first: self.columns[first], "row": self.rows, "col": self.cols}
        return pd.DataFrame(named | {name: self.columns[name] for name in others})

    def places(self, crs: pyproj.CRS) -> gpd.GeoSeries:
        """Return the pixels' centres."""
        a, b, c, d, e, f = self.georeference.transform
        rows, cols = self.rows + 0.5, self.cols + 0.5
        places = gpd.points_from_xy(a * cols + b * rows + c, d * cols + e * rows + f, crs=self.georeference.crs)
        return gpd.GeoSeries(places).to_crs(crs)


def check_point_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file of points that cannot be written, or is there already.

    Raises
    ------
    InputError
        If so; the message says what to do.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot tell a format from the name of {path}; known suffixes: {', '.join(FORMATS)}")
    check_output(path, overwrite=overwrite)


def write_point_file(path: Path, parts: Sequence[PlacedRows], *, provenance: Mapping[str, Any]) -> None:
    """Write points of one or several rasters, in one step.

    Parameters
    ----------
    path : Path
        GeoPackage (`.gpkg`), GeoParquet (`.parquet`), GeoJSON (`.geojson`) or CSV (`.csv`). A CSV has the columns row
        and col, and x and y as well where there is one CRS.
    parts : sequence of PlacedRows
        The points, with the same columns. Points of rasters in several CRS are written in longitude and latitude.
    provenance : mapping
        How the points came about, as JSON: under the key `superpoint` in the metadata of a GeoParquet file, or of the
        layer of a GeoPackage.

    Raises
    ------
    InputError
        If the file cannot be written, or needs places on the earth and a raster has none.
    """
    table = pd.concat([part.table() for part in parts], ignore_index=True)
    crs = _common_crs(parts)
    if crs is None and path.suffix.lower() != ".csv":
        raise InputError(
            f"a raster of the points has no CRS, so {path} cannot say where they are; give a name that ends in .csv "
            f"(pixel rows and columns)"
        )
    if crs is not None:
        places = pd.concat([part.places(crs) for part in parts], ignore_index=True)
        table = gpd.GeoDataFrame(table, geometry=places, crs=crs)
    try:
        with _scratch(path) as scratch:
            _write(table, scratch, path, json.dumps(provenance, sort_keys=True))
            scratch.replace(path)
    except (OSError, DataSourceError, DataLayerError) as error:
        raise InputError(f"cannot write {path}: {error}; check the space on the disk") from error


def _common_crs(parts: Sequence[PlacedRows]) -> pyproj.CRS | None:
    texts = {part.georeference.crs for part in parts}
    if None in texts:
        return None
    systems = [pyproj.CRS(text) for text in texts]
    return systems[0] if all(one == systems[0] for one in systems) else pyproj.CRS(LONGITUDES)


def _write(table: pd.DataFrame, scratch: Path, path: Path, provenance: str) -> None:
    suffix = path.suffix.lower()
    if not isinstance(table, gpd.GeoDataFrame):
        table.to_csv(scratch, index=False)
    elif suffix == ".csv":
        places = {"x": table.geometry.x, "y": table.geometry.y}
        pd.DataFrame(table.drop(columns="geometry")).assign(**places).to_csv(scratch, index=False)
    elif suffix in PARQUET:
        table.to_parquet(scratch)
        written = pq.read_table(scratch)
        metadata = (written.schema.metadata or {}) | {KEY.encode(): provenance.encode()}
        pq.write_table(written.replace_schema_metadata(metadata), scratch, compression="zstd")
    elif suffix in GEOJSON:
        table.to_crs(LONGITUDES).to_file(scratch, driver="GeoJSON", engine="pyogrio")
    else:
        layer = {"layer": path.stem, "layer_metadata": {KEY: provenance}}
        table.to_file(scratch, driver="GPKG", engine="pyogrio", **layer)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Name a file beside `path` (the same disk, so that it can be renamed), and remove it in the end."""
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.points{path.suffix.lower()}")
    try:
        yield scratch
    finally:
        for file in (scratch, *(scratch.with_name(scratch.name + part) for part in ("-journal", "-wal", "-shm"))):
            file.unlink(missing_ok=True)


def read_confusion(path: Path, classes: ClassTable) -> NDArray[np.float64]:
    """Read how often each class is taken for which, from a CSV table.

    Parameters
    ----------
    path : Path
        A first line with class names, after one cell of any content; then a line for each true class: its name, and
        a count or share for each class. Both name all classes of the table, in any order.
    classes : ClassTable
        The classes.

    Returns
    -------
    float64 array of shape (classes, classes)
        Row true class, column class given, in the order of the class values.

    Raises
    ------
    InputError
        If the file cannot be read or does not name each class once, or an entry is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the confusion matrix {path}: {error}; give a CSV table") from error
    columns, rows = (lines[0][1:] if lines else []), [line[0] for line in lines[1:]]
    for what, names in (("columns", columns), ("rows", rows)):
        if sorted(names) != sorted(classes.names):
            raise InputError(
                f"the {what} of the confusion matrix {path} are {', '.join(names) or 'none'}; they must name each "
                f"class once: {', '.join(classes.names)}"
            )
    try:
        entries = np.array([[float(cell) for cell in line[1:]] for line in lines[1:]], np.float64)
    except ValueError as error:
        raise InputError(f"the confusion matrix {path} has an entry that is no number, or a short line") from error
    return entries[np.ix_([rows.index(name) for name in classes.names], [columns.index(n) for n in classes.names])]
