from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio.transform
from affine import Affine
from shapely.geometry import MultiPoint, Point

from superpoint.cache.georeference import Georeference
from superpoint.cache.tables import account_bytes, place_points, read_class_table, read_points
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.points.account import State
from superpoint.points.query import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from superpoint.points.query import QueryPoints

CODE = 32633
GRID = Georeference(
    shape=(100, 150), transform=(10, 0, 500_000, 0, -10, 5_000_000), crs=pyproj.CRS(CODE).to_wkt("WKT2_2019")
)
ROWS, COLS = np.array([0, 99, 7, 50]), np.array([0, 149, 80, 3])
XS, YS = GRID.affine @ (COLS + 0.4, ROWS + 0.7)
NAMES = ["road", "water", "road", "tall tree"]


def frame(*, crs: str | int | None = CODE) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"class": NAMES}, geometry=gpd.points_from_xy(XS, YS), crs=crs)


def write_text(path: Path, header: str, columns: list[Any], separator: str = ",") -> Path:
    lines = [separator.join(map(str, values)) for values in zip(*columns, strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def place(path: Path, *, crs: str | None = None, grid: Georeference = GRID, **settings: object) -> QueryPoints:
    table = read_points(path, class_column="class", crs=crs)
    arguments: dict[str, Any] = {"class_column": "class", "classes": None, "source": path, "raster": "scene.tif"}
    return place_points(table, grid, **(arguments | settings))[0]


def assert_placed(points: QueryPoints) -> None:
    np.testing.assert_array_equal(points.rows, ROWS)
    np.testing.assert_array_equal(points.cols, COLS)
    assert points.values.tolist() == [0, 2, 0, 1]


# --- files that give the same pixels


@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson", "p.shp", "p.parquet", "p.geoparquet"])
@pytest.mark.parametrize("code", [CODE, 4326, 3035])
def test_every_vector_format_and_crs_gives_the_same_pixels(tmp_path: Path, name: str, code: int) -> None:
    table = frame().to_crs(code)
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    elif name.endswith("json"):
        table.to_crs(4326).to_file(path)
    else:
        table.to_file(path)
    assert_placed(place(path))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", ["x,y,class", "X,Y,class", "easting,northing,class", "x , y , class ", "\ufeffx,y,class"]
)
def test_a_csv_of_world_coordinates_takes_the_crs_it_is_given(tmp_path: Path, header: str, separator: str) -> None:
    path = write_text(tmp_path / "p.csv", header.replace(",", separator), [XS, YS, NAMES], separator)
    assert_placed(place(path, crs=f"EPSG:{CODE}"))


@pytest.mark.parametrize("header", ["lon,lat,class", "longitude,latitude,class", "Lon,Lat,class"])
def test_a_csv_of_longitudes_and_latitudes_needs_no_crs(tmp_path: Path, header: str) -> None:
    lons, lats = pyproj.Transformer.from_crs(CODE, 4326, always_xy=True).transform(XS, YS)
    assert_placed(place(write_text(tmp_path / "p.csv", header, [lons, lats, NAMES])))


@pytest.mark.parametrize(("down", "across"), [(0, 0), (0.5, 0.5), (0.999, 0)])
@pytest.mark.parametrize("crs", [GRID.crs, None])
def test_a_csv_of_rows_and_cols_is_pixels_whatever_the_crs(
    tmp_path: Path, crs: str | None, down: float, across: float
) -> None:
    path = write_text(tmp_path / "p.csv", "Row,Col,class", [ROWS + down, COLS + across, NAMES])
    assert_placed(place(path, grid=Georeference(shape=GRID.shape, transform=GRID.transform, crs=crs)))


def test_the_pixels_are_those_of_rasterio_on_a_rotated_grid(tmp_path: Path) -> None:
    rotated = Affine(*GRID.transform) @ Affine.rotation(25)
    grid = Georeference(shape=GRID.shape, transform=tuple(rotated)[:6], crs=GRID.crs)
    frame().to_file(tmp_path / "p.gpkg")
    points = place(tmp_path / "p.gpkg", grid=grid)
    rows, cols = rasterio.transform.rowcol(rotated, XS, YS, op=math.floor)
    assert (points.rows.tolist(), points.cols.tolist()) == (list(rows), list(cols))


def test_a_csv_with_a_column_of_numbers_has_them_as_classes(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [ROWS, COLS, [7, "", 3, 7]])
    assert place(path).values.tolist() == [1, UNREADABLE, 0, 1]


def test_a_table_of_classes_decides_the_values(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [ROWS, COLS, NAMES])
    classes = ClassTable.from_dict({"class": [{"name": "water"}, {"name": "road"}], "ignore": ["tall tree"]})
    assert place(path, classes=classes).values.tolist() == [1, 0, 1, UNREADABLE]


def test_a_point_without_a_place_is_outside_and_the_others_stay(tmp_path: Path) -> None:
    table = frame()
    table.loc[0, "geometry"], table.loc[2, "geometry"] = None, Point()
    table.to_parquet(tmp_path / "p.parquet")
    points = place(tmp_path / "p.parquet")
    assert points.inside(GRID.shape).tolist() == [False, True, False, True]
    text = write_text(tmp_path / "p.csv", "row,col,class", [[0, "north", "", 50], COLS, NAMES])
    assert place(text).inside(GRID.shape).tolist() == [True, False, False, True]
    text = write_text(tmp_path / "q.csv", "x,y,class", [[XS[0], "west", "", XS[3]], YS, NAMES])
    assert place(text, crs=f"EPSG:{CODE}").inside(GRID.shape).tolist() == [True, False, False, True]


def test_points_that_no_projection_can_reach_are_outside(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "lon,lat,class", [[15, 15, 1e9], [45, 1234, 0], ["a", "a", "a"]])
    assert not place(path).inside(GRID.shape).any()


def test_a_table_without_rows_gives_no_points(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [[], [], []])
    assert len(place(path, classes=ClassTable.from_names(["road"]))) == 0


# --- what is refused


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as raised:
        read()
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.gpkg"
    assert (
        refusal(lambda: read_points(path, class_column="class")) == f"points file {path} does not exist; check the path"
    )


def test_a_class_column_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    frame().assign(id=1).to_file(tmp_path / "p.gpkg")
    sentence = refusal(lambda: read_points(tmp_path / "p.gpkg", class_column="label"))
    assert sentence.endswith("p.gpkg has no class column 'label'; columns: class, id; choose one with --class-column")


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_points_without_a_crs_are_refused_and_taken_with_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("csv"):
        write_text(path, "x,y,class", [XS, YS, NAMES])
    else:
        frame(crs=None).to_parquet(path)
    sentence = refusal(lambda: read_points(path, class_column="class"))
    assert sentence.endswith(f"{name} has no CRS; give the points' CRS with --points-crs, as EPSG:4326")
    assert_placed(place(path, crs=f"EPSG:{CODE}"))


def test_the_crs_of_a_file_goes_before_the_one_that_is_given(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "p.gpkg")
    assert_placed(place(tmp_path / "p.gpkg", crs="EPSG:4326"))


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_a_crs_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("csv"):
        write_text(path, "x,y,class", [XS, YS, NAMES])
    else:
        frame(crs=None).to_parquet(path)
    sentence = refusal(lambda: read_points(path, class_column="class", crs="UTM33"))
    assert sentence == "'UTM33' is not a CRS; write it as EPSG:4326"


def test_shapes_that_are_not_points_are_named(tmp_path: Path) -> None:
    table = frame()
    table.loc[0, "geometry"] = Point(XS[0], YS[0]).buffer(5)
    table.loc[1, "geometry"] = MultiPoint([(XS[1], YS[1])])
    table.to_parquet(tmp_path / "p.parquet")
    sentence = refusal(lambda: read_points(tmp_path / "p.parquet", class_column="class"))
    assert "p.parquet holds MultiPoint, Polygon; only points can vote; convert it" in sentence


@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson", "p.shp", "p.parquet", "p"])
def test_a_file_that_is_no_table_is_named_with_the_readers_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not points")
    sentence = refusal(lambda: read_points(tmp_path / name, class_column="class"))
    assert sentence.startswith(f"cannot read points from {tmp_path / name}: ")
    assert sentence.endswith("; give a file that ogrinfo reads")


def test_a_folder_is_not_points(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(lambda: read_points(tmp_path, class_column="class"))


def test_a_table_without_geometry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps([{"class": "road"}]))
    pd.DataFrame({"class": NAMES}).to_parquet(tmp_path / "p.parquet")
    frame().to_file(tmp_path / "p.shp")
    for suffix in ("shp", "shx"):
        (tmp_path / f"p.{suffix}").unlink()
    sentence = refusal(lambda: read_points(tmp_path / "p.dbf", class_column="class"))
    assert sentence.endswith("p.dbf has no geometry; give points, or a CSV with x,y or row,col")
    for name in ("p.json", "p.parquet"):
        assert f"{tmp_path / name}" in refusal(lambda name=name: read_points(tmp_path / name, class_column="class"))  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x80\x81\x82" * 50,
        b'x,y,class\n1,2,"a\n',
        b"x,y,class\n1,2,a,9\n3,4,b,9\n",
        b"x,y,class\n1,2,a\n3,4,b,9\n",
    ],
)
def test_a_text_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    sentence = refusal(lambda: read_points(tmp_path / "p.csv", class_column="class", crs="EPSG:4326"))
    assert sentence.startswith(f"cannot read {tmp_path / 'p.csv'} as a CSV table: ")


def test_a_comma_at_the_end_of_each_line_changes_nothing(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [ROWS, COLS, NAMES, [""] * 4])
    assert_placed(place(path))


def test_a_csv_without_coordinates_is_answered_with_the_names_they_may_have(tmp_path: Path) -> None:
    for header in ("class", "class,value", "x,lat,class"):
        (tmp_path / "p.csv").write_text(f"{header}\n{','.join('1' for _ in header.split(','))}\n")
        sentence = refusal(lambda: read_points(tmp_path / "p.csv", class_column="class"))
        assert sentence.endswith(
            "p.csv has no coordinate columns; name them x,y | easting,northing | lon,lat | longitude,latitude | row,col"
        )


def test_world_coordinates_on_a_raster_without_a_crs_are_answered_with_the_ways_out(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "p.gpkg")
    nowhere = Georeference(shape=GRID.shape, transform=(1, 0, 0, 0, 1, 0), crs=None)
    sentence = refusal(lambda: place(tmp_path / "p.gpkg", grid=nowhere))
    assert sentence.startswith(
        f"scene.tif has no CRS, so the world coordinates of {tmp_path / 'p.gpkg'} lie nowhere on it"
    )
    assert "(a CSV with row,col)" in sentence
    assert sentence.endswith("gdal_edit.py -a_srs EPSG:CODE 'scene.tif'")


def test_a_class_that_is_not_in_the_table_is_named_with_the_file(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "p.gpkg")
    sentence = refusal(lambda: place(tmp_path / "p.gpkg", classes=ClassTable.from_names(["road", "water"])))
    assert sentence.startswith(
        f"{tmp_path / 'p.gpkg'}: 1 class names of the points are not in the class table: tall tree"
    )


def test_points_of_no_class_are_refused_with_the_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [[1, 2], [3, 4], ["", ""]])
    assert refusal(lambda: place(path)) == f"{path}: no point has a readable class; check the class column"


# --- class tables


def test_a_class_table_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(
        'ignore = ["#000000"]\n[[class]]\nname = "Straße"\nvalue = 0\ncolor = "#6EC1E4"\n[[class]]\nname = "b"\n'
    )
    classes = read_class_table(path)
    assert (classes.names, classes.value_of("#000000"), classes.colormap[0]) == (
        ("Straße", "b"),
        IGNORE,
        (0x6E, 0xC1, 0xE4),
    )


def test_a_class_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    assert refusal(lambda: read_class_table(path)) == (
        f"cannot read the class table {path}: No such file or directory; check the path"
    )
    assert refusal(lambda: read_class_table(tmp_path)).startswith(
        f"cannot read the class table {tmp_path}: Is a directory"
    )


@pytest.mark.parametrize("content", [b"[[class", b"name: road", b"\xff\xfe"])
def test_a_class_table_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "classes.toml"
    path.write_bytes(content)
    assert refusal(lambda: read_class_table(path)).startswith(f"the class table {path} is not TOML: ")


def test_a_class_table_that_says_nothing_clear_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('[[class]]\nname = "a"\nvalue = 3\n')
    assert refusal(lambda: read_class_table(path)) == f"{path}: class values must be 0, 1, 2, ... in order, got [3]"


# --- the account


STATES = np.array([State.USED, State.OUTSIDE, State.DUPLICATE, State.ON_NODATA], np.int8)


def test_the_account_is_the_table_with_each_points_pixel_and_state(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "p.gpkg")
    table = read_points(tmp_path / "p.gpkg", class_column="class")
    account = gpd.read_parquet(io.BytesIO(account_bytes(table, place(tmp_path / "p.gpkg"), STATES)))
    assert account["superpoint_state"].tolist() == ["used", "outside", "duplicate", "on_nodata"]
    assert account["superpoint_row"].tolist() == ROWS.tolist()
    assert account["superpoint_col"].tolist() == COLS.tolist()
    assert account["superpoint_value"].tolist() == [0, 2, 0, 1]
    assert account["class"].tolist() == NAMES
    assert account.crs == pyproj.CRS(CODE)
    np.testing.assert_array_equal(account.geometry.x, XS)


def test_the_account_of_pixels_is_a_plain_table_and_can_be_read_again_as_points(tmp_path: Path) -> None:
    text = write_text(tmp_path / "p.csv", "row,col,class", [ROWS, COLS, NAMES])
    table = read_points(text, class_column="class")
    account = pd.read_parquet(io.BytesIO(account_bytes(table, place(text), STATES)))
    assert account["superpoint_state"].tolist() == ["used", "outside", "duplicate", "on_nodata"]


@pytest.mark.shared
def test_the_dirty_training_polygons_are_refused_by_their_kind(shared: Path) -> None:
    path = shared / "data" / "sparse" / "training_data.shp"
    sentence = refusal(lambda: read_points(path, class_column="class"))
    assert "training_data.shp holds Polygon; only points can vote" in sentence
