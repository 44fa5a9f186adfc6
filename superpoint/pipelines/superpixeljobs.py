"""The jobs of one tile on the way to a label map.

Where tiles agree on ids by themselves there is one, `SuperpixelJob`. Otherwise there are three, each of which
needs all tiles of the one before: `WindowJob`, `PieceJob` and, once the tables are resolved, `RelabelJob`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.superpixels.algorithm import Origin, ReadsStored
from superpoint.superpixels.joining import look, number_ids, paint, tabulate, tiles_seeing
from superpoint.superpixels.pieces import ids_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.parts import TileParts
    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.jobs import TileJob
    from superpoint.scaling import Scaling
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm
    from superpoint.tiles import Tile, TileGrid

    Output = tuple[Mapping[str, NDArray[np.generic]], dict[str, Any]]

TILES_AT_ONCE = 256  # whose edges are merged in one go


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the tiles of one raster are superpixelized."""

    raster: Raster
    algorithm: SuperpixelAlgorithm
    scaling: Scaling
    seed: int

    def labels_of(self, tile: Tile) -> NDArray[np.uint32]:
        """Return the labels of all that a tile reads."""
        window = tile.read
        origin = Origin(row=window.row, col=window.col, raster_shape=self.raster.shape)
        if isinstance(self.algorithm, ReadsStored):
            image, valid = self.raster.read_stored(window)
            labels = self.algorithm.from_stored(image, valid, self.scaling, origin=origin)
        else:
            image, valid = self.raster.read(window)
            rng = np.random.default_rng([self.seed, *tile.index])
            labels = self.algorithm(self.scaling.apply(image, valid), valid, origin=origin, rng=rng)
        if labels.dtype != np.uint32 or labels.shape != valid.shape:
            raise ValueError(
                f"superpixel algorithm {self.algorithm.name} returned {labels.dtype} {labels.shape}, not uint32 "
                f"{valid.shape}; check it with superpoint.testing.check_superpixels"
            )
        return labels


@dataclass(frozen=True, kw_only=True)
class SuperpixelJob:
    """Superpixelize one tile; its ids are those of the whole raster."""

    recipe: Recipe
    group: TiledGroup
    tile: Tile

    def compute(self) -> Output:
        """Return the labels of the core; the facts count superpixels without reading the array again."""
        labels = self.recipe.labels_of(self.tile)
        core = np.ascontiguousarray(labels[self.tile.core.within(self.tile.read)])
        return {"labels": core}, _count_ids(core)


@dataclass(frozen=True, kw_only=True)
class WindowJob:
    """Superpixelize one tile; its ids are its own, and its halo is kept for the tiles around it."""

    recipe: Recipe
    group: TileParts
    tile: Tile

    def compute(self) -> Output:
        """Return the labels of the read window."""
        return {"labels": number_ids(self.recipe.labels_of(self.tile))}, {}


@dataclass(frozen=True, kw_only=True)
class PieceJob:
    """Compose the core of one tile of its own labels and those of the tiles around it."""

    windows: TileParts
    group: TileParts
    grid: TileGrid
    tile: Tile

    def compute(self) -> Output:
        """Return the pieces of the core and their table."""
        views = {
            seen.index: look(seen, self.windows.read_tile(seen, "labels"), self.grid.shape)
            for seen in tiles_seeing(self.grid, self.tile.read)
        }
        pieces, table = tabulate(self.tile, views, self.grid)
        return {"pieces": pieces, "table": table.pack()}, {}


@dataclass(frozen=True, kw_only=True)
class RelabelJob:
    """Write the ids of the whole raster into one tile."""

    pieces: TileParts
    group: TiledGroup
    tile: Tile
    lookup: NDArray[np.uint32]
    """The superpixel of each of the tile's pieces."""

    def compute(self) -> Output:
        """Return the labels of the core; the facts count superpixels without reading the array again."""
        core = paint(self.pieces.read_tile(self.tile, "pieces"), self.lookup)
        return {"labels": core}, _count_ids(core)


@dataclass(frozen=True, kw_only=True)
class Round:
    """Jobs over all tiles of a raster, one each."""

    what: str
    """What they make, in a word."""
    group: TiledGroup
    """Where it is written."""
    job_of: Callable[[Tile], TileJob]
    weight: float = 1.0
    """Share of the work on a raster, for progress."""


@dataclass(kw_only=True, eq=False)
class Tally:
    """What the tiles of a label map come to, without remembering each."""

    n_done: int = 0
    n_bytes: int = 0
    """Size of the chunks as stored."""
    n_inside: int = 0
    """Superpixels that lie within one tile."""
    edge_ids: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    """Ids on the edges of tiles, each once."""
    _recent: list[NDArray[np.uint32]] = field(default_factory=list)

    def clear(self) -> None:
        """Forget all."""
        self.n_done = self.n_bytes = self.n_inside = 0
        self.edge_ids, self._recent = np.zeros(0, np.uint32), []

    def add(self, record: TileRecord) -> None:
        """Add a tile that is done."""
        self.n_done += 1
        self.n_bytes += sum(n_bytes for n_bytes, _ in record.chunks.values())
        self.n_inside += record.facts.get("n_inside", 0)
        self._recent.append(np.array(record.facts.get("edge_ids", ()), np.uint32))
        if len(self._recent) >= TILES_AT_ONCE:
            self._merge()

    @property
    def n_superpixels(self) -> int:
        """Superpixels of all tiles together."""
        self._merge()
        return self.n_inside + len(self.edge_ids)

    def _merge(self) -> None:
        self.edge_ids = np.unique(np.concatenate([self.edge_ids, *self._recent]))
        self._recent = []


def _count_ids(core: NDArray[np.uint32]) -> dict[str, Any]:
    """Tell the superpixels that lie inside a tile from those that touch its edge and may go on beyond."""
    edge = np.unique(np.concatenate([core[0], core[-1], core[:, 0], core[:, -1]]))
    n_all = int(np.count_nonzero(ids_in(core)))
    edge_ids = edge[edge > 0].tolist()
    return {"n_inside": n_all - len(edge_ids), "edge_ids": edge_ids}
