"""Losses by name, and sums of them by a line such as `partial-cross-entropy + 0.5*dice`.

The grammar: terms joined by `+`, each a name or `FACTOR*NAME`; a factor is a decimal number above 0, `0.5` or `1e-3`;
spaces do not matter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from superpoint.errors import InputError
from superpoint.losses.consistency import SuperpixelConsistency
from superpoint.losses.entropy import PartialCrossEntropy, PartialFocal
from superpoint.losses.loss import LossSum
from superpoint.losses.overlap import Dice, LovaszSoftmax
from superpoint.losses.settings import LossSettings, shares_tensor
from superpoint.losses.squares import WeightedMaskedMSE
from superpoint.losses.targets import inverse_frequencies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from superpoint.losses.loss import Loss
    from superpoint.losses.settings import Normalize, Weighting

TERM = re.compile(r"(?:(?P<factor>(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*\*)?\s*(?P<name>[^\s*]+)", re.IGNORECASE)
PER_CHANNEL = "weighted-masked-mse"  # the only loss with a weight for each channel
LOSSES: dict[str, Callable[[Sequence[float], LossSettings], Loss]] = {
    "dice": lambda _frequencies, settings: Dice(settings.smoothing),
    "lovasz-softmax": lambda _frequencies, _settings: LovaszSoftmax(),
    "partial-cross-entropy": lambda frequencies, settings: PartialCrossEntropy(_weights(frequencies, settings)),
    "partial-focal": lambda frequencies, settings: PartialFocal(settings.gamma, _weights(frequencies, settings)),
    "superpixel-consistency": lambda _frequencies, _settings: SuperpixelConsistency(),
    PER_CHANNEL: lambda frequencies, settings: WeightedMaskedMSE(
        frequencies, normalize=settings.normalize, weighting=settings.weighting or "per-channel"
    ),
}
"""Name to a function of (frequencies, settings) that makes the loss."""


def build_loss(
    name: str,
    *,
    frequencies: Sequence[float],
    normalize: Normalize = "all",
    weighting: Weighting | None = None,
    class_weights: Sequence[float] | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> Loss:
    """Make a loss or a sum of losses, a module called with (outputs, labels) or (outputs, labels, superpixels).

    A setting that none of the losses has a use for changes nothing, so that a grid over losses can hold the
    others fixed; only a weighting or class weights that nothing takes are refused.

    Parameters
    ----------
    name : str
        One of `LOSSES`, or a sum such as `partial-cross-entropy + 0.5*dice`: see `parse_losses`.
    frequencies : sequence of float
        Share of each class among the labelled pixels of the training set.
    normalize, weighting, class_weights, gamma, smoothing
        As in `LossSettings`.

    Returns
    -------
    Loss
        With `needs_superpixels`, which says whether it must be called with superpixels.

    Raises
    ------
    InputError
        If a name or setting is unknown, or the frequencies or class weights are not one number of 0 or more a class.

    Examples
    --------
    >>> build_loss("partial-focal + 0.1*superpixel-consistency", frequencies=[0.5, 0.5]).needs_superpixels
    True
    """
    settings = LossSettings(
        normalize=normalize,
        weighting=weighting,
        class_weights=None if class_weights is None else tuple(class_weights),
        gamma=gamma,
        smoothing=smoothing,
    )
    parsed = parse_losses(name)
    _check_weights(name, [term for term, _ in parsed], frequencies, settings)
    terms = [LOSSES[term](frequencies, settings) for term, _ in parsed]
    factors = [factor for _, factor in parsed]
    return terms[0] if factors == [1.0] else LossSum(terms, factors)


def parse_losses(text: str) -> list[tuple[str, float]]:
    """Return the names and factors of a sum of losses, in order.

    Parameters
    ----------
    text : str
        Terms joined by `+`, each a name of `LOSSES` or `FACTOR*NAME`, the factor a decimal number above 0.

    Returns
    -------
    list of (str, float)

    Raises
    ------
    InputError
        If a term cannot be read, or its name is unknown.

    Examples
    --------
    >>> parse_losses("partial-cross-entropy + 0.5*dice")
    [('partial-cross-entropy', 1.0), ('dice', 0.5)]
    """
    return [_parse_term(term.strip(), text) for term in text.split("+")]


def _parse_term(term: str, text: str) -> tuple[str, float]:
    match = TERM.fullmatch(term)
    factor = float(match["factor"] or 1) if match else 0.0
    if match is None or not 0 < factor < float("inf"):
        raise InputError(f"cannot read {term!r} in the loss {text!r}: a term is NAME or FACTOR*NAME, FACTOR above 0")
    if match["name"] not in LOSSES:
        raise InputError(f"unknown loss {match['name']!r}; known: {', '.join(sorted(LOSSES))}")
    return match["name"], factor


def _weights(frequencies: Sequence[float], settings: LossSettings) -> Sequence[float] | None:
    """Return the factor of each class's pixels, None if all count alike."""
    if settings.weighting == "own-class":
        return inverse_frequencies(shares_tensor(frequencies, "class frequencies are shares")).tolist()
    return settings.class_weights


def _check_weights(name: str, terms: list[str], frequencies: Sequence[float], settings: LossSettings) -> None:
    takes = {
        "weighting per-channel": (settings.weighting == "per-channel", {PER_CHANNEL}),
        "weighting own-class": (
            settings.weighting == "own-class", {PER_CHANNEL, "partial-cross-entropy", "partial-focal"}
        ),
        "class_weights": (settings.class_weights is not None, {"partial-cross-entropy", "partial-focal"}),
    }  # fmt: skip
    for what, (given, takers) in takes.items():
        if given and not takers & set(terms):
            raise InputError(f"the loss {name!r} takes no {what}; it is for {', '.join(sorted(takers))}")
    if settings.class_weights is not None and len(settings.class_weights) != len(frequencies):
        raise InputError(f"{len(frequencies)} classes need as many class weights, got {len(settings.class_weights)}")
