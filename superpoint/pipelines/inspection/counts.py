"""One pass over a pseudo-mask, tile by tile: what is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.georeference import refuse_other_grid
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.inspection.census import count_tile, merge
from superpoint.inspection.counts import Counts, PointCounts, step_counts, with_votes
from superpoint.inspection.splits import confusion_of
from superpoint.metrics import confusion_matrix
from superpoint.pipelines.inspection.samples import Samples
from superpoint.pipelines.progress import progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.masks import Mask
    from superpoint.inspection.census import Census
    from superpoint.pipelines.inspection.points import PointsSeen
    from superpoint.pipelines.inspection.subjects import Subject
    from superpoint.tiles import Window

    type Longs = NDArray[np.int64]


def count_subject(subject: Subject, truth: Mask | None) -> tuple[Counts, Samples]:
    """Count what there is to count of a pseudo-mask.

    Parameters
    ----------
    subject : Subject
        The pseudo-mask.
    truth : Mask, optional
        What is true.

    Raises
    ------
    InputError
        If the truth is on another grid or of other classes.
    """
    if truth is not None:
        _refuse_other_truth(subject, truth)
    counted = _Pass.of(subject, truth)
    places = subject.points.by_tile(subject.grid) if subject.points else {}
    with progress(f"inspection of {subject.name}", total=len(subject.grid), unit="tiles") as advance:
        for tile in subject.grid:
            counted.take(tile.core, places.get(tile.name))
            advance(1)
    return _counts_of(counted), counted.samples


@dataclass(kw_only=True, eq=False)
class _Pass:
    """What is counted so far."""

    subject: Subject
    truth: Mask | None
    samples: Samples
    pixels: Longs
    """Of each class value, 255 included."""
    confusion: Longs
    """Where there is no label map."""
    checked: Longs
    agreeing: Longs
    annotators: Longs
    """`(annotators, 2)`: their points on known truth, and those of them that are right."""
    parts: list[Census] = field(default_factory=list)
    """Of each tile."""

    @classmethod
    def of(cls, subject: Subject, truth: Mask | None) -> _Pass:
        n_classes = len(subject.classes)
        return cls(
            subject=subject,
            truth=truth,
            samples=Samples.of(subject.georeference.shape),
            pixels=np.zeros(IGNORE + 1, np.int64),
            confusion=np.zeros((n_classes, n_classes + 1), np.int64),
            checked=np.zeros(n_classes, np.int64),
            agreeing=np.zeros(n_classes, np.int64),
            annotators=np.zeros((len(subject.points.annotator_names) if subject.points else 0, 2), np.int64),
        )

    def take(self, window: Window, points: Longs | None) -> None:
        """Count a tile, and those of the points that lie in it."""
        classes, label_map = self.subject.read_classes(window), self.subject.label_map
        truth = None if self.truth is None else self.truth.read(window)
        labels = None if label_map is None else label_map.read("labels", window)
        self.samples.take(window, labels, classes, truth)
        self.pixels += np.bincount(classes.ravel(), minlength=IGNORE + 1)
        if labels is not None:
            self.parts.append(_count(self.subject.group, window, labels, classes, truth))
        elif truth is not None:
            self.confusion += confusion_matrix(truth, classes, len(self.confusion))
        if points is not None and truth is not None:
            self._check(window, points, truth)

    def _check(self, window: Window, points: Longs, truth: NDArray[np.uint8]) -> None:
        seen = self.subject.points
        if seen is None:
            return
        true, values = truth[seen.rows[points] - window.row, seen.cols[points] - window.col], seen.values[points]
        self.checked += np.bincount(values[true != IGNORE], minlength=len(self.checked))
        self.agreeing += np.bincount(values[true == values], minlength=len(self.agreeing))
        hands = seen.annotators[points]
        for place, which in enumerate((true != IGNORE, true == values)):
            self.annotators[:, place] += np.bincount(hands[which & (hands >= 0)], minlength=len(self.annotators))


def _refuse_other_truth(subject: Subject, truth: Mask) -> None:
    refuse_other_grid(truth.path, truth.georeference, subject.path, subject.georeference)
    if truth.classes.names != subject.classes.names:
        raise InputError(f"{truth.path} has other classes than {subject.path}; give their common table with --classes")


def _count(
    group: TiledGroup | None,
    window: Window,
    labels: NDArray[np.uint32],
    classes: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
) -> Census:
    nothing = np.zeros(labels.shape, np.uint8)
    shares = nothing.astype(np.float32) if group is None else group.read("vote_share", window)
    votes = nothing if group is None else group.read("votes", window)
    flags = nothing if group is None else group.read("flags", window)
    return count_tile(
        labels, classes=classes, shares=shares, votes=votes, flags=flags, truth=truth, row=window.row, col=window.col
    )


def _counts_of(counted: _Pass) -> Counts:
    subject, n_classes = counted.subject, len(counted.confusion)
    census = merge(counted.parts) if counted.parts else None
    if census is not None and subject.stages:
        census = with_votes(census, next(iter(subject.stages.values())))
    confusion: Longs | None = counted.confusion
    if counted.truth is None:
        confusion = None
    elif census is not None:
        confusion = confusion_of(census, census.classes, n_classes)
    n_pixels = int(counted.pixels.sum())
    return Counts(
        names=subject.classes.names,
        n_pixels=n_pixels,
        n_data=_n_data(subject, n_pixels) if census is None else int(census.areas.sum()),
        class_pixels=counted.pixels[:n_classes],
        confusion=confusion,
        census=census,
        has_votes=subject.group is not None,
        outvoted=_outvoted(subject, census),
        contested=_contested(subject),
        points=_points_of(counted),
        steps=step_counts(census, subject.stages) if census is not None else {},
        missing=subject.missing,
    )


def _n_data(subject: Subject, n_pixels: int) -> int:
    """Return the pixels with data as the ledger has them; all, if there is none."""
    records = subject.group.ledger.records() if subject.group else ()
    return sum(record.facts.get("n_data", 0) for record in records) or n_pixels


def _outvoted(subject: Subject, census: Census | None) -> int:
    """Return the votes for another than the leading class of their superpixel."""
    tally = subject.tally
    if tally is not None:
        order = np.lexsort((tally.values, -tally.weights, tally.superpixels))
        ids = tally.superpixels[order]
        leading = tally.counts[order][np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]][: len(ids)])]
        return int(tally.counts.sum(dtype=np.int64) - leading.sum(dtype=np.int64))
    return 0 if census is None else int(np.rint(census.votes * (1 - census.shares.astype(np.float64))).sum())


def _contested(subject: Subject) -> int | None:
    """Count the superpixels with two opinions or more: of different classes, or of different rows of the account.

    A row that votes in many superpixels, as a polygon does, is in the account once: where several such rows of one
    class meet, there may be more opinions than are counted.
    """
    tally, points = subject.tally, subject.points
    if tally is None or points is None or points.superpixels is None:
        return None
    ids, n_classes = np.unique(tally.superpixels, return_counts=True)
    rows, n_rows = np.unique(points.superpixels, return_counts=True)
    return len(np.union1d(ids[n_classes > 1], rows[n_rows > 1]))


def _annotators_of(counted: _Pass, seen: PointsSeen) -> dict[str, Longs]:
    """Return of each annotator the rows that voted, those out-voted, those on known truth, and those right there."""
    known, n_names = seen.annotators >= 0, len(seen.annotator_names)
    rows, outvoted = (np.bincount(seen.annotators[known & which], minlength=n_names) for which in (True, seen.outvoted))
    numbers = np.column_stack((rows, outvoted, counted.annotators))
    found = zip(seen.annotator_names, numbers, strict=True)
    return {name: one for name, one in sorted(found, key=lambda pair: pair[0]) if one[0]}


def _points_of(counted: _Pass) -> PointCounts | None:
    seen, tally, n_classes = counted.subject.points, counted.subject.tally, len(counted.confusion)
    if seen is None and tally is None:
        return None
    if tally is not None:
        voted = np.bincount(tally.values, weights=tally.counts, minlength=n_classes).astype(np.int64)
    else:
        voted = np.bincount(seen.values if seen else [], minlength=n_classes)
    return PointCounts(
        states=seen.states if seen else {},
        voted=voted,
        checked=counted.checked,
        agreeing=counted.agreeing,
        contradictions=seen.contradictions if seen else (),
        annotators=_annotators_of(counted, seen) if seen else {},
    )
