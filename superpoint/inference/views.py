"""A patch seen in several ways, turned and mirrored: an image from above has no up, so all should say the same.

A *view* is one of the eight symmetries of the square. The mean over several of them evens out what a network makes of
the direction it looks in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROWS, COLS = -2, -1


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to look at a square patch; without any change, as it is."""

    transposed: bool = False
    """Rows and columns change places, before all else."""
    rows_flipped: bool = False
    """The last row comes first."""
    cols_flipped: bool = False
    """The last column comes first."""

    def see(self, images: Tensor) -> Tensor:
        """Return patches as they look in this view.

        Parameters
        ----------
        images : tensor of shape (..., size, size)
            Square patches.
        """
        return self._flipped(images.transpose(ROWS, COLS) if self.transposed else images)

    def undo(self, outputs: Tensor) -> Tensor:
        """Return what was found in this view where it belongs: the inverse of `see`, exactly."""
        flipped = self._flipped(outputs)
        return flipped.transpose(ROWS, COLS) if self.transposed else flipped

    def _flipped(self, images: Tensor) -> Tensor:
        axes = [axis for axis, flips in ((ROWS, self.rows_flipped), (COLS, self.cols_flipped)) if flips]
        return images.flip(axes) if axes else images


_MIRRORS = tuple(View(rows_flipped=rows, cols_flipped=cols) for rows, cols in product((False, True), repeat=2))
VIEWS: dict[str, tuple[View, ...]] = {
    "none": (View(),),
    "mirrors": _MIRRORS,
    "all": _MIRRORS
    + tuple(View(transposed=True, rows_flipped=v.rows_flipped, cols_flipped=v.cols_flipped) for v in _MIRRORS),
}
"""Sets of views by name: the patch as it is; its 2 mirrors and the turn by both, 4; all 8 symmetries of the square."""
