"""Means with Student's intervals and paired ratios, against SciPy and tables worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from superpoint.experiments.estimates import estimate, paired_ratios


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_is_that_of_scipy(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(0.4, 0.03, n)
    found = estimate(values, level=level)
    low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.standard_error == pytest.approx(stats.sem(values))


def test_three_repeats_by_hand() -> None:
    """Mean 0.4, s = 0.02, s / sqrt(3) = 0.011547; t(0.975, 2) = 4.302653 of the printed tables."""
    found = estimate(np.array([0.38, 0.40, 0.42]))
    assert found is not None
    assert found.mean == pytest.approx(0.4)
    assert found.deviation == pytest.approx(0.02)
    assert found.half_width == pytest.approx(4.302653 * 0.0115470, rel=1e-5)


def test_repeats_that_are_missing_do_not_count() -> None:
    assert estimate(np.array([0.1, np.nan, 0.3])) == estimate(np.array([0.1, 0.3]))


def test_one_repeat_has_a_mean_and_no_interval() -> None:
    found = estimate(np.array([np.nan, 0.5]))
    assert found is not None
    assert (found.mean, found.n, found.low, found.high, found.standard_error) == (0.5, 1, None, None, None)


def test_of_nothing_there_is_no_estimate() -> None:
    assert estimate(np.array([np.nan, np.nan])) is None
    assert estimate(np.empty(0)) is None


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_beyond_its_bounds_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        estimate(np.array([1.0, 2.0]), level=level)


def test_a_ratio_is_of_the_same_repeat() -> None:
    ratios = paired_ratios(np.array([0.2, 0.3, 0.4]), np.array([0.4, 0.5, 0.8]))
    np.testing.assert_allclose(ratios, [0.5, 0.6, 0.5])


def test_pairing_takes_out_what_repeats_have_in_common() -> None:
    """Two scores that rise and fall together have a sharp ratio, however far the seeds are apart."""
    common = np.array([0.2, 0.3, 0.4, 0.5])
    ratio = estimate(paired_ratios(0.9 * common, common))
    alone = estimate(0.9 * common)
    assert ratio is not None
    assert alone is not None
    assert ratio.mean == pytest.approx(0.9)
    assert ratio.half_width == pytest.approx(0, abs=1e-12)
    assert alone.half_width is not None
    assert alone.half_width > 0.1


def test_a_ratio_to_nothing_or_to_zero_is_none() -> None:
    ratios = paired_ratios(np.array([0.2, np.nan, 0.4, 0.1]), np.array([np.nan, 0.5, 0.0, 0.2]))
    assert np.isnan(ratios).tolist() == [True, True, True, False]
