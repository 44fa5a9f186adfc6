"""Arrays of each tile's own, of any shape: what tiles must know of one another before a result is written.

They lie beside the result, as long as it is not whole:

    <name>-<digest>-<parts>.parts/
        <tile>/<array>.npy.zst
    <name>-<digest>-<parts>.ledger/
        <tile>.json

The result's digest is theirs as well, and so a killed run finds them again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import Zstd

from superpoint.cache.groups import TiledGroup, beside, write_objects
from superpoint.cache.ledger import Ledger
from superpoint.cache.stores import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.tiles import Tile

_ZSTD = Zstd(level=1)
_SUFFIX = ".parts"


@dataclass(frozen=True, kw_only=True)
class TileParts(TiledGroup):
    """A group in which each tile has arrays of its own."""

    @classmethod
    def of(cls, result: TiledGroup, name: str) -> TileParts:
        """Return the parts of a result by their name, whether they are there or not."""
        return cls(
            path=beside(result.path, f"-{name}{_SUFFIX}"),
            georeference=result.georeference,
            tile_size=result.tile_size,
            provenance=result.provenance,
        )

    @property
    def ledger(self) -> Ledger:
        """The ledger of the tiles' parts."""
        return Ledger(Store(self.path.removesuffix(_SUFFIX) + ".ledger"))

    def write_tile(self, tile: Tile, arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, str]]:
        """Write arrays of a tile in place of its older ones, and return size and digest of each by its key."""
        return write_objects(self.store, {_key(tile, name): _pack(values) for name, values in arrays.items()})

    def read_tile(self, tile: Tile, name: str) -> NDArray[Any]:
        """Read one of the arrays of a tile.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        data = self.store.read(_key(tile, name))
        if data is None:
            raise FileNotFoundError(f"{self.path} holds no {name} of tile {tile.name}; run the same command again")
        return np.load(io.BytesIO(_ZSTD.decode(data)), allow_pickle=False)  # type: ignore[no-any-return]

    def delete(self) -> None:
        """Delete the parts; their ledger first, which should not speak of what is not there."""
        self.ledger.delete()
        self.store.delete_all()


def _key(tile: Tile, name: str) -> str:
    return f"{tile.name}/{name}.npy.zst"


def _pack(values: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return bytes(_ZSTD.encode(file.getvalue()))
