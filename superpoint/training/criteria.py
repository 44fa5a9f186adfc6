"""The losses of a recipe: what a network learns by, and what its validation is judged by."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from superpoint.errors import InputError
from superpoint.losses import Loss, build_loss, parse_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.losses import LossSettings
    from superpoint.training.recipe import Recipe

SUPERPIXEL_TERM = "superpixel-consistency"


def loss_of(recipe: Recipe) -> Loss:
    """Return the loss of a recipe."""
    return _built(recipe, recipe.loss)


def validation_loss_of(recipe: Recipe) -> Loss:
    """Return what `val_loss` is made of: the loss as a mean over labelled pixels, without a term of superpixels."""
    terms = [f"{factor!r}*{name}" for name, factor in parse_losses(recipe.loss) if name != SUPERPIXEL_TERM]
    return _built(dataclasses.replace(recipe, normalize="labelled"), " + ".join(terms))


def check_loss(name: str, settings: LossSettings) -> bool:
    """Refuse a loss before anything is read; return whether it needs superpixels.

    Parameters
    ----------
    name : str
        A loss, or a sum of losses.
    settings : LossSettings
        Its settings; if there are class weights, any two.

    Raises
    ------
    InputError
        If there is none of that name, it takes no such setting, or it looks at no labels.
    """
    if {term for term, _ in parse_losses(name)} == {SUPERPIXEL_TERM}:
        raise InputError(f"{SUPERPIXEL_TERM} alone sees no labels; add it to a loss that does, with a factor")
    return build_loss(name, frequencies=(0.5, 0.5), **dataclasses.asdict(settings)).needs_superpixels


def balanced_weights(frequencies: Sequence[float]) -> tuple[float, ...]:
    """Return a weight for each class: 1 / (K pi), K being the number of classes that occur; 0 for the others.

    Each class then has the same share of the loss, and a labelled pixel weighs 1 in the mean. It is 1 / K of what
    weighting by own class divides by.

    Examples
    --------
    >>> balanced_weights([0.8, 0.2, 0.0])
    (0.625, 2.5, 0.0)
    """
    n_classes = sum(share > 0 for share in frequencies)
    return tuple(1 / (n_classes * share) if share > 0 else 0.0 for share in frequencies)


def _built(recipe: Recipe, loss: str) -> Loss:
    return build_loss(
        loss,
        frequencies=recipe.frequencies,
        normalize=recipe.normalize,
        weighting=recipe.weighting,
        class_weights=recipe.class_weights,
        gamma=recipe.gamma,
        smoothing=recipe.smoothing,
    )
