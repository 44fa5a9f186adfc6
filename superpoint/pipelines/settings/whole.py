"""Settings of what runs several steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from superpoint.pipelines.settings.base import Positional, Settings
from superpoint.pipelines.settings.jobs import SCHEDULER, WorkerSettings


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


class ExperimentSettings(WorkerSettings):
    """Settings of `experiment`."""

    experiment: Annotated[Path, Positional(), Field(description="Experiment file (TOML): a pipeline and its \\[grid].")]
    set: Annotated[
        dict[str, JsonValue],
        Field(description="Replace a setting of the file or an axis, as train.epochs=5 or grid.seed=\\[0,1]."),
    ] = {}
    estimate: Annotated[
        bool, Field(description="Only say what is left to do and how long it will take; times a few steps.")
    ] = False
    scheduler: Annotated[
        str,
        Field(
            pattern=SCHEDULER,
            description="Where cells are computed: inprocess, one after another (as on one GPU), local:N (N worker "
            "processes on this machine), or the address of a Dask scheduler, tcp://HOST:PORT.",
        ),
    ] = "inprocess"

    @property
    def n_workers(self) -> int:
        """Cells at a time, as far as is known before a cluster is asked."""
        return int(self.cluster.removeprefix("local:")) if self.cluster.startswith("local:") else 1
