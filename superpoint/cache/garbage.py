"""What of a cache may go, and how it goes without a run ever taking for done what is not there.

Nobody holds a lock, so the order does it. First the ledgers go: from then on no run believes a tile of these groups.
Then the runs are looked at once more. One that read a ledger before it went has said in its rows which raster it is
at, before it read; its group keeps its chunks, and all that is lost is knowledge that they are good. Only then the
groups go, root first.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.cache.addresses import holder, is_remote, shown
from superpoint.cache.handles import facts_of, refuse_changed
from superpoint.cache.headers import read_header
from superpoint.cache.holdings import (
    GROUPS,
    KINDS,
    LEDGER,
    NEVER,
    PARTS,
    ROOT,
    RUNS,
    ZARR_KINDS,
    Holding,
    read_provenance,
    sources_in,
)
from superpoint.cache.keys import digest
from superpoint.cache.runs import RunFolder, all_runs
from superpoint.cache.stores import Store
from superpoint.errors import InputError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

RECENT = timedelta(hours=1)  # what was written since is left alone, unless a shorter age is asked for
ASKERS = 16  # sources looked at side by side
CLOCKS = timedelta(minutes=5)  # by which the clocks of a store and of machines may differ
_STAGED = re.compile(r".+#\d+")  # what a local store is killed in the middle of writing; it does not list these


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Something that may go."""

    kind: str
    key: str
    path: str
    """Path or URL of what it belongs to, or is."""
    reason: str
    used: datetime
    """When it was last written, or needed by a run."""
    n_bytes: int
    ledgers: tuple[str, ...] = ()
    """Folders that speak of what is in the others; they go first."""
    folders: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    """Keys in the cache of objects that lie beside."""
    staged: tuple[str, ...] = ()
    """Local files that the store does not list."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be found."""

    older_than: timedelta | None = None
    """Whatever was not used for so long."""
    larger_than: int | None = None
    """As much of what was used longest ago as brings the cache down to so many bytes."""
    source_gone: bool = False
    """Whatever was made of a raster that is gone or has changed."""
    ask_remote: bool = False
    """Whether servers are asked for that."""
    leftovers: bool = False
    """What runs that were killed left behind and no result needs."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What runs in progress work on."""

    runs: frozenset[str] = frozenset()
    """Their ids."""
    places: frozenset[str] = frozenset()
    """Kind and folder of the groups that they write."""
    names: frozenset[str] = frozenset()
    """Names of rasters that were begun and have no group yet."""
    since: datetime | None = None
    """When the first of them started."""

    def spares(self, garbage: Garbage) -> bool:
        """Return whether something must stay for a run's sake."""
        if garbage.kind == RUNS:
            return garbage.key in self.runs
        if self.since is None:
            return False
        name, place = garbage.key.rpartition("-")[0], f"{garbage.kind}/{garbage.key}{ROOT}"
        return garbage.used > self.since - CLOCKS or place in self.places or name in self.names


def guard_of(cache: Store) -> Guard:
    """Return what the runs of a cache that are in progress work on, now."""
    runs, places, names, starts = set(), set(), set(), []
    for folder in all_runs(cache):
        if not folder.is_running():
            continue
        runs.add(folder.run)
        starts.append(_started(folder))
        for row in folder.rows():
            if row.path:
                places.add(_place(row.path))
            elif row.state == "running":
                names.add(row.name)
    return Guard(
        runs=frozenset(runs), places=frozenset(places), names=frozenset(names), since=min(starts, default=None)
    )


def find_garbage(holdings: Sequence[Holding], choice: Choice, *, now: datetime) -> list[Garbage]:
    """Find what may go of all that a cache holds, oldest first; what was used lately is left out, runs are not asked.

    Parameters
    ----------
    holdings : sequence of Holding
        All of a cache.
    choice : Choice
        What is looked for; what any of its criteria says.
    now : datetime
        The time, with its zone.
    """
    used = _last_uses(holdings)
    floor = now - (RECENT if choice.older_than is None else min(RECENT, choice.older_than))
    idle = [holding for holding in holdings if used[holding.path] <= floor]
    whole: dict[str, Garbage] = {}
    for garbage in (
        *(_gone(idle, used, ask_remote=choice.ask_remote) if choice.source_gone else ()),
        *(_old(idle, used, now, choice.older_than) if choice.older_than is not None else ()),
    ):
        whole.setdefault(garbage.path, garbage)
    left = list(_left(idle, used)) if choice.leftovers else []
    if choice.larger_than is not None:
        going = sum(garbage.n_bytes for garbage in ({garbage.path: garbage for garbage in left} | whole).values())
        n_bytes = sum(holding.n_bytes for holding in holdings) - going
        groups = [one for one in idle if one.kind in ZARR_KINDS and one.path not in whole]
        whole |= {garbage.path: garbage for garbage in _too_much(groups, used, n_bytes - choice.larger_than)}
    owners = {(garbage.kind, garbage.key) for garbage in whole.values()}
    found = [*whole.values(), *(garbage for garbage in left if (garbage.kind, garbage.key) not in owners)]
    if choice.leftovers and holdings:
        found += _staged_files(holdings[0].cache, floor)
    return sorted(found, key=lambda garbage: (garbage.used, garbage.path))


def delete_garbage(cache: Store, garbage: Sequence[Garbage]) -> Iterator[Garbage]:
    """Delete what may go, and yield each when it is gone; what a run needs by then stays.

    Parameters
    ----------
    cache : Store
        Of the cache.
    garbage : sequence of Garbage
        From `find_garbage`.
    """
    guard = guard_of(cache)
    idle = [one for one in garbage if not guard.spares(one)]
    for one in idle:
        for ledger in one.ledgers:
            Store(ledger).delete_all()
    guard = guard_of(cache)
    for one in idle:
        if not guard.spares(one):
            _delete(cache, one)
            yield one


def _delete(cache: Store, garbage: Garbage) -> None:
    for folder in garbage.folders:
        store = Store(folder)
        if garbage.kind == RUNS:  # whose manifest says what it is: that goes last
            store.delete([one.key for one in store.list() if one.key != "manifest.json"])
        else:
            store.delete(["zarr.json"])
        store.delete_all()
    cache.delete(garbage.objects)
    for path in garbage.staged:
        Path(path).unlink(missing_ok=True)


# --- runs in progress


def _started(folder: RunFolder) -> datetime:
    try:
        return datetime.fromisoformat(folder.manifest()["goes"][-1]["started"])
    except (InputError, KeyError, IndexError, ValueError, TypeError):
        return NEVER + CLOCKS  # nobody knows: all of it


def _place(path: str) -> str:
    """Return kind and folder: whatever name the cache itself goes by."""
    return "/".join(path.rstrip("/").split("/")[-2:])


# --- criteria


def _last_uses(holdings: Iterable[Holding]) -> dict[str, datetime]:
    """Return when each was last used. A scaling is needed to find the groups of its raster, and is as young as they."""
    used = {holding.path: holding.written for holding in holdings}
    scalings = [holding for holding in holdings if holding.kind == "scalings"]
    if not scalings:
        return used
    by_source: defaultdict[str, datetime] = defaultdict(lambda: NEVER)
    groups = (holding for holding in holdings if holding.kind in ZARR_KINDS)
    for holding, provenance in scalings[0].cache.map(_with_provenance, groups):
        for source in sources_in(provenance):
            by_source[digest(source)] = max(by_source[digest(source)], used[holding.path])
    for holding, provenance in scalings[0].cache.map(_with_provenance, scalings):
        uses = [by_source[digest(source)] for source in sources_in(provenance)]
        used[holding.path] = max([used[holding.path], *uses])
    return used


def _with_provenance(holding: Holding) -> tuple[Holding, dict[str, Any] | None]:
    return holding, read_provenance(holding)


def _old(holdings: Iterable[Holding], used: Mapping[str, datetime], now: datetime, age: timedelta) -> Iterator[Garbage]:
    for holding in holdings:
        unused = now - used[holding.path]
        if unused >= age:
            hours = unused // timedelta(hours=1)
            yield _whole(holding, used, f"not used for {f'{unused.days} days' if unused.days > 1 else f'{hours} h'}")


def _too_much(groups: Iterable[Holding], used: Mapping[str, datetime], excess: int) -> Iterator[Garbage]:
    for holding in sorted(groups, key=lambda holding: (used[holding.path], holding.path)):
        if excess <= 0:
            return
        excess -= holding.n_bytes
        yield _whole(holding, used, "the cache is too large, and this was used longest ago")


def _gone(holdings: Sequence[Holding], used: Mapping[str, datetime], *, ask_remote: bool) -> Iterator[Garbage]:
    keyed = [holding for holding in holdings if holding.kind != RUNS]
    if not keyed:
        return
    made_of = {
        holding.path: {digest(source): source for source in sources_in(provenance)}
        for holding, provenance in keyed[0].cache.map(_with_provenance, keyed)
    }
    sources = {key: source for own in made_of.values() for key, source in own.items()}
    with ThreadPoolExecutor(ASKERS) as pool:
        losses = pool.map(lambda source: loss_of(source, ask_remote=ask_remote), sources.values())
        words = dict(zip(sources, losses, strict=True))
    for holding in keyed:
        lost = [words[key] for key in made_of[holding.path] if words[key]]
        if lost:
            yield _whole(holding, used, f"{lost[0]}")


def loss_of(source: Mapping[str, Any], *, ask_remote: bool = False) -> str | None:
    """Return in words that a raster is gone or has changed since; None if it is as it was, or nobody can tell.

    Parameters
    ----------
    source : mapping
        From `Raster.identity`.
    ask_remote : bool
        Whether servers are asked for what lies there.
    """
    masks = [source["mask"]] if source.get("mask") else []
    paths = dict.fromkeys([source["path"], *source.get("parts", ()), *masks])
    expected = tuple((name, n_bytes, version) for name, n_bytes, version in source["files"])
    seen = [path for path in paths if ask_remote or not is_remote(path)]
    lost = next(filter(None, (_loss_of_file(path, expected) for path in seen)), None)
    if lost is None and len(seen) == len(paths) < len(expected):
        return _loss_of_files(source["path"], expected)
    return lost


def _loss_of_file(path: str, expected: tuple[Any, ...]) -> str | None:
    try:
        facts = facts_of(path)
    except UnreachableError:
        return None
    except InputError as error:  # not there, or not to be read by us: only the former counts
        is_missing = isinstance(error.__cause__, FileNotFoundError) or getattr(error.__cause__, "code", 0) in (404, 410)
        return f"{shown(path)} is gone" if is_missing else None
    if facts is None:
        return _absence(Path(holder(path)))
    try:
        refuse_changed(path, (facts,), expected)
    except InputError:
        return f"{shown(path)} has changed"
    return None


def _absence(path: Path) -> str | None:
    if path.exists():  # a folder: it is not known by its size and time
        return None
    if path.parent.exists():
        return f"{path} is gone"
    return f"{path} is gone, and so is its folder (a disk that is not mounted?)"


def _loss_of_files(path: str, expected: tuple[Any, ...]) -> str | None:
    """Look at a raster that is made of several files, as a VRT is."""
    try:
        found = read_header(path).files
        refuse_changed(path, found, expected)
    except UnreachableError:
        return None
    except InputError:
        return f"a file of {shown(path)} is gone or has changed"
    return f"a file of {shown(path)} is gone" if len(found) < len(expected) else None


# --- leftovers


def _left(holdings: Iterable[Holding], used: Mapping[str, datetime]) -> Iterator[Garbage]:
    for holding in holdings:
        if holding.kind == RUNS:
            if "manifest.json" not in holding.members[""].signs:
                yield _whole(holding, used, "a run without a manifest")
        elif holding.kind in ZARR_KINDS:
            yield from _left_of_group(holding, used)


def _left_of_group(holding: Holding, used: Mapping[str, datetime]) -> Iterator[Garbage]:
    beside = sorted((suffix for suffix in holding.members if suffix.startswith("-")), key=_is_ledger)
    if ROOT not in holding.members:
        yield _whole(holding, used, "what lay beside a group that is gone")
    elif holding.kind in GROUPS and holding.n_entries == 0:
        yield _whole(holding, used, "a group of which no tile is done")
    elif holding.kind not in GROUPS and not holding.has_root:
        yield _whole(holding, used, "a hierarchy that was not written to the end")
    else:
        if beside:
            parts = _part(holding, beside, used, "what tiles had to know of one another, kept for a run to go on")
            yield replace(parts, path=holding.place(beside[0]).url)
        if holding.turns:
            turns = _part(holding, (), used, "turns that runs were killed in")
            yield replace(turns, path=f"{holding.cache.url}/{holding.turns[0]}", objects=holding.turns)


def _is_ledger(suffix: str) -> bool:
    return suffix.endswith(LEDGER)


def _staged_files(cache: Store, before: datetime) -> Iterator[Garbage]:
    """Find what a local store was killed in the middle of writing."""
    if not cache.is_local:
        return
    for kind in KINDS:
        for folder, _, names in os.walk(cache.child(kind).url):
            for name in filter(_STAGED.fullmatch, names):
                status = Path(folder, name).stat()
                written = datetime.fromtimestamp(status.st_mtime, UTC)
                if written <= before:
                    path = f"{folder}/{name}"
                    yield Garbage(
                        kind=kind, key=name, path=path, reason="half-written when a run was killed", used=written,
                        n_bytes=status.st_size, staged=(path,),
                    )  # fmt: skip


def _whole(holding: Holding, used: Mapping[str, datetime], reason: str) -> Garbage:
    return _part(holding, holding.members, used, reason)


def _part(holding: Holding, suffixes: Iterable[str], used: Mapping[str, datetime], reason: str) -> Garbage:
    """Return some of a holding's folders and objects; those that are folders are told by their names."""
    places = {suffix: holding.place(suffix).url for suffix in suffixes}
    folders = [suffix for suffix in places if suffix.endswith((ROOT, PARTS)) or not suffix]
    ledgers = [suffix for suffix in places if suffix.endswith(LEDGER)]
    objects = [suffix for suffix in places if suffix not in (*folders, *ledgers)]
    return Garbage(
        kind=holding.kind,
        key=holding.key,
        path=holding.path,
        reason=reason,
        used=used[holding.path],
        n_bytes=sum(holding.members[suffix].n_bytes for suffix in places),
        ledgers=tuple(places[suffix] for suffix in ledgers),
        folders=tuple(places[suffix] for suffix in folders),
        objects=tuple(f"{holding.kind}/{holding.key}{suffix}" for suffix in objects),
    )
