"""Patches of labelled rasters: where they lie and which hold labels.

Patches stand on one grid over each raster; those of the last row and column are moved inward, so that all are
full size and overlap their neighbours instead of leaving the raster. Each patch still *owns* a core, and the
cores partition the raster: what must be counted once is counted there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Source(Protocol):
    """One labelled raster, read by window. With worker processes it is pickled: open files when reading."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)` of the raster."""
        ...

    def image(self, window: Window) -> NDArray[np.float32]:
        """Return the bands, float32 (bands, rows, cols), scaled, 0 on nodata."""
        ...

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Return the class values, uint8 (rows, cols), 255 where unlabelled."""
        ...


class SuperpixelSource(Source, Protocol):
    """A labelled raster with a label map."""

    def superpixels(self, window: Window) -> NDArray[np.uint32]:
        """Return the superpixel ids, uint32 (rows, cols), 0 on nodata."""
        ...


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One place in one source."""

    source: int
    """Index of the source."""
    window: Window
    """What the network sees; smaller than a patch only in a raster smaller than a patch."""
    core: Window
    """The part of the window that no other patch owns."""


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """How many pixels of each class the sources hold, and the patches that hold any."""

    counts: tuple[int, ...]
    """Pixels of each class, each pixel counted once."""
    patches: tuple[Patch, ...]
    """Those with at least one labelled pixel in their window, by source, row and column."""
    by_patch: NDArray[np.int64] = field(compare=False)
    """Pixels of each class in the window of each of them, int64 (patches, classes)."""
    digest: str
    """Digest of all labels, those of a core at a time."""

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Share of each class among the labelled pixels, float64 of shape (classes,); sums to 1.

        Raises
        ------
        InputError
            If nothing is labelled.
        """
        counts = np.array(self.counts, np.float64)
        if not counts.any():
            raise InputError("no pixel is labelled, so there is nothing to train on")
        return counts / counts.sum()


def lattice(length: int, size: int, step: int) -> list[int]:
    """Return where patches of `size` pixels start along `length` pixels, `step` apart.

    The last one is moved inward to end where the raster ends.

    Examples
    --------
    >>> lattice(700, 256, 256), lattice(512, 256, 192), lattice(100, 256, 256)
    ([0, 256, 444], [0, 192, 256], [0])
    """
    return [*range(0, length - size, step), max(0, length - size)]


def patch_windows(shape: tuple[int, int], patch_size: int) -> list[Window]:
    """Return the windows of the patches that cover a raster, in raster order.

    Parameters
    ----------
    shape : tuple of int
        `(rows, cols)` of the raster.
    patch_size : int
        Side of a patch in pixels. A raster smaller than that in one direction has one window of its own size
        there, to be padded.
    """
    n_rows, n_cols = (min(length, patch_size) for length in shape)
    rows, cols = (lattice(length, patch_size, patch_size) for length in shape)
    return [Window(row=row, col=col, n_rows=n_rows, n_cols=n_cols) for row in rows for col in cols]


def count_labels(sources: Sequence[Source], *, n_classes: int, patch_size: int) -> LabelCounts:
    """Read all labels once: count the classes and list the patches that hold any.

    Parameters
    ----------
    sources : sequence of Source
        Labelled rasters.
    n_classes : int
        Number of classes.
    patch_size : int
        Side of a patch in pixels.

    Raises
    ------
    InputError
        If a label is neither a class nor 255.
    """
    counts = np.zeros(n_classes, np.int64)
    patches, by_patch, state = [], [], hashlib.blake2b(digest_size=16)
    for index, source in enumerate(sources):
        cores = TileGrid(shape=source.shape, size=patch_size)
        for window, tile in zip(patch_windows(source.shape, patch_size), cores, strict=True):
            labels = source.labels(window)  # (rows, cols)
            core = labels[tile.core.within(window)]
            state.update(core.tobytes())
            owned = np.bincount(core.ravel(), minlength=IGNORE + 1)
            _check_values(owned, n_classes, index, window)
            counts += owned[:n_classes]
            if (labels != IGNORE).any():
                patches.append(Patch(source=index, window=window, core=tile.core))
                by_patch.append(np.bincount(labels.ravel(), minlength=IGNORE + 1)[:n_classes])
    return LabelCounts(
        counts=tuple(counts.tolist()),
        patches=tuple(patches),
        by_patch=np.array(by_patch, np.int64).reshape(len(patches), n_classes),
        digest=state.hexdigest(),
    )


def _check_values(counts: NDArray[np.intp], n_classes: int, index: int, window: Window) -> None:
    unknown = np.flatnonzero(counts[n_classes:IGNORE])
    if unknown.size:
        raise InputError(
            f"label value {n_classes + unknown[0]} in source {index}, window at row {window.row}, col "
            f"{window.col}; classes run from 0 to {n_classes - 1}, unlabelled is {IGNORE}"
        )


def padded(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Mirror an image at its last row and column until it is `size` pixels high and wide.

    Parameters
    ----------
    array : float32 array of shape (bands, rows, cols)
        The image; returned as it is where it is large enough.
    size : int
        Rows and columns of the result, at least.
    """
    missing = [max(0, size - length) for length in array.shape[1:]]
    return np.pad(array, [(0, 0), *((0, n) for n in missing)], mode="reflect") if any(missing) else array
