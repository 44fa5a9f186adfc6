"""One class for each superpixel: that of the highest mean probability over its pixels, wherever blocks cut it.

Probabilities are added up as whole numbers of 2^-24, which double precision adds without loss up to 2^29 pixels of one
superpixel: the sums, and so the classes, depend neither on the blocks nor on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE = 2.0**-24
"""The unit of the sums."""
MERGE_ROWS = 1_000_000  # superpixels of blocks that are kept apart before they are added up


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionClasses:
    """The class of each of some superpixels."""

    ids: NDArray[np.uint32]
    """Ascending, without 0."""
    classes: NDArray[np.uint8]
    """One for each of them."""

    def paint(self, ids: NDArray[np.uint32], own: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give every pixel of a block the class of its superpixel.

        Parameters
        ----------
        ids : uint32 array of shape (rows, cols)
            Superpixels; 0 belongs to none.
        own : uint8 array of shape (rows, cols)
            What pixels keep that belong to none of these superpixels.

        Returns
        -------
        uint8 array of shape (rows, cols)
        """
        if not len(self.ids):
            return own.copy()
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[places] == ids, self.classes[places], own)


class ClassSums:
    """Sums of class probabilities over the pixels of each superpixel, taken in block by block.

    Memory is 8 bytes for each superpixel and class and 4 for its id, those of up to a million rows twice.

    Examples
    --------
    >>> sums = ClassSums(n_classes=2)
    >>> sums.add(np.array([[7, 7, 0]], np.uint32), np.array([[[0.9, 0.2, 0.1]], [[0.1, 0.8, 0.9]]], np.float32))
    >>> sums.classes().paint(np.array([[7, 7, 0]], np.uint32), np.array([[0, 1, 1]], np.uint8))
    array([[0, 0, 1]], dtype=uint8)
    """

    def __init__(self, *, n_classes: int) -> None:
        self._n_classes = n_classes
        self._ids: list[NDArray[np.uint32]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._n_rows = 0

    def add(self, ids: NDArray[np.uint32], probabilities: NDArray[np.float32]) -> None:
        """Take in a block.

        Parameters
        ----------
        ids : uint32 array of shape (rows, cols)
            Superpixels; 0 belongs to none.
        probabilities : float32 array of shape (classes, rows, cols)
            Of each class.
        """
        found, places = np.unique(ids, return_inverse=True)
        whole = np.rint(probabilities.reshape(self._n_classes, -1) / np.float32(SHARE))
        sums = np.stack([np.bincount(places.ravel(), weights=row, minlength=len(found)) for row in whole], axis=1)
        self._ids.append(found)
        self._sums.append(sums)
        self._n_rows += len(found)
        if self._n_rows > MERGE_ROWS + len(self._ids[0]):
            self._merge()

    def classes(self) -> RegionClasses:
        """Return the class of each superpixel that was seen: that of the largest sum, of equals the first."""
        self._merge()
        if not self._ids:
            return RegionClasses(ids=np.zeros(0, np.uint32), classes=np.zeros(0, np.uint8))
        is_one = self._ids[0] != 0
        return RegionClasses(ids=self._ids[0][is_one], classes=self._sums[0][is_one].argmax(axis=1).astype(np.uint8))

    def _merge(self) -> None:
        if len(self._ids) < 2:  # noqa: PLR2004  # nothing to merge
            return
        ids, places = np.unique(np.concatenate(self._ids), return_inverse=True)
        rows = np.concatenate(self._sums)
        sums = np.stack([np.bincount(places, weights=column, minlength=len(ids)) for column in rows.T], axis=1)
        self._ids, self._sums, self._n_rows = [ids], [sums], len(ids)
