"""Read a checkpoint: the network it holds, or its plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from superpoint.errors import InputError
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path


def load_module(path: Path) -> SegmentationModule:
    """Rebuild a trained network from its checkpoint alone, on the CPU and ready to predict.

    Raises
    ------
    InputError
        If the file is not a checkpoint of ours.
    """
    checkpoint = read_checkpoint(path)
    module = SegmentationModule(checkpoint["hyper_parameters"]["recipe"], pretrained=False)
    module.load_state_dict(checkpoint["state_dict"])
    return module.eval()


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
