from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from caches import bytes_of
from shapely import box
from smallworld import write_raster

from superpoint.cache.evidence import companion_of, read_stages, read_tally
from superpoint.cache.groups import load_group
from superpoint.cache.holdings import ACCOUNT, TABLES
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import LabelSettings
from superpoint.superpixels.slic import SPREAD
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from smallworld import Files

    from superpoint.pipelines.label import PseudoMask

    Row = tuple[float, float, object]
    """Row, col and class of a point."""

REGION_SIZE = 15.5 / SPREAD  # seeds stand 15.5 pixels apart
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
FLAT = np.full((1, 96, 120), 9, np.uint8)
"""One colour: its superpixels are the cells of the lattice, 16 rows by 15 cols, 8 in a row."""


def hills(shape: tuple[int, int] = (150, 200)) -> NDArray[np.uint8]:
    rows, cols = np.indices(shape)
    smooth = 120 + 80 * np.sin(rows / 9) * np.cos(cols / 13)
    return (smooth + np.random.default_rng(0).normal(0, 9, (2, *shape))).clip(1, 255).astype(np.uint8)


def points_file(folder: Path, rows: Sequence[Row], name: str = "points.csv") -> Path:
    path = folder / name
    pd.DataFrame(rows, columns=["row", "col", "class"]).to_csv(path, index=False)
    return path


def settings(raster: Path | list[Path], points: Path, **changes: object) -> LabelSettings:
    rasters = raster if isinstance(raster, list) else [raster]
    defaults: dict[str, Any] = {
        "cache": points.parent / "cache",
        "tile": 64,
        "region_size": REGION_SIZE,
        "halo": "exact",
    }
    return LabelSettings(rasters=rasters, points=points, **(defaults | changes))


def array(mask: PseudoMask, name: str = "pseudo_mask") -> NDArray[Any]:
    n_rows, n_cols = mask.label_map.shape
    group = load_group(mask.label_map.path if name == "labels" else mask.path)
    return group.read(name, Window(row=0, col=0, n_rows=n_rows, n_cols=n_cols))


def some_points(shape: tuple[int, int], n_points: int, *, seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(-3, shape[0] + 3, n_points), rng.integers(-3, shape[1] + 3, n_points)
    classes = rng.choice(["field", "road", "water", ""], n_points, p=[0.4, 0.3, 0.2, 0.1])
    return list(zip(rows.tolist(), cols.tolist(), classes.tolist(), strict=True))


# --- the vote over the whole raster


def test_points_of_one_superpixel_on_two_tiles_vote_together(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    # The cell of rows 0 to 15 and cols 60 to 74 lies on both sides of the tile edge at col 64.
    points = [(5, 61, "a"), (6, 66, "b"), (7, 70, "b"), (90, 2, "a")]
    (mask,) = label(settings(make_raster(FLAT), points_file(tmp_path, points)))
    found = array(mask)
    assert (array(mask, "labels")[:16, 60:75] == 5).all()
    assert (found[:16, 60:75] == 1).all()
    assert (found[80:, :15] == 0).all()
    assert np.count_nonzero(found != IGNORE) == 2 * 16 * 15
    assert {state: count for state, count in mask.points.items() if count} == {"used": 3, "conflicting": 1}
    np.testing.assert_allclose(array(mask, "vote_share")[:16, 60:75], 2 / 3)
    assert (array(mask, "votes")[:16, 60:75] == 3).all()


def test_a_point_on_a_tiles_edge_and_on_the_last_row_and_col_paints_its_own_superpixel(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    xs, ys = zip(*[PLACE @ place for place in ((64, 64), (119.999, 95.999), (0, 0), (120, 50), (7, 96))], strict=True)
    names = ["edge", "last", "first", "right", "bottom"]
    table = gpd.GeoDataFrame({"class": names}, geometry=gpd.points_from_xy(xs, ys), crs=32633)
    table.to_file(tmp_path / "points.gpkg")
    (mask,) = label(settings(make_raster(FLAT), tmp_path / "points.gpkg"))
    found = array(mask)
    expected = np.full(FLAT.shape[1:], IGNORE)
    value = {name: mask.classes.value_of(name) for name in names}
    expected[64:80, 60:75], expected[80:, 105:], expected[:16, :15] = value["edge"], value["last"], value["first"]
    np.testing.assert_array_equal(found, expected)
    assert (mask.points["used"], mask.points["outside"]) == (3, 2)


@pytest.mark.parametrize("tie", ["lowest", "ignore"])
def test_the_pseudo_mask_and_its_evidence_are_those_of_a_counter(
    make_raster: Callable[..., Path], tmp_path: Path, tie: str
) -> None:
    image = hills()
    image[:, 40:60, 100:130] = 0
    rows = some_points((150, 200), 300)
    (mask,) = label(settings(make_raster(image, nodata=0), points_file(tmp_path, rows), tie=tie))
    labels = array(mask, "labels")
    ballots: dict[int, Counter[int]] = {}
    for row, col, name in dict.fromkeys(rows):
        if 0 <= row < 150 and 0 <= col < 200 and name and labels[int(row), int(col)]:
            ballots.setdefault(int(labels[int(row), int(col)]), Counter())[mask.classes.names.index(str(name))] += 1
    pseudo_mask, n_votes, shares = array(mask), array(mask, "votes"), array(mask, "vote_share")
    for superpixel in np.unique(labels).tolist():
        votes = ballots.get(superpixel, Counter())
        top = max(votes.values(), default=0)
        leaders = sorted(value for value, count in votes.items() if count == top)
        winner = IGNORE if not leaders or (tie == "ignore" and len(leaders) > 1) else leaders[0]
        here = labels == superpixel
        assert set(pseudo_mask[here].tolist()) == {winner}
        assert set(n_votes[here].tolist()) == {votes.total()}
        assert set(shares[here].tolist()) == {np.float32(top / max(votes.total(), 1))}
    labelled = np.count_nonzero(pseudo_mask != IGNORE)
    assert mask.coverage == pytest.approx(labelled / np.count_nonzero(labels))
    assert sum(mask.class_pixels.values()) == labelled


def test_neither_tiles_nor_the_order_of_points_have_a_say(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    raster, rows = make_raster(hills()), some_points((150, 200), 200)
    small = {"region_size": 8, "parameter": {"iterations": 2}}
    (first,) = label(settings(raster, points_file(tmp_path, rows), **small))
    (other,) = label(settings(raster, points_file(tmp_path, rows[::-1], name="backwards.csv"), tile=112, **small))
    assert first.path != other.path
    assert first.points == other.points
    for name in ("pseudo_mask", "vote_share", "votes"):
        np.testing.assert_array_equal(array(first, name), array(other, name))


# --- the account


def test_every_point_is_accounted_for_once(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    flat = FLAT.copy()
    flat[:, :16, :15] = 0
    rows = [
        (20, 20, "a"), (20, 20, "a"), (20, 21, "a"), (20, 22, "b"),
        (0, 0, "a"), (96, 0, "a"), (5, -1, "b"), (40, 40, ""), (40, 40, "cloud"),
    ]  # fmt: skip
    (tmp_path / "classes.toml").write_text('ignore = ["cloud"]\n[[class]]\nname = "a"\n[[class]]\nname = "b"\n')
    (mask,) = label(
        settings(make_raster(flat, nodata=0), points_file(tmp_path, rows), classes=tmp_path / "classes.toml")
    )
    assert mask.points == {
        "used": 2, "too_weak": 0, "conflicting": 1, "duplicate": 1, "on_nodata": 1, "unreadable_class": 2,
        "outside": 2, "no_place": 0,
    }  # fmt: skip
    account = pd.read_parquet(mask.account)
    assert account["state"].tolist() == [
        "used", "duplicate", "used", "conflicting", "on_nodata", "outside", "outside", "unreadable_class",
        "unreadable_class",
    ]  # fmt: skip
    assert account["class"].fillna("").tolist() == [name for _, _, name in rows]
    store, key = companion_of(mask.path, ACCOUNT)
    inside = pd.read_parquet(io.BytesIO(store.read(key) or b""))
    assert inside["row"].tolist() == [0, 1, 2, 3, 4, 7, 8]
    assert mask.all_points == mask.points


def test_one_file_serves_many_rasters_and_classes_mean_the_same_on_all(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    east = Affine(10, 0, 501_200, 0, -10, 5_000_000)
    rasters = [make_raster(FLAT, name="west.tif"), make_raster(FLAT, name="east.tif", transform=east)]
    xs, ys = zip(*[PLACE @ place for place in ((5.5, 5.5), (125.5, 5.5), (126.5, 40.5))], strict=True)
    table = gpd.GeoDataFrame({"class": ["z", "m", "z"]}, geometry=gpd.points_from_xy(xs, ys), crs=32633)
    table.to_file(tmp_path / "points.gpkg")
    west_mask, east_mask = label(settings(rasters, tmp_path / "points.gpkg"))
    assert west_mask.classes == east_mask.classes
    assert set(np.unique(array(west_mask))) == {1, IGNORE}
    assert set(np.unique(array(east_mask))) == {0, 1, IGNORE}
    assert [(mask.points["used"], mask.points["outside"]) for mask in (west_mask, east_mask)] == [(1, 2), (2, 1)]
    assert {state: count for state, count in west_mask.all_points.items() if count} == {"used": 3}
    assert pd.read_parquet(west_mask.account)["raster"].tolist() == ["west", "east", "east"]


# --- the cache


def test_a_second_call_computes_nothing_and_gives_the_same(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    call = settings(make_raster(hills()), points_file(tmp_path, some_points((150, 200), 100)))
    (first,), (second,) = label(call), label(call)
    assert (first.n_computed, first.label_map.n_computed) == (12, 12)
    assert (second.n_computed, second.label_map.n_computed) == (0, 0)
    for field in ("path", "points", "coverage", "class_pixels", "classes"):
        assert getattr(first, field) == getattr(second, field)


def test_other_points_make_a_new_mask_on_the_same_label_map(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    raster = make_raster(hills())
    (first,) = label(settings(raster, points_file(tmp_path, some_points((150, 200), 100))))
    before = array(first)
    (second,) = label(settings(raster, points_file(tmp_path, some_points((150, 200), 100, seed=2))))
    assert second.label_map.n_computed == 0
    assert second.path != first.path
    assert second.n_computed == 12
    np.testing.assert_array_equal(array(first), before)
    assert not np.array_equal(array(second), before)


def test_a_tile_whose_record_is_lost_is_painted_again(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    call = settings(make_raster(hills()), points_file(tmp_path, some_points((150, 200), 100)))
    (first,) = label(call)
    Path(first.path).with_suffix(".ledger").joinpath("1.2.json").write_text('{"tile": "1.2", "state": "do')
    (second,) = label(call)
    assert second.n_computed == 1
    assert (second.coverage, second.class_pixels) == (first.coverage, first.class_pixels)


# --- rules, steps and shares


def test_too_few_votes_and_too_small_a_share_leave_a_superpixel_unlabelled_and_say_so(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    # The cells of rows 0 to 15: cols 0 to 14 have three votes of which two agree, cols 15 to 29 a single one.
    points = points_file(tmp_path, [(5, 5, "a"), (6, 6, "a"), (7, 7, "b"), (5, 20, "a")])
    (mask,) = label(settings(make_raster(FLAT), points, min_votes=2))
    assert (mask.points["used"], mask.points["conflicting"], mask.points["too_weak"]) == (2, 1, 1)
    assert array(mask)[:16, :30].tolist() == [[0] * 15 + [IGNORE] * 15] * 16
    assert array(mask, "flags")[:16, :30].tolist() == [[1] * 15 + [4] * 15] * 16
    (mask,) = label(settings(make_raster(FLAT), points, min_share=0.7))
    assert array(mask)[:16, :30].tolist() == [[IGNORE] * 15 + [0] * 15] * 16
    assert mask.points["too_weak"] == 3


def test_an_annotator_has_one_vote_in_a_superpixel_where_they_are_balanced(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [(5, 5, "a", "ann"), (6, 6, "a", "ann"), (7, 7, "a", "ann"), (8, 8, "b", "bob"), (9, 9, "b", "eve")]
    points = tmp_path / "points.csv"
    pd.DataFrame(rows, columns=["row", "col", "class", "who"]).to_csv(points, index=False)
    (loud,) = label(settings(make_raster(FLAT), points))
    (fair,) = label(settings(make_raster(FLAT), points, annotator_column="who", balance_annotators=True))
    assert (array(loud)[5, 5], array(fair)[5, 5]) == (0, 1)
    assert array(fair, "vote_share")[5, 5] == np.float32(2 / 3)
    assert array(fair, "votes")[5, 5] == 5


def test_shares_are_the_votes_for_each_class_over_all_votes(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    points, output = points_file(tmp_path, some_points((150, 200), 200)), tmp_path / "out.tif"
    (mask,) = label(settings(make_raster(hills()), points, shares=True, output=output))
    shares = np.stack([array(mask, f"class_share_{value}") for value in range(3)])
    voted = array(mask, "votes") > 0
    np.testing.assert_allclose(shares.sum(axis=0), voted, atol=1e-6)
    np.testing.assert_array_equal(shares.max(axis=0), array(mask, "vote_share"))
    np.testing.assert_array_equal(shares.argmax(axis=0)[voted], array(mask)[voted])
    with rasterio.open(tmp_path / "out.shares.tif") as dataset:
        assert dataset.descriptions == mask.classes.names
        np.testing.assert_array_equal(dataset.read(), np.where(voted, shares, np.nan))


def test_steps_follow_the_vote_in_their_order_and_each_is_kept(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    points = points_file(tmp_path, [(5, 5, "a"), (6, 6, "b"), (90, 110, "b")])
    improve = {"improve": "remove-suspects,fill-nearest", "improve_parameter": {"remove-suspects.min_share": 0.6}}
    (mask,) = label(settings(make_raster(FLAT), points, **improve))
    assert (array(mask) == 1).all()
    assert mask.coverage == 1
    assert [(one.name, one.n_labelled, one.n_gained, one.n_lost) for one in mask.steps] == [
        ("vote", 2, 2, 0), ("remove-suspects", 1, 0, 1), ("fill-nearest", 48, 47, 0)
    ]  # fmt: skip
    stages = read_stages(mask.path)
    assert list(stages) == ["vote", "remove-suspects", "fill-nearest"]
    assert [int((labels.classes != IGNORE).sum()) for labels in stages.values()] == [2, 1, 48]
    tally = read_tally(mask.path)
    assert tally is not None
    assert (tally.superpixels.tolist(), tally.values.tolist()) == ([1, 1, 48], [0, 1, 1])
    (plain,) = label(settings(make_raster(FLAT), points))
    assert plain.path != mask.path
    with pytest.raises(InputError, match=r"propagate is not among --improve \(asked for: none\)"):
        label(settings(make_raster(FLAT), points, improve_parameter={"propagate.sigma": 1}))


def test_a_step_may_come_twice_and_the_last_one_is_painted(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    points = points_file(tmp_path, [(5, 5, "a"), (6, 6, "b"), (90, 110, "b")])
    asked = {
        "improve": "fill-nearest,remove-suspects,fill-nearest",
        "improve_parameter": {"remove-suspects.outlier": 1},
    }
    (mask,) = label(settings(make_raster(hills(FLAT.shape[1:])), points, **asked))
    assert list(read_stages(mask.path)) == ["vote", "fill-nearest", "remove-suspects", "fill-nearest 2"]
    assert [one.n_lost > 0 for one in mask.steps] == [False, False, True, False]
    assert mask.coverage == 1


def test_who_set_a_point_is_in_the_key_also_where_nobody_is_balanced(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [(5, 5, "b", "ann"), (5, 5, "b", "bob"), (6, 6, "a", "ann")]
    points = tmp_path / "points.csv"
    pd.DataFrame(rows, columns=["row", "col", "class", "who"]).to_csv(points, index=False)
    raster = make_raster(FLAT)
    (one,) = label(settings(raster, points))
    (two,) = label(settings(raster, points, annotator_column="who"))
    assert (array(one)[5, 5], array(two)[5, 5]) == (0, 1)
    assert (one.points["duplicate"], two.points["duplicate"]) == (1, 0)


def test_a_raster_without_a_vote_is_unlabelled_also_with_shares(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    east = Affine(10, 0, 501_200, 0, -10, 5_000_000)
    rasters = [make_raster(FLAT, name="west.tif"), make_raster(FLAT, name="east.tif", transform=east)]
    (x, y) = PLACE @ (5.5, 5.5)
    gpd.GeoDataFrame({"class": ["a"]}, geometry=gpd.points_from_xy([x], [y]), crs=32633).to_file(tmp_path / "p.gpkg")
    _, nothing = label(settings(rasters, tmp_path / "p.gpkg", shares=True))
    assert nothing.coverage == 0
    assert not array(nothing, "class_share_0").any()


# --- several files, and polygons


def test_points_of_several_files_vote_together(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    xs, ys = zip(*[PLACE @ place for place in ((5.5, 5.5), (7.5, 7.5))], strict=True)
    table = gpd.GeoDataFrame({"class": ["b", "b"]}, geometry=gpd.points_from_xy(xs, ys), crs=32633).to_crs(4326)
    table.to_file(tmp_path / "points.gpkg")
    pixels = points_file(tmp_path, [(8, 8, "a"), (90, 110, "a")])
    (mask,) = label(
        settings(make_raster(FLAT), pixels).model_copy(update={"points": [pixels, tmp_path / "points.gpkg"]})
    )
    assert (array(mask)[5, 5], array(mask, "votes")[5, 5], array(mask)[90, 110]) == (1, 3, 0)
    assert sum(mask.points.values()) == 4


def test_a_column_says_which_raster_a_pixel_is_of(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    rasters = [make_raster(FLAT, name="one.tif"), make_raster(FLAT, name="two.tif")]
    rows = [(5, 5, "a", "one"), (5, 5, "b", "two.tif"), (50, 50, "b", "three")]
    points = tmp_path / "points.csv"
    pd.DataFrame(rows, columns=["row", "col", "class", "scene"]).to_csv(points, index=False)
    one, two = label(settings(rasters, points, raster_column="scene"))
    assert (array(one)[5, 5], array(two)[5, 5]) == (0, 1)
    assert {state: count for state, count in one.all_points.items() if count} == {"used": 2, "outside": 1}


def test_pixels_that_lie_on_every_raster_are_refused_and_names_that_several_have(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    rasters = [make_raster(FLAT, name=f"{place}.tif") for place in ("one", "two")]
    points = points_file(tmp_path, [(5, 5, "a")])
    with pytest.raises(InputError, match=r"pixel rows and columns, which lie on each of the 2 rasters"):
        label(settings(rasters, points))
    (tmp_path / "sub").mkdir()
    twin = (tmp_path / "one.tif").rename(tmp_path / "sub" / "two.tif")
    pd.DataFrame([(5, 5, "a", "two")], columns=["row", "col", "class", "scene"]).to_csv(points, index=False)
    with pytest.raises(InputError, match=r"name the raster 'two', and 2 are called so: .*; give more of the path"):
        label(settings([twin, rasters[1]], points, raster_column="scene"))


def test_polygons_are_burned_in_and_each_is_one_row_of_the_account(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    (left, top), (right, bottom) = PLACE @ (2, 2), PLACE @ (20, 9)
    table = gpd.GeoDataFrame({"class": ["a"]}, geometry=[box(left, bottom, right, top)], crs=32633)
    table.to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputError, match="geometries"):
        label(settings(make_raster(FLAT), tmp_path / "points.gpkg"))
    (mask,) = label(settings(make_raster(FLAT), tmp_path / "points.gpkg", geometries="burn"))
    assert mask.points["used"] == sum(mask.points.values()) == 1
    assert array(mask, "votes")[0, [0, 20, 40]].tolist() == [7 * 13, 7 * 5, 0]


# --- elsewhere


def test_two_workers_write_the_bytes_of_one(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    raster, points = make_raster(hills()), points_file(tmp_path, some_points((150, 200), 200))
    asked = {"improve": "propagate", "shares": True}
    (alone,) = label(settings(raster, points, cache=tmp_path / "alone", **asked))
    (together,) = label(settings(raster, points, cache=tmp_path / "together", workers=2, **asked))
    assert bytes_of(alone.path) == bytes_of(together.path)
    for suffix in TABLES:
        one, other = (Path(mask.path.replace(".zarr", suffix)).read_bytes() for mask in (alone, together))
        assert one == other
    assert together.points == alone.points


# --- outputs


def test_the_output_is_a_cog_with_its_evidence_and_account_beside_it(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    raster, points = make_raster(hills()), points_file(tmp_path, some_points((150, 200), 100))
    output = tmp_path / "out" / "mask.tif"
    (mask,) = label(settings(raster, points, output=output))
    assert mask.output == str(output)
    assert sorted(file.name for file in output.parent.iterdir()) == [
        "mask.evidence.tif", "mask.points.parquet", "mask.stac.json", "mask.tif",
    ]  # fmt: skip
    with rasterio.open(raster) as source, rasterio.open(output) as dataset:
        assert (dataset.crs, dataset.transform, dataset.nodata) == (source.crs, source.transform, IGNORE)
        np.testing.assert_array_equal(dataset.read(1), array(mask))
        for value, color in mask.classes.colormap.items():
            assert dataset.colormap(1)[value][:3] == color
    with rasterio.open(output.with_suffix(".evidence.tif")) as evidence:
        np.testing.assert_array_equal(evidence.read(1), array(mask, "vote_share"))
        np.testing.assert_array_equal(evidence.read(2), array(mask, "votes"))
    states = pd.read_parquet(output.with_suffix(".points.parquet"))["state"].value_counts().to_dict()
    assert states == {state: count for state, count in mask.points.items() if count}


def test_a_killed_export_is_finished_by_the_same_command(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "out" / "mask.tif"
    points = points_file(tmp_path, some_points((150, 200), 100))
    call = settings(make_raster(hills()), points, output=output, shares=True)
    label(call)
    whole = {path.name for path in output.parent.iterdir()}
    for gone in ("mask.tif", "mask.shares.tif"):
        (output.parent / gone).unlink()
        label(call)
        assert {path.name for path in output.parent.iterdir()} == whole


@pytest.mark.parametrize("name", ["mask.tif", "mask.evidence.tif", "mask.points.parquet"])
def test_nothing_that_is_there_is_overwritten_and_nothing_is_computed_before_that_is_known(
    make_raster: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    call = settings(make_raster(FLAT), points_file(tmp_path, [(5, 5, "a")]), output=tmp_path / "out" / "mask.tif")
    with pytest.raises(InputError, match=f"{name} exists already; give --overwrite"):
        label(call)
    assert not (tmp_path / "cache").exists()
    label(call.model_copy(update={"overwrite": True}))
    assert (tmp_path / "out" / name).read_bytes() != b"precious"


# --- what is refused


def test_points_that_lie_elsewhere_are_refused_with_both_files(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    points = points_file(tmp_path, [(500, 5, "a"), (5, 500, "b")])
    with pytest.raises(InputError, match=r"none of the 2 points of .*points.csv lies on .*scene.tif; check"):
        label(settings(make_raster(FLAT), points))


def test_a_class_that_is_not_in_the_table_does_not_vote_and_a_file_of_nothing_else_is_refused(
    make_raster: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "classes.toml").write_text('[[class]]\nname = "a"\n')
    strange = points_file(tmp_path, [(5, 6, "b")], name="strange.csv")
    with pytest.raises(InputError, match=r"no row of .*strange.csv has a class that is in the class table; known: a"):
        label(settings(make_raster(FLAT), strange, classes=tmp_path / "classes.toml"))
    assert not (tmp_path / "cache").exists()
    points = points_file(tmp_path, [(5, 5, "a"), (5, 6, "b")])
    (mask,) = label(settings(make_raster(FLAT), points, classes=tmp_path / "classes.toml"))
    assert (mask.points["used"], mask.points["unreadable_class"]) == (1, 1)
    assert "'b' (rows: 1)" in caplog.text


def test_the_table_of_the_points_is_kept_in_the_mask(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    (mask,) = label(settings(make_raster(FLAT), points_file(tmp_path, [(5, 5, 30), (50, 50, 4)])))
    assert mask.classes.names == ("4", "30")
    assert ClassTable.from_dict(load_group(mask.path).provenance["classes"]) == mask.classes
    assert array(mask)[5, 5] == 1


def test_an_edited_shapefile_is_another_pseudo_mask(files: Files) -> None:
    """The classes are in the .dbf beside the .shp that is named."""
    points = gpd.read_file(files.points)
    shapefile = files.folder / "points.shp"
    points.to_file(shapefile)
    chosen = LabelSettings(rasters=[files.raster], points=shapefile, cache=files.folder / "cache")
    (before,) = label(chosen)
    points["class"] = points["class"].map({"dark": "bright", "bright": "dark"})
    points.to_file(shapefile)
    (after,) = label(chosen)
    assert after.path != before.path
    assert after.class_pixels == {"bright": before.class_pixels["dark"], "dark": before.class_pixels["bright"]}


def test_a_layer_is_chosen_by_name(files: Files) -> None:
    points = gpd.read_file(files.points)
    several = files.folder / "several.gpkg"
    points.to_file(several, layer="first")
    points.iloc[:5].to_file(several, layer="second")
    chosen = LabelSettings(rasters=[files.raster], points=several, cache=files.folder / "cache")
    with pytest.raises(InputError, match=r"several\.gpkg has the layers first, second; choose one with --layer"):
        label(chosen)
    assert sum(label(chosen.model_copy(update={"layer": "second"}))[0].points.values()) == 5


def test_points_of_which_none_can_be_used_are_refused(files: Files) -> None:
    image = np.zeros((1, 200, 260), np.uint8)
    empty = write_raster(files.folder / "empty.tif", image, nodata=0)
    chosen = LabelSettings(rasters=[empty], points=files.points, cache=files.folder / "cache")
    with pytest.raises(InputError, match=r"no point of .*points\.gpkg could be used \(60 on nodata\)"):
        label(chosen)
