"""How unsure a model is of each pixel, and how far several are apart: entropies, in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.02  # by which probabilities may miss 1: eight bits and blending round
FEWEST_VOTES = 2


def class_entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy of the class probabilities of each pixel.

    Parameters
    ----------
    probabilities : float32 array of shape (classes, rows, cols)
        Each pixel's add up to 1; those of a pixel without data are not finite or all 0.

    Returns
    -------
    float32 array of shape (rows, cols)
        From 0 to ln(classes); NaN without data.

    Raises
    ------
    InputError
        If a pixel's numbers are no probabilities.

    References
    ----------
    .. [1] Shannon, C. E. (1948). "A mathematical theory of communication". doi:10.1002/j.1538-7305.1948.tb01338.x

    Examples
    --------
    >>> class_entropy(np.array([[[0.5, 1.0, 0.0]], [[0.5, 0.0, 0.0]]], np.float32)).round(4).tolist()
    [[0.6930999755859375, 0.0, nan]]
    """
    known = _known(probabilities)
    shares = np.where(known, probabilities, 1).clip(0, 1)
    terms = shares * np.log(np.where(shares > 0, shares, 1))
    return np.where(known, np.abs(terms.sum(axis=0)), np.nan).astype(np.float32)


def likeliest(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the class of the highest probability of each pixel, the lowest of equals; 255 without data.

    Raises
    ------
    InputError
        If a pixel's numbers are no probabilities.
    """
    known = _known(probabilities)
    return np.where(known, np.where(known, probabilities, 0).argmax(axis=0), IGNORE).astype(np.uint8)


def vote_entropy(maps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the entropy of the votes of a committee for each pixel.

    Parameters
    ----------
    maps : uint8 array of shape (members, rows, cols)
        The class that each member gives; 255 is none.

    Returns
    -------
    float32 array of shape (rows, cols)
        0 where all agree; NaN where fewer than two members give a class.

    References
    ----------
    .. [1] Dagan, I. & Engelson, S. P. (1995). "Committee-based sampling for training probabilistic classifiers".
           Proceedings of the 12th International Conference on Machine Learning, 150-157.

    Examples
    --------
    >>> vote_entropy(np.array([[[3, 0, 1]], [[3, 1, 255]]], np.uint8)).round(4).tolist()
    [[0.0, 0.6930999755859375, nan]]
    """
    voting = maps != IGNORE
    n_votes = voting.sum(axis=0)
    # The sum over classes of n ln n, as a sum over members: each counts those who vote as it does.
    surprise = np.zeros(maps.shape[1:])
    for member, votes in zip(maps, voting, strict=True):
        agreeing = ((maps == member) & voting).sum(axis=0)
        surprise += np.where(votes, np.log(np.maximum(agreeing, 1)), 0)
    entropy = np.log(np.maximum(n_votes, 1)) - surprise / np.maximum(n_votes, 1)
    return np.where(n_votes >= FEWEST_VOTES, np.maximum(entropy, 0), np.nan).astype(np.float32)


def _known(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels have probabilities, and refuse what are none."""
    finite = np.isfinite(probabilities).all(axis=0)
    sums = np.where(finite, probabilities, 0).sum(axis=0)
    lowest = np.where(finite, probabilities, 0).min(axis=0)
    known = np.asarray(finite & (probabilities != 0).any(axis=0))
    wrong = known & ((np.abs(sums - 1) > TOLERANCE) | (lowest < -TOLERANCE))
    if wrong.any():
        row, col = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f"the bands of row {row}, col {col} add up to {sums[row, col]:.4g}, with {lowest[row, col]:.4g} the "
            f"lowest; class probabilities add up to 1: give the output of a softmax"
        )
    return known
