"""Weights that an encoder starts from: a file of the user's own, for any number of bands."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from torch import nn

from superpoint.errors import InputError
from superpoint.models.tensors import read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

log = logging.getLogger("superpoint")

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
PREFIXES = ("", "module.", "encoder.", "module.encoder.", "model.encoder.", "backbone.", "model.")
"""What files have before the names of an encoder's tensors: its own, parallel training, whole networks, checkpoints."""
TIMM_PREFIX = "model."  # segmentation-models-pytorch keeps a network of timm below it
FEW = 3  # names that a sentence lists


def is_file(weights: str) -> bool:
    """Return whether weights are meant as a file, and not as the name of pretrained ones.

    Examples
    --------
    >>> is_file("resnet50.safetensors"), is_file("./mine"), is_file("imagenet")
    (True, True, False)
    """
    return weights.endswith(SUFFIXES) or os.sep in weights


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from a file, and say what it did not give.

    Tensors go by their names, below any of `PREFIXES`: files of the encoder alone, of a whole network of
    segmentation-models-pytorch, of torchvision or of timm, and our checkpoints. If the file's first convolution
    sees another number of bands, it is adapted, see `adapt_bands`.

    Parameters
    ----------
    encoder : torch.nn.Module
        Changed in place.
    path : Path
        As `read_tensors` reads it.

    Raises
    ------
    InputError
        If the file cannot be read, or no weight in it fits.
    """
    own = encoder.state_dict()
    theirs = _best_named(own, read_tensors(path))
    first = _first_convolution(encoder)
    fitting = {name: tensor for name, tensor in _fitting(own, theirs, first) if tensor.shape == own[name].shape}
    n_weights = sum(tensor.numel() for name, tensor in own.items() if _is_weight(name))
    n_filled = sum(tensor.numel() for name, tensor in fitting.items() if _is_weight(name))
    if not n_filled:
        raise InputError(
            f"no weight in {path} fits the encoder: it holds {_few(list(theirs))}, and the encoder has "
            f"{_few(list(own))}; give weights of this very encoder"
        )
    encoder.load_state_dict({**own, **fitting})
    bare = [name for name in own if name not in fitting and _is_weight(name)]
    spare = [name for name in theirs if name not in fitting and _is_weight(name)]
    if bare or spare:  # a head for classes of photographs is left over as a rule
        log.log(logging.WARNING if bare else logging.INFO, "%s", _account(path, n_filled / n_weights, bare, spare))


def adapt_bands(weight: Tensor, bands: int) -> Tensor:
    """Make a first convolution that sees another number of bands, as segmentation-models-pytorch does.

    One band takes the sum over the bands there were, so that a grey image gives what it gave in all of them. Several
    take the bands there were in turn, times the old number over the new one, so that what follows sees values of the
    size it was trained on.

    Parameters
    ----------
    weight : Tensor of shape (out, in, rows, cols)
        What was trained.
    bands : int
        Bands to see.

    Returns
    -------
    Tensor of shape (out, bands, rows, cols)
    """
    n_before = weight.shape[1]
    if bands == n_before:
        return weight
    if bands == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, [band % n_before for band in range(bands)]] * (n_before / bands)


def _best_named(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take away, or put before the names of a file what makes most of them ours."""
    candidates = [
        {put + name.removeprefix(taken): tensor for name, tensor in found.items() if name.startswith(taken)}
        for taken in PREFIXES
        for put in ("", TIMM_PREFIX)
    ]
    return max(candidates, key=lambda named: len(named.keys() & own.keys()))  # the first of equals: the plainest


def _first_convolution(encoder: nn.Module) -> str:
    """Return the name of the weight that sees the bands."""
    names = (name for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d))
    return f"{next(names, '')}.weight"


def _fitting(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], first: str) -> Iterator[tuple[str, Tensor]]:
    for name in own.keys() & theirs.keys():
        is_other_bands = name == first and theirs[name].ndim == own[name].ndim
        yield name, adapt_bands(theirs[name], own[name].shape[1]) if is_other_bands else theirs[name]


def _is_weight(name: str) -> bool:
    return not name.endswith("num_batches_tracked")  # a count: it fits everywhere and says nothing


def _account(path: Path, share: float, bare: Sequence[str], spare: Sequence[str]) -> str:
    left = [f"not in it, or of another shape, and random: {_few(bare)}"] if bare else []
    over = [f"in it and not used: {_few(spare)}"] if spare else []
    return f"{path} gave {share:.1%} of the encoder's weights; {'; '.join(left + over)}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
