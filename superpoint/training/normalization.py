"""What pretrained encoders expect of their input: the mean and deviation of the pictures they saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError
from superpoint.models.build import TIMM_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""What torchvision, and with it most others, take from red, green and blue and divide them by."""


def imagenet_statistics(bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return `IMAGENET` for a number of bands, as `input_statistics` does."""
    return _per_band(IMAGENET["mean"], bands), _per_band(IMAGENET["std"], bands)


def input_statistics(encoder: str, weights: str, bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and deviation of each band, of values from 0 to 1, that pretrained weights were trained with.

    Bands beyond the third repeat red, green and blue, as the adapted first convolution does; a single band takes the
    mean of the three.

    Parameters
    ----------
    encoder : str
        As `superpoint.models.build_model` takes it.
    weights : str
        Name of its pretrained weights. What those of segmentation-models-pytorch expect is downloaded with them.
    bands : int
        Bands that the network sees.

    Returns
    -------
    mean, std : tuple of float
        One value a band.

    Raises
    ------
    InputError
        If it cannot be looked up.

    Examples
    --------
    >>> mean, std = input_statistics("tu-resnet18", "pretrained", 4)
    >>> mean
    (0.485, 0.456, 0.406, 0.485)
    """
    known = _looked_up(encoder, weights)
    scale = max(1.0, *known["input_range"]) if known["input_range"] else 1.0
    mean, std = ([value / scale for value in known[name]] for name in ("mean", "std"))
    return _per_band(mean, bands), _per_band(std, bands)


def _looked_up(encoder: str, weights: str) -> dict[str, Any]:
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    try:
        return dict(get_preprocessing_params(encoder, pretrained=weights))
    except Exception as error:  # each library for downloads has errors of its own
        if encoder.startswith(TIMM_PREFIX) or isinstance(error, KeyError):
            raise InputError(f"{encoder} has no weights {weights!r}: {error}") from error
        raise InputError(
            f"cannot download what the weights {weights!r} of {encoder} expect of their input; there must be a "
            f"network, or give --encoder-weights a file (.safetensors, .pt)"
        ) from error


def _per_band(values: Sequence[float], bands: int) -> tuple[float, ...]:
    return (sum(values) / len(values),) if bands == 1 else tuple(values[band % len(values)] for band in range(bands))
