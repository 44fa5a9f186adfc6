"""Settings of the step that says which rasters train, validate and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from superpoint.pipelines.settings.base import Place, Positional, Settings, as_list, split_names

SHARES = [0.6, 0.2, 0.2]
TABLES = (".csv", ".parquet")


class SplitSettings(Settings):
    """Settings of `split`."""

    rasters: Annotated[
        list[Place],
        BeforeValidator(as_list),
        Positional(),
        Field(
            min_length=1,
            description="Rasters: files, globs, folders, lists; or one table (.csv, .parquet) with the columns raster, "
            "mask and --group-column.",
        ),
    ]
    masks: Annotated[
        list[str],
        BeforeValidator(as_list),
        Field(
            description="True mask of each raster: a pattern, as '{folder}/../masks/{stem}.png' or 'masks/{name}'; "
            "files in the order of the rasters; or globs, if the masks are called as the rasters are. [the table's]"
        ),
    ] = []
    group: Annotated[
        str | None,
        Field(
            description="Rasters that belong together: a regular expression found in their paths, as 'Tile (\\d+)'; "
            "what its first group matches, or all of it, is the name. [each raster its own]"
        ),
    ] = None
    group_column: Annotated[
        str | None, Field(description="Instead, the column of the table that names it. [group, if there is one]")
    ] = None
    shares: Annotated[
        list[float],
        Field(min_length=3, max_length=3, description="Shares of train, validation and test, as 60,20,20."),
    ] = SHARES
    train: Annotated[
        list[str],
        BeforeValidator(split_names),
        Field(description="Instead of --shares, the groups to train on, as 1,2,3,4."),
    ] = []
    validation: Annotated[list[str], BeforeValidator(split_names), Field(description="Groups to validate on.")] = []
    test: Annotated[list[str], BeforeValidator(split_names), Field(description="Groups to test on.")] = []
    seed: Annotated[int, Field(ge=0, description="Seed of the division by shares.")] = 0
    output: Annotated[Path, Field(description="The table (.csv): raster, mask, group, split.")]
    overwrite: Annotated[bool, Field(description="Replace a table that is there already.")] = False

    @property
    def table(self) -> Path | None:
        """The table that names the rasters; None if they are named otherwise."""
        path = Path(self.rasters[0])
        return path if len(self.rasters) == 1 and path.suffix in TABLES and path.is_file() else None

    @model_validator(mode="after")
    def _one_way(self) -> SplitSettings:
        if self.group is not None and self.group_column is not None:
            raise ValueError("give group or group_column, not both")
        if (self.validation or self.test) and not self.train:
            raise ValueError("name the groups to train on, too")
        if self.train and self.shares != SHARES:  # which the command line gives unasked
            raise ValueError("give shares or the groups to train on, not both")
        if self.masks and self.table is not None:
            raise ValueError("the masks of a table are its column mask; leave masks out")
        if self.output.suffix != ".csv":
            raise ValueError(f"the output is a table, .csv, got {self.output}")
        return self
