"""How much of the training rasters pseudo-masks label, and how much of that is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.masks import open_mask
from superpoint.metrics import confusion_matrix
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.masks import Mask

BLOCK = 2048  # side of the blocks compared at a time, pixels


def label_quality(masks: Sequence[str], truths: Sequence[str]) -> dict[str, float | None]:
    """Compare pseudo-masks with true masks, over all pixels that the truth labels.

    Parameters
    ----------
    masks, truths : sequence of str
        A pseudo-mask in the cache, and the true mask, of each raster.

    Returns
    -------
    dict of str to float
        `coverage`, the share of those pixels that the pseudo-masks label, and `label_accuracy`, the share of these that
        have the right class; None for a share of nothing.
    """
    n_known = n_labelled = n_right = 0
    for path, true_path in zip(masks, truths, strict=True):
        mask = open_mask(Path(path))
        counts = _counts(mask, open_mask(Path(true_path), mask.classes))
        n_known += int(counts.sum())
        n_labelled += int(counts[:, :-1].sum())
        n_right += int(np.trace(counts))
    return {"coverage": _share(n_labelled, n_known), "label_accuracy": _share(n_right, n_labelled)}


def _counts(mask: Mask, truth: Mask) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    counts = np.zeros((len(mask.classes), len(mask.classes) + 1), np.int64)
    for tile in TileGrid(shape=mask.shape, size=BLOCK):
        counts += confusion_matrix(truth.read(tile.core), mask.read(tile.core), len(mask.classes))
    return counts


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
