"""The account of the points of a pseudo-mask, as an inspection sees it: pixels, classes and states."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from superpoint.cache.evidence import companion_of
from superpoint.cache.holdings import ACCOUNT
from superpoint.cache.points.accounts import CONTRADICTIONS, SUMS
from superpoint.classes import IGNORE
from superpoint.inspection.verdict import VOTING
from superpoint.points.account import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.classes import ClassTable
    from superpoint.tiles import TileGrid, Window

COLUMNS = ("state", "pixel_row", "pixel_col", "class")
"""What accounts call the state, the pixel and the class."""
MORE = ("superpixel", "annotator")
"""What some accounts have besides."""
OUTVOTED = "conflicting"


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsSeen:
    """The points of an account."""

    states: Mapping[str, int]
    """Number of all rows by state, used first."""
    rows: NDArray[np.int64]
    """Pixel row of each point that voted, of shape (points,)."""
    cols: NDArray[np.int64]
    values: NDArray[np.uint8]
    """Class value."""
    superpixels: NDArray[np.int64] | None = None
    """Superpixel that each point voted in; None where the account does not say it."""
    outvoted: NDArray[np.bool_]
    """Whether its superpixel went to another class."""
    annotators: NDArray[np.int64]
    """Place in `annotator_names` of who set it; -1 where nobody is known."""
    annotator_names: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    def by_tile(self, grid: TileGrid) -> dict[str, NDArray[np.int64]]:
        """Return which points lie in each tile that has any, by the tile's name."""
        return {tile.name: places for tile, places in grid.split(self.rows, self.cols)}

    def within(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """Return row and col, from the window's first, and value of the points in a window."""
        rows, cols = self.rows - window.row, self.cols - window.col
        inside = (rows >= 0) & (rows < window.n_rows) & (cols >= 0) & (cols < window.n_cols)
        return rows[inside], cols[inside], self.values[inside]


def read_points_seen(path: str, classes: ClassTable) -> PointsSeen | None:
    """Read the account beside a pseudo-mask; None if there is none.

    Parameters
    ----------
    path : str
        Folder or URL of the pseudo-mask's group.
    classes : ClassTable
        That the points' classes belong to.
    """
    store, key = companion_of(path, ACCOUNT)
    data = store.read(key)
    if data is None:
        return None
    file = pq.ParquetFile(io.BytesIO(data))
    metadata = file.schema_arrow.metadata or {}
    if not set(COLUMNS) <= set(file.schema_arrow.names):
        return None
    table = file.read(columns=[*COLUMNS, *(name for name in MORE if name in file.schema_arrow.names)])
    states, rows, cols, values = (table[name] for name in COLUMNS)
    state_names, state_codes = _encoded(states)
    voted = np.isin(state_codes, [place for place, name in enumerate(state_names) if name in VOTING])
    voted &= rows.is_valid().to_numpy() & cols.is_valid().to_numpy()
    found = _values_of(values, classes)
    voted &= found != IGNORE
    hands, hand_codes = _encoded(table["annotator"]) if "annotator" in table.column_names else ([], None)
    is_outvoted = np.isin(state_codes, [place for place, name in enumerate(state_names) if name == OUTVOTED])
    return PointsSeen(
        states=_kept_sums(metadata) or _sums(state_names, state_codes),
        rows=rows.to_numpy()[voted].astype(np.int64),
        cols=cols.to_numpy()[voted].astype(np.int64),
        values=found[voted],
        superpixels=_superpixels(table)[voted] if "superpixel" in table.column_names else None,
        outvoted=is_outvoted[voted],
        annotators=np.full(int(voted.sum()), -1) if hand_codes is None else hand_codes[voted],
        annotator_names=tuple(map(str, hands)),
        contradictions=_contradictions(metadata),
    )


def _superpixels(table: pa.Table) -> NDArray[np.int64]:
    """Return the superpixel of each row; 0 where it has none."""
    found: NDArray[np.int64] = table["superpixel"].combine_chunks().fill_null(0).to_numpy().astype(np.int64)
    return found


def _encoded(column: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct values of a column, and which of them each row has; -1 where it has none."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy().astype(np.int64)


def _sums(names: list[str], codes: NDArray[np.int64]) -> dict[str, int]:
    counts = dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True))
    order = [state.name.lower() for state in sorted(State, reverse=True)]
    return {name: counts[name] for name in (*order, *sorted(set(names) - set(order))) if name in counts}


def _values_of(column: pa.ChunkedArray, classes: ClassTable) -> NDArray[np.uint8]:
    """Return the class values of names, codes or values; 255 where there is none."""
    names, codes = _encoded(column)
    values = [IGNORE if (value := classes.value_of(name)) is None else value for name in names]
    return np.array([*values, IGNORE], np.uint8)[codes]  # -1 is the last


def _kept_sums(metadata: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return the sums over all rows of the points, of a run of one raster; none if there were several."""
    return {name: count for name, count in json.loads(metadata.get(SUMS, b"{}")).items() if count}


def _contradictions(metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    return tuple(json.loads(metadata.get(CONTRADICTIONS, b"[]")))
