"""Settings of the care of the cache."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ByteSize, Field, model_validator

from superpoint.pipelines.settings.base import CacheSettings, Place, Positional, as_text


def read_age(age: object) -> object:
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
        BeforeValidator(as_text),
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
        BeforeValidator(read_age),
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
        BeforeValidator(as_text),
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
