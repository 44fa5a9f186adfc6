"""Encoders from files: of the encoder alone, of whole networks, of other bands, and files that are none of these."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder

from superpoint.errors import InputError
from superpoint.models import build_model
from superpoint.models.encoder_weights import adapt_bands

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained() -> dict[str, Tensor]:
    """The weights of an encoder for three bands, with other values than a new one has."""
    weights = get_encoder("resnet18", weights=None).state_dict()
    return {name: value + 1 if value.is_floating_point() else value for name, value in weights.items()}


def encoder_from(path: Path, *, bands: int = 3, encoder: str = "resnet18") -> dict[str, Tensor]:
    model = build_model("fcn", encoder=encoder, bands=bands, n_classes=2, weights=str(path))
    return dict(model.encoder.state_dict())


def is_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_an_encoder_takes_the_weights_of_a_file(
    tmp_path: Path, trained: dict[str, Tensor], suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pt":
        torch.save(trained, path)
    else:
        save_file(trained, path)
    assert is_same(encoder_from(path), trained)
    assert not caplog.records


@pytest.mark.parametrize("prefix", ["module.", "encoder.", "model.encoder.", "backbone."])
def test_whatever_stands_before_the_names(tmp_path: Path, trained: dict[str, Tensor], prefix: str) -> None:
    named = {f"{prefix}{name}": weight for name, weight in trained.items()}
    torch.save({"epoch": 3, "state_dict": {**named, "model.decoder.bias": torch.ones(2)}}, tmp_path / "last.ckpt")
    assert is_same(encoder_from(tmp_path / "last.ckpt"), trained)


def test_torchvisions_own_files_fit_and_the_head_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(theirs, tmp_path / "resnet18.pth")
    with caplog.at_level(logging.INFO, "superpoint"):
        found = encoder_from(tmp_path / "resnet18.pth")
    assert is_same(found, {name: weight for name, weight in theirs.items() if not name.startswith("fc.")})
    assert "gave 100.0% of the encoder's weights; in it and not used: fc.weight, fc.bias" in caplog.text


def test_a_file_of_timm_fits_its_encoder(tmp_path: Path) -> None:
    import timm

    theirs = timm.create_model("resnet10t").state_dict()
    torch.save(theirs, tmp_path / "timm.pt")
    found = encoder_from(tmp_path / "timm.pt", encoder="tu-resnet10t")
    assert torch.equal(found["model.layer4.0.conv2.weight"], theirs["layer4.0.conv2.weight"])


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_the_first_convolution_is_adapted_as_the_library_adapts_its_own(
    tmp_path: Path, trained: dict[str, Tensor], bands: int
) -> None:
    save_file(trained, tmp_path / "mine.safetensors")
    found = encoder_from(tmp_path / "mine.safetensors", bands=bands)
    theirs = get_encoder("resnet18", weights=None)
    theirs.load_state_dict(dict(trained))
    theirs.set_in_channels(bands, pretrained=True)
    assert is_same(found, theirs.state_dict())


def test_the_same_image_in_every_band_gives_what_it_gave_in_three() -> None:
    weight, grey = torch.randn(8, 3, 7, 7), torch.randn(1, 1, 20, 20)
    expected = torch.conv2d(grey.expand(-1, 3, -1, -1), weight)
    for bands in (1, 3, 6):  # where each old band is taken equally often
        found = torch.conv2d(grey.expand(-1, bands, -1, -1), adapt_bands(weight, bands))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_what_a_file_does_not_give_is_said_in_one_sentence(
    tmp_path: Path, trained: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    part = {name: weight for name, weight in trained.items() if not name.startswith("layer4")}
    torch.save(part | {"layer3.0.bn1.bias": torch.zeros(3)}, tmp_path / "part.pt")
    found = encoder_from(tmp_path / "part.pt")
    assert torch.equal(found["layer2.1.conv1.weight"], trained["layer2.1.conv1.weight"])
    (record,) = caplog.records
    assert "part.pt gave 24.9% of the encoder's weights; not in it, or of another shape, and random: " in record.message
    assert "layer3.0.bn1.bias" in record.message


def test_a_file_that_fits_nowhere_is_refused(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    renamed = {f"block{place}": weight for place, weight in enumerate(trained.values())}
    torch.save(renamed, tmp_path / "odd.pt")
    with pytest.raises(InputError, match=r"no weight in .*odd\.pt fits the encoder: it holds block0, .*conv1\.weight"):
        encoder_from(tmp_path / "odd.pt")


def test_counts_of_batches_alone_are_no_fit(tmp_path: Path) -> None:
    torch.save({"bn1.num_batches_tracked": torch.tensor(4)}, tmp_path / "counts.pt")
    with pytest.raises(InputError, match="no weight in"):
        encoder_from(tmp_path / "counts.pt")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.pt", None, "there are no weights at"),
        ("cut.safetensors", b"precious", "not a whole safetensors file"),
        ("odd.pt", b"precious", "without running code"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        encoder_from(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [1, 2]])
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "empty.pt")
    with pytest.raises(InputError, match=r"empty\.pt holds no weights"):
        encoder_from(tmp_path / "empty.pt")
