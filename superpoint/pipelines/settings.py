"""The settings of every step: one model a step, whose field names are the flags and the keys of a TOML file.

A field's description is the flag's help. `Positional` marks what the command line takes without a flag.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, JsonValue, model_validator

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


def _as_text(value: object) -> object:
    """Take paths as text, one or several."""
    if isinstance(value, Path):
        return str(value)
    return [_as_text(one) for one in value] if isinstance(value, list | tuple) else value


def _as_number(value: object) -> object:
    """Take digits as a number."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _split_names(names: object) -> object:
    """Split names that are joined by commas."""
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return names
    return [word.strip() for name in names for word in name.split(",") if word.strip()]


type Place = Annotated[str, BeforeValidator(_as_text)]
"""A path or URL."""
type Band = Annotated[int | str, BeforeValidator(_as_number)]
"""A band's number from 1, or its name."""


def wherever(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON that mean the same in whatever folder they are read again."""
    paths = {name: str(value.absolute()) for name, value in settings if isinstance(value, Path)}
    return settings.model_dump(mode="json") | paths


class CacheSettings(Settings):
    """Where intermediate results are kept."""

    cache: Annotated[
        str,
        BeforeValidator(_as_text),
        Field(
            description="Folder of the cache, or s3://, gs://, az://. "
            "[$SUPERPOINT_CACHE, a checkout's cache/, or the user's cache folder]"
        ),
    ] = Field(default_factory=lambda: str(default_cache()))


class JobSettings(CacheSettings):
    """How the work is divided and done."""

    tile: Annotated[int, Field(description="Side of a tile in pixels, the unit of work: a multiple of 512.")] = 1024
    scheduler: Annotated[
        str,
        Field(
            pattern=r"^(inprocess|local:[1-9]\d*|.+://.+|[\w.-]+:\d+)$",
            description="Where tiles are computed: inprocess, local:N (N worker processes on this machine), or the "
            "address of a Dask scheduler, tcp://HOST:PORT.",
        ),
    ] = "inprocess"
    workers: Annotated[int, Field(ge=1, description="The same as --scheduler local:N.")] = 1
    retries: Annotated[
        int, Field(ge=0, description="How often a read or write that failed is tried again, each time after longer.")
    ] = 4
    timeout: Annotated[float, Field(gt=0, description="Seconds after which a tile is given up.")] = 600.0
    check: Annotated[
        Literal["bytes", "sizes"],
        Field(description="How tiles in the cache are looked at before they are trusted: every byte, or the sizes."),
    ] = "bytes"
    sharding: Annotated[
        bool, Field(description="Store each tile as one object, for object stores; GDAL reads shards from 3.13.")
    ] = False
    overwrite: Annotated[bool, Field(description="Replace outputs that are there already.")] = False

    @property
    def cluster(self) -> str:
        """Where the work is done."""
        return f"local:{self.workers}" if self.workers > 1 else self.scheduler

    @model_validator(mode="after")
    def _one_cluster(self) -> JobSettings:
        if self.workers > 1 and self.scheduler != "inprocess":
            raise ValueError("give workers or scheduler, not both")
        return self


class InputSettings(Settings):
    """Which rasters, and what of them."""

    rasters: Annotated[
        list[Place],
        Positional(),
        Field(
            min_length=1,
            description="Rasters: files, globs, folders, lists (.txt, .parquet), STAC Items (.json), s3:// gs:// "
            "https:// and /vsi paths.",
        ),
    ]
    bands: Annotated[
        list[Band], Field(description="Bands, numbers from 1 or names, repeated or listed. [all but alpha]")
    ] = []
    assets: Annotated[
        list[str],
        BeforeValidator(_split_names),
        Field(description="Assets of STAC Items by name; several are stacked as bands, as B04,B03,B02,B08."),
    ] = []
    mask_asset: Annotated[
        str | None, Field(description="Asset of STAC Items that tells which pixels to leave out, as scl.")
    ] = None
    mask_values: Annotated[list[int], Field(description="Values of the mask that are left out, as 3,8,9,10. [0]")] = []


class SuperpixelSettings(JobSettings, InputSettings):
    """Which superpixels."""

    algorithm: Annotated[str, Field(description="Superpixel algorithm, by name.")] = "slic"
    region_size: Annotated[float | None, Field(gt=0, description="Side of a superpixel in pixels, about. [20]")] = None
    n_segments: Annotated[
        int | None,
        Field(ge=1, description="Number of superpixels in each raster, about, instead of --region-size."),
    ] = None
    parameter: Annotated[
        dict[str, JsonValue],
        Field(
            description="Further parameters of the algorithm, NAME=VALUE, as compactness=20 or iterations=10.",
        ),
    ] = {}
    halo: Annotated[
        Literal["default", "exact"] | Annotated[int, Field(ge=0)],
        Field(
            description="Pixels read around a tile: default, exact (labels as if untiled), or a number.",
        ),
    ] = "default"
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0

    @model_validator(mode="after")
    def _one_size(self) -> SuperpixelSettings:
        if self.region_size is not None and self.n_segments is not None:
            raise ValueError("give region_size or n_segments, not both")
        return self


class SuperpixelizeSettings(SuperpixelSettings):
    """Settings of `superpixelize`."""

    output: Annotated[
        Path | None,
        Field(
            description="Also write the label map as a COG (uint32); a folder if there are several rasters.",
        ),
    ] = None
    dry_run: Annotated[
        bool, Field(description="Only say what would be done and what it would cost; computes one tile, writes none.")
    ] = False


class RunReference(CacheSettings):
    """Which run."""

    run: Annotated[str, Positional(), Field(description="Id of the run, the beginning of it, or latest.")]


class StatusSettings(RunReference):
    """Settings of `status`."""


class RetrySettings(RunReference):
    """Settings of `retry`."""

    scheduler: Annotated[str | None, Field(description="Where tiles are computed. [as in the run]")] = None
    workers: Annotated[int | None, Field(ge=1, description="The same as --scheduler local:N. [as in the run]")] = None
    timeout: Annotated[
        float | None, Field(gt=0, description="Seconds after which a tile is given up. [as in the run]")
    ] = None


class ReportSettings(RunReference):
    """Settings of `report`."""

    output: Annotated[Path | None, Field(description="The page. [report.html in the run's folder of the cache]")] = None
    pictures: Annotated[
        int, Field(ge=0, description="Rasters that are shown with their superpixels; those with failures come first.")
    ] = 60
    overwrite: Annotated[bool, Field(description="Replace a page that is there already.")] = False


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


class TrainSettings(CacheSettings):
    """Settings of `train`."""

    raster: Annotated[list[Path], Field(min_length=1, description="Training rasters, in the order of --labels.")]
    labels: Annotated[
        list[Path],
        Field(min_length=1, description="Pseudo-mask (COG or .zarr of the cache) or mask of each raster."),
    ]
    out: Annotated[Path, Field(description="Folder for checkpoints, metrics and settings.")]
    validation_raster: Annotated[
        list[Path], Field(description="Rasters that val_miou is measured on after each epoch.")
    ] = []
    validation_labels: Annotated[list[Path], Field(description="Mask of each validation raster.")] = []
    classes: Annotated[Path | None, Field(description="Class table, for masks that carry none. [as in the labels]")] = (
        None
    )
    bands: Annotated[list[int], Field(description="Band numbers from 1. [all but alpha]")] = []
    model: Annotated[str, Field(description="Segmentation network: unet or deeplabv3.")] = "unet"
    encoder: Annotated[str, Field(description="Encoder, any name of segmentation-models-pytorch.")] = "resnet34"
    loss: Annotated[str, Field(description="weighted-masked-mse or partial-cross-entropy.")] = "weighted-masked-mse"
    normalize: Annotated[
        Literal["all", "labelled"],
        Field(
            description="What weighted-masked-mse is divided by: all pixels, as published, or the labelled ones.",
        ),
    ] = "all"
    epochs: Annotated[int, Field(ge=1, description="Passes over all patches that have labels.")] = 20
    patch: Annotated[int, Field(ge=32, multiple_of=32, description="Side of a patch in pixels, a multiple of 32.")] = (
        256
    )
    batch_size: Annotated[int, Field(ge=1, description="Patches a step.")] = 8
    learning_rate: Annotated[float, Field(gt=0, description="Adam's step size.")] = 1e-3
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    loaders: Annotated[int, Field(ge=0, description="Processes that read patches; 0 reads in this process.")] = 0
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0
    resume: Annotated[bool, Field(description="Go on from the last checkpoint in --out.")] = False
    overwrite: Annotated[bool, Field(description="Replace what --out holds.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> TrainSettings:
        for rasters, labels in ((self.raster, self.labels), (self.validation_raster, self.validation_labels)):
            if len(rasters) != len(labels):
                raise ValueError(f"{len(rasters)} rasters and {len(labels)} labels; give one mask for each raster")
        return self


class TrainAffinitySettings(CacheSettings):
    """Settings of `train-affinity`."""

    raster: Annotated[list[Path], Field(min_length=1, description="Training rasters, in the order of --labels.")]
    labels: Annotated[
        list[Path], Field(min_length=1, description="Mask of each raster; unlabelled pixels are left out.")
    ]
    out: Annotated[Path, Field(description="Folder for the weights (affinity.safetensors), history and settings.")]
    validation_raster: Annotated[list[Path], Field(description="Rasters that the best epoch is chosen by.")] = []
    validation_labels: Annotated[list[Path], Field(description="Mask of each validation raster.")] = []
    classes: Annotated[Path | None, Field(description="Class table, for masks that carry none. [as in the labels]")] = (
        None
    )
    bands: Annotated[list[int], Field(description="Three band numbers from 1: red, green, blue. [all but alpha]")] = []
    width: Annotated[
        float, Field(gt=0, le=1, description="Multiplies the channels of the network; 1 is the published one.")
    ] = 0.25
    epochs: Annotated[int, Field(ge=1, description="Passes.")] = 30
    patches: Annotated[
        int | None, Field(ge=1, description="Patches a pass. [as many as cover the labelled pixels, drawn anywhere]")
    ] = None
    patch: Annotated[int, Field(ge=16, multiple_of=16, description="Side of a patch in pixels, a multiple of 16.")] = (
        256
    )
    batch_size: Annotated[int, Field(ge=1, description="Patches a step.")] = 4
    shrink: Annotated[
        float, Field(ge=1, description="Also learn from patches shrunk by up to this factor, as from coarser rasters.")
    ] = 1.0
    boundary_weight: Annotated[
        float, Field(gt=0, description="What a pair of pixels across a boundary weighs beside one within a segment.")
    ] = 10.0
    sharpness: Annotated[
        float, Field(gt=0, description="Power of the affinities in use: higher heeds boundaries more; 1 as published.")
    ] = 4.0
    sigma: Annotated[
        float,
        Field(ge=0, description="Affinities also fade where colours differ by this much; 0 as published: they do not."),
    ] = 0.08
    learning_rate: Annotated[float, Field(gt=0, description="Adam's highest step size.")] = 2e-3
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0
    overwrite: Annotated[bool, Field(description="Replace what --out holds.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> TrainAffinitySettings:
        for rasters, labels in ((self.raster, self.labels), (self.validation_raster, self.validation_labels)):
            if len(rasters) != len(labels):
                raise ValueError(f"{len(rasters)} rasters and {len(labels)} labels; give one mask for each raster")
        return self


class PredictSettings(Settings):
    """Settings of `predict`."""

    checkpoint: Annotated[Path, Positional(), Field(description="Checkpoint written by train.")]
    rasters: Annotated[list[Path], Positional(), Field(min_length=1, description="Rasters to map.")]
    output: Annotated[
        Path, Field(description="The map, a COG with a colour table; a folder if there are several rasters.")
    ]
    bands: Annotated[list[int], Field(description="Band numbers from 1. [those of the training]")] = []
    overlap: Annotated[
        int | None,
        Field(ge=0, description="Pixels by which patches overlap; they are blended. [a quarter of the patch]"),
    ] = None
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

    @model_validator(mode="after")
    def _pairs(self) -> EvaluateSettings:
        if len(self.maps) != len(self.truth):
            raise ValueError(f"{len(self.maps)} maps and {len(self.truth)} truths; give one truth for each map")
        return self


def _read_size(size: object) -> object:
    """Read ROWxCOL."""
    if not isinstance(size, str):
        return size
    rows, by, cols = size.lower().partition("x")
    if not (by and rows.strip().isdecimal() and cols.strip().isdecimal()):
        raise ValueError("write ROWxCOL in pixels, as 2048x2048")
    return int(rows), int(cols)


class AlgorithmsSettings(Settings):
    """Settings of `algorithms`: there are none."""


class CompareSettings(CacheSettings):
    """Settings of `compare`."""

    raster: Annotated[Path, Positional(), Field(description="Raster to superpixelize.")]
    algorithms: Annotated[
        list[str],
        BeforeValidator(_split_names),
        Field(min_length=1, description="Superpixel algorithms by name, separated by commas: slic,snic,hers."),
    ]
    truth: Annotated[
        Path | None, Field(description="True mask of the raster: class values, or colours with --classes.")
    ] = None
    classes: Annotated[Path | None, Field(description="Class table of the truth. [as in the mask]")] = None
    bands: Annotated[list[int], Field(description="Band numbers from 1, repeated or listed. [all but alpha]")] = []
    long_side: Annotated[
        int | None, Field(ge=16, description="Resize the raster first, to this many pixels along its longer side.")
    ] = None
    crop: Annotated[
        tuple[int, int] | None,
        BeforeValidator(_read_size),
        Field(description="Compare the centre only, ROWxCOL in pixels, as 2048x2048."),
    ] = None
    region_size: Annotated[float | None, Field(gt=0, description="Side of a superpixel in pixels, about. [20]")] = None
    n_segments: Annotated[
        int | None, Field(ge=1, description="Number of superpixels in the image compared, instead of --region-size.")
    ] = None
    parameter: Annotated[
        dict[str, JsonValue],
        Field(description="Further parameters, ALGORITHM.NAME=VALUE, as slic.compactness=20."),
    ] = {}
    tile: Annotated[int, Field(ge=16, description="Side of the tiles that seams are looked for between, pixels.")] = 512
    repeats: Annotated[int, Field(ge=1, description="Timed runs of each algorithm; their median counts.")] = 5
    output: Annotated[
        Path | None, Field(description="The picture: PNG, JPEG, PDF or SVG. [NAME.compare.png in the current folder]")
    ] = None
    overwrite: Annotated[bool, Field(description="Replace a picture that is there already.")] = False

    @model_validator(mode="after")
    def _one_of_each(self) -> CompareSettings:
        if self.region_size is not None and self.n_segments is not None:
            raise ValueError("give region_size or n_segments, not both")
        repeated = [name for name in self.algorithms if self.algorithms.count(name) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]} is listed twice; give each algorithm once")
        if self.crop is not None and min(self.crop) < 1:
            raise ValueError(f"crop needs at least one row and one column, got {self.crop[0]}x{self.crop[1]}")
        return self


class CutSettings(CacheSettings):
    """Settings of `cut`."""

    rasters: Annotated[list[Path], Positional(), Field(min_length=1, description="Rasters to superpixelize.")]
    bands: Annotated[list[int], Field(description="Band numbers from 1, repeated or listed. [all but alpha]")] = []
    n_segments: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(description="Number of superpixels of each level, separated by commas: 100,300,1000."),
    ] = []
    region_size: Annotated[
        list[Annotated[float, Field(ge=1)]],
        Field(description="Instead, the grid step of each level's superpixels in pixels: 10,20,40. [20]"),
    ] = []
    affinity: Annotated[
        Literal["gaussian", "dal"],
        Field(description="How like neighbouring pixels are: gaussian, by their colours, or dal, learned (3 bands)."),
    ] = "gaussian"
    sigma: Annotated[
        float,
        Field(gt=0, description="Difference in colour at which Gaussian affinity fades, in parts of a band's range."),
    ] = 0.05
    weights: Annotated[
        Path | None,
        Field(description="File of learned affinities, written by train-affinity. [those of superpoint]"),
    ] = None
    output: Annotated[
        Path | None,
        Field(description="Also write the label maps as a COG (uint32), a band a level; a folder for several rasters."),
    ] = None
    overwrite: Annotated[bool, Field(description="Replace outputs that are there already.")] = False

    @model_validator(mode="after")
    def _one_size(self) -> CutSettings:
        if self.n_segments and self.region_size:
            raise ValueError("give region_size or n_segments, not both")
        return self


class DemoSettings(Settings):
    """Settings of `demo`."""

    out: Annotated[Path, Field(description="Folder for everything the demo makes.")] = Path("superpoint-demo")
    size: Annotated[int, Field(ge=256, description="Side of each of the two scenes in pixels.")] = 768
    n_points: Annotated[int, Field(ge=6, description="Query points, the same number for each class.")] = 240
    epochs: Annotated[int, Field(ge=1, description="Passes of each of the two trainings.")] = 20
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    seed: Annotated[int, Field(ge=0, description="Seed of scenes, points and training.")] = 0
    overwrite: Annotated[bool, Field(description="Replace what --out holds.")] = False


class RunSettings(Settings):
    """Settings of `run`."""

    pipeline: Annotated[Path, Positional(), Field(description="Pipeline file (TOML).")]
    set: Annotated[
        dict[str, JsonValue],
        Field(description="Replace a setting of the file, NAME=VALUE or STEP.NAME=VALUE, as train.epochs=5."),
    ] = {}
    overwrite: Annotated[bool, Field(description="Replace what the pipeline's out folder holds.")] = False


def _read_age(age: object) -> object:
    """Read a time such as 30d."""
    if not isinstance(age, str):
        return age
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", age.lower())
    if not found:
        raise ValueError("a time is a number and one of s, m, h, d, w, as 30d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class CacheLsSettings(CacheSettings):
    """Settings of `cache ls`."""


class CacheInfoSettings(CacheSettings):
    """Settings of `cache info`."""

    key: Annotated[
        str,
        BeforeValidator(_as_text),
        Positional(),
        Field(description="The result: its path or URL, or the beginning of its key or digest."),
    ]


class CacheVerifySettings(CacheSettings):
    """Settings of `cache verify`."""

    keys: Annotated[
        list[Place],
        Positional(),
        Field(description="Results, each by its path or URL, or the beginning of its key or digest. [all]"),
    ] = []


class CacheGcSettings(CacheSettings):
    """Settings of `cache gc`."""

    older_than: Annotated[
        timedelta | None,
        BeforeValidator(_read_age),
        Field(description="What no run wrote or needed for so long: a number of s, m, h, d or w, as 30d."),
    ] = None
    larger_than: Annotated[
        ByteSize | None,
        Field(description="What was used longest ago, until the cache is down to this size, as 10GB."),
    ] = None
    source_gone: Annotated[bool, Field(description="What was made of a local raster that is gone or has changed.")] = (
        False
    )
    ask_remote: Annotated[
        bool, Field(description="With --source-gone also ask servers for the rasters that lie there.")
    ] = False
    leftovers: Annotated[
        bool, Field(description="What killed runs left behind: half-made groups, parts of tiles, turns, half objects.")
    ] = False
    yes: Annotated[bool, Field(description="Delete it; otherwise it is only listed.")] = False

    @model_validator(mode="after")
    def _something(self) -> CacheGcSettings:
        if self.older_than is None and self.larger_than is None and not (self.source_gone or self.leftovers):
            raise ValueError("say what may go: --older-than, --larger-than, --source-gone or --leftovers")
        if self.ask_remote and not self.source_gone:
            raise ValueError("ask_remote goes with source_gone; give both")
        return self


class CacheExportSettings(CacheSettings):
    """Settings of `cache export`."""

    key: Annotated[
        str,
        BeforeValidator(_as_text),
        Positional(),
        Field(description="Label map or pseudo-mask: its path or URL, or the beginning of its key or digest."),
    ]
    output: Annotated[
        Path,
        Positional(),
        Field(description="The file: .tif is a COG, .parquet (GeoParquet) and .gpkg are polygons with statistics."),
    ]
    no_statistics: Annotated[
        bool, Field(description="Polygons with areas and bounding boxes alone; the raster is not read.")
    ] = False
    raster: Annotated[
        Place | None, Field(description="The raster that statistics are of, if it is elsewhere now. [as recorded]")
    ] = None
    overwrite: Annotated[bool, Field(description="Replace outputs that are there already.")] = False
