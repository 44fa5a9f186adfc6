from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import odc.geo.xr  # noqa: F401  # gives data arrays their .odc
import pyproj
import pytest
import rasterio
import rasterio.transform
import rioxarray
import xarray as xr
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from superpoint.cache.cogs import CogProfile, write_cog
from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, open_group
from superpoint.cache.rasters import open_raster
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import LabelSettings
from superpoint.tiles import TileGrid
from tests.smallworld import write_raster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

UTM, LONLAT = (pyproj.CRS(code).to_wkt("WKT2_2019") for code in ("EPSG:32633", "EPSG:4326"))
SITE = 'ENGCRS["site",EDATUM["peg"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
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
        (SITE, ["projection_x_coordinate", "projection_y_coordinate"]),
    ],
)
def test_axes_are_named_after_the_kind_of_crs(crs: str | None, names: list[str]) -> None:
    georeference = grid(crs=crs)
    assert [georeference.coordinate_attributes(axis)["standard_name"] for axis in "xy"] == names


@pytest.mark.parametrize(
    ("code", "units"),
    [
        ("EPSG:32633", ["metre", "metre"]),
        ("EPSG:4326", ["degrees_east", "degrees_north"]),
        ("EPSG:2193", ["metre", "metre"]),  # its first axis is the northing
        ("EPSG:2263", ["0.304800609601219 metre"] * 2),
    ],
)
def test_axes_have_the_units_of_their_crs(code: str, units: list[str]) -> None:
    georeference = grid(crs=pyproj.CRS(code).to_wkt("WKT2_2019"))
    assert [georeference.coordinate_attributes(axis)["units"] for axis in "xy"] == units


def test_the_conventions_state_crs_transform_and_bounds() -> None:
    attributes = grid().convention_attributes()
    assert attributes["proj:code"] == "EPSG:32633"
    assert pyproj.CRS(attributes["proj:wkt2"]) == pyproj.CRS(attributes["_CRS"]["wkt"]) == pyproj.CRS("EPSG:32633")
    assert attributes["spatial:transform"] == list(NORTH_UP)[:6]
    assert attributes["spatial:shape"] == [40, 70]
    assert tuple(attributes["spatial:bbox"]) == rasterio.transform.array_bounds(40, 70, NORTH_UP)
    assert {convention["name"] for convention in attributes["zarr_conventions"]} == {"proj:", "spatial:"}


def test_a_crs_that_is_only_like_one_with_a_code_gets_no_code() -> None:
    alike = pyproj.CRS("+proj=utm +zone=33 +ellps=WGS84")  # on no datum that is known
    assert alike.to_authority() == ("EPSG", "32633")
    attributes = grid(crs=alike.to_wkt("WKT2_2019")).convention_attributes()
    assert "proj:code" not in attributes
    assert pyproj.CRS(attributes["proj:wkt2"]) == alike


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


# --- what is written, as others see it: the value of a pixel is found at the pixel's place on the earth


class Case(NamedTuple):
    crs: str | None
    transform: Affine
    shape: tuple[int, int] = (40, 70)


class Seen(NamedTuple):
    """A raster as a reader sees it."""

    crs: pyproj.CRS | None
    transform: Affine
    values: NDArray[np.generic]
    nodata: float


CASES = {
    "projected": Case("EPSG:32633", NORTH_UP),
    "geographic": Case("EPSG:4326", Affine(1 / 3e5, 0, 11 + 1 / 3, 0, -1 / 7e5, 47.2)),
    "northing first": Case("EPSG:2193", Affine(0.1, 0, 1_570_000, 0, -0.1, 5_180_000)),
    "feet": Case("EPSG:2263", Affine(2, 0, 900_000, 0, -2, 200_000)),
    "with heights": Case("EPSG:32633+5773", NORTH_UP),
    "of nobody": Case("+proj=laea +lat_0=10 +lon_0=20 +ellps=WGS84", NORTH_UP),
    "rotated": Case("EPSG:32633", NORTH_UP @ Affine.rotation(20)),
    "transposed": Case("EPSG:32633", Affine(0, 10, 500_000, 10, 0, 5_000_000)),
    "south-up": Case("EPSG:32633", Affine(10, 0, 500_000, 0, 10, 5_000_000)),
    "south-up, geographic": Case("EPSG:4326", Affine(0.001, 0, 11.5, 0, 0.002, 47.2)),
    "east to west": Case("EPSG:32633", Affine(-10, 0, 500_000, 0, -10, 5_000_000)),
    "past 180 degrees": Case("EPSG:4326", Affine(0.01, 0, 179.9, 0, -0.01, -16)),
    "before -180 degrees": Case("EPSG:4326", Affine(0.01, 0, -180.2, 0, -0.01, -16)),
    "zone 60, past its edge": Case("EPSG:32760", Affine(1000, 0, 800_000, 0, -1000, 8_200_000)),
    "zone 1, before its edge": Case("EPSG:32701", Affine(1000, 0, 140_000, 0, -1000, 8_200_000)),
    "no CRS": Case(None, NORTH_UP),
    "nothing": Case(None, Affine.identity()),
    "one pixel": Case("EPSG:32633", NORTH_UP, (1, 1)),
    "one row": Case("EPSG:4326", Affine(0.001, 0, 11.5, 0, -0.002, 47.2), (1, 70)),
    "one column": Case("EPSG:32633", NORTH_UP, (40, 1)),
}
UNSEEN_BY_GDAL = ("rotated", "transposed", "one pixel", "one row", "one column")
"""In Zarr, up to GDAL 3.12: it takes the transform from `x` and `y`, of two values at least."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Write a raster of a case, and label maps on the grid that is read from it: a Zarr group and a COG."""
    folder = tmp_path_factory.mktemp("outputs")
    known: dict[str, tuple[str, str]] = {}

    def write(case: str) -> tuple[str, str]:
        if case not in known:
            known[case] = write_outputs(folder / str(len(known)), CASES[case])
        return known[case]

    return write


def write_outputs(folder: Path, case: Case) -> tuple[str, str]:
    folder.mkdir()
    raster = write_raster(
        folder / "raster.tif", np.ones((1, *case.shape), np.uint8), crs=case.crs, transform=case.transform
    )
    georeference = open_raster(raster).georeference
    group = open_group(
        folder,
        kind="label-maps",
        name="case",
        georeference=georeference,
        tile_size=32,
        arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")},
        provenance={},
    )
    tiles = list(TileGrid(shape=case.shape, size=32))
    for tile in tiles:
        group.write_tile(tile, {"labels": ids(case.shape)[tile.core.slices]})
    profile = CogProfile(georeference=georeference, dtype="uint32", nodata=0, band_names=("labels",))
    blocks = ((tile.core, ids(case.shape)[tile.core.slices]) for tile in tiles)
    return group.path, str(write_cog(folder / "labels.tif", profile, blocks))


def ids(shape: tuple[int, int]) -> NDArray[np.uint32]:
    return np.arange(1, shape[0] * shape[1] + 1, dtype=np.uint32).reshape(shape)


def seen_by_gdal(name: str) -> Seen:
    with rasterio.open(name) as dataset:
        crs = pyproj.CRS(dataset.crs.to_wkt(version="WKT2_2019")) if dataset.crs else None
        return Seen(crs, dataset.transform, dataset.read(1), dataset.nodata)


def seen_by_rioxarray(array: xr.DataArray) -> Seen:
    crs = pyproj.CRS(array.rio.crs.to_wkt(version="WKT2_2019")) if array.rio.crs else None
    return Seen(crs, array.rio.transform(), array.to_numpy(), array.rio.nodata)


def seen_by_odc(array: xr.DataArray) -> Seen:
    box = array.odc.geobox
    return Seen(box.crs and box.crs.proj, box.transform, array.to_numpy(), array.odc.nodata)


def readings(zarr: str, cog: str, name: str = "labels") -> Iterator[tuple[str, Seen]]:
    """Read an array of a group, and the first band of a COG, in every way but GDAL's of Zarr."""
    yield "COG, GDAL", seen_by_gdal(cog)
    with rioxarray.open_rasterio(cog) as array:
        yield "COG, rioxarray", seen_by_rioxarray(array[0])
        yield "COG, odc.geo", seen_by_odc(array[0])
    for decode in ("coordinates", "all"):  # what xarray does by itself, and what rioxarray asks for
        with xr.open_zarr(zarr, decode_coords=decode) as dataset:
            yield f"Zarr, rioxarray, {decode}", seen_by_rioxarray(dataset[name])
            yield f"Zarr, odc.geo, {decode}", seen_by_odc(dataset[name])
            assert dataset.odc.geobox == dataset[name].odc.geobox


def is_in_place(seen: Seen, case: Case) -> bool:
    """Whether the centre of every pixel is where the raster has it."""
    rows, cols = (index.ravel() + 0.5 for index in np.indices(case.shape))
    # To a millionth of a pixel: GDAL computes a Zarr array's transform from the coordinates of its pixels.
    found = np.allclose(~seen.transform @ (case.transform @ (cols, rows)), (cols, rows), rtol=0, atol=1e-6)
    return found and seen.crs == (pyproj.CRS(case.crs) if case.crs else None)


def has_ids(seen: Seen, case: Case) -> bool:
    return np.array_equal(seen.values, ids(case.shape)) and seen.nodata == 0


quiet_readers = pytest.mark.filterwarnings(
    "ignore:Use `@` matmul:PendingDeprecationWarning",  # rioxarray multiplies transforms as affine 3 no longer likes
    "ignore::rasterio.errors.NotGeoreferencedWarning",  # some are meant not to be
)


@quiet_readers
@pytest.mark.parametrize("case", CASES)
def test_readers_find_every_pixel_in_its_place(outputs: Callable[[str], tuple[str, str]], case: str) -> None:
    for reader, seen in readings(*outputs(case)):
        assert is_in_place(seen, CASES[case]), reader
        assert has_ids(seen, CASES[case]), reader


@pytest.mark.parametrize("case", [case for case in CASES if case not in UNSEEN_BY_GDAL and CASES[case].crs])
def test_gdal_finds_every_pixel_of_a_zarr_array_in_its_place(
    outputs: Callable[[str], tuple[str, str]], case: str
) -> None:
    seen = seen_by_gdal(f'ZARR:"{outputs(case)[0]}":/labels')
    assert is_in_place(seen, CASES[case])
    assert has_ids(seen, CASES[case])


@pytest.mark.skipif(rasterio.__gdal_version__ >= "3.13", reason="GDAL 3.13 reads spatial:transform")
@pytest.mark.parametrize("case", UNSEEN_BY_GDAL)
def test_gdal_says_that_it_sees_no_transform_of_some_zarr_arrays(
    outputs: Callable[[str], tuple[str, str]], case: str
) -> None:
    with pytest.warns(NotGeoreferencedWarning):
        seen = seen_by_gdal(f'ZARR:"{outputs(case)[0]}":/labels')
    assert seen.crs == pyproj.CRS(CASES[case].crs)
    assert has_ids(seen, CASES[case])


@quiet_readers
@pytest.mark.parametrize("case", ["rotated", "past 180 degrees", "no CRS"])
def test_a_pseudo_mask_and_its_evidence_lie_where_their_raster_lies(tmp_path: Path, case: str) -> None:
    crs, transform, shape = CASES[case]
    image = np.random.default_rng(0).integers(0, 255, (3, *shape), np.uint8)
    raster = write_raster(tmp_path / "raster.tif", image, crs=crs, transform=transform)
    points, output = tmp_path / "points.csv", tmp_path / "mask.tif"
    points.write_text("row,col,class\n3,4,dark\n33,60,bright\n")
    settings = LabelSettings(rasters=[raster], points=points, cache=tmp_path, tile=32, region_size=8, output=output)
    (mask,) = label(settings)
    for array, cog in (("pseudo_mask", output), ("vote_share", output.with_suffix(".evidence.tif"))):
        expected = seen_by_gdal(str(cog))
        assert expected.nodata == {"pseudo_mask": 255, "vote_share": None}[array]  # 0 votes are no lack of data
        for reader, seen in readings(mask.path, str(cog), array):
            assert is_in_place(seen, CASES[case]), reader
            assert array != "pseudo_mask" or seen.nodata == 255
            np.testing.assert_array_equal(seen.values, expected.values)


@quiet_readers
@pytest.mark.parametrize("case", ["south-up", "east to west", "past 180 degrees"])
def test_values_are_selected_by_coordinates(outputs: Callable[[str], tuple[str, str]], case: str) -> None:
    _, transform, shape = CASES[case]
    x, y = transform @ (60.25, 33.75)
    with xr.open_zarr(outputs(case)[0]) as dataset, rasterio.open(outputs(case)[1]) as cog:
        assert dataset.labels.sel(x=x, y=y, method="nearest") == ids(shape)[33, 60]
        assert next(cog.sample([(x, y)])) == ids(shape)[33, 60]


def test_a_raster_across_the_antimeridian_is_one_piece_on_either_side_of_it(
    outputs: Callable[[str], tuple[str, str]],
) -> None:
    """Longitudes go on past 180, so that the place of a pixel is that of its longitude a turn less."""
    to_pacific = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3832", always_xy=True)
    with xr.open_zarr(outputs("past 180 degrees")[0]) as dataset:
        x, y = to_pacific.transform(dataset.x.to_numpy(), np.full(70, -16.0))
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], rtol=1e-9)
    turned = to_pacific.transform(np.array([179.905, 180.595 - 360]), np.full(2, -16.0))
    np.testing.assert_allclose((x[[0, -1]], y[[0, -1]]), turned, rtol=1e-12)
