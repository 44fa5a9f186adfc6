"""Tensors by name out of files that others wrote: safetensors, or checkpoints of PyTorch. Code in them is never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from superpoint.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

NESTING = 3  # keys that a checkpoint may have its tensors below


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file onto the CPU.

    Parameters
    ----------
    path : Path
        A `.safetensors` file, or what `torch.save` wrote: a state dict, or a dictionary with one below
        `state_dict`, or below its only key.

    Returns
    -------
    dict of str to Tensor
        At least one, in the order of the file.

    Raises
    ------
    InputError
        If the file is not there, is neither, or holds no tensor.
    """
    if not path.is_file():
        raise InputError(f"there are no weights at {path}; check the path")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file: {error}") from error
    for _ in range(NESTING):
        found = _below(found)
    named = found.items() if isinstance(found, dict) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path} holds no weights; give a state_dict, or a dictionary with one below 'state_dict'")
    return tensors


def _unpickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise InputError(f"{path} is not a checkpoint of PyTorch that can be read without running code") from error


def _below(found: object) -> object:
    """Return what the tensors are below: `state_dict`, or the only dictionary beside no tensors."""
    if not isinstance(found, dict):
        return found
    inner = [value for value in found.values() if isinstance(value, dict | Tensor)]
    only = inner[0] if len(inner) == 1 and isinstance(inner[0], dict) else found
    return found.get("state_dict", only)
