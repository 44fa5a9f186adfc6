"""Dense masks to query points, as simulated annotators would set them: drawn once and kept."""

from __future__ import annotations

import shlex
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint import __version__
from superpoint.cache.points.writing import PlacedRows, check_point_file, read_confusion, write_point_file
from superpoint.errors import InputError
from superpoint.pipelines.samplesubjects import open_subjects
from superpoint.points.noise import AnnotatorNoise
from superpoint.points.sample import sample as draw
from superpoint.points.strategies import make_strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.masks import Mask
    from superpoint.cache.points.writing import Columns
    from superpoint.pipelines.samplesubjects import Subject
    from superpoint.pipelines.settings import SampleSettings
    from superpoint.points.sample import Sample
    from superpoint.points.strategies import SamplingStrategy

FEW = 3  # rasters named in a command


@dataclass(frozen=True, kw_only=True)
class SampledMask:
    """What was drawn of one mask."""

    mask: str
    raster: str
    """What the column raster calls it."""
    n_labelled: int
    """Pixels there were to choose from."""
    n_points: int
    n_missing: int
    """Points asked for that there were no pixels for."""
    class_points: dict[str, int]
    """Points of each class, by name: the true one."""
    short: dict[str, list[int]]
    """Points got and asked for of each class that had too few pixels, by name; `patches` that had too few, and all."""


@dataclass(frozen=True, kw_only=True)
class SampledPoints:
    """A file of simulated points."""

    output: str
    strategy: str
    parameters: dict[str, Any]
    seed: int
    masks: list[SampledMask]
    n_points: int
    """Pixels drawn."""
    n_rows: int
    """Rows of the file: each annotator has one for each pixel, but for those dropped off the raster."""
    n_wrong: int
    """Rows whose class is not the true one."""
    without_point: dict[str, int]
    """Labelled pixels of each class that got no point on any mask, by name."""
    command: str | None
    """How several annotators are given to `label`."""
    seconds: float


def sample(settings: SampleSettings) -> SampledPoints:
    """Draw points from dense masks, and let simulated annotators label them.

    Parameters
    ----------
    settings : SampleSettings
        See the fields. What is drawn depends on the mask, its place in the list, the strategy and the seed, and on no
        superpixels (but for the strategy of that name): all algorithms under comparison get the same points.

    Returns
    -------
    SampledPoints
        What was drawn, and where it was written.

    Raises
    ------
    InputError
        If an input cannot be used, there are fewer pixels than points, or the output is there already.
    """
    started = time.perf_counter()
    check_point_file(settings.output, overwrite=settings.overwrite)
    strategy = make_strategy(settings.strategy, _parameters(settings))
    subjects = open_subjects(settings, strategy)
    noise = _noise(settings, subjects[0].mask)
    drawn = [_draw(subject, strategy, [settings.seed, number]) for number, subject in enumerate(subjects)]
    for subject, of in zip(subjects, drawn, strict=True):
        _refuse_missing(subject, of, strategy)
    parts = [
        _annotate(subject, of, noise, settings, number)
        for number, (subject, of) in enumerate(zip(subjects, drawn, strict=True))
    ]
    write_point_file(settings.output, parts, provenance=_provenance(settings, strategy, subjects))
    return SampledPoints(
        output=str(settings.output),
        strategy=strategy.name,
        parameters=asdict(strategy),  # type: ignore[call-overload]  # a strategy is a dataclass by contract
        seed=settings.seed,
        masks=[_facts(subject, of, strategy) for subject, of in zip(subjects, drawn, strict=True)],
        n_points=sum(len(of.points) for of in drawn),
        n_rows=sum(len(part.rows) for part in parts),
        n_wrong=sum(_n_wrong(part) for part in parts),
        without_point=_without_point(drawn, subjects[0].mask.classes.names),
        command=_command(settings) if settings.annotators > 1 else None,
        seconds=round(time.perf_counter() - started, 3),
    )


def _parameters(settings: SampleSettings) -> dict[str, Any]:
    given = {name: getattr(settings, name) for name in ("n_points", "fraction", "patch", "short")}
    return {name: value for name, value in given.items() if value is not None}


# --- what is drawn


def _draw(subject: Subject, strategy: SamplingStrategy, seed: list[int]) -> Sample:
    found = draw(subject.strips, strategy, rng=np.random.default_rng(seed))
    if not found.strata.counts.any():
        raise InputError(f"{subject.mask.path} has no labelled pixel{subject.where}; there is nothing to draw")
    return found


def _refuse_missing(subject: Subject, drawn: Sample, strategy: SamplingStrategy) -> None:
    if not drawn.n_missing or strategy.strata == "patches" or getattr(strategy, "short", "share") == "leave":
        return
    or_leave = ", or --short leave to take what there is" if hasattr(strategy, "short") else ""
    by_superpixel = strategy.strata == "superpixels"
    what = "superpixels with a labelled pixel" if by_superpixel else f"labelled pixels{subject.where}"
    raise InputError(
        f"{subject.mask.path} has {len(drawn.points)} {what}, fewer than the {drawn.plan.n_asked} points asked for; "
        f"give a lower --n-points{or_leave}"
    )


# --- who labels it


def _noise(settings: SampleSettings, mask: Mask) -> AnnotatorNoise:
    confusion = read_confusion(settings.confusion, mask.classes) if settings.confusion else None
    return AnnotatorNoise(
        n_classes=len(mask.classes),
        wrong=settings.wrong,
        confusion=confusion,
        jitter_px=settings.jitter,
        off_raster=settings.off_raster,
    )


def _is_simulated(settings: SampleSettings) -> bool:
    return bool(settings.wrong or settings.confusion or settings.jitter or settings.annotators > 1)


def _annotate(
    subject: Subject, drawn: Sample, noise: AnnotatorNoise, settings: SampleSettings, number: int
) -> PlacedRows:
    """Return the rows of all annotators of one mask, one annotator after the other."""
    points, names = drawn.points, np.array(subject.mask.classes.names, object)
    georeference = subject.grid
    if not _is_simulated(settings):
        columns: Columns = {"raster": [subject.name] * len(points), "class": names[points.values]}
        return PlacedRows(georeference=georeference, rows=points.rows, cols=points.cols, columns=columns)
    seeds = [[settings.seed, number, annotator] for annotator in range(1, settings.annotators + 1)]
    made = [noise.annotate(points, subject.mask.shape, rng=np.random.default_rng(seed)) for seed in seeds]
    true = np.concatenate([one.true for one in made])
    columns = {
        "raster": [subject.name] * len(true),
        "class": names[np.concatenate([one.points.values for one in made])],
        "annotator": np.repeat(np.arange(1, len(made) + 1), [len(one.true) for one in made]),
        "true_class": names[points.values[true]],
        "true_row": points.rows[true],
        "true_col": points.cols[true],
    }
    rows, cols = (np.concatenate([getattr(one.points, axis) for one in made]) for axis in ("rows", "cols"))
    return PlacedRows(georeference=georeference, rows=rows, cols=cols, columns=columns)


# --- what is said of it


def _provenance(settings: SampleSettings, strategy: SamplingStrategy, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return what the points follow from, as JSON."""
    parameters = asdict(strategy)  # type: ignore[call-overload]  # a strategy is a dataclass by contract
    noise = ("annotators", "wrong", "jitter", "off_raster", "confusion")
    return {
        "version": __version__,
        "strategy": strategy.name,
        "parameters": parameters,
        "seed": settings.seed,
        "masks": [subject.mask.path for subject in subjects],
        "classes": subjects[0].mask.classes.to_dict(),
        "noise": settings.model_dump(mode="json", include=set(noise)) if _is_simulated(settings) else None,
    }


def _facts(subject: Subject, drawn: Sample, strategy: SamplingStrategy) -> SampledMask:
    names = subject.mask.classes.names
    counts = np.bincount(drawn.points.values, minlength=len(names)).tolist()
    return SampledMask(
        mask=subject.mask.path,
        raster=subject.name,
        n_labelled=int(drawn.strata.counts.sum()),
        n_points=len(drawn.points),
        n_missing=drawn.n_missing,
        class_points=dict(zip(names, counts, strict=True)),
        short=_short(drawn, strategy, names),
    )


def _short(drawn: Sample, strategy: SamplingStrategy, names: Sequence[str]) -> dict[str, list[int]]:
    """Say which strata had too few pixels."""
    if strategy.strata == "classes":
        return {names[value]: list(numbers) for value, numbers in drawn.short.items()}
    is_short = strategy.strata == "patches" and drawn.short
    return {"patches": [len(drawn.short), len(drawn.strata.ids)]} if is_short else {}


def _without_point(drawn: Sequence[Sample], names: Sequence[str]) -> dict[str, int]:
    pixels = sum(of.class_pixels[: len(names)] for of in drawn)
    points = sum(np.bincount(of.points.values, minlength=len(names)) for of in drawn)
    rows = zip(names, np.asarray(pixels).tolist(), np.asarray(points).tolist(), strict=True)
    return {name: n_pixels for name, n_pixels, n_points in rows if n_pixels and not n_points}


def _command(settings: SampleSettings) -> str:
    """Return the command that reads the points of several annotators."""
    rasters = (
        settings.raster if 0 < len(settings.raster) <= FEW else ["RASTERS" if len(settings.masks) > 1 else "RASTER"]
    )
    words = ["superpoint", "label", *rasters, "--points", str(settings.output), "--annotator-column", "annotator"]
    words += ["--raster-column", "raster"] if len(settings.masks) > 1 else []
    words += ["--classes", str(settings.classes)] if settings.classes else []
    return shlex.join(words)


def _n_wrong(part: PlacedRows) -> int:
    if "true_class" not in part.columns:
        return 0
    return int(np.count_nonzero(np.asarray(part.columns["class"]) != np.asarray(part.columns["true_class"])))
