"""What models say of a raster: class probabilities, a band a class, or class maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.masks import Mask, open_mask
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.points.uncertainty import class_entropy, likeliest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.cache.rasters import Raster
    from superpoint.classes import ClassTable
    from superpoint.tiles import Window

FEWEST_CLASSES = 2


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one model says."""

    source: Raster | Mask
    """Class probabilities, or a class map."""

    @property
    def path(self) -> str:
        """Where it is."""
        return self.source.path

    @property
    def georeference(self) -> Georeference:
        """Its grid."""
        return self.source.georeference

    @property
    def n_classes(self) -> int:
        """Classes that it tells apart."""
        return len(self.source.classes if isinstance(self.source, Mask) else self.source.bands)

    def entropy(self, window: Window) -> NDArray[np.float32]:
        """Return the entropy of each pixel's class probabilities; NaN without data.

        Raises
        ------
        InputError
            If it is a class map, or holds no probabilities.
        """
        if isinstance(self.source, Mask):
            raise InputError(
                f"{self.path} is a class map; give the class probabilities of the model (float, a band a class), or "
                f"several class maps to --strategy disagreement"
            )
        return self._look(class_entropy, self.source, window)

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Return the likeliest class of each pixel; 255 without data.

        Raises
        ------
        InputError
            If it holds neither classes nor probabilities.
        """
        if isinstance(self.source, Mask):
            return self.source.read(window)
        return self._look(likeliest, self.source, window)

    def _look[Result](self, look: Callable[[NDArray[np.float32]], Result], source: Raster, window: Window) -> Result:
        values, valid = source.read(window)
        values[:, ~valid] = np.nan
        try:
            return look(values)
        except InputError as error:
            raise InputError(f"{self.path}, counted from row {window.row} and col {window.col}: {error}") from error


def open_predictions(paths: Sequence[Path], classes: ClassTable | None, *, on: StoredLabels) -> list[Prediction]:
    """Open what several models say of one raster.

    Parameters
    ----------
    paths : sequence of Path
        Rasters of floats with a band for each class, or class maps.
    classes : ClassTable, optional
        Needed for class maps that carry none.
    on : StoredLabels
        The label map whose superpixels are looked at.

    Raises
    ------
    InputError
        If one cannot be read, lies on another grid, or has other classes or another number of bands.
    """
    predictions = [Prediction(source=_open(path, classes)) for path in paths]
    for one in predictions:
        refuse_other_grid(one.path, one.georeference, on.path, on.georeference)
        if classes is not None and one.n_classes != len(classes):
            raise InputError(f"{one.path} has {one.n_classes} bands; the class table has {len(classes)} classes")
        _refuse_other_classes(one, predictions[0])
    return predictions


def _open(path: Path, classes: ClassTable | None) -> Raster | Mask:
    if path.suffix == ".zarr":
        return open_mask(path, classes)
    raster = open_raster(path)
    if np.dtype(raster.dtype).kind != "f":
        return open_mask(path, classes)
    if len(raster.bands) < FEWEST_CLASSES:
        raise InputError(f"{path} has one band of {raster.dtype}; class probabilities have a band for each class")
    return raster


def _refuse_other_classes(one: Prediction, first: Prediction) -> None:
    if one.n_classes != first.n_classes:
        raise InputError(
            f"{one.path} tells {one.n_classes} classes apart and {first.path} {first.n_classes}; they must be of the "
            f"same classes"
        )
    if not (isinstance(one.source, Mask) and isinstance(first.source, Mask)):
        return
    if one.source.classes.names != first.source.classes.names:
        raise InputError(f"{one.path} has other classes than {first.path}; give their table with --classes")
