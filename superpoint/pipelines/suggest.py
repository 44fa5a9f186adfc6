"""Where to set the next points: a query strategy looks at superpixels, and asks for one point in each it chooses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from superpoint import __version__
from superpoint.cache.labelmaps import open_labels
from superpoint.cache.labelplaces import nearest_pixels
from superpoint.cache.points.reading import PlacedPoints, read_point_files
from superpoint.cache.points.writing import PlacedRows, check_point_file, write_point_file
from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.pipelines.poll import columns_of
from superpoint.pipelines.suggestlooks import look_of, measure_all
from superpoint.points.matching import ClassMatch
from superpoint.points.query import UNREADABLE
from superpoint.points.suggesting import Candidates, least_area, make_query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.pipelines.settings import SuggestSettings
    from superpoint.points.suggesting import QueryStrategy, Ranking
    from superpoint.superpixels.statistics import Statistics


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One point to set."""

    rank: int
    """From 1, the most wanted first."""
    superpixel: int
    score: float | None
    """What it was chosen for: see the strategy. None where nothing was compared."""
    pixels: int
    """What it labels: the area of the superpixel."""
    row: int
    col: int


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """A file of points to set."""

    output: str
    label_map: str
    strategy: str
    n_superpixels: int
    n_labelled: int
    """Superpixels that have a point already."""
    min_area: int
    """Pixels of the smallest superpixel that is asked for."""
    n_too_small: int
    """Superpixels without a point that are smaller."""
    n_asked: int
    """Points asked for."""
    suggestions: list[Suggestion]
    """Fewer than asked for only where no more superpixels are left."""
    n_pixels: int
    """What all suggestions label."""
    coverage_gained: float
    """The same as a share of the pixels of all superpixels."""
    seconds: float


def suggest(settings: SuggestSettings) -> Suggestions:
    """Choose superpixels to label next, and put a point into each.

    Parameters
    ----------
    settings : SuggestSettings
        See the fields. The point is at the pixel of the superpixel that is nearest to its centroid, the first in
        raster order of equals. Nothing is random.

    Returns
    -------
    Suggestions
        What was chosen, and where it was written.

    Raises
    ------
    InputError
        If an input cannot be used, no superpixel is left to choose, or the output is there already.
    """
    started = time.perf_counter()
    check_point_file(settings.output, overwrite=settings.overwrite)
    strategy = make_query(settings.strategy)
    labels = open_labels(settings.cache, settings.label_map)
    statistics = measure_all(labels, look_of(strategy, labels, settings))
    labelled = np.isin(statistics.ids, _superpixels_with_points(labels, settings))
    candidates = Candidates(
        ids=statistics.ids,
        areas=statistics.areas,
        features=np.where(statistics.counts > 0, statistics.means, np.nan),
        labelled=labelled,
        min_area=settings.min_area or least_area(statistics.areas),
    )
    ranking = strategy.rank(candidates, settings.n_points)
    if not len(ranking.places):
        raise InputError(_nothing_left(labels, candidates))
    suggestions = _placed(labels, statistics, ranking)
    n_pixels = sum(one.pixels for one in suggestions)
    _write(settings, labels, strategy, suggestions)
    return Suggestions(
        output=str(settings.output),
        label_map=labels.path,
        strategy=strategy.name,
        n_superpixels=len(statistics),
        n_labelled=int(labelled.sum()),
        min_area=candidates.min_area,
        n_too_small=int((~labelled & ~candidates.is_open).sum()),
        n_asked=settings.n_points,
        suggestions=suggestions,
        n_pixels=n_pixels,
        coverage_gained=n_pixels / int(statistics.areas.sum()),
        seconds=round(time.perf_counter() - started, 3),
    )


def _superpixels_with_points(labels: StoredLabels, settings: SuggestSettings) -> NDArray[np.uint32]:
    """Return the superpixels that points lie in, whatever their class."""
    if not settings.points:
        return np.zeros(0, np.uint32)
    table = read_point_files(settings.points, columns_of(settings))
    n_names = len(table.names) + 1
    no_class = ClassMatch(
        classes=ClassTable.from_names(["any"]), values=np.full(n_names, UNREADABLE, np.int16), reasons=("",) * n_names
    )
    points = PlacedPoints(table=table, match=no_class).on(labels.georeference, names=_names_of(labels))
    if not len(points):
        raise InputError(
            f"none of the {len(table)} points of {', '.join(map(str, settings.points))} lies on {labels.path}; check "
            f"that they belong together and the points' CRS"
        )
    return np.unique(labels.at(points.rows, points.cols))


def _names_of(labels: StoredLabels) -> list[str]:
    source = labels.provenance.get("source")
    return [source["path"], labels.path] if source else [labels.path]


def _nothing_left(labels: StoredLabels, candidates: Candidates) -> str:
    n, n_labelled = len(candidates.ids), int(candidates.labelled.sum())
    if n == n_labelled:
        return f"all {n} superpixels of {labels.path} have a point already; there is nothing left to label"
    n_open = int(candidates.is_open.sum())
    if not n_open:
        return (
            f"none of the {n - n_labelled} superpixels of {labels.path} that have no point has {candidates.min_area} "
            f"pixels or more; give a lower --min-area"
        )
    return f"the predictions say nothing of the {n_open} superpixels of {labels.path} that can be asked for"


# --- where the points go


def _placed(labels: StoredLabels, statistics: Statistics, ranking: Ranking) -> list[Suggestion]:
    """Put a point into each superpixel chosen."""
    wanted = np.sort(ranking.places)
    pixels = nearest_pixels(labels, statistics, wanted)[np.searchsorted(wanted, ranking.places)]
    scores = [None if np.isnan(score) else score for score in ranking.scores.tolist()]
    ids, areas = statistics.ids[ranking.places].tolist(), statistics.areas[ranking.places].tolist()
    return [
        Suggestion(rank=rank, superpixel=label, score=score, pixels=area, row=row, col=col)
        for rank, (label, score, area, (row, col)) in enumerate(
            zip(ids, scores, areas, pixels.tolist(), strict=True), 1
        )
    ]


def _write(
    settings: SuggestSettings, labels: StoredLabels, strategy: QueryStrategy, suggestions: list[Suggestion]
) -> None:
    columns = {
        "rank": [one.rank for one in suggestions],
        "superpixel": [one.superpixel for one in suggestions],
        "score": np.array([one.score for one in suggestions], np.float64),
        "pixels": [one.pixels for one in suggestions],
        "strategy": [strategy.name] * len(suggestions),
        settings.raster_column or "raster": [Path(_names_of(labels)[0]).stem] * len(suggestions),
        settings.class_column: pd.Series([None] * len(suggestions), dtype="str").array,  # for the annotator
    }
    rows, cols = (np.array([getattr(one, axis) for one in suggestions], np.int64) for axis in ("row", "col"))
    part = PlacedRows(georeference=labels.georeference, rows=rows, cols=cols, columns=columns)
    given = settings.model_dump(mode="json", exclude={"cache", "output", "overwrite"})
    write_point_file(
        settings.output, [part], provenance={"version": __version__, "label_map": labels.path, "settings": given}
    )
