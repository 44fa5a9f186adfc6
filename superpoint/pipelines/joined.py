"""Label maps of algorithms whose tiles must be joined: three rounds of jobs, and what is kept between them.

    windows of all tiles ──► pieces of all cores, and their tables ──► (here) resolve ──► labels of all cores

Windows and pieces are kept in the cache, with ledgers of their own: a killed run goes on in the round it was in.
They are deleted when the label map is whole; its own ledger then says all that a later run must know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.cache.parts import TileParts
from superpoint.errors import InputError
from superpoint.pipelines.superpixeljobs import PieceJob, RelabelJob, Round, WindowJob, run_round
from superpoint.superpixels.joining import region_size_of, smallest_halo
from superpoint.superpixels.resolving import PieceTable, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.pipelines.jobs import TileJob
    from superpoint.pipelines.superpixeljobs import Recipe
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm
    from superpoint.tiles import Tile, TileGrid


def refuse_small_halo(algorithm: SuperpixelAlgorithm, halo: int) -> None:
    """Refuse a halo in which no superpixel is seen whole by two tiles.

    Raises
    ------
    InputError
        That says the smallest one.
    """
    smallest = smallest_halo(algorithm)
    if halo < smallest:
        raise InputError(
            f"superpixel algorithm {algorithm.name} joins its tiles where they overlap and needs a halo of at least "
            f"{smallest} pixels, its region size, got {halo}; give --halo {smallest} or more"
        )


def superpixelize_joined(
    recipe: Recipe, group: TiledGroup, grid: TileGrid, *, client: Client | None, retries: int
) -> list[Round]:
    """Superpixelize all tiles of a raster and join them.

    Parameters
    ----------
    recipe : Recipe
        How a tile is superpixelized.
    group : TiledGroup
        The label map.
    grid : TileGrid
        Its tiles.
    client : distributed.Client or None
        None runs one job after another in this process.
    retries : int
        Further attempts at a tile that failed.

    Returns
    -------
    list of Round
        Those that were gone into; one in which a tile failed is the last, else that of the label map itself.
    """
    windows, pieces = TileParts.of(group, "windows"), TileParts.of(group, "pieces")
    lookups: dict[str, NDArray[np.uint32]] = {}
    rounds: list[Round] = []

    def succeeds(what: str, target: TiledGroup, job_of: Callable[[Tile], TileJob]) -> bool:
        found = run_round(f"{what} of {recipe.raster.name}", target, grid, job_of, client=client, retries=retries)
        rounds.append(found)
        return not found.n_failed

    if len(group.ledger.done(grid)) < len(grid):
        for parts in (windows, pieces):
            parts.lay_out()
        if not succeeds("windows", windows, lambda tile: WindowJob(recipe=recipe, group=windows, tile=tile)):
            return rounds
        if not succeeds("pieces", pieces, lambda tile: PieceJob(windows=windows, group=pieces, grid=grid, tile=tile)):
            return rounds
        lookups = _resolve(pieces, grid, recipe.algorithm)
    if succeeds(
        "labels",
        group,
        lambda tile: RelabelJob(pieces=pieces, group=group, tile=tile, lookup=lookups[tile.name]),
    ):
        for parts in (pieces, windows):
            parts.delete()
    return rounds


def _resolve(pieces: TileParts, grid: TileGrid, algorithm: SuperpixelAlgorithm) -> dict[str, NDArray[np.uint32]]:
    tables = [PieceTable.unpack(pieces.read_tile(tile, "table")) for tile in grid]
    lookups = resolve(tables, grid, region_size=region_size_of(algorithm))
    return {tile.name: lookup for tile, lookup in zip(grid, lookups, strict=True)}
