"""Weighted masked mean squared error: the loss of the main paper, in its published form and three others.

The residuals are not kept for the gradient but computed afresh in its memory: beside the outputs stand their gradient
and a few arrays of one value a pixel, never a one-hot image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, override

import torch
from torch.autograd import Function

from superpoint.classes import IGNORE
from superpoint.losses.loss import Loss
from superpoint.losses.settings import Normalize, Weighting, check_normalize, check_weighting, shares_tensor
from superpoint.losses.targets import (
    at_labels,
    check_classes,
    inverse_frequencies,
    labelled_pixels,
    subtract_one_hot,
    wide_type,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from superpoint.losses.targets import Context


def weighted_masked_mse(
    outputs: Tensor,
    labels: Tensor,
    frequencies: Tensor,
    *,
    normalize: Normalize = "all",
    weighting: Weighting = "per-channel",
    ignore: int = IGNORE,
) -> Tensor:
    """Return the squared distance to the one-hot labels, weighted by the inverse class frequencies.

    With m = 1 on labelled pixels and 0 elsewhere, y the labels and pi the class frequencies, per channel:
    `1 / (B C H W) * sum_b sum_p m_bp sum_c (outputs_bcp - [y_bp = c])**2 / pi_c`, and of the own class:
    `1 / (B C H W) * sum_b sum_p m_bp / pi_y(bp) * sum_c (outputs_bcp - [y_bp = c])**2`.

    The first, as published, weighs an error by the class it is made *in favour of or against*: at a pixel of any class,
    the channel of a rare class must be right. All labelled pixels weigh the same, `sum_c 1 / pi_c` for an error of 1 in
    every channel. The second weighs by the class the pixel *has*: a pixel of a rare class counts more, in all its
    channels alike, so that each class has the same share of the sum. They agree where all classes are equally frequent.

    Parameters
    ----------
    outputs, labels
        As of every `Loss`.
    frequencies : float tensor of shape (classes,)
        Share of each class among the labelled pixels of the training set. The channel of a class with
        frequency 0 is left out; of the own class, its pixels are.
    normalize : {"all", "labelled"}
        Divide by all values of `outputs`, or by (labelled pixels x classes), so that the gradient does not
        scale with the share of labelled pixels.
    weighting : {"per-channel", "own-class"}
        What the frequencies divide.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    InputError
        If `normalize` or `weighting` is unknown.

    Examples
    --------
    >>> outputs = torch.tensor([0.5, 0.0]).reshape(1, 2, 1, 1)
    >>> float(weighted_masked_mse(outputs, torch.zeros(1, 1, 1), torch.tensor([0.25, 0.75])))
    0.5
    """
    check_normalize(normalize)
    check_weighting(weighting)
    labelled, count = labelled_pixels(outputs, labels, ignore)
    check_classes(outputs, frequencies, "frequencies")
    weights = inverse_frequencies(frequencies.to(outputs.device, wide_type(outputs)))  # (class,)
    if weighting == "own-class":
        pixels, channels = at_labels(weights, labels, labelled), torch.ones_like(weights)
    else:
        pixels, channels = labelled.to(weights), weights
    total: Tensor = _WeightedSquares.apply(outputs, labels, pixels, channels)
    return total / (outputs.numel() if normalize == "all" else count * outputs.shape[1])


class WeightedMaskedMSE(Loss):
    """`weighted_masked_mse` with the class frequencies of a training set.

    Parameters
    ----------
    frequencies : sequence of float
        Share of each class among the labelled pixels; not negative, and at least one above 0.
    normalize, weighting
        As of `weighted_masked_mse`.
    """

    frequencies: Tensor

    def __init__(
        self,
        frequencies: Sequence[float],
        *,
        normalize: Normalize = "all",
        weighting: Weighting = "per-channel",
    ) -> None:
        super().__init__()
        check_normalize(normalize)
        check_weighting(weighting)
        self.normalize: Normalize = normalize
        self.weighting: Weighting = weighting
        # Not in the state dict: the recipe holds the frequencies, and one place is enough.
        values = shares_tensor(frequencies, "class frequencies are shares")
        self.register_buffer("frequencies", values, persistent=False)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        return weighted_masked_mse(
            outputs, labels, self.frequencies, normalize=self.normalize, weighting=self.weighting
        )


class _WeightedSquares(Function):
    """Sum of pixels_bp * channels_c * (outputs_bcp - [labels_bp = c])**2."""

    @staticmethod
    def forward(ctx: Context, outputs: Tensor, labels: Tensor, pixels: Tensor, channels: Tensor) -> Tensor:
        ctx.save_for_backward(outputs, labels, pixels, channels)
        # Squares of (output - target) itself: the expanded square cancels where the outputs are near the
        # targets, and is off by more than 1e-6 in float32.
        squares = _residuals(outputs, labels, pixels).square_().mul_(pixels.unsqueeze(1))
        return (squares.sum(dim=(0, 2, 3)) * channels).sum()

    @staticmethod
    def backward(ctx: Context, factor: Tensor) -> tuple[Tensor, None, None, None]:
        outputs, labels, pixels, channels = ctx.saved_tensors
        gradient = _residuals(outputs, labels, pixels).mul_(pixels.unsqueeze(1))  # (batch, class, rows, cols)
        gradient.mul_((2 * factor * channels)[:, None, None])
        return gradient.to(outputs.dtype), None, None, None


def _residuals(outputs: Tensor, labels: Tensor, pixels: Tensor) -> Tensor:
    """Return outputs - targets, a finite number where a pixel has no weight, whatever stands there."""
    residuals = torch.where((pixels > 0).unsqueeze(1), outputs, 0.0).to(pixels.dtype)  # (batch, class, rows, cols)
    subtract_one_hot(residuals, labels)
    return residuals
