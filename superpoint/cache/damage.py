"""What is wrong with what a cache holds: everything is read and held against what was written down of it.

A tile's entry in the ledger is sealed and lists its chunks with their digests; a group's name is the digest of its
provenance; arrays, coordinates, hierarchies and scalings each say twice what they are. So damage is found wherever it
is, and told from what is merely not done yet.
"""

from __future__ import annotations

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import BaseError
from pyproj.exceptions import ProjError

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import LAYOUT_VERSION, TiledGroup, load_group
from superpoint.cache.holdings import GROUPS, ITEM, PARTS, ROOT, RUNS, TABLES, read_provenance, sources_in
from superpoint.cache.keys import digest
from superpoint.cache.parts import TileParts
from superpoint.cache.runs import RunFolder
from superpoint.errors import InputError, UnreachableError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from superpoint.cache.holdings import Holding

HASHERS = 16  # threads that read and hash the chunks of a group; hashing does not hold the interpreter
NOWHERE = Georeference(shape=(1, 1), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), crs=None)

_one_hierarchy = threading.Lock()  # each is held in memory whole


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One thing that is not as it was written."""

    tile: str | None
    """Name of the tile, `row.col`; None for what belongs to no tile."""
    what: str
    """Which object, and what is wrong with it."""

    def __str__(self) -> str:
        """Return it as one sentence."""
        return self.what if self.tile is None else f"tile {self.tile}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found on reading all of a holding."""

    kind: str
    key: str
    path: str
    n_tiles: int = 0
    """Tiles of the raster; 0 where there are none, or the grid cannot be read."""
    n_done: int = 0
    """Tiles that are done and intact."""
    n_failed: int = 0
    """Tiles that failed when they were computed; no damage, the next run tries them again."""
    damages: tuple[Damage, ...] = ()
    unknown: tuple[str, ...] = ()
    """Keys of chunks that no entry of the ledger knows, left by a run that was killed; computed again, no damage."""
    n_bytes: int = 0
    """Size of all that was read and hashed."""
    seconds: float = 0.0


@dataclass(kw_only=True)
class _Found:
    """What is found, as it is found."""

    damages: list[Damage] = field(default_factory=list)
    n_tiles: int = 0
    n_done: int = 0
    n_failed: int = 0
    known: set[str] = field(default_factory=set)
    """Keys of the chunks that the ledger speaks of."""

    def add(self, what: str | None, tile: str | None = None) -> None:
        if what is not None:
            self.damages.append(Damage(tile=tile, what=what))


def check(holding: Holding, *, on_bytes: Callable[[int], None] = lambda _: None) -> Checked:
    """Read all of a holding and say what is wrong.

    Parameters
    ----------
    holding : Holding
        Of any kind.
    on_bytes : callable
        Called with the size of what was read each time, for progress.

    Raises
    ------
    UnreachableError
        If the store does not answer.
    """
    started = time.perf_counter()
    found = _Found()
    unknown: tuple[str, ...] = ()
    try:
        if holding.kind in GROUPS:
            unknown = _check_group(holding, found, on_bytes)
        else:
            found.add(_DAMAGES[holding.kind](holding))
            on_bytes(holding.n_bytes)
    except BaseError as error:  # zarr passes on what the store says
        raise UnreachableError(f"{holding.path} did not answer: {error}; check the network, and try again") from error
    return Checked(
        kind=holding.kind,
        key=holding.key,
        path=holding.path,
        n_tiles=found.n_tiles,
        n_done=found.n_done,
        n_failed=found.n_failed,
        damages=tuple(found.damages),
        unknown=unknown,
        n_bytes=holding.n_bytes,
        seconds=round(time.perf_counter() - started, 3),
    )


# --- groups


def _check_group(holding: Holding, found: _Found, on_bytes: Callable[[int], None]) -> tuple[str, ...]:
    """Check a group and all beside it, and return the chunks that no entry knows."""
    for sentence in _layout_damages(holding, found):
        found.add(sentence)
    # The root may be what is damaged: only chunks and ledgers are asked for.
    group = TiledGroup(path=holding.path, georeference=NOWHERE, tile_size=1, provenance={})
    _check_tiles(group, found, on_bytes)
    for suffix in holding.members:
        if suffix.endswith(PARTS):
            parts, what = _Found(), suffix.removesuffix(PARTS).removeprefix("-")
            _check_tiles(TileParts.of(group, what), parts, on_bytes)
            found.damages += [Damage(tile=one.tile, what=f"{what}: {one.what}") for one in parts.damages]
    found.add(_item_damage(holding))
    for sentence in _table_damages(holding):
        found.add(sentence)
    chunks = (stored.key for stored in holding.place(ROOT).list() if _is_tile_chunk(stored.key))
    return tuple(sorted(set(chunks) - found.known))


def _check_tiles(group: TiledGroup, found: _Found, on_bytes: Callable[[int], None]) -> None:
    """Read every chunk that a ledger speaks of."""
    entries = {stored.key for stored in group.ledger.store.list() if stored.key.endswith(".json")}
    damages = _side_by_side(lambda record: (record, group.damage(record)), group.ledger.records())
    for record, sentences in damages:
        entries.discard(f"{record.tile}.json")
        found.known.update(record.chunks)
        for sentence in sentences:
            found.add(sentence, record.tile)
        found.n_failed += record.state == "failed"
        found.n_done += record.state == "done" and not sentences
        on_bytes(sum(n_bytes for n_bytes, _ in record.chunks.values()))
    for key in sorted(entries):
        found.add("its entry in the ledger cannot be read", key.removesuffix(".json"))


def _is_tile_chunk(key: str) -> bool:
    array, _, chunk = key.partition("/")
    return chunk.startswith("c/") and array not in ("x", "y")


def _layout_damages(holding: Holding, found: _Found) -> Iterator[str]:
    """Yield what is wrong with what says how a group is to be read."""
    root = holding.place(ROOT).read("zarr.json")
    if root is None:
        yield "zarr.json is missing: the group is not laid out, or its root was deleted"
        return
    try:
        document = json.loads(root)
        group = load_group(holding.path)
        found.n_tiles = len(TileGrid(shape=group.georeference.shape, size=group.tile_size))
        arrays = document["consolidated_metadata"]["metadata"]
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        yield "zarr.json cannot be read"
        return
    if digest(group.provenance) != holding.digest or not _is_on_its_grid(group, document["attributes"]):
        yield "zarr.json differs from what was written: what it says is not what the group is named after"
    for name, expected in arrays.items():
        yield from _array_damages(group, name, expected)


def _is_on_its_grid(group: TiledGroup, attributes: dict[str, Any]) -> bool:
    """Return whether a group says, in all ways, that it lies where the source of its provenance does."""
    own = group.georeference
    grids = [source["grid"] for source in sources_in(group.provenance) if "grid" in source]
    if any(grid != {"shape": [*own.shape], "transform": [*own.transform], "crs": own.crs} for grid in grids):
        return False
    try:
        said = own.convention_attributes() if group.provenance["layout"] == LAYOUT_VERSION else {}
    except ProjError:  # what was a CRS
        return False
    said.pop("zarr_conventions", None)  # words
    return said.items() <= attributes.items()


def _array_damages(group: TiledGroup, name: str, expected: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    key = f"{name}/zarr.json"
    data = group.store.read(key)
    if data is None:
        yield f"{key} is missing"
        return
    try:
        is_same = json.loads(data) == expected
    except ValueError:
        is_same = False
    if not is_same:
        yield f"{key} differs from what zarr.json says of it"
    elif name in (coordinates := group.georeference.coordinates()) and not _holds(group, name, coordinates[name]):
        yield f"the coordinates {name} are missing or differ from the grid's"


def _holds(group: TiledGroup, name: str, expected: NDArray[Any]) -> bool:
    try:
        return np.array_equal(np.asarray(group.array(name)), expected)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError):  # whatever decoding comes to
        return False


def _item_damage(holding: Holding) -> str | None:
    if ITEM not in holding.members:
        return None
    try:
        is_item = json.loads(_beside(holding, ITEM)).get("type") == "Feature"
    except (ValueError, AttributeError):
        is_item = False
    return None if is_item else f"{holding.key}{ITEM}, the STAC Item, cannot be read"


def _table_damages(holding: Holding) -> Iterator[str]:
    """Yield a sentence for each of the tables of a pseudo-mask's points and votes that cannot be read."""
    for suffix in TABLES:
        if suffix not in holding.members:
            continue
        try:
            pq.read_table(io.BytesIO(_beside(holding, suffix)))
        except (pa.ArrowException, OSError, ValueError):
            yield f"{holding.key}{suffix} cannot be read"


def _beside(holding: Holding, suffix: str) -> bytes:
    return holding.cache.child(holding.kind).read(holding.key + suffix) or b""


# --- all else


def _hierarchy_damage(holding: Holding) -> str | None:
    from superpoint.cache.hierarchies import read_hierarchy  # loads kernels

    provenance = read_provenance(holding)
    if provenance is None:
        return "zarr.json is missing or cannot be read"
    if digest(provenance) != holding.digest:
        return "zarr.json differs from what was written: what it says is not what the hierarchy is named after"
    with _one_hierarchy:
        try:
            is_intact = read_hierarchy(holding.place(ROOT)) is not None
        except (TypeError, AttributeError):  # JSON of another make
            is_intact = False
    return None if is_intact else "its arrays are missing or differ from what was written"


def _scaling_damage(holding: Holding) -> str | None:
    document = read_provenance(holding)
    try:
        kept = {name: tuple(document[name]) for name in ("low", "high")} if document else {}
        identity = {name: document[name] for name in ("percentiles", "rasters")} if document else {}
        is_intact = document is not None and (document["seal"], holding.digest) == (digest(kept), digest(identity))
    except (KeyError, TypeError):
        is_intact = False
    return None if is_intact else "it cannot be read, or differs from what was written; it will be measured again"


def _run_damage(holding: Holding) -> str | None:
    try:
        RunFolder(run=holding.name, store=holding.place("")).manifest()
    except InputError:
        return "manifest.json cannot be read"
    return None


_DAMAGES = {"hierarchies": _hierarchy_damage, "scalings": _scaling_damage, RUNS: _run_damage}


def _side_by_side[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what a function makes of items, in order, several at a time."""
    with ThreadPoolExecutor(HASHERS) as pool:
        for some in batched(items, HASHERS * 32):
            yield from pool.map(function, some)
