"""What every loss is, and a weighted sum of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, override

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Loss(nn.Module):
    """A loss of a batch, with its settings."""

    needs_superpixels: bool = False
    """Whether it must be called with the label maps of the patches."""

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        outputs : float tensor of shape (batch, classes, rows, cols)
            Raw outputs of a network.
        labels : integer tensor of shape (batch, rows, cols)
            Class values from 0, or the ignore value where nothing is known.
        superpixels : integer tensor of shape (batch, rows, cols), optional
            Label maps of the patches, 0 for nodata; read by a loss that needs them.

        Returns
        -------
        float32 or float64 tensor of shape ()
            0, with zero gradient, where nothing is labelled.

        Raises
        ------
        ValueError
            If the shapes do not fit together, or superpixels are needed and missing.
        """
        raise NotImplementedError


class LossSum(Loss):
    """A weighted sum of losses.

    Parameters
    ----------
    terms : sequence of Loss
    factors : sequence of float
        One for each term.
    """

    def __init__(self, terms: Sequence[Loss], factors: Sequence[float]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.factors = tuple(factors)
        self.needs_superpixels = any(term.needs_superpixels for term in terms)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        values = [term(outputs, labels, superpixels) for term in self.terms]
        return torch.stack([factor * value for factor, value in zip(self.factors, values, strict=True)]).sum()
