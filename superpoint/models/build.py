"""Segmentation networks by name, for any number of bands and classes: an architecture on an encoder."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What stands on an encoder: a class that takes `encoder_name`, `encoder_weights`, `in_channels`, `classes`."""

    module: str
    """Imported when a network is built."""
    name: str
    source: str
    """The paper."""


_SMP = "segmentation_models_pytorch"

MODELS = {
    "deeplabv3": Architecture(
        module=_SMP, name="DeepLabV3", source="Chen, Papandreou, Schroff and Adam (2017), arXiv:1706.05587"
    ),
    "deeplabv3plus": Architecture(
        module=_SMP, name="DeepLabV3Plus", source="Chen et al. (2018), doi:10.1007/978-3-030-01234-2_49"
    ),
    "fcn": Architecture(
        module="superpoint.models.fcn",
        name="Fcn",
        source="Long, Shelhamer and Darrell (2015), doi:10.1109/CVPR.2015.7298965",
    ),
    "segformer": Architecture(module=_SMP, name="Segformer", source="Xie et al. (2021), arXiv:2105.15203"),
    "unet": Architecture(
        module=_SMP, name="Unet", source="Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28"
    ),
    "upernet": Architecture(module=_SMP, name="UPerNet", source="Xiao et al. (2018), doi:10.1007/978-3-030-01228-1_26"),
}
"""The architectures by name; `docs/models.md` compares them."""

TIMM_PREFIX = "tu-"  # how segmentation-models-pytorch names an encoder that it takes from timm
TIMM_WEIGHTS = "pretrained"  # the weights of such an encoder: which ones, the tag in its name says


def require_train_extra() -> None:
    """Import what training and prediction need.

    Raises
    ------
    MissingExtraError
        If PyTorch, Lightning or segmentation-models-pytorch is not installed.
    """
    for package in ("torch", "lightning.pytorch", _SMP):
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
        What the encoder starts from; random weights if None. A name of pretrained weights, such as `imagenet` (of
        an encoder of timm, `pretrained`), which are downloaded and kept; or a file, see
        `superpoint.models.encoder_weights`. With other than three bands the first convolution is adapted.

    Returns
    -------
    torch.nn.Module
        From float32 (batch, bands, rows, cols) to raw outputs (batch, classes, rows, cols); rows and cols are
        multiples of 32. In training mode `deeplabv3`, `deeplabv3plus` and `upernet` need batches of at least two
        patches, because they normalise over one pooled pixel a patch.

    Raises
    ------
    InputError
        If the model, the encoder or its weights are unknown, or do not fit together; the message says what is
        known. If weights can neither be downloaded nor found where earlier downloads are kept.
    MissingExtraError
        If the extra `train` is not installed.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(sorted(MODELS))}")
    if min(bands, n_classes) < 1:
        raise InputError(f"a model has at least one band and one class, got {bands} and {n_classes}")
    encoders = _imported(_SMP).encoders
    _check_encoder(encoder, encoders.get_encoder_names())
    from superpoint.models.encoder_weights import is_file, load_encoder

    file = Path(weights) if weights and is_file(weights) else None
    download = None if file else weights
    if download:
        _check_weights(encoder, download, encoders.encoders)
    model = _constructed(name, encoder, bands, n_classes, download)
    if file:
        load_encoder(model.encoder, file)  # type: ignore[arg-type]  # every architecture has one
    return model


def _constructed(name: str, encoder: str, bands: int, n_classes: int, download: str | None) -> nn.Module:
    build = getattr(_imported(MODELS[name].module), MODELS[name].name)
    asked = True if download and encoder.startswith(TIMM_PREFIX) else download
    try:
        model: nn.Module = build(encoder_name=encoder, encoder_weights=asked, in_channels=bands, classes=n_classes)
    except Exception as error:  # each library for downloads has errors of its own
        if isinstance(error, KeyError | TypeError | ValueError) and not isinstance(error, OSError):
            raise InputError(f"cannot build {name} with encoder {encoder!r}: {_reason(error)}") from error
        if not download:
            raise
        raise InputError(
            f"cannot download the weights {download!r} of {encoder}, {_origin(encoder, download)}: {_reason(error)}; "
            f"get them where there is a network, and give the file (.safetensors, .pt) in place of the name"
        ) from error
    return model


def _reason(error: Exception) -> str:
    """Say what a library said; of a hub that cannot be reached it says that a file is not there."""
    if isinstance(error, FileNotFoundError | ConnectionError):
        return "there is no network here, and no earlier download"
    words = str(error.args[0] if error.args else error) or type(error).__name__
    return words.splitlines()[0]


def _origin(encoder: str, weights: str) -> str:
    """Say where pretrained weights would come from."""
    if encoder.startswith(TIMM_PREFIX):
        settings = _imported("timm").models.get_pretrained_cfg(encoder.removeprefix(TIMM_PREFIX))
        return f"{settings.hf_hub_id or settings.url} for timm"
    repository = _imported(_SMP).encoders.encoders[encoder]["pretrained_settings"][weights]["repo_id"]
    return f"{repository} of the Hugging Face hub"


def _check_encoder(encoder: str, known: list[str]) -> None:
    if encoder in known or (encoder.startswith(TIMM_PREFIX) and _is_timm(encoder)):
        return
    closest = difflib.get_close_matches(encoder, known, n=5, cutoff=0.5) or known[:5]
    raise InputError(
        f"unknown encoder {encoder!r}; closest of {len(known)} known: {', '.join(closest)} "
        f"(or {TIMM_PREFIX}NAME for a model of timm)"
    )


def _check_weights(encoder: str, weights: str, encoders: dict[str, Any]) -> None:
    if encoder.startswith(TIMM_PREFIX):
        models = _imported("timm").models
        has_weights = models.is_model_pretrained(encoder.removeprefix(TIMM_PREFIX))
        names = [TIMM_WEIGHTS] if has_weights else []
    else:
        names = sorted(encoders[encoder]["pretrained_settings"])
    if weights not in names:
        raise InputError(
            f"unknown weights {weights!r} of encoder {encoder}; known: {', '.join(names) or 'none'}, or a file "
            f"(.safetensors, .pt)"
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
