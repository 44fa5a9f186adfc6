"""What losses can be told, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Normalize = Literal["all", "labelled"]
Weighting = Literal["per-channel", "own-class"]


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """What losses can be told; each takes what it has a use for."""

    normalize: Normalize = "all"
    """What the weighted masked MSE is divided by; the other losses are always means over labelled pixels."""
    weighting: Weighting | None = None
    """What the class frequencies divide: `own-class` each pixel's loss, in cross-entropy, focal loss and MSE;
    `per-channel` each channel's, in MSE alone. As published if None: MSE per channel, the others unweighted."""
    class_weights: tuple[float, ...] | None = None
    """Factor of each class's pixels in cross-entropy and focal loss, in place of a weighting."""
    gamma: float = 2.0
    """How much less the focal loss counts a pixel that is right already."""
    smoothing: float = 0.0
    """Added above and below in the Dice loss."""

    def __post_init__(self) -> None:
        check_normalize(self.normalize)
        check_gamma(self.gamma)
        check_smoothing(self.smoothing)
        if self.weighting is not None:
            check_weighting(self.weighting)
        if self.weighting is not None and self.class_weights is not None:
            raise InputError(f"class_weights stand in place of a weighting: leave out one, got both ({self.weighting})")
        if self.class_weights is not None:
            shares_tensor(self.class_weights, "class weights are numbers")


def shares_tensor(given: Sequence[float], what: str) -> Tensor:
    """Return one number a class as float32; InputError unless they are finite, not negative and not all 0."""
    values = torch.tensor(given, dtype=torch.float32)
    if values.ndim != 1 or not values.isfinite().all() or (values < 0).any() or not (values > 0).any():
        raise InputError(f"{what} of 0 or more, not all 0, got {list(given)}")
    return values


def check_normalize(given: str) -> None:
    """Raise InputError with the list unless it is a `Normalize`."""
    _check_choice("normalize", given, get_args(Normalize))


def check_weighting(given: str) -> None:
    """Raise InputError with the list unless it is a `Weighting`."""
    _check_choice("weighting", given, get_args(Weighting))


def check_gamma(gamma: float) -> None:
    """Raise InputError unless it is a finite number of 0 or more."""
    _check_not_negative("gamma of the focal loss", gamma)


def check_smoothing(smoothing: float) -> None:
    """Raise InputError unless it is a finite number of 0 or more."""
    _check_not_negative("smoothing of the Dice loss", smoothing)


def _check_choice(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise InputError(f"unknown {what} {given!r}; known: {', '.join(known)}")


def _check_not_negative(what: str, given: float) -> None:
    if not 0 <= given < float("inf"):
        raise InputError(f"{what} is a number of 0 or more, got {given}")
