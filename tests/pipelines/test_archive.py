"""Many rasters in one run: what became of each is known, and one that cannot be used stops nobody."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import zarr
from servers import make_bucket, publish, s3_server, use_s3
from smallworld import two_fields, write_points, write_raster

from superpoint.cache.evidence import companion_of
from superpoint.cache.groups import load_group
from superpoint.cache.holdings import TABLES
from superpoint.cache.ledger import TileRecord
from superpoint.cache.runs import find_run
from superpoint.cache.stores import Store
from superpoint.cache.turns import turn_at
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.forecast import forecast
from superpoint.pipelines.inspect import inspect
from superpoint.pipelines.jobs import Conduct, run_tile
from superpoint.pipelines.label import label
from superpoint.pipelines.retry import retry
from superpoint.pipelines.settings import (
    InspectSettings,
    LabelSettings,
    RetrySettings,
    StatusSettings,
    SuperpixelizeSettings,
)
from superpoint.pipelines.status import status
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.tiles import Tile

SHAPES = ((100, 140), (64, 64), (150, 90))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three rasters."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for number, shape in enumerate(SHAPES):
        write_raster(archive / f"{number}.tif", two_fields(shape, seed=number)[0])
    return archive


def settings(folder: Path, cache: object = None, **changes: object) -> SuperpixelizeSettings:
    values = {"rasters": [folder], "cache": cache or folder.parent / "cache", "region_size": 8, "tile": 64}
    return SuperpixelizeSettings(**(values | changes))


def objects_in(store: Store) -> dict[str, bytes | None]:
    return {stored.key: store.read(stored.key) for stored in store.list()}


# --- many rasters


def test_a_run_writes_down_what_became_of_each_raster(folder: Path) -> None:
    made = superpixelize(settings(folder))
    (run,) = (folder.parent / "cache" / "runs").iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["run"] == run.name
    assert (manifest["state"], manifest["n_rasters"], manifest["command"]) == ("done", 3, "superpixelize")
    assert manifest["rasters"] == {"done": 3, "quarantined": 0, "running": 0}
    assert manifest["settings"]["region_size"] == 8
    assert {"numpy", "zarr", "rasterio", "superpoint"} <= set(manifest["packages"])
    table = pd.read_parquet(run / "rasters.parquet")
    assert table["raster"].tolist() == [str(folder / f"{n}.tif") for n in range(3)] == [one.raster for one in made]
    assert list(zip(table["rows"], table["cols"], strict=True)) == list(SHAPES) == [one.shape for one in made]
    assert table["n_superpixels"].tolist() == [len(np.unique(labels_at(one.path))) for one in made]
    assert table["n_tiles"].tolist() == [6, 1, 6]
    for path, n_bytes in zip(table["path"], table["n_bytes_written"], strict=True):
        assert n_bytes == sum(f.stat().st_size for f in (Path(path) / "labels" / "c").rglob("*") if f.is_file())
    for one in made:
        item = json.loads(Path(one.item).read_text())
        assert (item["type"], item["properties"]["proj:shape"]) == ("Feature", list(one.shape))


def labels_at(path: str) -> NDArray[np.uint32]:
    return np.asarray(zarr.open_group(path, mode="r")["labels"])


def test_a_raster_that_cannot_be_used_is_quarantined_and_the_others_are_done(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (folder / "1.tif").read_bytes()
    (folder / "1.tif").write_bytes(b"no raster")
    caplog.set_level(logging.INFO, "superpoint")
    with pytest.raises(TilesFailedError, match=r"1 of 3 rasters is quarantined, the others are done") as caught:
        superpixelize(settings(folder))
    assert caught.value.exit_code == 3
    assert [Path(made.raster).name for made in caught.value.results] == ["0.tif", "2.tif"]
    assert sum(line.startswith("quarantined: cannot open") and "1.tif" in line for line in caplog.messages) == 1
    cache = str(folder.parent / "cache")
    said = status(StatusSettings(cache=cache, run="latest"))
    assert (said.state, said.done, [row.name for row in said.quarantined]) == ("quarantined", 2, ["1"])

    (folder / "1.tif").write_bytes(whole)
    (folder / "0.tif").rename(folder / "00.tif")  # the run knows what it was asked for, not only where to look
    before = {path: path.stat().st_mtime_ns for path in (folder.parent / "cache").rglob("labels/c/*/*")}
    again = retry(RetrySettings(cache=cache, run=said.run[:12]))
    assert [(Path(made.raster).name, made.n_computed) for made in again.label_maps] == [("1.tif", 1)]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    said = status(StatusSettings(cache=cache, run=said.run))
    assert (said.state, said.done, said.quarantined) == ("done", 3, [])
    assert len(pd.read_parquet(folder.parent / "cache" / "runs" / said.run / "rasters.parquet")) == 3
    assert retry(RetrySettings(cache=cache, run="latest")).label_maps == []


def test_pseudo_masks_of_rasters_that_can_be_used_are_made_and_a_retry_makes_the_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, truth = two_fields((100, 140), seed=0)
    asked = settings(folder).model_dump() | {"points": write_points(tmp_path / "points.gpkg", truth, 30, seed=1)}
    asked.pop("output"), asked.pop("dry_run")
    whole = (folder / "2.tif").read_bytes()
    (folder / "2.tif").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "masks"
    with pytest.raises(TilesFailedError, match="1 of 3 rasters is quarantined") as caught:
        label(LabelSettings(**asked, output=out))
    assert [Path(mask.raster).name for mask in caught.value.results] == ["0.tif", "1.tif"]
    assert sorted(path.name for path in out.glob("*-mask.tif")) == ["0.pseudo-mask.tif", "1.pseudo-mask.tif"]
    (folder / "2.tif").write_bytes(whole)
    monkeypatch.chdir(tmp_path)
    again = retry(RetrySettings(cache=asked["cache"], run="latest"))
    assert [(Path(mask.raster).name, mask.n_computed) for mask in again.pseudo_masks] == [("2.tif", 6)]
    assert (out / "2.pseudo-mask.tif").exists()
    assert status(StatusSettings(cache=asked["cache"], run="latest")).state == "done"
    undisturbed = label(LabelSettings(**asked))
    assert again.pseudo_masks[0].all_points == undisturbed[0].all_points
    one, other = (pd.read_parquet(made.account) for made in (again.pseudo_masks[0], undisturbed[0]))
    pd.testing.assert_frame_equal(one, other)


def test_a_run_that_there_is_not_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run 'latest' in .*; the last ones are: none"):
        status(StatusSettings(cache=str(tmp_path), run="latest"))


def test_exports_of_an_earlier_run_are_kept_and_strangers_are_not_overwritten(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = superpixelize(settings(folder, output=out))
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    assert sorted(path.name for path in times) == ["0.labels.tif", "1.labels.tif", "2.labels.tif"]
    assert [made.output for made in first] == [str(path) for path in sorted(times)]
    superpixelize(settings(folder, output=out))
    assert times == {path: path.stat().st_mtime_ns for path in times}
    with pytest.raises(TilesFailedError, match=r"3 of 3 rasters are quarantined"):
        superpixelize(settings(folder, output=out, region_size=9))
    (out / "0.labels.tif").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        superpixelize(settings(folder, output=out))


# --- stores


def test_an_object_store_holds_the_bytes_that_a_folder_would(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = superpixelize(settings(folder))
    with s3_server() as endpoint:
        use_s3(monkeypatch, endpoint)
        make_bucket(endpoint, "there")
        remote_raster = publish(endpoint, "there", "1.tif", (folder / "1.tif").read_bytes())
        there = superpixelize(settings(folder, "s3://there/cache"))
        for ours, theirs in zip(here, there, strict=True):
            assert theirs.path.startswith("s3://there/cache/label-maps/")
            assert objects_in(Store(ours.path)) == objects_in(Store(theirs.path))
            np.testing.assert_array_equal(labels_at(ours.path), load_group(theirs.path).array("labels")[:])
        again = superpixelize(settings(folder, "s3://there/cache", check="sizes"))
        assert [made.n_computed for made in again] == [0, 0, 0]
        assert status(StatusSettings(cache="s3://there/cache", run="latest")).state == "done"
        _, truth = two_fields((100, 140), seed=0)
        points = write_points(tmp_path / "points.gpkg", truth, 30, seed=1)
        asked = {"points": points, "improve": ["propagate"]}
        ours, theirs = (
            label(LabelSettings(**settings(folder, cache).model_dump(exclude={"output", "dry_run"}) | asked))[0]
            for cache in (here[0].path.partition("/label-maps")[0], "s3://there/cache")
        )
        assert objects_in(Store(ours.path)) == objects_in(Store(theirs.path))
        for suffix in TABLES:
            (one, key), (other, _) = companion_of(ours.path, suffix), companion_of(theirs.path, suffix)
            assert one.read(key)
            assert one.read(key) == other.read(key)
        page = inspect(InspectSettings(pseudo_masks=[theirs.path], output=tmp_path / "page.html"))
        assert page.coverage == theirs.coverage == ours.coverage
        remote = superpixelize(settings(folder, "s3://there/cache", rasters=[remote_raster]))
        np.testing.assert_array_equal(load_group(remote[0].path).array("labels")[:], labels_at(here[1].path))


# --- runs that meet


class PaintedJob:
    """Paints a tile with a number."""

    def __init__(self, group: TiledGroup, tile: Tile, number: int) -> None:
        self.group, self.tile, self.number = group, tile, number

    def compute(self) -> tuple[Mapping[str, NDArray[np.uint32]], dict[str, Any]]:
        return {"labels": np.full(self.tile.core.shape, self.number, np.uint32)}, {}


def test_a_tile_that_another_run_did_meanwhile_is_left_out_and_a_damaged_one_is_not(folder: Path) -> None:
    made = superpixelize(settings(folder))[0]
    group = load_group(made.path)
    tile = next(iter(TileGrid(shape=made.shape, size=64)))
    job = PaintedJob(group, tile, 7)
    theirs = group.ledger.read(tile)
    assert theirs is not None
    assert run_tile(job, Conduct(run="ours")) == theirs
    chunk = Path(group.path) / "labels/c/0/0"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    assert run_tile(job, Conduct(run="ours")).run == "ours"
    assert (group.read("labels", tile.core) == 7).all()


def test_runs_that_meet_begin_at_other_ends(folder: Path) -> None:
    group = load_group(superpixelize(settings(folder))[0].path)
    with turn_at(group) as first, turn_at(group) as second, turn_at(group) as third:
        assert (first, second, third) == (0, 1, 2)
    with turn_at(group) as again:
        assert again == 0
    grid = TileGrid(shape=(200, 300), size=64)
    names = [[tile.name for tile in grid.in_order(turn)] for turn in range(4)]
    assert names[0] == [tile.name for tile in grid] == names[1][::-1]
    assert all(sorted(some) == sorted(names[0]) for some in names)
    assert len({tuple(some) for some in names}) == 4


def test_a_run_says_what_it_computed_not_what_it_found(folder: Path) -> None:
    (made, *_) = superpixelize(settings(folder))
    group = load_group(made.path)
    for record in [*group.ledger.records()][:2]:
        group.ledger.write(replace(record, state="failed", error="as if"))
    assert [one.n_computed for one in superpixelize(settings(folder))] == [2, 0, 0]
    assert all(isinstance(record, TileRecord) and record.host for record in group.ledger.records())


# --- before anything is done


def test_a_dry_run_counts_everything_and_writes_nothing(folder: Path) -> None:
    (folder / "9.tif").write_text("no raster")
    found = forecast(settings(folder))
    assert not (folder.parent / "cache").exists()
    assert (found.n_rasters, found.n_tiles, found.n_tiles_done, len(found.problems)) == (4, 13, 0, 1)
    assert found.megapixels == pytest.approx(sum(rows * cols for rows, cols in SHAPES) / 1e6)
    assert found.bytes_to_read >= 2 * 3 * found.megapixels * 1e6  # for the statistics, and for the tiles with halos
    assert found.worker_bytes > 50e6
    assert found.seconds is not None
    (folder / "9.tif").unlink()
    n_bytes = sum(load_group(one.path).store.size("zarr.json") or 0 for one in superpixelize(settings(folder)))
    assert n_bytes > 0
    after = forecast(settings(folder))
    assert (after.n_tiles, after.n_tiles_done, after.megapixels, after.seconds) == (13, 13, 0, None)


def test_a_run_is_found_by_the_beginning_of_its_id(folder: Path) -> None:
    superpixelize(settings(folder))
    superpixelize(settings(folder))
    cache = folder.parent / "cache"
    first, second = sorted(path.name for path in (cache / "runs").iterdir())
    assert find_run(cache, second).run == find_run(cache, "latest").run == second
    assert find_run(cache, first[:-1]).run == first
    with pytest.raises(InputError, match=r"more than one run '2'"):
        find_run(cache, "2")
    assert not find_run(cache, first).is_running()
