"""Partial cross-entropy and partial focal loss: both are functions of the share a pixel gives to its own class.

The logarithm of that share is all they keep. Its gradient, `[label = c] - share_c`, needs the softmax once more, which
is computed afresh in the memory of the gradient: a log-softmax kept for it would take as much as the outputs again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, override

import torch
from torch.autograd import Function

from superpoint.classes import IGNORE
from superpoint.losses.loss import Loss
from superpoint.losses.settings import check_gamma, shares_tensor
from superpoint.losses.targets import at_labels, check_classes, labelled_pixels, subtract_one_hot, wide_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from superpoint.losses.targets import Context

NEVER_SURER = 1e-12  # below it 1 - share counts as constant: the slope of x**gamma at 0 has no bound for gamma < 1


def partial_cross_entropy(
    outputs: Tensor, labels: Tensor, *, weights: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    """Return the cross-entropy of the labelled pixels, summed and divided by their number.

    It is `partial_focal` with gamma 0, to the last bit, which explains the parameters.
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
    outputs, labels
        As of every `Loss`; the outputs are logits.
    gamma : float
        How much less a pixel counts that is right already, 0 or more.
    weights : float tensor of shape (classes,), optional
        Factor of each class's pixels. The divisor stays the number of labelled pixels, where
        `torch.nn.functional.cross_entropy` divides by the sum of their weights.
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
        If gamma is below 0 or no finite number.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar (2017): Focal Loss for Dense Object Detection.
       ICCV. :doi:`10.1109/ICCV.2017.324`
    """
    check_gamma(gamma)
    labelled, count = labelled_pixels(outputs, labels, ignore)
    own: Tensor = _OwnLogShares.apply(outputs, labels, labelled)  # (batch, rows, cols)
    losses = -own
    if gamma > 0:
        losses = losses * (-own.expm1()).clamp(min=NEVER_SURER) ** gamma
    if weights is not None:
        check_classes(outputs, weights, "class weights")
        losses = losses * at_labels(weights.to(own), labels, labelled)
    return losses.sum() / count


class PartialFocal(Loss):
    """`partial_focal`, with class weights if given.

    Parameters
    ----------
    gamma : float
        As of `partial_focal`.
    weights : sequence of float, optional
        Factor of each class's pixels; not negative, and at least one above 0.
    """

    weights: Tensor | None

    def __init__(self, gamma: float = 2.0, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        check_gamma(gamma)
        self.gamma = gamma
        tensor = None if weights is None else shares_tensor(weights, "class weights are numbers")
        self.register_buffer("weights", tensor, persistent=False)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        return partial_focal(outputs, labels, gamma=self.gamma, weights=self.weights)


class PartialCrossEntropy(PartialFocal):
    """`partial_cross_entropy`, with class weights if given.

    Parameters
    ----------
    weights : sequence of float, optional
        As of `PartialFocal`.
    """

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        super().__init__(0.0, weights)


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
