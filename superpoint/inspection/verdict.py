"""What the numbers of an inspection come to, in plain sentences, by rules that are all here.

The first sentence says whether the pseudo-mask can be trusted, the second what its main problem is, the third what to
do next; more follow only where points were lost or classes are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.inspection.facts import Verdict

if TYPE_CHECKING:
    from superpoint.inspection.facts import Inspection

GOOD, FAIR = 0.9, 0.75
"""Accuracies of the labelled pixels from which a pseudo-mask is good, and fit to be checked; below it is poor."""
DOUBTFUL = 0.6
"""Precision below which a class is a problem, however good the whole: rare classes hardly move its accuracy."""
SPARSE = 0.5
"""Coverage below which a good pseudo-mask wants more labels before anything else."""
MANY_CONFLICTS = 0.1
"""Share of the superpixels with several points that are in conflict, from which that is a problem."""
MANY_LOST = 0.2
"""Share of points that did not vote, from which that is a problem."""
VOTING = ("used", "conflicting", "too_weak")
"""States of points that voted."""


def verdict_of(found: Inspection) -> Verdict:
    """Return what the numbers come to."""
    if found.n_labelled == 0:
        sentences = ["Nothing is labelled: no point decided over any superpixel."]
        return Verdict(level="poor", sentences=[*sentences, *_lost_points(found), _read_account(found)])
    told = _by_truth(found) if found.accuracy is not None else _by_votes(found)
    more = [*_lost_points(found), *_missing_classes(found)]
    level = "check" if more and told.level in {"good", "unknown"} else told.level
    return Verdict(level=level, sentences=[*told.sentences, *more])


def percent(share: float | None) -> str:
    """Return a share in percent, so exact that neither 0 nor 100 is said of what is not.

    Examples
    --------
    >>> percent(0.624), percent(0.0312), percent(0.99996), percent(1.0), percent(0.0001)
    ('62 %', '3.1 %', 'over 99.9 %', '100 %', 'under 0.1 %')
    """
    if share is None:
        return "an unknown share"
    if 0 < share < 0.001:  # noqa: PLR2004  # what one decimal shows
        return "under 0.1 %"
    if 0.999 < share < 1:  # noqa: PLR2004
        return "over 99.9 %"
    return f"{100 * share:.0f} %" if 0.1 <= share <= 0.9 or share in {0.0, 1.0} else f"{100 * share:.1f} %"  # noqa: PLR2004


def _by_truth(found: Inspection) -> Verdict:
    accuracy = found.accuracy or 0.0
    level = "good" if accuracy >= GOOD else "check" if accuracy >= FAIR else "poor"
    covered = f"{percent(found.coverage)} of all pixels are labelled"
    trust = f"{percent(accuracy)} of the labelled pixels are right; {covered}."
    if accuracy >= GOOD:
        doubtful = _doubtful_classes(found)
        return Verdict(level="check" if doubtful else level, sentences=[trust, *(doubtful or _good(found))])
    if found.superpixels is None:
        problem = "Why the others are wrong cannot be said without the label map."
        return Verdict(level=level, sentences=[trust, problem, "Inspect it where its cache is."])
    votes, mixed = (found.error_pixels.get(kind) or 0 for kind in ("wrong_vote", "mixed"))
    if mixed > votes:
        return Verdict(level=level, sentences=[trust, *_mixed(found, mixed)])
    blamed = _wrong_filling(found) if (found.filled_wrongly or 0) > votes / 2 else _wrong_votes(found, votes)
    return Verdict(level=level, sentences=[trust, *blamed])


def _doubtful_classes(found: Inspection) -> list[str]:
    """Tell of classes that many pixels are labelled as wrongly."""
    precisions = {name: facts.precision for name, facts in found.per_class.items() if facts.precision is not None}
    worst = sorted((share, name) for name, share in precisions.items() if share < DOUBTFUL)
    if not worst:
        return []
    named = ", ".join(f"{percent(share)} of what is labelled {name}" for share, name in worst)
    return [f"But only {named} is right.", f"Look at the superpixels labelled {worst[0][1]} before you train on them."]


def _good(found: Inspection) -> list[str]:
    if (found.coverage or 0.0) >= SPARSE:
        return ["No problem stands out.", "Train on it."]
    bare = found.superpixels and found.superpixels.total - found.superpixels.labelled
    where = f"{bare:,} of {found.superpixels.total:,} superpixels have no label" if found.superpixels else "little is"
    return [f"What is missing is coverage: {where}.", "Train on it, or label more places, the largest ones first."]


def _wrong_votes(found: Inspection, n_pixels: int) -> list[str]:
    name, facts = max(found.per_class.items(), key=lambda item: item[1].wrong_vote or 0)
    part = percent(n_pixels / (found.error_pixels["wrong"] or 1))
    problem = f"{part} of the errors are votes that were wrong: most of the superpixel is of another class."
    where = f"Most of them are labelled {name}"
    checked, superpixels = facts.points_checked or 0, facts.wrong_superpixels or 0
    if not checked:
        return [f"{problem} {where}.", f"Look at the points of {name}."]
    n_wrong = checked - (facts.points_agreeing or 0)
    if n_wrong >= superpixels / 2:
        return [f"{problem} {where}.", f"Look at the points of {name}: {n_wrong:,} of {checked:,} are wrong there."]
    right = f"Only {n_wrong:,} of {checked:,} points of {name} are wrong where they lie; some of the others"
    if not n_wrong:
        right = f"All {checked:,} points of {name} are right where they lie, but some"
    advice = f"{right} are on the smaller part of a superpixel: make superpixels smaller, or give each more points."
    return [f"{problem} {where}, in {superpixels:,} superpixels.", advice]


def _wrong_filling(found: Inspection) -> list[str]:
    part = percent((found.filled_wrongly or 0) / (found.error_pixels["wrong"] or 1))
    problem = f"{part} of the errors are in superpixels without a point, to which a step gave the wrong class."
    before = f"; the vote alone had {percent(found.steps[0].accuracy)} right" if found.steps else ""
    return [problem, f"Ask more of the step before it fills, or label more points{before}."]


def _mixed(found: Inspection, n_pixels: int) -> list[str]:
    part = percent(n_pixels / (found.error_pixels["wrong"] or 1))
    problem = (
        f"{part} of the errors are in superpixels that mix classes: no vote on these superpixels gets more than "
        f"{percent(found.reachable_accuracy)} right."
    )
    return [problem, "Make superpixels smaller, or try another algorithm (superpoint compare)."]


def _by_votes(found: Inspection) -> Verdict:
    trust = f"{percent(found.coverage)} of the pixels are labelled; how many rightly, only a truth can say (--truth)."
    conflicts, superpixels = found.conflicts, found.superpixels
    if conflicts is None or superpixels is None:
        return Verdict(level="unknown", sentences=[trust, "Without the label map there is nothing to say of votes."])
    with_points, single_vote = superpixels.with_points or 0, superpixels.single_vote or 0
    contested = with_points - single_vote
    if (conflicts.share_of_contested or 0.0) >= MANY_CONFLICTS:
        where = f"{conflicts.superpixels:,} of the {contested:,} superpixels with several points"
        advice = "Look at the pictures: mixed superpixels should be smaller, wrong points be put right."
        return Verdict(level="check", sentences=[trust, f"In {where}, these are of different classes.", advice])
    single = f"{single_vote:,} of {with_points:,} superpixels with points rest on a single one"
    if single_vote > with_points / 2:
        advice = "Put second points into the largest of them, or check a sample by eye."
        return Verdict(
            level="unknown", sentences=[trust, f"{single}, which nothing contradicts and nothing confirms.", advice]
        )
    return Verdict(level="unknown", sentences=[trust, "The points hardly contradict each other.", "Train on it."])


def _lost_points(found: Inspection) -> list[str]:
    lost = {state: n for state, n in found.points.items() if state not in VOTING and n}
    n_points = sum(found.points.values())
    if not lost or sum(lost.values()) < MANY_LOST * n_points:
        return []
    state = max(lost, key=lost.__getitem__)
    words = f"{lost[state]:,} of them {state.replace('_', ' ')}"
    return [f"{sum(lost.values()):,} of {n_points:,} points did not vote, {words}."]


def _missing_classes(found: Inspection) -> list[str]:
    """Tell of classes that will not be learned; not of those that are nowhere, as far as the truth says."""
    bare = [name for name, facts in found.per_class.items() if not facts.pixels and facts.true_pixels != 0]
    return [f"No pixel is labelled {' or '.join(bare)}: nothing will be learned of it."] if bare else []


def _read_account(found: Inspection) -> str:
    return "The account of the points says why." if found.points else "There is no account of its points."
