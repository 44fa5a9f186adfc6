"""From a checkpoint to files for others, and back to maps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch
from pydantic import ValidationError
from smallworld import CLASSES, two_fields, write_raster

from superpoint.errors import InputError
from superpoint.pipelines.export import export
from superpoint.pipelines.predict import predict
from superpoint.pipelines.settings import ExportSettings, PredictSettings
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def checkpoint(path: Path, **changes: object) -> Path:
    """Write what training writes, of random weights."""
    values: dict[str, object] = {
        "model": "unet", "encoder": "tu-lcnet_035", "classes": CLASSES, "frequencies": (0.5, 0.5), "patch_size": 64,
        "loss": "partial-cross-entropy", "scaling_low": (60.0,) * 3, "scaling_high": (180.0,) * 3,
        "band_numbers": (1, 2, 3), "data": "d1",
    }  # fmt: skip
    module = SegmentationModule(Recipe(**values | changes))
    saved = {"hyper_parameters": dict(module.hparams), "state_dict": module.state_dict(), "epoch": 4, "global_step": 20}
    torch.save(saved, path)
    return path


def scene(folder: Path, shape: tuple[int, int]) -> Path:
    image, _ = two_fields(shape, seed=0)
    image[:, :10, :20] = 0
    return write_raster(folder / "scene.tif", image, nodata=0)


def mapped(network: Path, raster: Path, output: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    (made,) = predict(PredictSettings(checkpoint=network, rasters=[raster], output=output, probabilities=True))
    with rasterio.open(made.output) as classes, rasterio.open(made.probabilities) as probabilities:
        return classes.read(1), probabilities.read()


def test_a_network_maps_the_same_from_its_checkpoint_and_from_its_export(tmp_path: Path) -> None:
    made = export(ExportSettings(checkpoint=checkpoint(tmp_path / "a.ckpt"), output=tmp_path / "net.safetensors"))
    assert made.description == str(tmp_path / "net.json")
    assert made.n_bytes == (tmp_path / "net.safetensors").stat().st_size
    raster = scene(tmp_path, (100, 130))
    one = mapped(tmp_path / "a.ckpt", raster, tmp_path / "one.tif")
    other = mapped(tmp_path / "net.safetensors", raster, tmp_path / "other.tif")
    assert len(np.unique(one[0])) == 3  # both classes, and no data
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


def test_a_graph_run_on_band_values_gives_the_map_of_predict(tmp_path: Path) -> None:
    ckpt, output = checkpoint(tmp_path / "a.ckpt", model="fcn", encoder="resnet18"), tmp_path / "net.onnx"
    made = export(ExportSettings(checkpoint=ckpt, output=output))
    assert (made.opset, made.input_shape, made.description) == (18, ["batch", 3, "rows", "cols"], None)
    assert made.largest_difference is not None
    assert made.largest_difference < 1e-4
    raster = scene(tmp_path, (64, 64))
    classes, probabilities = mapped(ckpt, raster, tmp_path / "map.tif")
    with rasterio.open(raster) as dataset:
        bands = dataset.read(masked=True).astype(np.float32).filled(np.nan)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"bands": bands[None]})
    valid = classes != 255
    np.testing.assert_allclose(found[0][:, valid], probabilities[:, valid], atol=1e-4)
    assert np.mean(found[0].argmax(axis=0)[valid] == classes[valid]) > 0.999  # but for ties in the last digit


def test_an_export_knows_its_checkpoint_also_when_it_is_exported_again(tmp_path: Path) -> None:
    ckpt = checkpoint(tmp_path / "a.ckpt")
    export(ExportSettings(checkpoint=ckpt, output=tmp_path / "one.safetensors"))
    export(ExportSettings(checkpoint=tmp_path / "one.safetensors", output=tmp_path / "two.safetensors"))
    about = json.loads((tmp_path / "one.json").read_text())
    assert about["provenance"].keys() == {"data", "superpoint", "checkpoint", "epoch", "step"}
    assert (about["provenance"]["data"], about["provenance"]["epoch"], about["provenance"]["step"]) == ("d1", 5, 20)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert about["network"]["n_parameters"] == sum(
        weight.numel()
        for name, weight in torch.load(ckpt, weights_only=True)["state_dict"].items()
        if "running" not in name and "num_batches" not in name
    )


@pytest.mark.parametrize("there", ["net.safetensors", "net.json"])
def test_nothing_is_replaced_unless_asked_for(tmp_path: Path, there: str) -> None:
    settings = ExportSettings(checkpoint=checkpoint(tmp_path / "a.ckpt"), output=tmp_path / "net.safetensors")
    (tmp_path / there).write_text("precious")
    with pytest.raises(InputError, match=rf"{there} exists already; give --overwrite"):
        export(settings)
    assert (tmp_path / there).read_text() == "precious"
    export(settings.model_copy(update={"overwrite": True}))
    with pytest.raises(InputError, match=r"net\.safetensors is the input"):
        export(settings.model_copy(update={"checkpoint": settings.output, "overwrite": True}))


def test_other_suffixes_and_sizes_of_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"the name of net\.pt; known suffixes: \.safetensors, \.onnx"):
        ExportSettings(checkpoint=tmp_path / "a.ckpt", output="net.pt")
    with pytest.raises(ValidationError, match=r"fixed_size is about \.onnx alone"):
        ExportSettings(checkpoint=tmp_path / "a.ckpt", output="net.safetensors", fixed_size=True)
    (tmp_path / "a.ckpt").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"a\.ckpt is not a checkpoint of superpoint, or it is damaged"):
        export(ExportSettings(checkpoint=tmp_path / "a.ckpt", output=tmp_path / "net.onnx"))
    assert not (tmp_path / "net.onnx").exists()
