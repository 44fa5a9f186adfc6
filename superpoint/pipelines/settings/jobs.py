"""Settings of how work is divided and done, and of the commands about runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from superpoint.pipelines.settings.base import CacheSettings, Positional, Settings

SCHEDULER = r"^(inprocess|local:[1-9]\d*|.+://.+|[\w.-]+:\d+)$"


class WorkerSettings(Settings):
    """Where the work is done."""

    scheduler: Annotated[
        str,
        Field(
            pattern=SCHEDULER,
            description="Where the work is done: inprocess, local:N (N worker processes on this machine), or the "
            "address of a Dask scheduler, tcp://HOST:PORT.",
        ),
    ] = "inprocess"
    workers: Annotated[int, Field(ge=1, description="The same as --scheduler local:N.")] = 1

    @property
    def cluster(self) -> str:
        """Where the work is done."""
        return f"local:{self.workers}" if self.workers > 1 else self.scheduler

    @model_validator(mode="after")
    def _one_cluster(self) -> WorkerSettings:
        if self.workers > 1 and self.scheduler != "inprocess":
            raise ValueError("give workers or scheduler, not both")
        return self


class ClusterSettings(WorkerSettings, CacheSettings):
    """Where the work is done, and where its intermediate results are kept."""


class JobSettings(ClusterSettings):
    """How the work is divided and done."""

    tile: Annotated[int, Field(description="Side of a tile in pixels, the unit of work: a multiple of 512.")] = 1024
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

    run: Annotated[
        str,
        Positional(),
        Field(description="Id of the run, the beginning of it, or latest; or the folder of an experiment."),
    ]
    output: Annotated[
        Path | None,
        Field(description="The page. [report.html in the run's folder of the cache, or in that of the experiment]"),
    ] = None
    pictures: Annotated[
        int, Field(ge=0, description="Rasters that are shown with their superpixels; those with failures come first.")
    ] = 60
    overwrite: Annotated[bool, Field(description="Replace a page that is there already.")] = False
