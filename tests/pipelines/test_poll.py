"""What `label` refuses and warns of: points that lie elsewhere, that are of no use, or that count as something else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
from affine import Affine
from pydantic import ValidationError
from smallworld import write_classes, write_raster

from superpoint.errors import InputError
from superpoint.pipelines.label import label
from superpoint.pipelines.sample import sample
from superpoint.pipelines.settings import LabelSettings, SampleSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.pipelines.label import PseudoMask

PLACE = Affine(10, 0, 500_000, 0, -10, 4_600_000)
UTM = "EPSG:32633"
XS, YS = 500_005.0 + np.arange(0, 500, 100), 4_599_995.0 - np.arange(0, 250, 50)
NAMES = ["a", "b", "a", "b", "a"]


def scene(
    folder: Path, name: str = "scene.tif", *, value: int = 9, place: Affine = PLACE, crs: str | None = UTM
) -> Path:
    return write_raster(folder / name, np.full((1, 40, 60), value, np.uint8), crs=crs, transform=place, nodata=0)


def table(folder: Path, name: str = "points.csv", /, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(folder / name, index=False)
    return folder / name


def in_degrees(xs: NDArray[np.floating], ys: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lons, lats = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(xs, ys)
    return lons, lats


def run(rasters: Path | list[Path], points: Path, **changes: Any) -> list[PseudoMask]:  # noqa: ANN401  # settings
    given = rasters if isinstance(rasters, list) else [rasters]
    return label(LabelSettings(rasters=given, points=points, cache=points.parent / "cache", region_size=8, **changes))


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises(InputError) as raised:
        do()
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# --- points that lie elsewhere


def test_a_refusal_says_where_points_and_raster_lie_in_the_rasters_crs(tmp_path: Path) -> None:
    lons, lats = in_degrees(XS + 10_000, YS)
    sentence = refusal(lambda: run(scene(tmp_path), table(tmp_path, lon=lons, lat=lats, **{"class": NAMES})))
    assert sentence.endswith(
        "check that they belong together and the points' CRS: they lie in x 510,005 to 510,405, y 4,599,795 to "
        "4,599,995, and the raster in x 500,000 to 500,600, y 4,599,600 to 4,600,000 (WGS 84 / UTM zone 33N)"
    )


def test_a_refusal_counts_the_points_that_would_lie_on_the_raster_with_x_and_y_exchanged(tmp_path: Path) -> None:
    lons, lats = in_degrees(XS, YS)
    exchanged = table(tmp_path, lon=[*lats, 9], lat=[*lons, 9], **{"class": [*NAMES, "a"]})
    assert refusal(lambda: run(scene(tmp_path), exchanged)).endswith("; with x and y exchanged 5 would lie on it")


def test_a_raster_in_degrees_is_told_in_fractions_of_them(tmp_path: Path) -> None:
    raster = scene(tmp_path, place=Affine(0.001, 0, 15, 0, -0.001, 45), crs="EPSG:4326")
    sentence = refusal(lambda: run(raster, table(tmp_path, lon=[15.5], lat=[45], **{"class": ["a"]})))
    assert "they lie in x 15.5000 to 15.5000, y 45.0000 to 45.0000, and the raster in x 15.0000 to 15.0600" in sentence


def test_pixels_beside_a_raster_are_told_as_rows_and_cols(tmp_path: Path) -> None:
    sentence = refusal(lambda: run(scene(tmp_path), table(tmp_path, row=[45, 3], col=[3, 70], **{"class": ["a", "b"]})))
    assert "they lie in rows 3 to 45 and cols 3 to 70, and the raster has 40 rows and 60 cols" in sentence
    assert sentence.endswith("with row and col exchanged 1 would lie on it")


def test_points_that_name_other_rasters_or_have_no_numbers_are_refused_for_that(tmp_path: Path) -> None:
    raster = scene(tmp_path)
    other = table(tmp_path, row=[3], col=[3], raster=["north"], **{"class": ["a"]})
    assert "they name the rasters north" in refusal(lambda: run(raster, other, raster_column="raster"))
    words = table(tmp_path, x=["here"], y=["there"], **{"class": ["a"]})
    sentence = refusal(lambda: run(raster, words, points_crs=UTM))
    assert sentence.endswith("points' CRS: none has coordinates that are numbers")


# --- points that nobody can use


@pytest.mark.parametrize("name", ["points.csv", "points.gpkg", "points.geojson", "points.parquet"])
def test_a_file_without_rows_is_refused_for_that(tmp_path: Path, name: str) -> None:
    empty = gpd.GeoDataFrame({"class": np.zeros(0, str)}, geometry=[], crs=UTM)
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("row,col,class\n")
    else:
        empty.to_parquet(path) if name.endswith("parquet") else empty.to_file(path)
    assert f"{path} has no rows" in refusal(lambda: run(scene(tmp_path), path))


@pytest.mark.parametrize(
    ("changes", "value", "found", "advice"),
    [
        ({"min_votes": 3}, 9, "2 too weak", "lower --min-votes or --min-share"),
        ({"tie": "ignore"}, 9, "2 conflicting", "with --tie lowest a tied superpixel has a class"),
        ({}, 0, "2 on nodata", "check the raster's nodata"),
    ],
)
def test_where_no_point_was_used_the_sentence_says_what_to_do_about_most_and_where_the_account_is(
    tmp_path: Path, changes: dict[str, Any], value: int, found: str, advice: str
) -> None:
    points = table(tmp_path, row=[3, 4], col=[3, 3], **{"class": ["a", "b"]})
    sentence = refusal(lambda: run(scene(tmp_path, value=value), points, **changes))
    assert f"could be used ({found}); {advice}" in sentence
    account = sentence.rpartition("every row with its reason: ")[2].removeprefix("file://")
    assert [f"2 {state.replace('_', ' ')}" for state in pd.read_parquet(account)["state"]] == [found] * 2


def test_balancing_annotators_needs_to_know_them(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="balance_annotators needs to know who set each point"):
        LabelSettings(rasters=[tmp_path], points=tmp_path, balance_annotators=True)


# --- warnings


def test_annotators_that_are_not_asked_for_are_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns: dict[str, object] = {"row": [3, 3], "col": [3, 3], "class": ["a", "a"]}
    raster, both = scene(tmp_path), table(tmp_path, Annotator=["ann", "bob"], **columns)
    (mask,) = run(raster, both)
    (warning,) = warnings_of(caplog)
    assert "points of several annotators in one pixel count as duplicates" in warning
    assert warning.endswith("name it with --annotator-column Annotator")
    assert mask.points["duplicate"] == 1
    caplog.clear()
    assert run(raster, both, annotator_column="Annotator")[0].points["duplicate"] == 0
    run(raster, table(tmp_path, "one.csv", annotator=["ann", "ann"], **columns))
    assert warnings_of(caplog) == []


def test_points_on_several_rasters_are_warned_of_where_a_column_names_the_rasters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rasters = [scene(tmp_path, "north.tif"), scene(tmp_path, "south.tif", place=PLACE @ Affine.translation(0, 3))]
    columns: dict[str, object] = {"x": XS, "y": YS, "class": NAMES}
    named = table(tmp_path, raster=["north", "north", "south", "south", "north"], **columns)
    masks = run(rasters, named, points_crs=UTM)
    assert [mask.points["used"] for mask in masks] == [5, 4]
    (warning,) = warnings_of(caplog)
    assert "4 points of" in warning
    assert warning.endswith("if each point is of one, give --raster-column raster")
    caplog.clear()
    run(rasters, named, points_crs=UTM, raster_column="raster")
    run(rasters, table(tmp_path, "other.csv", scene=["s1", "s2", "north", "s3", "s4"], **columns), points_crs=UTM)
    run([rasters[0], scene(tmp_path, "far.tif", place=PLACE @ Affine.translation(0, 99))], named, points_crs=UTM)
    assert warnings_of(caplog) == []


def test_each_class_that_no_pixel_has_is_warned_of_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "classes.toml").write_text("".join(f'[[class]]\nname = "{name}"\n' for name in ("a", "b", "c")))
    points = table(tmp_path, row=[3, 4, 3], col=[3, 3, 4], **{"class": ["a", "a", "b"]})
    run(scene(tmp_path), points, classes=tmp_path / "classes.toml")
    assert warnings_of(caplog) == [
        "no pixel of b: no point of it was used (1 conflicting)", "no pixel of c: no point has this class",
    ]  # fmt: skip


def test_a_class_that_a_step_took_away_is_warned_of_with_that_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points = table(tmp_path, row=[3, 30, 31, 30], col=[3, 50, 50, 51], **{"class": ["a", "b", "b", "a"]})
    changes = {"improve": ["remove-suspects"], "improve_parameter": {"remove-suspects.min_share": 0.7}}
    (mask,) = run(scene(tmp_path), points, **changes)
    assert (mask.points["used"], mask.points["conflicting"]) == (3, 1)
    assert warnings_of(caplog) == ["no pixel of b: a step after the vote took it away"]


# --- what `sample` writes


def test_points_sampled_on_a_crop_lie_on_the_mosaic_where_the_crop_lay(tmp_path: Path) -> None:
    mosaic = scene(tmp_path)
    crop = np.zeros((20, 20), np.uint8)
    crop[:, 10:] = 1
    mask = write_raster(tmp_path / "crop.tif", crop[None], crs=UTM, transform=PLACE @ Affine.translation(30, 15))
    points = tmp_path / "sampled.csv"
    sample(SampleSettings(masks=[mask], n_points=10, output=points, classes=write_classes(tmp_path / "classes.toml")))
    assert "has both pixels (row,col) and world coordinates (x,y)" in refusal(lambda: run(mosaic, points))
    (made,) = run(mosaic, points, points_crs=UTM)
    account, rows = pd.read_parquet(made.account), pd.read_csv(points)
    np.testing.assert_array_equal(account["pixel_row"], rows["row"] + 15)
    np.testing.assert_array_equal(account["pixel_col"], rows["col"] + 30)


def test_points_sampled_on_a_mask_without_a_crs_need_no_word_more(tmp_path: Path) -> None:
    mask = write_raster(tmp_path / "mask.tif", np.eye(40, 60, dtype=np.uint8)[None], crs=None, transform=None)
    points = tmp_path / "sampled.csv"
    sample(SampleSettings(masks=[mask], n_points=10, output=points, classes=write_classes(tmp_path / "classes.toml")))
    (made,) = run(scene(tmp_path, crs=None, place=Affine.identity()), points)
    np.testing.assert_array_equal(pd.read_parquet(made.account)["pixel_row"], pd.read_csv(points)["row"])
