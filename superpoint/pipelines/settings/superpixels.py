"""Settings of the steps from rasters to superpixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from superpoint.pipelines.settings.base import Band, CacheSettings, Place, Positional, Settings, split_names
from superpoint.pipelines.settings.jobs import JobSettings


def spread_numbers(bands: object) -> object:
    """Read 4,3,2 as three bands; a name is left whole, as it may hold a comma."""
    if not isinstance(bands, list | tuple):
        return bands
    words = (band.split(",") if isinstance(band, str) and re.fullmatch(r"[\d\s,]+", band) else [band] for band in bands)
    return [word for row in words for word in row]


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
        list[Band],
        BeforeValidator(spread_numbers),
        Field(description="Bands: numbers from 1, as 4,3,2, or names, repeated. [all but alpha and --mask-band]"),
    ] = []
    assets: Annotated[
        list[str],
        BeforeValidator(split_names),
        Field(description="Assets of STAC Items by name; several are stacked as bands, as B04,B03,B02,B08."),
    ] = []
    mask_asset: Annotated[
        str | None, Field(description="Asset of STAC Items that tells which pixels to leave out, as scl.")
    ] = None
    mask_band: Annotated[
        Band | None,
        Field(description="Band of the rasters themselves that does, by number or name: Fmask, a quality band."),
    ] = None
    mask_values: Annotated[list[int], Field(description="Values of the mask that are left out, as 3,8,9,10. [0]")] = []

    @model_validator(mode="after")
    def _one_mask(self) -> InputSettings:
        if self.mask_asset is not None and self.mask_band is not None:
            raise ValueError("give mask_asset or mask_band, not both")
        return self


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


class AlgorithmsSettings(Settings):
    """Settings of `algorithms`: there are none."""


def read_size(size: object) -> object:
    """Read ROWxCOL."""
    if not isinstance(size, str):
        return size
    rows, by, cols = size.lower().partition("x")
    if not (by and rows.strip().isdecimal() and cols.strip().isdecimal()):
        raise ValueError("write ROWxCOL in pixels, as 2048x2048")
    return int(rows), int(cols)


class CompareSettings(CacheSettings):
    """Settings of `compare`."""

    raster: Annotated[Path, Positional(), Field(description="Raster to superpixelize.")]
    algorithms: Annotated[
        list[str],
        BeforeValidator(split_names),
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
        BeforeValidator(read_size),
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
