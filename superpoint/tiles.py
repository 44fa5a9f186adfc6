"""Arithmetic of windows and tiles: what is read, what is written, who owns which pixel.

Everything here is integers. A *tile* is the unit of work and of writing; its *core* is what it owns, and the
cores partition the raster. What it reads is the core grown by the *halo* and clipped to the raster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of pixels in raster coordinates.

    Examples
    --------
    >>> Window(row=2, col=3, n_rows=4, n_cols=5).slices
    (slice(2, 6, None), slice(3, 8, None))
    """

    row: int
    """First row, pixels from the top edge of the raster."""
    col: int
    """First column, pixels from the left edge of the raster."""
    n_rows: int
    """Height in pixels, at least 1."""
    n_cols: int
    """Width in pixels, at least 1."""

    def __post_init__(self) -> None:
        if self.n_rows < 1 or self.n_cols < 1:
            raise ValueError(f"a window has at least one pixel, got {self.n_rows} x {self.n_cols}")

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)` of the window."""
        return self.n_rows, self.n_cols

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as a NumPy index `(rows, cols)`."""
        return slice(self.row, self.row + self.n_rows), slice(self.col, self.col + self.n_cols)

    def grown(self, margin: int, shape: tuple[int, int]) -> Window:
        """Return the window with `margin` pixels more on each side, clipped to a raster of `shape`."""
        top, left = max(0, self.row - margin), max(0, self.col - margin)
        bottom = min(shape[0], self.row + self.n_rows + margin)
        right = min(shape[1], self.col + self.n_cols + margin)
        return Window(row=top, col=left, n_rows=bottom - top, n_cols=right - left)

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Return the NumPy index that cuts this window out of an array read for `outer`."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.n_rows), slice(col, col + self.n_cols)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One unit of work: the pixels it owns and the pixels it reads to know them."""

    index: tuple[int, int]
    """`(row, col)` of the tile in the grid of tiles."""
    core: Window
    """What the tile owns and writes."""
    read: Window
    """The core and its halo, clipped to the raster."""

    @property
    def name(self) -> str:
        """The tile's name in ledgers and messages, `row.col`."""
        return f"{self.index[0]}.{self.index[1]}"


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """The partition of a raster into tiles, in raster order.

    Examples
    --------
    >>> grid = TileGrid(shape=(700, 512), size=512, halo=20)
    >>> [tile.core.shape for tile in grid], [tile.read.shape for tile in grid]
    ([(512, 512), (188, 512)], [(532, 512), (208, 512)])
    """

    shape: tuple[int, int]
    """`(rows, cols)` of the raster."""
    size: int
    """Side of a tile in pixels; the last row and column of tiles may be smaller."""
    halo: int = 0
    """Pixels read around a tile."""

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"a raster has at least one pixel, got shape {self.shape}")
        if self.size < 1:
            raise ValueError(f"tile size is at least 1 pixel, got {self.size}")
        if self.halo < 0:
            raise ValueError(f"halo is at least 0 pixels, got {self.halo}")

    @property
    def n_tiles(self) -> tuple[int, int]:
        """`(rows, cols)` of the grid of tiles."""
        return math.ceil(self.shape[0] / self.size), math.ceil(self.shape[1] / self.size)

    def __len__(self) -> int:
        return math.prod(self.n_tiles)

    def __iter__(self) -> Iterator[Tile]:
        return self.in_order(0)

    def in_order(self, turn: int) -> Iterator[Tile]:
        """Yield all tiles in an order of their own for each turn: 0 is raster order, 1 backwards, others shuffled."""
        n_tile_cols = self.n_tiles[1]
        indices: Iterable[int] = range(len(self))
        if turn == 1:
            indices = reversed(range(len(self)))
        elif turn > 1:
            indices = np.random.default_rng(turn).permutation(len(self)).tolist()
        for index in indices:
            yield self.tile(*divmod(index, n_tile_cols))

    def named(self, name: str) -> Tile:
        """Return the tile of a name."""
        row, col = name.split(".")
        return self.tile(int(row), int(col))

    def split(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Iterator[tuple[Tile, NDArray[np.int64]]]:
        """Yield each tile that owns any of some pixels, in raster order, and which of them.

        Parameters
        ----------
        rows, cols : int64 array of shape (pixels,)
            Pixels inside the raster.

        Yields
        ------
        tile : Tile
            One that owns some.
        places : int64 array of shape (own,)
            Theirs among the pixels, ascending.

        Examples
        --------
        >>> grid = TileGrid(shape=(20, 20), size=10)
        >>> [(tile.name, places.tolist()) for tile, places in grid.split(np.array([3, 15, 9]), np.array([12, 0, 10]))]
        [('0.1', [0, 2]), ('1.0', [1])]
        """
        numbers = rows // self.size * self.n_tiles[1] + cols // self.size
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        # Split at the first start as well, so that no pixel at all gives no part.
        for number, places in zip(found.tolist(), np.split(order, starts)[1:], strict=True):
            yield self.tile(*divmod(number, self.n_tiles[1])), places

    def tile(self, tile_row: int, tile_col: int) -> Tile:
        """Return the tile at `(tile_row, tile_col)` of the grid."""
        row, col = tile_row * self.size, tile_col * self.size
        core = Window(
            row=row,
            col=col,
            n_rows=min(self.size, self.shape[0] - row),
            n_cols=min(self.size, self.shape[1] - col),
        )
        return Tile(index=(tile_row, tile_col), core=core, read=core.grown(self.halo, self.shape))
