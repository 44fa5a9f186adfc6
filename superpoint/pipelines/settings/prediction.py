"""Settings of the steps from a network to a judged map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from superpoint.pipelines.settings.base import Place, Positional, Settings, as_list
from superpoint.pipelines.settings.jobs import ClusterSettings


class PredictSettings(ClusterSettings):
    """Settings of `predict`."""

    checkpoint: Annotated[Path, Positional(), Field(description="Checkpoint written by train, or an exported model.")]
    rasters: Annotated[
        list[Place],
        Positional(),
        Field(
            min_length=1,
            description="Rasters to map: files, globs, folders, lists (.txt, .parquet), STAC Items (.json), s3:// "
            "gs:// https:// and /vsi paths.",
        ),
    ]
    output: Annotated[
        Path, Field(description="The map, a COG with a colour table; a folder if there are several rasters.")
    ]
    bands: Annotated[list[int], Field(description="Band numbers from 1. [those of the training]")] = []
    overlap: Annotated[
        int | None,
        Field(ge=0, description="Pixels by which patches overlap; they are blended. [a quarter of the patch]"),
    ] = None
    flips: Annotated[
        Literal["none", "mirrors", "all"],
        Field(
            description="Mean over views of each patch: none, as it is; mirrors, 4 of them; all, the 8 symmetries of "
            "the square. So many times the time."
        ),
    ] = "none"
    crisp: Annotated[
        list[Place],
        BeforeValidator(as_list),
        Field(
            description="Give each superpixel one class: a label map for each raster (key, path, COG of ids), or auto "
            "for the one that the cache holds of it. [every pixel its own class]"
        ),
    ] = []
    probabilities: Annotated[
        bool,
        Field(description="Also write NAME.probabilities.tif, a band a class, as suggest takes it."),
    ] = False
    batch_size: Annotated[int, Field(ge=1, description="Patches a step.")] = 8
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    overwrite: Annotated[bool, Field(description="Replace outputs that are there already.")] = False


class EvaluateSettings(Settings):
    """Settings of `evaluate`."""

    maps: Annotated[list[Path], Positional(), Field(min_length=1, description="Maps to judge.")]
    truth: Annotated[
        list[Path],
        Field(min_length=1, description="True mask of each map: class values, or colours with --classes."),
    ]
    classes: Annotated[Path | None, Field(description="Class table. [as in the map]")] = None
    boundary_width: Annotated[
        int | None,
        Field(
            ge=0,
            le=1024,
            description="How far from the outlines of classes boundary IoU looks, in pixels; 0 leaves it out. "
            "[2 % of each raster's diagonal, at most 256]",
        ),
    ] = None
    bootstrap: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="Resamples of the rasters that 95 % intervals are made of; 0 makes no intervals.",
        ),
    ] = 1000
    seed: Annotated[int, Field(ge=0, description="Seed of the resamples.")] = 0
    error_map: Annotated[
        Path | None,
        Field(
            description="Where each map is wrong, as a COG with a colour table: the true class there, 254 where it is "
            "right; a folder if there are several maps."
        ),
    ] = None
    overwrite: Annotated[bool, Field(description="Replace error maps that are there already.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> EvaluateSettings:
        if len(self.maps) != len(self.truth):
            raise ValueError(f"{len(self.maps)} maps and {len(self.truth)} truths; give one truth for each map")
        return self
