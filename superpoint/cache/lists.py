"""Lists of rasters: text with one a line, or a Parquet table."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from superpoint.cache.addresses import joined, shown
from superpoint.cache.headers import IF_POINTS
from superpoint.cache.objects import read_document
from superpoint.errors import InputError

PATH_COLUMNS = ("path", "raster", "href", "url")
MASK_COLUMN = "mask"

type Entry = tuple[str, str | None]
"""A raster, and its mask if it has one: absolute paths or URLs."""


def read_text_list(place: str) -> list[Entry]:
    """Read paths and URLs, one a line; empty lines and those that begin with `#` are passed over.

    Parameters
    ----------
    place : str
        The list, a local path or URL. What it names without a folder lies beside it.

    Raises
    ------
    InputError
        If the list cannot be read, or names nothing.
    """
    try:
        lines = [line.strip() for line in read_document(place).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(place)} is not text in UTF-8; give one path or URL a line") from error
    return _named(place, [(joined(line, place), None) for line in lines if line and not line.startswith("#")])


def read_parquet_list(place: str) -> list[Entry]:
    """Read the column `path`, `raster`, `href` or `url` of a Parquet table, and `mask` if there is one.

    Parameters
    ----------
    place : str
        The table, a local path or URL. What it names without a folder lies beside it.

    Raises
    ------
    InputError
        If it cannot be read, has no such column, or names nothing.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(read_document(place)))
        names = file.schema_arrow.names
        column = next((name for name in PATH_COLUMNS if name in names), None)
        if column is None:
            raise InputError(
                f"{shown(place)} is no list of rasters, it has none of the columns {', '.join(PATH_COLUMNS)}; columns: "
                f"{', '.join(names)}; {IF_POINTS}"
            )
        table = file.read(columns=[column, *([MASK_COLUMN] if MASK_COLUMN in names else [])])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read {shown(place)} as a Parquet table: {str(error).splitlines()[0]}") from error
    paths = table[column].to_pylist()
    masks = table[MASK_COLUMN].to_pylist() if MASK_COLUMN in table.column_names else [None] * len(paths)
    return _named(place, [_entry(place, row, *cells) for row, cells in enumerate(zip(paths, masks, strict=True))])


def _entry(place: str, row: int, path: object, mask: object) -> Entry:
    if not isinstance(path, str) or not path or not isinstance(mask, str | None):
        raise InputError(f"row {row} of {shown(place)} has {path!r} and the mask {mask!r}; write paths or URLs")
    return joined(path, place), joined(mask, place) if mask else None


def _named(place: str, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise InputError(f"{shown(place)} names no raster; give a path or URL in each line or row")
    return entries
