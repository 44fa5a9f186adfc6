"""Maps against the truth: counts over all of them, the scores made of these, and where each map is wrong."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import write_cog
from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.masks import open_mask
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.metrics import (
    MEANS,
    PER_CLASS,
    ClassCounts,
    SegmentationScores,
    boundary_counts,
    confusion_matrix,
    default_width,
    draw_rasters,
    known,
    percentile_interval,
    resample,
)
from superpoint.pipelines.errormap import error_maps_of, error_profile, error_values
from superpoint.pipelines.progress import progress
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.classes import ClassTable
    from superpoint.pipelines.settings import EvaluateSettings
    from superpoint.tiles import Window

BLOCK = 2048  # side of the blocks compared at a time, pixels
LEVEL = 0.95

type Interval = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Bootstrap percentile intervals over the rasters; None for a score that no resample has."""

    level: float
    n_resamples: int
    n_rasters: int
    seed: int
    means: dict[str, Interval]
    """Lower and upper end of each score that is one number, by its name."""
    classes: dict[str, dict[str, Interval]]
    """The same of each class: `iou`, `precision`, `recall`, `f1`, `boundary_iou`."""


@dataclass(frozen=True, kw_only=True)
class RasterScores:
    """How well one map agrees with its truth."""

    map: str
    truth: str
    n_pixels: int
    """Pixels that the truth labels."""
    miou: float | None
    micro_iou: float | None
    mean_f1: float | None
    frequency_weighted_iou: float | None
    kappa: float | None
    pixel_accuracy: float | None
    boundary_miou: float | None
    boundary_width_px: int
    iou: dict[str, float | None]
    """Of each class, by name."""
    error_map: str | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well maps agree with the truth, over all their pixels together; `docs/evaluate.md` defines the scores."""

    maps: list[str]
    miou: float | None
    """Mean IoU of the classes that are in the truth or the maps."""
    micro_iou: float | None
    """IoU of all classes counted together."""
    mean_f1: float | None
    frequency_weighted_iou: float | None
    kappa: float | None
    pixel_accuracy: float | None
    boundary_miou: float | None = None
    """Mean boundary IoU of the classes that have an outline."""
    n_pixels: int
    """Pixels that the truth labels."""
    classes: dict[str, dict[str, float | None]]
    """`iou`, `precision`, `recall`, `f1`, `boundary_iou` and true `n_pixels` of each class, by name; None for a score
    of nothing."""
    confusion: list[list[int]]
    """Rows truth, columns map; a last column counts true pixels that the map leaves unlabelled."""
    rasters: list[RasterScores] = field(default_factory=list)
    intervals: Intervals | None = None
    """None for a single raster: intervals come from resampling rasters."""


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A map, its truth, and what is to be made of them."""

    predicted: Mask
    truth: Mask
    width: int
    error_map: Path | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """What was counted on a pair."""

    confusion: NDArray[np.int64]
    boundary: ClassCounts


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
        If an input cannot be used, a map and its truth are not on one grid, or an output is there already.
    """
    pairs, classes = _opened(settings)
    judged = [_judge(pair, classes, overwrite=settings.overwrite) for pair in pairs]
    confusion = np.sum([one.confusion for one in judged], axis=0)
    boundary = sum((one.boundary for one in judged), ClassCounts.none(len(classes)))
    scores = SegmentationScores(confusion=confusion).to_dict(classes.names)
    for name, boundary_iou in zip(classes.names, boundary.iou, strict=True):
        scores["classes"][name]["boundary_iou"] = known(boundary_iou)
    return Evaluation(
        maps=[str(path) for path in settings.maps],
        **scores,
        boundary_miou=known(boundary.miou),
        rasters=[_row(pair, one, classes) for pair, one in zip(pairs, judged, strict=True)],
        intervals=_intervals(judged, classes, settings),
    )


def _opened(settings: EvaluateSettings) -> tuple[list[_Pair], ClassTable]:
    """Open everything, and refuse what cannot be compared before anything is."""
    table = read_class_table(settings.classes) if settings.classes else None
    maps = [open_mask(path, table) for path in settings.maps]
    classes = maps[0].classes
    truths = [open_mask(path, table or classes) for path in settings.truth]
    outputs: Sequence[Path | None] = error_maps_of(settings, len(classes)) or [None] * len(maps)
    for predicted, truth in zip(maps, truths, strict=True):
        refuse_other_grid(truth.path, truth.georeference, predicted.path, predicted.georeference)
        if predicted.classes.names != classes.names:
            raise InputError(
                f"{predicted.path} has the classes {', '.join(predicted.classes.names)}, and {maps[0].path} has "
                f"{', '.join(classes.names)}; judge them apart"
            )
    pairs = [
        _Pair(predicted=predicted, truth=truth, width=_width(settings.boundary_width, truth.shape), error_map=output)
        for predicted, truth, output in zip(maps, truths, outputs, strict=True)
    ]
    return pairs, classes


def _width(asked: int | None, shape: tuple[int, int]) -> int:
    return default_width(shape) if asked is None else asked


def _judge(pair: _Pair, classes: ClassTable, *, overwrite: bool) -> _Judged:
    """Count a pair block by block, and write its error map on the way."""
    confusion = np.zeros((len(classes), len(classes) + 1), np.int64)
    boundary = ClassCounts.none(len(classes))

    def errors() -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        nonlocal confusion, boundary
        megapixels = np.prod(pair.truth.shape) / 1e6
        with progress(f"judging {pair.predicted.path}", total=float(megapixels), unit="Mpx") as advance:
            for tile in TileGrid(shape=pair.truth.shape, size=BLOCK, halo=pair.width):
                core = tile.core.within(tile.read)
                truth, predicted = pair.truth.read(tile.read), pair.predicted.read(tile.read)
                confusion += confusion_matrix(truth[core], predicted[core], len(classes))
                if pair.width:
                    boundary += boundary_counts(truth, predicted, len(classes), width=pair.width, core=core)
                yield tile.core, error_values(truth[core], predicted[core])
                advance(tile.core.n_rows * tile.core.n_cols / 1e6)

    if pair.error_map:
        write_cog(pair.error_map, error_profile(pair.predicted, pair.truth), errors(), overwrite=overwrite)
    else:
        deque(errors(), maxlen=0)
    return _Judged(confusion=confusion, boundary=boundary)


def _row(pair: _Pair, judged: _Judged, classes: ClassTable) -> RasterScores:
    counts = SegmentationScores(confusion=judged.confusion).counts
    return RasterScores(
        map=pair.predicted.path,
        truth=pair.truth.path,
        n_pixels=int(judged.confusion.sum()),
        **{score: known(getattr(counts, score)) for score in MEANS},
        boundary_miou=known(judged.boundary.miou),
        boundary_width_px=pair.width,
        iou={name: known(iou) for name, iou in zip(classes.names, counts.iou, strict=True)},
        error_map=str(pair.error_map) if pair.error_map else None,
    )


def _intervals(judged: Sequence[_Judged], classes: ClassTable, settings: EvaluateSettings) -> Intervals | None:
    if len(judged) == 1 or not settings.bootstrap:
        return None
    draws = draw_rasters(len(judged), n_resamples=settings.bootstrap, seed=settings.seed)
    counts = resample([SegmentationScores(confusion=one.confusion).counts for one in judged], draws)
    boundary = resample([one.boundary for one in judged], draws)
    means: dict[str, Any] = {score: getattr(counts, score) for score in MEANS} | {"boundary_miou": boundary.miou}
    each: dict[str, Any] = {score: getattr(counts, score) for score in PER_CLASS} | {"boundary_iou": boundary.iou}
    return Intervals(
        level=LEVEL,
        n_resamples=settings.bootstrap,
        n_rasters=len(judged),
        seed=settings.seed,
        means={score: _ends(scores) for score, scores in means.items()},
        classes={
            name: {score: _ends(scores[:, value]) for score, scores in each.items()}
            for value, name in enumerate(classes.names)
        },
    )


def _ends(scores: NDArray[np.float64]) -> Interval:
    """Return both ends for scores of shape (resamples,)."""
    low, high = percentile_interval(scores, level=LEVEL)
    return (float(low), float(high)) if np.isfinite(low) else None
