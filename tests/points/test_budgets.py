from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from superpoint.points.budgets import equal_shares, even_parts, proportional_shares, rounded_shares

counts = st.lists(st.integers(0, 60), min_size=1, max_size=9).map(lambda of: np.array(of, np.int64))


@given(available=counts, budget=st.integers(0, 400))
def test_shares_add_up_to_the_budget_exactly_and_nobody_gives_more_than_there_is(
    available: np.ndarray[tuple[int], np.dtype[np.int64]], budget: int
) -> None:
    for divide in (equal_shares, proportional_shares):
        quotas = divide(available, budget)
        assert quotas.sum() == min(budget, available.sum())
        assert (quotas <= available).all()
        assert (quotas >= 0).all()


@given(available=counts, budget=st.integers(0, 400))
def test_a_proportional_share_is_the_exact_one_rounded_up_or_down(
    available: np.ndarray[tuple[int], np.dtype[np.int64]], budget: int
) -> None:
    budget = min(budget, int(available.sum()))
    exact = available * (budget / max(available.sum(), 1))
    assert (np.abs(proportional_shares(available, budget) - exact) < 1 + 1e-9).all()


def test_of_equal_remainders_the_first_is_rounded_up() -> None:
    assert proportional_shares(np.array([5, 5, 5]), 4).tolist() == [2, 1, 1]


def test_no_overflow_where_budget_times_pixels_is_beyond_64_bits() -> None:
    assert proportional_shares(np.array([3 * 10**12, 10**12]), 10**8).tolist() == [75_000_000, 25_000_000]


def test_what_does_not_divide_evenly_goes_to_the_first() -> None:
    assert even_parts(4, 50).tolist() == [13, 13, 12, 12]
    assert even_parts(0, 50).tolist() == []


def test_a_fraction_is_rounded_half_up_and_one_at_least_but_none_of_nothing() -> None:
    assert rounded_shares(np.array([0, 1, 149, 150, 250, 100_000]), 0.01).tolist() == [0, 1, 1, 2, 3, 1000]
