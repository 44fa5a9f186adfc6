"""What the tables of all tiles say together: which pieces are one superpixel, and its number.

`joining.py` gives the rules. Here nothing is as large as the raster: a table has a row for each piece.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from superpoint.superpixels.lattice import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from superpoint.tiles import TileGrid

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PieceTable:
    """What a tile tells of the pieces in its core, from 0 in raster order of their first pixels."""

    sources: NDArray[np.int64]
    """Of each piece, the superpixel it is of: the number of its tile in the upper 32 bits, its id in the lower."""
    firsts: NDArray[np.int64]
    """First pixel of each piece, counted over the whole raster in raster order."""
    sizes: NDArray[np.int64]
    """Pixels of each piece."""
    source_sizes: NDArray[np.int64]
    """Pixels of the superpixel that each piece is of, in the window of its tile."""
    borders: NDArray[np.int64]
    """`(borders, 3)`: two pieces that touch, not both whole superpixels, and the pixel edges between them."""
    matches: NDArray[np.int64]
    """`(matches, 2)`: superpixels of this tile, or of one that overlaps it, and of a later one, that are one."""
    top: NDArray[np.int64]
    """Pieces along the core's first row; -1 is nodata."""
    bottom: NDArray[np.int64]
    """Along the last row."""
    left: NDArray[np.int64]
    """Along the first column."""
    right: NDArray[np.int64]
    """Along the last column."""

    def pack(self) -> NDArray[np.int64]:
        """Return the table as one array: the length of each field, and then all of them."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return np.concatenate([[len(column) for column in columns], *(column.ravel() for column in columns)])

    @classmethod
    def unpack(cls, packed: NDArray[np.int64]) -> PieceTable:
        """Return the table that was packed."""
        kinds = fields(cls)
        widths = [{"borders": 3, "matches": 2}.get(field.name, 1) for field in kinds]
        ends = np.cumsum(packed[: len(kinds)] * widths)
        columns = np.split(packed[len(kinds) :], ends[:-1])
        shaped = (c if width == 1 else c.reshape(-1, width) for c, width in zip(columns, widths, strict=True))
        return cls(**{field.name: column for field, column in zip(kinds, shaped, strict=True)})


def resolve(tables: Sequence[PieceTable], grid: TileGrid, *, region_size: float) -> list[NDArray[np.uint32]]:
    """Decide over the whole raster which pieces are one superpixel, and number them.

    Parameters
    ----------
    tables : sequence of PieceTable
        One for each tile, in the order of the grid.
    grid : TileGrid
        The tiles.
    region_size : float
        Regions of less than its square may be slivers.

    Returns
    -------
    list of uint32 array of shape (pieces,)
        For each tile, the superpixel of each of its pieces.

    Raises
    ------
    ValueError
        If the superpixels do not fit uint32.
    """
    offsets = np.cumsum([0, *(len(table.sizes) for table in tables)])
    n_pieces = int(offsets[-1])
    borders = _all_borders(tables, offsets, grid)
    sources = np.concatenate([table.sources for table in tables])
    matches = np.concatenate([table.matches for table in tables])
    one = _are_one(sources[borders[:, 0]], sources[borders[:, 1]], sources, matches)
    regions = _components(borders[one, :2], n_pieces)
    regions = _absorb_slivers(regions, borders, tables, region_size)
    numbers = _rank(regions, np.concatenate([table.firsts for table in tables])) + 1
    if len(numbers) and int(numbers.max()) > MAX_ID:
        raise ValueError(f"{int(numbers.max())} superpixels do not fit uint32; use a larger region_size")
    return np.split(numbers.astype(np.uint32), offsets[1:-1])


def _all_borders(tables: Sequence[PieceTable], offsets: Longs, grid: TileGrid) -> Longs:
    """List the borders within cores and across their edges, with pieces counted over the whole raster."""
    n_tile_rows, n_tile_cols = grid.n_tiles
    found = [table.borders + np.array([offset, offset, 0]) for table, offset in zip(tables, offsets[:-1], strict=True)]
    for number, table in enumerate(tables):
        sides = []
        if (number + 1) % n_tile_cols:
            sides.append((number + 1, table.right, "left"))
        if number < (n_tile_rows - 1) * n_tile_cols:
            sides.append((number + n_tile_cols, table.bottom, "top"))
        for beyond, here, side in sides:
            there = getattr(tables[beyond], side)
            usable = (here >= 0) & (there >= 0)
            found.append(count_pairs(here[usable] + offsets[number], there[usable] + offsets[beyond]))
    return np.concatenate(found)


def _are_one(one: Longs, other: Longs, sources: Longs, matches: Longs) -> Mask:
    """Tell which pairs of superpixels are the same or match."""
    known = np.unique(sources)
    # Superpixels that have no piece left are in matches only.
    matches = matches[np.isin(matches, known).all(axis=1)]
    keys = np.searchsorted(known, matches[:, 0]) * len(known) + np.searchsorted(known, matches[:, 1])
    low, high = (np.searchsorted(known, pick(one, other)) for pick in (np.minimum, np.maximum))
    same: Mask = (one == other) | np.isin(low * len(known) + high, keys)
    return same


def _components(pairs: Longs, n_nodes: int) -> Longs:
    """Return the component of each node, from 0 in the order of their first nodes."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n_nodes, n_nodes))
    return _rank(connected_components(graph, directed=False)[1], np.arange(n_nodes))


def _absorb_slivers(regions: Longs, borders: Longs, tables: Sequence[PieceTable], region_size: float) -> Longs:
    """Give remnants to the neighbour with the longest border, round by round, until none has a neighbour."""
    sizes, source_sizes = (
        np.concatenate([getattr(table, name) for table in tables]) for name in ("sizes", "source_sizes")
    )
    while True:
        is_sliver = _slivers(regions, sizes, source_sizes, region_size)
        pairs = np.concatenate([regions[borders[:, :2]], regions[borders[:, 1::-1]]])
        wanted = (pairs[:, 0] != pairs[:, 1]) & is_sliver[pairs[:, 0]]
        if not wanted.any():
            return regions
        shared = count_pairs(pairs[wanted, 0], pairs[wanted, 1], np.tile(borders[:, 2], 2)[wanted])
        chosen = shared[is_best(shared[:, 0], shared[:, 1], shared[:, 2])]
        # Each sliver chooses one, others none: no two regions that are not slivers are merged.
        regions = _components(chosen[:, :2], len(is_sliver))[regions]


def _slivers(regions: Longs, sizes: Longs, source_sizes: Longs, region_size: float) -> Mask:
    """Tell which regions are small remnants: of no superpixel all, of their largest less than half."""
    n_regions = int(regions.max(initial=-1)) + 1
    pixels, largest, has_whole = np.zeros(n_regions, np.int64), np.zeros(n_regions, np.int64), np.zeros(n_regions, bool)
    np.add.at(pixels, regions, sizes)
    np.maximum.at(largest, regions, source_sizes)
    has_whole[regions[sizes == source_sizes]] = True
    small: Mask = (2 * pixels < largest) & (pixels < region_size**2) & ~has_whole
    return small


def _rank(groups: Ints | Longs, places: Longs) -> Longs:
    """Return the number of each member's group, from 0 in the order of the groups' smallest places."""
    ids, first = np.unique(groups[np.argsort(places)], return_index=True)
    ranks = np.empty(len(ids), np.int64)
    ranks[np.argsort(first)] = np.arange(len(ids))
    return ranks[groups]


def count_pairs(one: Ints | Longs, other: Ints | Longs, weights: Longs | None = None) -> Longs:
    """Return each different pair of numbers from 0 as a row (one, other, how often or the sum of weights)."""
    base = int(other.max(initial=0)) + 1
    keys = one.astype(np.int64) * base + other
    if weights is None:
        keys, counts = np.unique(keys, return_counts=True)
    else:
        keys, inverse = np.unique(keys, return_inverse=True)
        counts = np.zeros(len(keys), np.int64)
        np.add.at(counts, inverse, weights)
    return np.stack([keys // base, keys % base, counts], axis=1)


def is_best(ids: Longs, others: Longs, counts: Longs) -> Mask:
    """Mark for each id the row of the highest count; a tie goes to the smallest other."""
    order = np.lexsort((others, -counts, ids))
    best = np.zeros(len(ids), bool)
    best[order[np.flatnonzero(np.diff(ids[order], prepend=-1))]] = True
    return best
