"""What there is to show of an experiment's results: curves, ratios, the ranking, and the sentences they come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from superpoint.experiments.curves import curve_of, layout_of, panels_of, ratio_curve_of
from superpoint.experiments.estimates import estimate, paired_ratios
from superpoint.experiments.scores import IOU, score_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from superpoint.experiments.curves import Curve, Layout, Panel
    from superpoint.experiments.estimates import Estimate
    from superpoint.experiments.results import Combination, Results, Value
    from superpoint.experiments.scores import Score


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the results: the table `[report]` of an experiment's file."""

    metric: str = "miou"
    metrics: tuple[str, ...] = ()
    """Further columns of the table."""
    x: str | None = None
    lines: str | None = None
    panels: str | None = None
    reference: Mapping[str, Value] = field(default_factory=dict)
    """Axis and value of what all is compared with; empty for nothing."""
    target_ratio: float | None = None
    """Ratio to the reference that is aimed at."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A combination with its estimate."""

    combination: Combination
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that is shown of results."""

    results: Results
    question: Question
    metric: Score
    layout: Layout
    panels: tuple[Panel, ...]
    ranking: tuple[Ranked, ...]
    """Combinations by the metric, the best first; those without a value are left out."""

    @property
    def n_repeats(self) -> int:
        """The most repeats that any combination has a value of."""
        return max((one.estimate.n for one in self.ranking), default=0)

    @property
    def reference_name(self) -> str:
        """The reference for people; empty if there is none."""
        named = self.question.reference.items()
        return ", ".join(self.results.named(name).with_name(value) for name, value in named)

    @property
    def class_scores(self) -> tuple[str, ...]:
        """The columns of IoU that any cell has a value of, in the order of the classes."""
        columns = [f"{IOU}{name}" for name in self.results.class_colours]
        known = {name for cell in self.results.cells for name in cell.scores}
        return tuple(name for name in columns if name in known)

    @property
    def less_is_better(self) -> bool:
        """Whether the metric is a loss."""
        return self.metric.better == "less"

    def curves(self, panel: Panel, score: str | None = None) -> list[Curve]:
        """Return a score, the metric if none is given, along the lines of a panel; empty ones are left out."""
        found = (curve_of(line, self.layout, score or self.metric.name) for line in panel.lines)
        return [curve for curve in found if curve.x.size]

    def ratios(self, panel: Panel) -> list[Curve]:
        """Return the metric along the lines of a panel over that of the reference; none of the reference itself."""
        reference = self.question.reference
        if not reference:
            return []
        lines = (line for line in panel.lines if not line.is_reference)
        found = (ratio_curve_of(line, self.layout, self.metric.name, self.results, reference) for line in lines)
        return [curve for curve in found if curve.x.size]

    def ratio_of(self, combination: Combination) -> Estimate | None:
        """Return the metric of a combination over that of the reference, paired by repeat."""
        reference = self.question.reference
        other = self.results.reference_of(combination, reference) if reference else None
        if other is None:
            return None
        name = self.metric.name
        return estimate(paired_ratios(combination.values(name), other.values(name)))

    @cached_property
    def _first_of_level(self) -> dict[int, Combination]:
        """The first combination that has a value of each line that x does not matter to, by all of that line."""
        level = [curve for panel in self.panels for curve in self.curves(panel) if curve.is_level]
        return {id(one): curve.combinations[0] for curve in level for one in curve.line.points}

    @property
    def distinct(self) -> list[Combination]:
        """All combinations, those of a line that x does not matter to only once and last, the reference after all."""
        first = self._first_of_level
        found = [one for one in self.results.combinations if first.get(id(one), one) is one]
        return sorted(found, key=lambda one: (self.is_reference(one), id(one) in first))

    @property
    def compared(self) -> list[Ranked]:
        """The ranking without the reference, which is no answer to what is best."""
        return [one for one in self.ranking if not self.is_reference(one.combination)]

    def place_of(self, combination: Combination) -> dict[str, Value]:
        """Return the place of a combination on the axes, None for x where that does not matter to it."""
        is_level = self.layout.x is not None and id(combination) in self._first_of_level
        return {**combination.at, **({self.layout.x.name: None} if self.layout.x and is_level else {})}

    def name_of(self, combination: Combination) -> str:
        """Return a combination for people."""
        return self.results.text_of(self.place_of(combination))

    def is_reference(self, combination: Combination) -> bool:
        """Whether a combination is the reference."""
        reference = self.question.reference
        return bool(reference) and all(combination.at.get(name) == value for name, value in reference.items())


def findings_of(results: Results, question: Question) -> Findings:
    """Return everything that is shown of results.

    Parameters
    ----------
    results : Results
        Of the experiment, finished or not.
    question : Question
        What is asked of them; its axes are axes of the results.
    """
    metric = score_of(question.metric)
    layout = layout_of(results, x=question.x, lines=question.lines, panels=question.panels)
    return Findings(
        results=results,
        question=question,
        metric=metric,
        layout=layout,
        panels=panels_of(results, layout, question.reference),
        ranking=tuple(ranking_of(results.combinations, metric)),
    )


def ranking_of(combinations: Sequence[Combination], score: Score) -> list[Ranked]:
    """Return combinations by the mean of a score, the best first; of equals, the first of the grid."""
    found = [(one, estimate(one.values(score.name))) for one in combinations]
    known = [Ranked(combination=one, estimate=mean) for one, mean in found if mean is not None]
    sign = 1 if score.better == "less" else -1
    return sorted(known, key=lambda one: sign * one.estimate.mean)
