"""Partial cross-entropy and partial focal loss: both are functions of the share a pixel gives to its own class.

The logarithm of that share is all they keep. Its gradient, `[label = c] - share_c`, needs the softmax once more, which
is computed afresh in the memory of the gradient: a log-softmax kept for it would take as much as the outputs again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.autograd import Function

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.losses.targets import (
    at_labels,
    check_classes,
    check_shapes,
    labelled_pixels,
    subtract_one_hot,
    wide_type,
)

if TYPE_CHECKING:
    from torch import Tensor

    from superpoint.losses.targets import Context

NEVER_SURER = 1e-12  # below it 1 - share counts as constant: the slope of x**gamma at 0 has no bound for gamma < 1


def partial_cross_entropy(
    outputs: Tensor, labels: Tensor, *, weights: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    """Return the cross-entropy of the labelled pixels, summed and divided by their number.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
        Raw outputs of a network (logits).
    labels : integer tensor of shape (batch, rows, cols)
        Class values from 0, or `ignore`.
    weights : float tensor of shape (classes,), optional
        Factor of each class's pixels. The divisor stays the number of labelled pixels, where
        `torch.nn.functional.cross_entropy` divides by the sum of their weights.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        0, with zero gradient, where nothing is labelled.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    return partial_focal(outputs, labels, gamma=0, weights=weights, ignore=ignore)


def partial_focal(
    outputs: Tensor, labels: Tensor, *, gamma: float = 2.0, weights: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    """Return the focal loss of the labelled pixels, summed and divided by their number (pfCE).

    With s the softmax of the outputs at a pixel's own class and w its class's weight, the mean over labelled
    pixels of `-w (1 - s)**gamma log(s)` [1]_ (equation 5, w for its alpha).

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
        Raw outputs of a network (logits).
    labels : integer tensor of shape (batch, rows, cols)
        Class values from 0, or `ignore`.
    gamma : float
        How much less a pixel counts that is right already, 0 or more. At 0 this is `partial_cross_entropy`, to the
        last bit.
    weights : float tensor of shape (classes,), optional
        Factor of each class's pixels. The divisor stays the number of labelled pixels.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        0, with zero gradient, where nothing is labelled.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    InputError
        If gamma is below 0 or no finite number.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar (2017): Focal Loss for Dense Object Detection.
       ICCV. :doi:`10.1109/ICCV.2017.324`
    """
    check_gamma(gamma)
    check_shapes(outputs, labels)
    labelled, count = labelled_pixels(labels, ignore)
    own: Tensor = _OwnLogShares.apply(outputs, labels, labelled)  # (batch, rows, cols)
    losses = -own
    if gamma > 0:
        losses = losses * (-own.expm1()).clamp(min=NEVER_SURER) ** gamma
    if weights is not None:
        check_classes(outputs, weights, "class weights")
        losses = losses * at_labels(weights.to(own), labels, labelled)
    return losses.sum() / count


class _OwnLogShares(Function):
    """Logarithm of the softmax at each pixel's own class, 0 where it is unlabelled."""

    @staticmethod
    def forward(ctx: Context, outputs: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
        ctx.save_for_backward(outputs, labels, labelled)
        # Gathered by hand: PyTorch's own loss has no deterministic kernel for images on CUDA.
        targets = torch.where(labelled, labels, 0).long().unsqueeze(1)  # (batch, 1, rows, cols)
        own = outputs.log_softmax(dim=1, dtype=wide_type(outputs)).gather(1, targets).squeeze(1)
        return torch.where(labelled, own, 0.0)

    @staticmethod
    def backward(ctx: Context, factors: Tensor) -> tuple[Tensor, None, None]:
        outputs, labels, labelled = ctx.saved_tensors
        gradient = outputs.softmax(dim=1, dtype=wide_type(outputs))  # (batch, class, rows, cols)
        subtract_one_hot(gradient, labels)
        gradient.mul_(-factors.unsqueeze(1)).masked_fill_(~labelled.unsqueeze(1), 0.0)
        return gradient.to(outputs.dtype), None, None


def check_gamma(gamma: float) -> None:
    """Raise InputError unless gamma is a finite number of 0 or more."""
    if not 0 <= gamma < float("inf"):
        raise InputError(f"gamma of the focal loss is a number of 0 or more, got {gamma}")
