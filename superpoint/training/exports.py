"""A trained network without its training: weights as safetensors, and what is needed to use them as JSON.

The JSON stands in the header of the weights' file, so that this alone suffices, and beside it for people to read. The
same network gives the same bytes. `docs/model-export.md` describes the JSON.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from superpoint.errors import InputError
from superpoint.losses import parse_losses
from superpoint.training.criteria import SUPERPIXEL_TERM
from superpoint.training.module import SegmentationModule
from superpoint.training.recipe import STRIDE, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

SUFFIX = ".safetensors"
FORMAT = "superpoint-network-1"
METADATA = "superpoint"  # the key of the header under which the JSON stands
SCORES = "weighted-masked-mse"  # the loss whose outputs are near 0 and 1 by themselves


def gives_logits(recipe: Recipe) -> bool:
    """Return whether raw outputs are logits of a softmax, and no scores near 0 and 1 as after a squared error.

    The terms that look at labels decide: outputs are scores if the squared error is the only one. A term of superpixels
    asks their pixels to be alike and draws outputs to no other place; every other loss judges the softmax, and drives
    outputs beyond 0 and 1 with a squared error beside it too.

    Parameters
    ----------
    recipe : Recipe
        Of the network; its loss may be a sum, in any spelling.
    """
    terms = {name for name, _ in parse_losses(recipe.loss)}
    return terms - {SUPERPIXEL_TERM} != {SCORES}


def describe_network(module: SegmentationModule, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be known of a network by whoever uses it, as JSON values.

    Parameters
    ----------
    module : SegmentationModule
        The network.
    provenance : mapping of JSON values
        Where it is from; kept as it is, after the digest of the training data.

    Returns
    -------
    dict
        The layout in `docs/model-export.md`.
    """
    recipe = module.recipe
    return {
        "format": FORMAT,
        "network": {
            "model": recipe.model,
            "encoder": recipe.encoder,
            "n_parameters": sum(parameter.numel() for parameter in module.model.parameters()),
        },
        "input": {
            "bands": list(recipe.band_numbers),
            "scaling": {"low": list(recipe.scaling_low), "high": list(recipe.scaling_high)},
            "mean": list(recipe.input_mean),
            "std": list(recipe.input_std),
            "patch_size": recipe.patch_size,
            "overlap": recipe.patch_size // 4,
            "multiple_of": STRIDE,
        },
        "output": {
            "values": "logits" if gives_logits(recipe) else "scores",
            "classes": [{"name": c.name, "value": c.value, "color": c.color} for c in recipe.classes.classes],
        },
        "provenance": {"data": recipe.data, **provenance},
        "weights": _weights_digest(module.model),
        "recipe": recipe.to_dict(),
    }


def save_network(module: SegmentationModule, path: Path, about: Mapping[str, Any]) -> Path:
    """Write a network as safetensors and what is said of it beside it; return where that is.

    Whatever kills this leaves a file of weights whole or not at all, and none beside another's JSON.

    Parameters
    ----------
    module : SegmentationModule
        The network; its weights are named as segmentation-models-pytorch names them.
    path : Path
        The file of weights, in a folder that is there. It and its JSON are replaced.
    about : mapping
        As `describe_network` returns it.
    """
    beside = description_of(path)
    weights, text = (part.with_name(f".{part.name}.part") for part in (path, beside))
    weights.write_bytes(save(_plain_weights(module.model), {METADATA: json.dumps(about, sort_keys=True)}))
    text.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.unlink(missing_ok=True)
    weights.replace(path)
    text.replace(beside)
    return beside


def description_of(path: Path) -> Path:
    """Return the file of JSON that goes with a file of weights."""
    return path.with_suffix(".json")


def load_network(path: Path) -> tuple[SegmentationModule, dict[str, Any]]:
    """Rebuild a network that `save_network` wrote, on the CPU and ready to predict, and read what is said of it.

    Raises
    ------
    InputError
        If the file is none of these or damaged, or the JSON beside it is another's.
    """
    about = _header_of(path)
    _check_beside(path, about)
    try:
        module = SegmentationModule(Recipe.from_dict(about["recipe"]), pretrained=False)
        module.model.load_state_dict(load_file(path))
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise InputError(f"{path} is damaged: {_first_line(error)}; export the network again") from error
    if _weights_digest(module.model) != about.get("weights"):
        raise InputError(f"{path} is damaged: its weights are not those that were written; export the network again")
    return module.eval(), about


def _header_of(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA])
            known = about["format"] == FORMAT
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file: {error}") from error
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise InputError(
            f"{path} holds no network in the format {FORMAT}; give a checkpoint of superpoint train, or a file of "
            f"superpoint export"
        )
    return dict(about)


def _check_beside(path: Path, about: Mapping[str, Any]) -> None:
    beside = description_of(path)
    try:
        same = not beside.exists() or json.loads(beside.read_text(encoding="utf-8")) == about
    except ValueError:
        same = False
    if not same:
        raise InputError(
            f"{beside} does not describe {path}; take the one that was exported with it, or none: the weights know all"
        )


def _plain_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in network.state_dict().items()}


def _weights_digest(network: nn.Module) -> str:
    """Return 32 hexadecimal digits of all weights with their names."""
    return hashlib.blake2b(save(_plain_weights(network)), digest_size=16).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
