"""Every pixel a superpixel: a pseudo-mask then holds the points, or the pixels of the polygons, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from smallworld import CLASSES, CRS, TRANSFORM, write_classes, write_raster

from superpoint.errors import InputError
from superpoint.pipelines.label import PseudoMask, label
from superpoint.pipelines.settings import LabelSettings
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.pixels import Pixels
from superpoint.testing import check_superpixels, superpixelize_tiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (600, 530)  # four tiles of 512


def number(valid: NDArray[np.bool_], origin: Origin) -> NDArray[np.uint32]:
    image = np.zeros((1, *valid.shape), np.float32)
    return Pixels()(image, valid, origin=origin, rng=np.random.default_rng(0))


def label_pixels(folder: Path, **settings: object) -> PseudoMask:
    image = np.random.default_rng(0).integers(1, 255, (1, *SHAPE), np.uint8)
    image[:, 100:200, 100:200] = 0
    write_raster(folder / "scene.tif", image, nodata=0)
    return label(
        LabelSettings.model_validate(
            {"rasters": [folder / "scene.tif"], "classes": write_classes(folder / "classes.toml"), "tile": 512,
             "algorithm": "pixels", "cache": folder / "cache", "output": folder / "mask.tif"} | settings
        )
    )[0]  # fmt: skip


def read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        values: NDArray[np.uint8] = dataset.read(1)
        return values


def test_it_keeps_the_contract() -> None:
    check_superpixels(Pixels())


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile_size=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_ids_are_the_places_of_pixels_in_the_raster_whatever_the_tiles(
    shape: tuple[int, int], tile_size: int, seed: int
) -> None:
    valid = np.random.default_rng(seed).random(shape) < 0.8
    labels = superpixelize_tiles(Pixels(), np.zeros((1, *shape), np.float32), valid, tile_size=tile_size, halo=0)
    assert np.array_equal(labels, np.where(valid, 1 + np.arange(valid.size).reshape(shape), 0))


def test_the_last_pixel_that_uint32_can_number_has_its_number() -> None:
    origin = Origin(row=2**16 - 2, col=2**16, raster_shape=(2**16 - 1, 2**16 + 1))
    assert number(np.ones((1, 1), bool), origin).tolist() == [[2**32 - 1]]


def test_a_raster_of_more_pixels_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"65536 x 65536 pixels do not fit uint32, .* cut the raster into parts"):
        number(np.ones((1, 1), bool), Origin(raster_shape=(2**16, 2**16)))


@pytest.mark.parametrize("region_size", [20, 1.5])
def test_another_region_size_than_a_pixel_is_refused(region_size: float) -> None:
    with pytest.raises(InputError, match=rf"pixels: region_size must be 1, .* got {region_size:g}; leave the region"):
        make_algorithm("pixels", {"region_size": region_size})
    assert make_algorithm("pixels", {"region_size": 1}) == make_algorithm("pixels", {})


def test_a_pseudo_mask_of_pixels_holds_the_points_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows, cols, values = rng.integers(0, 600, 900), rng.integers(0, 530, 900), rng.integers(0, 2, 900)
    names = np.array(CLASSES.names)[values]
    pd.DataFrame({"row": rows, "col": cols, "class": names}).to_csv(tmp_path / "points.csv", index=False)
    made = label_pixels(tmp_path, points=tmp_path / "points.csv")
    expected = np.full(SHAPE, 255, np.uint8)
    for row, col, value in zip(rows, cols, values, strict=True):  # of two classes on one pixel the lower counts
        expected[row, col] = min(expected[row, col], value)
    expected[100:200, 100:200] = 255
    assert np.array_equal(read(tmp_path / "mask.tif"), expected)
    assert made.label_map.n_superpixels == 600 * 530 - 100 * 100
    assert sum(made.class_pixels.values()) == np.count_nonzero(expected != 255)


def test_most_votes_on_one_pixel_decide_it(tmp_path: Path) -> None:
    votes = pd.DataFrame({"row": 5, "col": [7, 7, 7, 8, 8], "class": ["bright", "dark", "bright", "dark", "bright"]})
    votes["annotator"] = [1, 2, 3, 1, 2]
    votes.to_csv(tmp_path / "points.csv", index=False)
    label_pixels(tmp_path, points=tmp_path / "points.csv", annotator_column="annotator", tie="ignore")
    mask = read(tmp_path / "mask.tif")
    assert mask[5, 7:9].tolist() == [1, 255]
    assert np.count_nonzero(mask != 255) == 1


def test_a_polygon_that_is_burned_in_becomes_a_mask_of_its_pixels(tmp_path: Path) -> None:
    polygon = shapely.Point(TRANSFORM @ (300, 300)).buffer(60)
    fields = gpd.GeoDataFrame({"class": ["bright"]}, geometry=[polygon], crs=CRS)
    fields.to_file(tmp_path / "fields.gpkg")
    label_pixels(tmp_path, points=tmp_path / "fields.gpkg", geometries="burn")
    burnt = rasterio.features.rasterize([polygon], SHAPE, fill=255, transform=TRANSFORM, default_value=1)
    assert np.array_equal(read(tmp_path / "mask.tif"), burnt)
