"""Frames: pixels put around a window so that another package's seeds stand where ours would.

Those packages lay seeds from the corner of whatever they are given. A window is framed up to whole steps of one
grid over the raster: then neighbouring tiles start from the same seeds, and no image is too small for a package
that fails, or crashes, on one smaller than a superpixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.superpixels.adapters.colours import fill_nodata
from superpoint.superpixels.parameters import check_shapes
from superpoint.superpixels.repair import repair_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

LONGEST_STEP = 1024  # in pixels, on a raster that is narrower


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Pixels around a window, up to whole steps of a grid that starts at the raster's corner.

    Examples
    --------
    >>> from superpoint.superpixels.algorithm import Origin
    >>> frame = Frame.around((30, 50), Origin(row=25, raster_shape=(100, 100)), step=20)
    >>> frame.top, frame.bottom, frame.left, frame.right
    (5, 5, 0, 10)
    """

    step: int
    """Step of the grid in pixels."""
    top: int
    """Rows added above the window."""
    bottom: int
    """Rows added below it."""
    left: int
    """Columns added before it."""
    right: int
    """Columns added behind it."""

    @classmethod
    def around(
        cls,
        shape: tuple[int, ...],
        origin: Origin,
        *,
        step: float,
        multiple: int = 1,
        least: int = 1,
        square: bool = False,
    ) -> Frame:
        """Frame a window of `shape` (rows, cols) at `origin`.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the window.
        origin : Origin
            Its place in the raster.
        step : float
            Step of the grid; rounded, and no longer than the raster.
        multiple : int
            What the step must be a multiple of.
        least : int
            Steps that the framed window has at least, down and across.
        square : bool
            Whether it has as many steps down as across.
        """
        # No longer than the raster, nor out of all proportion to the breadth of a narrow one.
        step = min(step, max(origin.raster_shape), max(LONGEST_STEP, min(origin.raster_shape)))
        whole = max(1, round(step / multiple)) * multiple
        top, left = origin.row % whole, origin.col % whole
        n_rows = max(least, -(-(top + shape[0]) // whole))
        n_cols = max(least, -(-(left + shape[1]) // whole))
        if square:
            n_rows = n_cols = max(n_rows, n_cols)
        return cls(
            step=whole,
            top=top,
            bottom=n_rows * whole - top - shape[0],
            left=left,
            right=n_cols * whole - left - shape[1],
        )

    def put(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the image (bands, rows, cols) with its outermost pixels repeated into the frame."""
        return np.pad(image, ((0, 0), (self.top, self.bottom), (self.left, self.right)), mode="edge")

    def take_off[T: np.integer](self, labels: NDArray[T]) -> NDArray[T]:
        """Return the window's part of labels (rows, cols) of the framed image."""
        rows, cols = labels.shape
        return labels[self.top : rows - self.bottom, self.left : cols - self.right]


def superpixelize_framed(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    cluster: Callable[[NDArray[np.float32]], NDArray[np.integer]],
    *,
    frame: Frame,
    min_size: int,
) -> NDArray[np.uint32]:
    """Give another package's algorithm an image without holes in a frame, and make its ids keep the contract.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        The window.
    valid : bool array of shape (rows, cols)
        False on nodata. Where nothing is valid, nothing is called.
    cluster : callable
        From the framed image (bands, rows, cols) to ids (rows, cols), negative where there is none.
    frame : Frame
        What to put around the window.
    min_size : int
        Pixels below which a region is merged.

    Returns
    -------
    uint32 array of shape (rows, cols)
        0 exactly where not valid.

    Raises
    ------
    ValueError
        If the shapes do not agree.
    """
    check_shapes(image.shape, valid.shape)
    if not valid.any():
        return np.zeros(valid.shape, np.uint32)
    clusters = cluster(frame.put(fill_nodata(image, valid)))
    return repair_labels(frame.take_off(clusters), valid, image, min_size=min_size)
