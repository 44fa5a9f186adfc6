"""Fill by propagation: walks over the graph of superpixels, which end at a label or are lost where colours differ.

A walker on an unlabelled superpixel crosses one of its pixel edges by chance, more easily where the colours on both
sides are alike, until it meets a label. What share of the walkers meet a class is the superpixel's confidence in it:
the harmonic function of Zhu, Ghahramani and Lafferty [1]_, as first-arrival probabilities [2]_. Without losses these
add up to 1 even where a label is far away and nothing like it; so a small part of what a difference in colour holds
back is lost (a partially absorbing walk [3]_), and confidence falls with every edge that the colours do not bridge.

One linear system a class, with the same sparse symmetric matrix, solved by conjugate gradients [4]_. The loop is our
own: SciPy's leaves its sums to BLAS, whose result depends on the number of threads, which wait for each other on a busy
machine (ten times as long, measured).

References
----------
.. [1] Zhu, X., Ghahramani, Z. and Lafferty, J. (2003). Semi-supervised learning using Gaussian fields and harmonic
   functions. ICML, 912-919.
.. [2] Grady, L. (2006). Random walks for image segmentation. IEEE TPAMI 28(11), 1768-1783.
   doi:10.1109/TPAMI.2006.233
.. [3] Wu, X.-M. et al. (2012). Learning with partially absorbing random walks. NIPS 25.
.. [4] Hestenes, M. R. and Stiefel, E. (1952). Methods of conjugate gradients for solving linear systems. J. Res. NBS
   49(6), 409-436. doi:10.6028/jres.049.044
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit
from scipy.sparse import coo_array, csr_array, diags_array

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.labels.filling import classes_on, give_classes
from superpoint.superpixels.parameters import set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.superpixels.graph import SuperpixelGraph

    Doubles = NDArray[np.float64]

SMALLEST_AFFINITY = 1e-4  # an edge that bridges less still leads somewhere, and the solver need not take forever
TOLERANCE = 1e-8  # of the residual's norm over the right side's
MAX_ROUNDS = 5000
DECIMALS = 6  # of a confidence: the solver's last digits, which differ between machines, decide nothing


@dataclass(frozen=True, kw_only=True)
class Propagate:
    """Give unlabelled superpixels the class that most walks from them end at, if enough of them do."""

    name: ClassVar[str] = "propagate"
    version: ClassVar[str] = "1"

    sigma: float = 0.04
    """Difference of mean colour (root mean square over the bands, scaled) that an edge bridges with ease exp(-1/2)."""
    leak: float = 0.01
    """Part of what a difference in colour holds back that is lost; 0 loses nothing, 1 all of it."""
    min_confidence: float = 0.5
    """Smallest share of the walks that must end at the class; with 0 everything that a walk from a label reaches is
    labelled."""
    seed_weight: float | None = None
    """None keeps every label there is. A number is how much a superpixel's own label counts against its border: the
    smaller, the more easily its neighbours overrule it."""

    def __post_init__(self) -> None:
        set_numbers(self, sigma=0, leak=0, min_confidence=0)
        if self.sigma == 0:
            raise ValueError("sigma must be above 0, got 0.0")
        for name in ("leak", "min_confidence"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1, got {getattr(self, name)}")
        if self.seed_weight is not None:
            set_numbers(self, seed_weight=0)
            if self.seed_weight == 0:
                raise ValueError("seed_weight must be above 0, got 0.0; leave it out to keep every label")

    def __call__(self, labels: PseudoLabels, graph: SuperpixelGraph) -> PseudoLabels:
        """Fill; see `LabelStep`."""
        classes = classes_on(graph, labels)
        winners, confidences = self.walk(graph, classes)
        confident = (confidences > 0) & (confidences >= self.min_confidence)
        changed = np.flatnonzero(confident & (winners != classes))
        return give_classes(labels, graph.ids[changed], winners[changed])

    def walk(self, graph: SuperpixelGraph, classes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Doubles]:
        """Find where walks end.

        Parameters
        ----------
        graph : SuperpixelGraph
            Takes about 150 bytes a pair that touches, for any number of classes.
        classes : uint8 array of shape (superpixels,)
            The labels there are; 255 is none.

        Returns
        -------
        winners : uint8 array of shape (superpixels,)
            The class that most walks end at, the lowest of several; 255 where none ends at a label.
        confidences : float64 array of shape (superpixels,)
            The share of the walks that do; 1 for a label that is kept, 0 where none ends at a label.

        Raises
        ------
        InputError
            If the solver does not settle: few labels, many superpixels and no leak.
        """
        weights, lost, borders = _weigh(graph, self.sigma, self.leak)
        labelled = classes != IGNORE
        own = np.where(labelled, self.seed_weight * borders, 0) if self.seed_weight else np.zeros(len(classes))
        totals = weights.sum(axis=1) + lost + own
        free = (~labelled if self.seed_weight is None else np.ones(len(classes), np.bool_)) & (totals > 0)
        winners, confidences = classes.copy(), np.where(labelled, 1.0, 0.0)
        arrivals = np.where(free, own, labelled)  # of walks at each label
        winners[free], confidences[free] = _most_likely(weights, totals, free, classes, arrivals)
        return winners, confidences


def _weigh(graph: SuperpixelGraph, sigma: float, leak: float) -> tuple[csr_array, Doubles, Doubles]:
    """Return how easily walks pass between superpixels, what each loses, and how long its border is."""
    one, other = graph.edges.T
    differences = ((graph.means[one] - graph.means[other]) ** 2).sum(axis=1) / max(graph.means.shape[1], 1)
    affinities = np.maximum(np.exp(-differences / (2 * sigma**2)), SMALLEST_AFFINITY)
    passed, ends = graph.borders * affinities, (np.append(one, other), np.append(other, one))
    weights = coo_array((np.tile(passed, 2), ends), shape=(len(graph), len(graph))).tocsr()
    borders = np.bincount(ends[0], np.tile(graph.borders, 2), minlength=len(graph))
    return weights, leak * np.maximum(borders - weights.sum(axis=1), 0), borders


def _most_likely(
    weights: csr_array, totals: Doubles, free: NDArray[np.bool_], classes: NDArray[np.uint8], arrivals: Doubles
) -> tuple[NDArray[np.uint8], Doubles]:
    """Return the class that most walks from each free superpixel end at, and their share, one class after another."""
    matrix = (diags_array(totals) - weights).tocsr()[free][:, free]
    into = weights[free]
    inverse = 1 / totals[free]
    winners = np.full(matrix.shape[0], IGNORE, np.uint8)
    shares = np.zeros(matrix.shape[0])
    for value in np.unique(classes[classes != IGNORE]):
        arriving = np.where(classes == value, arrivals, 0)
        right = into @ np.where(free, 0, arriving) + arriving[free]
        found, is_settled = _solve(matrix.indptr, matrix.indices, matrix.data, inverse, right, MAX_ROUNDS)
        if not is_settled:
            raise InputError(
                f"label step propagate: not settled after {MAX_ROUNDS} rounds; give a larger leak or sigma"
            )
        found = np.round(found, DECIMALS)
        better = found > shares
        winners[better], shares[better] = value, found[better]
    return winners, shares


@njit(cache=True, nogil=True)
def _solve(
    starts: NDArray[np.int32],
    cols: NDArray[np.int32],
    values: Doubles,
    inverse: Doubles,
    right: Doubles,
    max_rounds: int,
) -> tuple[Doubles, bool]:
    """Return the solution of a sparse system (CSR) with the inverse of its diagonal, and whether it is one."""
    n = len(right)
    solution, residual, passed, direction = np.zeros(n), right.copy(), np.empty(n), inverse * right
    square, rho = 0.0, 0.0
    for i in range(n):
        square += right[i] * right[i]
        rho += right[i] * direction[i]
    goal = TOLERANCE * TOLERANCE * square
    for _ in range(max_rounds):
        if square <= goal:
            return solution, True
        curvature = 0.0
        for i in range(n):
            total = 0.0
            for k in range(starts[i], starts[i + 1]):
                total += values[k] * direction[cols[k]]
            passed[i] = total
            curvature += total * direction[i]
        step, before = rho / curvature, rho
        square, rho = 0.0, 0.0
        for i in range(n):
            solution[i] += step * direction[i]
            residual[i] -= step * passed[i]
            square += residual[i] * residual[i]
            rho += residual[i] * residual[i] * inverse[i]
        for i in range(n):
            direction[i] = inverse[i] * residual[i] + rho / before * direction[i]
    return solution, square <= goal
