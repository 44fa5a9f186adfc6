"""The evidence of a pseudo-mask, as two tables beside it: all votes, and the superpixels' labels after each step.

    <name>-<digest>.votes.parquet         superpixel, class, votes, weight
    <name>-<digest>.superpixels.parquet   stage, superpixel, class, share, votes, flags

The first stage is `vote`; each step that improved the labels is one more. The last one is what is painted.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from superpoint.cache.groups import beside
from superpoint.cache.holdings import SUPERPIXELS, VOTES
from superpoint.cache.keys import checksum
from superpoint.cache.stores import Store
from superpoint.errors import UnreachableError
from superpoint.labels.evidence import PseudoLabels
from superpoint.labels.vote import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_STAGE = "vote"

_COLUMNS = {"superpixel": "superpixels", "class": "classes", "share": "shares", "votes": "votes", "flags": "flags"}
_TALLY = {"superpixel": "superpixels", "class": "values", "votes": "counts", "weight": "weights"}


def companion_of(path: str, suffix: str) -> tuple[Store, str]:
    """Return the store and the key of what lies beside the group of a path."""
    folder, _, name = beside(path, suffix).rpartition("/")
    return Store(folder), name


def write_evidence(path: str, tally: Tally, stages: Mapping[str, PseudoLabels]) -> None:
    """Write both tables of a pseudo-mask.

    Parameters
    ----------
    path : str
        Folder or URL of the pseudo-mask's group; as in all functions here.
    tally : Tally
        All votes.
    stages : mapping of str to PseudoLabels
        The labels after the vote, and after each step, in order.
    """
    votes = pa.table({name: getattr(tally, field) for name, field in _TALLY.items()})
    _write(path, VOTES, votes)
    parts = [
        pa.table({"stage": _repeated(stage, len(labels))} | {n: getattr(labels, f) for n, f in _COLUMNS.items()})
        for stage, labels in stages.items()
    ]
    schema = pa.schema([("stage", pa.string()), *((field.name, field.type) for field in list(parts[0].schema)[1:])])
    _write(path, SUPERPIXELS, pa.concat_tables([part.cast(schema) for part in parts]))


def read_tally(path: str) -> Tally | None:
    """Return all votes of a pseudo-mask; None if they are not there."""
    table = _read(path, VOTES)
    return None if table is None else Tally(**{field: table[name].to_numpy() for name, field in _TALLY.items()})


def read_stages(path: str) -> dict[str, PseudoLabels]:
    """Return the labels of superpixels after the vote and after each step, in order; none if they are not there."""
    table = _read(path, SUPERPIXELS)
    if table is None or not len(table):
        return {}
    names = table["stage"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    stops = np.append(starts[1:], len(names))
    return {names[a]: _labels_in(table.slice(a, b - a)) for a, b in zip(starts, stops, strict=True)}


def evidence_digest(tally: Tally, labels: PseudoLabels) -> str:
    """Return 32 hexadecimal digits of votes and labels."""
    votes = (getattr(tally, field) for field in _TALLY.values())
    return checksum(*votes, *(getattr(labels, field) for field in _COLUMNS.values()))


@functools.lru_cache(maxsize=4)
def final_evidence(path: str, digest: str) -> tuple[Tally, PseudoLabels]:
    """Return the votes, and the labels that are painted, read once for all tiles of a raster.

    Raises
    ------
    UnreachableError
        If they are not there, or not those of the digest.
    """
    tally, stages = read_tally(path), read_stages(path)
    labels = stages[next(reversed(stages))] if stages else EMPTY
    if tally is None or evidence_digest(tally, labels) != digest:
        raise UnreachableError(f"{path} has other votes beside it than were written; run the same command again")
    return tally, labels


EMPTY = PseudoLabels(
    superpixels=np.zeros(0, np.uint32),
    classes=np.zeros(0, np.uint8),
    shares=np.zeros(0, np.float32),
    votes=np.zeros(0, np.uint32),
    flags=np.zeros(0, np.uint8),
)


def _labels_in(table: pa.Table) -> PseudoLabels:
    return PseudoLabels(**{field: table[name].to_numpy() for name, field in _COLUMNS.items()})


def _repeated(word: str, times: int) -> pa.Array:
    return pa.array([word]).take(pa.array(np.zeros(times, np.int64)))


def _write(path: str, suffix: str, table: pa.Table) -> None:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    store, key = companion_of(path, suffix)
    store.write(key, file.getvalue())


def _read(path: str, suffix: str) -> pa.Table | None:
    store, key = companion_of(path, suffix)
    data = store.read(key)
    return None if data is None else pq.read_table(io.BytesIO(data))
