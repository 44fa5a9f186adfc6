"""Maps against the truth: one confusion matrix over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.masks import open_mask
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from superpoint.cache.masks import Mask
    from superpoint.pipelines.settings import EvaluateSettings

BLOCK = 2048  # side of the blocks compared at a time, pixels


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well maps agree with the truth, over all their pixels together."""

    maps: list[str]
    miou: float | None
    """Mean IoU of the classes that are in the truth or the maps."""
    pixel_accuracy: float | None
    n_pixels: int
    """Pixels that the truth labels."""
    classes: dict[str, dict[str, float | None]]
    """`iou`, `precision`, `recall`, `f1` and true `n_pixels` of each class, by name; None for a score of nothing."""
    confusion: list[list[int]]
    """Rows truth, columns map; a last column counts true pixels that the map leaves unlabelled."""


def evaluate(settings: EvaluateSettings) -> Evaluation:
    """Compare maps with true masks.

    Parameters
    ----------
    settings : EvaluateSettings
        See the fields. Pixels that the truth leaves unlabelled do not count; pixels that only the map leaves
        unlabelled count as wrong.

    Raises
    ------
    InputError
        If an input cannot be used, or a map and its truth are not on one grid.
    """
    table = read_class_table(settings.classes) if settings.classes else None
    maps = [open_mask(path, table) for path in settings.maps]
    truths = [open_mask(path, table or maps[0].classes) for path in settings.truth]
    classes = maps[0].classes
    matrices = [_compare(predicted, truth, len(classes)) for predicted, truth in zip(maps, truths, strict=True)]
    scores = SegmentationScores(confusion=np.sum(matrices, axis=0)).to_dict(classes.names)
    return Evaluation(maps=[str(path) for path in settings.maps], **scores)


def _compare(predicted: Mask, truth: Mask, n_classes: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    refuse_other_grid(truth.path, truth.georeference, predicted.path, predicted.georeference)
    if truth.classes.names != predicted.classes.names:
        raise InputError(
            f"{truth.path} has other classes than {predicted.path}; give their common table with --classes"
        )
    matrices = [
        confusion_matrix(truth.read(tile.core), predicted.read(tile.core), n_classes)
        for tile in TileGrid(shape=truth.shape, size=BLOCK)
    ]
    return np.sum(matrices, axis=0)
