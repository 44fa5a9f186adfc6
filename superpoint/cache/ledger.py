"""The ledger: what is known of each tile of an array, one small JSON object a tile, beside the chunks.

"A chunk exists" does not mean "a tile is done": empty chunks are not written, and a tile has several. An entry
is written after the tile's chunks and replaces the older one in one step, so a killed run leaves either no
entry or a true one. It lists the tile's chunks with their sizes and digests, so that what was damaged since is
found, and it is sealed: an entry of which a single character was changed is none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.cache.stores import Store
    from superpoint.tiles import Tile

_SEAL = "seal"


@dataclass(frozen=True, kw_only=True)
class TileRecord:
    """One entry of the ledger."""

    tile: str
    """Name of the tile, `row.col`."""
    state: Literal["done", "failed"]
    attempts: int
    seconds: float
    """Time of the last attempt."""
    finished: float = 0.0
    """When, in seconds since 1970."""
    run: str = ""
    """The run that computed it."""
    host: str = ""
    """The machine that computed it."""
    chunks: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Size in bytes and digest of each chunk as stored, by its key in the group; empty chunks are not stored."""
    error: str | None = None
    """Why it failed, one sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the job wants to know of the tile later, as small JSON."""

    def __post_init__(self) -> None:
        # JSON knows no tuples.
        object.__setattr__(self, "chunks", {key: (size, digest) for key, (size, digest) in self.chunks.items()})


class Ledger:
    """The entries of one group's tiles."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def write(self, record: TileRecord) -> None:
        """Enter a record, in place of the tile's older one."""
        entry = asdict(record)
        self.store.write(_key(record.tile), json.dumps({**entry, _SEAL: _seal(entry)}, sort_keys=True).encode())

    def read(self, tile: Tile) -> TileRecord | None:
        """Return the tile's record; None if there is none, or none that can be believed."""
        return _unseal(self.store.read(_key(tile.name)))

    def records(self) -> Iterator[TileRecord]:
        """Yield all records that can be believed; a tile without one is not done."""
        keys = [stored.key for stored in self.store.list() if stored.key.endswith(".json")]
        for record in self.store.map(lambda key: _unseal(self.store.read(key)), keys):
            if record is not None:
                yield record

    def delete(self) -> None:
        """Forget all tiles."""
        self.store.delete_all()


def _key(tile_name: str) -> str:
    return f"{tile_name}.json"


def _seal(entry: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(entry, sort_keys=True).encode(), digest_size=8).hexdigest()


def _unseal(data: bytes | None) -> TileRecord | None:
    try:
        entry = json.loads(data or b"")
        if entry.pop(_SEAL) == _seal(entry):
            return TileRecord(**entry)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return None
