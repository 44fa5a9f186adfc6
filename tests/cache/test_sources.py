from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine

from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.sources import LabelledRaster
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.scaling import Scaling
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSES = ClassTable.from_names(["a", "b"])
SCALING = Scaling(low=(10.0, 0.0), high=(20.0, 1.0))
MASK = np.tile(np.array([0, 1, IGNORE], np.uint8), (20, 10))


def test_a_window_is_the_scaled_image_and_its_labels(make_raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(1, 99, (2, 20, 30)).astype(np.uint8)
    values[:, 5, 5] = 0
    source = LabelledRaster(
        raster=open_raster(make_raster(values, nodata=0)),
        mask=open_mask(make_raster(MASK[None], name="mask.tif"), CLASSES),
        scaling=SCALING,
    )
    window = Window(row=4, col=3, n_rows=10, n_cols=12)
    expected = np.stack([(values[0] - 10.0) / 10, values[1] / 1.0]).astype(np.float32)
    expected[:, 5, 5] = 0
    assert source.shape == (20, 30)
    np.testing.assert_allclose(source.image(window), expected[:, *window.slices], rtol=1e-6)
    np.testing.assert_array_equal(source.labels(window), MASK[window.slices])


def test_a_mask_of_another_size_is_refused_with_both_sizes(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(make_raster(np.ones((2, 20, 31), np.uint8)))
    mask = open_mask(make_raster(MASK[None], name="mask.tif"), CLASSES)
    with pytest.raises(InputError, match=r"mask.tif has 20 x 30 pixels and .*scene.tif 20 x 31; put the mask"):
        LabelledRaster(raster=raster, mask=mask, scaling=SCALING)


def test_a_mask_that_lies_elsewhere_is_refused_and_one_that_lies_nowhere_is_not(
    make_raster: Callable[..., Path],
) -> None:
    raster = open_raster(make_raster(np.ones((2, 20, 30), np.uint8)))
    elsewhere = make_raster(MASK[None], name="elsewhere.tif", transform=Affine(10, 0, 500_010, 0, -10, 5_000_000))
    nowhere = make_raster(MASK[None], name="nowhere.tif", crs=None)
    with pytest.raises(InputError, match=r"elsewhere.tif and .*scene.tif lie on different grids"):
        LabelledRaster(raster=raster, mask=open_mask(elsewhere, CLASSES), scaling=SCALING)
    LabelledRaster(raster=raster, mask=open_mask(nowhere, CLASSES), scaling=SCALING)
