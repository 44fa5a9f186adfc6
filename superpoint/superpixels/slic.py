"""SLIC on one lattice over the whole raster: superpixels whose tiles need no stitching.

Achanta et al. (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
doi:10.1109/TPAMI.2012.120: k-means in colour and place, each centre searching only around itself. What
differs makes the label of a pixel a function of a bounded neighbourhood, and follows edges better:

- Seeds stand on a lattice over the raster and a superpixel's id is its seed's place on it.
- A centre never leaves the reach of its seed: its pixels lie in its own cell and the eight around it
  (cf. Ren, Prisacariu and Reid (2015), "gSLICr", arXiv:1509.04232). An iteration carries influence two cells.
- Distances are integers over quantised bands, so no sum depends on its order, on vector width or on where the
  window starts.
- Differences between bands count more than brightness, as they do in CIELAB, for any number of bands.
- Large pieces of a cluster are superpixels of their own, so there are more where the image is busy; seeds
  therefore stand wider than the superpixels that are asked for.

What cannot be avoided: making each id one 4-connected region is in principle a global matter.
`regions.py` bounds it.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from superpoint.scaling import Scaling
from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.clustering import (
    FARTHEST,
    LANES,
    MARGIN,
    PLACE_BITS,
    SUBPIXEL,
    aim,
    make_finish,
    make_sweep,
    move_centres,
    quantise,
    start_centres,
)
from superpoint.superpixels.lattice import MAX_ID, Lattice
from superpoint.superpixels.parameters import check_counts, check_shapes, set_numbers
from superpoint.superpixels.regions import ROUNDS, Runs, number_pieces, paint_runs, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

SPREAD = 1.2  # seeds stand this many region sizes apart
SMALLEST_PIECE = 0.1  # of a region size squared: a piece as large is a superpixel of its own
SAMPLED = 5  # sweeps but the last look at every so many-th row, where cells are four times as high; odd: no bias
MAX_LEVELS = 200  # quantised values fit 8 bits
MAX_COMPACTNESS = 1e6  # beyond any use: colour has no say left, and its square must be a number
DEFAULT_HALO_CELLS = 6
CELL_BYTES = 200  # of a centre: its sums, its row of distances


@dataclass(frozen=True, kw_only=True)
class Slic:
    """Simple linear iterative clustering with seeds on a lattice over the whole raster.

    Examples
    --------
    >>> import numpy as np
    >>> from superpoint.superpixels.algorithm import Origin
    >>> image = np.zeros((1, 40, 60), np.float32)
    >>> image[:, :, 30:] = 1
    >>> labels = Slic(region_size=16)(
    ...     image, np.ones((40, 60), bool), origin=Origin(raster_shape=(40, 60)), rng=np.random.default_rng(0)
    ... )
    >>> bool(np.intersect1d(labels[:, :29], labels[:, 31:]).size)  # the image is smoothed: by a pixel
    False
    """

    name: ClassVar[str] = "slic"
    version: ClassVar[str] = "2"
    traits: ClassVar[Traits] = Traits(ids="lattice", draws=False, licence="Apache-2.0")

    region_size: float = 20.0
    """Side of a superpixel in pixels: an aerial image of R x C pixels has about `R * C / region_size**2`
    superpixels, a smoother one fewer. Seeds stand 1.2 times as far apart."""
    compactness: float = 10.0
    """Weight of place against colour, for bands scaled to 0..100: higher gives squarer superpixels that
    follow edges less. A colour difference of `compactness` percent of a band's range counts as much as the
    distance from a seed to the next."""
    chroma: float = 3.0
    """Weight of the differences between bands against brightness: 1 weighs bands as they are. Of no effect
    on one band."""
    iterations: int = 6
    """Rounds of assigning pixels and moving centres; each one costs halo, two cells of it if exact."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, compactness=0, chroma=0)  # a cell of one pixel is a pixel
        check_counts(self, iterations=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile.

        The exact halo is how far influence can travel: two cells in each iteration, and what settling the
        regions takes. The default gives up a few pixels in a million of an aerial image
        (`benchmarks/seams.py`) for a smaller read.
        """
        # A cell is at most half a seed's distance, shared among its row, wider than that distance, and a pixel.
        cell = SPREAD * self.region_size + 1
        speck = min(SMALLEST_PIECE * self.region_size * self.region_size, 3 * cell)
        exact_halo = (2 * self.iterations + 5) * cell + ROUNDS * speck + cell / 2 + 1
        default = (DEFAULT_HALO_CELLS + 1 / 2) * cell + 1
        return math.ceil(exact_halo if exact else min(default, exact_halo))

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: runs and quantised bands, more of them in an image of noise, and the centres."""
        return MemoryNeed(bytes_per_px=7 + 2.5 * n_bands + CELL_BYTES / (SPREAD * self.region_size) ** 2)

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
            Scaled to about [0, 1]; outliers are clipped.
        valid : bool array of shape (rows, cols)
            False on nodata.
        origin : Origin
            The array's place in the raster.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        uint32 array of shape (rows, cols)
            Number of the superpixel's seed in raster order, from 1; 0 on nodata. A cluster's second piece is
            numbered by as many as there are seeds beyond it, and so on.

        Raises
        ------
        ValueError
            If the shapes do not agree, or an id would not fit uint32.
        """
        as_is = Scaling(low=(0.0,) * len(image), high=(1.0,) * len(image))
        return self.from_stored(image, valid, as_is, origin=origin)

    def from_stored(
        self,
        image: NDArray[Any],
        valid: NDArray[np.bool_],
        scaling: Scaling,
        *,
        origin: Origin,
        threads: int = 1,
    ) -> NDArray[np.uint32]:
        """Superpixelize an image as it is stored, with no scaled copy; the labels are those of the scaled image.

        Parameters
        ----------
        image : array of shape (bands, rows, cols)
            Any number type.
        valid : bool array of shape (rows, cols)
            False on nodata.
        scaling : Scaling
            Of the whole raster.
        origin : Origin
            The array's place in the raster.
        threads : int
            Threads that share the work; the labels do not depend on it.

        Returns
        -------
        uint32 array of shape (rows, cols)
            See `__call__`.

        Raises
        ------
        ValueError
            If the shapes do not agree, or an id would not fit uint32.
        """
        check_shapes(image.shape, valid.shape)
        lattice = Lattice.over(origin.raster_shape, region_size=SPREAD * self.region_size)
        if len(lattice) > MAX_ID:
            raise ValueError(f"{len(lattice)} superpixels do not fit uint32; use a larger region_size")
        with ThreadPoolExecutor(threads) as pool:
            work = _Work(self, lattice, valid, origin, n_bands=len(image), threads=threads, pool=pool)
            work.quantise(image, scaling)
            return work.labels()


class _Work:
    """One call: the arrays that kernels share, and the strips of cells that threads share.

    Sums are of integers: it does not matter which thread adds what.
    """

    def __init__(
        self, slic: Slic, lattice: Lattice, valid: NDArray[np.bool_], origin: Origin, *,
        n_bands: int, threads: int, pool: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        n_rows, n_cols = valid.shape
        self.slic, self.lattice, self.valid, self.origin, self.pool = slic, lattice, valid, origin, pool
        # The cells at a window's edges may begin before it and end after it.
        self.row_edges = (lattice.row_edges(origin.row, origin.row + n_rows) - origin.row).clip(0, n_rows)
        self.col_edges = (lattice.col_edges(origin.col, origin.col + n_cols) - origin.col).clip(0, n_cols)
        self.n_cell_rows, self.n_cell_cols = len(self.row_edges) - 1, len(self.col_edges) - 1
        self.strips = _strips(self.n_cell_rows, threads)
        spacing = min(SPREAD * slic.region_size, max(origin.raster_shape))
        width = LANES * math.ceil((2 * math.ceil(spacing) + 1) / LANES)
        self.levels, self.weight = _units(n_bands, slic.compactness, spacing, width)
        self.n_padded = max(n_cols, width)
        self.quantised = np.zeros((n_bands, n_rows, self.n_padded), np.uint8)
        self.full = np.empty(n_rows, np.bool_)
        n_cells = self.n_cell_rows * self.n_cell_cols
        self.centres = np.zeros((n_cells, 2 + n_bands), np.int32)
        self.alive = np.zeros(n_cells, np.bool_)
        self.starts = np.empty(n_cells, np.int32)
        self.across = np.empty((n_cells, width), np.uint16)
        step = max(1, min(SAMPLED, (lattice.min_cell // 4 - 1) // 2 * 2 + 1))  # odd
        self.sampling = (step, (step // 2 - origin.row) % step)

    def quantise(self, image: NDArray[Any], scaling: Scaling) -> None:
        """Fill `quantised` from the image."""
        low, span = scaling.low_and_span()
        chroma = self.slic.chroma if len(image) > 1 else 1.0

        def one(rows: tuple[int, int]) -> None:
            quantise(image, self.valid, low, span, chroma, self.levels, rows, self.quantised, self.full)

        self._share_rows(one)

    def labels(self) -> NDArray[np.uint32]:
        """Cluster, settle what is in pieces, and paint the labels."""
        self._add_up(start_centres, self.col_edges, ())
        for _ in range(self.slic.iterations - 1):
            self._aim()
            sweep = make_sweep(len(self.quantised))
            self._add_up(sweep, self.n_cell_cols, (self.centres, self.alive, self.starts, self.across, self.weight))
        runs = self._finish()
        smallest = SMALLEST_PIECE * self.slic.region_size * self.slic.region_size
        pieces, clusters, into = settle(
            runs, self.quantised, self.centres[:, 2:].copy(), self.alive, smallest, self._share_rows
        )
        ids = number_pieces(clusters, into, self._seeds(), len(self.lattice))
        labels = np.empty(self.valid.shape, np.uint32)
        self._share_rows(lambda rows: paint_runs(runs, pieces, ids, rows, labels))
        return labels

    def _add_up(self, kernel: Callable[..., None], columns: object, centres: tuple[object, ...]) -> None:
        """Add up the pixels of each cell and move the centres."""

        def one(strip: tuple[int, int]) -> NDArray[np.int64]:
            sums = np.zeros((len(self.centres), self.centres.shape[1] + 1), np.int64)
            owners = (self._owners(),) if centres else ()
            kernel(
                self.quantised, self.valid, self.full, self.row_edges, columns, strip, self.sampling,
                *centres, *owners, sums,
            )  # fmt: skip
            return sums

        move_centres(np.sum(self._share(one), axis=0), self.centres, self.alive)

    def _aim(self) -> None:
        aim(self.centres, self.col_edges, self.weight, self.n_padded, self.starts, self.across)

    def _finish(self) -> Runs:
        """Give every pixel to its cell, as runs."""
        self._aim()
        finish = make_finish(len(self.quantised))
        parts = self._share(
            lambda strip: finish(
                self.quantised, self.valid, self.full, self.row_edges, self.col_edges, strip,
                self.centres, self.alive, self.starts, self.across, self.weight, self._owners(),
            )
        )  # fmt: skip
        firsts, stops, cells, row_starts = zip(*parts, strict=True)
        offsets = np.cumsum([0, *(len(part) for part in firsts)])
        starts = [part[:-1] + offset for part, offset in zip(row_starts, offsets, strict=False)]
        return Runs(
            firsts=np.concatenate(firsts),
            stops=np.concatenate(stops),
            cells=np.concatenate(cells),
            row_starts=np.concatenate([*starts, offsets[-1:]]),
        )

    def _owners(self) -> NDArray[np.uint16] | NDArray[np.uint32]:
        """Return a row of owners' numbers, in as few bits as will do."""
        return np.empty(self.n_padded, np.uint16 if 3 * self.n_cell_cols + 1 < 2**16 else np.uint32)

    def _seeds(self) -> NDArray[np.int64]:
        """Return the raster-wide id of each cell of the window."""
        rows = int(self.lattice.rows_of(np.array(self.origin.row))) + np.arange(self.n_cell_rows)[:, None]
        cols = int(self.lattice.cols_of(np.array(self.origin.col))) + np.arange(self.n_cell_cols)
        seeds: NDArray[np.int64] = (rows * self.lattice.n_cols + cols + 1).ravel()
        return seeds

    def _share_rows[Result](self, work: Callable[[tuple[int, int]], Result]) -> list[Result]:
        """Do the work on the rows of pixels of every strip."""
        return self._share(lambda strip: work((int(self.row_edges[strip[0]]), int(self.row_edges[strip[1]]))))

    def _share[Result](self, work: Callable[[tuple[int, int]], Result]) -> list[Result]:
        """Do the work on every strip of cells, each in its thread."""
        return [work(self.strips[0])] if len(self.strips) == 1 else list(self.pool.map(work, self.strips))


def _strips(n_cell_rows: int, threads: int) -> list[tuple[int, int]]:
    """Cut the rows of cells into as many strips as there are threads."""
    n_strips = min(threads, n_cell_rows)
    return [(n_cell_rows * i // n_strips, n_cell_rows * (i + 1) // n_strips) for i in range(n_strips)]


def _units(n_bands: int, compactness: float, spacing: float, width: int) -> tuple[int, int]:
    """Return the levels of a band's range, and the weight of a squared distance in sixteenths of a pixel, times 2**24.

    As fine as keeps the farthest pixel of a search within 15 bits.
    """
    farthest = (width // 2 * SUBPIXEL) ** 2
    for levels in range(MAX_LEVELS, 0, -1):
        colour_unit = min(compactness, MAX_COMPACTNESS) / 100 * levels
        weight = round(n_bands * (colour_unit / spacing) ** 2 * 2**PLACE_BITS / SUBPIXEL**2)
        left = FARTHEST - 1 - n_bands * math.ceil((1 + 2 * MARGIN) * levels) ** 2
        if 2 * (farthest * weight >> PLACE_BITS) <= left:
            return levels, weight
    # Compact beyond any use, or of thousands of bands: what is nearest in place is.
    return 1, max(left, 0) // 2 * 2**PLACE_BITS // farthest
