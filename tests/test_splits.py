"""Whole groups go to one split, and each split gets about its share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.splits import SPLITS, divide_groups, named_groups

groups_of_items = st.lists(st.sampled_from("abcdefghij"), min_size=3, max_size=60).filter(
    lambda g: len(set(g)) >= 3
)  # a group for each split


@given(groups=groups_of_items, seed=st.integers(0, 99))
def test_every_group_has_one_split_and_no_split_is_empty(groups: list[str], seed: int) -> None:
    found = divide_groups(groups, (0.6, 0.2, 0.2), np.random.default_rng(seed))
    assert set(found) == set(groups)
    assert set(found.values()) == set(SPLITS)


@given(n_groups=st.integers(1, 12), size=st.integers(1, 4), seed=st.integers(0, 99))
def test_groups_of_one_size_are_divided_as_asked(n_groups: int, size: int, seed: int) -> None:
    groups = [str(group) for group in range(5 * n_groups) for _ in range(size)]
    found = Counter(divide_groups(groups, (60, 20, 20), np.random.default_rng(seed)).values())
    assert found == {"train": 3 * n_groups, "validation": n_groups, "test": n_groups}


def test_another_seed_is_another_division() -> None:
    groups = [str(group) for group in range(30)]
    divisions = {tuple(divide_groups(groups, (1, 1, 1), np.random.default_rng(s)).items()) for s in range(5)}
    assert len(divisions) == 5


def test_a_share_of_nothing_gets_nothing() -> None:
    found = divide_groups(["a", "b"], (1, 0, 1), np.random.default_rng(0))
    assert sorted(found.values()) == ["test", "train"]


def test_fewer_groups_than_splits_are_refused() -> None:
    with pytest.raises(InputError, match="2 groups of rasters cannot be divided into train, validation, test"):
        divide_groups(["a", "b", "b"], (0.6, 0.2, 0.2), np.random.default_rng(0))


@pytest.mark.parametrize("shares", [(1, 1), (1, -1, 1), (0, 0, 0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="shares are three numbers"):
        divide_groups(["a", "b", "c"], shares, np.random.default_rng(0))


def test_a_group_that_is_named_twice_or_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="group 'a' is in train and in test; leave it in one"):
        named_groups(["a", "b"], {"train": ["a"], "test": ["a"]})
    with pytest.raises(InputError, match="no group 'c' for test; groups are a, b"):
        named_groups(["a", "b"], {"train": ["a"], "test": ["c"]})
