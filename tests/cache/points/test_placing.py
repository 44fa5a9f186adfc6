from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pytest
import rasterio.transform
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio import features
from shapely.geometry import LineString, Polygon, box

import superpoint.cache.points.placing
import superpoint.cache.points.systems
from superpoint.cache.georeference import Georeference
from superpoint.cache.points.burning import BLOCK, burn
from superpoint.cache.points.placing import PlacedPoints
from superpoint.classes import ClassTable
from superpoint.errors import InputError
from superpoint.points.matching import match_classes
from superpoint.points.naming import is_called
from superpoint.points.query import UNREADABLE
from superpoint.points.table import NO_SYSTEM, PIXELS, PointFile, PointTable

if TYPE_CHECKING:
    from collections.abc import Sequence

UTM, ETRS = (pyproj.CRS(code).to_wkt("WKT2_2019") for code in (32633, 3035))
GRID = Georeference(shape=(100, 150), transform=(10, 0, 500_000, 0, -10, 5_000_000), crs=UTM)
CLASSES = ClassTable.from_names(["road", "water"])


def table_of(
    places: Sequence[tuple[float, float]],
    *,
    system: int = 0,
    systems: tuple[str, ...] = (UTM,),
    **columns: Any,  # noqa: ANN401  # of the table
) -> PointTable:
    xs, ys = np.array(places, float).reshape(-1, 2).T
    files = (PointFile(name="p.gpkg", n_rows=len(xs), system=system),)
    labels = np.arange(len(xs), dtype=np.int32) % 2
    return PointTable(
        **(
            {"files": files, "systems": systems, "xs": xs, "ys": ys, "labels": labels, "names": ("road", "water")}
            | columns
        )
    )


def place(table: PointTable) -> PlacedPoints:
    return PlacedPoints(table=table, match=match_classes(table, CLASSES))


def pixels(table: PointTable, grid: Georeference = GRID, *names: str) -> list[tuple[int, int, int]]:
    points = place(table).on(grid, names=names or ("scene.tif",))
    assert points.origins is not None
    return list(zip(points.origins.tolist(), points.rows.tolist(), points.cols.tolist(), strict=True))


places_near_the_grid = st.lists(
    st.tuples(st.floats(499_900, 501_600), st.floats(4_998_900, 5_000_100)), min_size=1, max_size=30
)


@given(places=places_near_the_grid, turn=st.sampled_from([0, 25, 90, -140]), scans=st.sampled_from([0, 9]))
def test_the_points_inside_are_those_of_rasterio_in_the_order_of_the_table(
    places: list[tuple[float, float]], turn: float, scans: int
) -> None:
    affine = Affine(*GRID.transform) @ Affine.rotation(turn)
    grid = Georeference(shape=GRID.shape, transform=tuple(affine)[:6], crs=UTM)
    xs, ys = np.array(places).T
    rows, cols = rasterio.transform.rowcol(affine, xs, ys, op=math.floor)
    expected = [
        (number, int(row), int(col))
        for number, (row, col) in enumerate(zip(rows, cols, strict=True))
        if 0 <= row < 100 and 0 <= col < 150
    ]
    with pytest.MonkeyPatch.context() as patch:  # by looking at all places, or by their order along x
        patch.setattr(superpoint.cache.points.systems, "_SCANS", scans)
        patch.setattr(superpoint.cache.points.systems, "_IN_ORDER", 0)
        patch.setattr(superpoint.cache.points.placing, "_BLOCK", 4)
        assert pixels(table_of(places), grid) == expected


def test_points_are_reprojected_once_for_all_rasters_of_a_crs() -> None:
    xs, ys = pyproj.Transformer.from_crs(UTM, ETRS, always_xy=True).transform([500_004.0], [4_999_993.0])
    placed = place(table_of([(xs[0], ys[0])], systems=(ETRS,)))
    first = placed.on(GRID, names=["a"])
    assert (first.rows.tolist(), first.cols.tolist()) == ([0], [0])
    other = Georeference(shape=(5, 5), transform=(10, 0, 499_990, 0, -10, 5_000_000), crs=UTM)
    assert placed.on(other, names=["b"]).cols.tolist() == [1]
    assert len(placed._systems) == 1


def test_only_so_many_crss_are_kept() -> None:
    placed = place(table_of([(500_004.0, 4_999_993.0)]))
    for code in range(32630, 32640):
        placed.on(Georeference(shape=(1, 1), transform=GRID.transform, crs=pyproj.CRS(code).to_wkt()), names=["a"])
    assert len(placed._systems) == 4


def test_classes_annotators_and_origins_come_along() -> None:
    table = table_of(
        [(0, 0), (500_005, 4_999_995), (math.nan, 1), (500_015, 4_999_995)],
        labels=np.array([0, 1, 0, -1], np.int32),
        annotators=np.array([0, 1, 2, -1], np.int32),
        annotator_names=("a", "b", "c"),
    )
    points = place(table).on(GRID, names=["scene"])
    assert points.values.tolist() == [1, UNREADABLE]
    assert points.origins is not None
    assert points.annotators is not None
    assert (points.origins.tolist(), points.annotators.tolist()) == ([1, 3], [1, -1])


def test_pixels_are_on_every_raster_whatever_its_crs() -> None:
    table = table_of([(12.0, 3.5), (149.99, 99), (150, 0), (math.nan, 0)], system=PIXELS, systems=())
    for crs in (UTM, None):
        grid = Georeference(shape=GRID.shape, transform=GRID.transform, crs=crs)
        assert pixels(table, grid) == [(0, 3, 12), (1, 99, 149)]


@pytest.mark.parametrize("system", [0, PIXELS])
def test_a_row_that_names_a_raster_is_on_that_one_only(system: int) -> None:
    inside = [(500_005, 4_999_995)] if system == 0 else [(0, 0)]
    table = table_of(
        inside * 6,
        system=system,
        rasters=np.array([0, 1, 2, 3, -1, 4], np.int32),
        raster_names=("scene", "scene.tif", "/data/scene.tif", "other", "data/scene"),
    )
    assert [origin for origin, _, _ in pixels(table, GRID, "/data/scene.tif")] == [0, 1, 2, 4, 5]
    assert [origin for origin, _, _ in pixels(table, GRID, "/data/other.tif")] == [3, 4]


parts = st.sampled_from(["a", "b", "a.tif", "b.tif", "a.b.tif"])
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)


@given(texts=st.lists(paths, min_size=1, max_size=8, unique=True), names=st.lists(paths, min_size=1, max_size=3))
def test_the_rasters_that_rows_name_are_found_as_one_by_one(texts: list[str], names: list[str]) -> None:
    table = table_of([(0, 0)], rasters=np.zeros(1, np.int32), raster_names=tuple(texts))
    expected = [code for code, text in enumerate(texts) if is_called(text, names)]
    assert sorted(place(table)._called(names)) == expected


def test_places_and_rasters_without_any_crs_belong_together() -> None:
    table = table_of([(500_005, 4_999_985)], system=NO_SYSTEM, systems=())
    nowhere = Georeference(shape=GRID.shape, transform=GRID.transform, crs=None)
    assert pixels(table, nowhere) == [(0, 1, 0)]
    with pytest.raises(InputError, match=r"p.gpkg has no CRS; give the points' CRS with --points-crs, as EPSG:4326"):
        pixels(table)


def test_points_drawn_in_qgis_on_an_image_without_a_transform_have_rows_downwards() -> None:
    image = Georeference(shape=(10, 10), transform=(1, 0, 0, 0, 1, 0), crs=None)
    assert pixels(table_of([(2.5, -3.5), (9.9, -0.1)], system=NO_SYSTEM, systems=()), image) == [(0, 3, 2), (1, 0, 9)]
    assert pixels(table_of([(2.5, 3.5), (9.9, -0.1)], system=NO_SYSTEM, systems=()), image) == [(0, 3, 2)]


def test_world_coordinates_on_a_raster_without_a_crs_are_answered_with_the_ways_out() -> None:
    nowhere = Georeference(shape=GRID.shape, transform=(1, 0, 0, 0, 1, 0), crs=None)
    with pytest.raises(InputError) as raised:
        pixels(table_of([(1, 1)]), nowhere)
    sentence = str(raised.value)
    assert sentence.startswith("scene.tif has no CRS, so the world coordinates of p.gpkg lie nowhere on it")
    assert sentence.endswith("gdal_edit.py -a_srs EPSG:CODE 'scene.tif'")


# --- polygons and lines

POLYGON = Polygon([(500_003, 4_999_998), (500_251, 4_999_871), (500_120, 4_999_702), (499_900, 4_999_720)])
LINE = LineString([(500_003, 4_999_998), (500_333, 4_999_511), (501_700, 4_999_511)])


@pytest.mark.parametrize("turn", [0, 30])
@pytest.mark.parametrize("block", [BLOCK, 7])
def test_polygons_cover_pixels_by_their_centres_and_lines_those_they_touch(
    turn: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("superpoint.cache.points.burning.BLOCK", block)
    affine = Affine(*GRID.transform) @ Affine.rotation(turn)
    grid = Georeference(shape=GRID.shape, transform=tuple(affine)[:6], crs=UTM)
    for shape, touched in ((POLYGON, False), (LINE, True)):
        rows, cols, origins = burn(np.array([shape], object), np.array([shape.bounds]), np.array([7]), grid)
        burned = np.zeros(grid.shape, np.uint8)
        burned[rows, cols] = 1
        expected = features.rasterize([shape], out_shape=grid.shape, transform=affine, all_touched=touched)
        np.testing.assert_array_equal(burned, expected)
        assert len(rows) == expected.sum()
        assert set(origins.tolist()) == {7}


def test_burned_pixels_stand_where_their_row_does() -> None:
    table = table_of(
        [(500_005, 4_999_995), (math.nan, math.nan), (500_015, 4_999_995)],
        geometries=np.array([box(500_000, 4_999_980, 500_020, 4_999_990)], object),
        geometry_rows=np.array([1]),
    )
    assert pixels(table) == [(0, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 1)]


def test_a_polygon_is_burned_in_the_crs_of_the_raster() -> None:
    to_utm = pyproj.Transformer.from_crs(ETRS, UTM, always_xy=True)
    x, y = pyproj.Transformer.from_crs(UTM, ETRS, always_xy=True).transform(500_700, 4_999_500)
    shape = box(x - 100, y - 100, x + 100, y + 100)
    table = table_of(
        [(math.nan, math.nan)], systems=(ETRS,), geometries=np.array([shape], object), geometry_rows=np.array([0])
    )
    corners = Polygon([to_utm.transform(*corner) for corner in shape.exterior.coords])
    expected = features.rasterize([corners], out_shape=GRID.shape, transform=GRID.affine)
    assert sorted((row, col) for _, row, col in pixels(table)) == sorted(map(tuple, np.argwhere(expected).tolist()))
