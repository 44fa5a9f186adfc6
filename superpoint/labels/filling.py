"""What label steps have in common: classes laid on a graph, and classes given to more of its superpixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag, PseudoLabels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.graph import SuperpixelGraph


def classes_on(graph: SuperpixelGraph, labels: PseudoLabels) -> NDArray[np.uint8]:
    """Return the class of each superpixel of a graph; 255 where there is none.

    Raises
    ------
    ValueError
        If a label is of a superpixel that the graph does not have.
    """
    stray = ~np.isin(labels.superpixels, graph.ids)
    if stray.any():
        raise ValueError(f"superpixel {labels.superpixels[stray][0]} has a label and is not in the graph")
    return labels.class_of(graph.ids)


def give_classes(labels: PseudoLabels, superpixels: NDArray[np.uint32], classes: NDArray[np.uint8]) -> PseudoLabels:
    """Return labels in which some superpixels have a class that no vote gave them.

    Parameters
    ----------
    labels : PseudoLabels
        All others stay as they are.
    superpixels : uint32 array of shape (given,)
        Ids, ascending, each once; known to the labels or not.
    classes : uint8 array of shape (given,)
        Their classes, none of them 255.

    Returns
    -------
    PseudoLabels
        Those given have `Flag.FILLED`, and a class that was replaced is flagged `Flag.REMOVED`. What was known of their
        votes stays: no votes and share 0 where nobody voted.
    """
    ids = np.union1d(labels.superpixels, superpixels)
    known, given = np.searchsorted(ids, labels.superpixels), np.searchsorted(ids, superpixels)
    spread = {
        name: _spread(getattr(labels, name), known, len(ids), IGNORE if name == "classes" else 0)
        for name in ("classes", "shares", "votes", "flags")
    }
    replaced = spread["classes"][given] != IGNORE
    spread["flags"][given] |= np.where(replaced, Flag.FILLED | Flag.REMOVED, Flag.FILLED).astype(np.uint8)
    spread["classes"][given] = classes
    return PseudoLabels(superpixels=ids, **spread)


def _spread[Values: np.generic](
    values: NDArray[Values], places: NDArray[np.intp], length: int, fill: float
) -> NDArray[Values]:
    column = np.full(length, fill, values.dtype)
    column[places] = values
    return column
