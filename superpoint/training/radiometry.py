"""Change how bright a patch is without changing what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BRIGHTNESS, CONTRAST, NOISE = 0.2, 0.4, 0.05  # at strength 1: moved by up to, times or divided by up to 1 +, deviation


def recoloured(images: Tensor, strength: float, drawn: torch.Generator) -> Tensor:
    """Change brightness and contrast of each band of each patch, and add noise.

    With the mean of a band over the patch, m, a value x becomes `m + g (x - m) + o + e`. The gain g lies between
    1 / (1 + 0.4 strength) and 1 + 0.4 strength, its logarithm evenly; the offset o is even within 0.2 strength; both
    are drawn once for a band of a patch. The noise e is normal with a deviation of 0.05 strength. Pixels without data,
    0 in all bands, stay so and are not in the mean. Labels are not touched: no class is made.

    Parameters
    ----------
    images : float tensor of shape (batch, bands, rows, cols)
        Scaled to about 0..1.
    strength : float
        From 0, which changes nothing, to 1.
    drawn : torch.Generator
        On the CPU, so that every device sees the same.

    Returns
    -------
    float tensor of the same shape
    """
    shape = (*images.shape[:2], 1, 1)
    gains = (1 + CONTRAST * strength) ** _even(shape, drawn)
    offsets = BRIGHTNESS * strength * _even(shape, drawn)
    noise = NOISE * strength * torch.randn(images.shape, generator=drawn)
    valid = (images != 0).any(dim=1, keepdim=True)
    means = images.sum(dim=(-2, -1), keepdim=True) / valid.sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    changed = means + gains.to(images) * (images - means) + offsets.to(images) + noise.to(images)
    return torch.where(valid, changed, images)


def _even(shape: tuple[int, ...], drawn: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=drawn) - 1
