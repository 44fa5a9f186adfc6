from __future__ import annotations

import numpy as np
import pytest

from superpoint.errors import InputError
from superpoint.superpixels.adapters.fast_slic import MAX_CLUSTERS, FastSlic, _fastest
from superpoint.superpixels.algorithm import Origin
from superpoint.testing import check_superpixels

fast_slic = pytest.importorskip("fast_slic", reason="fast-slic needs a C++ compiler: the group bench installs it")


def test_it_keeps_the_contract() -> None:
    check_superpixels(FastSlic(region_size=8))


def test_its_fastest_class_gives_the_labels_of_its_plain_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    labels = [
        kind(num_components=144, compactness=50, num_threads=1).iterate(image)
        for kind in (fast_slic.Slic, _fastest(fast_slic))
    ]
    assert np.array_equal(*labels)


def test_more_than_32767_superpixels_keep_their_places() -> None:
    """Its int16 labels wrap there; no superpixel is far from another of its id all the same."""
    shape = (368, 368)
    labels = FastSlic(region_size=2, compactness=100)(
        np.full((3, *shape), 0.5, np.float32),
        np.ones(shape, bool),
        origin=Origin(raster_shape=shape),
        rng=np.random.default_rng(0),
    )
    assert labels.max() > 2**15
    assert np.bincount(labels.ravel())[1:].max() <= 16


def test_more_superpixels_than_it_can_count_are_refused() -> None:
    shape = (514, 514)
    with pytest.raises(InputError, match=f"counts {MAX_CLUSTERS:,} superpixels in one window and 66,049 are asked for"):
        FastSlic(region_size=2)(
            np.zeros((1, *shape), np.float32),
            np.ones(shape, bool),
            origin=Origin(raster_shape=shape),
            rng=np.random.default_rng(0),
        )
