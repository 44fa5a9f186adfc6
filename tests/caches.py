"""A small cache made by hand: groups on a grid of six tiles, with ledgers, beside what else a cache holds."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, TiledGroup, open_group
from superpoint.cache.ledger import TileRecord
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from superpoint.cache.stores import Store

SHAPE = (100, 150)
TILE = 64
UTM = pyproj.CRS("EPSG:32633").to_wkt("WKT2_2019")
GRID = Georeference(shape=SHAPE, transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), crs=UTM)
LABELS = np.arange(1, 15_001, dtype=np.uint32).reshape(SHAPE)
FAILED = "1.2"


def source_of(path: Path | str = "/nowhere/scene.tif", *, files: list[list[Any]] | None = None) -> dict[str, Any]:
    """Return the identity of a raster."""
    grid = {"shape": list(SHAPE), "transform": list(GRID.transform), "crs": UTM}
    return {"path": str(path), "bands": [1], "nodata": "", "grid": grid, "files": files or [["scene.tif", 1, 1]]}


def facts_of(path: Path) -> list[list[Any]]:
    """Return what an identity says of a file."""
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns]]


def make_group(cache: Store | Path | str, *, name: str = "scene", fails: bool = False, **changes: object) -> TiledGroup:
    """Make a label map of which all tiles are done; or one has failed, 1.2."""
    array = ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")
    provenance = {"source": source_of(), "algorithm": {"name": "slic", "version": "1", "parameters": {"size": 9}}}
    group = open_group(
        cache,
        kind="label-maps",
        name=name,
        georeference=GRID,
        tile_size=TILE,
        arrays={"labels": array},
        provenance=provenance | changes,
    )
    for tile in TileGrid(shape=SHAPE, size=TILE):
        facts: dict[str, Any] = {"tile": tile.name, "attempts": 2, "seconds": 0.5, "run": "r1", "host": "here"}
        if fails and tile.name == FAILED:
            group.ledger.write(TileRecord(**facts, state="failed", error="no bytes came"))
            continue
        chunks = group.write_tile(tile, {"labels": LABELS[tile.core.slices]})
        group.ledger.write(TileRecord(**facts, state="done", chunks=chunks, facts={"n_inside": 7, "edge_ids": [1]}))
    return group


def age(folder: Path | str, *, days: float) -> None:
    """Make everything in a folder, or beside it under the same key, look as old."""
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    place = Path(folder)
    key = place.name.partition(".")[0]
    for top in [place, *place.parent.glob(f"{key}*")] if place.suffix else [place]:
        for file in [top, *top.rglob("*")]:
            if file.is_file():
                os.utime(file, (then, then))


def bytes_of(folder: Path | str) -> dict[str, bytes]:
    """Return the bytes of everything that a store lists: not what a kill left half-written, as name#1."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and not re.search(r"#\d+$", path.name))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def all_files(folder: Path | str) -> dict[str, tuple[int, bytes]]:
    """Return time of change and bytes of every file."""
    files = (file for file in Path(folder).rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}
