"""Places to label next, compared with the whole label map in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pytest
from rich.console import Console
from scipy.stats import entropy
from shapely import box
from smallworld import two_fields, write_classes, write_points, write_raster

from superpoint.cache import labelmaps
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.pipelines.settings import SuggestSettings, SuperpixelizeSettings
from superpoint.pipelines.suggest import suggest
from superpoint.pipelines.summaries import of_suggestions
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from pathlib import Path

    from superpoint.pipelines.suggest import Suggestions
    from superpoint.pipelines.superpixelize import LabelMap

SHAPE = (100, 130)
IMAGE, TRUTH = two_fields(SHAPE, seed=0)
UNKNOWN = (slice(0, 12), slice(0, 12))


class World:
    """A raster with a label map in a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raster = write_raster(folder / "scene.tif", IMAGE)
        settings = SuperpixelizeSettings(
            rasters=[self.raster], cache=folder / "cache", region_size=12, tile=64, output=folder / "labels.tif"
        )
        self.label_map: LabelMap = superpixelize(settings)[0]
        self.labels = open_raster(folder / "labels.tif").read_stored(
            labelmaps.TileGrid(shape=SHAPE, size=200).tile(0, 0).core
        )[0][0]
        self.ids, self.areas = np.unique(self.labels, return_counts=True)

    def suggest(self, folder: Path, **changes: Any) -> Suggestions:  # noqa: ANN401  # settings of any kind
        given = {
            "label_map": self.label_map.path, "cache": self.folder / "cache", "output": folder / "next.gpkg",
            "n_points": 6, "overwrite": True,
        }  # fmt: skip
        return suggest(SuggestSettings(**(given | changes)))

    def pixel(self, row: int, col: int) -> tuple[float, float]:
        """Return the upper left corner of a pixel, in the raster's CRS."""
        x, y = open_raster(self.raster).georeference.affine @ (col, row)
        return x, y

    def means(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([np.nanmean(values[self.labels == label]) for label in self.ids])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def probabilities(seed: int, n_classes: int = 2) -> np.ndarray[Any, np.dtype[np.float32]]:
    shares = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.4), size=SHAPE).transpose(2, 0, 1)
    shares[:, *UNKNOWN] = 0
    return shares.astype(np.float32)


def said_by(made: Suggestions) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(of_suggestions(made))
    return console.export_text()


def chosen(made: Suggestions) -> list[int]:
    return [one.superpixel for one in made.suggestions]


def test_coverage_asks_for_the_largest_at_the_pixel_nearest_to_their_centroid(world: World, tmp_path: Path) -> None:
    made = world.suggest(tmp_path)
    order = sorted(zip((-world.areas).tolist(), world.ids.tolist(), strict=True))
    assert chosen(made) == [label for _, label in order[:6]]
    assert [one.score for one in made.suggestions] == [-area for area, _ in order[:6]]
    for one in made.suggestions:
        pixels = np.argwhere(world.labels == one.superpixel)
        nearest = pixels[((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        assert [one.row, one.col] == nearest.tolist()


def test_the_file_waits_for_classes_and_says_rank_and_score(world: World, tmp_path: Path) -> None:
    made = world.suggest(tmp_path)
    table = gpd.read_file(tmp_path / "next.gpkg")
    assert list(table.columns) == [
        "rank",
        "row",
        "col",
        "superpixel",
        "score",
        "pixels",
        "strategy",
        "raster",
        "class",
        "geometry",
    ]
    assert set(table["raster"]) == {"scene"}
    assert table["class"].isna().all()
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table.crs == "EPSG:32633"
    places = open_raster(world.raster).georeference.affine
    assert [~places @ (point.x, point.y) for point in table.geometry] == [
        (one.col + 0.5, one.row + 0.5) for one in made.suggestions
    ]


def test_superpixels_that_have_a_point_are_not_asked_for_again(world: World, tmp_path: Path) -> None:
    write_points(tmp_path / "points.gpkg", TRUTH, 30, seed=1)
    made = world.suggest(tmp_path, points=[tmp_path / "points.gpkg"], n_points=5)
    had = gpd.read_file(tmp_path / "points.gpkg")
    cols, rows = ~open_raster(world.raster).georeference.affine @ (had.geometry.x, had.geometry.y)
    taken = set(world.labels[np.floor(rows).astype(int), np.floor(cols).astype(int)].tolist())
    assert made.n_labelled == len(taken)
    assert taken.isdisjoint(chosen(made))
    # What was suggested counts as asked for, before anybody filled in a class.
    again = world.suggest(
        tmp_path, points=[tmp_path / "points.gpkg", tmp_path / "next.gpkg"], output=tmp_path / "then.gpkg"
    )
    assert set(chosen(made)).isdisjoint(chosen(again))
    assert again.n_labelled == len(taken) + 5


def test_diversity_is_a_farthest_first_traversal_of_mean_colours(world: World, tmp_path: Path) -> None:
    made = world.suggest(tmp_path, strategy="diversity", min_area=1)
    means = np.stack([world.means(band.astype(float)) for band in IMAGE], axis=1)
    scaled = (means - means.mean(axis=0)) / means.std(axis=0)
    places = [int((scaled**2).sum(axis=1).argmin())]
    for _ in range(5):
        away = np.linalg.norm(scaled[:, None] - scaled[places], axis=2).min(axis=1)
        places.append(int(away.argmax()))
    assert chosen(made) == world.ids[places].tolist()
    assert made.suggestions[0].score is None


def test_uncertainty_is_the_mean_entropy_of_the_pixels_that_have_probabilities(world: World, tmp_path: Path) -> None:
    shares = probabilities(1)
    path = write_raster(tmp_path / "shares.tif", shares)
    made = world.suggest(tmp_path, strategy="uncertainty", predictions=[path], min_area=1)
    known = shares.any(axis=0)
    scores = world.means(np.where(known, entropy(np.where(known, shares, 0.5), axis=0), np.nan))
    order = sorted(zip(np.nan_to_num(-scores, nan=9).tolist(), world.ids.tolist(), strict=True))
    assert chosen(made) == [label for _, label in order[:6]]
    np.testing.assert_allclose([one.score for one in made.suggestions], [-score for score, _ in order[:6]], rtol=1e-5)


def test_disagreement_is_the_mean_entropy_of_votes_of_maps_and_probabilities_alike(
    world: World, tmp_path: Path
) -> None:
    first, second = probabilities(2), probabilities(3)
    class_map = np.where(TRUTH == 1, 1, 0).astype(np.uint8)
    paths = [
        write_raster(tmp_path / "a.tif", first),
        write_raster(tmp_path / "b.tif", second),
        write_raster(tmp_path / "c.tif", class_map[None], nodata=255),
    ]
    classes = write_classes(tmp_path / "classes.toml")
    made = world.suggest(tmp_path, strategy="disagreement", predictions=paths, classes=classes, min_area=1)
    ones = first.argmax(axis=0) + second.argmax(axis=0) + class_map
    scores = entropy(np.stack([ones / 3, 1 - ones / 3]), axis=0)
    scores[UNKNOWN] = np.nan  # one vote alone
    order = sorted(
        (-round(float(score), 9), label)
        for score, label in zip(world.means(scores), world.ids.tolist(), strict=True)
        if np.isfinite(score)
    )
    assert chosen(made) == [label for _, label in order[:6]]


def test_a_label_map_is_named_by_path_key_raster_or_file(world: World, tmp_path: Path) -> None:
    ways = [world.label_map.path, "scene-", str(world.raster), str(world.folder / "labels.tif")]
    made = [world.suggest(tmp_path, label_map=way, strategy="diversity") for way in ways]
    assert len({tuple(chosen(one)) for one in made}) == 1


def test_the_tiles_have_no_say_in_where_the_point_goes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring whose centroid lies outside of it, and whose pixels lie in many tiles."""
    rows, cols = np.indices(SHAPE)
    away = np.hypot(rows - 47.3, cols - 60.1)
    ring = np.where((away > 30) & (away < 40), 2, 1).astype(np.uint32)
    path = write_raster(tmp_path / "ring.tif", ring[None], nodata=0)
    places = []
    for size in (16, 37, 1024):
        monkeypatch.setattr(labelmaps, "BLOCK", size)
        made = world.suggest(tmp_path, label_map=path, n_points=2)
        places.append([(one.superpixel, one.row, one.col) for one in made.suggestions])
    assert places[0] == places[1] == places[2]
    assert all(ring[row, col] == label for label, row, col in places[0])


def test_fewer_are_asked_for_where_no_more_are_left_and_none_is_refused(world: World, tmp_path: Path) -> None:
    made = world.suggest(tmp_path, n_points=10_000, min_area=1)
    assert sorted(chosen(made)) == world.ids.tolist()
    with pytest.raises(InputError, match=f"all {len(world.ids)} superpixels of .* have a point already; there is"):
        world.suggest(tmp_path, points=[tmp_path / "next.gpkg"], output=tmp_path / "then.gpkg")


def test_superpixels_below_a_quarter_of_the_median_are_not_asked_for(world: World, tmp_path: Path) -> None:
    sizes = [7, 40, 160, 160, 161, 160, 39]
    colours = np.array([250, 130, 10, 30, 50, 70, 200], np.uint8)
    strips = np.repeat(np.arange(7, dtype=np.uint32), sizes)
    places: dict[str, Any] = {
        "label_map": write_raster(tmp_path / "strips.tif", strips[None, None] + 1, nodata=0),
        "raster": write_raster(tmp_path / "colours.tif", colours[strips][None, None]),
    }
    for strategy in ("diversity", "coverage"):
        made = world.suggest(tmp_path, strategy=strategy, **places)
        assert sorted(chosen(made)) == [2, 3, 4, 5, 6]  # a quarter of 160 is 40
        assert (made.min_area, made.n_too_small, made.n_asked) == (40, 2, 6)
        assert {one.superpixel: one.pixels for one in made.suggestions} == {2: 40, 3: 160, 4: 160, 5: 161, 6: 160}
        assert (made.n_pixels, made.coverage_gained) == (681, 681 / 727)
    assert chosen(world.suggest(tmp_path, strategy="diversity", min_area=1, n_points=2, **places))[1] == 1
    with pytest.raises(
        InputError, match=r"none of the 7 superpixels of .*strips\.tif that have no point has 162 pixels"
    ):
        world.suggest(tmp_path, min_area=162, **places)


def test_the_summary_says_what_each_click_labels_and_where_no_more_are_left(world: World, tmp_path: Path) -> None:
    made = world.suggest(tmp_path, n_points=99_999)
    text = said_by(made)
    n = int((world.areas >= np.median(world.areas) / 4).sum())
    assert f"{n:,} of 99,999 points to label: there are no more of " in text
    assert f"and {n - 20:,} more" in text
    rows = text[: text.index(f"and {n - 20:,} more")].splitlines()
    ranks = [int(line.split()[0]) for line in rows if line.strip() and line.split()[0].isdecimal()]
    assert ranks == list(range(1, 21))
    few = world.suggest(tmp_path, n_points=2)
    text = said_by(few)
    assert "2 points to label" in text
    assert "no more" not in text
    assert f"coverage gained: {few.n_pixels:,} pixels, {few.n_pixels / world.areas.sum():.2%} of the label" in text


def test_points_that_are_there_are_read_as_label_reads_them(world: World, tmp_path: Path) -> None:
    table = tmp_path / "clicks.csv"
    table.write_text("down,across,class\n50,60,\n")
    fields = gpd.GeoDataFrame(
        {"class": ["dark"]}, geometry=[box(*world.pixel(20, 30), *world.pixel(24, 36))], crs="EPSG:32633"
    )
    write_points(tmp_path / "layers.gpkg", TRUTH, 3, seed=1)
    fields.to_file(tmp_path / "layers.gpkg", layer="fields")
    clicked = world.suggest(tmp_path, points=[table], row_column="down", column_column="across", n_points=999)
    assert world.labels[50, 60] not in chosen(clicked)
    burnt = world.suggest(
        tmp_path, points=[tmp_path / "layers.gpkg"], layer="fields", geometries="burn", n_points=999, min_area=1
    )
    inside = set(np.unique(world.labels[20:24, 30:36]).tolist())
    assert set(chosen(burnt)) == set(world.ids.tolist()) - inside
    with pytest.raises(InputError, match=r"layers\.gpkg has no class column 'what'; columns: class; choose"):
        world.suggest(tmp_path, points=[tmp_path / "layers.gpkg"], layer="fields", class_column="what")


def test_predictions_that_do_not_fit_are_refused_in_one_sentence(world: World, tmp_path: Path) -> None:
    two, three = (write_raster(tmp_path / f"{n}.tif", probabilities(0, n)) for n in (2, 3))
    one = write_raster(tmp_path / "1.tif", probabilities(0)[:1])
    small = write_raster(tmp_path / "small.tif", probabilities(0)[:, :50])
    logits = write_raster(tmp_path / "logits.tif", probabilities(0) * 7)
    class_map = write_raster(tmp_path / "map.tif", TRUTH[None], nodata=255)
    classes = write_classes(tmp_path / "classes.toml")
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("uncertainty", {}, "takes the class probabilities of one model, got 0 files"),
        ("uncertainty", {"predictions": [two, three]}, "tells 3 classes apart and .* 2; they must be of the same"),
        ("uncertainty", {"predictions": [two, two]}, "takes the class probabilities of one model, got 2 files"),
        ("uncertainty", {"predictions": [one]}, "has one band of float32; class probabilities have a band for each"),
        ("uncertainty", {"predictions": [three], "classes": classes}, "has 3 bands; the class table has 2 classes"),
        ("uncertainty", {"predictions": [small]}, r"small\.tif has 50 x 130 pixels and .* 100 x 130"),
        ("uncertainty", {"predictions": [logits]}, r"logits\.tif, .* add up to 7, .* give the output of a softmax"),
        ("uncertainty", {"predictions": [class_map], "classes": classes}, "is a class map; give the class probabil"),
        ("disagreement", {"predictions": [two]}, "compares 2 predictions or more, got 1; repeat --predictions for"),
        ("coverage", {"predictions": [two]}, "strategy 'coverage' does not look at predictions"),
        ("best", {}, "unknown strategy 'best'; known: coverage, disagreement, diversity, uncertainty"),
    ]
    for strategy, changes, sentence in refusals:
        with pytest.raises(InputError, match=sentence):
            world.suggest(tmp_path, strategy=strategy, **changes)
    assert not (tmp_path / "next.gpkg").exists()


def test_label_maps_and_rasters_that_do_not_fit_are_refused_in_one_sentence(world: World, tmp_path: Path) -> None:
    stranger = write_raster(tmp_path / "stranger.tif", IMAGE[:, :40])
    nothing = write_raster(tmp_path / "nothing.tif", np.zeros((1, 9, 9), np.uint32), nodata=0)
    ids = write_raster(tmp_path / "ids.tif", np.ones((1, 9, 9), np.uint32), nodata=0)
    write_points(tmp_path / "points.gpkg", TRUTH, 3, seed=1)
    far = gpd.read_file(tmp_path / "points.gpkg")
    far.set_geometry(far.translate(9e4, 0)).to_file(tmp_path / "far.gpkg")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"label_map": "nobody"}, "no result in .* begins with 'nobody'"),
        ({"label_map": stranger}, "holds no label map of .*stranger.tif; make one with: superpoint superpixelize"),
        ({"label_map": nothing}, "holds no superpixel, only nodata; there is nothing to label"),
        ({"label_map": ids, "strategy": "diversity"}, "does not say what raster it was made of; name it with --raster"),
        ({"raster": stranger, "strategy": "diversity"}, "has 100 x 130 pixels and .*stranger.tif 40 x 130"),
        ({"points": [tmp_path / "far.gpkg"]}, "none of the 3 points of .*far.gpkg lies on"),
        ({"output": tmp_path / "far.gpkg", "overwrite": False}, r"far\.gpkg exists already; give --overwrite"),
    ]
    for changes, sentence in refusals:
        with pytest.raises(InputError, match=sentence):
            world.suggest(tmp_path, **changes)


def test_of_several_label_maps_of_one_raster_the_key_must_be_given(tmp_path: Path) -> None:
    own = World(tmp_path)
    superpixelize(SuperpixelizeSettings(rasters=[own.raster], cache=tmp_path / "cache", region_size=20, tile=64))
    with pytest.raises(InputError, match=r"there are 2 label maps of .*scene\.tif; give the key of one: label-maps/"):
        own.suggest(tmp_path, label_map=str(own.raster))


def test_a_raster_that_changed_is_no_source_of_colours(tmp_path: Path) -> None:
    own = World(tmp_path)
    write_raster(own.raster, IMAGE[::-1].copy() + 1)
    with pytest.raises(InputError, match=r"scene\.tif is not what it was when .* was made of it; give --raster"):
        own.suggest(tmp_path, strategy="diversity")
