"""Measures of label maps: whether the tile grid can be found in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SeamRatio(NamedTuple):
    """How much oftener labels change across tile edges than elsewhere, by the direction of the step."""

    down: float
    """Steps from a row to the next, across the edges between rows of tiles."""
    across: float
    """Steps from a column to the next, across the edges between columns of tiles."""


def seam_ratio(labels: NDArray[np.uint32], tile_size: int) -> SeamRatio:
    """Compare how often labels change across tile edges with all other pixel edges of the same direction.

    The ratio is compared with that of the untiled label map on the same lines, which need not be 1: the lines
    may run along the lattice of seeds or not.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    tile_size : int
        Side of a tile in pixels.

    Returns
    -------
    SeamRatio
        NaN in a direction without tile edges.

    Examples
    --------
    >>> seam_ratio(np.repeat([[1, 2]], 3, axis=1).repeat(4, axis=0).astype(np.uint32), 3).across
    inf
    """
    return SeamRatio(
        _ratio(labels[1:] != labels[:-1], tile_size), _ratio((labels[:, 1:] != labels[:, :-1]).T, tile_size)
    )


def _ratio(changes: NDArray[np.bool_], tile_size: int) -> float:
    """Return the ratio for changes of shape (steps, lines)."""
    on_edge = np.arange(1, len(changes) + 1) % tile_size == 0
    if not on_edge.any() or on_edge.all():
        return float("nan")
    elsewhere = float(changes[~on_edge].mean())
    at_edges = float(changes[on_edge].mean())
    return at_edges / elsewhere if elsewhere else float("inf") if at_edges else float("nan")
