"""Reading what an attribute table says beside the class, to see where it contradicts itself."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pyogrio
from pyogrio.raw import open_arrow

from superpoint.cache.points.columns import PARQUETS, PIXEL_COLUMNS, TEXTS, WORLD_COLUMNS, Codes, PointColumns
from superpoint.cache.points.texts import read_header
from superpoint.cache.points.vectors import in_words, only_layer
from superpoint.points.contradictions import find_contradictions
from superpoint.points.noise import TRUE_COLUMNS
from superpoint.points.table import OtherColumn

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from superpoint.points.contradictions import Contradiction

ROWS = 2**17
"""Rows that are looked at, from the beginning of a file: to read every column of all takes longer than the rest."""

_VALUES = 512  # a column of more values names no classes
_COORDINATES = {name for pair in (*WORLD_COLUMNS, PIXEL_COLUMNS) for name in pair}


def contradictions_of(path: Path, columns: PointColumns) -> tuple[list[Contradiction], list[OtherColumn]]:
    """Find where another column of a file names the class, and contradicts it.

    Parameters
    ----------
    path : Path
        A file that `read_point_files` has read.
    columns : PointColumns
        What its columns are called. All others that hold whole numbers or texts are looked at.

    Returns
    -------
    contradictions : list of Contradiction
        Column by column. The first 131 072 rows are looked at.
    others : list of OtherColumn
        The columns looked at; of one with more than 512 values not all are there.
    """
    codes: dict[str, Codes] = {}
    dropped: set[str] = set()
    for batch in _some_rows(path, columns):
        for name in batch.schema.names:
            if name not in dropped:
                code = codes.setdefault(name, Codes())
                code.add(batch.column(name))
                if name != columns.class_column and len(code.names) > _VALUES:
                    dropped.add(name)
    if columns.class_column not in codes:
        return [], []
    labels, names = codes.pop(columns.class_column).column(is_text=False)
    others = [OtherColumn(file=str(path), name=name, values=tuple(code.names)) for name, code in codes.items()]
    found = []
    for name in sorted(set(codes) - dropped):
        values, value_names = codes[name].column(is_text=False)
        found += find_contradictions(str(path), name, values, value_names, labels, names)
    return found, others


def _some_rows(path: Path, columns: PointColumns) -> Generator[pa.RecordBatch]:
    """Yield the first rows of a file, with the class and every column that may be another name of it."""
    kind = path.suffix.lower()
    read = _rows_of_text if kind in TEXTS else _rows_of_parquet if kind in PARQUETS else _rows_of_ogr
    with in_words(path), closing(read(path, columns)) as batches:
        n_rows = 0
        for batch in batches:
            yield batch.slice(0, ROWS - n_rows)
            n_rows += len(batch)
            if n_rows >= ROWS:
                return


def _others(names: list[str], columns: PointColumns) -> list[str]:
    """Leave out the columns that are known to be something else."""
    known = {
        columns.annotator_column, columns.raster_column, columns.x_column, columns.y_column, columns.row_column,
        columns.column_column, *TRUE_COLUMNS,
    }  # fmt: skip
    return [name for name in names if name not in known and name.lower() not in _COORDINATES]


def _rows_of_ogr(path: Path, columns: PointColumns) -> Generator[pa.RecordBatch]:
    layer = only_layer(path) if columns.layer is None else columns.layer
    info = pyogrio.read_info(path, layer=layer)
    kinds = dict(zip(info["fields"], info["ogr_types"], strict=True))
    names = [str(name) for name, kind in kinds.items() if kind in ("OFTInteger", "OFTInteger64", "OFTString")]
    names = list(dict.fromkeys([*_others(names, columns), columns.class_column]))
    with open_arrow(path, layer=layer, columns=names, read_geometry=False, use_pyarrow=True) as (_, reader):
        yield from reader


def _rows_of_parquet(path: Path, columns: PointColumns) -> Generator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        names = [field.name for field in file.schema_arrow if _is_name(field.type)]
        names = list(dict.fromkeys([*_others(names, columns), columns.class_column]))
        yield from file.iter_batches(columns=names)


def _is_name(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _rows_of_text(path: Path, columns: PointColumns) -> Generator[pa.RecordBatch]:
    header = read_header(path)
    if not header.is_plain:
        return
    names = _others(list(header.names), columns)
    try:
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=list(header.names), skip_rows=header.n_lines),
            parse_options=pacsv.ParseOptions(delimiter=header.delimiter),
            convert_options=pacsv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string()), null_values=[""],
                strings_can_be_null=True,
            ),
        )  # fmt: skip
        yield from reader
    except pa.ArrowException:
        return  # an untidy table is read, but not looked into
