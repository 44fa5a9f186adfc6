"""What an experiment comes to, in plain sentences, by rules that are all here.

First how far the largest budget gets, alone and against the reference, then from where on more does not help, then
what is best and whether that can be told from the next, then what the reader has to know before believing any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from superpoint.experiments.estimates import estimate
from superpoint.experiments.results import value_text
from superpoint.experiments.scores import share_text
from superpoint.report.parts import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.experiments.curves import Curve
    from superpoint.experiments.estimates import Estimate
    from superpoint.experiments.findings import Findings, Ranked
    from superpoint.experiments.results import Axis, Value
    from superpoint.experiments.returns import Returns
    from superpoint.experiments.scores import Score

MOST_LINES = 4
"""Lines that are told of one by one; of more, only that of the best combination."""


def verdicts_of(findings: Findings) -> list[str]:
    """Return the sentences, the most important first."""
    if not findings.ranking:
        return [f"No cell has a value of {findings.metric.title} yet.", *_state(findings)]
    return [*_ends(findings), *_turns(findings), *_best(findings), *_caveats(findings), *_state(findings)]


def interval_text(score: Score, found: Estimate) -> str:
    """Return a mean with its interval, as `mIoU 0.412 (95 % interval 0.390 to 0.434, 3 repeats)`."""
    if found.low is None:
        return f"{score.title} {score.text(found.mean)} (1 repeat)"
    ends = f"{score.text(found.low)} to {score.text(found.high)}"
    return f"{score.title} {score.text(found.mean)} (95 % interval {ends}, {found.n} repeats)"


def _shown(findings: Findings) -> list[tuple[str, Curve]]:
    """Return the curves that are told of, with what their sentences begin with."""
    found = [
        (", ".join(part for part in (panel.name, curve.line.name) if part), curve)
        for panel in findings.panels
        for curve in findings.curves(panel)
        if not curve.line.is_reference and not curve.is_level
    ]
    if len(found) <= MOST_LINES:
        return found
    best = next((one.combination for one in findings.compared), None)
    return [(name, curve) for name, curve in found if best in curve.line.points]


def _ends(findings: Findings) -> Iterator[str]:
    """Say how far each line gets at its largest x."""
    if findings.layout.x is None:
        return
    for name, curve in _shown(findings):
        last = curve.combinations[-1]
        place = findings.layout.x.with_name(last.at[findings.layout.x.name])
        start = f"{name}, {place}" if name else _capital(place)
        ratio = _ratio_words(findings, findings.ratio_of(last))
        yield f"{start}: {interval_text(findings.metric, curve.estimates[-1])}{ratio}."


def _ratio_words(findings: Findings, ratio: Estimate | None) -> str:
    """Return how far something gets of the reference, and whether that is what was aimed at."""
    if ratio is None:
        return ""
    target = findings.question.target_ratio
    ends = "" if ratio.low is None else f" ({share_text(ratio.low)} to {share_text(ratio.high)})"
    words = "" if target is None else _against(target, ratio, less_is_better=findings.less_is_better)
    return f", {share_text(ratio.mean)} of {findings.reference_name}{ends}{words}"


def _against(target: float, ratio: Estimate, *, less_is_better: bool) -> str:
    """Say that a target is reached or missed where the interval settles it, and else only where the mean lies."""
    is_above = ratio.mean >= target
    if ratio.low is None or ratio.high is None or ratio.low < target <= ratio.high:
        repeats = count_text(ratio.n, "repeat")
        return f", {'above' if is_above else 'below'} the target of {value_text(target)}, which {repeats} cannot settle"
    return f", which {'misses' if is_above == less_is_better else 'reaches'} the target of {value_text(target)}"


def _turns(findings: Findings) -> Iterator[str]:
    """Say from where on more does not help."""
    axis = findings.layout.x
    if axis is None or findings.metric.better == "neither":
        return
    for name, curve in _shown(findings):
        found = curve.returns(less_is_better=findings.less_is_better)
        if found is not None:
            words = _turn_words(axis, found, float(curve.x[0]), float(curve.x[-1]))
            yield f"{name}: {words}" if name else _capital(words)


def _turn_words(axis: Axis, found: Returns, first: float, last: float) -> str:
    place, best = axis.with_name(_whole(found.x)), axis.with_name(_whole(found.best_x))
    if found.best_x == first:
        return f"nothing beyond {best} is better."
    if found.rule == "share-of-gain":
        return (
            f"95 % of the gain from {axis.with_name(_whole(first))} to the best ({best}) is there at {place}; with one "
            "repeat, diminishing returns cannot be judged by the one-standard-error rule."
        )
    if found.x == last:
        return f"no diminishing returns up to {place}: all below is worse by more than one standard error."
    better = "nothing beyond is better by more than one standard error"
    return f"diminishing returns from {place} on: {better} (best mean at {best})."


def _best(findings: Findings) -> Iterator[str]:
    """Say what is best, and whether it can be told from the next; of the reference only how far it gets."""
    if findings.metric.better == "neither":
        return
    best, *others = findings.compared or findings.ranking
    words = interval_text(findings.metric, best.estimate)
    others = [one for one in others if findings.name_of(one.combination) != findings.name_of(best.combination)]
    if not others:
        name = _capital(findings.name_of(best.combination))
        yield f"{name}: {words}{_own_ratio(findings, best)}{_of_reference(findings, best)}."
        return
    start = f"Best{_rivals(findings)}: {findings.results.text_of(_told_place(findings, best))}"
    margin = f"; {_margin(findings, best, others[0])}"
    yield f"{start}, {words}{_own_ratio(findings, best)}{margin}{_of_reference(findings, best)}."


def _rivals(findings: Findings) -> str:
    """Return what the best is the best of where that is not everything: what is compared with a reference."""
    if not findings.question.reference:
        return ""
    common = _common(findings)
    names = [axis.with_name(value) for axis in findings.results.axes for name, value in common if name == axis.name]
    return f" of {', '.join(names)}" if names else f" but for {findings.reference_name}"


def _common(findings: Findings) -> list[tuple[str, Value]]:
    """Return the axes of the reference on which all that is compared with it has one value, with that value."""
    found = [
        (name, {one.combination.at.get(name) for one in findings.compared}) for name in findings.question.reference
    ]
    return [(name, next(iter(values))) for name, values in found if len(values) == 1]


def _told_place(findings: Findings, one: Ranked) -> dict[str, Value]:
    """Return the place of a combination without what the sentence has begun with."""
    said = {name for name, _ in _common(findings)}
    return {name: value for name, value in findings.place_of(one.combination).items() if name not in said}


def _of_reference(findings: Findings, best: Ranked) -> str:
    """Return how far the reference of a combination gets, if there is one."""
    asked = findings.question.reference
    other = findings.results.reference_of(best.combination, asked) if asked else None
    if other is None or other is best.combination:
        return ""
    found = estimate(other.values(findings.metric.name))
    return "" if found is None else f"; {findings.reference_name} {findings.metric.text(found.mean)}"


def _own_ratio(findings: Findings, best: Ranked) -> str:
    """Return the ratio to the reference where no sentence about the ends of lines says it."""
    is_said = findings.layout.x or findings.is_reference(best.combination)
    return "" if is_said else _ratio_words(findings, findings.ratio_of(best.combination))


def _margin(findings: Findings, best: Ranked, second: Ranked) -> str:
    metric, other = findings.metric, findings.results.phrase_of(_told_place(findings, second))
    sign = -1 if findings.less_is_better else 1
    values = best.combination.values(metric.name) - second.combination.values(metric.name)
    gap = estimate(sign * values)
    if gap is None or gap.low is None:
        return f"next {other}, {metric.text(second.estimate.mean)}"
    ends = f"{metric.text(gap.mean)} (95 % interval {metric.text(gap.low)} to {metric.text(gap.high)}, paired)"
    judged = "more than chance between repeats" if gap.low > 0 else "not to be told from chance between repeats"
    return f"ahead of {other} by {ends}, which is {judged}"


def _caveats(findings: Findings) -> Iterator[str]:
    if findings.n_repeats == 1:
        yield "One repeat each: no interval can be given, and a small difference may be chance."
    elif len({one.estimate.n for one in findings.ranking}) > 1:
        yield "Some combinations lack repeats that others have: their means are not of the same repeats, ratios are."


def _state(findings: Findings) -> Iterator[str]:
    counts, total = findings.results.counts, len(findings.results.cells)
    missing = ", ".join(f"{counts[name]:,} {name}" for name in ("failed", "waiting") if counts[name])
    if missing:
        yield f"{counts['done']:,} of {total:,} cells are done ({missing}): what is said here is of those."


def _whole(x: float) -> float:
    return int(x) if x == int(x) else x


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
