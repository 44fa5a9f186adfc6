"""Batches of outputs, labels and superpixels, and what a softmax is in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

IGNORE = 255


def batch(
    seed: int,
    *,
    shape: tuple[int, int, int] = (2, 5, 6),
    n_classes: int = 4,
    labelled: float = 0.5,
    scale: float = 3.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Outputs (batch, classes, rows, cols), labels (batch, rows, cols) and class frequencies."""
    rng = np.random.default_rng(seed)
    outputs = (rng.normal(size=(shape[0], n_classes, *shape[1:])) * scale).astype(np.float32)
    labels = rng.integers(0, n_classes, shape)
    labels[rng.random(shape) >= labelled] = IGNORE
    frequencies = rng.dirichlet(np.ones(n_classes)).astype(np.float32)
    return outputs, labels, frequencies


def label_maps(seed: int, *, shape: tuple[int, int, int] = (2, 5, 6)) -> NDArray[np.uint32]:
    """A few superpixels a patch with large ids, the same in all patches, and some nodata."""
    ids = np.array([0, 7, 90_000, 2**31, 2**32 - 1], np.uint32)
    return ids[np.random.default_rng(seed).integers(0, len(ids), shape)]


def tensors(*arrays: NDArray[Any]) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def softmax(values: NDArray[Any]) -> NDArray[np.float64]:
    """Shares of one pixel's outputs."""
    powers = np.exp(values.astype(np.float64) - values.max())
    return powers / powers.sum()


def labelled_shares(outputs: NDArray[Any], labels: NDArray[Any]) -> list[tuple[NDArray[np.float64], int]]:
    """The softmax and the label of each labelled pixel, in the order of the batch."""
    return [
        (softmax(outputs[b, :, row, col]), int(labels[b, row, col]))
        for b, row, col in np.ndindex(labels.shape)
        if labels[b, row, col] != IGNORE
    ]
