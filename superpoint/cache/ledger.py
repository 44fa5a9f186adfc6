"""The ledger: what is known of each tile of an array, one small JSON file a tile, beside the chunks.

"A chunk exists" does not mean "a tile is done": empty chunks are not written, and a tile has several. An entry
is written after the tile's chunks and replaces the older one in one step, so a killed run leaves either no
entry or a true one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zarr.core.buffer import default_buffer_prototype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.storage import LocalStore

    from superpoint.tiles import Tile


@dataclass(frozen=True, kw_only=True)
class TileRecord:
    """One entry of the ledger."""

    tile: str
    """Name of the tile, `row.col`."""
    state: Literal["done", "failed"]
    attempts: int
    seconds: float
    """Time of the last attempt."""
    checksum: str | None = None
    """Digest of the arrays as written; None if failed."""
    error: str | None = None
    """Why it failed, one sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the job wants to know of the tile later, as small JSON."""


class Ledger:
    """The entries of one group's tiles."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def write(self, record: TileRecord) -> None:
        """Enter a record, in place of the tile's older one."""
        text = json.dumps(asdict(record), sort_keys=True)
        self._store.set_sync(_key(record.tile), default_buffer_prototype().buffer.from_bytes(text.encode()))

    def read(self, tile: Tile) -> TileRecord | None:
        """Return the tile's record; None if there is none, or none that can be read."""
        stored = self._store.get_sync(_key(tile.name), prototype=default_buffer_prototype())
        if stored is None:
            return None
        try:
            return TileRecord(**json.loads(stored.to_bytes()))
        except (ValueError, TypeError):
            return None

    def done(self, tiles: Iterable[Tile]) -> dict[str, TileRecord]:
        """Return the records of those tiles that are done, by tile name."""
        records = {tile.name: self.read(tile) for tile in tiles}
        return {name: record for name, record in records.items() if record and record.state == "done"}


def _key(tile_name: str) -> str:
    return f"{tile_name}.json"
