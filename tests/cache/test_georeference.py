from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.transform
from affine import Affine

from superpoint.cache.georeference import Georeference

UTM, LONLAT = (pyproj.CRS(code).to_wkt("WKT2_2019") for code in ("EPSG:32633", "EPSG:4326"))
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def grid(transform: Affine = NORTH_UP, *, crs: str | None = UTM, shape: tuple[int, int] = (40, 70)) -> Georeference:
    return Georeference(shape=shape, transform=tuple(transform)[:6], crs=crs)


def test_coordinates_are_rasterios_pixel_centres() -> None:
    georeference = grid(Affine(0.3, 0, 11.5, 0, -0.7, 47.25), crs=LONLAT)
    coordinates = georeference.coordinates()
    xs, _ = rasterio.transform.xy(georeference.affine, np.zeros(70, int), np.arange(70))
    _, ys = rasterio.transform.xy(georeference.affine, np.arange(40), np.zeros(40, int))
    np.testing.assert_allclose(coordinates["x"], xs, rtol=1e-14)
    np.testing.assert_allclose(coordinates["y"], ys, rtol=1e-14)


def test_a_rotated_raster_has_no_coordinate_axes() -> None:
    rotated = grid(NORTH_UP @ Affine.rotation(20))
    assert rotated.is_rotated
    assert rotated.coordinates() == {}
    assert not grid().is_rotated


def test_the_geotransform_is_written_in_gdals_order_and_without_loss() -> None:
    transform = Affine(1 / 3, 0.1, 500_000.1, -0.1, -1 / 7, 5e6)
    text = grid(transform).spatial_ref_attributes()["GeoTransform"]
    assert tuple(float(number) for number in text.split()) == transform.to_gdal()


@pytest.mark.parametrize("code", ["EPSG:32633", "EPSG:4326", "EPSG:3035", "EPSG:2056"])
def test_cf_attributes_give_the_crs_back(code: str) -> None:
    wkt = pyproj.CRS(code).to_wkt("WKT2_2019")
    attributes = grid(crs=wkt).spatial_ref_attributes()
    assert pyproj.CRS.from_cf(attributes) == pyproj.CRS(code)
    assert attributes["spatial_ref"] == wkt


@pytest.mark.parametrize(
    ("crs", "names"),
    [
        (UTM, ["projection_x_coordinate", "projection_y_coordinate"]),
        (LONLAT, ["longitude", "latitude"]),
        (None, ["projection_x_coordinate", "projection_y_coordinate"]),
    ],
)
def test_axes_are_named_after_the_kind_of_crs(crs: str | None, names: list[str]) -> None:
    georeference = grid(crs=crs)
    assert [georeference.coordinate_attributes(axis)["standard_name"] for axis in "xy"] == names


def test_the_conventions_state_crs_transform_and_bounds() -> None:
    attributes = grid().convention_attributes()
    assert attributes["proj:code"] == "EPSG:32633"
    assert pyproj.CRS(attributes["proj:wkt2"]) == pyproj.CRS(attributes["_CRS"]["wkt"]) == pyproj.CRS("EPSG:32633")
    assert attributes["spatial:transform"] == list(NORTH_UP)[:6]
    assert attributes["spatial:shape"] == [40, 70]
    assert tuple(attributes["spatial:bbox"]) == rasterio.transform.array_bounds(40, 70, NORTH_UP)
    assert {convention["name"] for convention in attributes["zarr_conventions"]} == {"proj:", "spatial:"}


def test_the_bounds_of_a_rotated_raster_hold_its_four_corners() -> None:
    transform = NORTH_UP @ Affine.rotation(33)
    left, bottom, right, top = grid(transform).convention_attributes()["spatial:bbox"]
    xs, ys = transform @ (np.array([0, 70, 0, 70]), np.array([0, 0, 40, 40]))
    assert (left, bottom, right, top) == (xs.min(), ys.min(), xs.max(), ys.max())


def test_a_raster_without_a_crs_claims_none() -> None:
    attributes = grid(Affine.identity(), crs=None).convention_attributes()
    assert not {"proj:code", "proj:wkt2", "_CRS"} & set(attributes)
    assert [convention["name"] for convention in attributes["zarr_conventions"]] == ["spatial:"]
    assert set(grid(crs=None).spatial_ref_attributes()) == {"GeoTransform"}
