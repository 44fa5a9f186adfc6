"""Trained networks as files for others: weights with their JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.losses import build_loss
from superpoint.training.checkpoint import load_module, load_trained
from superpoint.training.exports import describe_network, gives_logits, save_network
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

TABLE = ClassTable.from_names(["road", "water"])


def network(**changes: object) -> SegmentationModule:
    values: dict[str, object] = {
        "model": "unet",
        "encoder": "tu-lcnet_035",
        "classes": TABLE,
        "frequencies": (0.5, 0.5),
        "patch_size": 64,
        "scaling_low": (0.0, 10.0),
        "scaling_high": (1.0, 255.5),
        "band_numbers": (1, 3),
        "data": "d1",
    }
    return SegmentationModule(Recipe(**values | changes)).eval()


def save(module: SegmentationModule, path: Path) -> dict[str, object]:
    about = describe_network(module, {"checkpoint": "c1", "epoch": 7})
    save_network(module, path, about)
    return about


IMAGES = torch.rand(1, 2, 64, 96, generator=torch.Generator().manual_seed(0))


def test_a_network_comes_back_with_the_same_outputs_its_recipe_and_where_it_is_from(tmp_path: Path) -> None:
    module = network()
    save(module, tmp_path / "net.safetensors")
    trained = load_trained(tmp_path / "net.safetensors")
    with torch.inference_mode():
        assert torch.equal(trained.module(IMAGES), module(IMAGES))
    assert trained.module.recipe == module.recipe
    assert not trained.module.training
    assert trained.provenance == {"data": "d1", "checkpoint": "c1", "epoch": 7}


def test_the_same_network_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save(network(), tmp_path / f"{name}.safetensors")
    for suffix in ("safetensors", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_the_json_is_in_the_header_too_and_the_weights_alone_suffice(tmp_path: Path) -> None:
    about = save(network(), tmp_path / "net.safetensors")
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["superpoint"]) == about
    assert json.loads((tmp_path / "net.json").read_text()) == about
    (tmp_path / "net.json").unlink()
    (tmp_path / "net.safetensors").rename(tmp_path / "moved.safetensors")
    assert load_module(tmp_path / "moved.safetensors").recipe.band_numbers == (1, 3)


def test_the_json_says_what_another_program_needs(tmp_path: Path) -> None:
    module = network(input_mean=(0.5, 0.1), input_std=(0.25, 2.0), loss="partial-focal")
    about = save(module, tmp_path / "net.safetensors")
    assert about["input"] == {
        "bands": [1, 3], "scaling": {"low": [0.0, 10.0], "high": [1.0, 255.5]}, "mean": [0.5, 0.1], "std": [0.25, 2.0],
        "patch_size": 64, "overlap": 16, "multiple_of": 32,
    }  # fmt: skip
    assert about["output"] == {
        "values": "logits",
        "classes": [
            {"name": "road", "value": 0, "color": "#332288"},
            {"name": "water", "value": 1, "color": "#DDCC77"},
        ],
    }
    assert describe_network(network(), {})["output"]["values"] == "scores"


SHARES = (0.5, 0.5)
LABELS = torch.tensor([[[0, 1], [1, 0]]])  # (batch, rows, cols)


def fitted(loss: str) -> Tensor:
    """Return the outputs that fit labels best if nothing but the loss has a say, found step by step."""
    outputs = torch.full((1, 2, 2, 2), 0.5, requires_grad=True)  # (batch, class, rows, cols)
    judge, search = build_loss(loss, frequencies=SHARES), torch.optim.LBFGS([outputs], max_iter=40)

    def step() -> Tensor:
        search.zero_grad()
        value = judge(outputs, LABELS, LABELS + 1)
        value.backward()
        return value

    search.step(step)
    return outputs.detach()


@pytest.mark.parametrize(
    ("loss", "values"),
    [
        ("weighted-masked-mse", "scores"),
        ("1*weighted-masked-mse", "scores"),
        ("0.5*weighted-masked-mse", "scores"),
        (" weighted-masked-mse", "scores"),
        ("weighted-masked-mse+2*weighted-masked-mse", "scores"),
        ("weighted-masked-mse + superpixel-consistency", "scores"),
        ("0.1*superpixel-consistency + 2 * weighted-masked-mse", "scores"),
        ("weighted-masked-mse + partial-cross-entropy", "logits"),
        ("weighted-masked-mse + 0.5*dice + 0.1*superpixel-consistency", "logits"),
        ("2*partial-focal", "logits"),
        ("lovasz-softmax + partial-cross-entropy", "logits"),
    ],
)
def test_outputs_are_scores_where_what_fits_the_labels_is_0_and_1_in_any_spelling_of_the_loss(
    loss: str, values: str
) -> None:
    recipe = Recipe(
        model="unet", encoder="tu-lcnet_035", classes=TABLE, frequencies=SHARES, patch_size=64, loss=loss,
        scaling_low=(0.0,), scaling_high=(1.0,),
    )  # fmt: skip
    truth = torch.stack([LABELS == 0, LABELS == 1], dim=1).float()
    off = float((fitted(loss) - truth).abs().max())
    assert gives_logits(recipe) == (values == "logits") == (off > 1e-2)


def test_segmentation_models_pytorch_takes_the_weights_as_they_are(tmp_path: Path) -> None:
    module = network()
    save(module, tmp_path / "net.safetensors")
    plain = smp.Unet("tu-lcnet_035", encoder_weights=None, in_channels=2, classes=2)
    plain.load_state_dict(load_file(tmp_path / "net.safetensors"))
    with torch.inference_mode():
        torch.testing.assert_close(plain.eval()(IMAGES), module(IMAGES))


def test_json_of_another_network_is_refused(tmp_path: Path) -> None:
    save(network(), tmp_path / "net.safetensors")
    save(network(seed=1), tmp_path / "other.safetensors")
    (tmp_path / "other.json").replace(tmp_path / "net.json")
    with pytest.raises(InputError, match=r"net\.json does not describe .*net\.safetensors"):
        load_module(tmp_path / "net.safetensors")
    (tmp_path / "net.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match=r"net\.json does not describe .*net\.safetensors"):
        load_module(tmp_path / "net.safetensors")


def test_a_flipped_bit_anywhere_in_the_weights_is_noticed(tmp_path: Path) -> None:
    save(network(), tmp_path / "net.safetensors")
    data = bytearray((tmp_path / "net.safetensors").read_bytes())
    for place in (len(data) // 2, len(data) - 1):
        (tmp_path / "net.safetensors").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(InputError, match=r"net\.safetensors is damaged: its weights are not those"):
            load_module(tmp_path / "net.safetensors")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    save(network(), tmp_path / "net.safetensors")
    data = (tmp_path / "net.safetensors").read_bytes()
    for n_bytes in (0, 7, 500, len(data) - 1):
        (tmp_path / "net.safetensors").write_bytes(data[:n_bytes])
        with pytest.raises(InputError, match=r"net\.safetensors is not a whole safetensors file"):
            load_module(tmp_path / "net.safetensors")


@pytest.mark.parametrize("header", [None, "{", "[]", '{"format": "superpoint-dal-1"}', '{"recipe": {}}'])
def test_safetensors_of_others_are_refused(tmp_path: Path, header: str | None) -> None:
    save_file({"w": torch.zeros(8)}, tmp_path / "odd.safetensors", {"superpoint": header} if header else None)
    with pytest.raises(InputError, match=r"odd\.safetensors holds no network in the format superpoint-network-1"):
        load_module(tmp_path / "odd.safetensors")


def test_weights_that_do_not_fit_their_recipe_are_refused(tmp_path: Path) -> None:
    about = describe_network(network(), {})
    save_file({"w": torch.zeros(8)}, tmp_path / "odd.safetensors", {"superpoint": json.dumps(about)})
    with pytest.raises(InputError, match=r"odd\.safetensors is damaged: Error\(s\) in loading state_dict for Unet"):
        load_module(tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match=r"no checkpoint at .*none\.safetensors"):
        load_module(tmp_path / "none.safetensors")
