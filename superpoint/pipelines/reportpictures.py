"""The pictures on the page about a run: a few superpixels of each raster on the image they were made from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.boundaries import to_rgb
from superpoint.cache.glimpses import read_glimpse
from superpoint.cache.groups import load_group
from superpoint.cache.handles import close_handles
from superpoint.cache.inputs import Source
from superpoint.cache.rasters import open_source
from superpoint.errors import SuperpointError
from superpoint.report.facts import Thumbnail
from superpoint.report.pictures import CLOSE_UP, OVERVIEW, busiest_place, close_up, overview
from superpoint.scaling import Scaling
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.rasters import Raster
    from superpoint.cache.runs import RasterRow

    type Image = NDArray[np.float32]

log = logging.getLogger("superpoint")

SHOWN_BANDS = 3
REGION_PX = 20  # pixels of a close-up along a superpixel, about
MOST_ZOOM = 8  # pixels of a raster along one of a close-up: with more, a window would be large


def grid_of(group: TiledGroup) -> TileGrid:
    """Return the tiles of a group."""
    return TileGrid(shape=group.georeference.shape, size=group.tile_size)


def thumbnail_of(row: RasterRow, fullest: str | None) -> Thumbnail | None:
    """Return pictures of a raster of a run.

    Parameters
    ----------
    row : RasterRow
        The raster.
    fullest : str or None
        Name of a tile with something in it, to be shown if the middle of the raster turns out to be empty.

    Returns
    -------
    Thumbnail or None
        None if nothing of it can be read.
    """
    try:
        group = load_group(row.path or "")
        return _draw(row, group, _open(row, group.provenance["source"]), fullest)
    except Exception:  # of a damaged chunk, what its codec raises; a page does without a picture
        log.debug("no picture of %s", row.name, exc_info=True)
        return None
    finally:
        close_handles()  # of a thread that is soon no more


def _open(row: RasterRow, source: Mapping[str, Any]) -> Raster | None:
    """Open what a label map was made from, and a few of its bands; None if it is gone."""
    paths = tuple(source.get("parts", ())) or (row.raster,)
    try:
        return open_source(Source(name=row.name, paths=paths), bands=source["bands"][:SHOWN_BANDS])
    except SuperpointError:
        return None


def _draw(row: RasterRow, group: TiledGroup, raster: Raster | None, fullest: str | None) -> Thumbnail:
    grid = grid_of(group)
    failed = [grid.named(name).core for name, _ in row.failed_tiles]
    glimpse = raster and read_glimpse(raster, OVERVIEW)
    zoom = _zoom(group.provenance)
    window = _window_shown(grid, failed, glimpse[1] if glimpse else None, side=CLOSE_UP * zoom)
    labels = group.read("labels", window)
    if fullest and np.count_nonzero(labels) < labels.size / 2:
        window = _around(grid.named(fullest).core, window.shape, grid.shape)
        labels = group.read("labels", window)
    image, valid = _read(raster, window)
    image, valid = _averaged(image, zoom), _averaged(valid, zoom) > 0
    labels = labels[zoom // 2 :: zoom, zoom // 2 :: zoom][: valid.shape[0], : valid.shape[1]]
    size = f"{window.n_cols:,} x {window.n_rows:,} pixels from row {window.row:,}, col {window.col:,}"
    small = None
    if glimpse:
        inside = _seen(window, grid.shape, glimpse[1].shape)
        lost = [_seen(one, grid.shape, glimpse[1].shape) for one in failed]
        small = overview(_colours(*glimpse, group.provenance), glimpse[1], shown=inside, failed=lost)
    return Thumbnail(
        close_up=close_up(_colours(image, valid, group.provenance), labels),
        overview=small,
        note=size if raster else f"{size}; the raster itself is not there any more",
    )


def _zoom(provenance: Mapping[str, Any]) -> int:
    """Return how many pixels of a raster lie along one of its close-up, so that it shows a few superpixels."""
    region_size = provenance["algorithm"]["parameters"].get("region_size", REGION_PX)
    return int(np.clip(round(region_size / REGION_PX), 1, MOST_ZOOM))


def _window_shown(grid: TileGrid, failed: Sequence[Window], valid: NDArray[np.bool_] | None, *, side: int) -> Window:
    """Return a window of a raster with much to see in it, as near to the middle as can be."""
    usable = np.ones(grid.n_tiles, np.bool_) if valid is None else valid.copy()
    for window in failed:
        usable[_seen(window, grid.shape, usable.shape).slices] = False
    finer = np.divide(grid.shape, usable.shape)  # pixels of the raster along one of `usable`
    extent = np.minimum(side, grid.shape)
    n_rows, n_cols = np.maximum(1, np.rint(extent / finer)).astype(int).tolist()
    centre = (np.array(busiest_place(usable, (n_rows, n_cols))) + 0.5) * finer
    return _centred(centre, extent, grid.shape)


def _around(tile: Window, extent: tuple[int, int], whole: tuple[int, int]) -> Window:
    centre = np.array([tile.row + tile.n_rows / 2, tile.col + tile.n_cols / 2])
    return _centred(centre, np.array(extent), whole)


def _centred(centre: NDArray[np.floating], extent: NDArray[np.integer], whole: tuple[int, int]) -> Window:
    """Return a window around a place, moved until it lies inside a raster."""
    row, col = np.clip(np.rint(centre - extent / 2), 0, whole - extent).astype(int).tolist()
    return Window(row=row, col=col, n_rows=int(extent[0]), n_cols=int(extent[1]))


def _seen(window: Window, whole: tuple[int, int], seen: tuple[int, ...]) -> Window:
    """Return a window of a raster in the pixels of a smaller picture of it, one at least."""
    ends = []
    for start, size, all_, few in zip((window.row, window.col), window.shape, whole, seen, strict=True):
        first = min(start * few // all_, few - 1)
        ends.append((first, max(first + 1, -(-(start + size) * few // all_)) - first))
    (row, n_rows), (col, n_cols) = ends
    return Window(row=row, col=col, n_rows=n_rows, n_cols=n_cols)


def _read(raster: Raster | None, window: Window) -> tuple[Image, NDArray[np.bool_]]:
    """Read a window; plain grey if that cannot be done."""
    if raster is not None:
        try:
            return raster.read(window)
        except SuperpointError:
            pass
    return np.zeros((0, *window.shape), np.float32), np.ones(window.shape, np.bool_)


def _averaged(values: NDArray[Any], zoom: int) -> Image:
    """Return the means of squares of pixels; what is left over at the end is left out."""
    *bands, n_rows, n_cols = values.shape
    rows, cols = n_rows // zoom, n_cols // zoom
    blocks = values[..., : rows * zoom, : cols * zoom].reshape(*bands, rows, zoom, cols, zoom)
    return blocks.mean(axis=(-3, -1), dtype=np.float32)


def _colours(image: Image, valid: NDArray[np.bool_], provenance: Mapping[str, Any]) -> NDArray[np.uint8]:
    if len(image) == 0:
        return np.full((3, *valid.shape), 128, np.uint8)
    scaling = provenance["scaling"]
    low, high = (tuple(scaling[end][: len(image)]) for end in ("low", "high"))
    return to_rgb(Scaling(low=low, high=high).apply(image, valid))
