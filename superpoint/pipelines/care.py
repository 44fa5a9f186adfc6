"""Care of a cache: what it holds, whether that is intact, and what may go."""

from __future__ import annotations

import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from superpoint.cache.damage import check
from superpoint.cache.garbage import Choice, delete_garbage, find_garbage, guard_of
from superpoint.cache.holdings import (
    GROUPS,
    LEDGER,
    ZARR_KINDS,
    find_holding,
    find_holdings,
    read_provenance,
    sources_in,
)
from superpoint.cache.ledger import Ledger
from superpoint.cache.stores import as_store
from superpoint.errors import TilesFailedError
from superpoint.pipelines.progress import progress
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from superpoint.cache.damage import Checked
    from superpoint.cache.garbage import Garbage
    from superpoint.cache.holdings import Holding
    from superpoint.cache.stores import Store
    from superpoint.pipelines.settings import CacheGcSettings, CacheLsSettings, CacheVerifySettings

log = logging.getLogger("superpoint")

AT_ONCE = 4  # holdings looked at side by side


# --- ls


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One result in a cache."""

    kind: str
    """label-maps, pseudo-masks or hierarchies."""
    raster: str
    """Name of the raster."""
    algorithm: str
    """Empty where the provenance cannot be read."""
    parameters: dict[str, Any]
    n_tiles: int
    """0 where there are none."""
    n_done: int
    n_failed: int
    n_bytes: int
    """Of all that belongs to it."""
    written: datetime
    """When anything of it was last written."""
    key: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a cache holds."""

    cache: str
    kept: list[Kept]
    totals: dict[str, tuple[int, int]]
    """Number and size of what there is of each kind, scalings and runs included."""
    n_bytes: int


def cache_ls(settings: CacheLsSettings) -> Listing:
    """List what a cache holds.

    Parameters
    ----------
    settings : CacheLsSettings
        See the fields.

    Returns
    -------
    Listing
        Without scalings and runs, which are only summed up.
    """
    holdings = find_holdings(settings.cache)
    totals: dict[str, tuple[int, int]] = {}
    for holding in holdings:
        n, n_bytes = totals.get(holding.kind, (0, 0))
        totals[holding.kind] = n + 1, n_bytes + holding.n_bytes
    with ThreadPoolExecutor(AT_ONCE) as pool:
        kept = list(pool.map(_kept, (holding for holding in holdings if holding.kind in ZARR_KINDS)))
    return Listing(
        cache=as_store(settings.cache).url,
        kept=kept,
        totals=totals,
        n_bytes=sum(holding.n_bytes for holding in holdings),
    )


def _kept(holding: Holding) -> Kept:
    provenance = read_provenance(holding) or {}
    name, parameters = _algorithm_in(provenance)
    n_tiles = _n_tiles(provenance) if holding.kind in GROUPS else 0
    states = Counter(record.state for record in Ledger(holding.place(LEDGER)).records()) if n_tiles else Counter()
    return Kept(
        kind=holding.kind,
        raster=holding.name,
        algorithm=name,
        parameters=parameters,
        n_tiles=n_tiles,
        n_done=states["done"],
        n_failed=states["failed"],
        n_bytes=holding.n_bytes,
        written=holding.written,
        key=holding.key,
        path=holding.path,
    )


def _algorithm_in(provenance: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of the algorithm that a provenance tells of."""
    described = provenance.get("label_map", provenance).get("algorithm")
    if not isinstance(described, dict):
        return str(described or ""), {}
    others = {name: value for name, value in described.items() if name not in ("name", "version", "files")}
    parameters = {name: value for name, value in others.get("parameters", others).items() if value is not None}
    return str(described.get("name", "")), parameters


def _n_tiles(provenance: Mapping[str, Any]) -> int:
    shapes = [source["grid"]["shape"] for source in sources_in(provenance) if "grid" in source]
    return len(TileGrid(shape=tuple(shapes[0]), size=provenance["tile"])) if shapes else 0


# --- verify


def cache_verify(settings: CacheVerifySettings) -> list[Checked]:
    """Read all of a cache, or some results, and report whatever is not as it was written.

    Parameters
    ----------
    settings : CacheVerifySettings
        See the fields.

    Returns
    -------
    list of Checked
        One for each group, hierarchy, scaling and run.

    Raises
    ------
    InputError
        If no result has a key, or several have.
    TilesFailedError
        If anything is damaged; its `results` are what was found.
    """
    is_all = settings.keys in ([], ["all"])
    wanted = [find_holding(settings.cache, key) for key in settings.keys] if not is_all else None
    holdings = find_holdings(settings.cache) if wanted is None else wanted
    started = time.perf_counter()
    checked = check_all(holdings)
    seconds, n_bytes = time.perf_counter() - started, sum(one.n_bytes for one in checked)
    log.info("read %.1f MB in %.1f s, %.0f MB/s", n_bytes / 1e6, seconds, n_bytes / 1e6 / max(seconds, 1e-9))
    damaged = [one for one in checked if one.damages]
    if damaged:
        n_damages = sum(len(one.damages) for one in damaged)
        raise TilesFailedError(
            f"{n_damages} {'thing is' if n_damages == 1 else 'things are'} damaged in {len(damaged)} of {len(checked)} "
            f"results, first {damaged[0].path}: {damaged[0].damages[0]}; the command that made them computes what is "
            f"damaged again, and nothing else",
            results=checked,
        )
    return checked


def check_all(holdings: Sequence[Holding]) -> list[Checked]:
    """Read all of some holdings, several at a time, with a bar."""
    total = sum(holding.n_bytes for holding in holdings) / 1e6
    with progress("verify", total=total, unit="MB") as advance, ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda holding: check(holding, on_bytes=lambda n_bytes: advance(n_bytes / 1e6)), holdings))


# --- gc


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Something that may go, or is gone."""

    kind: str
    key: str
    path: str
    reason: str
    used: datetime
    """When it was last written, or needed by a run."""
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What may go, or is gone."""

    cache: str
    deleted: bool
    """Whether it is gone."""
    removals: list[Removal]
    n_bytes: int
    """Freed, or to be freed."""
    n_bytes_left: int
    """What the cache holds without it."""
    in_use: list[str]
    """Paths of what would go but for a run that is in progress."""


def cache_gc(settings: CacheGcSettings) -> Collection:
    """Say what of a cache may go, and delete it if told so.

    Parameters
    ----------
    settings : CacheGcSettings
        See the fields; without `yes` nothing is deleted.

    Returns
    -------
    Collection
        What may go, or is gone.
    """
    cache = as_store(settings.cache)
    holdings = find_holdings(cache)
    choice = Choice(
        older_than=settings.older_than,
        larger_than=settings.larger_than,
        source_gone=settings.source_gone,
        ask_remote=settings.ask_remote,
        leftovers=settings.leftovers,
    )
    garbage = find_garbage(holdings, choice, now=datetime.now(UTC))
    guard = guard_of(cache)
    found = [one for one in garbage if not guard.spares(one)]
    gone = list(_deleted(cache, found)) if settings.yes else found
    taken = {one.path for one in garbage} - {one.path for one in gone}
    n_bytes = sum(one.n_bytes for one in gone)
    collection = Collection(
        cache=cache.url,
        deleted=settings.yes,
        removals=[_removal(one) for one in gone],
        n_bytes=n_bytes,
        n_bytes_left=sum(holding.n_bytes for holding in holdings) - n_bytes,
        in_use=sorted(taken),
    )
    if settings.larger_than is not None and collection.n_bytes_left > settings.larger_than:
        log.warning("the cache stays larger than asked for: what is left was written lately, or is in use")
    return collection


def _deleted(cache: Store, found: list[Garbage]) -> Iterator[Garbage]:
    with progress("delete", total=len(found), unit="results") as advance:
        for one in delete_garbage(cache, found):
            yield one
            advance(1)


def _removal(garbage: Garbage) -> Removal:
    return Removal(
        kind=garbage.kind,
        key=garbage.key,
        path=garbage.path,
        reason=garbage.reason,
        used=garbage.used,
        n_bytes=garbage.n_bytes,
    )
