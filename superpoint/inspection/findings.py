"""From what is counted to what there is to say: the numbers of an inspection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.classes import IGNORE
from superpoint.inspection.facts import (
    AnnotatorFacts,
    ClassFacts,
    ConflictFacts,
    FlagFacts,
    Inspection,
    PurityFacts,
    StepFacts,
    SuperpixelFacts,
)
from superpoint.inspection.splits import confusion_of, split_of, truths_of
from superpoint.inspection.verdict import verdict_of
from superpoint.inspection.worst import worst_of
from superpoint.labels.evidence import Flag
from superpoint.metrics import SegmentationScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.inspection.census import Census
    from superpoint.inspection.counts import Counts, PointCounts, StepCounts
    from superpoint.inspection.splits import Split, Truths

    type Longs = NDArray[np.int64]

MOST_VOTES = 20
"""Superpixels with so many votes and more are counted together."""
N_BINS = 20
"""Bins of the histograms of shares."""


def inspection_of(counts: Counts, *, n_worst: int) -> Inspection:
    """Return the numbers that follow from counts.

    Parameters
    ----------
    counts : Counts
        Of one pseudo-mask, or of several, pooled.
    n_worst : int
        How many of the worst superpixels are listed.
    """
    points, n_labelled = counts.points, int(counts.class_pixels.sum())
    frequencies = [_share(n, n_labelled) for n in counts.class_pixels.tolist()]
    found = Inspection(
        n_pixels=counts.n_pixels,
        n_data=counts.n_data,
        n_labelled=n_labelled,
        coverage=_share(n_labelled, counts.n_data),
        per_class={name: _class_facts(counts, value) for value, name in enumerate(counts.names)},
        class_frequencies=dict(zip(counts.names, frequencies, strict=True)),
        points=dict(points.states) if points else {},
        contradictions=list(points.contradictions) if points else [],
        point_agreement=_share(int(points.agreeing.sum()), int(points.checked.sum())) if points else None,
        annotators=_annotators(points, has_truth=counts.confusion is not None) if points else {},
        steps=[_step(name, step, counts) for name, step in counts.steps.items()],
        missing=list(counts.missing),
    )
    if counts.confusion is not None:
        found = replace(found, **_against_truth(found, counts.confusion))
    if counts.census is not None:
        truths = truths_of(counts.census) if counts.confusion is not None else None
        found = replace(found, **_of_superpixels(found, counts, counts.census))
        if truths is not None:
            found = replace(found, **_of_purity(found, counts.census, truths))
        found = replace(found, worst=worst_of(counts.census, truths, counts.names, n=n_worst))
    return replace(found, verdict=verdict_of(found))


def _class_facts(counts: Counts, value: int) -> ClassFacts:
    n_pixels, points = int(counts.class_pixels[value]), counts.points
    n_labelled = int(counts.class_pixels.sum())
    return ClassFacts(
        pixels=n_pixels,
        points=int(points.voted[value]) if points else None,
        frequency=_share(n_pixels, n_labelled),
        weight=_share(n_labelled, n_pixels),
        points_checked=int(points.checked[value]) if points and counts.confusion is not None else None,
        points_agreeing=int(points.agreeing[value]) if points and counts.confusion is not None else None,
    )


def _against_truth(found: Inspection, confusion: Longs) -> dict[str, Any]:
    """Return what follows from the confusion of pixels alone."""
    labelled = confusion.copy()
    labelled[:, -1] = 0  # scores are of labelled pixels; what is not covered is told by itself
    scores, n_classes = SegmentationScores(confusion=labelled), len(confusion)
    n_true, n_known = confusion.sum(axis=1), int(confusion.sum())
    n_correct, n_bare = int(confusion[:, :n_classes].trace()), int(confusion[:, -1].sum())
    pixels = {
        "correct": n_correct, "mixed": None, "wrong_vote": None, "filled_wrongly": None, "not_covered": n_bare,
        "wrong": n_known - n_correct - n_bare,
    }  # fmt: skip
    per_class = {
        name: replace(
            facts,
            true_pixels=int(n_true[value]),
            covered=_share(int(labelled[value].sum()), int(n_true[value])),
            precision=_known(scores.precision[value]),
            recall=_known(scores.recall[value]),
            iou=_known(scores.iou[value]),
        )
        for value, (name, facts) in enumerate(found.per_class.items())
    }
    return {
        "accuracy": _known(scores.pixel_accuracy),
        "miou": _known(scores.miou),
        "confusion": confusion.tolist(),
        "per_class": per_class,
        "error_pixels": pixels,
        "errors": {name: None if n is None else _share(n, n_known) for name, n in pixels.items()},
    }


def _of_superpixels(found: Inspection, counts: Counts, census: Census) -> dict[str, Any]:
    """Return what follows from superpixels, and from their votes where these are known."""
    n_superpixels = np.bincount(census.classes, minlength=IGNORE + 1)
    facts = {
        "superpixels": SuperpixelFacts(
            total=len(census),
            with_points=int((census.votes > 0).sum()) if counts.has_votes else None,
            labelled=int((census.classes != IGNORE).sum()),
            single_vote=int((census.votes == 1).sum()) if counts.has_votes else None,
            contested=_contested(census, counts) if counts.has_votes else None,
        ),
        "per_class": {
            name: replace(facts, superpixels=int(n_superpixels[value]))
            for value, (name, facts) in enumerate(found.per_class.items())
        },
    }
    return facts | (_of_votes(census, counts) if counts.has_votes else {})


def _contested(census: Census, counts: Counts) -> int:
    return int((census.votes > 1).sum()) if counts.contested is None else counts.contested


def _of_votes(census: Census, counts: Counts) -> dict[str, Any]:
    votes = np.minimum(census.votes, MOST_VOTES)
    return {
        "points_per_superpixel": np.bincount(votes, minlength=MOST_VOTES + 1).tolist(),
        "vote_shares": _histogram(census.shares[census.votes > 0]),
        "conflicts": _conflicts(census, counts),
        "flags": {str(flag.name).lower(): _flag(census, flag) for flag in Flag},
    }


def _of_purity(found: Inspection, census: Census, truths: Truths) -> dict[str, Any]:
    """Return what the truth says of superpixels."""
    n_classes = len(found.per_class)
    split = split_of(census, truths, n_classes)
    oracle = SegmentationScores(confusion=confusion_of(census, truths.majority, n_classes))
    labelled, n_known = census.classes != IGNORE, int(truths.known.sum())
    purity = truths.purity[truths.known > 0]
    pixels = _split_pixels(split)
    return {
        "oracle_accuracy": _known(oracle.pixel_accuracy),
        "oracle_miou": _known(oracle.miou),
        "reachable_accuracy": _share(int(truths.most[labelled].sum()), int(truths.known[labelled].sum())),
        "purity": PurityFacts(
            mean=_share(int(truths.most.sum()), n_known),
            mean_of_superpixels=float(purity.mean()) if len(purity) else None,
            histogram=_histogram(purity),
        ),
        "error_pixels": pixels,
        "errors": {name: _share(n, n_known) for name, n in pixels.items()},
        "per_class": {
            name: replace(
                facts,
                oracle_iou=_known(oracle.iou[value]),
                mixed=int(split.mixed[value]),
                wrong_vote=int(split.wrong_vote[value]),
                filled_wrongly=int(split.filled_wrongly[value]),
                wrong_superpixels=int(split.wrong_superpixels[value]),
            )
            for value, (name, facts) in enumerate(found.per_class.items())
        },
    }


def _split_pixels(split: Split) -> dict[str, int]:
    wrong = {name: int(getattr(split, name).sum()) for name in ("mixed", "wrong_vote", "filled_wrongly")}
    return {
        "correct": int(split.correct.sum()), **wrong, "not_covered": split.not_covered, "wrong": sum(wrong.values()),
    }  # fmt: skip


def _conflicts(census: Census, counts: Counts) -> ConflictFacts:
    has_points, outvoted = census.votes > 0, counts.outvoted
    conflicts = int((census.flags & Flag.CONFLICT > 0).sum())
    votes = int(census.votes.sum())
    return ConflictFacts(
        superpixels=conflicts,
        share_of_superpixels=_share(conflicts, int(has_points.sum())),
        share_of_contested=_share(conflicts, _contested(census, counts)),
        votes=votes,
        outvoted=outvoted,
        share_of_votes=_share(outvoted, votes),
        mean_vote_share=float(census.shares[has_points].mean(dtype=np.float64)) if has_points.any() else None,
    )


def _annotators(points: PointCounts, *, has_truth: bool) -> dict[str, AnnotatorFacts]:
    return {
        name: AnnotatorFacts(
            rows=rows,
            outvoted=outvoted,
            share_outvoted=_share(outvoted, rows),
            checked=checked if has_truth else None,
            agreement=_share(agreeing, checked) if has_truth else None,
        )
        for name, (rows, outvoted, checked, agreeing) in (
            (name, numbers.tolist()) for name, numbers in points.annotators.items()
        )
    }


def _flag(census: Census, flag: Flag) -> FlagFacts:
    bears = census.flags & flag > 0
    return FlagFacts(superpixels=int(bears.sum()), pixels=int(census.areas[bears].sum()))


def _step(name: str, step: StepCounts, counts: Counts) -> StepFacts:
    return StepFacts(
        stage=name,
        superpixels=step.superpixels,
        coverage=_share(step.pixels, counts.n_data),
        accuracy=_share(step.hits, step.known),
        gained=step.gained,
        lost=step.lost,
        changed=step.changed,
        gained_accuracy=_share(step.gained_hits, step.gained_known),
    )


def _histogram(shares: NDArray[np.floating]) -> list[int]:
    """Count shares in bins from 0 to 1. A share just below a bin's edge, by rounding, is in the bin above."""
    places = np.minimum(np.floor(shares.astype(np.float64) * N_BINS + 1e-6), N_BINS - 1).astype(np.int64)
    return np.bincount(places, minlength=N_BINS).tolist()


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
