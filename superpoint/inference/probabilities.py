"""What a network's raw outputs say of the classes: probabilities, whatever the loss was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def class_probabilities(outputs: Tensor, *, are_logits: bool) -> Tensor:
    """Return class probabilities for raw outputs.

    Parameters
    ----------
    outputs : tensor of shape (..., classes, rows, cols)
        As a network gives them.
    are_logits : bool
        True after a cross-entropy: their softmax. False after a squared error, whose best answer is the probability
        itself: what is negative counts as 0, and the rest is divided by its sum.

    Returns
    -------
    float32 tensor of shape (..., classes, rows, cols)
        Adding up to 1; all alike where no output of a squared error is positive.

    Examples
    --------
    >>> outputs = torch.tensor([0.6, 0.2, -0.1]).reshape(3, 1, 1)
    >>> class_probabilities(outputs, are_logits=False).flatten().tolist()
    [0.75, 0.25, 0.0]
    """
    outputs = outputs.float()  # of mixed precision
    if are_logits:
        return outputs.softmax(dim=-3)
    positive = outputs.clamp(min=0)
    total = positive.sum(dim=-3, keepdim=True)
    return torch.where(total > 0, positive / torch.where(total > 0, total, 1), 1 / outputs.shape[-3])
