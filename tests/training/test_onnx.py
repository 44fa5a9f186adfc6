"""Graphs for other programs, run by onnxruntime and compared with PyTorch."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from superpoint.classes import ClassTable
from superpoint.errors import InputError, MissingExtraError
from superpoint.inference import class_probabilities
from superpoint.scaling import Scaling
from superpoint.training.exports import describe_network
from superpoint.training.module import SegmentationModule
from superpoint.training.onnx import Graph, to_onnx
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray


LOW, HIGH = (3.0, -10.0, 7.0), (250.0, 4000.0, 7.0)  # the third band is constant


def network(**changes: object) -> SegmentationModule:
    values: dict[str, object] = {
        "model": "fcn",
        "encoder": "resnet18",
        "classes": ClassTable.from_names(["road", "water"]),
        "frequencies": (0.5, 0.5),
        "loss": "partial-cross-entropy",
        "patch_size": 64,
        "scaling_low": LOW,
        "scaling_high": HIGH,
        "input_mean": (0.4, 0.5, 0.6),
        "input_std": (0.2, 0.2, 0.3),
    }
    return SegmentationModule(Recipe(**values | changes)).eval()


class Tiny(nn.Module):
    """Two convolutions with batch norm between, stands for a network where that is enough."""

    def __init__(self, bands: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(bands, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, n_classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.layers(images)
        return outputs


class PicksBySum(nn.Module):
    """Cannot be written as a graph: what is done depends on the values."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2] if float(images.sum()) > 0 else images[:, 1:]


class OfOneSize(nn.Module):
    """Knows patches of 64 pixels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.rand(64, 64))

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2] * self.places


def tiny(model: nn.Module | None = None, **changes: object) -> SegmentationModule:
    module = network(**changes)
    torch.manual_seed(0)
    module.model = model or Tiny(3, 2)
    return module.eval()


def graph_of(module: SegmentationModule, **options: bool) -> Graph:
    return to_onnx(module, describe_network(module, {"checkpoint": "c1"}), **options)


@pytest.fixture(scope="module")
def fixed() -> Graph:
    return graph_of(tiny(), fixed_size=True)


def run(graph: Graph, bands: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph.data, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"bands": bands})
    return np.asarray(found)


def expected(module: SegmentationModule, bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class probabilities as `predict` makes them: scale, run, make probabilities."""
    scaled = np.stack([Scaling(low=LOW, high=HIGH).apply(patch) for patch in bands])
    with torch.inference_mode():
        outputs = module(torch.from_numpy(scaled))
    return np.asarray(class_probabilities(outputs, are_logits=module.recipe.loss == "partial-cross-entropy"))


def some_bands(*shape: int) -> NDArray[np.float32]:
    low, high = (np.array(ends, np.float32)[:, None, None] for ends in (LOW, HIGH))
    bands = low + (high - low + 1) * np.random.default_rng(0).uniform(-0.2, 1.2, shape).astype(np.float32)
    bands[0, :, :5] = np.nan  # no data
    return bands


def test_a_graph_takes_band_values_of_any_number_and_size_and_gives_what_predict_makes_of_them() -> None:
    module = tiny()
    graph = graph_of(module)
    assert graph.shape == ("batch", 3, "rows", "cols")
    assert graph.largest_difference < 1e-4
    for shape in ((1, 3, 64, 64), (2, 3, 96, 32)):
        bands = some_bands(*shape)
        np.testing.assert_allclose(run(graph, bands), expected(module, bands), atol=1e-4)


def test_scores_of_a_squared_error_become_shares_that_add_up_to_1() -> None:
    module = tiny(loss="weighted-masked-mse", input_mean=(), input_std=())
    found = run(graph_of(module), some_bands(1, 3, 64, 64))
    np.testing.assert_allclose(found, expected(module, some_bands(1, 3, 64, 64)), atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_graph_of_one_size_says_so_and_batch_norm_is_folded_away(fixed: Graph) -> None:
    assert fixed.shape == ("batch", 3, 64, 64)
    model = onnx.load_from_string(fixed.data)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, 64, 64]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert __file__.encode() not in fixed.data  # nor where it was traced


def test_a_network_of_one_size_alone_becomes_a_graph_of_that_size() -> None:
    module = tiny(OfOneSize())
    graph = graph_of(module)
    assert graph.shape == ("batch", 3, 64, 64)
    np.testing.assert_allclose(
        run(graph, some_bands(2, 3, 64, 64)), expected(module, some_bands(2, 3, 64, 64)), atol=1e-4
    )


def test_a_network_that_cannot_be_a_graph_is_refused_in_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"fcn on resnet18 cannot be exported to ONNX .*; export it as \.safetensors"):
        graph_of(tiny(PicksBySum()), fixed_size=True)
    assert capfd.readouterr() == ("", "")


def test_the_properties_hold_the_json_and_what_qgis_deepness_reads(fixed: Graph) -> None:
    found = {p.key: json.loads(p.value) for p in onnx.load_from_string(fixed.data).metadata_props}
    assert found["superpoint"] == describe_network(tiny(), {"checkpoint": "c1"})
    assert (found["model_type"], found["tile_size"], found["tiles_overlap"]) == ("Segmentor", 64, 25)
    assert found["class_names"] == {"0": "road", "1": "water"}
    # What the plugin does to bytes: its words for it are standardize and normalize.
    mean, std = (np.array(found[f"standardization_{name}"], np.float32)[:, None] for name in ("mean", "std"))
    bands = np.tile(np.arange(256), (3, 1))
    np.testing.assert_allclose((np.float32(bands * (1.0 / 255.0)) - mean) / std, bands, rtol=1e-6)


def test_the_same_network_gives_the_same_graph(fixed: Graph) -> None:
    assert graph_of(tiny(), fixed_size=True) == fixed


def test_a_missing_extra_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r'needs onnxscript; install it with: pip install "superpoint\[onnx\]"'):
        graph_of(tiny())
