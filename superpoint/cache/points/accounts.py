"""The account of the points as GeoParquet: every row, what became of it and why, one row group after another.

Reasons are put together by pyarrow from columns: no text of a row is ever made in Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyproj
import shapely

from superpoint.cache.points.shapes import POINT_WKB
from superpoint.classes import IGNORE
from superpoint.points.account import State, sums
from superpoint.points.naming import is_called

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from superpoint.points.account import Account
    from superpoint.points.matching import ClassMatch
    from superpoint.points.table import PointTable

    Longs = NDArray[np.int64]

ROW_GROUP = 262_144
"""Rows that are put together and written at a time."""
CONTRADICTIONS = b"superpoint:contradictions"
"""Key of the file's metadata under which sentences on the attribute tables are, as a JSON list."""
SUMS = b"superpoint:sums"
"""Key under which the number of all rows in each state is, as JSON, where the account holds but those on a raster."""
OUTCOME = ("state", "reason", "raster", "superpixel", "pixel_row", "pixel_col")

_REPEATED = ["file", "class", "annotator", "state", "raster"]
_WHOLE = 1e-6  # what a share as float32 is off
_SEVERAL = "EPSG:4326"  # the CRS of an account of files of several
_PLAIN = {
    State.NO_PLACE: "it has no geometry, or coordinates that are not numbers",
    State.ON_NODATA: "the raster has no data there",
    State.DUPLICATE: "an earlier point has the same pixel, class and annotator",
}


def account_parquet(
    table: PointTable, match: ClassMatch, account: Account, *, all_rows: Mapping[str, int] | None = None
) -> bytes:
    """Return an account as the bytes of a GeoParquet file; see `write_account`."""
    sink = pa.BufferOutputStream()
    write_account(sink, table, match, account, all_rows=all_rows)
    return bytes(sink.getvalue().to_pybytes())


def write_account(
    file: BinaryIO | Path,
    table: PointTable,
    match: ClassMatch,
    account: Account,
    *,
    all_rows: Mapping[str, int] | None = None,
) -> None:
    """Write an account as GeoParquet, or as Parquet where all files are of pixels.

    Parameters
    ----------
    file : binary file or Path
        What is written to, from the beginning to the end.
    table : PointTable
        The points.
    match : ClassMatch
        Why classes could not be read.
    account : Account
        What became of them; only its rows are written.
    all_rows : mapping of str to int, optional
        Number of all rows of the table in each state, where the account is not kept of all: goes to the metadata.

    Notes
    -----
    Columns: `file`, `row` (from 0, in its file), `class`, `annotator` if there are any, `state`, `reason`, `raster`,
    `superpixel`, `pixel_row`, `pixel_col`; and `geometry`, the first place of the row as it was read (of a polygon
    that was burned in a point on it), in the CRS of the file, or in EPSG:4326 if the files are of several. Sentences on
    contradictions in the attribute tables are in the metadata, see `CONTRADICTIONS`.
    """
    writing = _Writing(table=table, match=match, account=account)
    said = {SUMS: json.dumps(dict(all_rows)).encode()} if all_rows else {}
    schema = writing.group(0, 0).schema.with_metadata(writing.metadata | said)
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=_REPEATED) as writer:
        for start in range(0, len(account), ROW_GROUP):
            writer.write_table(writing.group(start, min(start + ROW_GROUP, len(account))).cast(schema))


def with_earlier(account: bytes, earlier: bytes, rasters: Sequence[str]) -> bytes:
    """Return an account with what rows came to in an earlier one of the same rows, where that was better.

    Of what is equally good the raster that comes first in `rasters` stays, as if there had been one run.

    A run that is tried again speaks of the rasters that failed; what rows came to on the others is in its account.

    Parameters
    ----------
    account, earlier : bytes
        As `account_parquet` returns them.
    rasters : sequence of str
        Names of all rasters of the run, in order.
    """
    new, old = (pq.read_table(pa.BufferReader(data)) for data in (account, earlier))
    if len(new) != len(old) or not new.schema.equals(old.schema):
        return account
    is_as_good = pc.equal(_ranks(old), _ranks(new))
    is_before = pc.less(_places(old, rasters), _places(new, rasters))
    is_better = pc.or_(pc.greater(_ranks(old), _ranks(new)), pc.and_(is_as_good, is_before))
    for name in OUTCOME:
        column = pc.if_else(is_better, old[name].combine_chunks(), new[name].combine_chunks())
        new = new.set_column(new.column_names.index(name), new.schema.field(name), column)
    sink = pa.BufferOutputStream()
    pq.write_table(new, sink, compression="zstd", row_group_size=ROW_GROUP)
    return bytes(sink.getvalue().to_pybytes())


def state_sums(account: bytes) -> dict[str, int]:
    """Return the number of rows in each state of an account, used first."""
    return sums(np.asarray(_ranks(pq.read_table(pa.BufferReader(account), columns=["state"])), np.int8))


def _ranks(table: pa.Table) -> pa.Array:
    """Return the states as numbers: the higher, the better."""
    return pc.index_in(table["state"].combine_chunks(), pa.array([state.name.lower() for state in State]))


def _places(table: pa.Table, rasters: Sequence[str]) -> pa.Array:
    """Return the place of each row's raster among all; beyond them where it has none."""
    found = pc.index_in(table["raster"].combine_chunks(), pa.array(list(rasters), pa.string()))
    return pc.fill_null(found, len(rasters))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Writing:
    """What the rows of an account are put together from."""

    table: PointTable
    match: ClassMatch
    account: Account

    @cached_property
    def crs(self) -> str | None:
        """The CRS written; None if there is none."""
        used = {file.system for file in self.table.files if file.system >= 0}
        if len(used) == 1:
            return self.table.systems[used.pop()]
        return _SEVERAL if used else None

    @cached_property
    def has_geometry(self) -> bool:
        """Whether any file has world coordinates."""
        return any(file.system != -1 for file in self.table.files)

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """What makes Parquet GeoParquet; and what contradicts itself in the points."""
        sentences = [one.sentence for one in self.table.contradictions]
        said = {CONTRADICTIONS: json.dumps(sentences).encode()} if sentences else {}
        if not self.has_geometry:
            return said
        crs = None if self.crs is None else pyproj.CRS(self.crs).to_json_dict()
        column = {"encoding": "WKB", "geometry_types": ["Point"], "crs": crs}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        return said | {b"geo": json.dumps(geo).encode()}

    def group(self, start: int, stop: int) -> pa.Table:
        """Put some rows together."""
        table, account, part = self.table, self.account, slice(start, stop)
        rows = np.arange(start, stop) if account.rows is None else account.rows[part]
        files, file_rows = table.file_of(rows)
        voted = account.superpixels[part] > 0
        on_raster = account.raster[part] >= 0
        columns: dict[str, pa.Array] = {
            "file": _named(files, [file.name for file in table.files]),
            "row": pa.array(file_rows),
            "class": _named(table.labels[rows], table.names),
        }
        if table.annotators is not None:
            columns["annotator"] = _named(table.annotators[rows], table.annotator_names)
        columns["state"] = _named(account.states[part], [state.name.lower() for state in State])
        columns["reason"] = self._reasons(rows, part)
        columns["raster"] = _named(account.raster[part], account.rasters)
        columns["superpixel"] = pa.array(account.superpixels[part], mask=~voted)
        columns["pixel_row"] = pa.array(account.pixel_rows[part], mask=~on_raster)
        columns["pixel_col"] = pa.array(account.pixel_cols[part], mask=~on_raster)
        if self.has_geometry:
            columns["geometry"] = _points(*self._coordinates(rows, files))
        return pa.table(columns)

    def _reasons(self, rows: Longs, part: slice) -> pa.Array:
        """Say why each row has its state."""
        states = self.account.states[part]
        texts = np.empty(len(rows), object)
        for state, text in _PLAIN.items():
            texts[states == state] = text
        outside = states == State.OUTSIDE
        texts[outside] = self._why_outside(rows[outside])
        unreadable = states == State.UNREADABLE_CLASS
        texts[unreadable] = np.array(self.match.reasons, object)[self.table.labels[rows[unreadable]]]
        return pc.coalesce(self._verdicts(part), pa.array(texts, pa.string()))

    def _why_outside(self, rows: Longs) -> NDArray[np.object_] | str:
        on_none = "it lies on no raster"
        if self.table.rasters is None:
            return on_none
        # Which row lies where was decided by all names of a raster; here it has one, perhaps without its suffix.
        known = [
            any(is_called(text, self.account.rasters) for text in (name, name.rpartition("/")[2].rpartition(".")[0]))
            for name in self.table.raster_names
        ]
        texts = [
            f"it does not lie on the raster {name!r} that it names" if found else f"there is no raster {name!r}"
            for name, found in zip(self.table.raster_names, known, strict=True)
        ]
        return np.array([*texts, on_none], object)[self.table.rasters[rows]]

    def _verdicts(self, part: slice) -> pa.Array:
        """Say of rows that voted what their superpixel went to; null for the others."""
        account = self.account
        states, winners = account.states[part], account.winners[part]
        voted = states >= State.CONFLICTING
        names = [*self.match.classes.names]
        outcomes = [f"went to {name}" for name in names] + ["is tied and has no class", "has too weak a vote"]
        outcome = np.where(winners == IGNORE, len(names), winners).astype(np.int32)
        outcome[states == State.TOO_WEAK] = len(names) + 1
        outcome[~voted] = -1
        return pc.binary_join_element_wise(
            "superpixel",
            _text(account.superpixels[part]),
            "of",
            _named(account.raster[part], account.rasters),
            pc.binary_join_element_wise(_named(outcome, outcomes), self._votes(part), ", "),
            " ",
        )

    def _votes(self, part: slice) -> pa.Array:
        """Return `3 of 4 votes`; or a percentage of them, where annotators share votes."""
        shares, votes = self.account.shares[part].astype(np.float64), self.account.votes[part]
        leading = shares * votes
        whole = np.rint(leading)
        is_whole = pa.array(np.abs(leading - whole) < _WHOLE * np.maximum(votes, 1))
        counted = _text(whole.astype(np.uint32))
        weighed = pc.binary_join_element_wise(_text(np.rint(shares * 100).astype(np.int32)), "%", " ")
        count = pc.if_else(is_whole, counted, weighed)
        return pc.binary_join_element_wise(count, " of ", _text(votes), " votes", "")

    def _coordinates(self, rows: Longs, files: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rows lie, in the CRS that is written; NaN where they lie nowhere."""
        table = self.table
        places = table.first_places(rows)
        xs, ys = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        xs[places >= 0], ys[places >= 0] = table.xs[places[places >= 0]], table.ys[places[places >= 0]]
        burned = np.searchsorted(table.geometry_rows, rows)
        for place in np.flatnonzero(np.isin(rows, table.geometry_rows) & ~np.isfinite(xs)):
            inside = shapely.point_on_surface(table.geometries[burned[place]])
            xs[place], ys[place] = inside.x, inside.y
        for number, file in enumerate(table.files):
            mine = files == number
            if file.system < 0:
                if self.crs is not None or file.system == -1:  # pixels, or of no CRS among some that have one
                    xs[mine] = np.nan
            elif self.crs is not None and table.systems[file.system] != self.crs:
                change = pyproj.Transformer.from_crs(table.systems[file.system], self.crs, always_xy=True)
                xs[mine], ys[mine] = change.transform(xs[mine], ys[mine])
        return xs, ys


def _named(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """Return names by their codes; null where a code is negative."""
    # As plain texts: GDAL shows the codes of a dictionary as numbers.
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string())).cast(pa.string())


def _text(numbers: NDArray[Any]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _points(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> pa.Array:
    """Return points as WKB; null where they are no numbers."""
    there = np.isfinite(xs) & np.isfinite(ys)
    wkb = np.zeros(int(there.sum()), POINT_WKB)
    wkb["order"], wkb["kind"], wkb["x"], wkb["y"] = 1, 1, xs[there], ys[there]
    offsets = np.concatenate([[0], np.cumsum(there) * POINT_WKB.itemsize]).astype(np.int32)
    bits = np.packbits(there, bitorder="little")
    buffers = [pa.py_buffer(bits), pa.py_buffer(offsets), pa.py_buffer(wkb)]
    return pa.Array.from_buffers(pa.binary(), len(xs), buffers)
