"""Seam ratios that are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from superpoint.superpixels.quality import seam_ratio


def test_the_ratio_is_counted_by_hand_on_a_small_map() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 3], [4, 4, 4, 4], [4, 4, 4, 4]], np.uint32)
    # Down: across the edge between rows 1 and 2, 4 of 4 steps change; elsewhere 1 of 8.
    # Across: between cols 1 and 2, 2 of 4 steps change; elsewhere 1 of 8.
    assert seam_ratio(labels, 2) == (pytest.approx(1 / (1 / 8)), pytest.approx((2 / 4) / (1 / 8)))


def test_random_labels_have_no_seam() -> None:
    labels = np.random.default_rng(0).integers(1, 5, (600, 600)).astype(np.uint32)
    assert seam_ratio(labels, 60) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))


def test_a_map_of_one_tile_has_no_tile_edges() -> None:
    assert all(math.isnan(ratio) for ratio in seam_ratio(np.ones((50, 60), np.uint32), 64))
