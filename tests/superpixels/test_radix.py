"""Sorting as NumPy's stable sort does."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from superpoint.superpixels.radix import ascending, descending

FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e300, 5e-324]), st.floats(allow_nan=False))


@given(arrays.arrays(np.float64, st.integers(0, 80), elements=FLOATS))
def test_values_descend_and_equal_ones_stay_in_order(values: np.ndarray) -> None:
    np.testing.assert_array_equal(descending(values), np.argsort(-values, kind="stable"))


@given(arrays.arrays(np.uint32, st.integers(0, 80)))
def test_numbers_ascend_and_equal_ones_stay_in_order(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal(ascending(numbers), np.argsort(numbers, kind="stable"))


def test_what_is_sorted_stays_as_it_is() -> None:
    values = np.array([2.0, 1.0, 3.0])
    descending(values)
    assert values.tolist() == [2.0, 1.0, 3.0]
