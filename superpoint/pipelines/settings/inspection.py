"""Settings of the look at pseudo-masks before anything is trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from superpoint.pipelines.settings.base import CacheSettings, Place, Positional


class InspectSettings(CacheSettings):
    """Settings of `inspect`."""

    pseudo_masks: Annotated[
        list[Place],
        Positional(),
        Field(
            min_length=1,
            description="Pseudo-masks: path or URL in a cache, the beginning of a key or digest, or a COG that label "
            "wrote. Several are pooled.",
        ),
    ]
    truth: Annotated[
        list[Path],
        Field(description="True mask of each, in their order: class values, or colours with --classes."),
    ] = []
    classes: Annotated[Path | None, Field(description="Class table of the truth. [as in the pseudo-masks]")] = None
    output: Annotated[Path | None, Field(description="The page. [NAME.inspect.html in this folder]")] = None
    pictures: Annotated[int, Field(ge=0, description="Superpixels that are shown as pictures, the worst first.")] = 12
    overwrite: Annotated[bool, Field(description="Replace what is there already, also if it is no such page.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> InspectSettings:
        if self.truth and len(self.truth) != len(self.pseudo_masks):
            given = f"{len(self.pseudo_masks)} pseudo-masks and {len(self.truth)} truths"
            raise ValueError(f"{given}; give one --truth for each, or none")
        return self
