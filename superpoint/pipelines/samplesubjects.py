"""The masks that points are drawn from, each with its raster and label map, read in strips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.labelmaps import open_labels
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.tables import read_class_table
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.points.strategies import Strip
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.settings import SampleSettings
    from superpoint.points.strategies import SamplingStrategy

READ_PX = 2**24  # read at a time: a block of a file is decoded once, be the raster 32,768 columns wide
BLOCK_ROWS = 512  # of the blocks of most files, or a multiple
STRIP_PX = 2**21  # looked at one by one, which takes some 30 bytes each


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A mask with what belongs to it."""

    mask: Mask
    name: str
    """What the column raster calls it."""
    raster: Raster | None
    labels: StoredLabels | None

    @property
    def grid(self) -> Georeference:
        """The mask's grid; that of its raster where the mask has no CRS."""
        own = self.mask.georeference
        if own.crs is None and self.raster is not None:
            return self.raster.georeference
        return own

    @property
    def where(self) -> str:
        """Which of its pixels can be drawn, as the end of a sentence."""
        inside = [f" where {self.raster.path} has data"] if self.raster else []
        inside += [f" in a superpixel of {self.labels.path}"] if self.labels else []
        return "".join(inside)

    def strips(self) -> Iterator[Strip]:
        """Read it in strips; a pixel without data is unlabelled, whatever the mask says."""
        n_rows, n_cols = self.mask.shape
        for block in _rows_of(Window(row=0, col=0, n_rows=n_rows, n_cols=n_cols), READ_PX, BLOCK_ROWS):
            values = self.mask.read(block)
            labels = self.labels.read(block) if self.labels else None
            for part in _rows_of(block, STRIP_PX):
                rows = part.within(block)
                yield Strip(
                    row=part.row,
                    values=self._with_data(part, values[rows]),
                    labels=None if labels is None else labels[rows],
                )

    def _with_data(self, window: Window, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.raster is None or not self.raster.has_gaps:
            return values
        return np.where(self.raster.read(window)[1], values, np.uint8(IGNORE))


def open_subjects(settings: SampleSettings, strategy: SamplingStrategy) -> list[Subject]:
    """Open all masks with what belongs to them, before anything is drawn.

    Raises
    ------
    InputError
        If one cannot be used, or they do not belong together.
    """
    if strategy.strata == "superpixels" and not settings.label_map:
        raise InputError(f"strategy {strategy.name!r} needs a label map of each mask; give it with --label-map")
    if settings.label_map and strategy.strata != "superpixels":
        raise InputError(f"strategy {strategy.name!r} does not look at superpixels; leave out --label-map")
    table = read_class_table(settings.classes) if settings.classes else None
    masks = [open_mask(path, table) for path in settings.masks]
    for mask in masks[1:]:
        if mask.classes.names != masks[0].classes.names:
            raise InputError(f"{mask.path} has other classes than {masks[0].path}; give their table with --classes")
    nothing = [None] * len(masks)
    rasters: Sequence[Raster | None] = [open_raster(path) for path in settings.raster] or nothing
    label_maps: Sequence[StoredLabels | None] = [
        open_labels(settings.cache, place) for place in settings.label_map
    ] or nothing
    names = _names([str(path) for path in settings.raster or settings.masks])
    subjects = [
        Subject(mask=mask, name=name, raster=raster, labels=labels)
        for mask, name, raster, labels in zip(masks, names, rasters, label_maps, strict=True)
    ]
    for subject in subjects:
        for other in (subject.raster, subject.labels):
            if other is not None:
                refuse_other_grid(subject.mask.path, subject.mask.georeference, other.path, other.georeference)
    return subjects


def _names(paths: Sequence[str]) -> list[str]:
    """Return names without suffix, with as many folders before them as tell them apart; else the paths themselves."""
    if len(set(paths)) < len(paths):
        raise InputError(f"{max(paths, key=paths.count)} is given twice; give each mask once")
    parts = [Path(path).with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return list(paths)


def _rows_of(window: Window, n_px: int, unit: int = 1) -> Iterator[Window]:
    """Yield the full rows of a window, as many at a time as have about `n_px` pixels; in whole units if possible."""
    height = max(1, n_px // window.n_cols)
    height = height // unit * unit or height
    for row in range(0, window.n_rows, height):
        yield replace(window, row=window.row + row, n_rows=min(height, window.n_rows - row))
