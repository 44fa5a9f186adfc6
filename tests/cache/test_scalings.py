from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import WINDOW_SAMPLES, n_reads, scaling_of, window_of
from superpoint.errors import InputError
from superpoint.scaling import PERCENTILES, Scaling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "float32"])
def test_the_scaling_is_numpys_percentiles_of_the_valid_pixels(
    make_raster: Callable[..., Path], tmp_path: Path, dtype: str
) -> None:
    values = np.random.default_rng(0).normal(20, 30, (2, 50, 60)).clip(0 if dtype[0] == "u" else -99, 120).astype(dtype)
    values[:, :10] = 3
    raster = open_raster(make_raster(values, nodata=3))
    valid = (values != 3).any(axis=0)
    scaling = scaling_of([raster], tmp_path / "cache")
    expected = np.percentile(values[:, valid].astype(np.float32), PERCENTILES, axis=1, method="lower")
    assert scaling == Scaling(low=tuple(expected[0].tolist()), high=tuple(expected[1].tolist()))


def test_several_rasters_are_pooled(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    values = [np.random.default_rng(seed).integers(seed, 900, (1, 30, 40)).astype(np.uint16) for seed in (0, 500)]
    rasters = [open_raster(make_raster(value, name=f"{index}.tif")) for index, value in enumerate(values)]
    low, high = np.percentile(np.stack(values), PERCENTILES, method="lower").tolist()
    assert scaling_of(rasters, tmp_path / "cache") == Scaling(low=(low,), high=(high,))


def test_a_raster_larger_than_a_window_is_measured_whole(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    window = math.isqrt(WINDOW_SAMPLES)
    values = np.zeros((1, 3, window + 500), np.uint8)
    values[:, :, window:] = 9
    scaling = scaling_of([open_raster(make_raster(values))], tmp_path / "cache")
    assert scaling == Scaling(low=(0.0,), high=(9.0,))


@pytest.mark.parametrize("value", [5.0, 0.1, -1e-30, 3e38])
def test_a_scaling_is_kept_and_comes_back_without_reading_the_raster(
    make_raster: Callable[..., Path], tmp_path: Path, value: float
) -> None:
    path = make_raster(np.full((1, 20, 30), value, np.float32))
    raster = open_raster(path)
    first = scaling_of([raster], tmp_path / "cache")
    path.unlink()
    assert (
        scaling_of([raster], tmp_path / "cache")
        == first
        == Scaling(low=(np.float32(value),), high=(np.float32(value),))
    )


def test_a_raster_that_changed_is_measured_again(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = scaling_of([open_raster(make_raster(np.full((1, 20, 30), 5, np.uint8)))], cache)
    path = make_raster(np.full((1, 20, 30), 6, np.uint8))
    os.utime(path, ns=(0, 12_345))
    assert scaling_of([open_raster(path)], cache) == Scaling(low=(6.0,), high=(6.0,)) != first


def test_other_bands_have_their_own_scaling(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    values = np.stack([np.full((20, 30), 5, np.uint8), np.full((20, 30), 8, np.uint8)])
    path = make_raster(values)
    found = [scaling_of([open_raster(path, bands=bands)], tmp_path / "cache") for bands in ((1,), (2, 1))]
    assert found == [Scaling(low=(5.0,), high=(5.0,)), Scaling(low=(8.0, 5.0), high=(8.0, 5.0))]


def test_a_raster_of_nothing_but_nodata_has_no_scaling_and_that_is_kept_too(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_raster(np.zeros((1, 20, 30), np.uint8), nodata=0)
    raster = open_raster(path)
    assert scaling_of([raster], tmp_path / "cache") is None
    path.unlink()
    assert scaling_of([raster], tmp_path / "cache") is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_progress_counts_every_pixel_of_every_read(
    make_raster: Callable[..., Path], tmp_path: Path, dtype: str
) -> None:
    n_cols = 2 * math.isqrt(WINDOW_SAMPLES // 2) - 700
    raster = open_raster(make_raster(np.ones((2, 3, n_cols), dtype)))
    assert window_of(raster) < n_cols < 2 * window_of(raster)
    counted: list[int] = []
    scaling_of([raster], tmp_path / "cache", on_pixels=counted.append)
    assert sum(counted) == 3 * n_cols * n_reads(dtype)
    assert len(counted) == 2 * n_reads(dtype)


@pytest.mark.parametrize("n_bands", [1, 4, 13, 224, 3000])
def test_what_is_read_at_a_time_does_not_grow_with_the_bands(make_raster: Callable[..., Path], n_bands: int) -> None:
    raster = replace(open_raster(make_raster(np.ones((1, 3, 3), np.uint8))), bands=(1,) * n_bands)
    assert window_of(raster) ** 2 * n_bands <= max(WINDOW_SAMPLES, 256**2 * n_bands)


@pytest.mark.parametrize("damage", ["", '{"low": [5.0', '{"low": [5.0]}', "[]"])
def test_a_kept_scaling_that_is_damaged_is_measured_again(
    make_raster: Callable[..., Path], tmp_path: Path, damage: str
) -> None:
    raster = open_raster(make_raster(np.full((1, 20, 30), 5, np.uint8)))
    cache = tmp_path / "cache"
    first = scaling_of([raster], cache)
    (file,) = (cache / "scalings").iterdir()
    file.write_text(damage)
    assert scaling_of([raster], cache) == first


def test_a_cache_that_cannot_be_written_is_refused(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    raster = open_raster(make_raster(np.ones((1, 20, 30), np.uint8)))
    with pytest.raises(InputError, match=r"cannot use the cache folder .*file.*; give another with --cache"):
        scaling_of([raster], tmp_path / "file")
