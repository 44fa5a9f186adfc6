"""Diminishing returns: the one-standard-error rule on curves made by hand, and what is said without repeats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.experiments.returns import diminishing_returns

BUDGETS = np.array([10.0, 20.0, 30.0, 40.0, 50.0])


@pytest.mark.parametrize(
    ("error_of_best", "expected"), [(0.005, 50.0), (0.011, 40.0), (0.021, 30.0), (0.11, 20.0), (0.5, 10.0)]
)
def test_the_smallest_within_one_standard_error_of_the_best_is_named(error_of_best: float, expected: float) -> None:
    means, errors = np.array([0.2, 0.31, 0.39, 0.40, 0.41]), np.full(5, 0.2)
    errors[-1] = error_of_best  # the errors of all others do not matter
    found = diminishing_returns(BUDGETS, means, errors)
    assert found is not None
    assert (found.x, found.best_x, found.rule) == (expected, 50.0, "one-standard-error")
    assert found.threshold == pytest.approx(0.41 - error_of_best)


def test_the_order_of_budgets_does_not_matter_and_gaps_are_left_out() -> None:
    means = np.array([0.41, 0.2, np.nan, 0.39, 0.40])
    found = diminishing_returns(np.array([50.0, 10, 20, 30, 40]), means, np.full(5, 0.021))
    assert found is not None
    assert found.x == 30


def test_a_loss_falls() -> None:
    losses = np.array([0.9, 0.5, 0.42, 0.41, 0.40])
    found = diminishing_returns(BUDGETS, losses, np.full(5, 0.03), less_is_better=True)
    assert found is not None
    assert (found.x, found.best_x) == (30, 50)
    assert found.threshold == pytest.approx(0.43)


def test_one_repeat_has_another_rule_of_another_name() -> None:
    """95 % of the gain from 0.20 to 0.40 is 0.39."""
    means = np.array([0.2, 0.36, 0.389, 0.391, 0.40])
    found = diminishing_returns(BUDGETS, means, np.full(5, np.nan))
    assert found is not None
    assert (found.x, found.rule) == (40, "share-of-gain")
    assert found.threshold == pytest.approx(0.39)


def test_a_best_that_is_the_smallest_is_where_returns_end() -> None:
    found = diminishing_returns(BUDGETS, np.array([0.5, 0.4, 0.3, 0.2, 0.1]), np.full(5, 0.01))
    assert found is not None
    assert (found.x, found.best_x) == (10, 10)


def test_one_budget_has_no_returns() -> None:
    means = np.array([0.5, np.nan, np.nan, np.nan, np.nan])
    assert diminishing_returns(BUDGETS, means, np.full(5, 0.01)) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2)), min_size=2, max_size=12))
def test_it_is_what_a_plain_loop_finds(points: list[tuple[float, float]]) -> None:
    means, errors = np.array(points).T
    found = diminishing_returns(np.arange(len(points), dtype=float), means, errors)
    best = max(points)[0]
    first_best = [mean for mean, _ in points].index(best)
    expected = next(x for x, (mean, _) in enumerate(points) if mean >= best - points[first_best][1])
    assert found is not None
    assert found.x == expected
