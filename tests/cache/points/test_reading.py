from __future__ import annotations

import csv
import json
import logging
import warnings
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from shapely.geometry import GeometryCollection, LineString, MultiPoint, Point

import superpoint.cache.points.texts
from superpoint.cache.points.reading import PointColumns, read_point_files
from superpoint.errors import InputError
from superpoint.points.table import NO_SYSTEM, PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from superpoint.points.table import PointTable

CODE = 32633
XS = np.array([500_004.0, 501_494.0, 500_804.0, 500_034.0])
YS = np.array([4_999_993.0, 4_999_003.0, 4_999_923.0, 4_999_493.0])
NAMES = ["road", "water", "road", "tall tree"]


def frame(*, crs: str | int | None = CODE, **columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"class": NAMES, **columns}, geometry=gpd.points_from_xy(XS, YS), crs=crs)


def write_text(path: Path, header: str, columns: list[Any], separator: str = ",") -> Path:
    lines = [separator.join(map(str, values)) for values in zip(*columns, strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def read(*paths: Path, **columns: Any) -> PointTable:  # noqa: ANN401  # fields of PointColumns
    return read_point_files(paths, PointColumns(**columns))


def names_of(table: PointTable) -> list[str | None]:
    return [table.names[label] if label >= 0 else None for label in table.labels.tolist()]


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises(InputError) as raised:
        do()
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


# --- files that say the same


@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson", "p.shp", "p.fgb", "p.gml", "p.kml", "p.parquet"])
def test_every_vector_format_gives_the_same_coordinates_and_classes(tmp_path: Path, name: str) -> None:
    table = frame(crs=4326 if name.endswith("kml") else CODE)
    table = table.set_geometry(gpd.points_from_xy(XS / 5e4, YS / 1e5), crs=4326) if name.endswith("kml") else table
    path = tmp_path / name
    table.to_parquet(path) if name.endswith("parquet") else table.to_file(path, engine="pyogrio")
    found = read(path)
    place = np.lexsort((found.ys, found.xs))
    mine = np.lexsort((table.geometry.y, table.geometry.x))  # FlatGeobuf orders by place
    np.testing.assert_allclose(found.xs[place], table.geometry.x.to_numpy()[mine], rtol=1e-15)
    np.testing.assert_allclose(found.ys[place], table.geometry.y.to_numpy()[mine], rtol=1e-15)
    assert np.array(names_of(found))[place].tolist() == np.array(NAMES)[mine].tolist()
    assert pyproj.CRS(found.systems[found.files[0].system]).equals(table.crs, ignore_axis_order=True)
    assert (found.owners, found.annotators, found.rasters) == (None, None, None)


@pytest.mark.parametrize(("encoding", "version"), [("WKB", "1.0.0"), ("WKB", "1.1.0"), ("geoarrow", "1.1.0")])
def test_every_encoding_of_geoparquet_gives_the_same(tmp_path: Path, encoding: str, version: str) -> None:
    frame().to_parquet(tmp_path / "p.parquet", geometry_encoding=encoding, schema_version=version)
    found = read(tmp_path / "p.parquet")
    np.testing.assert_array_equal((found.xs, found.ys), (XS, YS))
    assert names_of(found) == NAMES


@pytest.mark.parametrize("code", [3006, 31468, 2193, 4326])
@pytest.mark.parametrize("name", ["p.gpkg", "p.gml", "p.parquet", "p.shp"])
def test_x_is_east_and_y_is_north_whatever_order_a_crs_has_its_axes_in(tmp_path: Path, name: str, code: int) -> None:
    area = pyproj.CRS(code).area_of_use
    assert area is not None
    lons = np.linspace(max(area.west, -170), min(area.east, 170), 6)[1:-1]
    lats = np.linspace(area.south, area.north, 6)[1:-1]
    to_crs = pyproj.Transformer.from_crs(4326, code, always_xy=True)
    xs, ys = to_crs.transform(lons, lats)
    table = gpd.GeoDataFrame({"class": NAMES}, geometry=gpd.points_from_xy(xs, ys), crs=code)
    path = tmp_path / name
    table.to_parquet(path) if name.endswith("parquet") else table.to_file(path)
    found = read(path)
    back = pyproj.Transformer.from_crs(found.systems[0], 4326, always_xy=True).transform(found.xs, found.ys)
    np.testing.assert_allclose(back, (lons, lats), atol=1e-6)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "header", ["x,y,class", "X,Y,class", "easting,northing,class", "x , y , class ", "\ufeffx,y,class"]
)
def test_a_csv_is_read_whatever_its_delimiter_and_the_case_of_its_header(
    tmp_path: Path, header: str, separator: str
) -> None:
    path = write_text(tmp_path / "p.csv", header.replace(",", separator), [XS, YS, NAMES], separator)
    found = read(path, crs=f"EPSG:{CODE}")
    np.testing.assert_array_equal((found.xs, found.ys), (XS, YS))
    assert names_of(found) == NAMES
    assert pyproj.CRS(found.systems[0]) == pyproj.CRS(CODE)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_quoted_fields_may_hold_delimiters_and_the_ends_of_lines(tmp_path: Path, quoting: Any) -> None:  # noqa: ANN401  # csv's constants
    names = ["a, b", 'say "c"', "d\ne", "f"]
    pd.DataFrame({"x": XS, "y": YS, "class": names}).to_csv(tmp_path / "p.csv", index=False, quoting=quoting)
    assert names_of(read(tmp_path / "p.csv")) == names


def test_blanks_after_delimiters_do_not_count_nor_do_they_spoil_quotes(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('x, y, class, note\n1, 2, "road", "a, b"\n 3, 4,water, c\n')
    found = read(tmp_path / "p.csv")
    assert (found.xs.tolist(), found.ys.tolist(), names_of(found)) == ([1, 3], [2, 4], ["road", "water"])


def test_a_quote_after_a_blank_is_seen_also_where_it_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superpoint.cache.points.texts, "_PROBE", 40)
    rows = "1,2,road\n" * 50
    (tmp_path / "p.csv").write_text(f'x,y,class\n{rows}3,4, "water"\n')
    assert read(tmp_path / "p.csv").names == ("road", "water")


def test_only_an_empty_field_is_missing(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [range(5), range(5), ["NA", "", "None", "null", " "]])
    assert names_of(read(path)) == ["NA", None, "None", "null", None]


@pytest.mark.parametrize("header", ["lon,lat,class", "longitude,latitude,class", "Lon,Lat,class"])
def test_longitudes_and_latitudes_need_no_crs(tmp_path: Path, header: str) -> None:
    found = read(write_text(tmp_path / "p.csv", header, [[15.0], [45.0], ["a"]]))
    assert (found.xs.tolist(), found.ys.tolist()) == ([15], [45])
    assert pyproj.CRS(found.systems[0]) == pyproj.CRS(4326)


def test_columns_of_coordinates_may_be_given(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "p.csv", "x,y,Rechtswert,Hochwert,zeile,spalte,class", [[9], [9], [1], [2], [3], [4], "a"]
    )
    world = read(path, x_column="Rechtswert", y_column="Hochwert", crs="EPSG:31468")
    assert (world.xs.tolist(), world.ys.tolist(), world.files[0].system) == ([1], [2], 0)
    pixels = read(path, row_column="zeile", column_column="spalte")
    assert (pixels.xs.tolist(), pixels.ys.tolist(), pixels.files[0].system) == ([4], [3], PIXELS)
    sentence = refusal(lambda: read(path, x_column="Ost", y_column="Hochwert"))
    assert "has no coordinate column 'Ost'; columns: x, y, Rechtswert" in sentence
    assert sentence.endswith("choose with --x-column and --y-column")
    assert refusal(lambda: read(path, x_column="x")).endswith("there are two; give --x-column and --y-column")
    assert refusal(lambda: read(path, row_column="x")).endswith("there are two; give --row-column and --column-column")


def test_columns_of_coordinates_that_are_given_are_found_in_parquet_too(tmp_path: Path) -> None:
    pd.DataFrame({"east": XS, "north": YS, "class": NAMES, "count": range(4)}).to_parquet(tmp_path / "p.parquet")
    found = read(tmp_path / "p.parquet", x_column="east", y_column="north", crs="EPSG:4326")
    np.testing.assert_array_equal((found.xs, found.ys), (XS, YS))


BOTH = {"row": [3], "col": [4], "x": [100.0], "y": [200.0], "class": ["a"], "raster": ["north"]}
PIXEL, WORLD = (4, 3, PIXELS), (100, 200, 0)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"crs": "EPSG:32633"}, WORLD),
        ({"crs": "EPSG:32633", "raster_column": "raster"}, WORLD),
        ({"x_column": "x", "y_column": "y"}, (100, 200, NO_SYSTEM)),
        ({"row_column": "row", "column_column": "col"}, PIXEL),
        ({"row_column": "row", "column_column": "col", "crs": "EPSG:32633"}, PIXEL),
        ({"raster_column": "raster"}, PIXEL),
    ],
)
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_of_pixels_and_world_coordinates_those_count_that_were_asked_for(
    tmp_path: Path, name: str, told: dict[str, str], expected: tuple[float, float, int]
) -> None:
    path, table = tmp_path / name, pd.DataFrame(BOTH)
    table.to_csv(path, index=False) if name.endswith("csv") else table.to_parquet(path)
    found = read(path, **told)
    assert (found.xs[0], found.ys[0], found.files[0].system) == expected


@pytest.mark.parametrize("world", ["x,y", "lon,lat"])
def test_pixels_and_world_coordinates_in_one_table_are_refused_until_one_is_chosen(tmp_path: Path, world: str) -> None:
    path = write_text(tmp_path / "p.csv", f"row,col,{world},class", [[3], [4], [9.0], [50.0], ["a"]])
    sentence = refusal(lambda: read(path))
    assert f"p.csv has both pixels (row,col) and world coordinates ({world})" in sentence
    assert "--points-crs EPSG:CODE, or the pixels with --row-column row --column-column col" in sentence
    both = {"x_column": "lon", "y_column": "lat", "row_column": "row", "column_column": "col"}
    path = write_text(path, "row,col,lon,lat,class", [[3], [4], [9.0], [50.0], ["a"]])
    assert refusal(lambda: read(path, **both)).endswith("give one of them")


def test_a_decimal_comma_is_understood(tmp_path: Path) -> None:
    found = read(write_text(tmp_path / "p.csv", "x;y;class", [["1,5"], ["2,25"], ["a"]], ";"))
    assert (found.xs.tolist(), found.ys.tolist()) == ([1.5], [2.25])


def test_numbers_in_text_are_the_classes_that_they_are(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [range(5), range(5), ["7", "07", "7.0", "", "10"]])
    found = read(path)
    assert names_of(found) == ["7", "7", "7", None, "10"]
    assert found.class_table().names == ("7", "10")


def test_plain_parquet_with_columns_of_coordinates_is_read(tmp_path: Path) -> None:
    pd.DataFrame({"lon": XS, "lat": YS, "class": [1, 2, 2, 1]}).to_parquet(tmp_path / "p.parquet")
    found = read(tmp_path / "p.parquet")
    np.testing.assert_array_equal(found.xs, XS)
    assert names_of(found) == ["1", "2", "2", "1"]


@pytest.mark.parametrize("kind", ["int64", "Int64", "float64", "category", "str", "bool"])
def test_classes_of_any_type_are_named_as_text(tmp_path: Path, kind: str) -> None:
    frame().assign(**{"class": pd.Series([1, 0, 1, 0]).astype(kind)}).to_parquet(tmp_path / "p.parquet")
    expected = ["True", "False"] if kind == "bool" else ["1", "0"]
    assert names_of(read(tmp_path / "p.parquet")) == expected * 2


# --- several files, and more columns


def test_several_files_are_put_together_in_their_order_each_with_its_own_crs(tmp_path: Path) -> None:
    frame(who=["ann", "bob", "ann", None]).to_file(tmp_path / "a.gpkg")
    frame(who=["bob", "eve", "bob", "bob"]).to_crs(4326).to_parquet(tmp_path / "b.parquet")
    write_text(tmp_path / "c.csv", "row,col,class,who", [[1], [2], ["water"], ["eve"]])
    found = read(*(tmp_path / name for name in ("a.gpkg", "b.parquet", "c.csv")), annotator_column="who")
    assert [file.n_rows for file in found.files] == [4, 4, 1]
    assert [file.system for file in found.files] == [0, 1, PIXELS]
    assert names_of(found) == [*NAMES, *NAMES, "water"]
    assert found.annotators is not None
    who = [found.annotator_names[code] if code >= 0 else None for code in found.annotators.tolist()]
    assert who == ["ann", "bob", "ann", None, "bob", "eve", "bob", "bob", "eve"]
    files, rows = found.file_of(np.array([0, 3, 4, 8]))
    assert (files.tolist(), rows.tolist()) == ([0, 0, 1, 2], [0, 3, 0, 0])


def test_a_table_takes_20_bytes_a_point_and_4_more_with_annotators(tmp_path: Path) -> None:
    frame(who="ann").to_parquet(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet").nbytes == 4 * 20
    assert read(tmp_path / "p.parquet", annotator_column="who").nbytes == 4 * 24


# --- geometries that are no single points


def test_every_part_of_a_multipoint_is_a_point_of_its_row(tmp_path: Path) -> None:
    table = frame()
    table.loc[1, "geometry"] = MultiPoint([(1, 2), (3, 4), (5, 6)])
    table.loc[2, "geometry"] = GeometryCollection([Point(7, 8), MultiPoint([(9, 10)])])
    table.to_parquet(tmp_path / "p.parquet")
    found = read(tmp_path / "p.parquet")
    assert found.owners is not None
    assert found.owners.tolist() == [0, 1, 1, 1, 2, 2, 3]
    assert found.xs[1:6].tolist() == [1, 3, 5, 7, 9]
    assert len(found) == 4


def test_points_with_heights_have_the_place_of_those_without(tmp_path: Path) -> None:
    table = frame().set_geometry(gpd.points_from_xy(XS, YS, np.arange(4)), crs=CODE)
    for name in ("p.parquet", "p.gpkg"):
        table.to_parquet(tmp_path / name) if name.endswith("parquet") else table.to_file(tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name).xs, XS)


def test_a_row_without_a_place_stays_a_row(tmp_path: Path) -> None:
    table = frame()
    table.loc[0, "geometry"], table.loc[2, "geometry"] = None, Point()
    for name in ("p.parquet", "p.gpkg"):
        table.to_parquet(tmp_path / name) if name.endswith("parquet") else table.to_file(tmp_path / name)
        assert read(tmp_path / name).has_place().tolist() == [False, True, False, True]
    text = write_text(tmp_path / "p.csv", "row,col,class", [[0, "north", "", 50], [1, 2, 3, "NaN"], NAMES])
    assert read(text).has_place().tolist() == [True, False, False, False]


def test_polygons_and_lines_are_refused_with_the_two_choices(tmp_path: Path) -> None:
    table = frame()
    table.loc[0, "geometry"] = Point(XS[0], YS[0]).buffer(5)
    table.loc[1, "geometry"] = LineString([(0, 0), (1, 1)])
    table.to_parquet(tmp_path / "p.parquet")
    sentence = refusal(lambda: read(tmp_path / "p.parquet"))
    assert "p.parquet holds LineString, Polygon; choose" in sentence
    assert "--geometries burn" in sentence
    assert "--geometries sample" in sentence


def test_sampled_points_lie_on_their_geometry_and_do_not_depend_on_other_rows(tmp_path: Path) -> None:
    shapes = [Point(0, 0).buffer(9), LineString([(20, 0), (30, 5)]), Point(50, 0).buffer(3).boundary, Point(7, 7)]
    table = gpd.GeoDataFrame({"class": list("abcd")}, geometry=shapes, crs=CODE)
    table.to_parquet(tmp_path / "p.parquet")
    table.iloc[2:0:-1].to_parquet(tmp_path / "q.parquet")
    found = read(tmp_path / "p.parquet", geometries="sample", points_per_geometry=5)
    assert found.owners is not None
    assert np.bincount(found.owners).tolist() == [5, 5, 5, 1]
    for x, y, row in zip(found.xs, found.ys, found.owners, strict=True):
        assert shapes[row].distance(Point(x, y)) < 1e-9
    fewer = read(tmp_path / "q.parquet", geometries="sample", points_per_geometry=5)
    np.testing.assert_array_equal(fewer.xs[5:], found.xs[5:10])
    other = read(tmp_path / "p.parquet", geometries="sample", points_per_geometry=5, seed=1)
    assert not np.array_equal(other.xs[:5], found.xs[:5])


def test_a_polygon_without_any_area_is_sampled_without_end_nowhere(tmp_path: Path) -> None:
    flat = shapely.from_wkt(["POLYGON ((0 0, 4 4, 0 0))", "POLYGON ((1 1, 1 1, 1 1))"])
    gpd.GeoDataFrame({"class": ["a", "b"]}, geometry=flat, crs=CODE).to_parquet(tmp_path / "p.parquet")
    found = read(tmp_path / "p.parquet", geometries="sample", points_per_geometry=3)
    assert found.has_place().tolist() == [True, False]
    np.testing.assert_allclose(found.xs[:3], found.ys[:3])


def test_geometries_to_burn_are_kept_with_their_rows(tmp_path: Path) -> None:
    table = frame()
    table.loc[1, "geometry"] = Point(XS[1], YS[1]).buffer(5)
    table.to_file(tmp_path / "p.gpkg")
    found = read(tmp_path / "p.gpkg", tmp_path / "p.gpkg", geometries="burn")
    assert found.geometry_rows.tolist() == [1, 5]
    assert found.has_place().all()
    assert found.geometries[0].equals(table.geometry[1])


# --- what a CRS is, and is not


@pytest.mark.parametrize("name", ["p.gpkg", "p.parquet", "p.shp"])
def test_a_file_without_a_crs_has_none_or_the_one_that_is_given(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        frame(crs=None).to_parquet(path) if name.endswith("parquet") else frame(crs=None).to_file(path)
    assert read(path).files[0].system == NO_SYSTEM
    assert pyproj.CRS(read(path, crs=f"EPSG:{CODE}").systems[0]) == pyproj.CRS(CODE)
    assert refusal(lambda: read(path, crs="UTM33")) == "'UTM33' is not a CRS; write it as EPSG:4326"


def test_the_crs_of_a_file_goes_before_the_one_that_is_given(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "p.gpkg")
    assert pyproj.CRS(read(tmp_path / "p.gpkg", crs="EPSG:4326").systems[0]) == pyproj.CRS(CODE)


# --- what is refused


def test_a_file_or_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "p.gpkg"
    assert refusal(lambda: read(path)) == f"points file {path} does not exist; check the path"
    frame(id=1).to_file(path)
    sentence = refusal(lambda: read(path, class_column="label"))
    assert sentence.endswith("p.gpkg has no class column 'label'; columns: class, id; choose one with --class-column")
    sentence = refusal(lambda: read(path, annotator_column="who"))
    assert "no annotator column 'who'" in sentence
    assert sentence.endswith("choose one with --annotator-column")


def test_a_layer_is_chosen_by_name_where_there_are_several(tmp_path: Path) -> None:
    for layer in ("one", "two"):
        frame().to_file(tmp_path / "p.gpkg", layer=layer)
    assert "has the layers one, two; choose one with --layer" in refusal(lambda: read(tmp_path / "p.gpkg"))
    assert len(read(tmp_path / "p.gpkg", layer="two")) == 4
    assert "'three'" in refusal(lambda: read(tmp_path / "p.gpkg", layer="three"))


@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson", "p.shp", "p.parquet", "p"])
def test_a_file_that_is_no_table_is_named_with_the_readers_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not points")
    sentence = refusal(lambda: read(tmp_path / name))
    assert sentence.startswith(f"cannot read points from {tmp_path / name}: ")
    assert sentence.endswith("; give a file that ogrinfo reads")


def test_a_folder_and_a_table_without_geometry_are_no_points(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(lambda: read(tmp_path))
    (tmp_path / "p.json").write_text(json.dumps([{"class": "road"}]))
    pd.DataFrame({"class": NAMES}).to_parquet(tmp_path / "p.parquet")
    frame().to_file(tmp_path / "p.shp")
    for suffix in ("shp", "shx"):
        (tmp_path / f"p.{suffix}").unlink()
    sentence = refusal(lambda: read(tmp_path / "p.dbf"))
    assert "p.dbf has no geometry and no coordinate columns x,y | easting,northing" in sentence
    for name in ("p.json", "p.parquet"):
        assert f"{tmp_path / name}" in refusal(lambda name=name: read(tmp_path / name))  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\x80\x81\x82" * 50,
        b"\xff\xfex\x00,\x00y\x00",
        b'x,y,class\n1,2,"a\n',
        b"x,y,class\n1,2,a,9\n3,4,b,9\n",
        b"x,y,class\n1,2,a\n3,4,b,9\n",
    ],
)
def test_a_text_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    sentence = refusal(lambda: read(tmp_path / "p.csv", crs="EPSG:4326"))
    assert sentence.startswith(f"cannot read {tmp_path / 'p.csv'} as a CSV table: ")


def test_a_comma_at_the_end_of_each_line_changes_nothing(tmp_path: Path) -> None:
    path = write_text(tmp_path / "p.csv", "row,col,class", [[1, 2], [3, 4], ["a", "b"], ["", ""]])
    assert (read(path).ys.tolist(), names_of(read(path))) == ([1, 2], ["a", "b"])


def test_a_csv_without_coordinates_is_answered_with_the_names_they_may_have(tmp_path: Path) -> None:
    for header in ("class", "class,value", "x,lat,class"):
        (tmp_path / "p.csv").write_text(f"{header}\n{','.join('1' for _ in header.split(','))}\n")
        assert refusal(lambda: read(tmp_path / "p.csv")).endswith(
            "p.csv has no geometry and no coordinate columns x,y | easting,northing | lon,lat | longitude,latitude | "
            f"row,col; columns: {header.replace(',', ', ')}; choose with --x-column and --y-column, or --row-column "
            "and --column-column"
        )


def test_a_class_column_of_lists_is_refused(tmp_path: Path) -> None:
    frame().assign(**{"class": [["a"], ["b"], ["a"], ["c"]]}).to_parquet(tmp_path / "p.parquet")
    assert "the class column 'class' holds no names or numbers" in refusal(lambda: read(tmp_path / "p.parquet"))


# --- attribute tables that contradict themselves


def dirty(ids: Sequence[int]) -> gpd.GeoDataFrame:
    names = ["barren", "urban", "water"] * 5
    table = gpd.GeoDataFrame({"class": names, "id": ids}, geometry=gpd.points_from_xy(range(15), range(15)), crs=CODE)
    return table.assign(fid_text=[f"f{i}" for i in range(15)], who=["ann", "bob", "eve", "ann", "ann"] * 3, height=1.5)


@pytest.mark.parametrize("name", ["p.gpkg", "p.parquet", "p.csv"])
def test_a_code_that_goes_with_two_classes_is_warned_of_and_kept(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    table, path = dirty([4, 5, 6] * 4 + [4, 4, 6]), tmp_path / name
    if name.endswith("csv"):
        table.assign(x=table.geometry.x, y=table.geometry.y).drop(columns="geometry").to_csv(path, index=False)
    else:
        table.to_parquet(path) if name.endswith("parquet") else table.to_file(path)
    with caplog.at_level(logging.WARNING, logger="superpoint"):
        (found,) = read(path).contradictions
    assert (found.file, found.column, found.value) == (str(path), "id", "4")
    assert found.classes == {"barren": 5, "urban": 1}
    assert caplog.messages == [found.sentence]


def test_a_clean_table_is_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dirty([4, 5, 6] * 5).to_file(tmp_path / "p.gpkg")
    assert read(tmp_path / "p.gpkg").contradictions == ()
    assert caplog.messages == []


@pytest.mark.shared
def test_the_dirty_training_polygons_are_caught(shared: Path) -> None:
    path = shared / "data" / "sparse" / "training_data.shp"
    found = read(path, geometries="burn").contradictions
    assert {(one.column, one.value): one.classes for one in found} == {
        ("id", "4"): {"barren": 5, "urban": 1},
        ("id", "5"): {"urban": 1, "barren": 1},
    }
