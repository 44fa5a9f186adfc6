"""Encoder-decoder networks of segmentation-models-pytorch for any number of bands and classes."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from torch import nn

MODELS = {"deeplabv3": "DeepLabV3", "unet": "Unet"}
"""Name to the class of segmentation-models-pytorch.

U-Net: Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28. DeepLabv3: Chen et al. (2017),
arXiv:1706.05587.
"""

TIMM_PREFIX = "tu-"  # how segmentation-models-pytorch names an encoder that it takes from timm


def require_train_extra() -> None:
    """Import what training and prediction need.

    Raises
    ------
    MissingExtraError
        If PyTorch, Lightning or segmentation-models-pytorch is not installed.
    """
    for package in ("torch", "lightning.pytorch", "segmentation_models_pytorch"):
        _imported(package)


def build_model(name: str, *, encoder: str, bands: int, n_classes: int, weights: str | None = None) -> nn.Module:
    """Build a segmentation network.

    Its initial weights come from PyTorch's default generator: seed that for the same network again.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    encoder : str
        Any encoder of segmentation-models-pytorch, such as `resnet18`, or `tu-` and the name of a timm model.
    bands : int
        Channels of the input.
    n_classes : int
        Channels of the output.
    weights : str, optional
        Name of pretrained weights of the encoder, such as `imagenet`; these are downloaded. Random if None.

    Returns
    -------
    torch.nn.Module
        From float32 (batch, bands, rows, cols) to raw outputs (batch, classes, rows, cols); rows and cols are
        multiples of 32. In training mode `deeplabv3` needs batches of at least two patches, because it
        normalises over one pooled pixel a patch.

    Raises
    ------
    InputError
        If the model or the encoder is unknown, or they do not fit together; the message says what is known.
    MissingExtraError
        If the extra `train` is not installed.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(sorted(MODELS))}")
    if min(bands, n_classes) < 1:
        raise InputError(f"a model has at least one band and one class, got {bands} and {n_classes}")
    library = _imported("segmentation_models_pytorch")
    _check_encoder(encoder, library.encoders.get_encoder_names())
    try:
        model: nn.Module = getattr(library, MODELS[name])(
            encoder_name=encoder, encoder_weights=weights, in_channels=bands, classes=n_classes
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot build {name} with encoder {encoder!r}: {error.args[0]}") from error
    return model


def _check_encoder(encoder: str, known: list[str]) -> None:
    if encoder in known or (encoder.startswith(TIMM_PREFIX) and _is_timm(encoder)):
        return
    closest = difflib.get_close_matches(encoder, known, n=5, cutoff=0.5) or known[:5]
    raise InputError(
        f"unknown encoder {encoder!r}; closest of {len(known)} known: {', '.join(closest)} "
        f"(or {TIMM_PREFIX}NAME for a model of timm)"
    )


def _is_timm(encoder: str) -> bool:
    return bool(_imported("timm").is_model(encoder.removeprefix(TIMM_PREFIX)))


def _imported(package: str) -> Any:  # noqa: ANN401  # a module
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f'training and prediction need {package}; install it with: pip install "superpoint[train]"'
        ) from error
