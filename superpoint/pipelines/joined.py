"""Label maps of algorithms whose tiles must be joined: three rounds of jobs, and what is kept between them.

    windows of all tiles ──► pieces of all cores, and their tables ──► (here) resolve ──► labels of all cores

Windows and pieces are kept in the cache, with ledgers of their own: a killed run goes on in the round it was in.
They are deleted when the label map is whole; its own ledger then says all that a later run must know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.cache.parts import TileParts
from superpoint.pipelines.superpixeljobs import PieceJob, RelabelJob, Round, WindowJob
from superpoint.superpixels.joining import region_size_of
from superpoint.superpixels.resolving import PieceTable, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.pipelines.rasterjobs import Ready
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm
    from superpoint.tiles import TileGrid

WINDOW_SHARE = 0.7  # of a tile's time, about; for progress only


def rounds_of(ready: Ready) -> Iterator[Round]:
    """Yield the rounds of jobs that make the label map of a raster.

    A round may be asked for when all tiles of the one before are done. If the label map is whole already, only
    what was kept on the way is deleted.
    """
    grid, group, recipe = ready.plan.grid, ready.group, ready.recipe
    windows, pieces = TileParts.of(group, "windows"), TileParts.of(group, "pieces")
    if len(ready.done) < len(grid):
        yield Round(
            what="windows",
            group=windows,
            job_of=lambda tile: WindowJob(recipe=recipe, group=windows, tile=tile),
            weight=WINDOW_SHARE,
        )
        yield Round(
            what="pieces",
            group=pieces,
            job_of=lambda tile: PieceJob(windows=windows, group=pieces, grid=grid, tile=tile),
            weight=(1 - WINDOW_SHARE) / 2,
        )
        lookups = _resolve(pieces, grid, ready.plan.algorithm)
        yield Round(
            what="labels",
            group=group,
            job_of=lambda tile: RelabelJob(pieces=pieces, group=group, tile=tile, lookup=lookups[tile.name]),
            weight=(1 - WINDOW_SHARE) / 2,
        )
    delete_parts(ready)


def delete_parts(ready: Ready) -> None:
    """Delete what was kept on the way to a label map."""
    for name in ("pieces", "windows"):
        TileParts.of(ready.group, name).delete()


def _resolve(pieces: TileParts, grid: TileGrid, algorithm: SuperpixelAlgorithm) -> dict[str, NDArray[np.uint32]]:
    read = pieces.store.map(lambda tile: pieces.read_tile(tile, "table"), grid)
    tables = [PieceTable.unpack(table) for table in read]
    lookups = resolve(tables, grid, region_size=region_size_of(algorithm))
    return {tile.name: lookup for tile, lookup in zip(grid, lookups, strict=True)}
