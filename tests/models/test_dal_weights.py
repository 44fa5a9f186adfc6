"""Affinity networks on disk: ours, published ones, and files that are neither."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from superpoint.errors import InputError
from superpoint.models.dal import Dal
from superpoint.models.dal_weights import describe_dal, load_dal, save_dal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Weights as a published checkpoint holds them."""
    torch.manual_seed(0)
    return Dal().state_dict()


def test_a_saved_network_comes_back_with_where_it_is_from(tmp_path: Path) -> None:
    network, image = Dal(width=1 / 32, norm="batch", sharpness=3, sigma=0.1).eval(), torch.rand(1, 3, 48, 48)
    save_dal(network, tmp_path / "w.safetensors", provenance={"seed": 3})
    about = describe_dal(tmp_path / "w.safetensors")
    assert (about["width"], about["norm"], about["bands"], about["provenance"]) == (1 / 32, "batch", 3, {"seed": 3})
    with torch.no_grad():
        assert torch.equal(load_dal(tmp_path / "w.safetensors")(image), network(image))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("nest", ["plain", "state_dict", "model", "parallel"])
def test_a_published_checkpoint_is_found_under_any_key_and_prefix(
    tmp_path: Path, published: dict[str, torch.Tensor], nest: str
) -> None:
    content: object = {
        "plain": published,
        "state_dict": {"epoch": 7, "state_dict": published, "optimizer": {"state": {}}},
        "model": {"model": published},
        "parallel": {f"module.{name}": weight for name, weight in published.items()},
    }[nest]
    torch.save(content, tmp_path / "dal.pth")
    loaded = load_dal(tmp_path / "dal.pth").state_dict()
    assert all(torch.equal(weight, loaded[name]) for name, weight in published.items())


def test_other_names_are_matched_by_shape_and_order_wherever_the_unused_layer_stands(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in published))
    names.insert(3, names.pop(names.index("conv5")))
    renamed = {
        f"net.layer{place:02}.{kind}": published[f"{name}.{kind}"]
        for place, name in enumerate(names)
        for kind in ("weight", "bias")
    }
    torch.save(renamed, tmp_path / "dal.pth")
    loaded = load_dal(tmp_path / "dal.pth").state_dict()
    assert all(torch.equal(weight, loaded[name]) for name, weight in published.items())


def test_a_checkpoint_of_other_layers_is_refused_with_what_does_not_match(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    fewer = {f"net.{name}": weight for name, weight in published.items() if not name.startswith("fuse")}
    torch.save(fewer, tmp_path / "dal.pth")
    with pytest.raises(InputError, match=r"14,734,144 parameters for 14,734,472.*8x40x1x1: 0 for 1"):
        load_dal(tmp_path / "dal.pth")


def test_our_names_with_another_shape_are_refused(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    torch.save(published | {"fuse.bias": torch.zeros(9)}, tmp_path / "dal.pth")
    with pytest.raises(InputError, match=r"dal\.pth does not fit the affinity network: .*fuse\.bias"):
        load_dal(tmp_path / "dal.pth")


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("code of a checkpoint was run",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "dal.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"dal\.pth is not a checkpoint of PyTorch that can be read without running"):
        load_dal(tmp_path / "dal.pth")


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [1, 2], {"state_dict": {"note": "none"}}])
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "dal.pth")
    with pytest.raises(InputError, match=r"dal\.pth holds no weights"):
        load_dal(tmp_path / "dal.pth")


def test_a_file_that_is_not_there_or_not_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no affinity weights at .*none\.safetensors"):
        load_dal(tmp_path / "none.safetensors")
    (tmp_path / "odd.safetensors").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"odd\.safetensors does not hold affinity weights"):
        load_dal(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("header", ['{"format": "superpoint-dal-0"}', '{"format": "superpoint-dal-1"}', "[]", "{"])
def test_weights_of_another_format_are_refused(tmp_path: Path, header: str) -> None:
    save_file({"fuse.bias": torch.zeros(8)}, tmp_path / "odd.safetensors", {"superpoint": header})
    with pytest.raises(InputError, match=r"odd\.safetensors does not hold affinity weights"):
        load_dal(tmp_path / "odd.safetensors")
