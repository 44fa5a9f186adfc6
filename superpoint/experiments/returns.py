"""From where on more does not help: the point of diminishing returns of a curve.

With repeats it is the one-standard-error rule of Breiman, Friedman, Olshen and Stone (1984), "Classification and
Regression Trees", section 3.4.3, as in Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical
Learning", section 7.10, doi:10.1007/978-0-387-84858-7: the cheapest choice that is no more than one standard error
of the best worse than the best. One repeat has no standard error; what is said of it is another thing and has
another name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAIN = 0.95
"""Share of the gain that is nearly all of it, where there is but one repeat."""


@dataclass(frozen=True, kw_only=True)
class Returns:
    """Where a curve has got nearly as far as it gets."""

    x: float
    """The smallest budget that is good enough."""
    best_x: float
    """The budget of the best mean; of several, the smallest."""
    threshold: float
    """What is good enough."""
    rule: Literal["one-standard-error", "share-of-gain"]
    """Which rule says so; the second where the best has one repeat."""


def diminishing_returns(
    x: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64], *, less_is_better: bool = False
) -> Returns | None:
    """Return the smallest x from which on more does not help.

    Parameters
    ----------
    x : float64 array of shape (points,)
        Budgets, in any order.
    means : float64 array of shape (points,)
        Mean score of each; NaN where there is none.
    errors : float64 array of shape (points,)
        Standard error of each mean; NaN where there is but one repeat.
    less_is_better : bool
        Whether the score is a loss.

    Returns
    -------
    Returns or None
        None if fewer than two budgets have a mean.

    Examples
    --------
    >>> budgets, means = np.array([10.0, 20, 30, 40]), np.array([0.2, 0.35, 0.4, 0.41])
    >>> diminishing_returns(budgets, means, np.full(4, 0.02)).x
    30.0
    """
    order = [place for place in np.argsort(x).tolist() if np.isfinite(means[place])]
    if len(order) < 2:  # noqa: PLR2004  # of one there is no return to diminish
        return None
    budgets, errors = x[order], errors[order]
    heights = -means[order] if less_is_better else means[order]
    best = int(np.argmax(heights))
    has_error = bool(np.isfinite(errors[best]))
    allowed = errors[best] if has_error else (1 - GAIN) * (heights[best] - heights[0])
    threshold = float(heights[best] - allowed)
    return Returns(
        x=float(budgets[np.argmax(heights >= threshold)]),
        best_x=float(budgets[best]),
        threshold=-threshold if less_is_better else threshold,
        rule="one-standard-error" if has_error else "share-of-gain",
    )
