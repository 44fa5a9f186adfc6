"""Query points in files, read to columns and placed on rasters.

Files are read batch by batch, only the columns that are wanted, and coordinates are taken from the bytes of a geometry
without making an object of it: ten million points need no more than their columns, twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.points.columns import PARQUETS, TEXTS, Codes, PointColumns
from superpoint.cache.points.contradictions import contradictions_of
from superpoint.cache.points.placing import PlacedPoints
from superpoint.cache.points.shapes import Places, places_of
from superpoint.cache.points.texts import open_text
from superpoint.cache.points.vectors import open_ogr, open_parquet
from superpoint.errors import InputError
from superpoint.points.table import NO_SYSTEM, PIXELS, PointFile, PointTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.points.columns import Opened
    from superpoint.points.contradictions import Contradiction
    from superpoint.points.table import OtherColumn

__all__ = ["PlacedPoints", "PointColumns", "read_point_files"]

log = logging.getLogger("superpoint")

_WARNED = 10  # contradictions that are warned of one by one


def read_point_files(paths: Sequence[Path], columns: PointColumns) -> PointTable:
    """Read query points from files and put them together, in the order of the files.

    Parameters
    ----------
    paths : sequence of Path
        Vector files that OGR reads, GeoParquet, or tables of text (`.csv`, `.tsv`, `.txt`); each with its own format
        and CRS.
    columns : PointColumns
        What their columns are called.

    Returns
    -------
    PointTable
        All rows, also those that have no place or no class. Where an attribute table contradicts itself, a warning
        says so, once for each value.

    Raises
    ------
    InputError
        If a file cannot be read, has not the columns, or has polygons or lines and nobody said what becomes of them.
    """
    parts = [_read(path, columns) for path in paths]
    looked_at = [contradictions_of(path, columns) for path in paths]
    found = [one for contradictions, _ in looked_at for one in contradictions]
    for contradiction in found[:_WARNED]:
        log.warning("%s", contradiction.sentence)
    if len(found) > _WARNED:
        log.warning("and %d more such values, see the report", len(found) - _WARNED)
    return _put_together(parts, found, [one for _, others in looked_at for one in others])


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The rows of one file."""

    path: Path
    crs: str | None
    is_pixels: bool
    columns: dict[str, tuple[NDArray[np.int32], list[str]]]
    places: Places


def _read(path: Path, columns: PointColumns) -> _Part:
    opened = _open(path, columns)
    codes = {role: Codes() for role in columns.named()}
    places: list[Places] = []
    for batch in opened.batches:
        for role, values in batch.columns.items():
            _take(codes[role], values, path, role, columns)
        if batch.xs is not None and batch.ys is not None:
            places.append(
                Places(
                    xs=batch.xs, ys=batch.ys, owners=None, geometries=np.zeros(0, object),
                    geometry_rows=np.zeros(0, np.int64),
                )
            )  # fmt: skip
        elif batch.geometry is not None:
            places.append(places_of(path, batch.geometry, columns))
    n_rows = [len(part) for part in codes["class"].parts]
    return _Part(
        path=path,
        crs=opened.crs,
        is_pixels=opened.is_pixels,
        columns={role: code.column(is_text=opened.is_text and role == "class") for role, code in codes.items()},
        places=_concatenate(places, n_rows),
    )


def _open(path: Path, columns: PointColumns) -> Opened:
    if not path.exists():
        raise InputError(f"points file {path} does not exist; check the path")
    kind = path.suffix.lower()
    if kind in TEXTS:
        return open_text(path, columns)
    return open_parquet(path, columns) if kind in PARQUETS else open_ogr(path, columns)


def _take(codes: Codes, values: object, path: Path, role: str, columns: PointColumns) -> None:
    try:
        codes.add(values)
    except (TypeError, NotImplementedError) as error:  # a list or another thing that cannot be looked up
        raise InputError(
            f"{path}: the {role} column {columns.named()[role]!r} holds no names or numbers; {error}"
        ) from error


def _concatenate(places: list[Places], n_rows: list[int]) -> Places:
    """Put the places of parts together whose numbers of rows are given."""
    starts = np.cumsum([0, *n_rows]).tolist()
    simple = all(part.owners is None for part in places)
    owners = [
        start + (np.arange(len(part.xs)) if part.owners is None else part.owners)
        for start, part in zip([] if simple else starts, places, strict=False)
    ]
    return Places(
        xs=_chain((part.xs for part in places), np.float64),
        ys=_chain((part.ys for part in places), np.float64),
        owners=None if simple else _chain(owners, np.int64),
        geometries=_chain((part.geometries for part in places), object),
        geometry_rows=_chain(
            (start + part.geometry_rows for start, part in zip(starts, places, strict=False)), np.int64
        ),
    )


def _chain(parts: Iterable[NDArray[Any]], dtype: type) -> NDArray[Any]:
    some = [part for part in parts if len(part)] or [np.zeros(0, dtype)]
    return some[0] if len(some) == 1 else np.concatenate(some)


def _put_together(
    parts: list[_Part], contradictions: Sequence[Contradiction], others: Sequence[OtherColumn]
) -> PointTable:
    systems = tuple(dict.fromkeys(part.crs for part in parts if part.crs is not None))
    files = tuple(
        PointFile(
            name=str(part.path),
            n_rows=len(part.columns["class"][0]),
            system=PIXELS if part.is_pixels else NO_SYSTEM if part.crs is None else systems.index(part.crs),
        )
        for part in parts
    )
    places = _concatenate([part.places for part in parts], [file.n_rows for file in files])
    labels, names = _merge(parts, "class")
    annotators, annotator_names = _merge(parts, "annotator")
    rasters, raster_names = _merge(parts, "raster")
    return PointTable(
        files=files,
        systems=systems,
        xs=places.xs,
        ys=places.ys,
        owners=places.owners,
        labels=np.zeros(0, np.int32) if labels is None else labels,
        names=names,
        annotators=annotators,
        annotator_names=annotator_names,
        rasters=rasters,
        raster_names=raster_names,
        geometries=places.geometries,
        geometry_rows=places.geometry_rows,
        contradictions=tuple(contradictions),
        others=tuple(others),
    )


def _merge(parts: list[_Part], role: str) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Give the codes of one column in several files one list of names."""
    if not all(role in part.columns for part in parts):
        return None, ()
    places: dict[str, int] = {}
    codes = []
    for part in parts:
        mine, names = part.columns[role]
        known = [places.setdefault(name, len(places)) for name in names]
        # Only what differs is copied: one file keeps its codes.
        codes.append(mine if known == list(range(len(names))) else np.array([*known, -1], np.int32)[mine])
    return (codes[0] if len(codes) == 1 else np.concatenate(codes)), tuple(places)
