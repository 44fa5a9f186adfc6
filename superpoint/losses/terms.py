"""The losses as modules that hold their settings, and a weighted sum of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn

from superpoint.errors import InputError
from superpoint.losses.consistency import superpixel_consistency
from superpoint.losses.entropy import check_gamma, partial_cross_entropy, partial_focal
from superpoint.losses.overlap import check_smoothing, dice_loss, lovasz_softmax
from superpoint.losses.squares import Normalize, Weighting, check_choice, weighted_masked_mse

if TYPE_CHECKING:
    from collections.abc import Sequence


class Loss(nn.Module):
    """A loss of a batch, called with (outputs, labels) or (outputs, labels, superpixels)."""

    needs_superpixels: bool = False
    """Whether it must be called with the label maps of the patches."""


class WeightedMaskedMSE(Loss):
    """`weighted_masked_mse` with the class frequencies of a training set.

    Parameters
    ----------
    frequencies : sequence of float
        Share of each class among the labelled pixels; not negative, and at least one above 0.
    normalize : {"all", "labelled"}
        What the sum is divided by.
    weighting : {"per-channel", "own-class"}
        What the frequencies divide.
    """

    frequencies: Tensor

    def __init__(
        self,
        frequencies: Sequence[float],
        *,
        normalize: Normalize = "all",
        weighting: Weighting = "per-channel",
    ) -> None:
        super().__init__()
        check_choice("normalize", normalize, get_args(Normalize))
        check_choice("weighting", weighting, get_args(Weighting))
        self.normalize: Normalize = normalize
        self.weighting: Weighting = weighting
        # Not in the state dict: the recipe holds the frequencies, and one place is enough.
        values = shares_tensor(frequencies, "class frequencies are shares")
        self.register_buffer("frequencies", values, persistent=False)

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return weighted_masked_mse(
            outputs, labels, self.frequencies, normalize=self.normalize, weighting=self.weighting
        )


class PartialCrossEntropy(Loss):
    """`partial_cross_entropy`, with class weights if given.

    Parameters
    ----------
    weights : sequence of float, optional
        Factor of each class's pixels; not negative, and at least one above 0.
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        tensor = None if weights is None else shares_tensor(weights, "class weights are numbers")
        self.register_buffer("weights", tensor, persistent=False)

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return partial_cross_entropy(outputs, labels, weights=self.weights)


class PartialFocal(PartialCrossEntropy):
    """`partial_focal`, with class weights if given.

    Parameters
    ----------
    gamma : float
        How much less a pixel counts that is right already, 0 or more.
    weights : sequence of float, optional
        Factor of each class's pixels; not negative, and at least one above 0.
    """

    def __init__(self, gamma: float = 2.0, weights: Sequence[float] | None = None) -> None:
        super().__init__(weights)
        check_gamma(gamma)
        self.gamma = gamma

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return partial_focal(outputs, labels, gamma=self.gamma, weights=self.weights)


class Dice(Loss):
    """`dice_loss`.

    Parameters
    ----------
    smoothing : float
        Added above and below, 0 or more.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return dice_loss(outputs, labels, smoothing=self.smoothing)


class LovaszSoftmax(Loss):
    """`lovasz_softmax`."""

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `labels` (batch, rows, cols)."""
        return lovasz_softmax(outputs, labels)


class SuperpixelConsistency(Loss):
    """`superpixel_consistency`, which looks at superpixels and not at labels."""

    needs_superpixels = True

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:  # noqa: ARG002  # of other terms
        """Return the loss of `outputs` (batch, classes, rows, cols) for `superpixels` (batch, rows, cols).

        Raises
        ------
        ValueError
            If the superpixels are missing.
        """
        if superpixels is None:
            raise ValueError(
                "superpixel-consistency is called with (outputs, labels, superpixels): no superpixels given"
            )
        return superpixel_consistency(outputs, superpixels)


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

    def forward(self, outputs: Tensor, labels: Tensor, superpixels: Tensor | None = None) -> Tensor:
        """Return the sum for `outputs` (batch, classes, rows, cols) and `labels`, `superpixels` (batch, rows, cols)."""
        values = [term(outputs, labels, superpixels) for term in self.terms]
        return torch.stack([factor * value for factor, value in zip(self.factors, values, strict=True)]).sum()


def shares_tensor(given: Sequence[float], what: str) -> Tensor:
    """Return one number a class as float32; InputError unless they are finite, not negative and not all 0."""
    values = torch.tensor(given, dtype=torch.float32)
    if values.ndim != 1 or not values.isfinite().all() or (values < 0).any() or not (values > 0).any():
        raise InputError(f"{what} of 0 or more, not all 0, got {list(given)}")
    return values
