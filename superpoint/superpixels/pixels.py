"""Every pixel a superpixel of its own: points alone, on the same way through everything else.

Votes of several points on one pixel, painting, accounts and training are then those of all other superpixels: what is
labelled is exactly the pixels that have a point, or lie in a polygon that was burned in. It is what superpixels are
to be compared with, and what makes a mask of polygons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.lattice import MAX_ID
from superpoint.superpixels.parameters import check_shapes, set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """No superpixels: each valid pixel is one, numbered over the whole raster.

    Examples
    --------
    >>> from superpoint.superpixels.algorithm import Origin
    >>> valid = np.array([[True, True, False], [True, True, True]])
    >>> labels = Pixels()(
    ...     np.zeros((1, 2, 3), np.float32), valid, origin=Origin(raster_shape=(2, 3)), rng=np.random.default_rng(0)
    ... )
    >>> labels.tolist()
    [[1, 2, 0], [4, 5, 6]]
    """

    name: ClassVar[str] = "pixels"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(ids="lattice", draws=False, licence="Apache-2.0")

    region_size: float = 1.0
    """Side of a superpixel in pixels: 1, and nothing else."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=1)
        if self.region_size > 1:
            raise ValueError(
                f"region_size must be 1, as each pixel is a superpixel of its own, got {self.region_size:g}; "
                "leave the region size and the number of superpixels out"
            )

    def halo(self, *, exact: bool = False) -> int:  # noqa: ARG002  # the contract's; both are the same
        """Return the pixels to read around a tile: none."""
        return 0

    def memory_need(self, n_bands: int) -> MemoryNeed:  # noqa: ARG002  # the contract's; the bands are not looked at
        """Return what a call takes: the labels, and a row and a column of numbers."""
        return MemoryNeed(bytes_per_px=5)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; nothing is drawn
    ) -> NDArray[np.uint32]:
        """Return the number of each pixel of an image; see `SuperpixelAlgorithm`.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            Only its shape counts.
        valid : bool array of shape (rows, cols)
            False on nodata.
        origin : Origin
            The array's place in the raster.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        uint32 array of shape (rows, cols)
            Number of the pixel in the raster, row by row from 1; 0 on nodata.

        Raises
        ------
        ValueError
            If the shapes do not agree, or the raster has more pixels than uint32 has numbers.
        """
        check_shapes(image.shape, valid.shape)
        n_rows, n_cols = origin.raster_shape
        if n_rows * n_cols > MAX_ID:
            raise ValueError(
                f"{n_rows} x {n_cols} pixels do not fit uint32, which has {MAX_ID} numbers; cut the raster into parts, "
                "or take an algorithm whose superpixels are larger than a pixel"
            )
        firsts = (origin.row + np.arange(valid.shape[0])) * n_cols + origin.col + 1
        labels = np.add.outer(firsts.astype(np.uint32), np.arange(valid.shape[1], dtype=np.uint32))
        labels *= valid
        return labels
