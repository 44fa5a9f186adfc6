"""What every loss asks of a batch: which pixels are labelled, and that the shapes fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx

    class Context(FunctionCtx):
        """What PyTorch hands to a function and its gradient; its stubs leave these out."""

        saved_tensors: tuple[Tensor, ...]
        dtype: torch.dtype


def labelled_pixels(outputs: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Return where a label is known, and how many such pixels there are, at least 1.

    Parameters
    ----------
    outputs : tensor of shape (batch, classes, rows, cols)
    labels : tensor of shape (batch, rows, cols)
        Class values, or `ignore`.
    ignore : int
        The label of an unlabelled pixel.

    Returns
    -------
    labelled : bool tensor of shape (batch, rows, cols)
    count : integer tensor of shape ()
        What a sum over labelled pixels can always be divided by.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    check_shapes(outputs, labels)
    labelled = labels != ignore
    return labelled, labelled.sum().clamp(min=1)


def at_labels(weights: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Return the weight of each pixel's own class, 0 where it is unlabelled.

    Parameters
    ----------
    weights : float tensor of shape (classes,)
    labels : tensor of shape (batch, rows, cols)
    labelled : bool tensor of shape (batch, rows, cols)

    Returns
    -------
    float tensor of shape (batch, rows, cols)
    """
    return torch.where(labelled, weights[torch.where(labelled, labels, 0).long()], 0.0)


def subtract_one_hot(values: Tensor, labels: Tensor) -> None:
    """Subtract 1 in place where the label is the channel's; nothing as large as the values is made for it.

    One channel at a time: a scatter would do it at once, but sorts all pixels on CUDA in PyTorch's deterministic mode.

    Parameters
    ----------
    values : float tensor of shape (batch, classes, rows, cols)
    labels : tensor of shape (batch, rows, cols)
    """
    for c in range(values.shape[1]):
        values[:, c].add_(labels == c, alpha=-1)


def inverse_frequencies(frequencies: Tensor) -> Tensor:
    """Return 1 / frequency of each class, 0 for a class without pixels; float tensors of shape (classes,)."""
    return torch.where(frequencies > 0, 1 / frequencies, 0.0)


def wide_type(outputs: Tensor) -> torch.dtype:
    """Return the type that sums are done in: float64 for float64, float32 for all others, half precision too."""
    return torch.promote_types(outputs.dtype, torch.float32)


def check_shapes(outputs: Tensor, pixels: Tensor, what: str = "labels") -> None:
    """Raise ValueError unless `pixels` (batch, rows, cols) fit `outputs` (batch, classes, rows, cols)."""
    if outputs.ndim != 4 or pixels.shape != outputs.shape[:1] + outputs.shape[2:]:  # noqa: PLR2004  # (batch, class, rows, cols)
        raise ValueError(
            f"{what} (batch, rows, cols) do not fit outputs (batch, classes, rows, cols): "
            f"{tuple(pixels.shape)} and {tuple(outputs.shape)}"
        )


def check_classes(outputs: Tensor, weights: Tensor, what: str) -> None:
    """Raise ValueError unless there is one of `weights` for each channel of `outputs`."""
    if weights.shape != outputs.shape[1:2]:
        raise ValueError(f"{outputs.shape[1]} classes need as many {what}, got {tuple(weights.shape)}")
