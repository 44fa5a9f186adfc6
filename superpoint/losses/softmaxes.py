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
    from collections.abc import Callable

    from torch import Tensor

    from superpoint.losses.targets import Context


def loss_of_shares(outputs: Tensor, where: Tensor, part: Callable[[int, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Return the sum of what `part` makes of each class's shares, as a function of `outputs`.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
    where : bool tensor of shape (batch, rows, cols)
        The pixels that count: the shares of others are 0, whatever stands there, and so is their gradient.
    part : callable
        Given a class and its shares (batch, rows, cols), returns its part of the loss, of shape (), and the slope
        of that part by each share (batch, rows, cols).

    Returns
    -------
    float32 or float64 tensor of shape ()
    """
    with torch.no_grad():
        shares = outputs.softmax(dim=1, dtype=wide_type(outputs)).masked_fill_(~where.unsqueeze(1), 0.0)
        slopes, values = torch.empty_like(shares), []  # (batch, class, rows, cols)
        for c in range(shares.shape[1]):
            value, slopes[:, c] = part(c, shares[:, c])
            values.append(value)
        gradient = _through_softmax(shares, slopes)
    return _Known.apply(outputs, torch.stack(values).sum(), gradient)  # type: ignore[no-any-return]


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
