"""What a cache holds: every result with all that belongs to it, told by the names of its objects alone.

A *holding* is everything under one key: a group with its ledger, the parts of its tiles, its STAC Item and account; a
hierarchy; a scaling; a run. One walk over the listing of the cache finds them all and what they weigh, and nothing is
opened. What bears no name of ours is not a holding, and nobody here touches it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.cache.stores import Store, Stored, as_store
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

GROUPS = ("label-maps", "pseudo-masks")
ZARR_KINDS = (*GROUPS, "hierarchies")
KEYED = (*ZARR_KINDS, "scalings")
RUNS = "runs"
KINDS = (*KEYED, RUNS)
ROOT = ".zarr"
LEDGER = ".ledger"
PARTS = ".parts"
ITEM = ".json"
ACCOUNT, VOTES, SUPERPIXELS = ".points.parquet", ".votes.parquet", ".superpixels.parquet"
TABLES = (ACCOUNT, VOTES, SUPERPIXELS)
NEVER = datetime.min.replace(tzinfo=UTC)
MOST_NAMED = 5  # candidates in a sentence

_NAME = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{32})(?P<suffix>(?:-[a-z]+)?(?:\.[a-z]+)+)", re.DOTALL)
_SIGN = re.compile(r"zarr\.json|manifest\.json|turn-\d+")


@dataclass(frozen=True, kw_only=True)
class Member:
    """A folder of a holding, or an object of it."""

    n_objects: int = 0
    n_bytes: int = 0
    written: datetime = NEVER
    """When any of its objects was last written; `NEVER` if that was not asked for."""
    signs: frozenset[str] = frozenset()
    """Those of the objects directly in it that tell what it is: the root of a group, a run's manifest, turns."""

    def with_object(self, stored: Stored, below: str) -> Member:
        """Return the member with one more object, of the name `below` in its folder."""
        return Member(
            n_objects=self.n_objects + 1,
            n_bytes=self.n_bytes + stored.n_bytes,
            written=max(self.written, stored.modified),
            signs=self.signs | {below} if _SIGN.fullmatch(below) else self.signs,
        )


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Everything that a cache holds under one key."""

    cache: Store
    kind: str
    """The folder of the cache that it is in, as `label-maps`."""
    name: str
    """The raster's name; of a run its id."""
    digest: str
    """What its provenance comes to, 32 hexadecimal digits; empty for a run."""
    members: Mapping[str, Member]
    """Its folders and objects by what follows the key in their names, as `.zarr`, `.ledger`, `-windows.parts`."""

    @property
    def key(self) -> str:
        """The name and the digest."""
        return f"{self.name}-{self.digest}" if self.digest else self.name

    @property
    def path(self) -> str:
        """Path or URL of the main folder or object."""
        return self.place(ROOT if self.kind in ZARR_KINDS else ITEM if self.kind in KEYED else "").url

    @property
    def n_objects(self) -> int:
        """Number of objects."""
        return sum(member.n_objects for member in self.members.values())

    @property
    def n_bytes(self) -> int:
        """Size of all objects."""
        return sum(member.n_bytes for member in self.members.values())

    @property
    def written(self) -> datetime:
        """When anything of it was last written. A run that needs a group writes its Item again, and so it was used."""
        return max((member.written for member in self.members.values()), default=NEVER)

    @property
    def has_root(self) -> bool:
        """Whether its group was laid out to the end."""
        return ROOT in self.members and "zarr.json" in self.members[ROOT].signs

    @property
    def n_entries(self) -> int:
        """Number of tiles that its ledger speaks of."""
        ledger = self.members.get(LEDGER, Member())
        return ledger.n_objects - len(ledger.signs)

    @property
    def turns(self) -> tuple[str, ...]:
        """Keys in the cache of the turns that were taken at the group and not given back."""
        signs = sorted(self.members.get(LEDGER, Member()).signs)
        return tuple(f"{self.kind}/{self.key}{LEDGER}/{sign}" for sign in signs)

    def place(self, suffix: str) -> Store:
        """Return the store of one of its folders."""
        return self.cache.child(self.kind).child(self.key + suffix)


def find_holdings(cache: Store | Path | str) -> list[Holding]:
    """Return all that a cache holds, by kind and key.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    """
    store = as_store(cache)
    found = _gather(store, store.list())
    return sorted(found, key=lambda holding: (KINDS.index(holding.kind), holding.key))


def find_holding(cache: Store | Path | str, key: str, *, kinds: Iterable[str] = KEYED) -> Holding:
    """Return the one holding that a key names.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    key : str
        Path or URL of a holding, in whatever cache; or the beginning of a key, of a digest, or of either with the
        kind before it, as `label-maps/ortho-3f`. Scalings are only meant where the kind or the digest says so.
    kinds : iterable of str
        Where to look.

    Raises
    ------
    InputError
        If there is none or more than one; the message lists candidates.
    """
    store, word = _read_key(as_store(cache), key)
    kind, slash, start = word.rpartition("/")
    named = {other: _names(store, other) for other in kinds if not slash or other == kind}
    known = sorted({(one, *name) for one, names in named.items() for name, _ in names})
    exact = [one for one in known if f"{one[1]}-{one[2]}" == start]
    found = exact or [one for one in known if _begins(one, start, is_kind_given=bool(slash))]
    if len(found) != 1:
        raise InputError(_refusal(store, key, found, known))
    return _gathered(store, found[0], named[found[0][0]])


def read_provenance(holding: Holding) -> dict[str, Any] | None:
    """Return what a holding's key is the digest of, as far as it says; None if it cannot be read."""
    if holding.kind not in KEYED:
        return None
    try:
        if holding.kind in ZARR_KINDS:
            found = json.loads(holding.place(ROOT).read("zarr.json") or b"")["attributes"]["superpoint"]
        else:
            found = json.loads(holding.cache.child(holding.kind).read(holding.key + ITEM) or b"")
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def sources_in(provenance: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the identities of the rasters that something was made of, as `Raster.identity` gave them."""
    if provenance is None:
        return []
    label_map = provenance.get("label_map")
    found = [
        provenance.get("source"),
        label_map.get("source") if isinstance(label_map, dict) else None,
        *(provenance.get("rasters") or ()),
    ]
    return [source for source in found if isinstance(source, dict)]


def _gather(cache: Store, objects: Iterable[Stored]) -> Iterator[Holding]:
    members: dict[tuple[str, str, str], dict[str, Member]] = {}
    for stored in objects:
        kind, _, rest = stored.key.partition("/")
        head, _, below = rest.partition("/")
        if kind == RUNS and below:
            identity, suffix = (kind, head, ""), ""
        elif kind in KEYED and (match := _NAME.fullmatch(head)):
            identity, suffix = (kind, match["name"], match["digest"]), match["suffix"]
        else:
            continue
        own = members.setdefault(identity, {})
        own[suffix] = own.get(suffix, Member()).with_object(stored, below)
    for (kind, name, digest), own in members.items():
        yield Holding(cache=cache, kind=kind, name=name, digest=digest, members=own)


def _read_key(cache: Store, key: str) -> tuple[Store, str]:
    """Return the cache that a key speaks of, and the kind, if it says so, with what the key begins with."""
    key = key if key.rstrip("/") in KEYED else key.rstrip("/")
    if "://" in key or Path(key).is_absolute() or Path(key).exists():
        folder, _, name = as_store(key).url.rpartition("/")
        home, _, kind = folder.rpartition("/")
        if kind in KEYED:
            return Store(home), f"{kind}/{_stem(name)}"
    kind, slash, name = key.rpartition("/")
    return cache, f"{kind}{slash}{_stem(name)}"


def _stem(name: str) -> str:
    found = _NAME.fullmatch(name)
    return f"{found['name']}-{found['digest']}" if found else name


def _names(cache: Store, kind: str) -> list[tuple[tuple[str, str], str]]:
    """Return name and digest of whatever lies in the folder of a kind, with the name in that folder."""
    folders, objects = cache.child(kind).list_names()
    found = ((_NAME.fullmatch(name), name) for name in (*folders, *objects))
    return [((match["name"], match["digest"]), name) for match, name in found if match]


def _begins(one: tuple[str, str, str], start: str, *, is_kind_given: bool) -> bool:
    kind, name, digest = one
    is_named = f"{name}-{digest}".startswith(start) and (is_kind_given or kind in ZARR_KINDS)
    return is_named or digest.startswith(start)


def _gathered(cache: Store, one: tuple[str, str, str], names: list[tuple[tuple[str, str], str]]) -> Holding:
    """Return a holding of which the names are known; only its own folders are listed."""
    kind, name, digest = one
    if kind == "scalings":
        objects = [stored for stored in cache.list(kind) if stored.key == f"{kind}/{name}-{digest}{ITEM}"]
    else:
        own = [f"{kind}/{found}" for identity, found in names if identity == (name, digest)]
        objects = [stored for key in own for stored in _listed(cache, key)]
    return next(_gather(cache, objects), Holding(cache=cache, kind=kind, name=name, digest=digest, members={}))


def _listed(cache: Store, key: str) -> Iterator[Stored]:
    if key.endswith((ROOT, LEDGER, PARTS)):
        yield from cache.list(key)
    elif (n_bytes := cache.size(key)) is not None:
        yield Stored(key=key, n_bytes=n_bytes, modified=NEVER)


def _refusal(cache: Store, key: str, found: list[tuple[str, str, str]], known: list[tuple[str, str, str]]) -> str:
    listed = ", ".join(f"{kind}/{name}-{digest}" for kind, name, digest in (found or known)[:MOST_NAMED])
    more = f" and {len(found or known) - MOST_NAMED} more" if len(found or known) > MOST_NAMED else ""
    if found:
        return f"{len(found)} results in {cache.url} begin with {key!r}: {listed}{more}; give more of the key"
    there = f"there are {listed}{more}" if known else "it is empty"
    return f"no result in {cache.url} begins with {key!r}; {there}; see superpoint cache ls"
