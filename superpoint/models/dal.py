"""Deep affinity learning: a network that says how likely two neighbouring pixels belong together.

Peng, Aviles-Rivero and Schönlieb (2022), "HERS Superpixels: Deep Affinity Learning for Hierarchical Entropy Rate
Segmentation", doi:10.1109/WACV51458.2022.00014. Written from a description of the layers, not from code: a 7x7
convolution to 8 channels with instance norm, three residual blocks, the 13 convolutions of VGG-16 (Simonyan and
Zisserman (2015), arXiv:1409.1556), and after each of its five stages a side head of 8 channels, all upsampled and
fused (as Xie and Tu (2015) do for edges, doi:10.1109/ICCV.2015.164).

Instance norm takes its mean and variance from the array it is given, so a tile's affinities would depend on where
the tile ends. `frozen_statistics` measures them once; networks of our own use batch norm instead, whose
statistics are those of the training. Either way an affinity is then a function of the pixels within `RADIUS`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from superpoint.errors import InputError
from superpoint.superpixels.dal import NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

Norm = Literal["instance", "batch"]

BANDS = 3  # red, green, blue
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the trunk's convolutions at full width; between stages the resolution is halved."""
FLOOR = 1e-3  # of the likeness, as of Gaussian affinities: a random walk leaves every pixel
ALIGNMENT = 2 ** (len(STAGES) - 1)
"""Rows, cols and the place of a window in its raster are multiples of it, in pixels."""
# Stem and residual blocks, the 3x3 convolutions of each stage at its stride, and the far edge of the
# second cell that bilinear upsampling looks at.
RADIUS = 3 + 6 + sum(len(stage) * 2**level for level, stage in enumerate(STAGES)) + 3 * ALIGNMENT // 2 - 1
"""How far an affinity looks, in pixels."""


class Dal(nn.Module):
    """The affinity network.

    From float32 (batch, 3, rows, cols), scaled to about 0..1, to affinities (batch, 8, rows, cols) in 0..1, in the
    order E, SE, S, SW, W, NW, N, NE; rows and cols are multiples of 16. At full width it has 14,734,472
    parameters, 72 of which (`conv5`) are part of the published checkpoints and not used.

    Parameters
    ----------
    width : float
        Multiplies the trunk's channels; 1 is the published network, 0.25 has a sixteenth of its parameters.
    norm : str
        `instance`, as published: after the first convolution, with the statistics of the array it is given. Or
        `batch`: after every convolution of the stem, the blocks and the trunk, so that it trains from scratch.
    sharpness : float
        The power to which affinities are raised, 1 as published. An entropy rate weighs affinities by their ratios:
        a probability of 0.2 beside one of 0.9 holds two segments apart less than their fourth powers do.
    sigma : float
        Affinities are multiplied by the likeness of the two pixels' colours, `exp(-d^2 / 2 sigma^2)`, with d the root
        mean square difference over the bands: masks that people drew tell which edges count, and colour where they
        are to the pixel. 0 as published: colour has no say.

    Examples
    --------
    >>> sum(weight.numel() for weight in Dal().parameters())
    14734472
    >>> Dal(width=0.125, norm="batch")(torch.zeros(1, 3, 32, 48)).shape
    torch.Size([1, 8, 32, 48])
    """

    def __init__(
        self, *, width: float = 1.0, norm: Norm = "instance", sharpness: float = 1.0, sigma: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 < width <= 1:
            raise InputError(f"width must be above 0 and at most 1, got {width}")
        if norm not in ("instance", "batch"):
            raise InputError(f"norm must be instance or batch, got {norm!r}")
        if not 0 < sharpness < math.inf:
            raise InputError(f"sharpness must be above 0, got {sharpness}")
        if not 0 <= sigma < math.inf:
            raise InputError(f"sigma must be 0 or more, got {sigma}")
        self.width, self.norm, self.sharpness, self.sigma = width, norm, sharpness, sigma
        in_stem: nn.Module = nn.BatchNorm2d(8) if norm == "batch" else nn.InstanceNorm2d(8)
        self.stem = nn.Sequential(nn.Conv2d(BANDS, 8, 7, padding=3), in_stem, nn.ReLU(inplace=True))
        self.residuals = nn.Sequential(*(_Residual(norm) for _ in range(3)))
        widths = [[max(1, round(channels * width)) for channels in stage] for stage in STAGES]
        entries = [8, *(stage[-1] for stage in widths)]
        self.stages = nn.ModuleList(_stage(n_in, stage, norm) for n_in, stage in zip(entries, widths, strict=False))
        self.heads = nn.ModuleList(nn.Conv2d(stage[-1], len(NEIGHBOURS), 1) for stage in widths)
        self.fuse = nn.Conv2d(len(NEIGHBOURS) * len(STAGES), len(NEIGHBOURS), 1)
        if norm == "instance":
            self.conv5 = nn.Conv2d(len(NEIGHBOURS), len(NEIGHBOURS), 1)  # not used

    def forward(self, images: Tensor) -> Tensor:
        """Return affinities (batch, 8, rows, cols) in 0..1."""
        affinities: Tensor = self.logits(images).sigmoid() ** self.sharpness  # (batch, 8, rows, cols)
        return affinities * likeness(images, self.sigma) if self.sigma else affinities

    def logits(self, images: Tensor) -> Tensor:
        """Return what `forward` takes the sigmoid of, for a loss that needs it: without sharpness and sigma."""
        features = self.residuals(self.stem(images))  # (batch, 8, rows, cols)
        fused = self.fuse.bias[None, :, None, None]  # type: ignore[index]  # this convolution has a bias
        # Fusing is 1x1 and upsampling is per channel, so they commute: 8 channels at full size and not 40.
        parts = torch.split(self.fuse.weight, len(NEIGHBOURS), dim=1)  # five times (8, 8, 1, 1)
        for level, (stage, head, part) in enumerate(zip(self.stages, self.heads, parts, strict=True)):
            features = stage(functional.max_pool2d(features, 2) if level else features)
            side = functional.conv2d(head(features), part)  # (batch, 8, rows / 2**level, cols / 2**level)
            if level:
                side = functional.interpolate(side, size=images.shape[2:], mode="bilinear", align_corners=False)
            fused = fused + side
        return fused


class _Residual(nn.Module):
    """Two 3x3 convolutions of 8 channels, added to what comes in."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(8, 8, norm), nn.ReLU(inplace=True), *_convolution(8, 8, norm))

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.body(features)  # (batch, 8, rows, cols)
        return features + changed


def _stage(n_in: int, widths: list[int], norm: Norm) -> nn.Sequential:
    """Return 3x3 convolutions, each with a ReLU after it."""
    layers: list[nn.Module] = []
    for before, after in pairwise([n_in, *widths]):
        layers += [*_convolution(before, after, norm), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _convolution(n_in: int, n_out: int, norm: Norm) -> list[nn.Module]:
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(n_out)] if norm == "batch" else [convolution]


def likeness(images: Tensor, sigma: float) -> Tensor:
    """Return how like in colour each pixel and each of its 8 neighbours are, `exp(-d^2 / 2 sigma^2)`.

    Parameters
    ----------
    images : float32 tensor of shape (batch, bands, rows, cols)
        Scaled to about 0..1.
    sigma : float
        The root mean square difference over the bands, d, that makes a likeness of 0.61.

    Returns
    -------
    float32 tensor of shape (batch, 8, rows, cols)
        At least 0.001. At a neighbour outside the image, that of the pixel nearest to it.
    """
    rows, cols = images.shape[2:]
    framed = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    squares = [
        (images - framed[:, :, 1 + down : 1 + down + rows, 1 + right : 1 + right + cols]).square().mean(dim=1)
        for down, right in NEIGHBOURS
    ]
    return torch.exp(torch.stack(squares, dim=1) / (-2 * sigma**2)).clamp(min=FLOOR)


@contextmanager
def frozen_statistics(network: Dal, images: Tensor) -> Iterator[None]:
    """Let instance norm use the statistics of `images` whatever it is given, as long as the context lasts.

    A network with batch norm is left as it is.

    Parameters
    ----------
    network : Dal
        In evaluation mode.
    images : float32 tensor of shape (1, 3, rows, cols)
        The whole image; only the first convolution is computed of it.
    """
    measured = network.stem[1]
    if not isinstance(measured, nn.InstanceNorm2d):
        yield
        return
    with torch.no_grad():
        responses = network.stem[0](images)[0]  # (8, rows, cols)
    fixed = nn.BatchNorm2d(len(responses), eps=measured.eps, affine=False).to(images.device).eval()
    fixed.running_mean = responses.mean(dim=(1, 2))
    fixed.running_var = responses.var(dim=(1, 2), unbiased=False)
    network.stem[1] = fixed
    try:
        yield
    finally:
        network.stem[1] = measured
