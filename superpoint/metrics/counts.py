"""Three counts a class, of which every score is made: pixels in the truth, in the map, and in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)  # eq: of arrays, it would be an array
class ClassCounts:
    """Pixels of each class in the truth, in the map, and in both at once.

    Counts of parts of a dataset add up to the dataset's. Axes before the last one are kept: counts of shape
    (resamples, classes) have scores of shape (resamples, classes) and means of shape (resamples,). A score of
    nothing (0 / 0) is NaN, and left out of means over classes.

    Examples
    --------
    >>> counts = ClassCounts(both=np.array([3, 4]), true=np.array([4, 4]), predicted=np.array([3, 5]))
    >>> counts.iou, float(counts.micro_iou)
    (array([0.75, 0.8 ]), 0.7777777777777778)
    """

    both: NDArray[np.int64]
    """True positives, of shape (..., classes)."""
    true: NDArray[np.int64]
    """True positives and false negatives."""
    predicted: NDArray[np.int64]
    """True positives and false positives."""

    @classmethod
    def none(cls, n_classes: int) -> ClassCounts:
        """Return the counts of no pixel."""
        zeros = np.zeros(n_classes, np.int64)
        return cls(both=zeros, true=zeros, predicted=zeros)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            both=self.both + other.both, true=self.true + other.true, predicted=self.predicted + other.predicted
        )

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union, TP / (TP + FP + FN) (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
        return ratio(self.both, self._either)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels predicted as a class that are of it, TP / (TP + FP)."""
        return ratio(self.both, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the pixels of a class that are predicted as it, TP / (TP + FN)."""
        return ratio(self.both, self.true)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.both, self.true + self.predicted)

    @property
    def miou(self) -> NDArray[np.float64]:
        """Mean IoU of the classes that are in the truth or predicted."""
        return mean_of_known(self.iou)

    @property
    def mean_f1(self) -> NDArray[np.float64]:
        """Mean F1 of the classes that are in the truth or predicted."""
        return mean_of_known(self.f1)

    @property
    def micro_iou(self) -> NDArray[np.float64]:
        """IoU of all classes counted together, sum of TP / sum of (TP + FP + FN); 1 for a perfect map."""
        return ratio(self.both.sum(axis=-1), self._either.sum(axis=-1))

    @property
    def frequency_weighted_iou(self) -> NDArray[np.float64]:
        """Mean IoU weighted by true pixels (Long, Shelhamer and Darrell 2015, doi:10.1109/CVPR.2015.7298965)."""
        return ratio((self.true * np.nan_to_num(self.iou)).sum(axis=-1), self._total)

    @property
    def pixel_accuracy(self) -> NDArray[np.float64]:
        """Share of the labelled pixels that are right."""
        return ratio(self.both.sum(axis=-1), self._total)

    @property
    def kappa(self) -> NDArray[np.float64]:
        """Agreement beyond chance (Cohen 1960, doi:10.1177/001316446002000104); NaN if chance alone is perfect."""
        total = self._total.astype(np.float64)
        # In pixels squared, as floats: products of counts of large archives do not fit into 64 bits.
        chance = (self.true.astype(np.float64) * self.predicted).sum(axis=-1)
        return ratio(self.both.sum(axis=-1) * total - chance, total**2 - chance)

    @property
    def _either(self) -> NDArray[np.int64]:
        either: NDArray[np.int64] = self.true + self.predicted - self.both
        return either

    @property
    def _total(self) -> NDArray[np.int64]:
        return np.asarray(self.true.sum(axis=-1))


def ratio(part: NDArray[np.integer | np.floating], whole: NDArray[np.integer | np.floating]) -> NDArray[np.float64]:
    """Divide, with NaN where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient: NDArray[np.float64] = np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return quotient


def mean_of_known(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is known."""
    return ratio(np.nansum(scores, axis=-1), np.isfinite(scores).sum(axis=-1))
