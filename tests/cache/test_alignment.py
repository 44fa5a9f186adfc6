from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import Resampling, reproject

from superpoint.cache import alignment as alignment_module
from superpoint.cache.alignment import Alignment, read_nearest
from superpoint.cache.georeference import Georeference
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

GRID = Affine(10, 0, 500_000, 0, -10, 5_000_000)
SHAPE = (60, 70)


def grid_of(transform: Affine, shape: tuple[int, int]) -> Georeference:
    return Georeference(shape=shape, transform=tuple(transform)[:6], crs="EPSG:32633")


def aligned(transform: Affine, shape: tuple[int, int]) -> Alignment:
    alignment = Alignment.of(grid_of(GRID, SHAPE), grid_of(transform, shape))
    assert alignment is not None
    return alignment


@pytest.mark.parametrize(
    ("scale", "shift", "shape"),
    [
        ((2, 2), (0, 0), (30, 35)),  # 20 m under 10 m
        ((6, 6), (0, 0), (10, 12)),
        ((1.5, 0.7), (3.3, 1.2), (40, 80)),
        ((1, 1), (-4.2, 7.9), (60, 70)),
        ((0.3, 0.3), (0, 0), (200, 233)),
        ((2, 2), (10, 10), (9, 9)),  # in the middle only
        ((1, -1), (0, 60), (60, 70)),  # south-up
    ],
)
def test_the_nearest_pixel_is_the_one_that_gdals_warper_takes(
    make_raster: Callable[..., Path], scale: tuple[float, float], shift: tuple[float, float], shape: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).integers(1, 60_000, (1, *shape)).astype(np.uint16)
    transform = GRID @ Affine.translation(*shift) @ Affine.scale(*scale)
    expected = np.zeros(SHAPE, np.uint16)
    reproject(
        values[0], expected, src_transform=transform, src_crs="EPSG:32633", dst_transform=GRID, dst_crs="EPSG:32633",
        resampling=Resampling.nearest, tolerance=0,
    )  # fmt: skip
    window = Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1])
    alignment = aligned(transform, shape)
    with rasterio.open(make_raster(values, transform=transform)) as dataset:
        found, known = read_nearest(dataset, [1], window, alignment)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(known[0], expected > 0)
    np.testing.assert_array_equal(alignment.covers(window), expected > 0)


@pytest.fixture(scope="module")
def finer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Alignment, NDArray[Any], NDArray[Any]]:
    """Return a raster of thirds of pixels with holes, off the grid by some, and all of it on the grid."""
    shape, transform = (190, 222), GRID @ Affine.translation(-1.4, 2.6) @ Affine.scale(1 / 3)
    path = tmp_path_factory.mktemp("finer") / "a.tif"
    values = np.random.default_rng(1).integers(0, 4, (2, *shape)).astype(np.uint8)
    profile: dict[str, Any] = {"driver": "GTiff", "count": 2, "dtype": "uint8", "nodata": 0, "crs": "EPSG:32633"}
    with rasterio.open(path, "w", height=shape[0], width=shape[1], transform=transform, **profile) as dataset:
        dataset.write(values)
    dataset, alignment = rasterio.open(path), aligned(transform, shape)
    whole = read_nearest(dataset, [2, 1], Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1]), alignment)
    return dataset, alignment, *whole


@given(data=st.data())
def test_any_window_holds_what_the_whole_holds_there(
    finer: tuple[Any, Alignment, NDArray[Any], NDArray[Any]], data: st.DataObject
) -> None:
    dataset, alignment, whole, whole_known = finer
    row, col = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    n_rows, n_cols = data.draw(st.integers(1, SHAPE[0] - row)), data.draw(st.integers(1, SHAPE[1] - col))
    window = Window(row=row, col=col, n_rows=n_rows, n_cols=n_cols)
    values, known = read_nearest(dataset, [2, 1], window, alignment)
    np.testing.assert_array_equal(values, whole[:, *window.slices])
    np.testing.assert_array_equal(known, whole_known[:, *window.slices])


def test_a_raster_much_finer_than_the_grid_is_read_in_strips(
    finer: tuple[Any, Alignment, NDArray[Any], NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, alignment, whole, whole_known = finer
    monkeypatch.setattr(alignment_module, "STRIP_SAMPLES", 3000)
    window = Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1])
    values, known = read_nearest(dataset, [2, 1], window, alignment)
    np.testing.assert_array_equal(values, whole)
    np.testing.assert_array_equal(known, whole_known)


def test_a_window_beside_the_raster_is_all_unknown(
    finer: tuple[Any, Alignment, NDArray[Any], NDArray[Any]],
) -> None:
    dataset, alignment, *_ = finer
    values, known = read_nearest(dataset, [1], Window(row=500, col=0, n_rows=2, n_cols=3), alignment)
    assert not values.any()
    assert not known.any()


def test_grids_are_the_same_to_a_hundredth_of_a_pixel_at_every_corner() -> None:
    assert aligned(GRID @ Affine.translation(0.005, 0), SHAPE).is_same
    assert not aligned(GRID @ Affine.translation(0.02, 0), SHAPE).is_same
    assert not aligned(GRID @ Affine.scale(1.001), SHAPE).is_same
    assert not aligned(GRID, (60, 71)).is_same


def test_grids_that_are_turned_against_each_other_have_no_alignment_and_parallel_ones_do() -> None:
    turned = GRID @ Affine.rotation(30)
    assert Alignment.of(grid_of(GRID, SHAPE), grid_of(turned, SHAPE)) is None
    both = Alignment.of(grid_of(turned, SHAPE), grid_of(turned @ Affine.scale(2), (30, 35)))
    assert both is not None
    assert both.rows == pytest.approx((0.5, 0))


def test_rasters_that_do_not_touch_do_not_overlap() -> None:
    assert aligned(GRID @ Affine.translation(69, 59), SHAPE).overlaps
    assert not aligned(GRID @ Affine.translation(70, 0), SHAPE).overlaps
    assert not aligned(GRID @ Affine.translation(0, -60), SHAPE).overlaps
    assert aligned(GRID @ Affine.translation(0, 60) @ Affine.scale(1, -1), SHAPE).overlaps
