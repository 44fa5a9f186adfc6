"""Settings of the step that says which rasters train, validate and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from superpoint.pipelines.settings.base import Place, Positional, Settings, as_list, split_names


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
            description="True mask of each raster: a pattern, as '{folder}/../masks/{stem}.png' or 'masks/{name}', or "
            "files and globs in the order of the rasters. [the table's]"
        ),
    ] = []
    group: Annotated[
        str | None,
        Field(
            description="Rasters that belong together: a regular expression found in their paths, as 'Tile (\\d+)'; "
            "what its first group matches, or all of it, is the name. [each raster its own]"
        ),
    ] = None
    group_column: Annotated[str | None, Field(description="Instead, the column of the table that names it.")] = None
    shares: Annotated[
        list[float],
        Field(min_length=3, max_length=3, description="Shares of train, validation and test, as 60,20,20."),
    ] = [0.6, 0.2, 0.2]
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

    @model_validator(mode="after")
    def _one_way(self) -> SplitSettings:
        if self.group is not None and self.group_column is not None:
            raise ValueError("give group or group_column, not both")
        if (self.validation or self.test) and not self.train:
            raise ValueError("name the groups to train on, too")
        if self.output.suffix != ".csv":
            raise ValueError(f"the output is a table, .csv, got {self.output}")
        return self
