"""What is read of a file of points: which columns, and the batches that every reader makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyproj

from superpoint.classes import text_of
from superpoint.errors import InputError
from superpoint.points.query import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Geometries = Literal["burn", "sample"]

TEXTS = (".csv", ".tsv", ".txt")
PARQUETS = (".parquet", ".geoparquet", ".pq")
WORLD_COLUMNS = (("x", "y"), ("easting", "northing"), ("lon", "lat"), ("longitude", "latitude"))
GEOGRAPHIC_COLUMNS = ("lon", "longitude")
PIXEL_COLUMNS = ("row", "col")
WORLD_FLAGS = "--x-column and --y-column"
PIXEL_FLAGS = "--row-column and --column-column"


@dataclass(frozen=True, kw_only=True)
class PointColumns:
    """Which columns of point files are read, and how what is not a point becomes points."""

    class_column: str = "class"
    """A name, a code or a value."""
    annotator_column: str | None = None
    """Who set the point."""
    raster_column: str | None = None
    """Which raster it is on."""
    x_column: str | None = None
    """World coordinates of a table without geometries; guessed if None."""
    y_column: str | None = None
    row_column: str | None = None
    """Pixel row and column of a table without geometries, from 0; guessed if None."""
    column_column: str | None = None
    crs: str | None = None
    """CRS of the points where a file has none."""
    layer: str | None = None
    """Layer of files that have several."""
    geometries: Geometries | None = None
    """Whether polygons and lines are burned in or sampled; None refuses them."""
    points_per_geometry: int = 10
    """Points sampled from a polygon or line."""
    seed: int = 0
    """Of the samples."""

    def named(self) -> dict[str, str]:
        """Return the columns that describe a row, by what they are."""
        wanted = {"class": self.class_column, "annotator": self.annotator_column, "raster": self.raster_column}
        return {role: name for role, name in wanted.items() if name is not None}

    def check(self, path: Path, names: Sequence[str]) -> None:
        """Refuse a file that has not the columns wanted.

        Raises
        ------
        InputError
            If so; the message names those that it has.
        """
        for role, name in self.named().items():
            if name not in names:
                raise InputError(
                    f"{path} has no {role} column {name!r}; columns: {', '.join(names) or 'none'}; "
                    f"choose one with --{role}-column"
                )


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The columns of a table without geometries that say where its points lie."""

    x: str
    """Column of x; of the pixel column."""
    y: str
    """Column of y; of the pixel row."""
    is_pixels: bool
    crs: str | None = None
    """CRS that their names imply."""


def find_axes(path: Path, names: Sequence[str], columns: PointColumns) -> Axes | None:
    """Find the columns of coordinates, as given or by their names, whatever their case; None if there are none.

    Where there are pixels and world coordinates, those count that are given; else the world's if their CRS is given,
    the pixels if the column is given that says which raster they are of.

    Raises
    ------
    InputError
        If a column that is given is not there, only one of two is given, or nothing tells which coordinates count.
    """
    world = _given(path, names, (columns.x_column, columns.y_column), WORLD_FLAGS)
    pixels = _given(path, names, (columns.column_column, columns.row_column), PIXEL_FLAGS)
    if world is not None and pixels is not None:
        raise InputError(f"{WORLD_FLAGS} and {PIXEL_FLAGS} are two ways to say where points lie; give one of them")
    if world is not None or pixels is not None:
        x, y = world or pixels or ("", "")
        return Axes(x=x, y=y, is_pixels=world is None)
    known = {name.lower(): name for name in names}
    row, col = PIXEL_COLUMNS
    by_pixel = Axes(x=known[col], y=known[row], is_pixels=True) if row in known and col in known else None
    on_earth = _guess_world(known)
    if by_pixel is None or on_earth is None:
        return by_pixel or on_earth
    if columns.crs is None and columns.raster_column is None:
        raise InputError(
            f"{path} has both pixels ({by_pixel.y},{by_pixel.x}) and world coordinates ({on_earth.x},{on_earth.y}), "
            f"which differ on any raster but the one they were set on; choose the world's with --points-crs EPSG:CODE, "
            f"or the pixels with --row-column {by_pixel.y} --column-column {by_pixel.x}"
        )
    return by_pixel if columns.crs is None else on_earth


def _given(
    path: Path, names: Sequence[str], given: tuple[str | None, str | None], flags: str
) -> tuple[str, str] | None:
    """Return two columns as they were given; None if none was."""
    first, second = given
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise InputError(f"{first or second!r} is one column of coordinates, and there are two; give {flags}")
    for name in (first, second):
        if name not in names:
            raise InputError(
                f"{path} has no coordinate column {name!r}; columns: {', '.join(names)}; choose with {flags}"
            )
    return first, second


def _guess_world(known: Mapping[str, str]) -> Axes | None:
    for x, y in WORLD_COLUMNS:
        if x in known and y in known:
            crs = "EPSG:4326" if x in GEOGRAPHIC_COLUMNS else None
            return Axes(x=known[x], y=known[y], is_pixels=False, crs=crs)
    return None


def refuse_without_axes(path: Path, names: Sequence[str]) -> NoReturn:
    """Say that a table has no columns of coordinates.

    Raises
    ------
    InputError
        Always; the message names the columns that it has.
    """
    pairs = " | ".join(",".join(pair) for pair in (*WORLD_COLUMNS, PIXEL_COLUMNS))
    raise InputError(
        f"{path} has no geometry and no coordinate columns {pairs}; columns: {', '.join(names) or 'none'}; choose with "
        f"{WORLD_FLAGS}, or {PIXEL_FLAGS}"
    )


def wkt_of(text: Any) -> str:  # noqa: ANN401  # what pyproj takes: a code, WKT, PROJJSON as a dict
    """Return a CRS as WKT.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return str(pyproj.CRS.from_user_input(text).to_wkt("WKT2_2019"))
    except pyproj.exceptions.CRSError as error:
        raise InputError(f"{text!r} is not a CRS; write it as EPSG:4326") from error


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a file, in order."""

    columns: dict[str, pa.Array]
    """`class`, and `annotator` and `raster` if they are read."""
    xs: NDArray[np.float64] | None = None
    """Coordinates of a table without geometries."""
    ys: NDArray[np.float64] | None = None
    geometry: pa.Array | NDArray[np.object_] | None = None
    """WKB, or shapely's geometries."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file that is being read."""

    crs: str | None
    """WKT; None if the file has none."""
    is_pixels: bool
    batches: Iterator[Batch]
    is_text: bool = False
    """Whether its columns have no types: numbers are then known by how they look."""


def numbers_of(values: pa.Array) -> NDArray[np.float64]:
    """Return coordinates as numbers; NaN where they are none. A decimal comma is understood."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    texts = pd.Series(pc.cast(values, pa.string()).to_pandas()).str.replace(",", ".")
    return pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)


class Codes:
    """Names as they are met, each with a number: the codes of a column that comes in batches."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.parts: list[NDArray[np.int32]] = []

    def add(self, values: pa.Array) -> None:
        """Take the next values of the column."""
        encoded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(values)
        # The last is that of a null.
        codes = np.array([*(self._code(label) for label in encoded.dictionary.to_pylist()), -1], np.int32)
        indices = pc.fill_null(encoded.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
        self.parts.append(codes[indices])

    def _code(self, label: object) -> int:
        if is_missing(label):
            return -1
        if isinstance(label, list | dict | bytes):
            raise TypeError(f"it holds {label!r}, which is no name or number")
        return self.names.setdefault(text_of(label), len(self.names))

    def column(self, *, is_text: bool) -> tuple[NDArray[np.int32], list[str]]:
        """Return the codes of all values, and their names; texts that are all numbers are named as numbers."""
        codes = np.concatenate(self.parts) if self.parts else np.zeros(0, np.int32)
        names = list(self.names)
        if is_text and (numbers := _numbers(names)) is not None:
            places = {name: place for place, name in enumerate(dict.fromkeys(numbers))}
            codes, names = np.array([*(places[name] for name in numbers), -1], np.int32)[codes], list(places)
        return codes, names


def _numbers(names: list[str]) -> list[str] | None:
    """Name numbers as numbers: 07, 7.0 and 7 are one; None if there is anything else."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return None
    return [text_of(number) for number in numbers] if np.isfinite(numbers).all() else None
