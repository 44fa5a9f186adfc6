"""Settings of query points: where they are, and what their columns mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from superpoint.pipelines.settings.base import Settings, as_list


class PointColumnSettings(Settings):
    """What the columns of files of points mean, and what becomes of their geometries."""

    layer: Annotated[str | None, Field(description="Layer of the points files, where they have several.")] = None
    class_column: Annotated[str, Field(description="Column of the points' class: a name, a code or a value.")] = "class"
    raster_column: Annotated[
        str | None, Field(description="Column that says which raster a point is on: its name, file name or path.")
    ] = None
    x_column: Annotated[str | None, Field(description="CSV column of x, easting or longitude. [guessed]")] = None
    y_column: Annotated[str | None, Field(description="CSV column of y, northing or latitude. [guessed]")] = None
    row_column: Annotated[str | None, Field(description="CSV column of the pixel row, from 0. [guessed]")] = None
    column_column: Annotated[str | None, Field(description="CSV column of the pixel column, from 0. [guessed]")] = None
    points_crs: Annotated[str | None, Field(description="CRS of the points where a file has none, as EPSG:4326.")] = (
        None
    )
    geometries: Annotated[
        Literal["burn", "sample"] | None,
        Field(description="Polygons and lines: burn all their pixels in, or sample points from each. [refused]"),
    ] = None
    points_per_geometry: Annotated[int, Field(ge=1, description="Points sampled from a polygon or line.")] = 10


class PointSettings(PointColumnSettings):
    """Where query points are read from, and how."""

    points: Annotated[
        list[Path],
        BeforeValidator(as_list),
        Field(
            min_length=1,
            description="Query points, repeated for several files: GeoPackage, GeoJSON, GeoParquet, Shapefile and what "
            "else GDAL reads, or CSV (x,y | lon,lat | row,col).",
        ),
    ]
    annotator_column: Annotated[str | None, Field(description="Column that says who set a point.")] = None
    classes: Annotated[
        Path | None,
        Field(description="Class table (TOML: [[class]] name, value, code, color). [the names found in the points]"),
    ] = None
