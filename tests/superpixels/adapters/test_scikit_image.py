from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from superpoint.superpixels.adapters.scikit_image import Felzenszwalb, ScikitImageSlic
from superpoint.superpixels.algorithm import Origin
from superpoint.testing import check_superpixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm


def hills(n_bands: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((n_bands, *shape)), (0, 3, 3))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def superpixels(algorithm: SuperpixelAlgorithm, image: NDArray[np.float32]) -> NDArray[np.uint32]:
    shape = (image.shape[1], image.shape[2])
    return algorithm(image, np.ones(shape, bool), origin=Origin(raster_shape=shape), rng=np.random.default_rng(0))


@pytest.mark.parametrize("algorithm", [ScikitImageSlic(region_size=8), Felzenszwalb(region_size=8)])
def test_they_keep_the_contract(algorithm: SuperpixelAlgorithm) -> None:
    check_superpixels(algorithm)


def test_a_bright_roof_does_not_change_slic_elsewhere() -> None:
    image = hills(3, (90, 120))
    roof = image.copy()
    roof[:, :4, :4] = 50
    without, with_roof = (superpixels(ScikitImageSlic(region_size=10), each)[40:] for each in (image, roof))
    for labels in (without, with_roof):
        assert len(np.unique(labels)) > 30
    pairs = np.unique(np.stack([without.ravel(), with_roof.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_a_greater_compactness_makes_squares_of_slics_superpixels() -> None:
    image = hills(5, (60, 80))
    labels = superpixels(ScikitImageSlic(region_size=20, compactness=1e5), image)
    assert set(np.bincount(labels.ravel())[1:].tolist()) <= {361, 380, 399, 400, 420, 441}


def test_a_greater_region_size_or_scale_makes_fewer_regions() -> None:
    image = hills(4, (120, 140))
    counts = [int(superpixels(Felzenszwalb(region_size=size), image).max()) for size in (4, 8, 16, 32)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    coarse, fine = (superpixels(Felzenszwalb(region_size=4, scale=scale), image).max() for scale in (200, 1))
    assert coarse < fine


def test_no_region_of_felzenszwalb_is_smaller_than_it_may_be() -> None:
    labels = superpixels(Felzenszwalb(region_size=12), hills(3, (90, 90)))
    assert np.bincount(labels.ravel())[1:].min() >= 24


def test_many_bands_bring_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        superpixels(Felzenszwalb(region_size=8), hills(7, (30, 30)))


@pytest.mark.parametrize("name", ["scale", "sigma"])
def test_negative_parameters_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
        Felzenszwalb(**{name: -1})


@pytest.mark.parametrize("kind", [ScikitImageSlic, Felzenszwalb])
def test_the_halo_counts_the_smoothing(kind: type[ScikitImageSlic | Felzenszwalb]) -> None:
    assert kind(region_size=10, sigma=2).halo() == 48
    with pytest.raises(ValueError, match="has no exact halo"):
        kind().halo(exact=True)
