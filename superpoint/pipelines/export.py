"""A trained network as a file for others: safetensors with JSON, or an ONNX graph."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint import __version__
from superpoint.cache.cogs import check_output
from superpoint.cache.keys import file_digest
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.settings.export import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from superpoint.pipelines.settings import ExportSettings
    from superpoint.training.module import SegmentationModule


@dataclass(frozen=True, kw_only=True)
class ExportedNetwork:
    """A network as a file."""

    checkpoint: str
    output: str
    description: str | None
    """The JSON beside weights; a graph holds it."""
    n_bytes: int
    """Of the output."""
    n_parameters: int
    opset: int | None
    """Version of ONNX's operators that a graph is made of; this and the next two: None of weights."""
    input_shape: list[int | str] | None
    """`batch`, bands, rows and cols that a graph takes; `rows` and `cols` stand for any multiple of 32."""
    largest_difference: float | None
    """Between the class probabilities of a graph and of PyTorch, of random patches."""
    seconds: float


def export(settings: ExportSettings) -> ExportedNetwork:
    """Write a trained network as safetensors with its JSON, or as an ONNX graph.

    Parameters
    ----------
    settings : ExportSettings
        See the fields.

    Returns
    -------
    ExportedNetwork
        What was written, whole.

    Raises
    ------
    InputError
        If the checkpoint cannot be used, an output is there already, or the network cannot be exported.
    MissingExtraError
        If PyTorch, or what ONNX needs, is not installed.
    """
    started = time.perf_counter()
    require_train_extra()
    from superpoint.training.checkpoint import load_trained
    from superpoint.training.exports import describe_network

    for path in _outputs_of(settings):
        check_output(path, overwrite=settings.overwrite)
        if path.resolve() == settings.checkpoint.resolve():
            raise InputError(f"the output {path} is the input; give another output")
    trained = load_trained(settings.checkpoint)
    # An export of an export is from the checkpoint that the first one was from.
    origin = {"superpoint": __version__, "checkpoint": file_digest(settings.checkpoint), **trained.provenance}
    about = describe_network(trained.module, origin)
    write = _write_weights if settings.output.suffix.lower() == WEIGHTS else _write_graph
    facts = write(trained.module, about, settings)
    return ExportedNetwork(
        checkpoint=str(settings.checkpoint),
        output=str(settings.output),
        n_bytes=settings.output.stat().st_size,
        n_parameters=about["network"]["n_parameters"],
        seconds=round(time.perf_counter() - started, 3),
        **facts,
    )


def _outputs_of(settings: ExportSettings) -> list[Path]:
    if settings.output.suffix.lower() != WEIGHTS:
        return [settings.output]
    from superpoint.training.exports import description_of

    return [settings.output, description_of(settings.output)]


def _write_weights(module: SegmentationModule, about: Mapping[str, Any], settings: ExportSettings) -> dict[str, Any]:
    from superpoint.training.exports import save_network

    beside = save_network(module, settings.output, about)
    return {"description": str(beside), "opset": None, "input_shape": None, "largest_difference": None}


def _write_graph(module: SegmentationModule, about: Mapping[str, Any], settings: ExportSettings) -> dict[str, Any]:
    from superpoint.training.onnx import OPSET, to_onnx

    graph = to_onnx(module, about, fixed_size=settings.fixed_size)
    part = settings.output.with_name(f".{settings.output.name}.part")
    part.write_bytes(graph.data)
    part.replace(settings.output)
    return {
        "description": None,
        "opset": OPSET,
        "input_shape": list(graph.shape),
        "largest_difference": graph.largest_difference,
    }
