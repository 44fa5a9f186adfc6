"""Files of simulated points: right pixels, right places, nothing lost, nothing overwritten."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio
from rich.console import Console
from smallworld import CLASSES, TRANSFORM, write_classes, write_raster

from superpoint.cache.points.reading import PlacedPoints, PointColumns, read_point_files
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.pipelines import samplesubjects
from superpoint.pipelines.sample import SampledPoints, sample
from superpoint.pipelines.settings import SampleSettings
from superpoint.pipelines.summaries import of_sampled_points
from superpoint.points.matching import match_classes
from superpoint.points.sample import sample_balanced

RNG = np.random.default_rng(7)
MASK = np.where(RNG.random((90, 120)) < 0.05, 255, RNG.random((90, 120)) < 0.2).astype(np.uint8)


class World:
    """A mask with its class table, and a place for points."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = write_classes(folder / "classes.toml")
        self.mask = write_raster(folder / "scene.tif", MASK[None], nodata=255)

    def settings(self, **changes: Any) -> SampleSettings:  # noqa: ANN401  # settings of any kind
        given = {"masks": [self.mask], "classes": self.classes, "output": self.folder / "points.gpkg", "n_points": 40}
        return SampleSettings(**{name: value for name, value in (given | changes).items() if value is not None})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def pixels_of(table: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(table["row"].tolist(), table["col"].tolist(), strict=True))


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".geojson", ".csv"])
def test_every_format_has_the_pixels_of_the_sampler_and_is_read_back_onto_them(world: World, suffix: str) -> None:
    output = world.folder / f"points{suffix}"
    made = sample(world.settings(output=output))
    table = read_point_files([output], PointColumns(raster_column="raster"))
    points = PlacedPoints(table=table, match=match_classes(table, CLASSES)).on(
        open_raster(world.mask).georeference, names=[str(world.mask)]
    )
    expected = sample_balanced(MASK, 40, rng=np.random.default_rng(0))
    for axis in ("rows", "cols", "values"):
        np.testing.assert_array_equal(getattr(points, axis), getattr(expected, axis))
    assert made.masks[0].class_points == {"dark": 20, "bright": 20}
    assert made.n_points == made.n_rows == 40


def test_points_lie_at_the_centres_of_their_pixels_in_the_masks_crs(world: World) -> None:
    sample(world.settings())
    table = gpd.read_file(world.folder / "points.gpkg")
    assert table.crs == "EPSG:32633"
    assert list(table.columns) == ["raster", "row", "col", "class", "geometry"]
    xs, ys = rasterio.transform.xy(TRANSFORM, table["row"], table["col"])
    np.testing.assert_allclose(table.geometry.x, xs)
    np.testing.assert_allclose(table.geometry.y, ys)
    assert set(table["raster"]) == {"scene"}


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_a_file_says_what_its_points_follow_from(world: World, suffix: str) -> None:
    path = world.folder / f"points{suffix}"
    sample(world.settings(output=path, seed=3, wrong=0.1))
    if suffix == ".gpkg":
        text = pyogrio.read_info(path)["layer_metadata"]["superpoint"]
    else:
        text = pq.read_schema(path).metadata[b"superpoint"]
        assert gpd.read_parquet(path).crs == "EPSG:32633"
    found = json.loads(text)
    assert (found["strategy"], found["parameters"]) == ("balanced", {"n_points": 40, "short": "share"})
    assert (found["seed"], found["masks"], found["noise"]["wrong"]) == (3, [str(world.mask)], 0.1)


def test_a_mask_that_lies_nowhere_gives_pixel_rows_and_columns(world: World) -> None:
    mask = write_raster(world.folder / "nowhere.tif", MASK[None], crs=None, transform=None, nodata=255)
    output = world.folder / "points.csv"
    sample(world.settings(masks=[mask], output=output))
    table = pd.read_csv(output)
    assert list(table.columns) == ["raster", "row", "col", "class"]
    assert [CLASSES.names[MASK[pixel]] for pixel in pixels_of(table)] == table["class"].tolist()
    with pytest.raises(InputError, match=r"has no CRS, so .*points\.gpkg cannot say .* ends in \.csv"):
        sample(world.settings(masks=[mask]))


def test_several_masks_share_one_file_and_name_their_rasters(world: World) -> None:
    folders = [world.folder / name for name in ("north", "south")]
    for folder in folders:
        folder.mkdir()
    masks = [write_raster(folder / "scene.tif", MASK[None], nodata=255) for folder in folders]
    made = sample(world.settings(masks=masks))
    table = gpd.read_file(world.folder / "points.gpkg")
    assert Counter(table["raster"]) == {"north/scene": 40, "south/scene": 40}
    assert [one.n_points for one in made.masks] == [40, 40]
    first, second = (pixels_of(table[table["raster"] == name]) for name in ("north/scene", "south/scene"))
    assert first != second  # the same mask, drawn by two seeds
    with pytest.raises(InputError, match=r"scene\.tif is given twice; give each mask once"):
        sample(world.settings(masks=[masks[0]] * 2, overwrite=True))


def test_masks_in_several_crs_are_written_in_longitude_and_latitude(world: World) -> None:
    other = write_raster(world.folder / "other.tif", MASK[None], crs="EPSG:32634", nodata=255)
    sample(world.settings(masks=[world.mask, other]))
    table = gpd.read_file(world.folder / "points.gpkg")
    assert table.crs == "EPSG:4326"
    back = table[table["raster"] == "other"].to_crs("EPSG:32634")
    xs, ys = rasterio.transform.xy(TRANSFORM, back["row"], back["col"])
    np.testing.assert_allclose(np.stack([back.geometry.x, back.geometry.y]), [xs, ys], atol=0.01)


def test_pixels_without_data_in_the_raster_are_not_drawn_and_the_points_bear_its_name(world: World) -> None:
    image = np.full((1, *MASK.shape), 9, np.uint8)
    image[:, :, 30:] = 0
    raster = write_raster(world.folder / "image.tif", image, nodata=0)
    sample(world.settings(raster=[raster]))
    table = gpd.read_file(world.folder / "points.gpkg")
    assert table["col"].max() < 30
    assert set(table["raster"]) == {"image"}


def test_strips_of_any_height_give_the_same_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sample(world.settings(output=world.folder / "whole.csv"))
    monkeypatch.setattr(samplesubjects, "READ_PX", 31 * MASK.shape[1])
    monkeypatch.setattr(samplesubjects, "STRIP_PX", 7 * MASK.shape[1])
    sample(world.settings(output=world.folder / "strips.csv"))
    assert (world.folder / "whole.csv").read_bytes() == (world.folder / "strips.csv").read_bytes()


def test_the_points_are_the_same_whatever_label_maps_are_compared_later(world: World) -> None:
    """Nothing of a label map comes into any strategy but `superpixel`, which is told so."""
    labels = write_raster(world.folder / "labels.tif", np.ones((1, *MASK.shape), np.uint32), nodata=0)
    with pytest.raises(InputError, match="strategy 'balanced' does not look at superpixels; leave out --label-map"):
        sample(world.settings(label_map=[labels]))
    with pytest.raises(InputError, match="strategy 'superpixel' needs a label map of each mask"):
        sample(world.settings(strategy="superpixel"))


def test_superpixels_give_a_point_each_the_largest_first(world: World) -> None:
    ids = np.ones(MASK.shape, np.uint32)
    ids[:20, :50], ids[50:, :], ids[0, 0] = 7, 3, 0
    labels = write_raster(world.folder / "labels.tif", ids[None], nodata=0)
    sample(world.settings(strategy="superpixel", label_map=[labels], n_points=3))
    table = gpd.read_file(world.folder / "points.gpkg")
    sizes = np.bincount(ids.ravel())[1:]
    assert [int(ids[pixel]) for pixel in pixels_of(table)] == sorted([1, 3, 7], key=lambda one: -sizes[one - 1])
    with pytest.raises(InputError, match=r"has 3 superpixels with a labelled pixel, fewer than the 4 points asked for"):
        sample(world.settings(strategy="superpixel", label_map=[labels], n_points=4, overwrite=True))


def test_several_annotators_err_each_in_their_own_way_and_what_was_true_is_kept(world: World) -> None:
    made = sample(world.settings(n_points=400, annotators=3, wrong=0.25, jitter=2))
    table = gpd.read_file(world.folder / "points.gpkg")
    assert Counter(table["annotator"]) == {1: 400, 2: 400, 3: 400}
    wrong = table["class"] != table["true_class"]
    assert made.n_wrong == wrong.sum()
    assert 0.2 < wrong.mean() < 0.3
    read = read_point_files([Path(made.output)], PointColumns(raster_column="raster"))
    assert not read.contradictions  # what was true is no second name of the class
    assert [CLASSES.names[MASK[p]] for p in zip(table["true_row"], table["true_col"], strict=True)] == table[
        "true_class"
    ].tolist()
    by_annotator = [part.reset_index(drop=True) for _, part in table.groupby("annotator")]
    for other in by_annotator[1:]:
        assert (other["true_row"] == by_annotator[0]["true_row"]).all()
        assert (other["class"] != by_annotator[0]["class"]).any()
        assert (other["row"] != by_annotator[0]["row"]).any()


def test_a_further_annotator_changes_nothing_of_the_others(world: World) -> None:
    for n in (1, 2):
        sample(world.settings(annotators=n, wrong=0.3, output=world.folder / f"{n}.csv"))
    one, two = (pd.read_csv(world.folder / f"{n}.csv") for n in (1, 2))
    pd.testing.assert_frame_equal(one, two[two["annotator"] == 1].reset_index(drop=True))


def test_a_confusion_matrix_names_its_classes_in_any_order(world: World) -> None:
    confusion = world.folder / "confusion.csv"
    confusion.write_text("true,bright,dark\nbright,1,0\ndark,1,0\n")
    sample(world.settings(confusion=confusion))
    table = gpd.read_file(world.folder / "points.gpkg")
    assert set(table["class"]) == {"bright"}
    assert set(table["true_class"]) == {"bright", "dark"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the columns of the confusion matrix .* are none; they must name each class once: dark, bright"),
        (",dark,brown\ndark,1,0\nbrown,0,1\n", "the columns of .* are dark, brown; they must name each class once"),
        (",dark,bright\ndark,1,0\n", "the rows of the confusion matrix .* are dark; they must name each class once"),
        (",dark,bright\ndark,1,0\nbright,x,1\n", "has an entry that is no number, or a short line"),
        (",dark,bright\ndark,1\nbright,1,1\n", "has an entry that is no number, or a short line"),
        (",dark,bright\ndark,1,-1\nbright,1,1\n", "the confusion matrix holds numbers that are negative"),
    ],
)
def test_a_confusion_matrix_that_is_none_is_refused(world: World, text: str, sentence: str) -> None:
    (world.folder / "confusion.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        sample(world.settings(confusion=world.folder / "confusion.csv"))


def test_points_are_drawn_once_and_never_overwritten_unasked(world: World) -> None:
    sample(world.settings())
    before = gpd.read_file(world.folder / "points.gpkg")
    with pytest.raises(InputError, match=r"points\.gpkg exists already; give --overwrite to replace it"):
        sample(world.settings(seed=1))
    pd.testing.assert_frame_equal(before, gpd.read_file(world.folder / "points.gpkg"))
    sample(world.settings(seed=1, overwrite=True))
    assert pixels_of(before) != pixels_of(gpd.read_file(world.folder / "points.gpkg"))
    assert sorted(path.name for path in world.folder.iterdir()) == ["classes.toml", "points.gpkg", "scene.tif"]


def test_a_budget_above_the_labelled_pixels_is_refused_or_taken_as_far_as_it_goes(world: World) -> None:
    mask = write_raster(world.folder / "few.tif", np.array([[[0, 1, 255, 0]]], np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"few\.tif has 3 labelled pixels, fewer than the 40 points asked for; give a"):
        sample(world.settings(masks=[mask]))
    assert not (world.folder / "points.gpkg").exists()
    made = sample(world.settings(masks=[mask], short="leave"))
    assert (made.masks[0].n_points, made.masks[0].n_missing) == (3, 37)
    assert made.masks[0].short == {"dark": [2, 20], "bright": [1, 20]}


def test_proportional_shares_leave_nothing_over_so_that_a_budget_above_the_pixels_is_refused(world: World) -> None:
    mask = write_raster(world.folder / "few.tif", np.array([[[0, 1, 255, 0]]], np.uint8), nodata=255)
    with pytest.raises(
        InputError, match=r"has 3 labelled pixels, fewer than the 40 points .*; give a lower --n-points$"
    ):
        sample(world.settings(masks=[mask], strategy="proportional"))
    with pytest.raises(InputError, match="strategy 'proportional' has no parameter 'short'; it takes n_points"):
        sample(world.settings(strategy="proportional", short="leave"))


def said_by(made: SampledPoints) -> str:
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(of_sampled_points(made))
    return console.export_text()


@pytest.mark.parametrize("strategy", ["random", "proportional"])
def test_a_class_that_is_in_the_masks_and_got_no_point_is_named(world: World, strategy: str) -> None:
    rare = np.zeros((50, 50), np.uint8)
    rare[7, :2], rare[8] = 1, 255
    masks = [write_raster(world.folder / f"{name}.tif", rare[None], nodata=255) for name in ("a", "b")]
    made = sample(world.settings(masks=masks, strategy=strategy, n_points=3))
    assert made.without_point == {"bright": 4}
    assert "class bright got no point; the masks have 4 pixels of it" in said_by(made)
    full = sample(world.settings(masks=masks, n_points=3, overwrite=True))
    assert full.without_point == {}
    assert "got no point" not in said_by(full)


def test_several_annotators_come_with_the_command_that_label_takes_them_by(world: World) -> None:
    one = sample(world.settings(annotators=2))
    assert one.command == (
        f"superpoint label RASTER --points {one.output} --annotator-column annotator --classes {world.classes}"
    )
    assert f"label with: {one.command}" in said_by(one)
    other = write_raster(world.folder / "an other.tif", MASK[None], nodata=255)
    two = sample(world.settings(masks=[world.mask, other], raster=[world.mask, other], annotators=2, overwrite=True))
    assert str(two.command).startswith(f"superpoint label {world.mask} '{other}' --points {two.output} ")
    assert "--annotator-column annotator --raster-column raster" in str(two.command)
    alone = sample(world.settings(overwrite=True))
    assert alone.command is None
    assert "label with" not in said_by(alone)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strategy": "best"}, "unknown strategy 'best'; known: balanced, "),
        ({"n_points": None}, "strategy 'balanced' needs a number of points"),
        ({"fraction": 0.1}, "strategy 'balanced' has no parameter 'fraction'; it takes n_points, short"),
        ({"classes": None}, r"scene\.tif carries no class table; give one with --classes"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(world: World, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        sample(world.settings(**changes))


def test_a_mask_without_labels_or_with_another_grid_than_its_raster_is_refused(world: World) -> None:
    empty = write_raster(world.folder / "empty.tif", np.full((1, 4, 4), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"empty\.tif has no labelled pixel; there is nothing to draw"):
        sample(world.settings(masks=[empty]))
    with pytest.raises(InputError, match=r"scene\.tif has 90 x 120 pixels and .*empty\.tif 4 x 4"):
        sample(world.settings(raster=[empty]))
    with pytest.raises(InputError, match=r"cannot tell a format from the name of .*points\.shp; known suffixes: \.gpk"):
        sample(world.settings(output=world.folder / "points.shp"))
    with pytest.raises(ValueError, match="1 masks and 2 of raster; give one for each mask, in order"):
        world.settings(raster=[empty, empty])
