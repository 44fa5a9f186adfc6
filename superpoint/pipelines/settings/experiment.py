"""What the report of an experiment shows: the table `[report]` of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from superpoint.errors import InputError
from superpoint.experiments.results import Axis, axis_of_repeats
from superpoint.pipelines.settings.base import Settings

METRIC = (
    r"^(miou|micro_iou|mean_f1|frequency_weighted_iou|kappa|pixel_accuracy|boundary_miou|val_miou|label_accuracy|"
    r"coverage|train_loss|seconds|n_points|n_patches|epochs|iou_.+)$"
)

type Metric = Annotated[str, Field(pattern=METRIC)]
"""A column of numbers of an experiment's results."""


class ExperimentReportSettings(Settings):
    """The table `[report]` of an experiment's file; all of it may be left out."""

    metric: Annotated[Metric, Field(description="What curves, ratios and verdicts are about.")] = "miou"
    metrics: Annotated[list[Metric], Field(description="Further columns of the table.")] = [
        "mean_f1", "pixel_accuracy", "boundary_miou",
    ]  # fmt: skip
    x: Annotated[
        str | None, Field(description="Axis that is drawn from left to right. [first of numbers with three or more]")
    ] = None
    lines: Annotated[str | None, Field(description="Axis that has a line for each value. [first of the others]")] = None
    panels: Annotated[str | None, Field(description="Axis that has a chart for each value. [the next]")] = None
    repeats: Annotated[str, Field(description="Axis that is averaged over.")] = "seed"
    reference: Annotated[
        dict[str, JsonValue],
        Field(description="What all is compared with, axis = value: ratios are shown, each of the same repeat."),
    ] = {}
    target_ratio: Annotated[
        float | None, Field(gt=0, description="Ratio to the reference that is aimed at, drawn as a line.")
    ] = None
    examples: Annotated[int, Field(ge=0, le=50, description="Test rasters whose maps are shown.")] = 3

    @model_validator(mode="after")
    def _one_place_each(self) -> ExperimentReportSettings:
        named = [name for name in (self.x, self.lines, self.panels, self.repeats) if name]
        twice = [name for name in named if named.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is given for two of x, lines, panels and repeats; give each axis one place")
        if self.target_ratio is not None and not self.reference:
            raise ValueError("target_ratio is a ratio to the reference; give one")
        return self


def check_report(settings: ExperimentReportSettings, axes: Mapping[str, Sequence[object]]) -> None:
    """Refuse a report that names what the grid does not have.

    Parameters
    ----------
    settings : ExperimentReportSettings
        The table `[report]`.
    axes : mapping of str to sequence
        Values of each axis of the grid, by its name.

    Raises
    ------
    InputError
        If it does; the message names it.
    """
    for key in ("x", "lines", "panels"):
        name = getattr(settings, key)
        if name and name not in axes:
            raise InputError(f"report.{key} = {name!r} is no axis of the grid; its axes are {', '.join(axes)}")
    if "repeats" in settings.model_fields_set:
        _check_repeats(settings.repeats, axes)
    if settings.x and not all(_is_number(value) for value in axes[settings.x]):
        raise InputError(f"report.x = {settings.x!r} has values that are no numbers; leave x out, or give another axis")
    for name, value in settings.reference.items():
        if name not in axes:
            raise InputError(f"report.reference names {name!r}, no axis of the grid; its axes are {', '.join(axes)}")
        if value not in axes[name]:
            known = ", ".join(str(one) for one in axes[name])
            raise InputError(f"report.reference has {name} = {value!r}, which the grid has not; it has {known}")


def _check_repeats(name: str, axes: Mapping[str, Sequence[object]]) -> None:
    """Refuse repeats that were asked for and are none: nothing would be averaged; "" asks for that."""
    if name and axis_of_repeats([Axis(name=axis, values=()) for axis in axes], name) is None:
        raise InputError(
            f"report.repeats = {name!r} is no axis of the grid, nor the end of just one; its axes are {', '.join(axes)}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
