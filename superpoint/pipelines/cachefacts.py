"""Everything about one result of a cache: where it lies, how it is stored, and what its ledger comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import zarr

from superpoint.cache.groups import load_group
from superpoint.cache.holdings import (
    ACCOUNT,
    GROUPS,
    ITEM,
    PARTS,
    ROOT,
    ZARR_KINDS,
    find_holding,
    read_provenance,
    sources_in,
)
from superpoint.errors import InputError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.holdings import Holding
    from superpoint.pipelines.settings import CacheInfoSettings


@dataclass(frozen=True, kw_only=True)
class ArrayFacts:
    """One array of a result."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    codecs: list[str]
    """In the order in which they encode, as `zstd(level=9)`."""
    n_bytes: int
    """As stored."""
    bits_per_value: float | None
    """Of what is done."""


@dataclass(kw_only=True)
class TileSums:
    """What the ledger of a group says, all tiles together."""

    n_tiles: int
    n_done: int = 0
    n_failed: int = 0
    n_attempts: int = 0
    seconds: float = 0.0
    """Time of the last attempts."""
    n_pixels: int = 0
    """Of the tiles that are done."""
    n_superpixels: int = 0
    """Of a label map, as far as it is done."""
    hosts: dict[str, int] = field(default_factory=dict)
    """Tiles that each machine computed."""
    runs: dict[str, int] = field(default_factory=dict)
    """Tiles that each run computed."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Name of each tile that failed, and why."""


@dataclass(frozen=True, kw_only=True)
class Info:
    """Everything about one result."""

    kind: str
    key: str
    path: str
    n_objects: int
    n_bytes: int
    written: datetime
    shape: tuple[int, int] | None
    """`(rows, cols)` of the raster."""
    transform: tuple[float, ...] | None
    crs: str | None
    arrays: list[ArrayFacts]
    tiles: TileSums | None
    item: str | None
    """The STAC Item."""
    account: str | None
    """The account of the points of a pseudo-mask."""
    parts: dict[str, int]
    """Size of what tiles must know of one another until a joined label map is whole, by its name."""
    provenance: dict[str, Any]
    """What its key is the digest of."""


def cache_info(settings: CacheInfoSettings) -> Info:
    """Return everything about one result.

    Parameters
    ----------
    settings : CacheInfoSettings
        See the fields.

    Raises
    ------
    InputError
        If no result has the key, several have, or it cannot be read.
    """
    holding = find_holding(settings.cache, settings.key)
    provenance = read_provenance(holding)
    if provenance is None:
        raise InputError(f"{holding.path} is damaged; see: superpoint cache verify {holding.kind}/{holding.key}")
    group = load_group(holding.path) if holding.kind in GROUPS else None
    tiles = _sums(group) if group else None
    grids = [source["grid"] for source in sources_in(provenance) if "grid" in source]
    grid = group.georeference if group else None
    beside = f"{holding.cache.url}/{holding.kind}/{holding.key}"
    return Info(
        kind=holding.kind,
        key=holding.key,
        path=holding.path,
        n_objects=holding.n_objects,
        n_bytes=holding.n_bytes,
        written=holding.written,
        shape=grid.shape if grid else tuple(grids[0]["shape"]) if grids else None,
        transform=grid.transform if grid else tuple(grids[0]["transform"]) if grids else None,
        crs=grid.crs if grid else grids[0]["crs"] if grids else None,
        arrays=_arrays_of(holding, tiles) if holding.kind in ZARR_KINDS else [],
        tiles=tiles,
        item=beside + ITEM if ITEM in holding.members and holding.kind in GROUPS else None,
        account=beside + ACCOUNT if ACCOUNT in holding.members else None,
        parts={
            suffix.removesuffix(PARTS).removeprefix("-"): member.n_bytes
            for suffix, member in holding.members.items()
            if suffix.endswith(PARTS)
        },
        provenance=provenance,
    )


def _sums(group: TiledGroup) -> TileSums:
    from superpoint.pipelines.superpixeljobs import Tally  # loads kernels

    grid = TileGrid(shape=group.georeference.shape, size=group.tile_size)
    sums, tally = TileSums(n_tiles=len(grid)), Tally()
    hosts: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    for record in group.ledger.records():
        sums.n_attempts += record.attempts
        sums.seconds = round(sums.seconds + record.seconds, 3)
        hosts[record.host] += 1
        runs[record.run] += 1
        if record.state == "done":
            core = grid.named(record.tile).core
            sums.n_pixels += core.n_rows * core.n_cols
            sums.n_done += 1
            tally.add(record)
        else:
            sums.failed.append((record.tile, record.error or ""))
    sums.hosts, sums.runs = dict(hosts.most_common()), dict(runs.most_common())
    sums.failed.sort(key=lambda failed: grid.named(failed[0]).index)
    sums.n_failed, sums.n_superpixels = len(sums.failed), tally.n_superpixels
    return sums


def _arrays_of(holding: Holding, tiles: TileSums | None) -> list[ArrayFacts]:
    sizes: Counter[str] = Counter()
    store = holding.place(ROOT)
    for stored in store.list():
        array, _, chunk = stored.key.partition("/")
        sizes[array] += stored.n_bytes if chunk.startswith("c") else 0
    group = zarr.open_group(store.zarr, mode="r")
    arrays = {name: array for name, array in sorted(group.arrays()) if name not in ("x", "y", "spatial_ref")}
    return [_array_facts(name, array, sizes[name], tiles) for name, array in arrays.items()]


def _array_facts(name: str, array: zarr.Array[Any], n_bytes: int, tiles: TileSums | None) -> ArrayFacts:
    n_values = tiles.n_pixels if tiles else array.size
    return ArrayFacts(
        name=name,
        dtype=str(array.dtype),
        shape=array.shape,
        chunks=array.chunks,
        shards=array.shards,
        codecs=[_codec_text(codec.to_dict()) for codec in (*array.filters, array.serializer, *array.compressors)],
        n_bytes=n_bytes,
        bits_per_value=round(8 * n_bytes / n_values, 4) if n_values else None,
    )


def _codec_text(codec: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in codec.get("configuration", {}).items())
    return f"{codec['name']}({settings})" if settings else str(codec["name"])
