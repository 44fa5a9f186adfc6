"""Settings of the step that hands out networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from superpoint.pipelines.settings.base import Positional, Settings

WEIGHTS, GRAPH = ".safetensors", ".onnx"


class ExportSettings(Settings):
    """Settings of `export`."""

    checkpoint: Annotated[Path, Positional(), Field(description="Checkpoint written by train, or an export of it.")]
    output: Annotated[
        Path,
        Field(
            description="NAME.safetensors: weights, with NAME.json beside them, which predict reads too. NAME.onnx: a "
            "graph from band values to class probabilities, for other programs."
        ),
    ]
    fixed_size: Annotated[
        bool,
        Field(description="Let the ONNX graph take patches of the training's size alone, as QGIS Deepness needs it."),
    ] = False
    overwrite: Annotated[bool, Field(description="Replace outputs that are there already.")] = False

    @model_validator(mode="after")
    def _known_suffix(self) -> ExportSettings:
        suffix = self.output.suffix.lower()
        if suffix not in (WEIGHTS, GRAPH):
            raise ValueError(f"cannot tell a format from the name of {self.output}; known suffixes: {WEIGHTS}, {GRAPH}")
        if self.fixed_size and suffix != GRAPH:
            raise ValueError(f"fixed_size is about {GRAPH} alone; weights take rasters of any size")
        return self
