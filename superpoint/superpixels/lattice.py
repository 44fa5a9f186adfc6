"""The lattice of seeds over the whole raster: which cell a pixel is in, whatever window it is seen through.

The raster is cut into `n_rows x n_cols` cells of nearly equal size, close to `region_size` on a side. Cell
edges are `floor(i * rows / n_rows)`, integers that every tile computes alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ID = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Seeds of a whole raster, one per cell.

    Examples
    --------
    >>> lattice = Lattice.over((50, 90), region_size=20)
    >>> lattice.n_rows, lattice.n_cols, lattice.row_edges(0, 50).tolist()
    (2, 4, [0, 25, 50])
    """

    shape: tuple[int, int]
    """`(rows, cols)` of the raster."""
    n_rows: int
    """Rows of cells."""
    n_cols: int
    """Columns of cells."""

    @classmethod
    def over(cls, shape: tuple[int, int], *, region_size: float) -> Lattice:
        """Lay cells as close to `region_size` pixels as divides the raster evenly."""
        n_rows = min(shape[0], max(1, round(shape[0] / region_size)))
        n_cols = min(shape[1], max(1, round(shape[1] / region_size)))
        return cls(shape=shape, n_rows=n_rows, n_cols=n_cols)

    def __len__(self) -> int:
        return self.n_rows * self.n_cols

    @property
    def min_cell(self) -> int:
        """The shortest side of any cell in pixels."""
        return min(self.shape[0] // self.n_rows, self.shape[1] // self.n_cols)

    def rows_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cell row of each pixel row."""
        return ((rows + 1) * self.n_rows - 1) // self.shape[0]

    def cols_of(self, cols: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cell column of each pixel column."""
        return ((cols + 1) * self.n_cols - 1) // self.shape[1]

    def row_edges(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the edges of the cells that the pixel rows `first:stop` touch, in raster pixels."""
        return _edges(self.rows_of(np.array([first, stop - 1])), self.shape[0], self.n_rows)

    def col_edges(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the edges of the cells that the pixel columns `first:stop` touch, in raster pixels."""
        return _edges(self.cols_of(np.array([first, stop - 1])), self.shape[1], self.n_cols)


def _edges(cells: NDArray[np.int64], size: int, n_cells: int) -> NDArray[np.int64]:
    return np.arange(cells[0], cells[1] + 2) * size // n_cells
