"""Dice and Lovász-softmax on labelled pixels: the overlap of what is predicted with what is labelled, class by class.

Both see the labelled pixels of a batch as one image and take the mean over the classes labelled in it; a class without
a labelled pixel in the batch has no say of its own, but what is wrongly predicted as it is missing at the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.losses.softmaxes import shares_of, with_gradient
from superpoint.losses.targets import check_shapes, labelled_pixels

if TYPE_CHECKING:
    from torch import Tensor


def dice_loss(outputs: Tensor, labels: Tensor, *, smoothing: float = 0.0, ignore: int = IGNORE) -> Tensor:
    """Return 1 - the Dice coefficient on labelled pixels, mean over the classes labelled in the batch.

    With s the softmax and y the labels, sums over the labelled pixels of the whole batch and e the smoothing:
    `1 - (2 sum s_c [y = c] + e) / (sum s_c**2 + sum [y = c] + e)`, the form with squares [1]_ (section 3).

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
        Raw outputs of a network (logits).
    labels : integer tensor of shape (batch, rows, cols)
        Class values from 0, or `ignore`.
    smoothing : float
        Added above and below, 0 or more. The paper has none, and none is needed: a class that counts has a pixel. With
        some, a class of few pixels pulls less.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        From 0 to 1; 0, with zero gradient, where nothing is labelled.

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
    check_shapes(outputs, labels)
    with torch.no_grad():
        labelled, _ = labelled_pixels(labels, ignore)
        shares = shares_of(outputs, labelled)  # (batch, class, rows, cols)
        present = _present(labels, labelled, shares)  # (class,)
        slopes, values = torch.empty_like(shares), []
        for c in range(shares.shape[1]):
            share, truth = shares[:, c], (labelled & (labels == c)).to(shares)  # (batch, rows, cols)
            above = 2 * (share * truth).sum() + smoothing
            below = (share.square().sum() + truth.sum() + smoothing).clamp(min=1)
            # (above / below)' = (2 truth - 2 share * above / below) / below
            slopes[:, c] = truth.sub_(share * (above / below)).mul_(-2 / below * present[c])
            values.append((1 - above / below) * present[c])
    return with_gradient(outputs, torch.stack(values).sum(), shares, slopes)


def lovasz_softmax(outputs: Tensor, labels: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Return the Lovász-softmax loss of the labelled pixels, mean over the classes labelled in the batch.

    The errors of class c are 1 - s_c at its pixels and s_c at the others, s the softmax. Sorted from the largest, the
    k-th is weighted by how much the Jaccard loss grows when the k-th pixel is wrong as well as those before it
    [1]_ (equations 8 and 9, "present" classes). Pixels with equal errors stand in the order of the batch.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
        Raw outputs of a network (logits).
    labels : integer tensor of shape (batch, rows, cols)
        Class values from 0, or `ignore`.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float32 or float64 tensor of shape ()
        From 0 to 1; 0, with zero gradient, where nothing is labelled.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko (2018): The Lovasz-Softmax Loss: A Tractable Surrogate for the
       Optimization of the Intersection-Over-Union Measure in Neural Networks. CVPR. :doi:`10.1109/CVPR.2018.00464`
    """
    check_shapes(outputs, labels)
    with torch.no_grad():
        labelled, _ = labelled_pixels(labels, ignore)
        shares = shares_of(outputs, labelled)  # (batch, class, rows, cols)
        present = _present(labels, labelled, shares)  # (class,)
        # Compiled, shapes must not depend on the data, and all pixels are sorted.
        kept = None if torch.compiler.is_compiling() else labelled.flatten().nonzero().squeeze(1)
        slopes, values = torch.empty_like(shares), []
        for c in range(shares.shape[1]):
            truth = labelled & (labels == c)
            errors = torch.where(truth, 1 - shares[:, c], shares[:, c])  # (batch, rows, cols)
            growth = _jaccard_growth(errors, truth, labelled, kept).mul_(present[c])
            values.append((errors * growth).sum())
            slopes[:, c] = torch.where(truth, -growth, growth)
    return with_gradient(outputs, torch.stack(values).sum(), shares, slopes)


def _present(labels: Tensor, labelled: Tensor, shares: Tensor) -> Tensor:
    """Return 1 / (number of labelled classes) for a class labelled in the batch, else 0; shape (classes,)."""
    counts = torch.stack([(labelled & (labels == c)).any() for c in range(shares.shape[1])]).to(shares.dtype)
    return counts / counts.sum().clamp(min=1)


def _jaccard_growth(errors: Tensor, truth: Tensor, labelled: Tensor, kept: Tensor | None) -> Tensor:
    """Return by how much the Jaccard loss grows with each pixel, counted from the largest error; shape of `errors`.

    With I pixels of the class still to come and U in the union so far, a pixel of the class adds 1 / U and another one
    I / (U (U - 1)): the difference of two neighbouring losses, written out, because in float32 it would cancel.
    Unlabelled pixels get 0: they are not among those `kept`, or, if all are (None), stand last.
    """
    if kept is None:
        order = torch.where(labelled, errors, -1.0).flatten().argsort(descending=True, stable=True)
    else:
        order = kept[errors.flatten()[kept].argsort(descending=True, stable=True)]
    hits = truth.flatten()[order]
    # Counted in integers, as cumulative sums of floats depend on the device.
    missed = hits.cumsum(0, dtype=torch.int32)
    n_pixels = truth.sum(dtype=torch.int32)
    union = (n_pixels + torch.arange(1, len(hits) + 1, dtype=torch.int32, device=hits.device) - missed).to(errors.dtype)
    growth = torch.where(hits, 1 / union, (n_pixels - missed) / union / (union - 1).clamp(min=1))
    return torch.zeros_like(errors).flatten().scatter_(0, order, growth).reshape(errors.shape).mul_(labelled)


def check_smoothing(smoothing: float) -> None:
    """Raise InputError unless the smoothing is a finite number of 0 or more."""
    if not 0 <= smoothing < float("inf"):
        raise InputError(f"smoothing of the Dice loss is a number of 0 or more, got {smoothing}")
