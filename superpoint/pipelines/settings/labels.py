"""Settings of the steps from query points to pseudo-masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from superpoint.pipelines.settings.superpixels import SuperpixelSettings


class LabelSettings(SuperpixelSettings):
    """Settings of `label`."""

    points: Annotated[
        Path,
        Field(
            description="Query points: GeoPackage, GeoJSON, GeoParquet, Shapefile, or CSV (x,y | lon,lat | row,col)."
        ),
    ]
    layer: Annotated[str | None, Field(description="Layer of the points file, where it has several.")] = None
    class_column: Annotated[str, Field(description="Column of the points' class, a name or a value.")] = "class"
    classes: Annotated[
        Path | None,
        Field(
            description="Class table (TOML: [[class]] name, value, color). [the names found in the points]",
        ),
    ] = None
    points_crs: Annotated[str | None, Field(description="CRS of the points where the file has none, as EPSG:4326.")] = (
        None
    )
    tie: Annotated[
        Literal["lowest", "ignore"],
        Field(description="A tied vote: the lowest class, or ignore (left unlabelled)."),
    ] = "lowest"
    output: Annotated[
        Path | None,
        Field(
            description="Also write the pseudo-mask as a COG, with NAME.evidence.tif (vote share, votes) and "
            "NAME.points.parquet (the account of every point) beside it; a folder if there are several rasters.",
        ),
    ] = None
