"""What is counted of a pseudo-mask; the counts of several add up."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.inspection.census import Census, merge
from superpoint.inspection.splits import hits_of, truths_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels


NOBODY: NDArray[np.int64] = np.zeros(4, np.int64)
"""What is counted of an annotator who did nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PointCounts:
    """What is known of the points."""

    states: Mapping[str, int]
    """By state of the account."""
    voted: NDArray[np.int64]
    """Points of each class that voted, of shape (classes,)."""
    checked: NDArray[np.int64]
    """Points of each class on pixels of known truth."""
    agreeing: NDArray[np.int64]
    """Those of them whose class is the true one."""
    contradictions: tuple[str, ...] = ()
    annotators: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Rows of each annotator that voted, those of them out-voted, on known truth, and agreeing with it: (4,)."""

    def __add__(self, other: PointCounts) -> PointCounts:
        names = list(dict.fromkeys((*self.states, *other.states)))
        return PointCounts(
            states={name: self.states.get(name, 0) + other.states.get(name, 0) for name in names},
            voted=self.voted + other.voted,
            checked=self.checked + other.checked,
            agreeing=self.agreeing + other.agreeing,
            contradictions=tuple(dict.fromkeys((*self.contradictions, *other.contradictions))),
            annotators={
                name: self.annotators.get(name, NOBODY) + other.annotators.get(name, NOBODY)
                for name in dict.fromkeys((*self.annotators, *other.annotators))
            },
        )


@dataclass(frozen=True, kw_only=True)
class StepCounts:
    """What is counted of the labels after a stage, in superpixels and pixels."""

    superpixels: int = 0
    pixels: int = 0
    known: int = 0
    """Labelled pixels of known truth."""
    hits: int = 0
    """Those whose label is the true class."""
    gained: int = 0
    lost: int = 0
    changed: int = 0
    gained_known: int = 0
    gained_hits: int = 0

    def __add__(self, other: StepCounts) -> StepCounts:
        return StepCounts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """All that is counted of a pseudo-mask; the counts of several add up."""

    names: tuple[str, ...]
    """Of the classes."""
    n_pixels: int
    n_data: int
    class_pixels: NDArray[np.int64]
    """Labelled pixels of each class."""
    confusion: NDArray[np.int64] | None
    """`(classes, classes + 1)`: rows truth, columns label, the last none; None without a truth."""
    census: Census | None
    """None where the label map is not found."""
    has_votes: bool = True
    """Whether the census knows of votes; False where only the classes are found."""
    outvoted: int = 0
    """Votes for another than the leading class of their superpixel."""
    contested: int | None = None
    """Superpixels with two opinions or more; None where opinions cannot be told from votes."""
    points: PointCounts | None = None
    """None where there is no account."""
    steps: Mapping[str, StepCounts] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """What cannot be said, and why."""


def pooled(parts: Sequence[Counts]) -> Counts:
    """Return the counts of several pseudo-masks of the same classes as if they were one."""
    whole, census = parts[0], [part.census.of_raster(number) for number, part in enumerate(parts) if part.census]
    for part in parts[1:]:
        whole = replace(
            whole,
            n_pixels=whole.n_pixels + part.n_pixels,
            n_data=whole.n_data + part.n_data,
            class_pixels=whole.class_pixels + part.class_pixels,
            confusion=None if whole.confusion is None or part.confusion is None else whole.confusion + part.confusion,
            has_votes=whole.has_votes and part.has_votes,
            outvoted=whole.outvoted + part.outvoted,
            contested=None if whole.contested is None or part.contested is None else whole.contested + part.contested,
            points=whole.points + part.points if whole.points and part.points else None,
            steps={
                name: whole.steps.get(name, StepCounts()) + part.steps.get(name, StepCounts())
                for name in dict.fromkeys((*whole.steps, *part.steps))
            },
            missing=tuple(dict.fromkeys((*whole.missing, *part.missing))),
        )
    return replace(whole, census=merge(census) if len(census) == len(parts) else None)


def with_votes(census: Census, voted: PseudoLabels) -> Census:
    """Return a census with the evidence as it was after the vote: steps leave none of it where they change a class."""
    ids = census.superpixels.astype(np.uint32)
    if not len(voted) or not len(census):
        return census
    places = np.minimum(np.searchsorted(voted.superpixels, ids), len(voted) - 1)
    known = voted.superpixels[places] == ids
    return replace(
        census,
        shares=np.where(known, voted.shares[places], np.float32(0)),
        votes=np.where(known, voted.votes[places], 0).astype(np.int64),
        flags=census.flags | np.where(known, voted.flags[places], 0).astype(np.uint8),
    )


def step_counts(census: Census, stages: Mapping[str, PseudoLabels]) -> dict[str, StepCounts]:
    """Count the labels after each stage.

    Parameters
    ----------
    census : Census
        The superpixels of the raster.
    stages : mapping of str to PseudoLabels
        The labels after the vote and after each step, in order.
    """
    truths, found = truths_of(census), {}
    before = np.full(len(census), IGNORE, np.uint8)
    for number, (name, labels) in enumerate(stages.items()):
        after = labels.class_of(census.superpixels.astype(np.uint32))
        hits, has, had = hits_of(census, after), after != IGNORE, before != IGNORE
        gained = has & ~had & (number > 0)
        found[name] = StepCounts(
            superpixels=int(has.sum()), pixels=int(census.areas[has].sum()),
            known=int(truths.known[has].sum()), hits=int(hits.sum()),
            gained=int(gained.sum()), lost=int((had & ~has).sum()), changed=int((had & has & (after != before)).sum()),
            gained_known=int(truths.known[gained].sum()), gained_hits=int(hits[gained].sum()),
        )  # fmt: skip
        before = after
    return found
