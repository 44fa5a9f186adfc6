"""Settings of the steps from query points to pseudo-masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from superpoint.pipelines.settings.base import split_names
from superpoint.pipelines.settings.points import PointSettings
from superpoint.pipelines.settings.superpixels import SuperpixelSettings


class LabelSettings(SuperpixelSettings, PointSettings):
    """Settings of `label`."""

    tie: Annotated[
        Literal["lowest", "ignore"],
        Field(description="A tied vote: the lowest class, or ignore (left unlabelled)."),
    ] = "lowest"
    min_votes: Annotated[int, Field(ge=1, description="Superpixels with fewer votes are left unlabelled.")] = 1
    min_share: Annotated[
        float,
        Field(ge=0, le=1, description="Superpixels whose leading class has a smaller share of the votes are left so."),
    ] = 0.0
    balance_annotators: Annotated[
        bool,
        Field(description="Each annotator has one vote in a superpixel, however many points (--annotator-column)."),
    ] = False
    improve: Annotated[
        list[str],
        BeforeValidator(split_names),
        Field(description="Steps after the vote, in order: remove-suspects, fill-nearest, propagate."),
    ] = []
    improve_parameter: Annotated[
        dict[str, JsonValue],
        Field(description="Parameters of the steps, STEP.NAME=VALUE, as propagate.min_confidence=0.9."),
    ] = {}
    shares: Annotated[
        bool, Field(description="Also keep the share of the votes that each class has: probabilities, a band a class.")
    ] = False
    output: Annotated[
        Path | None,
        Field(
            description="Also write the pseudo-mask as a COG, with NAME.evidence.tif (vote share, votes, flags) and "
            "NAME.points.parquet (what became of every point) beside it; a folder if there are several rasters.",
        ),
    ] = None

    @model_validator(mode="after")
    def _know_the_annotators(self) -> Self:
        if self.balance_annotators and self.annotator_column is None:
            raise ValueError(
                "balance_annotators needs to know who set each point; name the column with annotator_column"
            )
        return self
