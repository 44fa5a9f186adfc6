"""SLIC on one lattice over the whole raster: superpixels whose tiles need no stitching.

Achanta et al. (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
doi:10.1109/TPAMI.2012.120: k-means in colour and place, each centre searching only around itself. Three
things differ, and together make the labels of a pixel a function of a bounded neighbourhood:

- Seeds stand on a lattice over the raster and a superpixel's id is its seed's place on it.
- A centre never leaves the reach of its seed: its pixels lie in its own cell and the eight around it
  (cf. Ren, Prisacariu and Reid (2015), "gSLICr", arXiv:1509.04232). An iteration carries influence two cells.
- Distances are integers over quantised bands, so no sum depends on its order, on vector width or on where the
  window starts.

What cannot be avoided: making each id one 4-connected region is in principle a global matter.
`regions.py` bounds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from superpoint.superpixels.lattice import MAX_ID, Lattice
from superpoint.superpixels.regions import SETTLE_CELLS, connect_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Bands = NDArray[np.int16]
    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SUBPIXEL = 16  # centres are kept in sixteenths of a pixel
UNREACHED = 2**31 - 1  # the distance of a pixel that no centre has searched
FARTHEST = 2**29  # bound of each spatial term, so that a sum of three terms fits int32
MAX_COMPACTNESS = 1e6  # beyond any use: colour has no say left, and its square must be a number
DEFAULT_HALO_CELLS = 8


@dataclass(frozen=True, kw_only=True)
class Slic:
    """Simple linear iterative clustering with seeds on a lattice over the whole raster.

    Examples
    --------
    >>> import numpy as np
    >>> from superpoint.superpixels.algorithm import Origin
    >>> image = np.zeros((1, 40, 60), np.float32)
    >>> image[:, :, 30:] = 1
    >>> labels = Slic(region_size=20)(
    ...     image, np.ones((40, 60), bool), origin=Origin(raster_shape=(40, 60)), rng=np.random.default_rng(0)
    ... )
    >>> labels.max(), bool(np.intersect1d(labels[:, :30], labels[:, 30:]).size)
    (np.uint32(6), False)
    """

    name: ClassVar[str] = "slic"
    version: ClassVar[str] = "1"

    region_size: float = 20.0
    """Grid step in pixels: a raster of R x C pixels has about `R * C / region_size**2` superpixels."""
    compactness: float = 10.0
    """Weight of place against colour, for bands scaled to 0..100: higher gives squarer superpixels that
    follow edges less. A colour difference of `compactness` percent of a band's range counts as much as a
    distance of `region_size` pixels."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres; each one costs halo, two cells of it if exact."""

    def __post_init__(self) -> None:
        for name in ("region_size", "compactness"):
            if not isinstance(getattr(self, name), int | float):
                raise TypeError(f"{name} must be a number, got {getattr(self, name)!r}")
            object.__setattr__(self, name, float(getattr(self, name)))  # 10 and 10.0 are one cache key
        if not (math.isfinite(self.region_size) and self.region_size >= 2):  # noqa: PLR2004  # a cell of one pixel is a pixel
            raise ValueError(f"region_size must be at least 2 pixels, got {self.region_size}")
        if not (math.isfinite(self.compactness) and self.compactness >= 0):
            raise ValueError(f"compactness must be 0 or more, got {self.compactness}")
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise ValueError(f"iterations must be a whole number of at least 1, got {self.iterations!r}")

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile.

        The exact halo is how far influence can travel: two cells in each iteration and what settling the
        regions takes. The default gives up about one pixel in a million of an
        aerial image (`benchmarks/seams.py`) for a smaller read.
        """
        exact_cells = 2 * self.iterations + SETTLE_CELLS
        n_cells = exact_cells if exact else min(DEFAULT_HALO_CELLS, exact_cells)
        # A cell is at most half a region size, shared among its row, wider than region_size, and a pixel.
        return math.ceil(n_cells * (self.region_size + 1) + self.region_size / 2)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; SLIC draws nothing
    ) -> NDArray[np.uint32]:
        """Superpixelize an image; see `SuperpixelAlgorithm`.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            Scaled to about [0, 1]; values are clipped to [-0.5, 1.5].
        valid : bool array of shape (rows, cols)
            False on nodata.
        origin : Origin
            The array's place in the raster.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        uint32 array of shape (rows, cols)
            Seed number in raster order, from 1; 0 on nodata. A piece of valid pixels cut off by nodata from
            every seed's region is numbered beyond the seeds, by its first pixel.

        Raises
        ------
        ValueError
            If the shapes do not agree, or an id would not fit uint32.
        """
        if image.ndim != 3 or valid.shape != image.shape[1:]:  # noqa: PLR2004  # (band, row, col)
            raise ValueError(f"image {image.shape} and valid {valid.shape} must be (bands, rows, cols), (rows, cols)")
        lattice = Lattice.over(origin.raster_shape, region_size=self.region_size)
        if len(lattice) > MAX_ID:
            raise ValueError(f"{len(lattice)} superpixels do not fit uint32; use a larger region_size")
        row_edges = lattice.row_edges(origin.row, origin.row + valid.shape[0]) - origin.row
        col_edges = lattice.col_edges(origin.col, origin.col + valid.shape[1]) - origin.col
        cell_rows, cell_cols = _cells_of(row_edges, valid.shape[0]), _cells_of(col_edges, valid.shape[1])
        quantised = _quantise(image, valid, _levels(len(image)))
        cells, centres = _cluster(
            quantised, valid, row_edges, col_edges, cell_rows, cell_cols,
            self._place_weight(len(image)), math.ceil(min(self.region_size, max(origin.raster_shape))), self.iterations,
        )  # fmt: skip
        colours = centres[:, 2:]
        first_cell = (int(lattice.rows_of(np.array(origin.row))), int(lattice.cols_of(np.array(origin.col))))
        seeds = _seed_numbers(first_cell, (len(row_edges) - 1, len(col_edges) - 1), lattice.n_cols)
        return connect_regions(
            cells, quantised, colours, seeds,
            origin=origin, first_free_id=len(lattice) + 1, reach=max(1, lattice.min_cell),
        )  # fmt: skip

    def _place_weight(self, n_bands: int) -> int:
        """Return the weight of a squared distance in sixteenths of a pixel, times 2**16."""
        colour_unit = min(self.compactness, MAX_COMPACTNESS) / 100 * _levels(n_bands)
        weight = round(n_bands * (colour_unit / self.region_size) ** 2 * 2**16 / SUBPIXEL**2)
        # Any heavier, and the pixels at the edge of a centre's search would all be as far as can be.
        return min(weight, FARTHEST * 2**16 // (SUBPIXEL * (math.ceil(self.region_size) + 1)) ** 2)


def _levels(n_bands: int) -> int:
    """Return the quantisation levels of a band's range: as fine as keeps a squared distance in int32."""
    return min(512, math.isqrt(2**29 // (4 * n_bands)))


def _cells_of(edges: NDArray[np.int64], n_pixels: int) -> NDArray[np.int32]:
    """Return the cell, counted from the window's first, of each pixel row (or column) of the window."""
    return (np.searchsorted(edges, np.arange(n_pixels), side="right") - 1).astype(np.int32)


def _seed_numbers(first: tuple[int, int], n_cells: tuple[int, int], n_lattice_cols: int) -> NDArray[np.int64]:
    """Return the raster-wide id of each cell of the window, by its local number."""
    rows = first[0] + np.arange(n_cells[0])[:, None]
    cols = first[1] + np.arange(n_cells[1])[None, :]
    return (rows * n_lattice_cols + cols + 1).ravel()


@njit(cache=True, nogil=True)
def _quantise(image: Floats, valid: Mask, levels: int) -> Bands:
    n_bands, n_rows, n_cols = image.shape
    quantised = np.zeros((n_bands, n_rows, n_cols), np.int16)
    for band in range(n_bands):
        for row in range(n_rows):
            for col in range(n_cols):
                if valid[row, col]:
                    value = min(max(image[band, row, col], np.float32(-0.5)), np.float32(1.5))
                    quantised[band, row, col] = np.int16(np.rint(value * np.float32(levels)))
    return quantised


@njit(cache=True, nogil=True)
def _cluster(
    quantised: Bands,
    valid: Mask,
    row_edges: Longs,
    col_edges: Longs,
    cell_rows: Ints,
    cell_cols: Ints,
    weight: int,
    radius: int,
    iterations: int,
) -> tuple[Ints, Longs]:
    """Return the local cell number of each pixel (-1 on nodata) and the centres of the last assignment.

    Centres are int64 (cells, 2 + bands): row and column in sixteenths of a pixel, then the quantised bands.
    """
    n_bands, n_rows, n_cols = quantised.shape
    n_cell_cols = len(col_edges) - 1
    n_cells = (len(row_edges) - 1) * n_cell_cols
    cells = np.full((n_rows, n_cols), -1, np.int32)
    for row in range(n_rows):
        for col in range(n_cols):
            if valid[row, col]:
                cells[row, col] = cell_rows[row] * n_cell_cols + cell_cols[col]
    centres = np.zeros((n_cells, 2 + n_bands), np.int64)
    alive = np.zeros(n_cells, np.bool_)
    distances = np.empty((n_rows, n_cols), np.int32)
    for _ in range(iterations):
        _move_centres(quantised, cells, centres, alive)
        distances[:] = UNREACHED
        _assign(quantised, row_edges, col_edges, centres, alive, weight, radius, cells, distances, valid)
        _assign_unreached(quantised, cell_rows, cell_cols, n_cell_cols, centres, alive, weight, cells, distances, valid)
    return cells, centres


@njit(cache=True, nogil=True)
def _move_centres(quantised: Bands, cells: Ints, centres: Longs, alive: Mask) -> None:
    """Set each centre to the mean of its pixels; one without pixels stays where it was."""
    n_bands, n_rows, n_cols = quantised.shape
    sums = np.zeros(centres.shape, np.int64)
    counts = np.zeros(len(centres), np.int64)
    for row in range(n_rows):
        for col in range(n_cols):
            cell = cells[row, col]
            if cell >= 0:
                counts[cell] += 1
                sums[cell, 0] += row * SUBPIXEL
                sums[cell, 1] += col * SUBPIXEL
                for band in range(n_bands):
                    sums[cell, 2 + band] += quantised[band, row, col]
    for cell in range(len(centres)):
        count = counts[cell]
        if count > 0:
            alive[cell] = True
            for axis in range(centres.shape[1]):
                centres[cell, axis] = (2 * sums[cell, axis] + count) // (2 * count)


@njit(cache=True, nogil=True)
def _assign(
    quantised: Bands,
    row_edges: Longs,
    col_edges: Longs,
    centres: Longs,
    alive: Mask,
    weight: int,
    radius: int,
    cells: Ints,
    distances: Ints,
    valid: Mask,
) -> None:
    """Give each pixel to the nearest centre that searches it; a tie goes to the earlier seed."""
    n_bands, n_rows, n_cols = quantised.shape
    n_cell_rows, n_cell_cols = len(row_edges) - 1, len(col_edges) - 1
    across = np.empty(2 * radius + 2, np.int32)
    total = np.empty(2 * radius + 2, np.int32)
    for cell in range(len(centres)):
        if not alive[cell]:
            continue
        cell_row, cell_col = cell // n_cell_cols, cell % n_cell_cols
        centre_row, centre_col = centres[cell, 0], centres[cell, 1]
        top = max(centre_row // SUBPIXEL - radius, row_edges[max(cell_row - 1, 0)], 0)
        left = max(centre_col // SUBPIXEL - radius, col_edges[max(cell_col - 1, 0)], 0)
        bottom = min(centre_row // SUBPIXEL + radius + 1, row_edges[min(cell_row + 2, n_cell_rows)], n_rows)
        right = min(centre_col // SUBPIXEL + radius + 1, col_edges[min(cell_col + 2, n_cell_cols)], n_cols)
        width = right - left
        for col in range(width):
            across[col] = _place_term((left + col) * SUBPIXEL - centre_col, weight)
        for row in range(top, bottom):
            down = _place_term(row * SUBPIXEL - centre_row, weight)
            for col in range(width):
                total[col] = np.int32(across[col] + down)
            for band in range(n_bands):
                values = quantised[band, row, left:right]
                colour = np.int32(centres[cell, 2 + band])
                for col in range(width):
                    difference = np.int32(np.int32(values[col]) - colour)
                    total[col] = np.int32(total[col] + np.int32(difference * difference))
            nearest, owner = distances[row, left:right], cells[row, left:right]
            usable = valid[row, left:right]
            for col in range(width):
                closer = usable[col] and total[col] < nearest[col]
                nearest[col] = total[col] if closer else nearest[col]
                owner[col] = cell if closer else owner[col]


@njit(cache=True, nogil=True)
def _place_term(offset: int, weight: int) -> np.int32:
    return np.int32(min((offset * offset * weight) >> 16, FARTHEST))


@njit(cache=True, nogil=True)
def _assign_unreached(
    quantised: Bands,
    cell_rows: Ints,
    cell_cols: Ints,
    n_cell_cols: int,
    centres: Longs,
    alive: Mask,
    weight: int,
    cells: Ints,
    distances: Ints,
    valid: Mask,
) -> None:
    """Give a pixel that no centre searched to the nearest centre of the nine cells around it."""
    n_bands, n_rows, n_cols = quantised.shape
    n_cell_rows = len(centres) // n_cell_cols
    for row in range(n_rows):
        for col in range(n_cols):
            if distances[row, col] != UNREACHED or not valid[row, col]:
                continue
            home_row, home_col = cell_rows[row], cell_cols[col]
            for cell_row in range(max(home_row - 1, 0), min(home_row + 2, n_cell_rows)):
                for cell_col in range(max(home_col - 1, 0), min(home_col + 2, n_cell_cols)):
                    cell = cell_row * n_cell_cols + cell_col
                    if not alive[cell]:
                        continue
                    total = np.int64(_place_term(row * SUBPIXEL - centres[cell, 0], weight))
                    total += _place_term(col * SUBPIXEL - centres[cell, 1], weight)
                    for band in range(n_bands):
                        total += (quantised[band, row, col] - centres[cell, 2 + band]) ** 2
                    if total < distances[row, col]:
                        distances[row, col] = total
                        cells[row, col] = cell
