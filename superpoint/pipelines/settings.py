"""The settings of every step: one model a step, whose field names are the flags and the keys of a TOML file.

A field's description is the flag's help. `Positional` marks what the command line takes without a flag.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

import superpoint


class Positional:
    """Marks a field that the command line takes by its place."""


class Settings(BaseModel):
    """Checked and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def default_cache() -> Path:
    """Return `$SUPERPOINT_CACHE`, else the checkout's `cache/`, else the user's cache folder."""
    checkout = Path(superpoint.__file__).parents[1] / "cache"
    if os.environ.get("SUPERPOINT_CACHE"):
        return Path(os.environ["SUPERPOINT_CACHE"])
    return checkout if (checkout / "README.md").exists() else Path(platformdirs.user_cache_dir("superpoint"))


class CacheSettings(Settings):
    """Where intermediate results are kept."""

    cache: Annotated[
        Path,
        Field(
            default_factory=default_cache,
            description="Folder of the cache. [$SUPERPOINT_CACHE, cache/ of a checkout, or the user's cache folder]",
        ),
    ]


class JobSettings(CacheSettings):
    """How the work is divided and done."""

    tile: Annotated[
        int, Field(1024, description="Side of a tile in pixels, the unit of work: a multiple of 512.")
    ]
    workers: Annotated[
        int, Field(1, ge=1, description="Worker processes on this machine; 1 works in this process.")
    ]
    scheduler: Annotated[
        str | None, Field(None, description="Address of a Dask scheduler to use instead, tcp://HOST:PORT.")
    ]
    retries: Annotated[int, Field(2, ge=0, description="How often a tile that fails is tried again.")]
    overwrite: Annotated[bool, Field(False, description="Replace outputs that are there already.")]


class SuperpixelSettings(JobSettings):
    """Which superpixels."""

    bands: Annotated[
        list[int], Field([], description="Band numbers from 1, repeated or listed. [all but alpha]")
    ]
    algorithm: Annotated[str, Field("slic", description="Superpixel algorithm, by name.")]
    region_size: Annotated[
        float | None, Field(None, gt=0, description="Grid step of the superpixels in pixels. [20]")
    ]
    n_segments: Annotated[
        int | None,
        Field(None, ge=1, description="Number of superpixels in each raster, instead of --region-size."),
    ]
    parameter: Annotated[
        dict[str, JsonValue],
        Field(
            {},
            description="Further parameters of the algorithm, NAME=VALUE, as compactness=10 or iterations=10.",
        ),
    ]
    halo: Annotated[
        Literal["default", "exact"] | Annotated[int, Field(ge=0)],
        Field(
            "default",
            description="Pixels read around a tile: default, exact (labels as if untiled), or a number.",
        ),
    ]
    seed: Annotated[int, Field(0, ge=0, description="Seed of everything random.")]

    @model_validator(mode="after")
    def _one_size(self) -> SuperpixelSettings:
        if self.region_size is not None and self.n_segments is not None:
            raise ValueError("give region_size or n_segments, not both")
        return self


class SuperpixelizeSettings(SuperpixelSettings):
    """Settings of `superpixelize`."""

    rasters: Annotated[list[Path], Positional(), Field(min_length=1, description="Rasters to superpixelize.")]
    output: Annotated[
        Path | None,
        Field(
            None,
            description="Also write the label map as a COG (uint32); a folder if there are several rasters.",
        ),
    ]


class LabelSettings(SuperpixelSettings):
    """Settings of `label`."""

    rasters: Annotated[
        list[Path], Positional(), Field(min_length=1, description="Rasters that the points lie on.")
    ]
    points: Annotated[
        Path,
        Field(
            description="Query points: GeoPackage, GeoJSON, GeoParquet, Shapefile, or CSV (x,y | lon,lat | row,col)."
        ),
    ]
    class_column: Annotated[
        str, Field("class", description="Column of the points' class, a name or a value.")
    ]
    classes: Annotated[
        Path | None,
        Field(
            None,
            description="Class table (TOML: [[class]] name, value, color). [the names found in the points]",
        ),
    ]
    points_crs: Annotated[
        str | None, Field(None, description="CRS of the points where the file has none, as EPSG:4326.")
    ]
    tie: Annotated[
        Literal["lowest", "ignore"],
        Field("lowest", description="A tied vote: the lowest class, or ignore (left unlabelled)."),
    ]
    output: Annotated[
        Path | None,
        Field(
            None,
            description="Also write the pseudo-mask as a COG, and NAME.evidence.tif (vote share, votes) and NAME.points.parquet (the account of every point); a folder if there are several rasters.",
        ),
    ]


class TrainSettings(CacheSettings):
    """Settings of `train`."""

    raster: Annotated[
        list[Path], Field(min_length=1, description="Training rasters, in the order of --labels.")
    ]
    labels: Annotated[
        list[Path],
        Field(min_length=1, description="Pseudo-mask (COG or .zarr of the cache) or mask of each raster."),
    ]
    out: Annotated[Path, Field(description="Folder for checkpoints, metrics and settings.")]
    validation_raster: Annotated[
        list[Path], Field([], description="Rasters that val_miou is measured on after each epoch.")
    ]
    validation_labels: Annotated[list[Path], Field([], description="Mask of each validation raster.")]
    classes: Annotated[
        Path | None, Field(None, description="Class table, for masks that carry none. [as in the labels]")
    ]
    bands: Annotated[list[int], Field([], description="Band numbers from 1. [all but alpha]")]
    model: Annotated[str, Field("unet", description="Segmentation network: unet or deeplabv3.")]
    encoder: Annotated[
        str, Field("resnet34", description="Encoder, any name of segmentation-models-pytorch.")
    ]
    loss: Annotated[
        str, Field("weighted-masked-mse", description="weighted-masked-mse or partial-cross-entropy.")
    ]
    normalize: Annotated[
        Literal["all", "labelled"],
        Field(
            "labelled",
            description="What weighted-masked-mse is divided by: all pixels (as published) or the labelled ones.",
        ),
    ]
    epochs: Annotated[int, Field(20, ge=1, description="Passes over all patches that have labels.")]
    patch: Annotated[
        int, Field(256, ge=32, multiple_of=32, description="Side of a patch in pixels, a multiple of 32.")
    ]
    batch_size: Annotated[int, Field(8, ge=1, description="Patches a step.")]
    learning_rate: Annotated[float, Field(1e-3, gt=0, description="Adam's step size.")]
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field("auto", description="auto takes a GPU if there is one.")
    ]
    loaders: Annotated[
        int, Field(0, ge=0, description="Processes that read patches; 0 reads in this process.")
    ]
    seed: Annotated[int, Field(0, ge=0, description="Seed of everything random.")]
    resume: Annotated[bool, Field(False, description="Go on from the last checkpoint in --out.")]
    overwrite: Annotated[bool, Field(False, description="Replace what --out holds.")]

    @model_validator(mode="after")
    def _pairs(self) -> TrainSettings:
        for rasters, labels in ((self.raster, self.labels), (self.validation_raster, self.validation_labels)):
            if len(rasters) != len(labels):
                raise ValueError(
                    f"{len(rasters)} rasters and {len(labels)} labels; give one mask for each raster"
                )
        return self


class PredictSettings(Settings):
    """Settings of `predict`."""

    checkpoint: Annotated[Path, Positional(), Field(description="Checkpoint written by train.")]
    rasters: Annotated[list[Path], Positional(), Field(min_length=1, description="Rasters to map.")]
    output: Annotated[
        Path, Field(description="The map, a COG with a colour table; a folder if there are several rasters.")
    ]
    bands: Annotated[list[int], Field([], description="Band numbers from 1. [all but alpha]")]
    overlap: Annotated[int, Field(64, ge=0, description="Pixels by which patches overlap; they are blended.")]
    batch_size: Annotated[int, Field(8, ge=1, description="Patches a step.")]
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field("auto", description="auto takes a GPU if there is one.")
    ]
    overwrite: Annotated[bool, Field(False, description="Replace outputs that are there already.")]


class EvaluateSettings(Settings):
    """Settings of `evaluate`."""

    maps: Annotated[list[Path], Positional(), Field(min_length=1, description="Maps to judge.")]
    truth: Annotated[
        list[Path],
        Field(min_length=1, description="True mask of each map: class values, or colours with --classes."),
    ]
    classes: Annotated[Path | None, Field(None, description="Class table. [as in the map]")]

    @model_validator(mode="after")
    def _pairs(self) -> EvaluateSettings:
        if len(self.maps) != len(self.truth):
            raise ValueError(
                f"{len(self.maps)} maps and {len(self.truth)} truths; give one truth for each map"
            )
        return self


class DemoSettings(Settings):
    """Settings of `demo`."""

    out: Annotated[Path, Field(Path("superpoint-demo"), description="Folder for everything the demo makes.")]
    size: Annotated[int, Field(768, ge=256, description="Side of each of the two scenes in pixels.")]
    n_points: Annotated[int, Field(240, ge=6, description="Query points, the same number for each class.")]
    epochs: Annotated[int, Field(12, ge=1, description="Passes of each of the two trainings.")]
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field("auto", description="auto takes a GPU if there is one.")
    ]
    seed: Annotated[int, Field(0, ge=0, description="Seed of scenes, points and training.")]
    overwrite: Annotated[bool, Field(False, description="Replace what --out holds.")]


class RunSettings(Settings):
    """A pipeline file: what its steps share, and a table for each step that is to be done."""

    out: Annotated[Path, Field(description="Folder for all results.")]
    rasters: Annotated[list[Path], Field(min_length=1, description="Rasters that the steps work on.")]
    superpixelize: dict[str, Any] | None = None
    label: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    predict: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None
    overwrite: Annotated[bool, Field(False, description="Replace outputs that are there already.")]
