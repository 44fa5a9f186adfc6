from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import pytest
from shapely.geometry import Point, box

import superpoint.cache.points.accounts
from superpoint.cache.points.accounts import (
    CONTRADICTIONS,
    account_parquet,
    state_sums,
    with_earlier,
    write_account,
)
from superpoint.classes import IGNORE, ClassTable
from superpoint.labels.evidence import PseudoLabels
from superpoint.points.account import Account, State
from superpoint.points.contradictions import Contradiction
from superpoint.points.matching import match_classes
from superpoint.points.query import QueryPoints
from superpoint.points.table import NO_SYSTEM, PIXELS, PointFile, PointTable

if TYPE_CHECKING:
    from pathlib import Path

UTM, WGS = (pyproj.CRS(code).to_wkt("WKT2_2019") for code in (32633, 4326))
CLASSES = ClassTable.from_dict({"class": [{"name": "road"}, {"name": "water"}], "ignore": ["cloud"]})
LABELS = PseudoLabels(
    superpixels=np.array([3, 5, 8, 9], np.uint32),
    classes=np.array([0, 1, IGNORE, IGNORE], np.uint8),
    shares=np.array([0.75, 0.6, 0.5, 1], np.float32),
    votes=np.array([4, 3, 2, 1], np.uint32),
    flags=np.zeros(4, np.uint8),
)
STATES = [
    State.USED, State.CONFLICTING, State.CONFLICTING, State.TOO_WEAK, State.DUPLICATE, State.ON_NODATA,
    State.UNREADABLE_CLASS, State.UNREADABLE_CLASS, State.UNREADABLE_CLASS,
]  # fmt: skip
N = len(STATES) + 3


def make_table(*systems: int) -> PointTable:
    systems = systems or (0,)
    n_rows = [N - 2 * (len(systems) - 1), *[2] * (len(systems) - 1)]
    names = ("road", "watr", "cloud")
    return PointTable(
        files=tuple(
            PointFile(name=f"{k}.gpkg", n_rows=n, system=s)
            for k, (n, s) in enumerate(zip(n_rows, systems, strict=True))
        ),
        systems=(UTM, WGS)[: max(systems) + 1],
        xs=np.array([*range(N - 1), np.nan]),
        ys=np.array([*range(10, N + 9), 1.0]),
        labels=np.array([0] * 6 + [1, 2, -1] + [0] * 3, np.int32),
        names=names,
        annotators=np.zeros(N, np.int32),
        annotator_names=("ann",),
        rasters=np.array([-1] * 9 + [0, 1, -1], np.int32),
        raster_names=("a", "nowhere"),
    )


def make_account(table: PointTable) -> Account:
    account = Account.open(table, ["/data/a.tif"])
    n = len(STATES)
    points = QueryPoints(rows=np.arange(n), cols=np.arange(n) + 50, values=np.zeros(n, np.int16), origins=np.arange(n))
    superpixels = np.array([3, 5, 8, 9, 3, 0, 0, 3, 3], np.uint32)
    account.enter(points, np.array(STATES, np.int8), raster=0, superpixels=superpixels, labels=LABELS)
    return account


def read(data: bytes) -> gpd.GeoDataFrame:
    return gpd.read_parquet(io.BytesIO(data))


def test_every_row_is_written_with_its_state_its_reason_and_where_it_came_to_that() -> None:
    table = make_table()
    written = read(account_parquet(table, match_classes(table, CLASSES), make_account(table)))
    assert written["state"].tolist() == [state.name.lower() for state in STATES] + ["outside", "outside", "no_place"]
    assert written["reason"].tolist() == [
        "superpixel 3 of /data/a.tif went to road, 3 of 4 votes",
        "superpixel 5 of /data/a.tif went to water, 60 % of 3 votes",
        "superpixel 8 of /data/a.tif is tied and has no class, 1 of 2 votes",
        "superpixel 9 of /data/a.tif has too weak a vote, 1 of 1 votes",
        "an earlier point has the same pixel, class and annotator",
        "the raster has no data there",
        "class 'watr' is not in the class table; nearest: water",
        "class 'cloud' is listed as ignored",
        "its class is missing",
        "it does not lie on the raster 'a' that it names",
        "there is no raster 'nowhere'",
        "it has no geometry, or coordinates that are not numbers",
    ]
    assert written["row"].tolist() == list(range(N))
    assert written["class"][:9].fillna("").tolist() == ["road"] * 6 + ["watr", "cloud", ""]
    assert set(written["annotator"]) == {"ann"}
    assert written["raster"].fillna("").tolist() == ["/data/a.tif"] * 9 + [""] * 3
    assert written["pixel_col"][:2].tolist() == [50, 51]
    assert written["pixel_row"][9:].isna().all()
    assert written["superpixel"][5:7].isna().all()
    assert written.crs.equals(UTM)
    assert written.geometry.isna().tolist() == [False] * 11 + [True]
    assert written.geometry[3] == Point(3, 13)


def test_groups_of_rows_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table()
    match, account = match_classes(table, CLASSES), make_account(table)
    whole = read(account_parquet(table, match, account))
    monkeypatch.setattr(superpoint.cache.points.accounts, "ROW_GROUP", 5)
    write_account(tmp_path / "a.parquet", table, match, account)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    pd.testing.assert_frame_equal(pd.DataFrame(gpd.read_parquet(tmp_path / "a.parquet")), pd.DataFrame(whole))


def test_files_of_several_crss_are_written_as_longitude_and_latitude() -> None:
    table = make_table(0, 1, PIXELS, NO_SYSTEM)
    written = read(account_parquet(table, match_classes(table, CLASSES), make_account(table)))
    assert written.crs == "EPSG:4326"
    assert written["file"].tolist() == ["0.gpkg"] * 6 + ["1.gpkg"] * 2 + ["2.gpkg"] * 2 + ["3.gpkg"] * 2
    assert written["row"].tolist() == [*range(6), 0, 1, 0, 1, 0, 1]
    assert written.geometry[6] == Point(6, 16)
    lon, lat = pyproj.Transformer.from_crs(UTM, WGS, always_xy=True).transform(0.0, 10.0)
    assert written.geometry[0].distance(Point(lon, lat)) < 1e-9
    assert written.geometry[8:].isna().all()


def test_an_account_of_pixels_is_a_plain_table() -> None:
    table = make_table(PIXELS)
    written = pd.read_parquet(io.BytesIO(account_parquet(table, match_classes(table, CLASSES), make_account(table))))
    assert "geometry" not in written.columns
    assert len(written) == N


def test_an_account_may_be_of_some_rows_only() -> None:
    table = make_table()
    account = Account.open(table, ["/data/a.tif"], rows=np.array([2, 5, 11]))
    points = QueryPoints(
        rows=np.arange(3), cols=np.arange(3), values=np.zeros(3, np.int16), origins=np.array([1, 2, 5])
    )
    states = np.array([State.USED, State.CONFLICTING, State.ON_NODATA], np.int8)
    account.enter(points, states, raster=0, superpixels=np.array([3, 3, 0], np.uint32), labels=LABELS)
    written = read(account_parquet(table, match_classes(table, CLASSES), account))
    assert written["row"].tolist() == [2, 5, 11]
    assert written["state"].tolist() == ["conflicting", "on_nodata", "no_place"]
    assert written["pixel_row"][:2].tolist() == [1, 2]


def test_a_polygon_is_written_as_a_point_on_it_and_a_multipoint_as_its_first() -> None:
    table = PointTable(
        files=(PointFile(name="p", n_rows=3, system=NO_SYSTEM),), systems=(),
        xs=np.array([1.0, 2.0, np.nan, 3.0]), ys=np.array([1.0, 2.0, np.nan, 3.0]), owners=np.array([0, 0, 1, 2]),
        labels=np.zeros(3, np.int32), names=("road",),
        geometries=np.array([box(0, 0, 4, 4)], object), geometry_rows=np.array([1]),
    )  # fmt: skip
    written = read(account_parquet(table, match_classes(table, CLASSES), Account.open(table, [])))
    assert written.crs is None
    assert written.geometry.tolist() == [Point(1, 1), Point(2, 2), Point(3, 3)]


def test_an_account_of_nothing_is_written_too() -> None:
    table = PointTable(
        files=(PointFile(name="p", n_rows=0, system=0),), systems=(UTM,), xs=np.zeros(0), ys=np.zeros(0),
        labels=np.zeros(0, np.int32), names=(),
    )  # fmt: skip
    assert len(read(account_parquet(table, match_classes(table, CLASSES), Account.open(table, [])))) == 0


@pytest.mark.parametrize("system", [0, PIXELS])
def test_contradictions_are_kept_in_the_metadata(system: int) -> None:
    found = Contradiction(file="p.shp", column="id", value="4", classes={"barren": 5, "urban": 1})
    table = replace(make_table(system), contradictions=(found,))
    data = account_parquet(table, match_classes(table, CLASSES), make_account(table))
    metadata = pq.read_schema(io.BytesIO(data)).metadata
    assert json.loads(metadata[CONTRADICTIONS]) == [found.sentence]


@pytest.mark.parametrize("name", ["a", "a.tif", "/other/a.tif"])
def test_a_raster_is_known_by_any_of_its_names(name: str) -> None:
    table = replace(make_table(), raster_names=(name, "nowhere"))
    account = Account.open(table, ["a"])
    written = read(account_parquet(table, match_classes(table, CLASSES), account))
    assert written["reason"][9] == f"it does not lie on the raster {name!r} that it names"
    assert written["reason"][10] == "there is no raster 'nowhere'"


def test_what_a_row_came_to_earlier_stands_where_that_was_better() -> None:
    table = make_table()
    match = match_classes(table, CLASSES)
    account, earlier = (Account.open(table, ["one"]) for _ in range(2))
    account.states[:3] = [State.USED, State.ON_NODATA, State.OUTSIDE]
    earlier.states[:3] = [State.CONFLICTING, State.DUPLICATE, State.USED]
    merged = with_earlier(*(account_parquet(table, match, one) for one in (account, earlier)), ["one"])
    found = gpd.read_parquet(io.BytesIO(merged))
    assert found["state"].tolist()[:3] == ["used", "duplicate", "used"]
    assert found["reason"][1] == "an earlier point has the same pixel, class and annotator"
    assert found.crs.to_epsg() == 32633
    assert state_sums(merged)["used"] == 2
    assert sum(state_sums(merged).values()) == N
