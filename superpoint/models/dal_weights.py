"""Affinity networks on disk: our own as safetensors, published ones as PyTorch left them. Nothing is downloaded."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from superpoint.errors import InputError
from superpoint.models.dal import BANDS, Dal
from superpoint.models.tensors import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "superpoint-dal-1"
SETTINGS = {"width", "norm", "sharpness", "sigma"}  # what rebuilds a network
METADATA = "superpoint"  # the key of the header under which the JSON stands


def save_dal(network: Dal, path: Path, **provenance: object) -> None:
    """Write a network as safetensors, with what rebuilds it and where it is from as JSON in the file's header.

    Parameters
    ----------
    network : Dal
        The network.
    path : Path
        Written in one step: a kill leaves no file or a whole one.
    **provenance : JSON values
        Kept beside the format's version, `width`, `norm`, `sharpness`, `sigma`, `bands` and the rule of scaling.
    """
    about = {
        "format": FORMAT,
        "width": network.width,
        "norm": network.norm,
        "sharpness": network.sharpness,
        "sigma": network.sigma,
        "bands": BANDS,
        "scaling": "each band of a raster by its own percentiles 1 and 99, to 0 and 1",
        **provenance,
    }
    weights = {name: weight.detach().cpu().contiguous() for name, weight in network.state_dict().items()}
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(save(weights, {METADATA: json.dumps(about, sort_keys=True)}))
    part.replace(path)


def describe_dal(path: Path) -> dict[str, Any]:
    """Return what `save_dal` wrote into the header of a file.

    Raises
    ------
    InputError
        If it is not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold affinity weights of superpoint: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or not about.keys() >= SETTINGS:
        raise InputError(f"{path} does not hold affinity weights in the format {FORMAT} that this superpoint reads")
    return dict(about)


def load_dal(path: Path) -> Dal:
    """Read a network on the CPU, in evaluation mode.

    A `.safetensors` file is one that `save_dal` wrote. Any other is read as a published checkpoint of PyTorch: a
    `state_dict`, possibly below a key, its names possibly with `module.` before them. If the names are not ours,
    layers are matched by the shape of their weights, and those of one shape by their order in the file, which is
    taken for the order of the data; all must match, one to one, or the file is refused. Two layers of one shape
    that a file lists the other way round would not be noticed. Code in a file is never run.

    Raises
    ------
    InputError
        If the file cannot be read, or its weights are not those of the network; the message says which.
    """
    if not path.is_file():
        raise InputError(f"there are no affinity weights at {path}; check the path")
    with torch.random.fork_rng(devices=[]):  # a new network draws weights, in vain
        network, weights = _read(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the affinity network: {' '.join(str(error).split())}") from error
    return network.eval()


def _read(path: Path) -> tuple[Dal, dict[str, Tensor]]:
    """Return a network as a file describes it, and the file's weights."""
    if path.suffix == ".safetensors":
        about = describe_dal(path)
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        return Dal(**{name: about[name] for name in SETTINGS}), weights
    network = Dal()
    published = {name.removeprefix("module."): tensor for name, tensor in read_tensors(path).items()}
    return network, _matched(network.state_dict(), published, path)


def _matched(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Give each of our names a tensor of a published checkpoint."""
    if ours.keys() == theirs.keys():
        return dict(theirs)
    mine, others = _layers(ours), _layers(theirs)
    wrong = sorted(
        f"{'x'.join(map(str, shape))}: {len(others[shape])} for {len(mine[shape])}"
        for shape in {*mine, *others}
        if len(mine[shape]) != len(others[shape])
    )
    n_mine, n_others = (sum(tensor.numel() for tensor in tensors.values()) for tensors in (ours, theirs))
    if wrong or n_mine != n_others:
        raise InputError(
            f"{path} has {n_others:,} parameters for {n_mine:,} of the affinity network; layers that do not match, by "
            f"the shape of their weights: {'; '.join(wrong) or 'none, but biases'}"
        )
    pairs = [pair for shape in mine for pair in zip(mine[shape], others[shape], strict=True)]
    return {f"{my}.{kind}": theirs[f"{other}.{kind}"] for my, other in pairs for kind in ("weight", "bias")}


def _layers(tensors: Mapping[str, Tensor]) -> defaultdict[tuple[int, ...], list[str]]:
    """Return the names of the layers with weight and bias, by the shape of the weight, in order."""
    layers = defaultdict(list)
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and f"{layer}.bias" in tensors:
            layers[tuple(tensor.shape)].append(layer)
    return layers
