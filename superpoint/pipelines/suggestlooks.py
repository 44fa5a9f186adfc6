"""What a query strategy knows of the superpixels: sizes, mean colours, or how sure models are, tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.labelmaps import open_origin
from superpoint.cache.predictions import open_predictions
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.pipelines.progress import progress
from superpoint.points.uncertainty import vote_entropy
from superpoint.superpixels.statistics import Statistics, measure, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.cache.predictions import Prediction
    from superpoint.pipelines.settings import SuggestSettings
    from superpoint.points.suggesting import QueryStrategy
    from superpoint.tiles import Window

    Look = Callable[[Window], NDArray[np.float32]]

TILES_AT_ONCE = 16  # whose statistics are merged in one go
COMMITTEE = 2  # the fewest that can disagree


def look_of(strategy: QueryStrategy, labels: StoredLabels, settings: SuggestSettings) -> Look:
    """Return what reads a window of the bands that a strategy looks at.

    Raises
    ------
    InputError
        If the raster or the predictions that it needs are missing or do not fit, or are not needed.
    """
    if settings.predictions and strategy.needs in ("areas", "colours"):
        raise InputError(f"strategy {strategy.name!r} does not look at predictions; leave out --predictions")
    if strategy.needs == "areas":
        return lambda window: np.zeros((0, *window.shape), np.float32)
    if strategy.needs == "colours":
        return _colours(labels, settings)
    return _entropy(labels, strategy, settings)


def _colours(labels: StoredLabels, settings: SuggestSettings) -> Look:
    raster = open_origin(labels, settings.raster)

    def look(window: Window) -> NDArray[np.float32]:
        image, valid = raster.read(window)
        image[:, ~valid] = np.nan
        return image

    return look


def _entropy(labels: StoredLabels, strategy: QueryStrategy, settings: SuggestSettings) -> Look:
    table = read_class_table(settings.classes) if settings.classes else None
    predictions = open_predictions(settings.predictions, table, on=labels)
    if strategy.needs == "entropy":
        return _own_entropy(strategy, predictions)
    if len(predictions) < COMMITTEE:
        raise InputError(
            f"strategy {strategy.name!r} compares {COMMITTEE} predictions or more, got {len(predictions)}; repeat "
            f"--predictions for each"
        )
    return lambda window: vote_entropy(np.stack([one.classes(window) for one in predictions]))[None]


def _own_entropy(strategy: QueryStrategy, predictions: list[Prediction]) -> Look:
    if len(predictions) != 1:
        raise InputError(
            f"strategy {strategy.name!r} takes the class probabilities of one model, got {len(predictions)} files; "
            f"name one with --predictions, or compare several with --strategy disagreement"
        )
    return lambda window: predictions[0].entropy(window)[None]


def measure_all(labels: StoredLabels, look: Look) -> Statistics:
    """Measure all superpixels, tile by tile: memory holds some tiles and the table of superpixels.

    Raises
    ------
    InputError
        If there are none.
    """
    parts: list[Statistics] = []
    n_rows, n_cols = labels.grid.shape
    with progress(f"superpixels of {Path(labels.path).name}", total=n_rows * n_cols / 1e6, unit="Mpx") as advance:
        for tile in labels.grid:
            core = tile.core
            parts.append(measure(labels.read(core), look(core), row=core.row, col=core.col))
            if len(parts) >= TILES_AT_ONCE:
                parts = [merge(parts)]
            advance(core.n_rows * core.n_cols / 1e6)
    found = merge(parts)
    if not len(found):
        raise InputError(f"{labels.path} holds no superpixel, only nodata; there is nothing to label")
    return found
