"""Query points on a raster: from places and names to pixels and class values.

A point belongs to the pixel it lies in: the inverse of the raster's transform, and floor. Pixels are half-open,
so a point on the right or bottom edge of a raster lies outside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import ClassTable, text_of
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray

UNREADABLE = -1
"""The value of a point whose class is missing, listed as ignored or not in the class table."""


@dataclass(frozen=True, kw_only=True)
class QueryPoints:
    """Points on one raster's grid, in the order of their table."""

    rows: NDArray[np.int64]
    """Pixel row, from 0; may lie outside the raster."""
    cols: NDArray[np.int64]
    """Pixel column, from 0; may lie outside the raster."""
    values: NDArray[np.int16]
    """Class value; `UNREADABLE` where there is none."""
    annotators: NDArray[np.int32] | None = None
    """Who set each point, as a number; -1 where nobody is named. None: all are of one hand."""
    origins: NDArray[np.int64] | None = None
    """Row of the `PointTable` that each point is of, ascending. None: its own place."""

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.cols) == len(self.values):
            raise ValueError(f"{len(self.rows)} rows, {len(self.cols)} cols and {len(self.values)} values")
        for name, column in (("annotators", self.annotators), ("origins", self.origins)):
            if column is not None and len(column) != len(self.rows):
                raise ValueError(f"{len(self.rows)} rows and {len(column)} {name}")

    def __len__(self) -> int:
        return len(self.rows)

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Tell which points lie on a raster of `shape`."""
        return (self.rows >= 0) & (self.rows < shape[0]) & (self.cols >= 0) & (self.cols < shape[1])


def pixels_of(
    xs: NDArray[np.float64], ys: NDArray[np.float64], transform: Affine
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixel `(rows, cols)` that each place lies in.

    Parameters
    ----------
    xs, ys : float64 array of shape (points,)
        World coordinates in the raster's CRS; one that is not finite lies outside any raster.
    transform : Affine
        From (col, row) to (x, y); may be rotated.

    Examples
    --------
    >>> from affine import Affine
    >>> rows, cols = pixels_of(np.array([100.0, 109.9]), np.array([200.0, 190.1]), Affine(10, 0, 100, 0, -10, 200))
    >>> rows.tolist(), cols.tolist()
    ([0, 0], [0, 0])
    """
    a, b, c, d, e, f = transform[:6]
    with np.errstate(invalid="ignore", over="ignore"):
        # The inverse, from the raster's corner: ~transform would put places on a pixel's very edge in the one before.
        dx, dy = xs - c, ys - f
        if b == d == 0:  # most rasters: one rounding less, and fewer places go to the pixel before theirs
            return _floor(dy / e), _floor(dx / a)
        determinant = a * e - b * d
        cols, rows = (e * dx - b * dy) / determinant, (a * dy - d * dx) / determinant
    return _floor(rows), _floor(cols)


def _floor(values: NDArray[np.float64]) -> NDArray[np.int64]:
    finite = np.isfinite(values) & (np.abs(values) < 2**53)
    return np.where(finite, np.floor(np.where(finite, values, 0)), -1).astype(np.int64)


def is_missing(label: object) -> bool:
    """Tell whether a label says nothing."""
    # Dirty tables have None, NaN, pandas' NA (which answers no comparison) and blanks alike.
    return label is None or str(label).strip() in {"", "nan", "<NA>", "NaT"}


def table_of(labels: Sequence[object]) -> ClassTable:
    """Make a class table of the labels found: numbers in their order, as names and as codes; names sorted.

    Raises
    ------
    InputError
        If no label can be read.
    """
    present = {label for label in labels if not is_missing(label)}
    if not present:
        raise InputError("no point has a readable class; check the class column")
    if all(isinstance(label, int | float | np.number) and not isinstance(label, bool) for label in present):
        numbers = [text_of(number) for number in sorted(float(str(label)) for label in present)]
        return ClassTable.from_names(numbers, codes=[int(text) if text.isdecimal() else text for text in numbers])
    return ClassTable.from_names(sorted({text_of(label) for label in present}))
