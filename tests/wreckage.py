"""Damage to a cache, and what the next run made of it: told from objects and their times, not from what a run says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.cache.stores import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from datetime import datetime

    import numpy as np

    type Damage = Callable[[bytes, np.random.Generator], bytes | None]

_DIGEST = r"-[0-9a-f]{32}"
_ENTRY = re.compile(rf"label-maps/(.*{_DIGEST})\.ledger/(\d+\.\d+)\.json")
KINDS = {
    "chunk": re.compile(r".*\.zarr/labels/c/.*"),
    "entry": _ENTRY,
    "root": re.compile(r".*\.zarr/zarr\.json"),
    "array": re.compile(r".*\.zarr/.*/zarr\.json|.*\.zarr/[xy]/c/.*"),
    "scaling": re.compile(r"scalings/.*"),
    "part": re.compile(r".*\.parts/.*"),
    "part's entry": re.compile(rf".*{_DIGEST}-\w+\.ledger/.*\.json"),
    "run": re.compile(r"runs/.*"),
    "item": re.compile(rf"label-maps/[^/]*{_DIGEST}\.json"),
}
"""The objects of a cache by what they are."""

type TileName = tuple[str, str]
"""Group and tile."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An object, and when it was written."""

    data: bytes
    modified: datetime


type Objects = Mapping[str, Kept]


def objects_of(cache: str) -> Objects:
    """Read a cache whole."""
    store = Store(cache)
    found = {stored.key: stored.modified for stored in store.list()}
    data = store.map(store.read, found)
    return {
        key: Kept(data=content, modified=modified)
        for (key, modified), content in zip(found.items(), data, strict=True)
        if content is not None
    }


def n_entries(cache: str) -> int:
    """Count the entries of all ledgers, those of parts included."""
    return sum(".ledger/" in stored.key and stored.key.endswith(".json") for stored in Store(cache).list("label-maps"))


# --- damage


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Turn over one to three bits."""
    changed = bytearray(data)
    for place in rng.choice(len(data), min(len(data), int(rng.integers(1, 4))), replace=False):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end, or all."""
    return data[: int(rng.integers(len(data)))]


def delete(data: bytes, rng: np.random.Generator) -> None:  # as the others
    """Leave nothing."""


def damage(cache: str, how: Damage, rng: np.random.Generator, *, n_objects: int) -> dict[str, str]:
    """Damage some objects of a cache, of all kinds alike, and return the kind of each by its key."""
    store = Store(cache)
    keys = sorted(stored.key for stored in store.list() if stored.n_bytes)
    by_kind = {kind: [key for key in keys if pattern.fullmatch(key)] for kind, pattern in KINDS.items()}
    there = sorted(kind for kind, some in by_kind.items() if some)
    damaged: dict[str, str] = {}
    for _ in range(n_objects if there else 0):
        kind = there[int(rng.integers(len(there)))]
        key = by_kind[kind][int(rng.integers(len(by_kind[kind])))]
        data = None if key in damaged else store.read(key)
        if data is None:
            continue
        worse = how(data, rng)
        if worse is None:
            store.delete([key])
        else:
            store.write(key, worse)
        damaged[key] = kind
    return damaged


# --- what came of it


def tiles_in(objects: Objects) -> Iterator[tuple[TileName, str]]:
    """Yield the tiles of label maps that have an entry in a ledger, and its key."""
    for key in objects:
        found = _ENTRY.fullmatch(key)
        if found and f"label-maps/{found[1]}.zarr/zarr.json" in objects:
            yield (found[1], found[2]), key


def chunks_of(entry: Kept, tile: TileName) -> list[str]:
    """Return the keys of a tile's chunks as its entry lists them."""
    return [f"label-maps/{tile[0]}.zarr/{key}" for key in json.loads(entry.data)["chunks"]]


def intact_tiles(before: Objects, expected: Objects, damaged: Container[str]) -> set[TileName]:
    """Return the tiles that are done, judged by the undisturbed cache and by which objects were damaged."""
    intact = set()
    for tile, key in tiles_in(expected):
        chunks = chunks_of(expected[key], tile)
        is_done = key in before and key not in damaged and json.loads(before[key].data)["state"] == "done"
        if is_done and all(chunk in before and before[chunk].data == expected[chunk].data for chunk in chunks):
            intact.add(tile)
    return intact


def violations(
    before: Objects, after: Objects, expected: Objects, *, damaged: Container[str] = (), n_computed: int
) -> list[str]:
    """Return what does not hold after a run that mends a cache.

    Parameters
    ----------
    before, after : Objects
        The cache before and after that run.
    expected : Objects
        The undisturbed cache.
    damaged : container of str
        Keys that were damaged before the run.
    n_computed : int
        How many tiles the run says that it computed.
    """
    wrong = differences(after, expected)
    intact = intact_tiles(before, expected, damaged)
    runs = _runs_in(after) - _runs_in(before)
    n_ours = 0
    for tile, key in tiles_in(expected):
        again = [one for one in (key, *chunks_of(expected[key], tile)) if _is_rewritten(one, before, after)]
        if tile in intact:
            wrong += [f"{one} was intact and was written again" for one in again]
        else:
            # A worker that outlived its client may have been at it.
            n_ours += key in after and json.loads(after[key].data)["run"] in runs
            wrong += [] if key in again else [f"tile {tile[1]} of {tile[0]} was not intact and was not computed"]
    if n_computed != n_ours:
        wrong.append(f"the run says that it computed {n_computed} tiles, the ledger says {n_ours}")
    return wrong


def differences(after: Objects, expected: Objects) -> list[str]:
    """Return in what the label maps of a cache differ from those of the undisturbed one."""
    ours, theirs = ({key for key in some if ".zarr/" in key} for some in (after, expected))
    wrong = [f"{key} is missing" for key in sorted(theirs - ours)]
    wrong += [f"{key} should not be there" for key in sorted(ours - theirs)]
    wrong += [f"{key} has other bytes" for key in sorted(ours & theirs) if after[key].data != expected[key].data]
    wrong += [f"{key} was left behind" for key in sorted(after) if ".parts/" in key]
    return wrong


def _runs_in(objects: Objects) -> set[str]:
    return {key.split("/")[1] for key in objects if key.startswith("runs/")}


def _is_rewritten(key: str, before: Objects, after: Objects) -> bool:
    return key in after and (key not in before or after[key].modified != before[key].modified)
