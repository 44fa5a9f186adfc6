"""A hierarchy of superpixels: the order in which pixels merge. Every number of superpixels is a cut of it.

The merges are found once; a cut is a prefix of their list, replayed in one pass over the raster. So cuts are
nested: a superpixel of a coarser cut is made of whole ones of any finer cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.superpixels.affinity import entropy_gains
from superpoint.superpixels.boruvka import MAX_PIXELS, merge_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """The merges of a raster's pixels, in order.

    Examples
    --------
    >>> hierarchy = Hierarchy(
    ...     absorbed=np.array([3, 1], np.uint32), into=np.array([2, 0], np.uint32), valid=np.ones((1, 4), bool)
    ... )
    >>> hierarchy.cut(n_segments=3).tolist(), hierarchy.cut(n_segments=2).tolist()
    ([[1, 2, 3, 3]], [[1, 1, 2, 2]])
    """

    absorbed: NDArray[np.uint32]
    """The superpixel that ends with each merge, named by its smallest pixel in raster order."""
    into: NDArray[np.uint32]
    """The superpixel that it becomes part of, named likewise."""
    valid: NDArray[np.bool_]
    """False on nodata, `(rows, cols)`."""

    def __post_init__(self) -> None:
        if self.absorbed.shape != self.into.shape or self.absorbed.ndim != 1 or self.valid.ndim != 2:  # noqa: PLR2004  # (row, col)
            raise ValueError(
                f"a hierarchy has as many absorbed as into, and a mask of (rows, cols); "
                f"got {self.absorbed.shape}, {self.into.shape} and {self.valid.shape}"
            )
        if len(self.absorbed) > max(0, self.n_pixels - 1):
            raise ValueError(f"{self.n_pixels} valid pixels cannot merge {len(self.absorbed)} times")

    @property
    def n_pixels(self) -> int:
        """Valid pixels: the most superpixels a cut can have."""
        return int(np.count_nonzero(self.valid))

    @property
    def n_islands(self) -> int:
        """Pieces that nodata holds apart: the fewest superpixels a cut can have."""
        return self.n_pixels - len(self.absorbed)

    def n_superpixels(self, *, n_segments: int | None = None, region_size: float | None = None) -> int:
        """Return how many superpixels a cut has.

        Parameters
        ----------
        n_segments : int, optional
            That many, within what there can be: at least one for each island, at most one for each valid pixel.
        region_size : float, optional
            Instead, one for each `region_size**2` valid pixels.

        Raises
        ------
        ValueError
            If not exactly one of the two is given, or it is not positive.
        """
        if (n_segments is None) == (region_size is None):
            raise ValueError("give n_segments or region_size, one of the two")
        if n_segments is None and region_size is not None:
            if not region_size > 0:
                raise ValueError(f"region_size must be more than 0 pixels, got {region_size}")
            n_segments = max(1, round(self.n_pixels / region_size**2))
        if n_segments is None or n_segments < 1:
            raise ValueError(f"n_segments must be at least 1, got {n_segments}")
        return min(max(n_segments, self.n_islands), self.n_pixels)

    def cut(self, *, n_segments: int | None = None, region_size: float | None = None) -> NDArray[np.uint32]:
        """Return the label map of so many superpixels.

        Parameters
        ----------
        n_segments : int, optional
            Number of superpixels, among valid pixels; see `n_superpixels` for its bounds.
        region_size : float, optional
            Instead, the grid step of as many superpixels: one for each `region_size**2` valid pixels.

        Returns
        -------
        uint32 array of shape (rows, cols)
            From 1 in raster order of their first pixels, 0 on nodata.

        Raises
        ------
        ValueError
            If not exactly one of the two is given, or it is not positive.
        """
        n_superpixels = self.n_superpixels(n_segments=n_segments, region_size=region_size)
        return _replay(self.absorbed, self.into, self.n_pixels - n_superpixels, self.valid)

    def stack(self, *, n_segments: Sequence[int]) -> NDArray[np.uint32]:
        """Return the label maps of several numbers of superpixels.

        Parameters
        ----------
        n_segments : sequence of int
            Number of superpixels of each level.

        Returns
        -------
        uint32 array of shape (levels, rows, cols)
            Each level as from `cut`.
        """
        levels = np.empty((len(n_segments), *self.valid.shape), np.uint32)
        for level, number in enumerate(n_segments):
            levels[level] = self.cut(n_segments=number)
        return levels


def build_hierarchy(image: NDArray[np.float32], valid: NDArray[np.bool_], weights: NDArray[np.float32]) -> Hierarchy:
    """Merge an image's pixels by hierarchical entropy rate segmentation (HERS).

    In rounds, each superpixel picks the neighbour with the best gain of entropy rate over distance in mean colour.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        Scaled to about 0..1.
    valid : bool array of shape (rows, cols)
        False on nodata.
    weights : float32 array of shape (rows, cols, 2 or 4)
        Of `affinity.py`; overwritten. With 2 the superpixels are 4-connected, with 4 they are 8-connected.

    Raises
    ------
    ValueError
        If shapes do not agree, a valid pixel is not finite, or there are more than 2**30 pixels.

    References
    ----------
    Peng, Aviles-Rivero and Schönlieb (2022), "HERS Superpixels: Deep Affinity Learning for Hierarchical Entropy
    Rate Segmentation", doi:10.1109/WACV51458.2022.00014.

    Examples
    --------
    >>> from superpoint.superpixels.affinity import gaussian_weights
    >>> image, valid = np.array([[[0, 0, 1, 1.1]]], np.float32), np.ones((1, 4), bool)
    >>> weights = gaussian_weights(image, valid, sigma=0.1, connectivity=4)
    >>> build_hierarchy(image, valid, weights).cut(n_segments=2).tolist()
    [[1, 1, 2, 2]]
    """
    if image.ndim != 3 or valid.shape != image.shape[1:] or weights.shape[:2] != valid.shape:  # noqa: PLR2004  # (band, row, col)
        raise ValueError(
            f"image {image.shape}, valid {valid.shape} and weights {weights.shape} must be (bands, rows, cols), "
            f"(rows, cols), (rows, cols, steps)"
        )
    if valid.size > MAX_PIXELS:
        raise ValueError(f"a hierarchy has at most {MAX_PIXELS} pixels, got {valid.size}; use tiles")
    colours = np.ascontiguousarray(np.moveaxis(image, 0, 2))
    if not _all_finite(colours, valid):
        raise ValueError("the image has NaN or infinite values on valid pixels; mark them as not valid")
    absorbed, into = merge_trees(entropy_gains(weights), colours, valid)
    return Hierarchy(absorbed=absorbed, into=into, valid=valid)


@njit(cache=True, nogil=True)
def _all_finite(colours: NDArray[np.float32], valid: NDArray[np.bool_]) -> bool:
    n_rows, n_cols, n_bands = colours.shape
    for row in range(n_rows):
        for col in range(n_cols):
            for band in range(n_bands):
                if valid[row, col] and not np.isfinite(colours[row, col, band]):
                    return False
    return True


@njit(cache=True, nogil=True)
def _replay(absorbed: Words, into: Words, n_merges: int, valid: NDArray[np.bool_]) -> Words:
    """Make the first merges and count off what there is in raster order."""
    n_rows, n_cols = valid.shape
    labels = np.arange(n_rows * n_cols).astype(np.uint32)
    for index in range(n_merges):
        labels[absorbed[index]] = into[index]
    n_found = 0
    for row in range(n_rows):
        for col in range(n_cols):
            pixel = row * n_cols + col
            if not valid[row, col]:
                labels[pixel] = 0
            elif labels[pixel] == pixel:
                n_found += 1
                labels[pixel] = n_found
            else:  # what a superpixel becomes part of begins before it, and has its label
                labels[pixel] = labels[labels[pixel]]
    return labels.reshape(valid.shape)
