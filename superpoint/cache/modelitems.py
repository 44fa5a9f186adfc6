"""What a STAC Item says of the model that made a map: the fields of the Machine Learning Model extension (MLM).

Written by hand as its specification has them, version 1.4.0: pystac knows the fields but writes one scaling where the
specification has one a band. The classes are those of the Classification extension.

References
----------
Charette-Migneault et al. (2024), "Machine Learning Model Specification for Cataloging Spatio-Temporal Models",
doi:10.1145/3681769.3698586.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pystac.extensions.classification import Classification
from pystac.extensions.mlm import MLMExtension, TaskType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from superpoint.classes import ClassTable

MLM = MLMExtension.get_schema_uri()
MODEL_ROLES = ("mlm:model", "mlm:weights", "mlm:checkpoint")
"""Roles of a checkpoint that rebuilds its model."""
ARTIFACTS = {".safetensors": "safetensors", ".onnx": "onnx"}  # what is no `torch.save` of PyTorch


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A trained network, as an Item describes it."""

    name: str
    """Of this model; letters, digits, blanks and `_.-`, with a letter first."""
    architecture: str
    """As the field calls it: U-Net, DeepLabV3, ..."""
    path: str
    """Absolute path of the checkpoint."""
    framework_version: str
    """PyTorch's."""
    n_parameters: int
    pretrained_source: str | None
    """What the encoder started from; None for random weights."""
    band_names: tuple[str, ...]
    """The bands that it sees, in order, as the raster's are called."""
    band_dtype: str
    """Data type of these bands as stored."""
    patch_size: int
    """Side of a patch in pixels."""
    batch_size: int
    """Patches at once, as the map was made."""
    scaling: tuple[tuple[float, float], ...]
    """Of each band what was scaled to 0 and to 1."""
    normalization: tuple[tuple[float, float], ...] = ()
    """Of each band the mean taken off and the deviation it is then divided by; none if empty."""
    classes: ClassTable
    output: str
    """What the raw outputs are, in a few words."""
    hyperparameters: Mapping[str, Any]
    """How it was trained; names of letters, digits and `_.-`, plain values."""

    @property
    def artifact_type(self) -> str:
        """How the checkpoint was written."""
        return next((kind for suffix, kind in ARTIFACTS.items() if self.path.endswith(suffix)), "torch.save")

    @property
    def media_type(self) -> str:
        """Of the checkpoint; no format of weights has one of its own."""
        return "application/octet-stream; framework=pytorch"


def model_fields(model: ModelFacts) -> dict[str, Any]:
    """Return the properties that describe a model.

    Parameters
    ----------
    model : ModelFacts
        The model.

    Returns
    -------
    dict
        Fields of an Item's `properties`, by their full names.
    """
    task = TaskType.SEMANTIC_SEGMENTATION.value
    n_bands, n_classes, size = len(model.band_names), len(model.classes), model.patch_size
    return {
        "mlm:name": model.name,
        "mlm:architecture": model.architecture,
        "mlm:tasks": [task],
        "mlm:framework": "PyTorch",
        "mlm:framework_version": model.framework_version,
        "mlm:total_parameters": model.n_parameters,
        "mlm:pretrained": model.pretrained_source is not None,
        "mlm:pretrained_source": model.pretrained_source,
        "mlm:batch_size_suggestion": model.batch_size,
        "mlm:input": [
            {
                "name": "patches",
                "bands": list(model.band_names),
                "input": _structure("channel", n_bands, size),
                "value_scaling": value_scaling(model.scaling, model.normalization),
                "resize_type": None,
            }
        ],
        "mlm:output": [
            {
                "name": "classes",
                "tasks": [task],
                "result": _structure("class", n_classes, size),
                "description": model.output,
                "classification:classes": class_objects(model.classes),
            }
        ],
        "mlm:hyperparameters": dict(model.hyperparameters),
    }


def value_scaling(
    scaling: Sequence[tuple[float, float]], normalization: Sequence[tuple[float, float]] = ()
) -> list[dict[str, Any]]:
    """Return the scaling of each band, in one step.

    Parameters
    ----------
    scaling : sequence of (float, float)
        Of each band what is scaled to 0 and to 1.
    normalization : sequence of (float, float), optional
        Of each scaled band the mean that is taken off and the deviation it is divided by.

    Examples
    --------
    >>> value_scaling([(0.0, 200.0)])
    [{'type': 'min-max', 'minimum': 0.0, 'maximum': 200.0}]
    >>> value_scaling([(0.0, 200.0)], [(0.5, 0.25)])
    [{'type': 'z-score', 'mean': 100.0, 'stddev': 50.0}]
    """
    spans = [(low, high if high > low else low + 1) for low, high in scaling]  # as `Scaling` takes a constant band
    if not normalization:
        return [{"type": "min-max", "minimum": low, "maximum": high} for low, high in spans]
    return [
        {"type": "z-score", "mean": low + mean * (high - low), "stddev": deviation * (high - low)}
        for (low, high), (mean, deviation) in zip(spans, normalization, strict=True)
    ]


def class_objects(classes: ClassTable) -> list[dict[str, Any]]:
    """Return a class table as the Classification extension has it; what its short names cannot hold is in the title.

    Examples
    --------
    >>> from superpoint.classes import ClassTable
    >>> class_objects(ClassTable.from_names(["bare soil"]))[0]["name"]
    'bare-soil'
    """
    return [
        Classification.create(
            value=one.value,
            name=re.sub(r"[^0-9A-Za-z_-]+", "-", one.name).strip("-") or f"class-{one.value}",
            title=one.name,
            color_hint=one.color.removeprefix("#"),
        ).to_dict()
        for one in classes.classes
    ]


def name_of_model(*words: str) -> str:
    """Return a name as the extension allows it.

    Examples
    --------
    >>> name_of_model("unet", "tu-lcnet_035", "3f2a")
    'unet tu-lcnet_035 3f2a'
    >>> name_of_model("fcn", "mit+b0")
    'fcn mit-b0'
    """
    return re.sub(r"[^a-zA-Z0-9_.\-\s]", "-", " ".join(words))


def _structure(axis: str, length: int, size: int) -> dict[str, Any]:
    """Describe batches of so many patches as come, float32."""
    order = ["batch", axis, "height", "width"]
    return {"shape": [-1, length, size, size], "dim_order": order, "data_type": "float32"}
