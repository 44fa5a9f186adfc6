"""Arrays of each tile's own, of any shape: what tiles must know of one another before a result is written.

They lie beside the result, as long as it is not whole:

    <name>-<digest>-<parts>.zarr/
        <tile>/<array>/         one chunk an array, zstd
    <name>-<digest>-<parts>.ledger/
        <tile>.json

The result's digest is theirs as well, and so a killed run finds them again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from superpoint.cache.groups import TiledGroup
from superpoint.cache.keys import checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.tiles import Tile


@dataclass(frozen=True, kw_only=True)
class TileParts(TiledGroup):
    """A group in which each tile has arrays of its own."""

    @classmethod
    def of(cls, result: TiledGroup, name: str) -> TileParts:
        """Return the parts of a result by their name, whether they are there or not."""
        place = Path(result.path)
        return cls(
            path=str(place.with_name(f"{place.stem}-{name}.zarr")),
            georeference=result.georeference,
            tile_size=result.tile_size,
            provenance=result.provenance,
        )

    def lay_out(self) -> None:
        """Make the group if it is not there."""
        if not Path(self.path).exists():
            # What a ledger says of a group that was deleted is no longer true.
            shutil.rmtree(Path(self.path).with_suffix(".ledger"), ignore_errors=True)
        zarr.open_group(self.path, mode="a")

    def write_tile(self, tile: Tile, arrays: Mapping[str, NDArray[Any]]) -> str:
        """Write arrays of a tile in place of its older ones, and return the checksum of the bytes."""
        for name, values in arrays.items():
            array = zarr.create_array(
                self.path,
                name=f"{tile.name}/{name}",
                shape=values.shape,
                dtype=values.dtype,
                chunks=tuple(max(1, size) for size in values.shape),
                compressors=[ZstdCodec(level=1)],
                overwrite=True,
            )
            if values.size:
                array[...] = values
        return checksum(*(arrays[name] for name in sorted(arrays)))

    def read_tile(self, tile: Tile, name: str) -> NDArray[Any]:
        """Read one of the arrays of a tile."""
        return np.asarray(zarr.open_array(self.path, path=f"{tile.name}/{name}", mode="r")[...])

    def delete(self) -> None:
        """Delete the group; its ledger first, which must never speak of what is not there."""
        shutil.rmtree(Path(self.path).with_suffix(".ledger"), ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
