"""Where in a superpixel a point is put: the pixel nearest to its centroid, found tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.superpixels.statistics import Statistics
    from superpoint.tiles import Tile, TileGrid

ROWS_AT_ONCE = 128  # of a tile, when pixels are looked at one by one


def nearest_pixels(labels: StoredLabels, statistics: Statistics, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pixel nearest to the centroid of each of some superpixels, that belongs to it.

    The tiles that they touch are read twice, one at a time. Distances are multiplied by the area: whole numbers, so
    that ties are ties, however the raster is tiled.

    Parameters
    ----------
    labels : StoredLabels
        The label map.
    statistics : Statistics
        Of its superpixels: areas and bounding boxes are looked at.
    places : int64 array of shape (chosen,)
        Places in `statistics`, ascending, each once.

    Returns
    -------
    int64 array of shape (chosen, 2)
        Row and column; the first in raster order of equals.
    """
    ids, n_cols = statistics.ids[places], labels.georeference.shape[1]
    tiles = _tiles_of(labels.grid, statistics, places)
    sums = np.zeros((len(ids), 2), np.int64)
    for owners, pixels in _pixels_of(labels, tiles, ids):
        np.add.at(sums, owners, pixels)
    areas = statistics.areas[places, None]
    nearest, numbers = np.full(len(ids), np.inf), np.zeros(len(ids), np.int64)
    for owners, pixels in _pixels_of(labels, tiles, ids):
        distances = ((pixels * areas[owners] - sums[owners]).astype(np.float64) ** 2).sum(axis=1)
        order = np.lexsort((distances, owners))  # stable: raster order among equals
        first = order[np.flatnonzero(np.diff(owners[order], prepend=-1))]
        owner, distance, number = owners[first], distances[first], pixels[first] @ [n_cols, 1]
        better = (distance < nearest[owner]) | ((distance == nearest[owner]) & (number < numbers[owner]))
        nearest[owner[better]], numbers[owner[better]] = distance[better], number[better]
    return np.stack(np.divmod(numbers, n_cols), axis=1)


def _tiles_of(grid: TileGrid, statistics: Statistics, places: NDArray[np.int64]) -> list[Tile]:
    """Return the tiles that the bounding boxes of some superpixels touch, in raster order."""
    boxes = [getattr(statistics, name)[places] // grid.size for name in ("row_min", "row_max", "col_min", "col_max")]
    touched = {
        (row, col)
        for top, bottom, left, right in np.stack(boxes, axis=1).tolist()
        for row in range(top, bottom + 1)
        for col in range(left, right + 1)
    }
    return [grid.tile(row, col) for row, col in sorted(touched)]


def _pixels_of(
    labels: StoredLabels, tiles: list[Tile], ids: NDArray[np.uint32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pixels of some superpixels in raster order, some rows at a time: places in `ids`, and (row, col)."""
    for tile in tiles:
        found = labels.read(tile.core)
        for top in range(0, len(found), ROWS_AT_ONCE):
            part = found[top : top + ROWS_AT_ONCE]
            places = np.minimum(np.searchsorted(ids, part), len(ids) - 1)
            rows, cols = np.nonzero(ids[places] == part)
            if len(rows):
                yield places[rows, cols], np.stack([rows + tile.core.row + top, cols + tile.core.col], axis=1)
