"""Maps with crisp edges: each superpixel takes the class that is likeliest over all its pixels, wherever blocks cut it.

A superpixel's class is known when its last block is predicted, so blocks pass twice: predicted, they are added up and
every pixel's own class is kept in a file beside the map; painted, they are read from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.cogs import write_cog
from superpoint.cache.rasters import open_dataset
from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from superpoint.cache.cogs import CogProfile
    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.inference import ClassSums
    from superpoint.tiles import Window


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What a network says of one block of a raster."""

    window: Window
    probabilities: NDArray[np.float32]
    """Of each class, (classes, rows, cols)."""
    valid: NDArray[np.bool_]
    """Where the raster has data, (rows, cols)."""

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Every pixel's own class, 255 without data, (rows, cols)."""
        return np.where(self.valid, self.probabilities.argmax(axis=0), IGNORE).astype(np.uint8)


def crisp_blocks(
    blocks: Iterator[Block], labels: StoredLabels, profile: CogProfile, folder: Path, *, n_classes: int
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Yield blocks of classes that are the same all over each superpixel.

    Pixels without data have no say and no class; a pixel that belongs to no superpixel keeps its own.

    Parameters
    ----------
    blocks : iterator of Block
        All blocks of a raster, consumed before the first one is yielded.
    labels : StoredLabels
        The superpixels, on the raster's grid.
    profile : CogProfile
        Of the map.
    folder : Path
        Where every pixel's own class is kept meanwhile.
    n_classes : int
        Number of classes.

    Yields
    ------
    window : Window
        Of each block, in their order.
    classes : uint8 array of shape (rows, cols)
        255 without data.
    """
    from superpoint.inference import ClassSums

    sums = ClassSums(n_classes=n_classes)
    windows: list[Window] = []
    with TemporaryDirectory(dir=folder, prefix=".crisp-") as scratch:
        kept = write_cog(Path(scratch) / "classes.tif", profile, _added(blocks, labels, sums, windows))
        regions = sums.classes()
        with open_dataset(str(kept)) as dataset:
            for window in windows:
                rows, cols = window.slices
                own = dataset.read(1, window=((rows.start, rows.stop), (cols.start, cols.stop)))
                yield window, regions.paint(np.where(own != IGNORE, labels.read(window), 0), own)


def _added(
    blocks: Iterator[Block], labels: StoredLabels, sums: ClassSums, windows: list[Window]
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Yield every pixel's own class, and take each block into the sums."""
    for block in blocks:
        sums.add(np.where(block.valid, labels.read(block.window), 0), block.probabilities)
        windows.append(block.window)
        yield block.window, block.classes
