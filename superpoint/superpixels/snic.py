"""SNIC: superpixels grown from seeds in one pass, connected from the start.

Achanta and Suesstrunk (2017), "Superpixels and Polygons Using Simple Non-Iterative Clustering",
doi:10.1109/CVPR.2017.520: a queue holds candidates, a pixel and the superpixel beside it, by their distance in
colour and place. The nearest is taken; if its pixel is free it joins, the centroid moves, and the free pixels
around it become candidates. As published, but for three things:

- Seeds stand on the lattice over the whole raster, so tiles start from the same ones.
- Distances are integers over quantised bands, and equal ones are taken in the order they were found: the labels
  are the same everywhere.
- The queue is an array of buckets, one for all distances that agree in their first 9 binary digits: taking the
  nearest costs the same however many wait.

What cannot be avoided: a pixel's turn depends on everything nearer, so there is no exact halo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.parameters import check_shapes, joined_halo, set_numbers
from superpoint.superpixels.repair import repair_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Colours = NDArray[np.int16]
    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

MAX_COMPACTNESS = 1e6  # beyond any use: colour has no say left
_SUBPIXEL = 16  # centroids are kept in sixteenths of a pixel
_LEVELS = 512  # of a band's range
_FREE, _CLOSED = -1, -2  # pixels: without a superpixel yet; on nodata or around the image
_DROPPED_BITS = 15  # of the 23 binary digits of a float32's fraction
_N_BUCKETS = (0x7F800000 >> _DROPPED_BITS) + 1
_GROUP = 64  # buckets that are skipped together where they are empty
_EMPTY = -1
_LOWEST = 0  # the queue's lowest bucket
_N_WAITING = 1  # its candidates
_N_USED = 2  # places used
_UNUSED = 3  # a free place
_NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0))


@dataclass(frozen=True, kw_only=True)
class Snic:
    """Simple non-iterative clustering with seeds on a lattice over the whole raster.

    Examples
    --------
    >>> import numpy as np
    >>> from superpoint.superpixels.algorithm import Origin
    >>> image = np.zeros((1, 40, 60), np.float32)
    >>> image[:, :, 30:] = 1
    >>> labels = Snic(region_size=20)(
    ...     image, np.ones((40, 60), bool), origin=Origin(raster_shape=(40, 60)), rng=np.random.default_rng(0)
    ... )
    >>> labels.max(), bool(np.intersect1d(labels[:, :30], labels[:, 30:]).size)
    (np.uint32(6), False)
    """

    name: ClassVar[str] = "snic"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(draws=False, licence="Apache-2.0")

    region_size: float = 20.0
    """Grid step in pixels: a raster of R x C pixels has about `R * C / region_size**2` superpixels."""
    compactness: float = 5.0
    """Weight of place against colour: a colour difference of `compactness` percent of a band's range counts as
    much as a distance of `region_size` pixels. Higher gives squarer superpixels that follow edges less."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, compactness=0)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile.

        Raises
        ------
        ValueError
            If `exact`: a pixel's label depends on all that is nearer to any seed.
        """
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: quantised bands, and candidates as far as the queue ever grows."""
        return MemoryNeed(bytes_per_px=20 + 1.3 * n_bands + 100 / self.region_size**2)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; SNIC draws nothing
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
            Numbered from 1 by first pixel; 0 on nodata. Valid pixels that nodata cuts off from every seed are
            regions of their own.

        Raises
        ------
        ValueError
            If the shapes do not agree.
        """
        check_shapes(image.shape, valid.shape)
        valid = np.ascontiguousarray(valid)
        seeds = _place_seeds(Lattice.over(origin.raster_shape, region_size=self.region_size), origin, valid)
        colour_unit = min(self.compactness, MAX_COMPACTNESS) / 100 * _LEVELS
        weight = round(len(image) * (colour_unit / self.region_size) ** 2 * 2**16 / _SUBPIXEL**2)
        # A pixel as far as can be must have a distance in 64 bits.
        farthest = _SUBPIXEL * (sum(valid.shape) + math.ceil(self.region_size))
        weight = min(weight, 2**62 // farthest**2)
        owners = _grow(_quantise(np.ascontiguousarray(image), valid), valid, seeds, weight)
        return repair_labels(owners, valid, image)


def _place_seeds(lattice: Lattice, origin: Origin, valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the row and column of each cell's seed: its valid pixel nearest to its middle, if it has any."""
    row_edges = lattice.row_edges(origin.row, origin.row + valid.shape[0]) - origin.row
    col_edges = lattice.col_edges(origin.col, origin.col + valid.shape[1]) - origin.col
    return _nearest_valid(row_edges, col_edges, valid)


@njit(cache=True, nogil=True)
def _nearest_valid(row_edges: Longs, col_edges: Longs, valid: Mask) -> Longs:
    n_rows, n_cols = valid.shape
    seeds = np.empty(((len(row_edges) - 1) * (len(col_edges) - 1), 2), np.int64)
    count = 0
    for cell_row in range(len(row_edges) - 1):
        for cell_col in range(len(col_edges) - 1):
            middle_row = (row_edges[cell_row] + row_edges[cell_row + 1] - 1) // 2
            middle_col = (col_edges[cell_col] + col_edges[cell_col + 1] - 1) // 2
            if 0 <= middle_row < n_rows and 0 <= middle_col < n_cols and valid[middle_row, middle_col]:
                seeds[count] = middle_row, middle_col
                count += 1
                continue
            best = 2**62
            for row in range(max(row_edges[cell_row], 0), min(row_edges[cell_row + 1], n_rows)):
                for col in range(max(col_edges[cell_col], 0), min(col_edges[cell_col + 1], n_cols)):
                    distance = (row - middle_row) ** 2 + (col - middle_col) ** 2
                    if valid[row, col] and distance < best:
                        best = distance
                        seeds[count] = row, col
            count += best < 2**62
    return seeds[:count]


@njit(cache=True, nogil=True)
def _quantise(image: Floats, valid: Mask) -> Colours:
    """Return the colour of each pixel of the framed image, int16 (pixels, bands)."""
    n_bands, n_rows, n_cols = image.shape
    colours = np.zeros(((n_rows + 2) * (n_cols + 2), n_bands), np.int16)
    for row in range(n_rows):
        for col in range(n_cols):
            if valid[row, col]:
                for band in range(n_bands):
                    value = min(max(image[band, row, col], np.float32(-0.5)), np.float32(1.5))
                    colours[(row + 1) * (n_cols + 2) + col + 1, band] = np.int16(np.rint(value * np.float32(_LEVELS)))
    return colours


@njit(cache=True, nogil=True)
def _grow(colours: Colours, valid: Mask, seeds: Longs, weight: int) -> Ints:
    """Return the seed that each pixel went to, -1 where none reached it.

    Pixels are numbered within a frame one pixel wide, so that none needs to look whether it is at an edge.
    """
    n_rows, n_cols = valid.shape
    width = n_cols + 2
    framed = np.full((n_rows + 2, width), np.int32(_CLOSED), np.int32)
    framed[1:-1, 1:-1] = np.where(valid, np.int32(_FREE), np.int32(_CLOSED))
    owners = framed.ravel()
    sums = np.zeros((len(seeds), 3 + colours.shape[1]), np.int64)  # of rows, cols and bands, and the pixels' number
    centroids = np.zeros((len(seeds), 2 + colours.shape[1]), np.int32)
    # A pair of neighbours gives one candidate at most: there are two pairs a pixel. Little of it is ever touched.
    candidates = np.empty((2 * len(owners) + len(seeds), 3), np.int32)  # pixel, seed, the next one in its bucket
    buckets = np.full((_N_BUCKETS, 2), np.int32(_EMPTY), np.int32)  # first and last candidate
    group_counts = np.zeros(_N_BUCKETS // _GROUP + 1, np.int32)
    state = np.array([0, 0, 0, _EMPTY])
    for seed in range(len(seeds)):
        pixel = (seeds[seed, 0] + 1) * width + seeds[seed, 1] + 1
        _push(0, pixel, seed, candidates, buckets, group_counts, state)
    while state[_N_WAITING] > 0:
        pixel, owner = _pop(candidates, buckets, group_counts, state)
        if owners[pixel] != _FREE:
            continue
        owners[pixel] = owner
        row, col = divmod(pixel, width)
        _move(owner, row, col, colours[pixel], sums, centroids)
        for row_step, col_step in _NEIGHBOURS:
            beside = pixel + row_step * width + col_step
            if owners[beside] == _FREE:
                distance = _distance(row + row_step, col + col_step, colours[beside], centroids[owner], weight)
                _push(_bucket(distance), beside, owner, candidates, buckets, group_counts, state)
    return framed[1:-1, 1:-1].copy()


@njit(cache=True, nogil=True)
def _push(
    bucket: int, pixel: int, seed: int, candidates: Ints, buckets: Ints, group_counts: Ints, state: Longs
) -> None:
    """Put a candidate at the end of its bucket, in the place of one that was taken if there is one."""
    place = state[_UNUSED]
    if place >= 0:
        state[_UNUSED] = candidates[place, 2]
    else:
        place = state[_N_USED]
        state[_N_USED] += 1
    candidates[place, 0], candidates[place, 1], candidates[place, 2] = pixel, seed, _EMPTY
    if buckets[bucket, 0] >= 0:
        candidates[buckets[bucket, 1], 2] = place
    else:
        buckets[bucket, 0] = place
    buckets[bucket, 1] = place
    group_counts[bucket // _GROUP] += 1
    state[_N_WAITING] += 1
    state[_LOWEST] = min(state[_LOWEST], bucket)


@njit(cache=True, nogil=True)
def _pop(candidates: Ints, buckets: Ints, group_counts: Ints, state: Longs) -> tuple[int, int]:
    """Take the candidate that came first to the lowest bucket: its pixel and seed."""
    lowest = state[_LOWEST]
    while buckets[lowest, 0] < 0:
        lowest += _GROUP if lowest % _GROUP == 0 and group_counts[lowest // _GROUP] == 0 else 1
    state[_LOWEST] = lowest
    taken = buckets[lowest, 0]
    buckets[lowest, 0] = candidates[taken, 2]
    group_counts[lowest // _GROUP] -= 1
    state[_N_WAITING] -= 1
    candidates[taken, 2] = state[_UNUSED]
    state[_UNUSED] = taken
    return candidates[taken, 0], candidates[taken, 1]


@njit(cache=True, nogil=True)
def _move(seed: int, row: int, col: int, colour: Colours, sums: Longs, centroids: Ints) -> None:
    """Let a pixel join: the centroid is the rounded mean of its pixels."""
    last = sums.shape[1] - 1
    sums[seed, last] += 1
    sums[seed, 0] += row * _SUBPIXEL
    sums[seed, 1] += col * _SUBPIXEL
    for band in range(len(colour)):
        sums[seed, 2 + band] += colour[band]
    share = 1.0 / sums[seed, last]
    for axis in range(last):
        centroids[seed, axis] = np.int32(np.rint(sums[seed, axis] * share))


@njit(cache=True, nogil=True)
def _distance(row: int, col: int, colour: Colours, centroid: Ints, weight: int) -> int:
    """Return the squared distance of a pixel from a centroid, in squared levels."""
    down = np.int64(row * _SUBPIXEL - centroid[0])
    across = np.int64(col * _SUBPIXEL - centroid[1])
    total = int((down * down + across * across) * weight) >> 16
    for band in range(len(colour)):
        difference = np.int64(colour[band]) - centroid[2 + band]
        total += int(difference * difference)
    return total


@njit(cache=True, nogil=True)
def _bucket(distance: int) -> int:
    # The bits of a positive float32 grow with it: exponent and first digits number the buckets in order.
    return int(np.float32(distance).view(np.int32) >> _DROPPED_BITS)
