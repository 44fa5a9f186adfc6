"""A trained network as an ONNX graph that takes band values as a raster holds them and gives class probabilities.

Scaling and normalisation are in the graph, so that nobody can leave them out. Where there is no data, the caller gives
NaN: the network then sees what it saw in training. Every graph is run by onnxruntime before it is handed out, because
an exporter may well write one that cannot be run at another size than it was traced at.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from superpoint.errors import InputError, MissingExtraError
from superpoint.inference import class_probabilities
from superpoint.scaling import Scaling
from superpoint.training.exports import METADATA, gives_logits
from superpoint.training.recipe import STRIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from superpoint.training.module import SegmentationModule
    from superpoint.training.recipe import Recipe

OPSET = 18  # the oldest that PyTorch's exporter writes without converting: onnxruntime 1.14 and later read it
INPUT, OUTPUT = "bands", "probabilities"
TOLERANCE = 1e-4  # mean difference of probabilities; a wrong graph is off by a hundred times that
SILENT = 4  # onnxruntime's level of fatal errors: it would print others beside raising them


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph that was run and found to do what the network does."""

    data: bytes
    """The ONNX file."""
    shape: tuple[int | str, ...]
    """Of the input, `(batch, bands, rows, cols)`; a name stands for any size, of rows and cols a multiple of 32."""
    largest_difference: float
    """Between its class probabilities and those of PyTorch."""


class FromBands(nn.Module):
    """From float32 band values (batch, bands, rows, cols) to class probabilities (batch, classes, rows, cols).

    Parameters
    ----------
    module : SegmentationModule
        The network with its recipe.
    """

    low: Tensor
    span: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, module: SegmentationModule) -> None:
        super().__init__()
        recipe = module.recipe
        low, span = Scaling(low=recipe.scaling_low, high=recipe.scaling_high).low_and_span()
        self.register_buffer("low", torch.from_numpy(low)[:, None, None])  # (band, 1, 1)
        self.register_buffer("span", torch.from_numpy(span)[:, None, None])
        self.register_buffer("mean", module.input_mean)
        self.register_buffer("std", module.input_std)
        self.normalized = bool(recipe.input_mean)
        self.are_logits = gives_logits(recipe)
        self.network = module.model
        self.eval()

    def forward(self, bands: Tensor) -> Tensor:
        """Return the class probabilities."""
        images = torch.nan_to_num((bands - self.low) / self.span)  # as `Scaling.apply` does
        if self.normalized:
            images = (images - self.mean) / self.std
        return class_probabilities(self.network(images), are_logits=self.are_logits)


def to_onnx(module: SegmentationModule, about: Mapping[str, Any], *, fixed_size: bool = False) -> Graph:
    """Write a network as a graph, for rasters of any size if it allows that.

    Parameters
    ----------
    module : SegmentationModule
        The network.
    about : mapping
        What is said of it, as `describe_network` returns it; kept in the graph under the key `superpoint`, beside what
        the QGIS plugin Deepness looks for.
    fixed_size : bool
        Whether rows and cols are fixed at the patch size.

    Returns
    -------
    Graph
        Batch norm is folded into convolutions, and nothing in it tells of this machine. Of a network that pools to
        several pixels the size is fixed in any case.

    Raises
    ------
    InputError
        If neither form can be made and run.
    MissingExtraError
        If the extra `onnx` is not installed.
    """
    require_onnx_extra()
    network, recipe = FromBands(module), module.recipe
    error: Exception | None = None
    for fixed in (True,) if fixed_size else (False, True):
        try:
            return _checked_graph(network, recipe, about, fixed=fixed)
        except Exception as refused:  # noqa: BLE001  # the exporter, onnx and onnxruntime have errors of their own
            error = refused
    raise InputError(
        f"{recipe.model} on {recipe.encoder} cannot be exported to ONNX ({type(error).__name__}); export it as "
        f".safetensors"
    ) from error


def require_onnx_extra() -> None:
    """Import what an export to ONNX needs.

    Raises
    ------
    MissingExtraError
        If onnx, onnxscript or onnxruntime is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _imported(package)


def _checked_graph(network: FromBands, recipe: Recipe, about: Mapping[str, Any], *, fixed: bool) -> Graph:
    data = _written(network, recipe, about, fixed=fixed)
    differences = [_difference(network, data, recipe, n_rows) for n_rows in _sizes(recipe, fixed=fixed)]
    if max(mean for mean, _ in differences) > TOLERANCE:
        raise ValueError("onnxruntime gives other probabilities than PyTorch")
    sides = (recipe.patch_size,) * 2 if fixed else ("rows", "cols")
    return Graph(
        data=data,
        shape=("batch", recipe.bands, *sides),
        largest_difference=max(largest for _, largest in differences),
    )


def _sizes(recipe: Recipe, *, fixed: bool) -> tuple[int, ...]:
    """Return the rows to try a graph with."""
    return (recipe.patch_size,) if fixed else (recipe.patch_size, recipe.patch_size + STRIDE)


def _written(network: FromBands, recipe: Recipe, about: Mapping[str, Any], *, fixed: bool) -> bytes:
    onnx = _imported("onnx")
    side = recipe.patch_size if fixed else STRIDE
    free = {0: "batch"} if fixed else {0: "batch", 2: "rows", 3: "cols"}
    # Sizes that differ: the exporter takes equal ones for one.
    example = torch.zeros(2, recipe.bands, side if fixed else 2 * side, side if fixed else 3 * side)
    with _undisturbed():
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_shapes=(free,),
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto  # type: ignore[union-attr]  # None without dynamo
    for node in graph.graph.node:
        del node.metadata_props[:]  # paths of the code that it was traced from
    del graph.graph.metadata_props[:]
    graph.ir_version = onnx.helper.find_min_ir_version_for(graph.opset_import)
    onnx.helper.set_model_props(graph, _properties(recipe, about))
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString(deterministic=True))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the exporter's words to itself; what goes wrong it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)


def _properties(recipe: Recipe, about: Mapping[str, Any]) -> dict[str, str]:
    """Return the graph's properties: ours, and those that the QGIS plugin Deepness reads.

    Deepness divides bytes by 255, takes a mean from them and divides by a deviation: these give the bytes back.
    Below `seg_thresh` it would count a pixel as the first class.
    """
    deepness = {
        "model_type": "Segmentor",
        "class_names": {str(c.value): c.name for c in recipe.classes.classes},
        "tile_size": recipe.patch_size,
        "tiles_overlap": 25,  # per cent
        "seg_thresh": 0.0,
        "standardization_mean": [0.0] * recipe.bands,
        "standardization_std": [1 / 255] * recipe.bands,
    }
    return {name: json.dumps(value, sort_keys=True) for name, value in {METADATA: dict(about), **deepness}.items()}


def _difference(network: FromBands, data: bytes, recipe: Recipe, n_rows: int) -> tuple[float, float]:
    """Return the mean and largest difference between what onnxruntime and PyTorch make of one random patch."""
    onnxruntime = _imported("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    drawn = torch.rand(1, recipe.bands, n_rows, recipe.patch_size, generator=torch.Generator().manual_seed(0))
    bands = network.low + network.span * drawn
    (found,) = session.run([OUTPUT], {INPUT: bands.numpy()})
    with torch.inference_mode():
        off = (network(bands) - torch.from_numpy(found)).abs()
    return float(off.mean()), float(off.max())


def _imported(package: str) -> Any:  # noqa: ANN401  # a module
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f'an export to ONNX needs {package}; install it with: pip install "superpoint[onnx]"'
        ) from error
