"""Scores of a class map, all of them from one confusion matrix over the whole dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.metrics.counts import ClassCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MEANS = ("miou", "micro_iou", "mean_f1", "frequency_weighted_iou", "kappa", "pixel_accuracy")
"""The scores that are one number."""
PER_CLASS = ("iou", "precision", "recall", "f1")
"""The scores that each class has."""


def confusion_matrix(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], n_classes: int, *, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Count the pixels of each true class by what was predicted for them.

    Matrices of parts of a dataset add up to the dataset's.

    Parameters
    ----------
    truth : integer array of any shape
        Class values from 0; pixels with `ignore` are left out.
    predicted : integer array of the shape of `truth`
        Class values. Anything else, `ignore` included, is counted in the last column.
    n_classes : int
        Number of classes.
    ignore : int
        The value of an unlabelled pixel.

    Returns
    -------
    int64 array of shape (n_classes, n_classes + 1)
        Row: true class. Column: predicted class, the last one for "none of the classes": a labelled pixel
        that got no class is wrong, and would vanish from a square matrix.

    Raises
    ------
    ValueError
        If the shapes differ.
    InputError
        If `truth` holds a value that is neither a class nor `ignore`.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1, 255]), np.array([0, 1, 255, 0]), 2)
    array([[1, 1, 0],
           [0, 0, 1]])
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth and prediction differ in shape: {truth.shape} and {predicted.shape}")
    counted = truth != ignore
    rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    unknown = np.unique(rows[(rows < 0) | (rows >= n_classes)])
    if unknown.size:
        raise InputError(
            f"truth holds the value {unknown[0]}; classes run from 0 to {n_classes - 1} and unlabelled is {ignore}"
        )
    columns[(columns < 0) | (columns >= n_classes)] = n_classes
    width = n_classes + 1
    return np.bincount(rows * width + columns, minlength=n_classes * width).reshape(n_classes, width)


@dataclass(frozen=True, kw_only=True, eq=False)  # eq: of arrays, it would be an array
class SegmentationScores:
    """The scores of one dataset-level confusion matrix; a score of nothing (0 / 0) is NaN.

    Examples
    --------
    >>> scores = SegmentationScores(confusion=np.array([[3, 1, 0], [0, 4, 0]]))
    >>> scores.iou, float(scores.pixel_accuracy)
    (array([0.75, 0.8 ]), 0.875)
    """

    confusion: NDArray[np.int64]
    """Of shape (classes, classes + 1), as `confusion_matrix` returns it."""

    def __post_init__(self) -> None:
        shape = np.shape(self.confusion)
        if len(shape) != 2 or shape[1] != shape[0] + 1:  # noqa: PLR2004  # rows and columns
            raise ValueError(f"a confusion matrix has shape (classes, classes + 1), got {shape}")

    @property
    def counts(self) -> ClassCounts:
        """True, predicted and rightly predicted pixels of each class."""
        return ClassCounts(
            both=self.confusion.diagonal(),
            true=self.confusion.sum(axis=1),
            predicted=self.confusion[:, :-1].sum(axis=0),
        )

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class; NaN where it is neither in the truth nor predicted."""
        return self.counts.iou

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that are in the truth or predicted."""
        return float(self.counts.miou)

    @property
    def micro_iou(self) -> float:
        """IoU of all classes counted together: sum of TP / sum of (TP + FP + FN)."""
        return float(self.counts.micro_iou)

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU weighted by the true pixels of each class."""
        return float(self.counts.frequency_weighted_iou)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels predicted as a class that are of it."""
        return self.counts.precision

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the pixels of a class that are predicted as it."""
        return self.counts.recall

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall of each class."""
        return self.counts.f1

    @property
    def mean_f1(self) -> float:
        """Mean F1 of the classes that are in the truth or predicted."""
        return float(self.counts.mean_f1)

    @property
    def kappa(self) -> float:
        """Agreement beyond chance (Cohen 1960)."""
        return float(self.counts.kappa)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right."""
        return float(self.counts.pixel_accuracy)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the scores as JSON values, with None for NaN.

        Parameters
        ----------
        class_names : sequence of str
            One a class, in the order of their values.
        """
        counts = self.counts
        columns = [getattr(counts, score) for score in PER_CLASS]
        rows = zip(class_names, *columns, counts.true, strict=True)
        return {
            **{score: known(getattr(counts, score)) for score in MEANS},
            "n_pixels": int(self.confusion.sum()),
            "classes": {
                name: dict(zip(PER_CLASS, map(known, scores), strict=True)) | {"n_pixels": int(n_pixels)}
                for name, *scores, n_pixels in rows
            },
            "confusion": self.confusion.tolist(),
        }


def known(score: float | NDArray[np.float64]) -> float | None:
    """Return a score as JSON has it: None for NaN."""
    return float(score) if np.isfinite(score) else None
