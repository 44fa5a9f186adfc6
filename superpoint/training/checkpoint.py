"""Read a checkpoint, or an export: the network it holds, or its plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from superpoint.errors import InputError
from superpoint.training.exports import SUFFIX, load_network
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network out of a file."""

    module: SegmentationModule
    """On the CPU and ready to predict."""
    provenance: dict[str, Any]
    """What the file says of where it is from: `epoch` and `step` of a checkpoint, all that is known of an export."""


def load_module(path: Path) -> SegmentationModule:
    """Rebuild a trained network from its checkpoint or export alone, on the CPU and ready to predict.

    Raises
    ------
    InputError
        If the file is neither of ours.
    """
    return load_trained(path).module


def load_trained(path: Path) -> Trained:
    """Rebuild a trained network as `load_module` does, and say where it is from.

    Raises
    ------
    InputError
        If the file is neither a checkpoint nor an export of ours.
    """
    if path.suffix.lower() == SUFFIX and path.is_file():
        module, about = load_network(path)
        return Trained(module=module, provenance=about["provenance"])
    checkpoint = read_checkpoint(path)
    module = SegmentationModule(checkpoint["hyper_parameters"]["recipe"], pretrained=False)
    module.load_state_dict(checkpoint["state_dict"])
    provenance = {"epoch": checkpoint.get("epoch", -1) + 1, "step": checkpoint.get("global_step", 0)}
    return Trained(module=module.eval(), provenance=provenance)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's plain values and tensors; code in it is never run.

    Raises
    ------
    InputError
        If the file is not a checkpoint of ours.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        Recipe.from_dict(checkpoint["hyper_parameters"]["recipe"])
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise InputError(f"{path} is not a checkpoint of superpoint, or it is damaged") from error
    return checkpoint
