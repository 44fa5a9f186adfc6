"""From cells to curves, ratios, rankings and sentences: small grids whose answers are worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.experiments.findings import Question, findings_of
from superpoint.experiments.results import Axis, GridCell, Results, axis_of_repeats, plain
from superpoint.experiments.scores import score_of
from superpoint.experiments.verdicts import verdicts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from superpoint.experiments.results import Value

POINTS = Axis(name="sample.n_points", values=(10, 20, 30))
KIND = Axis(name="supervision", values=("points", "masks"))
SEED = Axis(name="seed", values=(0, 1, 2))
DEVIATION = (-0.01, 0.0, 0.01)
HEIGHTS = {10: 0.20, 20: 0.395, 30: 0.40}


def score(at: Mapping[str, Value]) -> float:
    """Return 0.20, 0.395, 0.40 at 10, 20, 30 points and 0.50 of masks, one hundredth up and down by seed."""
    seed = at.get("seed", 1)
    noise = DEVIATION[seed] if isinstance(seed, int) else 0.0
    return 0.5 + noise if at.get("supervision") == "masks" else HEIGHTS[int(at["sample.n_points"])] + noise


def results_of(*axes: Axis, score: Callable[[Mapping[str, Value]], float] = score, missing: int = -1) -> Results:
    cells = []
    for number, values in enumerate(itertools.product(*(axis.values for axis in axes))):
        at = dict(zip((axis.name for axis in axes), values, strict=True))
        done = number != missing
        cells.append(
            GridCell(name=str(number), status="done" if done else "failed", at=at,
                     scores={"miou": score(at), "iou_road": 0.5 * score(at)} if done else {})
        )  # fmt: skip
    return Results(title="t", axes=axes, cells=tuple(cells), repeats=axis_of_repeats(axes, "seed"),
                   class_colours={"road": "#000000", "never": "#FFFFFF"})  # fmt: skip


def test_nothing_but_repeats_is_averaged_over() -> None:
    found = findings_of(results_of(POINTS, KIND, SEED), Question())
    (panel,) = found.panels
    assert [line.name for line in panel.lines] == ["points", "masks"]
    curve = found.curves(panel)[0]
    np.testing.assert_allclose(curve.means, [0.20, 0.395, 0.40])
    np.testing.assert_allclose(curve.values, np.add.outer([0.20, 0.395, 0.40], DEVIATION))
    assert [one.n for one in curve.estimates] == [3, 3, 3]


def test_axes_that_are_left_make_panels_and_then_names_of_lines() -> None:
    model, loss = Axis(name="train.model", values=("unet", "fcn")), Axis(name="train.loss", values=("mse", "pce"))
    found = findings_of(results_of(POINTS, KIND, model, loss, SEED), Question())
    assert [panel.name for panel in found.panels] == ["unet", "fcn"]
    assert [line.name for line in found.panels[0].lines] == ["points, mse", "points, pce", "masks, mse", "masks, pce"]


def test_an_axis_can_be_put_elsewhere() -> None:
    size = Axis(name="label.region_size", values=(5, 10, 20))
    found = findings_of(results_of(POINTS, size, SEED), Question(x="label.region_size", panels="sample.n_points"))
    assert found.layout.x == size
    assert [panel.name for panel in found.panels] == ["10 points", "20 points", "30 points"]
    assert [line.name for line in found.panels[0].lines] == [""]


def test_without_three_numbers_there_is_no_curve() -> None:
    found = findings_of(results_of(KIND, Axis(name="sample.n_points", values=(10, 20)), SEED), Question())
    assert found.layout.x is None


def test_a_line_that_x_does_not_matter_to_is_level_and_stands_once() -> None:
    found = findings_of(results_of(POINTS, KIND, SEED), Question(reference={"supervision": "masks"}))
    points, masks = found.curves(found.panels[0])
    assert (points.is_level, masks.is_level) == (False, True)
    assert [found.name_of(one) for one in found.distinct] == [
        "10 points, points", "20 points, points", "30 points, points", "masks",
    ]  # fmt: skip


def test_the_ratio_is_paired_by_repeat_and_not_that_of_the_reference_itself() -> None:
    found = findings_of(results_of(POINTS, KIND, SEED), Question(reference={"supervision": "masks"}))
    (curve,) = found.ratios(found.panels[0])
    by_hand = [[(HEIGHTS[x] + d) / (0.5 + d) for d in DEVIATION] for x in (10, 20, 30)]
    np.testing.assert_allclose(curve.values, by_hand)
    np.testing.assert_allclose(curve.means, np.mean(by_hand, axis=1))


def test_a_reference_that_has_no_x_is_the_reference_of_every_x() -> None:
    cells = [
        GridCell(name=f"{x}", status="done", at={"sample.n_points": x, "supervision": "points", "seed": 0},
                 scores={"miou": HEIGHTS[x]})
        for x in (10, 20, 30)
    ]  # fmt: skip
    masks = GridCell(name="m", status="done", at={"sample.n_points": None, "supervision": "masks", "seed": 0},
                     scores={"miou": 0.5})  # fmt: skip
    results = Results(title="t", axes=(POINTS, KIND, SEED), cells=(*cells, masks), repeats=SEED)
    found = findings_of(results, Question(reference={"supervision": "masks"}))
    (curve,) = found.ratios(found.panels[0])
    np.testing.assert_allclose(curve.means, [0.4, 0.79, 0.8])
    assert [curve.is_level for curve in found.curves(found.panels[0])] == [True, False]


def test_a_failed_cell_leaves_its_repeat_out() -> None:
    found = findings_of(results_of(POINTS, SEED, missing=0), Question())
    curve = found.curves(found.panels[0])[0]
    assert [one.n for one in curve.estimates] == [2, 3, 3]
    assert curve.means[0] == pytest.approx(0.205)
    assert verdicts_of(found)[-1] == "8 of 9 cells are done (1 failed): what is said here is of those."


def test_the_sentences_say_what_can_be_worked_out_by_hand() -> None:
    """s = 0.01 everywhere: standard error 0.00577, interval 4.3027 times that; 0.395 is within it of 0.40."""
    verdicts = verdicts_of(findings_of(results_of(POINTS, SEED), Question()))
    assert verdicts[0] == "30 points: mIoU 0.400 (95 % interval 0.375 to 0.425, 3 repeats)."
    assert verdicts[1] == (
        "Diminishing returns from 20 points on: nothing beyond is better by more than one standard error (best mean at "
        "30 points)."
    )
    assert verdicts[2] == (
        "Best: 30 points, mIoU 0.400 (95 % interval 0.375 to 0.425, 3 repeats); ahead of 20 points by 0.005 (95 % "
        "interval 0.005 to 0.005, paired), which is more than chance between repeats."
    )


def test_a_target_is_reached_or_missed_only_where_the_interval_settles_it() -> None:
    """The ratios at 30 points are 39/49, 40/50, 41/51: mean 0.800, interval 0.790 to 0.810."""
    reference = {"supervision": "masks"}
    results = results_of(POINTS, KIND, SEED)
    for target, words in ((0.7, "which reaches the target of 0.7."),
                          (0.795, "above the target of 0.795, which 3 repeats cannot settle."),
                          (0.805, "below the target of 0.805, which 3 repeats cannot settle."),
                          (0.95, "which misses the target of 0.95.")):  # fmt: skip
        first = verdicts_of(findings_of(results, Question(reference=reference, target_ratio=target)))[0]
        assert first.startswith(
            "points, 30 points: mIoU 0.400 (95 % interval 0.375 to 0.425, 3 repeats), 0.800 of masks"
        )
        assert first.endswith(words)
        assert ("reaches" in first, "misses" in first) == (target == 0.7, target == 0.95)


def test_one_repeat_settles_no_target() -> None:
    asked = Question(reference={"supervision": "masks"}, target_ratio=0.5)
    first = verdicts_of(findings_of(results_of(POINTS, KIND), asked))[0]
    assert first.endswith("0.800 of masks, above the target of 0.5, which 1 repeat cannot settle.")


def test_a_loss_reaches_its_target_from_above() -> None:
    asked = Question(metric="train_loss", reference={"supervision": "masks"}, target_ratio=0.9)
    results = results_of(POINTS, KIND, SEED)
    cells = tuple(replace(cell, scores={"train_loss": cell.scores["miou"]}) for cell in results.cells)
    first = verdicts_of(findings_of(replace(results, cells=cells), asked))[0]
    assert first.endswith("which reaches the target of 0.9.")


def test_the_reference_is_not_what_is_best_but_told_apart() -> None:
    found = findings_of(results_of(POINTS, KIND, SEED), Question(reference={"supervision": "masks"}))
    best = next(text for text in verdicts_of(found) if text.startswith("Best"))
    assert best.startswith("Best of points: 30 points, mIoU 0.400 (")
    assert "; ahead of 20 points by 0.005 (" in best
    assert best.endswith("; masks 0.500.")


def test_of_several_that_are_compared_the_names_stand_in_parentheses() -> None:
    algorithm = Axis(name="label.algorithm", values=("hers", "slic", "pixels"))
    gains = {"hers": 0.1, "slic": 0.05, "pixels": 0.2}
    results = results_of(POINTS, algorithm, SEED, score=lambda at: score(at) + gains[at["label.algorithm"]])
    best = verdicts_of(findings_of(results, Question(reference={"label.algorithm": "pixels"})))[-1]
    assert best.startswith("Best but for pixels: 30 points, hers, mIoU 0.500 (")
    assert "; ahead of 20 points (hers) by 0.005 (" in best
    assert best.endswith("; pixels 0.600.")


def test_one_that_is_compared_is_not_called_the_best() -> None:
    results = results_of(KIND, SEED, score=lambda at: {"points": 0.4, "masks": 0.5}[at["supervision"]])
    (only,) = verdicts_of(findings_of(results, Question(reference={"supervision": "masks"})))
    assert only.startswith("Points: mIoU 0.400 (")
    assert only.endswith("0.800 of masks (0.800 to 0.800); masks 0.500.")


def test_with_one_repeat_no_interval_and_no_rule_is_claimed() -> None:
    verdicts = verdicts_of(findings_of(results_of(POINTS), Question()))
    assert verdicts[0] == "30 points: mIoU 0.400 (1 repeat)."
    assert verdicts[1].startswith("95 % of the gain from 10 points to the best (30 points) is there at 20 points; with")
    assert "One repeat each: no interval can be given, and a small difference may be chance." in verdicts
    assert not any("95 % interval" in text for text in verdicts)


def test_a_difference_within_chance_is_called_so() -> None:
    noise = {("points", 0): 0.03, ("points", 1): -0.03, ("points", 2): 0.01}
    results = results_of(KIND, SEED, score=lambda at: 0.4 + noise.get((at["supervision"], at["seed"]), 0.0))
    (best,) = verdicts_of(findings_of(results, Question()))
    assert best.endswith("which is not to be told from chance between repeats.")


def test_of_a_loss_the_lowest_is_best() -> None:
    cells = [
        GridCell(name=kind, status="done", at={"supervision": kind}, scores={"train_loss": loss})
        for kind, loss in (("points", 0.3), ("masks", 0.2))
    ]
    found = findings_of(Results(title="t", axes=(KIND,), cells=tuple(cells)), Question(metric="train_loss"))
    assert [found.name_of(one.combination) for one in found.ranking] == ["masks", "points"]


def test_nothing_done_is_said_and_not_an_error() -> None:
    cell = GridCell(name="0", status="waiting", at={"sample.n_points": 10}, scores={})
    results = Results(title="t", axes=(POINTS,), cells=(cell,))
    assert verdicts_of(findings_of(results, Question())) == [
        "No cell has a value of mIoU yet.",
        "0 of 1 cells are done (1 waiting): what is said here is of those.",
    ]


def test_only_classes_that_have_a_value_are_shown() -> None:
    assert findings_of(results_of(POINTS, SEED), Question()).class_scores == ("iou_road",)


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [(("seed",), "seed", "seed"), (("train.seed",), "seed", "train.seed"),
     (("train.seed", "sample.seed"), "seed", None), (("x",), "seed", None)],
)  # fmt: skip
def test_the_axis_of_repeats_is_found_by_its_name_or_its_end(
    names: tuple[str, ...], asked: str, found: str | None
) -> None:
    axis = axis_of_repeats([Axis(name=name, values=(0, 1)) for name in names], asked)
    assert (axis.name if axis else None) == found


def test_values_of_lists_are_text_and_nan_is_none() -> None:
    assert plain([1, 2, 3]) == "[1,2,3]"
    assert plain(float("nan")) is None
    assert plain(np.float64(0.5)) == 0.5


def test_an_unknown_column_has_a_name_all_the_same() -> None:
    assert (score_of("gpu_hours").title, score_of("gpu_hours").text(1234.5)) == ("gpu hours", "1,234")
