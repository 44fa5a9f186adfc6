"""Rasters and masks seen smaller, against arrays averaged or picked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from smallworld import CLASSES, two_fields, write_classes, write_raster

from superpoint.cache import views
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.tables import read_class_table
from superpoint.cache.views import View, read_mask_view, read_view
from superpoint.errors import InputError
from superpoint.tiles import Window

if TYPE_CHECKING:
    from pathlib import Path


def test_a_view_makes_the_longer_side_fit_and_then_cuts_the_centre() -> None:
    assert View.of((600, 900)).shape == (600, 900)
    assert View.of((600, 900), long_side=450).shape == (300, 450)
    assert View.of((600, 900), long_side=1800).shape == (600, 900)  # never larger
    assert View.of((600, 900), crop=(100, 200)).window == Window(row=250, col=350, n_rows=100, n_cols=200)
    assert View.of((600, 900), crop=(2000, 200)).window == Window(row=0, col=350, n_rows=600, n_cols=200)


def test_an_image_of_half_the_size_holds_means_of_four_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.uint8)
    raster = open_raster(write_raster(tmp_path / "a.tif", image))
    means = image.reshape(3, 20, 2, 30, 2).mean(axis=(2, 4))
    seen, valid = read_view(raster, View.of(raster.shape, long_side=30))
    np.testing.assert_allclose(seen, means, atol=0.51)  # GDAL averages bytes to bytes
    assert valid.all()
    seen, _ = read_view(raster, View.of(raster.shape, long_side=30, crop=(6, 8)))
    np.testing.assert_allclose(seen, means[:, 7:13, 11:19], atol=0.51)


def test_nodata_is_kept_apart_from_the_means(tmp_path: Path) -> None:
    image = np.full((2, 40, 60), 100, np.float32)
    image[:, :20] = -9999
    raster = open_raster(write_raster(tmp_path / "a.tif", image, nodata=-9999))
    seen, valid = read_view(raster, View.of(raster.shape, long_side=20))
    assert set(np.unique(seen[:, valid]).tolist()) == {100.0}
    assert not seen[:, ~valid].any()
    np.testing.assert_array_equal(valid.all(axis=1), np.arange(13) >= 20 * 13 / 40 - 0.5)


def test_a_view_of_the_same_size_is_a_window(tmp_path: Path) -> None:
    image, _ = two_fields((50, 70), seed=0)
    raster = open_raster(write_raster(tmp_path / "a.tif", image))
    seen, _ = read_view(raster, View.of(raster.shape, crop=(10, 20)))
    np.testing.assert_array_equal(seen, image[:, 20:30, 25:45])


def test_a_mask_is_picked_never_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "BLOCK", 16)
    truth = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), (50, 70))
    path = write_raster(tmp_path / "truth.tif", truth[None], nodata=255)
    mask = open_mask(path, read_class_table(write_classes(tmp_path / "classes.toml")))
    assert mask.classes.names == CLASSES.names
    np.testing.assert_array_equal(read_mask_view(mask, View.of((50, 70))), truth)
    np.testing.assert_array_equal(read_mask_view(mask, View.of((50, 70), long_side=35)), truth[1::2, 1::2])
    view = View.of((50, 70), long_side=23, crop=(9, 11))
    middles = [[int((i + 0.5) * n / m) for i in range(m)] for n, m in zip((50, 70), view.shape, strict=True)]
    expected = truth[np.ix_(*middles)][view.window.slices]
    np.testing.assert_array_equal(read_mask_view(mask, view), expected)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 600, 600)).astype(np.uint8)
    path = write_raster(tmp_path / "cut.tif", image)
    raster = open_raster(path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"cannot read .*cut\.tif: .*; get the file again"):
        read_view(raster, View.of(raster.shape, long_side=100))
