"""A raster in few pixels: what averaging it gives, from overviews or the whole, and nothing where that is dear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio

from superpoint.cache import glimpses
from superpoint.cache.glimpses import read_glimpse
from superpoint.cache.inputs import Source
from superpoint.cache.rasters import open_raster, open_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def image_of(n_bands: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, (n_bands, 64, 128)).astype(np.uint8)


def means(image: np.ndarray, side: int) -> np.ndarray:
    bands, rows, cols = image.shape
    return image.reshape(bands, rows // side, side, cols // side, side).mean(axis=(2, 4))


def test_a_small_raster_is_averaged(make_raster: Callable[..., Path]) -> None:
    image = image_of(3)
    found, valid = read_glimpse(open_raster(make_raster(image), bands=(3, 1)), 32)
    np.testing.assert_allclose(found, means(image, 4)[[2, 0]], atol=0.51)  # GDAL rounds averages of integers
    assert valid.all()


def test_nodata_is_not_valid(make_raster: Callable[..., Path]) -> None:
    image = image_of(1)
    image[:, :, :64] = 0
    found, valid = read_glimpse(open_raster(make_raster(image, nodata=0)), 32)
    np.testing.assert_array_equal(valid, np.arange(32) >= 16 + np.zeros((16, 1)))
    assert (found[:, ~valid] == 0).all()


def test_stacked_files_are_each_taken_as_a_whole(make_raster: Callable[..., Path]) -> None:
    image = image_of(2)
    fine = make_raster(image[:1], name="fine.tif")
    coarse = make_raster(image[1:, ::2, ::2], name="coarse.tif", transform=rasterio.Affine(20, 0, 5e5, 0, -20, 5e6))
    stack = open_source(Source(name="stack", paths=(str(fine), str(coarse))))
    found, _ = read_glimpse(stack, 32)
    np.testing.assert_allclose(found[0], means(image[:1], 4)[0], atol=0.51)
    np.testing.assert_allclose(found[1], means(image[1:, ::2, ::2], 2)[0], atol=0.51)


def test_a_large_raster_is_only_looked_at_through_overviews(
    make_raster: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glimpses, "CHEAP_PIXELS", 1000)
    path = make_raster(image_of(1))
    assert read_glimpse(open_raster(path), 32) is None
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4])
    assert read_glimpse(open_raster(path), 32) is not None


def test_a_damaged_raster_has_no_glimpse(make_raster: Callable[..., Path]) -> None:
    path = make_raster(image_of(1), compress="deflate")
    raster = open_raster(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert read_glimpse(raster, 32) is None
