from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine

from superpoint.cache import decoded
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


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_what_is_kept_decoded_is_what_the_files_hold(
    make_raster: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, dtype: type[np.generic]
) -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 20, 30)).astype(dtype)  # 0 in one band alone, or in both
    source = LabelledRaster(
        raster=open_raster(make_raster(values, nodata=0)),
        mask=open_mask(make_raster(MASK[None], name="mask.tif"), CLASSES),
        scaling=SCALING,
    )
    windows = [Window(row=row, col=col, n_rows=7, n_cols=9) for row, col in ((0, 0), (13, 21), (4, 8))]
    kept = [(source.image(window), source.labels(window)) for window in windows]
    monkeypatch.setattr(decoded, "LARGEST_PIXELS", 0)
    for window, (image, labels) in zip(windows, kept, strict=True):
        np.testing.assert_array_equal(image, source.image(window))
        np.testing.assert_array_equal(labels, source.labels(window))
        assert (image.dtype, labels.dtype) == (np.float32, np.uint8)


def test_a_mask_made_anew_is_read_anew(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(make_raster(np.ones((2, 20, 30), np.uint8)))
    whole = Window(row=0, col=0, n_rows=20, n_cols=30)
    for mask in (MASK, MASK[::-1, ::-1].copy()):
        opened = open_mask(make_raster(mask[None], name="mask.tif"), CLASSES)
        labels = LabelledRaster(raster=raster, mask=opened, scaling=SCALING).labels(whole)
        np.testing.assert_array_equal(labels, mask)


def test_what_was_used_longest_ago_makes_room_and_what_is_too_large_is_not_kept() -> None:
    kept, n_reads = decoded.RecentlyUsed(limit_bytes=20), 0

    def read(n_bytes: int) -> decoded.Arrays:
        nonlocal n_reads
        n_reads += 1
        return (np.zeros(n_bytes, np.uint8),)

    for key, n_bytes in (("a", 8), ("b", 8), ("a", 8), ("c", 8), ("large", 21), ("a", 8), ("b", 8)):
        kept.get(key, lambda n_bytes=n_bytes: read(n_bytes))
    assert (list(kept.arrays), kept.n_bytes, n_reads) == (["a", "b"], 16, 5)
