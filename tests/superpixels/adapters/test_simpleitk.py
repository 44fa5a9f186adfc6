from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  # its own documents call it so

from superpoint.superpixels.adapters.simpleitk import SimpleItkSlic
from superpoint.superpixels.algorithm import Origin
from superpoint.testing import check_superpixels


def test_it_keeps_the_contract() -> None:
    check_superpixels(SimpleItkSlic(region_size=8))


def test_a_greater_compactness_leaves_its_grid_of_superpixels() -> None:
    image = np.random.default_rng(0).random((3, 60, 80), np.float32)
    labels = SimpleItkSlic(region_size=20, compactness=1e5)(
        image, np.ones((60, 80), bool), origin=Origin(raster_shape=(60, 80)), rng=np.random.default_rng(0)
    )
    sizes = np.bincount(labels.ravel())[1:]
    assert len(sizes) == 12
    assert sizes.min() >= 18 * 18  # it moves its seeds by a pixel, away from edges


def test_the_threads_of_everything_else_are_left_alone() -> None:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleItkSlic(region_size=8)(
        np.zeros((1, 20, 20), np.float32),
        np.ones((20, 20), bool),
        origin=Origin(raster_shape=(20, 20)),
        rng=np.random.default_rng(0),
    )
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == before


def test_it_has_no_exact_halo() -> None:
    assert SimpleItkSlic(region_size=10).halo() == 40
    with pytest.raises(ValueError, match="simpleitk-slic has no exact halo"):
        SimpleItkSlic().halo(exact=True)
