"""What the numbers of an inspection come to, in plain sentences, by rules that are all here.

The first sentence says whether the pseudo-mask can be trusted, the second what its main problem is, the third what to
do next; more follow only where points were lost or classes are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.inspection.facts import Verdict

if TYPE_CHECKING:
    from superpoint.inspection.facts import Inspection, StepFacts

GOOD, FAIR = 0.9, 0.75
"""Accuracies of the labelled pixels from which a pseudo-mask is good, and fit to be checked; below it is poor."""
GOOD_MIOU, FAIR_MIOU = 0.6, 0.4
"""The same of the mIoU on labelled pixels; the worse of the two counts."""
DOUBTFUL = 0.6
"""Precision below which a class is a problem, however good the whole: rare classes hardly move its accuracy."""
SPARSE = 0.5
"""Coverage below which a good pseudo-mask wants more labels before anything else."""
MANY_CONFLICTS = 0.1
"""Share of the superpixels with several points that are in conflict, from which that is a problem."""
FEW_CONTESTED = 0.1
"""Share of the superpixels with points that have two opinions or more, below which nothing can contradict."""
MANY_LOST = 0.2
"""Share of points that did not vote, from which that is a problem."""
VOTING = ("used", "conflicting", "too_weak")
"""States of points that voted."""
TRAIN = "Train on it."
SAMPLE = "Put second points into the largest of them, or check a sample by eye before you train on it."
LEVELS = ("poor", "check", "good")
CAUSES = ("mixed", "wrong_vote", "filled_wrongly")
"""Why labels are wrong; of equals the first is the main problem."""


def verdict_of(found: Inspection) -> Verdict:
    """Return what the numbers come to."""
    if found.n_labelled == 0:
        sentences = ["Nothing is labelled: no point decided over any superpixel."]
        return Verdict(level="poor", sentences=[*sentences, *_lost_points(found), _read_account(found)])
    told = _by_truth(found) if found.accuracy is not None else _by_votes(found)
    more = [*_contradictions(found), *_lost_points(found), *_missing_classes(found)]
    if not more or told.level not in {"good", "unknown"}:
        return Verdict(level=told.level, sentences=[*told.sentences, *more])
    words = ["Before you train on it, mind:" if text == TRAIN else text for text in told.sentences]
    return Verdict(level="check", sentences=[*words, *more])


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
    level = _level_of(found)
    overlap = "" if found.miou is None else f", at a mIoU of {found.miou:.2f}"
    covered = f"{percent(found.coverage)} of all pixels are labelled"
    trust = f"{percent(accuracy)} of the labelled pixels are right{overlap}; {covered}."
    if accuracy >= GOOD:
        doubtful = _doubtful_classes(found) or _missed_classes(found)
        level = "check" if doubtful and level == "good" else level
        return Verdict(level=level, sentences=[trust, *(doubtful or _good(found))])
    if found.superpixels is None:
        problem = "Why the others are wrong cannot be said without the label map."
        return Verdict(level=level, sentences=[trust, problem, "Inspect it where its cache is."])
    cause = max(CAUSES, key=lambda kind: found.error_pixels.get(kind) or 0)
    tell = {"mixed": _mixed, "wrong_vote": _wrong_votes, "filled_wrongly": _wrong_filling}[cause]
    return Verdict(level=level, sentences=[trust, *tell(found, found.error_pixels.get(cause) or 0)])


def _level_of(found: Inspection) -> str:
    """Return the worse of what the accuracy and the mIoU say."""
    scores = ((found.accuracy, GOOD, FAIR), (found.miou, GOOD_MIOU, FAIR_MIOU))
    return LEVELS[min((score >= good) + (score >= fair) for score, good, fair in scores if score is not None)]


def _doubtful_classes(found: Inspection) -> list[str]:
    """Tell of classes that many pixels are labelled as wrongly."""
    precisions = {name: facts.precision for name, facts in found.per_class.items() if facts.precision is not None}
    worst = sorted((share, name) for name, share in precisions.items() if share < DOUBTFUL)
    if not worst:
        return []
    named = ", ".join(f"{percent(share)} of what is labelled {name}" for share, name in worst)
    return [f"But only {named} is right.", f"Look at the superpixels labelled {worst[0][1]} before you train on them."]


def _missed_classes(found: Inspection) -> list[str]:
    """Tell of the class that keeps the mIoU low, where no class is labelled wrongly so often that it stands out."""
    if found.miou is None or found.miou >= GOOD_MIOU:
        return []
    ious = {name: facts.iou for name, facts in found.per_class.items() if facts.iou is not None}
    name = min(ious, key=ious.__getitem__)
    problem = f"But the classes are not found alike: the IoU of {name} is {ious[name]:.2f}."
    return [problem, f"Label more points of {name}, or look at where it is labelled as another class."]


def _good(found: Inspection) -> list[str]:
    if (found.coverage or 0.0) >= SPARSE:
        return ["No problem stands out.", TRAIN]
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


def _wrong_filling(found: Inspection, n_pixels: int) -> list[str]:
    part, step = percent(n_pixels / (found.error_pixels["wrong"] or 1)), _worst_step(found)
    name = step.stage if step else "a step"
    problem = f"{part} of the errors are in superpixels to which {name} gave a wrong class, not the vote."
    anew = ""
    if step and step.gained_accuracy is not None:
        anew = f": {percent(step.gained_accuracy)} of what it labelled anew is right"
    before = f"; the vote alone had {percent(found.steps[0].accuracy)} right" if found.steps else ""
    return [problem, f"Ask more of {name} before it fills, or label more points{anew}{before}."]


def _worst_step(found: Inspection) -> StepFacts | None:
    """Return the step of the lowest accuracy where it gave classes; where none gave any, that which changed most."""
    gained = [step for step in found.steps[1:] if step.gained_accuracy is not None]
    if gained:
        return min(gained, key=lambda step: step.gained_accuracy or 0.0)
    return max(found.steps[1:], key=lambda step: step.changed, default=None)


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
    contested = superpixels.contested or 0
    if (conflicts.share_of_contested or 0.0) >= MANY_CONFLICTS:
        where = f"{conflicts.superpixels:,} of the {contested:,} superpixels with several points"
        advice = "Look at the pictures: mixed superpixels should be smaller, wrong points be put right."
        return Verdict(level="check", sentences=[trust, f"In {where}, these are of different classes.", advice])
    if contested < FEW_CONTESTED * with_points:
        second = f"{contested:,} of {with_points:,} superpixels with points have a second opinion"
        return Verdict(level="unknown", sentences=[trust, f"Nothing here could contradict: {second}.", SAMPLE])
    single = f"{single_vote:,} of {with_points:,} superpixels with points rest on a single one"
    if single_vote > with_points / 2:
        words = f"{single}, which nothing contradicts and nothing confirms."
        return Verdict(level="unknown", sentences=[trust, words, SAMPLE])
    agreed = f"In {contested:,} superpixels points could contradict each other, and they hardly do."
    return Verdict(level="unknown", sentences=[trust, agreed, "Check a sample by eye before you train on it."])


def _contradictions(found: Inspection) -> list[str]:
    if not found.contradictions:
        return []
    n = len(found.contradictions)
    where = "once" if n == 1 else f"in {n:,} ways"
    return [f"The attribute tables of the points contradict themselves {where}, see Points on the page."]


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
