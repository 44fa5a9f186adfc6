from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from superpoint import models
from superpoint.errors import InputError, MissingExtraError
from superpoint.models import build_model


def n_parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", sorted(models.MODELS))
@pytest.mark.parametrize("bands", [1, 5])
def test_a_model_maps_any_number_of_bands_to_one_output_a_class_and_pixel(name: str, bands: int) -> None:
    model = build_model(name, encoder="resnet18", bands=bands, n_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, bands, 64, 96)).shape == (2, 7, 64, 96)


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
    with pytest.raises(InputError, match=r"unknown model 'u-net'; known: deeplabv3, unet"):
        build_model("u-net", encoder="resnet18", bands=3, n_classes=2)


@pytest.mark.parametrize("encoder", ["resnet-18", "tu-resnet-18"])
def test_an_unknown_encoder_names_the_closest(encoder: str) -> None:
    with pytest.raises(InputError, match=rf"unknown encoder '{encoder}'; closest of \d+ known: .*resnet18"):
        build_model("unet", encoder=encoder, bands=3, n_classes=2)


def test_an_encoder_that_does_not_fit_the_model_says_why() -> None:
    with pytest.raises(InputError, match=r"cannot build deeplabv3 with encoder 'vgg11': .*dilated"):
        build_model("deeplabv3", encoder="vgg11", bands=3, n_classes=2)


def test_unknown_pretrained_weights_list_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'nonesuch' for encoder `resnet18`|`nonesuch`.*imagenet"):
        build_model("unet", encoder="resnet18", bands=3, n_classes=2, weights="nonesuch")


@pytest.mark.parametrize(("bands", "n_classes"), [(0, 2), (3, 0)])
def test_a_model_without_bands_or_classes_is_refused(bands: int, n_classes: int) -> None:
    with pytest.raises(InputError, match="at least one band and one class"):
        build_model("unet", encoder="resnet18", bands=bands, n_classes=n_classes)


def test_a_missing_extra_says_what_to_install_and_keeps_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
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
