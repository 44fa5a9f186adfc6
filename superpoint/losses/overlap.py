"""Dice and Lovász-softmax on labelled pixels: the overlap of what is predicted with what is labelled, class by class.

Both see the labelled pixels of a batch as one image and take the mean over the classes labelled in it; a class without
a labelled pixel in the batch has no say of its own, but what is wrongly predicted as it is missing at the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, override

import torch

from superpoint.classes import IGNORE
from superpoint.losses.loss import Loss
from superpoint.losses.settings import check_smoothing
from superpoint.losses.softmaxes import loss_of_shares
from superpoint.losses.targets import labelled_pixels, wide_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def dice_loss(outputs: Tensor, labels: Tensor, *, smoothing: float = 0.0, ignore: int = IGNORE) -> Tensor:
    """Return 1 - the Dice coefficient on labelled pixels, mean over the classes labelled in the batch.

    With s the softmax and y the labels, sums over the labelled pixels of the whole batch and e the smoothing:
    `1 - (2 sum s_c [y = c] + e) / (sum s_c**2 + sum [y = c] + e)`, the form with squares [1]_ (section 3).

    Parameters
    ----------
    outputs, labels
        As of every `Loss`; the outputs are logits.
    smoothing : float
        Added above and below, 0 or more. The paper has none, and none is needed: a class that counts has a pixel. With
        some, a class of few pixels pulls less.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        From 0 to 1.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    InputError
        If the smoothing is below 0 or no finite number.

    References
    ----------
    .. [1] F. Milletari, N. Navab, S.-A. Ahmadi (2016): V-Net: Fully Convolutional Neural Networks for Volumetric
       Medical Image Segmentation. 3DV. :doi:`10.1109/3DV.2016.79`
    """
    check_smoothing(smoothing)
    labelled, _ = labelled_pixels(outputs, labels, ignore)

    def part(share: Tensor, members: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        truth = members.to(share)
        above = 2 * (share * truth).sum() + smoothing
        below = (share.square().sum() + truth.sum() + smoothing).clamp(min=1)
        # (above / below)' = (2 truth - 2 share * above / below) / below
        slope = truth.sub_(share * (above / below)).mul_(-2 / below * weight)
        return (1 - above / below) * weight, slope

    return _mean_over_classes(outputs, labels, labelled, part)


class Dice(Loss):
    """`dice_loss`.

    Parameters
    ----------
    smoothing : float
        As of `dice_loss`.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        return dice_loss(outputs, labels, smoothing=self.smoothing)


def lovasz_softmax(outputs: Tensor, labels: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Return the Lovász-softmax loss of the labelled pixels, mean over the classes labelled in the batch.

    The errors of class c are 1 - s_c at its pixels and s_c at the others, s the softmax. Sorted from the largest, the
    k-th is weighted by how much the Jaccard loss grows when the k-th pixel is wrong as well as those before it
    [1]_ (equations 8 and 9, "present" classes). Pixels with equal errors stand in the order of the batch.

    Parameters
    ----------
    outputs, labels
        As of every `Loss`; the outputs are logits.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        From 0 to 1.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko (2018): The Lovasz-Softmax Loss: A Tractable Surrogate for the
       Optimization of the Intersection-Over-Union Measure in Neural Networks. CVPR. :doi:`10.1109/CVPR.2018.00464`
    """
    labelled, _ = labelled_pixels(outputs, labels, ignore)
    # Compiled, shapes must not depend on the data, and all pixels are sorted.
    kept = None if torch.compiler.is_compiling() else labelled.flatten().nonzero().squeeze(1)

    def part(share: Tensor, members: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        errors = torch.where(members, 1 - share, share)  # (batch, rows, cols)
        growth = _jaccard_growth(errors, members, labelled, kept).mul_(weight)
        return (errors * growth).sum(), torch.where(members, -growth, growth)

    return _mean_over_classes(outputs, labels, labelled, part)


class LovaszSoftmax(Loss):
    """`lovasz_softmax`."""

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        return lovasz_softmax(outputs, labels)


def _mean_over_classes(
    outputs: Tensor,
    labels: Tensor,
    labelled: Tensor,
    part: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """Return the mean over the labelled classes of `part` (shares, pixels of the class, 1 / number of classes)."""
    present = torch.stack([(labelled & (labels == c)).any() for c in range(outputs.shape[1])]).to(wide_type(outputs))
    weights = present / present.sum().clamp(min=1)  # (class,)
    return loss_of_shares(outputs, labelled, lambda c, share: part(share, labelled & (labels == c), weights[c]))


def _jaccard_growth(errors: Tensor, members: Tensor, labelled: Tensor, kept: Tensor | None) -> Tensor:
    """Return by how much the Jaccard loss grows with each pixel, counted from the largest error; shape of `errors`.

    With I pixels of the class still to come and U in the union so far, a pixel of the class adds 1 / U and another one
    I / (U (U - 1)): the difference of two neighbouring losses, written out, because in float32 it would cancel.
    Unlabelled pixels get 0: they are not among those `kept`, or, if all are (None), stand last.
    """
    if kept is None:
        order = torch.where(labelled, errors, -1.0).flatten().argsort(descending=True, stable=True)
    else:
        order = kept[errors.flatten()[kept].argsort(descending=True, stable=True)]
    hits = members.flatten()[order]
    # Counted in integers, as cumulative sums of floats depend on the device.
    missed = hits.cumsum(0, dtype=torch.int32)
    n_pixels = members.sum(dtype=torch.int32)
    union = (n_pixels + torch.arange(1, len(hits) + 1, dtype=torch.int32, device=hits.device) - missed).to(errors.dtype)
    growth = torch.where(hits, 1 / union, (n_pixels - missed) / union / (union - 1).clamp(min=1))
    return torch.zeros_like(errors).flatten().scatter_(0, order, growth).reshape(errors.shape).mul_(labelled)
