"""Losses of the softmax whose gradient is known as soon as their value is.

Dice, Lovász and the superpixel term each find the slope of their value by each share, one channel at a time and outside
autograd. What autograd then keeps is the gradient of the outputs and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.autograd import Function

from superpoint.losses.targets import wide_type

if TYPE_CHECKING:
    from torch import Tensor

    from superpoint.losses.targets import Context


def shares_of(outputs: Tensor, where: Tensor) -> Tensor:
    """Return the softmax of the outputs, 0 where `where` is False, whatever stands there.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
    where : bool tensor of shape (batch, rows, cols)

    Returns
    -------
    float32 or float64 tensor of shape (batch, classes, rows, cols)
    """
    return outputs.softmax(dim=1, dtype=wide_type(outputs)).masked_fill_(~where.unsqueeze(1), 0.0)


def with_gradient(outputs: Tensor, value: Tensor, shares: Tensor, slopes: Tensor) -> Tensor:
    """Return `value` as a function of `outputs`, given its slope by each share.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
    value : float tensor of shape ()
    shares : float tensor of shape (batch, classes, rows, cols)
        Softmax of the outputs, 0 at pixels that do not count.
    slopes : float tensor of shape (batch, classes, rows, cols)
        Derivative of the value by each share; overwritten.

    Returns
    -------
    float tensor of shape ()
    """
    return _Known.apply(outputs, value, _through_softmax(shares, slopes))  # type: ignore[no-any-return]


def _through_softmax(shares: Tensor, slopes: Tensor) -> Tensor:
    """Turn derivatives by the softmax into derivatives by what went into it, in place."""
    means = torch.zeros_like(shares[:, 0])
    for c in range(shares.shape[1]):
        means.addcmul_(shares[:, c], slopes[:, c])
    return slopes.sub_(means.unsqueeze(1)).mul_(shares)


class _Known(Function):
    """A value with its gradient."""

    @staticmethod
    def forward(ctx: Context, outputs: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.dtype = outputs.dtype
        return value.clone()

    @staticmethod
    def backward(ctx: Context, factor: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        # Multiplied before it is rounded: a loss scaler's factor keeps half precision from losing small values.
        return (gradient * factor).to(ctx.dtype), None, None
