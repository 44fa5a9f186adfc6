"""Points in tables of text (CSV, TSV): read by pyarrow; what it takes offence at goes the slow way, through pandas."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from superpoint.cache.points.columns import (
    Axes,
    Batch,
    Opened,
    PointColumns,
    find_axes,
    numbers_of,
    refuse_without_axes,
    wkt_of,
)
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DELIMITERS = ",;\t|"
_PROBE = 2**20  # bytes from the beginning in which quotes after blanks are looked for


@dataclass(frozen=True, kw_only=True)
class Header:
    """How a table of text is written."""

    names: tuple[str, ...]
    delimiter: str
    n_lines: int
    """Lines up to the first row."""
    is_plain: bool
    """Whether pyarrow reads it as it is meant."""


def open_text(path: Path, columns: PointColumns) -> Opened:
    """Open a CSV; its coordinates are x,y | easting,northing | lon,lat | longitude,latitude | row,col, or as given.

    Raises
    ------
    InputError
        If it is no table, or has not the columns.
    """
    header = read_header(path)
    axes = find_axes(path, header.names, columns)
    if axes is None:
        refuse_without_axes(path, header.names)
    columns.check(path, header.names)
    crs = None if axes.is_pixels else columns.crs or axes.crs
    batches = _batches(path, header, axes, columns)
    return Opened(crs=None if crs is None else wkt_of(crs), is_pixels=axes.is_pixels, batches=batches, is_text=True)


def read_header(path: Path) -> Header:
    """Find the delimiter and the names of the columns.

    Raises
    ------
    InputError
        If the file cannot be read as text.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(_PROBE)
        # A cut may go through a letter, never through the first line.
        lines = beginning.decode("utf-8-sig", errors="strict" if len(beginning) < _PROBE else "replace").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} as a CSV table: {error}") from error
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"cannot read {path} as a CSV table: it is empty")
    delimiter = max(DELIMITERS, key=lambda mark: len(_split(lines[first], mark)))
    if len(_split(lines[first], delimiter)) == 1:
        delimiter = " " if " " in lines[first].strip() else DELIMITERS[0]
    names = tuple(name.strip() for name in _split(lines[first], delimiter))
    # A quote after a blank is a letter to pyarrow, one that never ends the end of a field.
    never_ends = len(beginning) < _PROBE and beginning.count(b'"') % 2
    is_odd = never_ends or any(f'{delimiter} "' in line for line in lines)
    is_plain = len(set(names)) == len(names) and not is_odd and delimiter != " "
    return Header(names=names, delimiter=delimiter, n_lines=first + 1, is_plain=is_plain)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _batches(path: Path, header: Header, axes: Axes, columns: PointColumns) -> Iterator[Batch]:
    names = {role: name.strip() for role, name in columns.named().items()}
    for some in _read(path, header, axes, list(names.values())):
        yield Batch(
            columns={role: some.column(name) for role, name in names.items()},
            xs=numbers_of(some.column(axes.x)),
            ys=numbers_of(some.column(axes.y)),
        )


def _read(path: Path, header: Header, axes: Axes, names: list[str]) -> list[pa.RecordBatch]:
    """Read the columns wanted; coordinates as text where one is no number."""
    if header.is_plain:
        for kind in (pa.float64(), pa.string()):
            try:
                return _read_quickly(path, header, {axes.x: kind, axes.y: kind}, names)
            except (pa.ArrowException, _QuotedError):
                continue
    wanted = list(dict.fromkeys([axes.x, axes.y, *names]))
    return list(pa.Table.from_pandas(_read_slowly(path, header)[wanted], preserve_index=False).to_batches())


class _QuotedError(Exception):
    """A quote stands after a blank: pyarrow takes it for a letter."""


def _read_quickly(path: Path, header: Header, axes: dict[str, pa.DataType], names: list[str]) -> list[pa.RecordBatch]:
    described = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    table = pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(column_names=list(header.names), skip_rows=header.n_lines),
        parse_options=pacsv.ParseOptions(delimiter=header.delimiter),
        convert_options=pacsv.ConvertOptions(
            include_columns=list(dict.fromkeys([*axes, *names])),
            column_types=described | axes,
            null_values=[""],  # only an empty field is missing: "NA" and "None" may be classes
            strings_can_be_null=True,
        ),
    )
    for name in names:
        if any(str(label).lstrip().startswith('"') for chunk in table[name].chunks for label in _labels(chunk)):
            raise _QuotedError
    return list(table.to_batches())


def _labels(chunk: pa.Array) -> list[object]:
    return list(chunk.dictionary.to_pylist()) if pa.types.is_dictionary(chunk.type) else []


def _read_slowly(path: Path, header: Header) -> pd.DataFrame:
    # Without index_col a longer line would shift the columns.
    options: dict[str, Any] = {"sep": header.delimiter, "skipinitialspace": True, "index_col": False, "dtype": str}
    options |= {"encoding": "utf-8-sig", "keep_default_na": False, "na_values": [""]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # lines longer than the header
            table: pd.DataFrame = pd.read_csv(path, engine="python", **options).rename(columns=str.strip)
            return table
    except (ValueError, OSError, csv.Error, pd.errors.ParserWarning) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"cannot read {path} as a CSV table: {error}") from error
