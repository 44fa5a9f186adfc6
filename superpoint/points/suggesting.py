"""Query strategies: which superpixels to label next, by name, from what is known of them.

Each is a function of a table of superpixels, with no regard to where the numbers come from. A superpixel that has a
point is never asked for again, nor is one below a least area; equals are taken in the order of their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from scipy.spatial import KDTree

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Evidence = Literal["areas", "colours", "entropy", "votes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """The superpixels of a label map, in ascending order of their ids."""

    ids: NDArray[np.uint32]
    """Ids, each once, of shape (superpixels,)."""
    areas: NDArray[np.int64]
    """Pixels of each."""
    features: NDArray[np.float64]
    """`(superpixels, bands)`: means of what the strategy looks at; NaN where there is no value."""
    labelled: NDArray[np.bool_]
    """Which have a point already."""
    min_area: int = 1
    """Pixels of the smallest that is asked for: a sliver looks like nothing else, and labels next to nothing."""

    @property
    def is_open(self) -> NDArray[np.bool_]:
        """Which can be asked for: large enough, and without a point."""
        return ~self.labelled & (self.areas >= self.min_area)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Superpixels to label, the first one first."""

    places: NDArray[np.int64]
    """Places in `Candidates`."""
    scores: NDArray[np.float64]
    """What each was chosen for; NaN where nothing was compared."""


class QueryStrategy(Protocol):
    """A frozen dataclass of its parameters; same candidates, same ranking."""

    name: ClassVar[str]
    """What it is called in settings."""
    needs: ClassVar[Evidence]
    """What the candidates' features are: nothing but areas; mean colours; the mean entropy of a model's class
    probabilities; the mean entropy of a committee's votes."""

    def rank(self, candidates: Candidates, n_points: int) -> Ranking:
        """Return up to `n_points` superpixels without a point, the most wanted first."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The largest superpixel without a point: the most pixels labelled by the next click. The score is its area."""

    name: ClassVar[str] = "coverage"
    needs: ClassVar[Evidence] = "areas"

    def rank(self, candidates: Candidates, n_points: int) -> Ranking:
        """Return the largest superpixels without a point."""
        return _highest(candidates.areas.astype(np.float64), candidates, n_points)


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """The superpixel whose mean colour is farthest from those of all that have a point (farthest-first traversal).

    Each band is standardised over the superpixels (mean 0, deviation 1; a band without variation does not count, and
    one without a value is at the mean); distances are Euclidean. Without any point, the first is the superpixel
    nearest to the mean colour. The score is the distance to the nearest superpixel that has a point or was chosen
    before; the first has none.

    References
    ----------
    .. [1] Gonzalez, T. F. (1985). "Clustering to minimize the maximum intercluster distance".
           doi:10.1016/0304-3975(85)90224-5
    .. [2] Sener, O. & Savarese, S. (2018). "Active learning for convolutional neural networks: a core-set approach".
           arXiv:1708.00489
    """

    name: ClassVar[str] = "diversity"
    needs: ClassVar[Evidence] = "colours"

    def rank(self, candidates: Candidates, n_points: int) -> Ranking:
        """Return the superpixels of a farthest-first traversal."""
        features = standardise(candidates.features)
        open_ = candidates.is_open
        if not (n_points and open_.any()):
            return Ranking(places=np.zeros(0, np.int64), scores=np.zeros(0))
        if candidates.labelled.any():
            distances = np.asarray(KDTree(features[candidates.labelled]).query(features)[0], np.float64)
            places, scores = [], []
        else:
            first = int(np.argmin(np.where(open_, (features**2).sum(axis=1), np.inf)))
            open_[first] = False
            distances = _distances(features, first)
            places, scores = [first], [np.nan]
        while len(places) < n_points and open_.any():
            place = int(np.argmax(np.where(open_, distances, -1)))
            places.append(place)
            scores.append(float(distances[place]))
            open_[place] = False
            distances = np.minimum(distances, _distances(features, place))
        return Ranking(places=np.array(places, np.int64), scores=np.array(scores))


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """The superpixel of which a model is least sure: the highest mean entropy of its class probabilities (nats)."""

    name: ClassVar[str] = "uncertainty"
    needs: ClassVar[Evidence] = "entropy"

    def rank(self, candidates: Candidates, n_points: int) -> Ranking:
        """Return the superpixels of the highest entropy; one without a prediction is left out."""
        return _highest(candidates.features[:, 0], candidates, n_points)


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """The superpixel on which several models differ most: the highest mean entropy of their votes (nats).

    References
    ----------
    .. [1] Dagan, I. & Engelson, S. P. (1995). "Committee-based sampling for training probabilistic classifiers".
           Proceedings of the 12th International Conference on Machine Learning, 150-157.
    """

    name: ClassVar[str] = "disagreement"
    needs: ClassVar[Evidence] = "votes"

    def rank(self, candidates: Candidates, n_points: int) -> Ranking:
        """Return the superpixels of the highest vote entropy; one without predictions is left out."""
        return _highest(candidates.features[:, 0], candidates, n_points)


QUERIES: Mapping[str, type[QueryStrategy]] = {
    strategy.name: strategy for strategy in (Coverage, Diversity, Uncertainty, Disagreement)
}
"""The query strategies by name."""


def make_query(name: str) -> QueryStrategy:
    """Build a query strategy from its name.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> make_query("coverage")
    Coverage()
    """
    if name not in QUERIES:
        raise InputError(f"unknown strategy {name!r}; known: {', '.join(sorted(QUERIES))}")
    return QUERIES[name]()


def least_area(areas: NDArray[np.int64]) -> int:
    """Return a quarter of the median area, rounded up.

    Parameters
    ----------
    areas : int64 array of shape (superpixels,)
        Pixels of each; one or more.

    Examples
    --------
    >>> least_area(np.array([7, 500, 521, 530, 600]))
    131
    """
    return int(np.ceil(np.median(areas) / 4))


def standardise(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each column to mean 0 and deviation 1 over what is known; what is not known is at the mean.

    Examples
    --------
    >>> standardise(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    """
    known = np.isfinite(features)
    counts = np.maximum(known.sum(axis=0), 1)
    deviations = np.where(known, features - np.where(known, features, 0).sum(axis=0) / counts, 0)
    spread = np.sqrt((deviations**2).sum(axis=0) / counts)
    return np.asarray(deviations / np.where(spread > 0, spread, 1))


def _distances(features: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((features - features[place]) ** 2).sum(axis=1)))


def _highest(scores: NDArray[np.float64], candidates: Candidates, n_points: int) -> Ranking:
    """Return the highest scores of superpixels that can be asked for; equals by id."""
    open_ = np.flatnonzero(candidates.is_open & np.isfinite(scores))
    places = open_[np.argsort(-scores[open_], kind="stable")][:n_points]
    return Ranking(places=places, scores=scores[places])
