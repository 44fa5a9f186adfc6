"""Simulated annotators: wrong classes with a probability, and points beside the place that was meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from superpoint.errors import InputError
from superpoint.points.query import QueryPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

OffRaster = Literal["clip", "drop"]

TRUE_COLUMNS = ("true_class", "true_row", "true_col")
"""Columns of a file of simulated points that say what was true: no second names of the class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotated:
    """What a simulated annotator made of true points."""

    points: QueryPoints
    """Where the annotator put them, and the class given."""
    true: NDArray[np.int64]
    """Place of the true point of each, ascending; some are missing if those off the raster are dropped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatorNoise:
    """How often an annotator is wrong, and how far a click goes astray.

    A class is taken for another with probability `wrong`; for which one the confusion matrix says, or each of the
    others with the same probability. A click lies off the pixel's centre by a normal deviate in rows and another in
    columns, and the point goes to the pixel it lies in. The deviates of the classes are drawn before those of the
    places, so that the same labels are wrong at any jitter.
    """

    n_classes: int
    """Classes there are, with values from 0."""
    wrong: float | None = None
    """Probability of a wrong class; None for that of the confusion matrix, or 0 if there is none."""
    confusion: NDArray[np.float64] | None = None
    """Weights of shape (classes, classes), row true class, column class given; a row need not add up to 1. With
    `wrong`, the diagonal does not count. A class whose row has nothing to choose from is never wrong."""
    jitter_px: float = 0
    """Standard deviation of a click in each direction, pixels."""
    off_raster: OffRaster = "clip"
    """A point that is moved off the raster: `clip` it to the nearest pixel of the edge, or `drop` it."""

    def __post_init__(self) -> None:
        if self.wrong is not None and not 0 <= self.wrong <= 1:
            raise InputError(f"wrong must be a probability from 0 to 1, got {self.wrong}")
        if self.wrong and self.n_classes == 1:
            raise InputError("with one class none can be taken for another; leave out --wrong")
        if not (np.isfinite(self.jitter_px) and self.jitter_px >= 0):
            raise InputError(f"jitter must be at least 0 pixels, got {self.jitter_px}")
        if self.off_raster not in ("clip", "drop"):
            raise InputError(f"off_raster must be clip or drop, got {self.off_raster!r}")
        if self.confusion is not None:
            _check_confusion(self.confusion, self.n_classes)

    def transitions(self) -> NDArray[np.float64]:
        """Return the probability of each class given, by the true class.

        Returns
        -------
        float64 array of shape (classes, classes)
            Row true class, column class given; each row adds up to 1.

        Examples
        --------
        >>> AnnotatorNoise(n_classes=3, wrong=0.5).transitions().tolist()
        [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
        """
        right = np.eye(self.n_classes)
        weights = self.confusion
        if self.wrong is None:
            return right if weights is None else _rows_as_shares(weights, otherwise=right)
        others = (np.ones_like(right) if weights is None else weights) * (1 - right)
        return (1 - self.wrong) * right + self.wrong * _rows_as_shares(others, otherwise=right)

    def annotate(self, points: QueryPoints, shape: tuple[int, int], *, rng: np.random.Generator) -> Annotated:
        """Return what this annotator makes of true points.

        Parameters
        ----------
        points : QueryPoints
            On the raster, with values below `n_classes`.
        shape : tuple of int
            `(rows, cols)` of the raster.
        rng : numpy.random.Generator
            The annotator's own.
        """
        values = self._misread(points.values, rng.random(len(points)))
        moved = np.stack([points.rows, points.cols], axis=1) + 0.5 + self.jitter_px * rng.normal(size=(len(points), 2))
        pixels = np.floor(moved).astype(np.int64)
        clipped = np.clip(pixels, 0, np.array(shape) - 1)
        kept = np.flatnonzero((pixels == clipped).all(axis=1) | (self.off_raster == "clip"))
        rows, cols = clipped[kept].T
        return Annotated(points=QueryPoints(rows=rows.copy(), cols=cols.copy(), values=values[kept]), true=kept)

    def _misread(self, values: NDArray[np.int16], chances: NDArray[np.float64]) -> NDArray[np.int16]:
        """Return the class given for each true one, where a number from [0, 1) falls among the probabilities."""
        given = values.copy()
        for value, shares in enumerate(self.transitions()):
            bounds = np.cumsum(shares)
            here = values == value
            given[here] = np.searchsorted(bounds / bounds[-1], chances[here], side="right")
        return given


def _rows_as_shares(weights: NDArray[np.float64], *, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each row to 1; one that is all zeros is taken from `otherwise`."""
    sums = weights.sum(axis=1, keepdims=True)
    return np.where(sums > 0, weights / np.where(sums > 0, sums, 1), otherwise)


def _check_confusion(confusion: NDArray[np.float64], n_classes: int) -> None:
    if confusion.shape != (n_classes, n_classes):
        raise InputError(
            f"the confusion matrix has {' x '.join(map(str, confusion.shape))} entries; "
            f"{n_classes} classes need {n_classes} x {n_classes}"
        )
    if not (np.isfinite(confusion).all() and (confusion >= 0).all()):
        raise InputError("the confusion matrix holds numbers that are negative or not finite; give counts or shares")
