"""A term without labels: the pixels of a superpixel should be given the same shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, override

import torch

from superpoint.losses.loss import Loss
from superpoint.losses.softmaxes import loss_of_shares
from superpoint.losses.targets import check_shapes, wide_type

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 2**32  # ids are uint32: the same id in two patches of a batch is two superpixels


def superpixel_consistency(outputs: Tensor, superpixels: Tensor) -> Tensor:
    """Return the variance of the softmax within superpixels, mean over the superpixels of a batch.

    With s the softmax, S the superpixels in the patches, n their pixels there and mean_S the mean of s over them:
    `1 / |S| * sum_S 1 / n_S * sum_(p in S) sum_c (s_pc - mean_Sc)**2`.

    It counts labelled and unlabelled pixels alike. Alone it is 0 for a network that says the same everywhere: add it to
    a loss of labels. The variance within superpixels as a loss is one of three parts of the semantic-aware region
    loss [1]_, there of a network's features; taken of the softmax, and added to losses of sparse labels, it is ours.

    Parameters
    ----------
    outputs
        As of every `Loss`; logits.
    superpixels : integer tensor of shape (batch, rows, cols)
        Label maps of the patches: ids of any kind up to 2**32 - 1, 0 for nodata, which does not count.

    Returns
    -------
    float32 or float64 tensor of shape ()
        From 0 to 1; 0, with zero gradient, where all is nodata.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    .. [1] X. Zheng, Q. Ma, L. Huan, X. Xie, H. Xiong, J. Gong (2023): Semantic-Aware Region Loss for Land-Cover
       Classification. IEEE JSTARS 16. :doi:`10.1109/JSTARS.2023.3265365`
    """
    check_shapes(outputs, superpixels, "superpixels")
    ids = superpixels.to(torch.int64)
    inside = ids > 0
    members = _numbered(ids)  # (batch * rows * cols,)
    sizes = _sums(torch.ones_like(members, dtype=wide_type(outputs)), members)
    # 1 / n of each pixel's superpixel: over all pixels inside these add up to the number of superpixels.
    weights = (1 / sizes[members]).reshape(ids.shape).mul_(inside)
    weights = weights / weights.sum().clamp(min=1)

    def part(_: int, share: Tensor) -> tuple[Tensor, Tensor]:
        means = _sums(share.flatten(), members).div_(sizes.clamp(min=1))
        deviations = share - means[members].reshape(ids.shape)  # (batch, rows, cols)
        value = (deviations.square() * weights).sum()
        # The mean moves with its pixels, but deviations add up to 0: its part of the slope does too.
        return value, deviations.mul_(weights).mul_(2)

    return loss_of_shares(outputs, inside, part)


class SuperpixelConsistency(Loss):
    """`superpixel_consistency`, which looks at superpixels and not at labels."""

    needs_superpixels = True

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        if superpixels is None:
            raise ValueError(
                "superpixel-consistency is called with (outputs, labels, superpixels): no superpixels given"
            )
        return superpixel_consistency(outputs, superpixels)


def _numbered(ids: Tensor) -> Tensor:
    """Return ids of (batch, rows, cols) as numbers from 0, one for each id of each patch; (pixels,).

    By sorting, as the shape of `torch.unique`'s answer depends on the data, which no compiled network may.
    """
    patches = torch.arange(len(ids), device=ids.device).reshape(-1, 1, 1)
    ordered, order = (patches * PATCH + ids).flatten().sort(stable=True)
    starts = torch.zeros_like(ordered)
    starts[1:] = ordered[1:] != ordered[:-1]
    return torch.empty_like(order).scatter_(0, order, starts.cumsum(0))


def _sums(values: Tensor, members: Tensor) -> Tensor:
    """Return the sum of the values of each number's pixels; both (pixels,), as is the result, 0 where there is none."""
    return torch.zeros_like(values).scatter_add_(0, members, values)
