"""Bootstrap intervals against a plain loop, against SciPy, and over many made-up datasets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from superpoint.metrics import ClassCounts, draw_rasters, percentile_interval, resample


def rasters(n: int, seed: int) -> list[ClassCounts]:
    rng = np.random.default_rng(seed)
    both = rng.integers(50, 100, (n, 3))
    more = rng.integers(0, 50, (2, n, 3))
    return [ClassCounts(both=b, true=b + t, predicted=b + p) for b, t, p in zip(both, *more, strict=True)]


def test_a_resample_has_as_many_rasters_as_there_are_and_each_as_often_as_any() -> None:
    draws = draw_rasters(7, n_resamples=20_000, seed=3)
    assert (draws.sum(axis=1) == 7).all()
    # Each is in 1 of 7 draws on average; 5 standard errors of a count of 7 x 20,000 draws are 0.013.
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.04)
    assert np.array_equal(draws, draw_rasters(7, n_resamples=20_000, seed=3))
    assert not np.array_equal(draws, draw_rasters(7, n_resamples=20_000, seed=4))


def test_a_resample_is_scored_as_if_its_rasters_were_the_dataset() -> None:
    counts, draws = rasters(5, seed=0), draw_rasters(5, n_resamples=20, seed=1)
    found = resample(counts, draws)
    for row, times in enumerate(draws):
        total = ClassCounts.none(3)
        for one, n in zip(counts, times, strict=True):
            for _ in range(n):
                total += one
        np.testing.assert_allclose(found.iou[row], total.iou)
        assert found.miou[row] == pytest.approx(float(total.miou))


def test_the_interval_is_that_of_scipys_bootstrap() -> None:
    counts = rasters(30, seed=2)
    ours = percentile_interval(resample(counts, draw_rasters(30, n_resamples=20_000, seed=5)).micro_iou, level=0.9)

    def micro_iou(places: np.ndarray) -> float:
        both, true, predicted = (
            sum(int(getattr(counts[p], name).sum()) for p in places) for name in ("both", "true", "predicted")
        )
        return both / (true + predicted - both)

    theirs = stats.bootstrap(
        (np.arange(30),), micro_iou, n_resamples=2_000, confidence_level=0.9, method="percentile", vectorized=False,
        rng=np.random.default_rng(6),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    np.testing.assert_allclose(ours, theirs, atol=0.1 * width)  # two draws of it differ by that much


def test_nine_of_ten_intervals_hold_the_score_of_all_rasters_there_are() -> None:
    """200 datasets of 40 rasters each, from a world whose score is known."""
    world = rasters(2_000, seed=7)
    true_score = float(sum(world, ClassCounts.none(3)).miou)
    rng, n_held = np.random.default_rng(8), 0
    for dataset in range(200):
        sample = [world[place] for place in rng.integers(0, len(world), 40)]
        scores = resample(sample, draw_rasters(40, n_resamples=400, seed=dataset)).miou
        low, high = percentile_interval(scores, level=0.9)
        n_held += low <= true_score <= high
    assert 0.82 <= n_held / 200 <= 0.97  # 4 standard errors around 0.9


def test_a_class_that_is_on_one_raster_is_judged_by_the_resamples_that_hold_it() -> None:
    rare = ClassCounts(both=np.array([9, 3]), true=np.array([9, 4]), predicted=np.array([9, 3]))
    common = ClassCounts(both=np.array([9, 0]), true=np.array([9, 0]), predicted=np.array([9, 0]))
    scores = resample([rare, common, common], draw_rasters(3, n_resamples=100, seed=0)).iou
    assert np.isnan(scores[:, 1]).any()
    np.testing.assert_array_equal(percentile_interval(scores, level=0.95), [[1, 0.75], [1, 0.75]])


def test_a_score_that_no_resample_has_gets_no_interval_and_no_warning() -> None:
    assert np.isnan(percentile_interval(np.full((10, 2), np.nan), level=0.95)).all()


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"above 0 and below 1, got {level}"):
        percentile_interval(np.zeros(3), level=level)
