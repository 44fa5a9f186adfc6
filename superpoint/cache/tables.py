"""Reading point files and class tables, and writing the account of the points."""

from __future__ import annotations

import csv
import io
import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd
import pyogrio
import pyproj

from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.points.account import State
from superpoint.points.query import QueryPoints, pixels_of, table_of, values_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference

WORLD_COLUMNS = (("x", "y"), ("easting", "northing"), ("lon", "lat"), ("longitude", "latitude"))
GEOGRAPHIC_COLUMNS = ("lon", "longitude")
PIXEL_COLUMNS = ("row", "col")


def read_class_table(path: Path) -> ClassTable:
    """Read a class table from TOML.

    Raises
    ------
    InputError
        If the file is missing or not such a table.
    """
    try:
        return ClassTable.from_dict(tomllib.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"cannot read the class table {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the class table {path} is not TOML: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_points(
    path: Path, *, class_column: str, crs: str | None = None, layer: str | None = None
) -> gpd.GeoDataFrame | pd.DataFrame:
    """Read query points from any vector file, GeoParquet or CSV.

    Parameters
    ----------
    path : Path
        A CSV has columns x,y | easting,northing | lon,lat | longitude,latitude | row,col, whatever their case;
        longitudes and latitudes are EPSG:4326 unless `crs` says otherwise.
    class_column : str
        Column that holds the class.
    crs : str, optional
        CRS of the points where the file has none.
    layer : str, optional
        Layer of a file that has several.

    Returns
    -------
    GeoDataFrame, or DataFrame with columns `row` and `col`
        All rows of the file, in order.

    Raises
    ------
    InputError
        If the file cannot be read, has no class column, no CRS, or geometries that are not points.
    """
    if not path.exists():
        raise InputError(f"points file {path} does not exist; check the path")
    table = _read_csv(path, crs) if path.suffix.lower() in (".csv", ".tsv", ".txt") else _read_vector(path, layer)
    if class_column not in table.columns:
        known = [str(name) for name in table.columns if name != "geometry"]
        raise InputError(
            f"{path} has no class column {class_column!r}; columns: {', '.join(known)}; choose one with --class-column"
        )
    if not isinstance(table, gpd.GeoDataFrame):
        return table
    if table.crs is None:
        if crs is None:
            raise InputError(f"{path} has no CRS; give the points' CRS with --points-crs, as EPSG:4326")
        table = table.set_crs(_crs(crs))
    kinds = sorted(set(table.geometry.geom_type.dropna()) - {"Point"})
    if kinds:
        raise InputError(
            f"{path} holds {', '.join(kinds)}; only points can vote; convert it in QGIS with "
            f"'Multipart to singleparts' or 'Random points in polygons'"
        )
    return table


def _read_vector(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    try:
        parquet = path.suffix.lower() in (".parquet", ".geoparquet", ".pq")
        if not parquet and layer is None:
            layer = _only_layer(path)
        table = gpd.read_parquet(path) if parquet else gpd.read_file(path, layer=layer)
    except InputError:
        raise
    except Exception as error:  # readers raise what their libraries raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot read points from {path}: {reason}; give a file that ogrinfo reads") from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise InputError(f"{path} has no geometry; give points, or a CSV with x,y or row,col")
    return table


def _only_layer(path: Path) -> str | None:
    """Return the name of the one layer with geometries; None if there is none at all."""
    names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not names:
        return None
    if len(names) > 1:
        raise InputError(f"{path} has the layers {', '.join(names)}; choose one with --layer")
    return names[0]


def _read_csv(path: Path, crs: str | None) -> gpd.GeoDataFrame | pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # lines longer than the header
            # Spreadsheets write a byte order mark. Without index_col a longer line would shift the columns.
            options: dict[str, Any] = {"sep": None, "skipinitialspace": True, "encoding": "utf-8-sig"}
            # Only an empty field is missing: "NA" and "None" may be classes.
            options |= {"keep_default_na": False, "na_values": [""]}
            table = pd.read_csv(path, engine="python", index_col=False, **options).rename(columns=str.strip)
    except (ValueError, OSError, csv.Error, pd.errors.ParserWarning) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"cannot read {path} as a CSV table: {error}") from error
    by_lower_case = {str(name).lower(): str(name) for name in table.columns}
    if all(name in by_lower_case for name in PIXEL_COLUMNS):
        return table.rename(columns={by_lower_case[name]: name for name in PIXEL_COLUMNS})
    for x, y in WORLD_COLUMNS:
        if x in by_lower_case and y in by_lower_case:
            xs, ys = (pd.to_numeric(table[by_lower_case[name]], errors="coerce") for name in (x, y))
            implied = "EPSG:4326" if x in GEOGRAPHIC_COLUMNS else None
            geometry = gpd.points_from_xy(xs, ys)
            return gpd.GeoDataFrame(
                table,
                geometry=geometry,
                crs=None if crs is None and implied is None else _crs(crs or str(implied)),
            )
    pairs = " | ".join(",".join(pair) for pair in (*WORLD_COLUMNS, PIXEL_COLUMNS))
    raise InputError(f"{path} has no coordinate columns; name them {pairs}")


def _crs(text: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise InputError(f"{text!r} is not a CRS; write it as EPSG:4326") from error


def place_points(
    table: gpd.GeoDataFrame | pd.DataFrame,
    georeference: Georeference,
    *,
    class_column: str,
    classes: ClassTable | None,
    source: Path,
    raster: str,
) -> tuple[QueryPoints, ClassTable]:
    """Put points onto a raster's grid.

    Parameters
    ----------
    table : GeoDataFrame or DataFrame
        As `read_points` returns it.
    georeference : Georeference
        The raster's grid.
    class_column : str
        Column that holds the class.
    classes : ClassTable, optional
        If None, a table is made of the classes found.
    source, raster : Path, str
        Named in errors.

    Returns
    -------
    points : QueryPoints
        One for each row of the table.
    classes : ClassTable
        The table that their values belong to.

    Raises
    ------
    InputError
        If points with world coordinates meet a raster without a CRS, or a class is not in the table.
    """
    rows, cols = _pixels(table, georeference, source, raster)
    labels = table[class_column].tolist()
    try:
        classes = classes or table_of(labels)
        values = values_of(labels, classes)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except TypeError as error:  # a list or another thing that cannot be looked up
        raise InputError(f"{source}: the class column {class_column!r} holds no names or numbers; {error}") from error
    return QueryPoints(rows=rows, cols=cols, values=values), classes


def _pixels(
    table: gpd.GeoDataFrame | pd.DataFrame, georeference: Georeference, source: Path, raster: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not isinstance(table, gpd.GeoDataFrame):
        # Pixel centres and pixel corners alike: 12.0 and 12.5 are in pixel 12.
        rows, cols = (pd.to_numeric(table[name], errors="coerce").to_numpy(float) for name in PIXEL_COLUMNS)
        return pixels_of(cols, rows, type(georeference.affine).identity())
    if georeference.crs is None:
        raise InputError(
            f"{raster} has no CRS, so the world coordinates of {source} lie nowhere on it; "
            f"give pixel coordinates (a CSV with row,col) or set the CRS with: gdal_edit.py -a_srs EPSG:CODE '{raster}'"
        )
    try:
        placed = table.geometry.to_crs(georeference.crs)
    except pyproj.exceptions.ProjError as error:
        raise InputError(f"the points of {source} cannot be put into the CRS of {raster}: {error}") from error
    return pixels_of(placed.x.to_numpy(float), placed.y.to_numpy(float), georeference.affine)


def account_bytes(table: gpd.GeoDataFrame | pd.DataFrame, points: QueryPoints, states: NDArray[np.int8]) -> bytes:
    """Return every point with its pixel and what became of it, as a (Geo)Parquet file."""
    names = {int(state): state.name.lower() for state in State}
    columns: dict[str, Any] = {
        "superpoint_row": points.rows,
        "superpoint_col": points.cols,
        "superpoint_value": points.values,
        "superpoint_state": pd.Series(states, index=table.index).map(names),
    }
    file = io.BytesIO()
    table.assign(**columns).to_parquet(file)
    return file.getvalue()
