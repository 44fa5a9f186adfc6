from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.metrics import MEANS, ClassCounts, SegmentationScores, confusion_matrix

# 3 classes; the last column is "none of the classes". Class 2 is neither true nor predicted.
HAND_MADE = np.array([[6, 2, 0, 0], [1, 4, 0, 3], [0, 0, 0, 0]])


def test_a_confusion_matrix_counts_pixel_by_pixel() -> None:
    truth = np.array([[0, 1, 1], [255, 0, 2]], np.uint8)
    predicted = np.array([[0, 1, 0], [1, 2, 2]], np.uint8)
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 3), [[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]])


@given(
    pixels=st.lists(st.tuples(st.sampled_from([0, 1, 2, 255]), st.sampled_from([-1, 0, 1, 2, 3, 255])), max_size=50),
    cut=st.integers(0, 50),
)
def test_parts_add_up_to_the_whole_and_every_labelled_pixel_is_in_one_cell(
    pixels: list[tuple[int, int]], cut: int
) -> None:
    truth, predicted = np.array(pixels, np.int64).reshape(-1, 2).T
    whole = confusion_matrix(truth, predicted, 3)
    parts = [confusion_matrix(truth[part], predicted[part], 3) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(parts[0] + parts[1], whole)
    expected = np.zeros((3, 4), np.int64)
    for true, guess in pixels:
        if true != 255:
            expected[true, guess if guess in (0, 1, 2) else 3] += 1
    np.testing.assert_array_equal(whole, expected)


def test_a_labelled_pixel_without_a_prediction_is_wrong() -> None:
    truth = np.zeros(4, np.uint8)
    scores = SegmentationScores(confusion=confusion_matrix(truth, np.array([0, 0, 255, 7]), 2))
    assert scores.pixel_accuracy == 0.5
    assert scores.iou[0] == scores.recall[0] == 0.5
    assert scores.precision[0] == 1


def test_an_unknown_true_value_is_named() -> None:
    with pytest.raises(InputError, match=r"value 7; classes run from 0 to 2 and unlabelled is 255"):
        confusion_matrix(np.array([0, 7]), np.array([0, 0]), 3)


def test_truth_and_prediction_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        confusion_matrix(np.zeros(2, int), np.zeros(3, int), 1)


def test_scores_are_those_worked_out_by_hand() -> None:
    scores = SegmentationScores(confusion=HAND_MADE)
    np.testing.assert_allclose(scores.iou, [6 / 9, 4 / 10, np.nan])
    np.testing.assert_allclose(scores.precision, [6 / 7, 4 / 6, np.nan])
    np.testing.assert_allclose(scores.recall, [6 / 8, 4 / 8, np.nan])
    np.testing.assert_allclose(scores.f1, [12 / 15, 8 / 14, np.nan])
    assert scores.miou == pytest.approx((6 / 9 + 4 / 10) / 2)
    assert scores.pixel_accuracy == pytest.approx(10 / 16)


def test_the_means_are_those_worked_out_by_hand() -> None:
    scores = SegmentationScores(confusion=HAND_MADE)
    # TP 6 + 4; the unions are 9 and 10 pixels; 8 true pixels each.
    assert scores.micro_iou == pytest.approx(10 / 19)
    assert scores.frequency_weighted_iou == pytest.approx((8 * 6 / 9 + 8 * 4 / 10) / 16)
    assert scores.mean_f1 == pytest.approx((12 / 15 + 8 / 14) / 2)
    # Chance: 8/16 of the truth times 7/16 and 6/16 of the map.
    chance = (8 * 7 + 8 * 6) / 16**2
    assert scores.kappa == pytest.approx((10 / 16 - chance) / (1 - chance))


def test_micro_iou_follows_from_the_pixel_accuracy_where_the_map_is_whole() -> None:
    """Every wrong pixel is then one too many for a class and one too few for another."""
    scores = SegmentationScores(confusion=np.array([[5, 3, 0], [1, 7, 0]]))
    assert scores.micro_iou == pytest.approx(scores.pixel_accuracy / (2 - scores.pixel_accuracy))


def test_a_class_predicted_where_it_never_is_has_iou_0_and_counts_in_the_mean() -> None:
    scores = SegmentationScores(confusion=np.array([[1, 1, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(scores.iou, [0.5, 0])
    assert scores.miou == 0.25


def test_a_perfect_prediction_scores_1_everywhere() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (20, 30)).astype(np.uint8)
    scores = SegmentationScores(confusion=confusion_matrix(labels, labels, 4))
    for mean in MEANS:
        assert getattr(scores, mean) == 1, mean
    assert (scores.iou == 1).all()
    assert (scores.f1 == 1).all()


def test_scores_of_nothing_are_nan_without_a_warning_and_null_in_json() -> None:
    scores = SegmentationScores(confusion=np.zeros((2, 3), np.int64))
    assert np.isnan([getattr(scores, mean) for mean in MEANS]).all()
    assert json.loads(json.dumps(scores.to_dict(["a", "b"]), allow_nan=False))["miou"] is None


def test_the_dictionary_is_json_and_holds_every_score_by_class_name() -> None:
    scores = SegmentationScores(confusion=HAND_MADE).to_dict(["road", "water", "tree"])
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores["n_pixels"] == 16
    assert scores["classes"]["water"] == {
        "iou": 0.4,
        "precision": pytest.approx(4 / 6),
        "recall": 0.5,
        "f1": pytest.approx(8 / 14),
        "n_pixels": 8,
    }
    assert scores["classes"]["tree"]["iou"] is None
    assert scores["confusion"] == HAND_MADE.tolist()


def test_kappa_of_one_class_alone_is_nan_as_chance_is_always_right() -> None:
    assert np.isnan(SegmentationScores(confusion=np.array([[9, 0, 0], [0, 0, 0]])).kappa)


def test_counts_add_up_and_keep_their_first_axes() -> None:
    one = SegmentationScores(confusion=HAND_MADE).counts
    two = one + one + ClassCounts.none(3)
    np.testing.assert_array_equal(two.iou, one.iou)
    both = ClassCounts(**{name: np.stack([getattr(c, name) for c in (one, two)]) for name in vars(one)})
    np.testing.assert_array_equal(both.iou, [one.iou, one.iou])
    for mean in MEANS:
        assert getattr(both, mean).tolist() == pytest.approx([float(getattr(one, mean))] * 2), mean


def test_a_square_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(classes, classes \+ 1\), got \(2, 2\)"):
        SegmentationScores(confusion=np.eye(2, dtype=np.int64))


def test_scoring_needs_no_pytorch() -> None:
    program = "import sys; import superpoint.metrics; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
