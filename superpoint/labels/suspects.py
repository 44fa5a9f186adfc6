"""Take away labels that are hard to believe: a weak vote, or a colour unlike that of the class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag
from superpoint.labels.filling import classes_on
from superpoint.superpixels.parameters import set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.superpixels.graph import SuperpixelGraph

LEAST = 5  # superpixels, below which a class has no colour to differ from
MAD_TO_STD = 1.4826  # of a normal distribution
NARROWEST = 0.01  # of the scaled range: superpixels that are all alike make no outlier of one nearly so


@dataclass(frozen=True, kw_only=True)
class RemoveSuspects:
    """Take the class away from superpixels whose vote is weak or whose colour is an outlier.

    References
    ----------
    .. [1] Leys, C. et al. (2013). Detecting outliers: Do not use standard deviation around the mean, use absolute
       deviation around the median. J. Exp. Soc. Psychol. 49(4), 764-766. doi:10.1016/j.jesp.2013.03.013
    """

    name: ClassVar[str] = "remove-suspects"
    version: ClassVar[str] = "1"

    min_share: float | None = 0.5
    """A class with a smaller share of the votes goes; None asks for none. What a step filled stays."""
    outlier: float | None = 3.0
    """A superpixel goes if its mean is farther from the median of its class, in any band, than so many robust standard
    deviations (1.4826 times the median absolute deviation, at least 0.01 of the scaled range [1]_); None keeps all.
    Classes of fewer than 5 superpixels keep theirs."""

    def __post_init__(self) -> None:
        set_numbers(self, **{name: 0 for name in ("min_share", "outlier") if getattr(self, name) is not None})
        if self.min_share is not None and self.min_share > 1:
            raise ValueError(f"min_share must be at most 1, got {self.min_share}")

    def __call__(self, labels: PseudoLabels, graph: SuperpixelGraph) -> PseudoLabels:
        """Remove; see `LabelStep`."""
        classes_on(graph, labels)
        suspect = np.zeros(len(labels), np.bool_)
        if self.min_share is not None:
            by_vote = (labels.votes > 0) & (labels.flags & np.uint8(Flag.FILLED) == 0)
            suspect |= by_vote & (labels.shares < np.float32(self.min_share))
        if self.outlier is not None:
            means = graph.means[np.searchsorted(graph.ids, labels.superpixels)]
            suspect |= farthest_bands(means, labels.classes) > self.outlier
        suspect &= labels.classes != IGNORE
        return replace(
            labels,
            classes=np.where(suspect, np.uint8(IGNORE), labels.classes),
            flags=np.where(suspect, labels.flags | np.uint8(Flag.REMOVED), labels.flags),
        )


def farthest_bands(means: NDArray[np.float64], classes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how far each superpixel is from the median of its class, in the band in which it is farthest.

    Parameters
    ----------
    means : float64 array of shape (superpixels, bands)
        Scaled.
    classes : uint8 array of shape (superpixels,)
        255 is no class.

    Returns
    -------
    float64 array of shape (superpixels,)
        In robust standard deviations; 0 without a class, and in a class of fewer than 5.
    """
    distances = np.zeros(len(classes))
    for value in np.unique(classes[classes != IGNORE]):
        members = classes == value
        if np.count_nonzero(members) >= LEAST:
            deviations = np.abs(means[members] - np.median(means[members], axis=0))
            spreads = np.maximum(MAD_TO_STD * np.median(deviations, axis=0), NARROWEST)
            distances[members] = (deviations / spreads).max(axis=1, initial=0)
    return distances
