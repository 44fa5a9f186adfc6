"""Settings of the steps that say where points are set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from superpoint.pipelines.settings.base import CacheSettings, Place, Positional
from superpoint.pipelines.settings.points import PointColumnSettings


class SampleSettings(CacheSettings):
    """Settings of `sample`."""

    masks: Annotated[
        list[Path],
        Positional(),
        Field(min_length=1, description="Dense masks: class values, palette or colour images, pseudo-masks."),
    ]
    strategy: Annotated[
        str,
        Field(
            description="random, proportional, balanced (per class), superpixel (one each, largest first), per-patch, "
            "fraction (of all pixels), or stratified (of each class)."
        ),
    ] = "balanced"
    n_points: Annotated[
        int | None,
        Field(ge=1, description="Points on each mask, exactly; with per-patch, in each patch. [per-patch: 100]"),
    ] = None
    fraction: Annotated[float | None, Field(description="Share of the pixels, for fraction and stratified. [0.01]")] = (
        None
    )
    patch: Annotated[int | None, Field(ge=1, description="Side of a patch in pixels, for per-patch. [256]")] = None
    short: Annotated[
        Literal["share", "leave"] | None,
        Field(
            description="What a class with too few pixels leaves over: share it among the others, exact or refused, or "
            "leave it, and draw fewer points; for random, balanced and superpixel. [share]"
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0
    classes: Annotated[Path | None, Field(description="Class table of the masks. [as in the masks]")] = None
    raster: Annotated[
        list[Place],
        Field(
            description="Raster of each mask, in their order: names it in the column raster, and its pixels without "
            "data are not drawn. [the mask's own name]"
        ),
    ] = []
    label_map: Annotated[
        list[Place],
        Field(description="Label map of each mask, in their order, for superpixel: path or key in the cache, or COG."),
    ] = []
    annotators: Annotated[
        int, Field(ge=1, description="Simulated annotators; each labels every point, with errors of its own.")
    ] = 1
    wrong: Annotated[
        float | None, Field(ge=0, le=1, description="Probability that an annotator gives a wrong class. [0]")
    ] = None
    confusion: Annotated[
        Path | None,
        Field(
            description="CSV of which class is taken for which (rows true); without --wrong also of how often. "
            "[all others alike]"
        ),
    ] = None
    jitter: Annotated[
        float, Field(ge=0, description="Standard deviation of where an annotator clicks, pixels in each direction.")
    ] = 0
    off_raster: Annotated[
        Literal["clip", "drop"], Field(description="A click beside the raster: clip it to the edge, or drop it.")
    ] = "clip"
    output: Annotated[
        Path,
        Field(description="The points: .gpkg, .parquet (GeoParquet), .geojson, or .csv (pixel rows and columns)."),
    ]
    overwrite: Annotated[bool, Field(description="Replace points that are there already.")] = False

    @model_validator(mode="after")
    def _one_for_each_mask(self) -> SampleSettings:
        for name, given in (("raster", self.raster), ("label_map", self.label_map)):
            if given and len(given) != len(self.masks):
                raise ValueError(
                    f"{len(self.masks)} masks and {len(given)} of {name}; give one for each mask, in order"
                )
        return self


class SuggestSettings(CacheSettings, PointColumnSettings):
    """Settings of `suggest`."""

    label_map: Annotated[
        Place,
        Positional(),
        Field(description="Label map: path or key in the cache, COG of ids; or the raster that one was made of."),
    ]
    strategy: Annotated[
        str,
        Field(description="coverage (largest), diversity (colours), uncertainty or disagreement (of --predictions)."),
    ] = "coverage"
    n_points: Annotated[int, Field(ge=1, description="Superpixels to ask for.")] = 20
    min_area: Annotated[
        int | None,
        Field(ge=1, description="Pixels of the smallest superpixel to ask for. [a quarter of the median]"),
    ] = None
    points: Annotated[
        list[Path], Field(description="Points that are there already, whatever their class; repeated for several.")
    ] = []
    predictions: Annotated[
        list[Path],
        Field(
            description="What models say of the raster, repeated for several: class probabilities (float, a band a "
            "class) or, for disagreement, class maps as well."
        ),
    ] = []
    classes: Annotated[Path | None, Field(description="Class table of the predictions. [as in class maps]")] = None
    raster: Annotated[
        Place | None, Field(description="Raster of the label map, for diversity. [the one it was made of]")
    ] = None
    output: Annotated[Path, Field(description="The points to label: .gpkg, .parquet (GeoParquet), .geojson, or .csv.")]
    overwrite: Annotated[bool, Field(description="Replace a file that is there already.")] = False
