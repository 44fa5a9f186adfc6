from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import huggingface_hub
import pytest
import torch
import torchvision
from torch.nn import functional

from superpoint import models
from superpoint.errors import InputError, MissingExtraError
from superpoint.models import build_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing from earlier."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


def n_parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", sorted(models.MODELS))
@pytest.mark.parametrize(("bands", "rows", "cols"), [(1, 32, 64), (5, 64, 32)])
def test_a_model_maps_any_number_of_bands_to_one_output_a_class_and_pixel(
    name: str, bands: int, rows: int, cols: int
) -> None:
    model = build_model(name, encoder="resnet18", bands=bands, n_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, bands, rows, cols)).shape == (1, 7, rows, cols)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_every_weight_of_a_model_learns(name: str) -> None:
    """From a batch of two, the least that each takes; none has a part that its output does not come from."""
    model = build_model(name, encoder="resnet18", bands=2, n_classes=3)
    functional.cross_entropy(model(torch.randn(2, 2, 64, 64)), torch.ones(2, 64, 64, dtype=torch.long)).backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not still


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_only_those_that_pool_to_one_pixel_need_two_patches_to_learn(name: str) -> None:
    model, patch = build_model(name, encoder="resnet18", bands=1, n_classes=2).train(), torch.zeros(1, 1, 64, 64)
    if name in ("deeplabv3", "deeplabv3plus", "upernet"):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(patch)
    else:
        assert model(patch).shape == (1, 2, 64, 64)


def test_segformer_stands_on_its_own_encoder_for_any_bands() -> None:
    model = build_model("segformer", encoder="mit_b0", bands=4, n_classes=2).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 4, 32, 64)).shape == (1, 2, 32, 64)


def test_fcn_on_resnet_50_is_that_of_torchvision() -> None:
    theirs = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=4, aux_loss=False
    ).eval()
    ours = build_model("fcn", encoder="resnet50", bands=3, n_classes=4).eval()
    renamed = {
        name.replace("backbone.", "encoder.").replace("classifier.", "decoder."): weight
        for name, weight in theirs.state_dict().items()
    }
    ours.load_state_dict(renamed)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        # The same sums in another order: a 1 x 1 convolution that says it is dilated is computed in another way.
        torch.testing.assert_close(ours(image), theirs(image)["out"], rtol=0, atol=1e-4)


def test_outputs_are_raw() -> None:
    model = build_model("unet", encoder="resnet18", bands=3, n_classes=2).eval()
    with torch.inference_mode():
        outputs = model(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 10)
    assert outputs.min() < 0


def test_the_encoder_is_the_one_asked_for() -> None:
    sizes = [n_parameters(build_model("unet", encoder=name, bands=3, n_classes=2)) for name in ("resnet18", "resnet34")]
    assert sizes[0] < sizes[1]


def test_an_encoder_of_timm_is_found_by_its_prefix() -> None:
    model = build_model("unet", encoder="tu-resnet10t", bands=2, n_classes=3).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 2, 32, 32)).shape == (1, 3, 32, 32)


def test_the_same_seed_gives_the_same_weights() -> None:
    built = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            built.append(build_model("unet", encoder="resnet18", bands=3, n_classes=2).state_dict())
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"unknown model 'u-net'; known: deeplabv3, deeplabv3plus, fcn, segformer, unet, upernet"
    ):
        build_model("u-net", encoder="resnet18", bands=3, n_classes=2)


@pytest.mark.parametrize("encoder", ["resnet-18", "tu-resnet-18"])
def test_an_unknown_encoder_names_the_closest(encoder: str) -> None:
    with pytest.raises(InputError, match=rf"unknown encoder '{encoder}'; closest of \d+ known: .*resnet18"):
        build_model("unet", encoder=encoder, bands=3, n_classes=2)


@pytest.mark.parametrize("name", ["deeplabv3", "fcn"])
def test_an_encoder_that_does_not_fit_the_model_says_why(name: str) -> None:
    with pytest.raises(InputError, match=rf"cannot build {name} with encoder 'densenet121': .*dilated"):
        build_model(name, encoder="densenet121", bands=3, n_classes=2)


@pytest.mark.parametrize(
    ("encoder", "known"),
    [("resnet18", "imagenet, ssl, swsl"), ("tu-resnet10t", "pretrained"), ("tu-lcnet_035", "none")],
)
def test_unknown_pretrained_weights_list_the_known_ones(encoder: str, known: str) -> None:
    with pytest.raises(
        InputError, match=rf"unknown weights 'nonesuch' of encoder {encoder}; known: {known}, or a file"
    ):
        build_model("unet", encoder=encoder, bands=3, n_classes=2, weights="nonesuch")


@pytest.mark.parametrize(
    ("encoder", "weights", "origin"),
    [
        ("resnet18", "imagenet", r"smp-hub/resnet18\.imagenet of the Hugging Face hub"),
        ("tu-resnet10t", "pretrained", r"timm/resnet10t\.c3_in1k for timm"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_without_a_network_pretrained_weights_say_what_was_to_come_and_what_to_do(
    encoder: str, weights: str, origin: str
) -> None:
    sentence = rf"cannot download .*{weights}.* of {encoder}, {origin}: there is no network here.*give the file"
    with pytest.raises(InputError, match=sentence) as caught:
        build_model("unet", encoder=encoder, bands=3, n_classes=2, weights=weights)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(("bands", "n_classes"), [(0, 2), (3, 0)])
def test_a_model_without_bands_or_classes_is_refused(bands: int, n_classes: int) -> None:
    with pytest.raises(InputError, match="at least one band and one class"):
        build_model("unet", encoder="resnet18", bands=bands, n_classes=n_classes)


def test_a_missing_extra_says_what_to_install_and_keeps_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("lightning.pytorch", "segmentation_models_pytorch"):
        monkeypatch.setitem(sys.modules, package, None)
    for build in (
        models.require_train_extra,
        lambda: build_model("unet", encoder="resnet18", bands=3, n_classes=2),
    ):
        with pytest.raises(MissingExtraError, match=r'pip install "superpoint\[train\]"') as caught:
            build()
        assert isinstance(caught.value.__cause__, ImportError)


def test_pytorch_is_imported_late() -> None:
    program = "import sys; import superpoint.models, superpoint.training; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
