"""A table of query points as they were read, by columns: one or several files put together, in order.

A *row* is a row of a file, and what the account is kept of; a *place* is where it votes. A row of points has one
place, one of a multipoint or of a sampled polygon several, one that could not be read has none that is a number, and
one whose polygon is burned in has a geometry instead. Ten million points of one place each take 20 bytes each, 24 with
annotators: coordinates and the code of the class; what is the same for a whole file is kept once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import text_of
from superpoint.points.query import table_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable
    from superpoint.points.contradictions import Contradiction

PIXELS = -1
"""The system of places that are pixel columns and rows."""
NO_SYSTEM = -2
"""The system of world coordinates of a file without a CRS."""


@dataclass(frozen=True, kw_only=True)
class OtherColumn:
    """A column of a file that nobody asked for."""

    file: str
    name: str
    values: tuple[str, ...]
    """What it says in the first rows, each once."""


@dataclass(frozen=True, kw_only=True)
class PointFile:
    """A file of a table."""

    name: str
    """Path as it was given."""
    n_rows: int
    system: int
    """Place in the table's `systems`; or `PIXELS`, `NO_SYSTEM`."""


def _no_geometries() -> NDArray[np.object_]:
    return np.zeros(0, object)


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class PointTable:
    """The rows of one or several files, in order."""

    files: tuple[PointFile, ...]
    systems: tuple[str, ...]
    """CRS of files, as WKT; each once."""
    xs: NDArray[np.float64]
    """x, longitude or easting of each place, of shape (places,); the column where the file is of pixels."""
    ys: NDArray[np.float64]
    """y, latitude or northing of each place; the row where the file is of pixels."""
    labels: NDArray[np.int32]
    """Class of each row, by its place in `names`, of shape (rows,); -1 where it is missing."""
    names: tuple[str, ...]
    """The classes found, as written, each once."""
    owners: NDArray[np.int64] | None = None
    """Row of each place, ascending; None where row i has place i and no other."""
    annotators: NDArray[np.int32] | None = None
    """Annotator of each row, by place in `annotator_names`; -1 where missing."""
    annotator_names: tuple[str, ...] = ()
    rasters: NDArray[np.int32] | None = None
    """Raster that each row names, by place in `raster_names`; -1 where missing."""
    raster_names: tuple[str, ...] = ()
    geometries: NDArray[np.object_] = field(default_factory=_no_geometries)
    """Polygons and lines to be burned in (shapely), in the coordinates of their files."""
    geometry_rows: NDArray[np.int64] = field(default_factory=_no_rows)
    """Row of each geometry, ascending."""
    contradictions: tuple[Contradiction, ...] = ()
    """Where the files' attribute tables contradict themselves."""
    others: tuple[OtherColumn, ...] = ()
    """Further columns of whole numbers or text."""

    def __post_init__(self) -> None:
        n_rows = sum(file.n_rows for file in self.files)
        of_rows = {"labels": self.labels, "annotators": self.annotators, "rasters": self.rasters}
        of_places = {"ys": self.ys, "owners": self.labels if self.owners is None else self.owners}
        for columns, wanted in ((of_rows, n_rows), (of_places, len(self.xs))):
            for name, column in columns.items():
                if column is not None and len(column) != wanted:
                    raise ValueError(f"{len(column)} {name} where there must be {wanted}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """Memory of the columns, without geometries."""
        columns = (self.xs, self.ys, self.labels, self.owners, self.annotators, self.rasters, self.geometry_rows)
        return sum(column.nbytes for column in columns if column is not None)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of each file, and at the end the number of all rows."""
        return np.cumsum([0, *(file.n_rows for file in self.files)], dtype=np.int64)

    @cached_property
    def place_starts(self) -> NDArray[np.int64]:
        """First place of each file, and at the end the number of all places."""
        return self.starts if self.owners is None else np.searchsorted(self.owners, self.starts)

    def file_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """Return the file of each of some rows, as a place in `files`, and its row in it, from 0."""
        files = np.searchsorted(self.starts, rows, side="right") - 1
        return files.astype(np.int16), rows - self.starts[files]

    def rows_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each of some places."""
        return places if self.owners is None else self.owners[places]

    def has_place(self) -> NDArray[np.bool_]:
        """Tell which rows have a place that is a number, or a geometry."""
        placed = np.isfinite(self.xs) & np.isfinite(self.ys)
        found = placed if self.owners is None else np.zeros(len(self), bool)
        if self.owners is not None:
            found[self.owners[placed]] = True
        found[self.geometry_rows] = True
        return found

    def first_places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first place of each of some rows; -1 where it has none."""
        if self.owners is None:
            return rows
        if not len(self.owners):
            return np.full(len(rows), -1)
        places = np.minimum(np.searchsorted(self.owners, rows), len(self.owners) - 1)
        return np.where(self.owners[places] == rows, places, -1)

    def class_table(self) -> ClassTable:
        """Make a class table of the classes found: numbers in their order, with their codes; names sorted.

        Raises
        ------
        InputError
            If no row has a class.
        """
        numbers = [float(name) for name in self.names if re.fullmatch(r"-?\d+(\.\d+)?", name)]
        same = [text_of(number) for number in numbers] == list(self.names)
        return table_of(numbers if same else self.names)
