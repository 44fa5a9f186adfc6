"""Fill by distance: an unlabelled superpixel takes the class of the labelled one that is nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.spatial import cKDTree

from superpoint.classes import IGNORE
from superpoint.labels.filling import classes_on, give_classes
from superpoint.superpixels.parameters import set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.superpixels.graph import SuperpixelGraph

    Places = NDArray[np.float64]

TIE = 1e-9  # distances that differ by less than this share of them are equal


@dataclass(frozen=True, kw_only=True)
class FillNearest:
    """Give every unlabelled superpixel the class of the labelled one with the nearest centroid.

    Of several at the same distance (to a billionth of it) the one with the lowest id counts.
    """

    name: ClassVar[str] = "fill-nearest"
    version: ClassVar[str] = "1"

    max_distance: float | None = None
    """Farthest centroid that counts, in pixels; by default any does."""

    def __post_init__(self) -> None:
        if self.max_distance is not None:
            set_numbers(self, max_distance=0)

    def __call__(self, labels: PseudoLabels, graph: SuperpixelGraph) -> PseudoLabels:
        """Fill; see `LabelStep`."""
        classes = classes_on(graph, labels)
        labelled = np.flatnonzero(classes != IGNORE)
        empty = np.flatnonzero(classes == IGNORE)
        if not (len(labelled) and len(empty)):
            return labels
        distances, nearest = find_nearest(graph.centroids[labelled], graph.centroids[empty])
        near = distances <= (np.inf if self.max_distance is None else self.max_distance)
        return give_classes(labels, graph.ids[empty[near]], classes[labelled[nearest[near]]])


def find_nearest(points: Places, queries: Places) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return distance and index of the nearest point of each query, the first of those that are equally near.

    Parameters
    ----------
    points : float64 array of shape (points, 2)
        At least one.
    queries : float64 array of shape (queries, 2)
        In the same units.

    Examples
    --------
    >>> find_nearest(np.array([[0.0, 9], [0, 2], [2, 0]]), np.array([[0.0, 0]]))
    (array([2.]), array([1]))
    """
    tree = cKDTree(points)
    distances, found = tree.query(queries, k=2)  # a tree of one point answers infinity for the second
    nearest = found[:, 0]
    tied = np.flatnonzero(distances[:, 1] <= distances[:, 0] * (1 + TIE))
    for query, candidates in zip(
        tied, tree.query_ball_point(queries[tied], distances[tied, 0] * (1 + TIE)), strict=True
    ):
        nearest[query] = min(candidates)
    return distances[:, 0], nearest
