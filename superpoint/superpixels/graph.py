"""The graph of superpixels: what each is like, which touch, and along how many pixel edges.

Measured tile by tile and merged. A tile's part holds sums, not means: pixels, rows and cols are integers, and the sums
of a band's values are float64, exact for integers of up to 16 bits; so the graph does not depend on the tiling. What
floats round is added in an order of its own, whatever the order of the parts. A tile counts the pixel edges to the
right of its pixels and below them, also where these lead into the next tile: each pixel edge is one tile's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.pieces import ids_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from superpoint.scaling import Scaling

    Labels = NDArray[np.uint32]
    Longs = NDArray[np.int64]
    Doubles = NDArray[np.float64]

_ID_BITS = np.uint64(32)
_LOWER = np.uint64(2**32 - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class SuperpixelGraph:
    """The superpixels of a raster, in ascending order of their ids, and the pairs of them that touch."""

    ids: NDArray[np.uint32]
    """Ids, each once, of shape (superpixels,)."""
    sizes: NDArray[np.int64]
    """Pixels of each."""
    centroids: NDArray[np.float64]
    """`(superpixels, 2)`: mean row and col of its pixels, from the raster's first pixel at (0, 0)."""
    means: NDArray[np.float64]
    """`(superpixels, bands)`: mean of its finite values, scaled; 0 where there are none."""
    edges: NDArray[np.int64]
    """`(edges, 2)`: places in `ids` of the two that touch, the lower first; ascending, each pair once."""
    borders: NDArray[np.int64]
    """Pixel edges along which they touch, of shape (edges,)."""

    def __post_init__(self) -> None:
        if len({len(self.ids), len(self.sizes), len(self.centroids), len(self.means)}) > 1:
            raise ValueError("ids, sizes, centroids and means must be of the same superpixels")
        if np.any(self.ids[1:] <= self.ids[:-1]):
            raise ValueError("ids must ascend, each once")
        if self.edges.shape != (len(self.borders), 2):
            raise ValueError(f"edges must be pairs, one for each of {len(self.borders)} borders")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphPart:
    """What one tile knows of the graph; 28 bytes a superpixel, 16 more for each of its bands and of its pairs."""

    ids: NDArray[np.uint32]
    """Ids in the tile, ascending, each once."""
    sizes: NDArray[np.int64]
    """Pixels of each in the tile."""
    place_sums: NDArray[np.int64]
    """`(superpixels, 2)`: sums of the rows and of the cols of these, in the raster."""
    counts: NDArray[np.int64]
    """`(superpixels, bands)`: those with a finite value."""
    sums: NDArray[np.float64]
    """`(superpixels, bands)`: sums of these values."""
    pairs: NDArray[np.uint64]
    """Ids of two that touch, the lower in the upper 32 bits; ascending, each once."""
    borders: NDArray[np.int64]
    """Pixel edges of each pair that are the tile's."""


def graph_of_tile(labels: Labels, image: NDArray[np.float32], *, row: int = 0, col: int = 0) -> GraphPart:
    """Measure a tile's part of the graph.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids of the tile's core, 0 on nodata, with one more row below and one more col to the right where
        the raster goes on there.
    image : float32 array of shape (bands, core rows, core cols)
        Values of the core; those that are not finite are left out. There may be no bands.
    row, col : int
        Where the core begins in the raster, in pixels.

    Raises
    ------
    ValueError
        If the labels do not cover the core, or more than a row and a col beyond it.

    Examples
    --------
    >>> part = graph_of_tile(np.array([[3, 3, 8]], np.uint32), np.array([[[1, 2]]], np.float32), row=5)
    >>> part.ids.tolist(), part.sizes.tolist(), part.place_sums.tolist(), part.sums.tolist()
    ([3], [2], [[10, 1]], [[3.0]])
    >>> [divmod(int(pair), 2**32) for pair in part.pairs], part.borders.tolist()
    ([(3, 8)], [1])
    """
    n_rows, n_cols = image.shape[1:]
    if not (n_rows <= labels.shape[0] <= n_rows + 1 and n_cols <= labels.shape[1] <= n_cols + 1):
        raise ValueError(f"labels of {labels.shape} pixels do not go one beyond a core of {(n_rows, n_cols)} at most")
    core = np.ascontiguousarray(labels[:n_rows, :n_cols])
    ids = ids_in(core)
    ids = ids[ids > 0]
    n_bands = len(image)
    sizes, place_sums = np.zeros(len(ids), np.int64), np.zeros((len(ids), 2), np.int64)
    counts, sums = np.zeros((len(ids), n_bands), np.int64), np.zeros((len(ids), n_bands))
    _add_runs(core, np.ascontiguousarray(image), ids, (row, col), sizes, place_sums, counts, sums)
    pairs, borders = _count_pairs(labels, (n_rows, n_cols))
    return GraphPart(
        ids=ids, sizes=sizes, place_sums=place_sums, counts=counts, sums=sums, pairs=pairs, borders=borders
    )


def merge_graphs(parts: Iterable[GraphPart], *, scaling: Scaling | None = None) -> SuperpixelGraph:
    """Put together the parts of all tiles of a raster.

    Parameters
    ----------
    parts : iterable of GraphPart
        At least one, all of as many bands, in any order: the result is the same to the last bit.
    scaling : Scaling, optional
        Applied to the means. Means of scaled values are the scaled means, and stored integers add up exactly.

    Returns
    -------
    SuperpixelGraph
        As if the tiles had been measured as one: exactly so, but for the last bits of means of values that are not
        integers of at most 16 bits.

    Raises
    ------
    ValueError
        If two superpixels touch of which one is in no part: a tile is missing.
    """
    pooled = _pool(list(parts))
    order = np.lexsort((*pooled.sums.T, pooled.ids))  # what is added is in an order that knows no parts
    ids, starts = _distinct(pooled.ids[order])
    sizes, place_sums, counts = (
        _add_groups(integers[order], starts) for integers in (pooled.sizes, pooled.place_sums, pooled.counts)
    )
    sums = _add_groups(pooled.sums[order], starts)
    pairs, borders = _add_up(pooled.pairs, pooled.borders)
    return SuperpixelGraph(
        ids=ids,
        sizes=sizes,
        centroids=place_sums / sizes[:, None],
        means=_means(counts, sums, scaling),
        edges=_places(pairs, ids),
        borders=borders,
    )


@njit(cache=True, nogil=True)
def _add_runs(
    labels: Labels,
    image: NDArray[np.float32],
    ids: Labels,
    origin: tuple[int, int],
    sizes: Longs,
    place_sums: Longs,
    counts: Longs,
    sums: Doubles,
) -> None:
    """Add up what there is of each superpixel, looking up its place once for each run of its pixels."""
    n_rows, n_cols = labels.shape
    for row in range(n_rows):
        stop = 0
        while stop < n_cols:
            first, label = stop, labels[row, stop]
            while stop < n_cols and labels[row, stop] == label:
                stop += 1
            if label == 0:
                continue
            place, length = np.searchsorted(ids, label), stop - first
            sizes[place] += length
            place_sums[place, 0] += length * (origin[0] + row)
            place_sums[place, 1] += length * origin[1] + length * (first + stop - 1) // 2
            for band in range(len(image)):
                for col in range(first, stop):
                    value = np.float64(image[band, row, col])
                    if np.isfinite(value):
                        counts[place, band] += 1
                        sums[place, band] += value


def _count_pairs(labels: Labels, core: tuple[int, int]) -> tuple[NDArray[np.uint64], Longs]:
    """Count the pixel edges right of and below the core's pixels by the two superpixels that meet there."""
    n_rows, n_cols = core
    right = _pack(labels[:n_rows, :-1], labels[:n_rows, 1:])
    below = _pack(labels[:-1, :n_cols], labels[1:, :n_cols])
    pairs = np.concatenate([right, below])
    return _add_up(pairs, np.ones(len(pairs), np.int64))


def _pack(one: Labels, other: Labels) -> NDArray[np.uint64]:
    meeting = (one != other) & (one > 0) & (other > 0)
    a, b = one[meeting], other[meeting]
    packed: NDArray[np.uint64] = np.minimum(a, b).astype(np.uint64) << _ID_BITS | np.maximum(a, b)
    return packed


def _add_up(pairs: NDArray[np.uint64], borders: Longs) -> tuple[NDArray[np.uint64], Longs]:
    """Return each pair once, ascending, with the sum of its borders."""
    order = np.argsort(pairs)
    found, starts = _distinct(pairs[order])
    return found, _add_groups(borders[order], starts)


def _distinct[Values: NDArray[np.generic]](ascending: Values) -> tuple[Values, NDArray[np.intp]]:
    """Return each value once, and where it begins."""
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1])[: len(ascending)])
    return ascending[starts], starts  # type: ignore[return-value]  # an index keeps the type


def _add_groups[Number: (np.int64, np.float64)](values: NDArray[Number], starts: NDArray[np.intp]) -> NDArray[Number]:
    """Return the sum of each group of rows."""
    return np.add.reduceat(values, starts) if len(starts) else values


def _pool(parts: list[GraphPart]) -> GraphPart:
    columns = (field.name for field in fields(GraphPart))
    return GraphPart(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})


def _means(counts: Longs, sums: Doubles, scaling: Scaling | None) -> Doubles:
    means: Doubles = sums / np.maximum(counts, 1)
    if scaling is not None:
        low, span = scaling.low_and_span()
        means = (means - low) / span
    return np.where(counts > 0, means, 0.0)


def _places(pairs: NDArray[np.uint64], ids: Labels) -> Longs:
    ends = np.stack([pairs >> _ID_BITS, pairs & _LOWER], axis=1).astype(np.uint32)
    places = np.searchsorted(ids, ends)
    if len(ends) and not (ids[np.minimum(places, len(ids) - 1)] == ends).all():
        raise ValueError("superpixels touch of which one is in no part; give the parts of all tiles of the raster")
    return places
