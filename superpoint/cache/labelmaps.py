"""Label maps to be read by window, wherever they are: groups of the cache, and rasters of ids."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import PROVENANCE_TAG
from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.groups import load_group
from superpoint.cache.holdings import find_holding, find_holdings, read_provenance, sources_in
from superpoint.cache.inputs import Source
from superpoint.cache.rasters import Raster, open_dataset, open_raster, open_source
from superpoint.errors import InputError, UnreachableError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.groups import TiledGroup
    from superpoint.tiles import Window

KIND = "label-maps"
BLOCK = 1024  # side of the blocks in which a raster of ids is read, pixels
_ID_TYPES = ("uint32", "int32")


@dataclass(frozen=True, kw_only=True)
class StoredLabels:
    """A label map that can be read."""

    path: str
    source: TiledGroup | Raster
    """A group of the cache, or a raster with one band of ids."""
    provenance: dict[str, Any]
    """What it was made of; empty if that is not known."""

    @property
    def georeference(self) -> Georeference:
        """Its grid."""
        return self.source.georeference

    @property
    def grid(self) -> TileGrid:
        """The tiles in which it is best read."""
        size = BLOCK if isinstance(self.source, Raster) else self.source.tile_size
        return TileGrid(shape=self.georeference.shape, size=size)

    def read(self, window: Window) -> NDArray[np.uint32]:
        """Read superpixel ids; 0 is nodata."""
        if not isinstance(self.source, Raster):
            ids: NDArray[np.uint32] = self.source.read("labels", window)
            return ids
        ids, _ = self.source.read_stored(window)
        return np.asarray(np.maximum(ids[0], 0), np.uint32)

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the superpixel of each of some pixels, tile by tile; 0 outside the raster."""
        grid = self.grid
        found = np.zeros(len(rows), np.uint32)
        inside = np.flatnonzero((rows >= 0) & (rows < grid.shape[0]) & (cols >= 0) & (cols < grid.shape[1]))
        for tile, places in grid.split(rows[inside], cols[inside]):
            here, core = inside[places], tile.core
            found[here] = self.read(core)[rows[here] - core.row, cols[here] - core.col]
        return found


def open_labels(cache: str, place: str) -> StoredLabels:
    """Open a label map.

    Parameters
    ----------
    cache : str
        Folder or URL of the cache.
    place : str
        Path or URL of a label map of a cache, or the beginning of its key; a raster with one band of ids, such as an
        exported label map; or a raster of which the cache holds one label map.

    Raises
    ------
    InputError
        If there is no such label map, more than one, or it is not finished.
    """
    if place.endswith(".zarr") or not Path(place).is_file():
        return _of_group(find_holding(cache, place, kinds=(KIND,)).path)
    raster = open_raster(place)
    provenance = _provenance_in(raster)
    if len(raster.bands) == 1 and (raster.dtype in _ID_TYPES or "algorithm" in provenance):
        return StoredLabels(path=raster.path, source=raster, provenance=provenance)
    return _of_group(_made_of(cache, raster))


def open_origin(labels: StoredLabels, raster: str | None = None) -> Raster:
    """Open the raster that a label map was made of, with the same bands and mask, or another on its grid.

    Parameters
    ----------
    labels : StoredLabels
        The label map.
    raster : str, optional
        The raster, where the label map does not know or it lies elsewhere now.

    Raises
    ------
    InputError
        If it is not known, not there, on another grid, or no longer what it was.
    """
    sources = sources_in(labels.provenance)
    if raster is not None:
        found = open_raster(raster, bands=sources[0]["bands"] if sources else ())
    elif sources:
        found = _reopened(labels, sources[0])
    else:
        raise InputError(f"{labels.path} does not say what raster it was made of; name it with --raster")
    refuse_other_grid(labels.path, labels.georeference, found.path, found.georeference)
    return found


def _reopened(labels: StoredLabels, identity: dict[str, Any]) -> Raster:
    paths = tuple(identity.get("parts") or [identity["path"]])
    source = Source(name=identity["path"].rpartition("/")[2], paths=paths, mask=identity.get("mask"))
    choice = {name: identity[name] for name in ("mask_band", "mask_values") if name in identity}
    try:
        raster = open_source(source, bands=identity["bands"], **choice)
    except (InputError, UnreachableError) as error:
        raise InputError(f"{error}; give --raster if it is elsewhere now") from error
    if raster.identity() != identity:
        raise InputError(f"{identity['path']} is not what it was when {labels.path} was made of it; give --raster")
    return raster


def _of_group(path: str) -> StoredLabels:
    group = load_group(path)
    n_tiles = len(TileGrid(shape=group.georeference.shape, size=group.tile_size))
    n_done = sum(1 for _ in group.done(check="sizes"))
    if n_done < n_tiles:
        raise InputError(f"{path} is not finished, {n_done} of {n_tiles} tiles are done; run the same command again")
    return StoredLabels(path=group.path, source=group, provenance=group.provenance)


def _provenance_in(raster: Raster) -> dict[str, Any]:
    with open_dataset(raster.path) as dataset:
        tag = dataset.tags().get(PROVENANCE_TAG)
    return dict(json.loads(tag)) if tag else {}


def _made_of(cache: str, raster: Raster) -> str:
    """Return the path of the one label map that was made of a raster."""
    identity = raster.identity()
    named = [one for one in find_holdings(cache) if one.kind == KIND and one.name == raster.name]
    sources = {one.key: sources_in(read_provenance(one)) for one in named}
    made = [one for one in named if any(source["path"] == identity["path"] for source in sources[one.key])]
    if not made:
        raise InputError(
            f"the cache {cache} holds no label map of {raster.path}; make one with: superpoint superpixelize "
            f"'{raster.path}'"
        )
    if len(made) > 1:
        keys = ", ".join(f"{KIND}/{one.key}" for one in made)
        raise InputError(f"there are {len(made)} label maps of {raster.path}; give the key of one: {keys}")
    return made[0].path
