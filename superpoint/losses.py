"""Losses of sparsely labelled patches: only labelled pixels count.

Outputs are a network's raw values, labels are class values with an ignore value where nothing is known. Each
loss is exactly 0, with zero gradient, for a batch without a labelled pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from superpoint.classes import IGNORE
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Normalize = Literal["all", "labelled"]


def weighted_masked_mse(
    outputs: Tensor,
    labels: Tensor,
    frequencies: Tensor,
    *,
    normalize: Normalize = "all",
    ignore: int = IGNORE,
) -> Tensor:
    """Return the squared distance to the one-hot labels, each channel divided by its class's frequency.

    With m = 1 on labelled pixels and 0 elsewhere, and pi the class frequencies,
    `1 / (B C H W) * sum_b sum_p m_bp sum_c (outputs_bcp - [labels_bp = c])**2 / pi_c`.

    Parameters
    ----------
    outputs : float tensor of shape (batch, classes, rows, cols)
        Raw outputs of a network.
    labels : integer tensor of shape (batch, rows, cols)
        Class values from 0, or `ignore`.
    frequencies : float tensor of shape (classes,)
        Share of each class among the labelled pixels of the training set. The channel of a class with
        frequency 0 is left out.
    normalize : {"all", "labelled"}
        Divide by all values of `outputs`, or by (labelled pixels x classes), so that the gradient does not
        scale with the share of labelled pixels.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    float tensor of shape ()
        0, with zero gradient, where nothing is labelled.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    InputError
        If `normalize` is unknown.

    Examples
    --------
    >>> outputs = torch.tensor([0.5, 0.0]).reshape(1, 2, 1, 1)
    >>> float(weighted_masked_mse(outputs, torch.zeros(1, 1, 1), torch.tensor([0.25, 0.75])))
    0.5
    """
    _check_normalize(normalize)
    _check_shapes(outputs, labels)
    if frequencies.shape != outputs.shape[1:2]:
        raise ValueError(f"{outputs.shape[1]} classes need as many frequencies, got {tuple(frequencies.shape)}")
    labelled, targets = _labelled(labels, ignore)
    # A weighted sum of squares of (output - target) itself: the expanded square saves memory but cancels
    # where the outputs are near the targets, and is off by more than 1e-6 in float32.
    residuals = torch.where(labelled, outputs, 0.0)  # (batch, class, rows, cols)
    residuals = residuals.scatter_add_(1, targets, -labelled.to(outputs.dtype))
    sums = residuals.square().sum(dim=(0, 2, 3))  # (class,)
    frequencies = frequencies.to(sums)
    weights = torch.where(frequencies > 0, 1 / frequencies, 0.0)  # (class,)
    total = (sums * weights).sum()
    if normalize == "all":
        return total / outputs.numel()
    return total / (labelled.sum().clamp(min=1) * outputs.shape[1])


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
    float tensor of shape ()
        0, with zero gradient, where nothing is labelled.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    _check_shapes(outputs, labels)
    labelled, targets = _labelled(labels, ignore)
    # Gathered by hand: PyTorch's own on CUDA has no deterministic kernel for images.
    log_shares = torch.where(labelled, outputs, 0.0).log_softmax(dim=1)  # (batch, class, rows, cols)
    losses = -log_shares.gather(1, targets) * labelled  # (batch, 1, rows, cols)
    if weights is not None:
        losses = losses * weights.to(losses)[targets]
    return losses.sum() / labelled.sum().clamp(min=1)


class WeightedMaskedMSE(nn.Module):
    """`weighted_masked_mse` with the class frequencies of a training set.

    Parameters
    ----------
    frequencies : sequence of float
        Share of each class among the labelled pixels; not negative, and at least one above 0.
    normalize : {"all", "labelled"}
        What the sum is divided by.
    """

    frequencies: Tensor

    def __init__(self, frequencies: Sequence[float], *, normalize: Normalize = "all") -> None:
        super().__init__()
        _check_normalize(normalize)
        values = torch.tensor(frequencies, dtype=torch.float32)
        if values.ndim != 1 or not values.isfinite().all() or (values < 0).any() or not (values > 0).any():
            raise InputError(f"class frequencies are shares of 0 or more, not all 0, got {list(frequencies)}")
        self.normalize: Normalize = normalize
        # Not in the state dict: the recipe holds the frequencies, and one place is enough.
        self.register_buffer("frequencies", values, persistent=False)

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return weighted_masked_mse(outputs, labels, self.frequencies, normalize=self.normalize)


class PartialCrossEntropy(nn.Module):
    """`partial_cross_entropy` without class weights."""

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return partial_cross_entropy(outputs, labels)


LOSSES: dict[str, Callable[[Sequence[float], Normalize], nn.Module]] = {
    "partial-cross-entropy": lambda _frequencies, _normalize: PartialCrossEntropy(),
    "weighted-masked-mse": lambda frequencies, normalize: WeightedMaskedMSE(frequencies, normalize=normalize),
}
"""Name to a function of (frequencies, normalize) that makes the loss."""


def build_loss(name: str, *, frequencies: Sequence[float], normalize: Normalize = "all") -> nn.Module:
    """Make the loss `name`, a module called with (outputs, labels).

    Parameters
    ----------
    name : str
        One of `LOSSES`.
    frequencies : sequence of float
        Share of each class among the labelled pixels of the training set.
    normalize : {"all", "labelled"}
        What the weighted masked MSE is divided by; cross-entropy is always a mean over labelled pixels.

    Raises
    ------
    InputError
        If the name or `normalize` is unknown, or the frequencies are no shares.
    """
    if name not in LOSSES:
        raise InputError(f"unknown loss {name!r}; known: {', '.join(sorted(LOSSES))}")
    _check_normalize(normalize)
    return LOSSES[name](frequencies, normalize)


def _labelled(labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Return where a label is known and the class there (0 elsewhere), both (batch, 1, rows, cols)."""
    labelled = (labels != ignore).unsqueeze(1)
    return labelled, torch.where(labelled, labels.unsqueeze(1), 0).long()


def _check_shapes(outputs: Tensor, labels: Tensor) -> None:
    if outputs.ndim != 4 or labels.shape != outputs.shape[:1] + outputs.shape[2:]:  # noqa: PLR2004  # (batch, class, rows, cols)
        raise ValueError(
            f"labels (batch, rows, cols) do not fit outputs (batch, classes, rows, cols): "
            f"{tuple(labels.shape)} and {tuple(outputs.shape)}"
        )


def _check_normalize(normalize: str) -> None:
    if normalize not in get_args(Normalize):
        raise InputError(f"unknown normalize {normalize!r}; known: {', '.join(get_args(Normalize))}")
