"""The numbers about a pseudo-mask equal those of a loop over pixels, however it is cut, and however many are pooled."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from superpoint.classes import IGNORE
from superpoint.inspection.census import Census, count_tile, merge
from superpoint.inspection.counts import Counts, PointCounts, pooled, step_counts, with_votes
from superpoint.inspection.findings import inspection_of
from superpoint.inspection.splits import confusion_of, truths_of
from superpoint.labels.evidence import Flag, PseudoLabels
from superpoint.superpixels.quality import achievable_segmentation_accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.inspection.facts import Inspection

NAMES = ("field", "road", "water")
IDS = np.array([0, 1, 7, 2**20, 2**32 - 1], np.uint32)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small pseudo-mask with its truth; what is known of superpixels is in the order of `IDS`."""

    labels: NDArray[np.uint32]
    truth: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    votes: NDArray[np.int64]
    shares: NDArray[np.float32]
    filled: tuple[bool, ...] = (False,) * len(IDS)

    def arrays(self, part: tuple[slice, slice] = np.s_[:, :]) -> dict[str, NDArray[Any]]:
        places = np.searchsorted(IDS, self.labels[part])
        flags = np.where((self.shares < 1) & (self.votes > 0), Flag.CONFLICT, 0).astype(np.uint8)
        flags |= np.where(self.filled, Flag.FILLED, 0).astype(np.uint8)
        found = {"classes": self.classes, "shares": self.shares, "votes": self.votes, "flags": flags}
        return {name: values[places] for name, values in found.items()} | {"truth": self.truth[part]}

    def census(self) -> Census:
        return count_tile(self.labels, **self.arrays())

    def counts(self, **changed: Any) -> Counts:  # noqa: ANN401  # any field
        census = self.census()
        mask = self.arrays()["classes"]
        facts = {
            "names": NAMES, "n_pixels": mask.size, "n_data": int((self.labels > 0).sum()), "census": census,
            "class_pixels": np.bincount(mask[mask != IGNORE], minlength=3),
            "confusion": confusion_of(census, census.classes, 3),
        }  # fmt: skip
        return Counts(**facts | changed)

    def inspected(self) -> Inspection:
        return inspection_of(self.counts(), n_worst=10)


@st.composite
def cases(draw: st.DrawFn, shape: tuple[int, int] = (6, 7)) -> Case:
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    labels = IDS[rng.integers(0, len(IDS), shape)]
    # Half of the pixels of a superpixel are of one class, so that there are pure ones, mixed ones and ties.
    own = rng.choice([0, 1, 2, IGNORE], len(IDS))
    truth = np.where(rng.random(shape) < 0.5, own[np.searchsorted(IDS, labels)], rng.choice([0, 1, 2, IGNORE], shape))
    classes = rng.choice([0, 1, 2, IGNORE], len(IDS))
    classes[0] = IGNORE
    votes = rng.integers(0, 4, len(IDS))
    votes[0] = 0
    shares = np.where(votes > 0, np.maximum(rng.integers(0, votes + 1), 1) / np.maximum(votes, 1), 0)
    return Case(
        labels=labels, truth=truth.astype(np.uint8), classes=classes.astype(np.uint8), votes=votes,
        shares=shares.astype(np.float32), filled=tuple(rng.random(len(IDS)) < 0.4),
    )  # fmt: skip


def split_by_hand(case: Case) -> Counter[str]:
    """Look at one pixel after the other."""
    found: Counter[str] = Counter()
    mask = case.arrays()["classes"]
    for at in np.ndindex(case.labels.shape):
        truth, label = case.truth[at], mask[at]
        if case.labels[at] == 0 or truth == IGNORE:
            continue
        inside = Counter(case.truth[(case.labels == case.labels[at]) & (case.truth != IGNORE)].tolist())
        if label == IGNORE:
            found["not_covered"] += 1
        elif label == truth:
            found["correct"] += 1
        else:
            giver = "filled_wrongly" if case.filled[int(np.searchsorted(IDS, case.labels[at]))] else "wrong_vote"
            found["mixed" if inside[label] == max(inside.values()) else giver] += 1
    return found


@settings(max_examples=50)
@given(cases())
def test_every_pixel_of_known_truth_is_right_or_wrong_for_one_reason(case: Case) -> None:
    found, by_hand = case.inspected(), split_by_hand(case)
    pixels = {kind: n for kind, n in found.error_pixels.items() if kind != "wrong"}
    assert pixels == {
        kind: by_hand[kind] for kind in ("correct", "mixed", "wrong_vote", "filled_wrongly", "not_covered")
    }
    total = sum(by_hand.values())
    if total:
        assert sum(Fraction(n, total) for n in pixels.values()) == 1
        assert sum(found.errors[kind] or 0 for kind in pixels) == pytest.approx(1, abs=1e-15)
        wrong = sum(found.errors[kind] or 0 for kind in ("mixed", "wrong_vote", "filled_wrongly"))
        assert found.errors["wrong"] == pytest.approx(wrong)


@given(cases())
def test_scores_are_of_the_labelled_pixels_of_known_truth(case: Case) -> None:
    found, mask = case.inspected(), case.arrays()["classes"]
    here = (case.labels > 0) & (case.truth != IGNORE)
    both = here & (mask != IGNORE)
    assert found.accuracy == (np.mean(mask[both] == case.truth[both]) if both.any() else None)
    for value, facts in enumerate(found.per_class.values()):
        said, true = both & (mask == value), both & (case.truth == value)
        assert facts.precision == (np.mean(true[said]) if said.any() else None)
        assert facts.recall == (np.mean(said[true]) if true.any() else None)
        assert facts.iou == ((said & true).sum() / (said | true).sum() if (said | true).any() else None)
        assert facts.true_pixels == (here & (case.truth == value)).sum()
        assert facts.pixels == ((mask == value) & (case.labels > 0)).sum()
        assert facts.superpixels == sum((case.classes == value) & np.isin(IDS, case.labels))


@given(cases())
def test_the_oracle_is_the_best_accuracy_and_equals_another_implementation(case: Case) -> None:
    found = case.inspected()
    here = (case.labels > 0) & (case.truth != IGNORE)
    if not here.any():
        assert found.oracle_accuracy is found.oracle_miou is None
        return
    accuracy = achievable_segmentation_accuracy(case.labels, case.truth)
    assert found.oracle_accuracy == pytest.approx(accuracy)
    assert found.purity is not None
    assert found.purity.mean == pytest.approx(accuracy)
    best = max(
        np.mean(np.array([IGNORE, *choice])[np.searchsorted(IDS, case.labels[here])] == case.truth[here])
        for choice in itertools.product(range(3), repeat=4)
    )
    assert found.oracle_accuracy == pytest.approx(best)


@given(cases())
def test_the_oracle_miou_is_that_of_the_map_of_majorities(case: Case) -> None:
    here = (case.labels > 0) & (case.truth != IGNORE)
    painted = np.full(case.labels.shape, IGNORE)
    for number in np.unique(case.labels[here]):
        inside = here & (case.labels == number)
        painted[inside] = np.bincount(case.truth[inside]).argmax()
    ious = [
        np.mean((painted == value)[here & ((painted == value) | (case.truth == value))] & (case.truth == value)[
            here & ((painted == value) | (case.truth == value))])
        for value in range(3)
        if (here & ((painted == value) | (case.truth == value))).any()
    ]  # fmt: skip
    assert case.inspected().oracle_miou == (pytest.approx(np.mean(ious)) if ious else None)


@settings(max_examples=60)
@given(cases(), st.integers(1, 6), st.integers(1, 7), st.randoms())
def test_tiles_in_any_order_count_what_the_whole_does(case: Case, rows: int, cols: int, random: Any) -> None:  # noqa: ANN401
    starts = list(itertools.product(range(0, 6, rows), range(0, 7, cols)))
    random.shuffle(starts)
    tiles = [
        count_tile(case.labels[part], **case.arrays(part), row=row, col=col)
        for row, col in starts
        for part in [np.s_[row : row + rows, col : col + cols]]
    ]
    merged, whole = merge(tiles), case.census()
    for name in ("superpixels", "areas", "boxes", "classes", "shares", "votes", "flags"):
        assert_array_equal(getattr(merged, name), getattr(whole, name))
    for name in ("superpixels", "classes", "pixels"):
        assert_array_equal(getattr(merged.overlaps, name), getattr(whole.overlaps, name))


def test_a_census_knows_area_box_and_true_classes() -> None:
    labels = np.array([[7, 7, 2**32 - 1], [0, 7, 2**32 - 1]], np.uint32)
    truth = np.array([[1, 2, IGNORE], [1, 2, 0]], np.uint8)
    mask = np.array([[1, 1, IGNORE], [IGNORE, 1, IGNORE]], np.uint8)
    nothing = np.zeros(labels.shape, np.uint8)
    found = count_tile(
        labels, classes=mask, shares=nothing.astype(np.float32), votes=nothing, flags=nothing, truth=truth, row=10
    )
    assert found.superpixels.tolist() == [7, 2**32 - 1]
    assert found.areas.tolist() == [3, 2]
    assert found.boxes.tolist() == [[10, 0, 11, 1], [10, 2, 11, 2]]
    assert found.overlaps.superpixels.tolist() == [7, 7, 2**32 - 1]
    assert found.overlaps.classes.tolist() == [1, 2, 0]
    assert found.overlaps.pixels.tolist() == [1, 2, 1]
    assert truths_of(found).majority.tolist() == [2, 0]


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        count_tile(
            np.zeros((2, 2), np.uint32), classes=np.zeros((2, 3), np.uint8), shares=np.zeros((2, 2), np.float32),
            votes=np.zeros((2, 2), np.uint8), flags=np.zeros((2, 2), np.uint8),
        )  # fmt: skip


@settings(max_examples=25)
@given(st.lists(cases(), min_size=2, max_size=3))
def test_several_pseudo_masks_count_as_one_of_all_their_pixels(several: list[Case]) -> None:
    """Beside each other, with ids of their own, they are one raster."""
    whole = inspection_of(pooled([case.counts() for case in several]), n_worst=10)
    by_hand = sum((split_by_hand(case) for case in several), Counter[str]())
    assert {k: n for k, n in whole.error_pixels.items() if n and k != "wrong"} == dict(by_hand)
    each = [case.inspected() for case in several]
    assert whole.n_labelled == sum(one.n_labelled for one in each)
    assert whole.points_per_superpixel == np.sum([one.points_per_superpixel for one in each], axis=0).tolist()
    assert whole.vote_shares == np.sum([one.vote_shares for one in each], axis=0).tolist()
    assert {worst.raster for worst in whole.worst} <= set(range(len(several)))


CASE = Case(
    labels=np.array([[1, 1, 1, 1, 7, 7, 7, 7, 2**20, 2**20]], np.uint32),
    truth=np.array([[0, 0, 0, 1, 1, 1, 1, 0, 2, 2]], np.uint8),
    classes=np.array([IGNORE, 0, 0, IGNORE, IGNORE], np.uint8),
    votes=np.array([0, 3, 1, 0, 0]),
    shares=np.array([0, 2 / 3, 1, 0, 0], np.float32),
)


def test_a_small_case_by_hand() -> None:
    found = CASE.inspected()
    assert found.coverage == 0.8
    assert found.accuracy == 4 / 8
    assert found.errors == {
        "correct": 0.4, "mixed": 0.1, "wrong_vote": 0.3, "filled_wrongly": 0.0, "not_covered": 0.2, "wrong": 0.4,
    }  # fmt: skip
    assert found.oracle_accuracy == 0.8
    assert found.reachable_accuracy == 6 / 8
    assert found.class_frequencies == {"field": 1.0, "road": 0.0, "water": 0.0}
    assert [facts.weight for facts in found.per_class.values()] == [1.0, None, None]
    assert found.points_per_superpixel[:4] == [1, 1, 0, 1]
    assert found.per_class["field"].wrong_superpixels == 1
    assert found.conflicts is not None
    assert (found.conflicts.superpixels, found.conflicts.share_of_contested) == (1, 1.0)
    assert found.conflicts.mean_vote_share == pytest.approx(5 / 6)
    assert found.flags["conflict"].pixels == 4
    assert [(one.superpixel, one.wrong_pixels, one.true_class) for one in found.worst] == [
        (7, 3, "road"),
        (1, 1, "field"),
    ]


def test_a_point_for_a_class_is_in_the_histogram_by_its_share() -> None:
    """One third as float32 is a little more than 1/3, 0.95 a little less than 0.95."""
    shares = np.array([0, 0.95, 1 / 3, 1, 0.5], np.float32)
    case = replace(CASE, votes=np.array([0, 20, 3, 1, 2]), shares=shares)
    assert np.flatnonzero(case.inspected().vote_shares).tolist() == [6, 19]


def test_without_a_truth_there_are_no_scores_and_conflicts_come_first() -> None:
    found = inspection_of(CASE.counts(confusion=None), n_worst=10)
    assert (found.accuracy, found.oracle_miou, found.errors, found.purity) == (None, None, {}, None)
    assert [one.superpixel for one in found.worst] == [1, 7]


def test_without_a_label_map_there_are_scores_but_no_reasons() -> None:
    found = inspection_of(CASE.counts(census=None), n_worst=10)
    assert found.accuracy == 0.5
    unknown = dict.fromkeys(("mixed", "wrong_vote", "filled_wrongly"))
    assert found.error_pixels == {"correct": 4, **unknown, "not_covered": 2, "wrong": 4}
    assert (found.superpixels, found.oracle_miou, found.conflicts, found.worst) == (None, None, None, [])


def labels_of(*classes: int) -> PseudoLabels:
    n = len(classes)
    return PseudoLabels(
        superpixels=IDS[1 : n + 1], classes=np.array(classes, np.uint8), shares=np.ones(n, np.float32),
        votes=np.ones(n, np.uint32), flags=np.zeros(n, np.uint8),
    )  # fmt: skip


def test_steps_tell_what_was_gained_lost_and_changed() -> None:
    stages = {"vote": labels_of(0, 0), "fill-nearest": labels_of(0, 0, 2), "remove-suspects": labels_of(IGNORE, 1, 2)}
    found = inspection_of(CASE.counts(steps=step_counts(CASE.census(), stages)), n_worst=0).steps
    assert [(one.stage, one.superpixels, one.gained, one.lost, one.changed) for one in found] == [
        ("vote", 2, 0, 0, 0), ("fill-nearest", 3, 1, 0, 0), ("remove-suspects", 2, 0, 1, 1),
    ]  # fmt: skip
    assert [one.accuracy for one in found] == [4 / 8, 6 / 10, 5 / 6]
    assert [one.coverage for one in found] == [0.8, 1.0, 0.6]
    assert [one.gained_accuracy for one in found] == [None, 1.0, None]


def points_of(agreeing: int, **states: int) -> PointCounts:
    return PointCounts(
        states=states, voted=np.array([20, 0, 0]), checked=np.array([20, 0, 0]), agreeing=np.array([agreeing, 0, 0])
    )


def verdict(**changed: Any) -> tuple[str, str]:  # noqa: ANN401  # any field of the counts
    found = inspection_of(CASE.counts(**{"points": points_of(20, used=4)} | changed), n_worst=0).verdict
    return found.level, " ".join(found.sentences)


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({}, "poor", "50 % of the labelled pixels are right, at a mIoU of 0.25; 80 % of all pixels are labelled. 75"),
        ({}, "poor", "votes that were wrong: most of the superpixel is of another class. Most of them are labelled f"),
        ({}, "poor", "All 20 points of field are right where they lie, but some are on the smaller part"),
        ({"points": points_of(15)}, "poor", "Look at the points of field: 5 of 20 are wrong there."),
        ({"points": None}, "poor", "Look at the points of field."),
        ({}, "poor", "No pixel is labelled road or water: nothing will be learned of it."),
        ({"points": points_of(20, used=4, outside=3)}, "poor", "3 of 7 points did not vote, 3 of them outside."),
        ({"census": None}, "poor", "cannot be said without the label map"),
        ({"confusion": np.array([[95, 1, 0, 9], [0, 4, 0, 0], [0, 0, 0, 0]])}, "check", "No problem stands out. Befor"),
        ({"confusion": np.array([[9, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]])}, "check", "the IoU of road is 0.00"),
        ({"confusion": np.array([[950, 0, 0, 0], [9, 0, 0, 0], [9, 0, 0, 0]])}, "poor", "the IoU of road is 0.00"),
        ({"confusion": np.array([[96, 2, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])}, "check", "But only 50 % of what"),
        ({"confusion": None}, "check", "In 1 of the 1 superpixels with several points, these are of different"),
        ({"class_pixels": np.zeros(3, np.int64)}, "poor", "Nothing is labelled"),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_numbers(changed: dict[str, Any], level: str, words: str) -> None:
    found = verdict(**changed)
    assert found[0] == level
    assert words in found[1]


def test_a_step_is_blamed_for_what_it_filled_wrongly() -> None:
    filled = replace(CASE, votes=np.array([0, 3, 0, 0, 0]))
    census = filled.census()
    census = replace(census, flags=np.where(census.votes > 0, census.flags, Flag.FILLED).astype(np.uint8))
    found = inspection_of(filled.counts(census=census), n_worst=0)
    assert (found.error_pixels["filled_wrongly"], found.per_class["field"].filled_wrongly) == (3, 3)
    assert found.error_pixels["wrong_vote"] == found.per_class["field"].wrong_superpixels == 0
    assert found.verdict.sentences[1].startswith("75 % of the errors are in superpixels to which a step gave")


def test_the_step_that_gives_the_most_wrong_classes_is_named() -> None:
    filled = replace(CASE, filled=(False, False, True, False, False))
    stages = {"vote": labels_of(0), "propagate": labels_of(0, 0), "fill-nearest": labels_of(0, 0, 2)}
    steps = step_counts(filled.census(), stages)
    sentences = inspection_of(filled.counts(steps=steps), n_worst=0).verdict.sentences
    assert "to which propagate gave a wrong class, not the vote" in sentences[1]
    assert sentences[2] == (
        "Ask more of propagate before it fills, or label more points: 25 % of what it labelled anew is right; "
        "the vote alone had 75 % right."
    )


def without_truth(**changed: Any) -> tuple[str, str]:  # noqa: ANN401  # any field of the counts
    case = replace(CASE, votes=np.array([0, 3, 2, 4, 0]), shares=np.array([0, 1, 1, 1, 0], np.float32))
    points = PointCounts(states={"used": 9}, voted=np.array([9, 1, 1]), checked=np.zeros(3), agreeing=np.zeros(3))
    facts = {"points": points, "class_pixels": np.array([8, 1, 1]), "confusion": None, "census": case.census()}
    found = inspection_of(case.counts(**facts | changed), n_worst=0).verdict
    return found.level, " ".join(found.sentences)


def test_nobody_is_told_to_train_on_what_no_truth_was_asked_about() -> None:
    level, words = without_truth()
    assert (level, "Train on it" in words) == ("unknown", False)
    assert "In 3 superpixels points could contradict each other" in words


def test_many_votes_of_one_row_are_one_opinion() -> None:
    assert (
        "Nothing here could contradict: 0 of 3 superpixels with points have a second opinion"
        in without_truth(contested=0)[1]
    )


def test_attribute_tables_that_contradict_themselves_are_to_be_checked() -> None:
    points = PointCounts(
        states={"used": 9}, voted=np.array([9, 1, 1]), checked=np.zeros(3), agreeing=np.zeros(3),
        contradictions=("code 4 means both barren and urban",),
    )  # fmt: skip
    level, words = without_truth(points=points)
    assert level == "check"
    assert "contradict themselves once, see Points on the page." in words


def test_what_annotators_did_adds_up_over_rasters() -> None:
    numbers = {"ann": np.array([4, 1, 3, 2])}
    one = replace(points_of(20, used=4), annotators=numbers)
    other = replace(points_of(20, used=4), annotators=numbers | {"bob": np.array([1, 1, 0, 0])})
    found = inspection_of(CASE.counts(points=one + other), n_worst=0).annotators
    assert (found["ann"].rows, found["ann"].share_outvoted, found["ann"].agreement) == (8, 0.25, 4 / 6)
    assert (found["bob"].share_outvoted, found["bob"].checked, found["bob"].agreement) == (1.0, 0, None)


def test_evidence_is_that_of_the_vote_whatever_steps_left_of_it() -> None:
    voted = PseudoLabels(
        superpixels=np.array([7, 9], np.uint32), classes=np.array([1, 1], np.uint8),
        shares=np.array([0.75, 1], np.float32), votes=np.array([4, 1], np.uint32),
        flags=np.array([Flag.CONFLICT, 0], np.uint8),
    )  # fmt: skip
    before = CASE.census()
    found = with_votes(before, voted)
    assert found.votes.tolist() == [0, 4, 0]
    assert found.shares.tolist() == [0, 0.75, 0]
    assert found.flags.tolist() == [before.flags[0], Flag.CONFLICT, 0]
    assert_array_equal(found.classes, before.classes)


def test_mixed_superpixels_are_blamed_where_they_cost_most() -> None:
    case = replace(CASE, truth=np.array([[0, 0, 0, 1, 0, 0, 1, 1, 2, 2]], np.uint8))
    sentences = case.inspected().verdict.sentences
    assert sentences[1].startswith("100 % of the errors are in superpixels that mix classes: no vote on these")
    assert "62 % right" in sentences[1]
    assert sentences[2].startswith("Make superpixels smaller")
