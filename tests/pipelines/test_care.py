"""Care of a cache that superpixelize, label and cut have filled."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from caches import age, all_files, make_group
from servers import make_bucket, s3_server, use_s3
from smallworld import two_fields, write_raster

from superpoint.cache.holdings import find_holdings
from superpoint.cache.runs import RasterRow, begin_run
from superpoint.cache.stores import Store
from superpoint.cli import main
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.cacheexport import cache_export
from superpoint.pipelines.cachefacts import cache_info
from superpoint.pipelines.care import cache_gc, cache_ls, cache_verify
from superpoint.pipelines.cut import cut
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import (
    CacheExportSettings,
    CacheGcSettings,
    CacheInfoSettings,
    CacheLsSettings,
    CacheVerifySettings,
    CutSettings,
    LabelSettings,
    SuperpixelizeSettings,
)
from superpoint.pipelines.superpixelize import LabelMap, superpixelize

if TYPE_CHECKING:
    from smallworld import Files


def label_map_of(raster: Path, cache: Path | str, **settings: object) -> LabelMap:
    values = {"rasters": [raster], "cache": cache, "region_size": 8, "tile": 64} | settings
    (label_map,) = superpixelize(SuperpixelizeSettings(**values))
    return label_map


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", two_fields((150, 200), seed=4)[0])


def verify(cache: Path | str, *keys: str) -> list[str]:
    """Return the sentences of all that is damaged."""
    try:
        checked = cache_verify(CacheVerifySettings(cache=cache, keys=list(keys)))
    except TilesFailedError as error:
        checked = error.results
        assert any(one.damages for one in checked)
    return [str(damage) for one in checked for damage in one.damages]


# --- verify


def test_verify_names_what_is_damaged_and_the_next_run_computes_that_and_nothing_else(
    raster: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    label_map = label_map_of(raster, cache)
    group, ledger = Path(label_map.path), Path(label_map.path).with_suffix(".ledger")
    assert verify(cache) == []
    before = all_files(cache / "label-maps")
    os.truncate(group / "labels/c/0/1", 9)
    (group / "labels/c/1/3").unlink()
    entry = ledger / "2.0.json"
    entry.write_bytes(entry.read_bytes().replace(b'"attempts": 1', b'"attempts": 2'))
    (group / "zarr.json").write_bytes(b"{}")
    damaged = sorted(words.partition(" has")[0] for words in verify(cache))
    assert damaged == [
        "tile 0.1: labels/c/0/1",
        "tile 1.3: labels/c/1/3 is missing",
        "tile 2.0: its entry in the ledger cannot be read",
        "zarr.json cannot be read",
    ]
    assert label_map_of(raster, cache).n_computed == 3
    after = all_files(cache / "label-maps")
    key = Path(label_map.path).stem
    entries = {f"{key}.ledger/{tile}.json" for tile in ("0.1", "1.3", "2.0")}
    mended = {f"{key}.zarr/zarr.json", *(f"{key}.zarr/labels/c/{place}" for place in ("0/1", "1/3", "2/0"))}
    assert {name for name in before if after[name][0] != before[name][0]} == {f"{key}.json"} | mended | entries
    assert {name: after[name][1] for name in mended} == {name: before[name][1] for name in mended}
    assert verify(cache) == []


def test_verify_reads_what_it_is_told_to(tmp_path: Path) -> None:
    good, bad = make_group(tmp_path, name="good"), make_group(tmp_path, name="bad")
    Path(bad.path, "labels/c/0/0").unlink()
    assert verify(tmp_path, "good") == verify(tmp_path, good.path) == []
    assert verify(tmp_path, "bad") == verify(tmp_path, "good", "bad") == verify(tmp_path, "all") != []


# --- ls and info


def test_ls_lists_what_was_made_and_sums_it_up(files: Files) -> None:
    cache = files.folder / "cache"
    settings = {"cache": cache, "region_size": 10, "tile": 64}
    (mask,) = label(LabelSettings(rasters=[files.raster], points=files.points, **settings))
    (hierarchy,) = cut(CutSettings(rasters=[files.raster], cache=cache, n_segments=[50]))
    listing = cache_ls(CacheLsSettings(cache=cache))
    paths = [mask.label_map.path, mask.path, hierarchy.path]
    assert [kept.path for kept in listing.kept] == paths
    assert [(kept.kind, kept.raster, kept.algorithm, kept.n_tiles, kept.n_done) for kept in listing.kept] == [
        ("label-maps", "scene", "slic", 20, 20),
        ("pseudo-masks", "scene", "slic", 20, 20),
        ("hierarchies", "scene", "hers", 0, 0),
    ]
    assert listing.kept[0].parameters["region_size"] == 10
    assert listing.kept[2].parameters == {"affinity": "gaussian", "sigma": 0.05, "connectivity": 4}
    assert {kind: n for kind, (n, _) in listing.totals.items()} == {
        "label-maps": 1, "pseudo-masks": 1, "hierarchies": 1, "scalings": 1, "runs": 1,
    }  # fmt: skip
    assert listing.n_bytes == sum(len(data) for _, data in all_files(cache).values())
    assert sum(n_bytes for _, n_bytes in listing.totals.values()) == listing.n_bytes
    assert verify(cache) == []


def test_ls_counts_tiles_that_failed_and_tells_of_groups_that_cannot_be_read(tmp_path: Path) -> None:
    make_group(tmp_path, fails=True)
    broken = make_group(tmp_path, name="broken")
    Path(broken.path, "zarr.json").unlink()
    found = {kept.raster: kept for kept in cache_ls(CacheLsSettings(cache=tmp_path)).kept}
    assert (found["scene"].n_done, found["scene"].n_failed, found["scene"].n_tiles) == (5, 1, 6)
    assert (found["broken"].algorithm, found["broken"].n_tiles) == ("", 0)
    assert found["broken"].n_bytes > 0


def test_info_adds_up_the_ledger_and_names_what_failed(tmp_path: Path) -> None:
    group = make_group(tmp_path, fails=True)
    info = cache_info(CacheInfoSettings(cache=tmp_path, key="scene"))
    assert (info.path, info.provenance, info.shape, info.crs) == (
        group.path, group.provenance, (100, 150), group.georeference.crs,
    )  # fmt: skip
    assert asdict(info.tiles) == {
        "n_tiles": 6, "n_done": 5, "n_failed": 1, "n_attempts": 12, "seconds": 3.0, "n_pixels": 15_000 - 36 * 22,
        "n_superpixels": 5 * 7 + 1, "hosts": {"here": 6}, "runs": {"r1": 6}, "failed": [("1.2", "no bytes came")],
    }  # fmt: skip
    (array,) = info.arrays
    chunks = [file for file in Path(group.path, "labels/c").rglob("*") if file.is_file()]
    assert array.n_bytes == sum(file.stat().st_size for file in chunks)
    assert array.bits_per_value == pytest.approx(8 * array.n_bytes / (15_000 - 36 * 22), rel=1e-3)
    assert (array.dtype, array.shape, array.chunks, array.shards) == ("uint32", (100, 150), (64, 64), None)
    assert any("zstd(level=" in codec for codec in array.codecs)
    assert (info.item, info.account, info.parts) == (None, None, {})


def test_info_of_shards_hierarchies_and_scalings(raster: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    label_map_of(raster, cache, sharding=True, tile=1024)
    cut(CutSettings(rasters=[raster], cache=cache, n_segments=[50]))
    keys = ("label-maps/", "hierarchies/", "scalings/")
    label_map, hierarchy, scaling = (cache_info(CacheInfoSettings(cache=cache, key=key)) for key in keys)
    assert label_map.shape == hierarchy.shape == scaling.shape == (150, 200)
    assert (label_map.arrays[0].shards, label_map.arrays[0].chunks) == ((1024, 1024), (512, 512))
    assert label_map.item == label_map.path.removesuffix(".zarr") + ".json"
    assert {array.name: array.shape for array in hierarchy.arrays} == {
        "absorbed": (29_999,), "into": (29_999,), "valid": (150, 200),
    }  # fmt: skip
    assert (hierarchy.tiles, scaling.arrays, scaling.provenance["rasters"]) == (
        None, [], [label_map.provenance["source"]],
    )  # fmt: skip


def test_info_of_what_cannot_be_read_says_how_to_learn_more(tmp_path: Path) -> None:
    Path(make_group(tmp_path).path, "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"scene-.*zarr is damaged; see: superpoint cache verify label-maps/scene-"):
        cache_info(CacheInfoSettings(cache=tmp_path, key="scene"))


# --- gc


def test_gc_deletes_only_when_told_and_says_what_it_frees(raster: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    label_map = label_map_of(raster, cache)
    expected = np.asarray(zarr.open_group(label_map.path, mode="r")["labels"])
    other = make_group(cache, name="other")
    age(label_map.path, days=40)
    before = all_files(cache)
    dry = cache_gc(CacheGcSettings(cache=cache, older_than="30d"))
    assert all_files(cache) == before
    done = cache_gc(CacheGcSettings(cache=cache, older_than="30d", yes=True))
    after = all_files(cache)
    assert (dry.deleted, done.deleted) == (False, True)
    assert [one.path for one in dry.removals] == [one.path for one in done.removals] == [label_map.path]
    assert done.n_bytes == sum(len(before[key][1]) for key in before if key not in after)
    assert done.n_bytes_left == sum(len(data) for _, data in after.values())
    assert {key.split("/")[0] for key in after} == {"label-maps", "scalings", "runs"}
    assert len(list(other.done())) == 6
    again = label_map_of(raster, cache)
    assert (again.path, again.n_computed) == (label_map.path, label_map.n_tiles)
    np.testing.assert_array_equal(np.asarray(zarr.open_group(again.path, mode="r")["labels"]), expected)


def test_gc_lists_what_it_keeps_for_a_run_in_progress(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    age(group.path, days=40)
    run = begin_run(tmp_path, command="superpixelize", settings={}, n_rasters=1)
    run.write_row(RasterRow(number=0, raster="a", name="a", state="done", path=group.path))
    for yes in (False, True):
        found = cache_gc(CacheGcSettings(cache=tmp_path, older_than="1d", yes=yes))
        assert (found.removals, found.n_bytes, found.in_use) == ([], 0, [group.path])


def test_gc_of_everything_leaves_an_empty_cache(files: Files) -> None:
    cache = files.folder / "cache"
    label(LabelSettings(rasters=[files.raster], points=files.points, cache=cache, region_size=10, tile=64))
    cut(CutSettings(rasters=[files.raster], cache=cache, n_segments=[50]))
    assert cache_gc(CacheGcSettings(cache=cache, older_than="0s", yes=True)).n_bytes_left == 0
    assert all_files(cache) == {}
    assert cache_ls(CacheLsSettings(cache=cache)).kept == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "say what may go: --older-than, --larger-than, --source-gone or --leftovers"),
        ({"older_than": "soon"}, "a time is a number and one of s, m, h, d, w, as 30d"),
        ({"older_than": "-1d"}, "a time is a number"),
        ({"larger_than": "10 apples"}, "could not interpret byte unit"),
        ({"ask_remote": True, "leftovers": True}, "ask_remote goes with source_gone"),
    ],
)
def test_gc_refuses_what_it_does_not_understand(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CacheGcSettings(**settings)


# --- the command line


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["superpoint", "cache", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_commands_print_for_people_and_for_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path))
    group = make_group(tmp_path, fails=True)
    key = Path(group.path).stem
    code, out, _ = call(monkeypatch, capsys, "ls")
    assert (code, "5/6, 1 failed" in out, key[-32:][:12] in out, "slic size=9" in out) == (0, True, True, True)
    assert json.loads(call(monkeypatch, capsys, "ls", "--json")[1])["kept"][0]["key"] == key
    code, out, _ = call(monkeypatch, capsys, "info", "scene")
    assert (code, "tile 1.2 failed: no bytes came" in out, "here (6 tiles)" in out) == (0, True, True)
    assert json.loads(call(monkeypatch, capsys, "info", key, "--json")[1])["tiles"]["n_failed"] == 1
    code, out, _ = call(monkeypatch, capsys, "verify")
    assert (code, "1 results, 5 tiles intact, 1 failed when they were computed" in out) == (0, True)
    code, out, _ = call(monkeypatch, capsys, "gc", "--older-than", "0s")
    assert (code, "1 may go" in out, group.path in out) == (0, True, True)
    code, out, _ = call(monkeypatch, capsys, "gc", "--older-than", "0s", "--yes", "--json")
    assert (code, json.loads(out)["removals"][0]["key"]) == (0, key)
    assert call(monkeypatch, capsys, "ls")[1].endswith("nothing; 0 B in all\n")


def test_damage_is_exit_code_3_and_still_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path))
    Path(make_group(tmp_path).path, "labels/c/1/1").unlink()
    code, out, err = call(monkeypatch, capsys, "verify", "scene")
    assert (code, "tile 1.1: labels/c/1/1 is missing" in out) == (3, True)
    assert "error: 1 thing is damaged in 1 of 1 results" in err
    code, out, _ = call(monkeypatch, capsys, "verify", "--json")
    (found,) = json.loads(out)
    assert (code, found["damages"]) == (3, [{"tile": "1.1", "what": "labels/c/1/1 is missing"}])


@pytest.mark.parametrize("words", [("info", "none"), ("verify", "none"), ("gc",), ("export", "none", "a.tif")])
def test_a_bad_request_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path))
    code, out, err = call(monkeypatch, capsys, *words)
    assert (code, out, err.count("\n"), "Traceback" in err) == (2, "", 1, False)


# --- an object store


def test_a_cache_on_an_object_store_is_cared_for_in_the_same_way(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as endpoint:
        use_s3(monkeypatch, endpoint)
        make_bucket(endpoint, "archive")
        cache = "s3://archive/cache"
        label_map = label_map_of(raster, cache, tile=128)
        other = make_group(cache, name="other")
        Store(other.path).write("labels/c/0/0", b"")
        listing = cache_ls(CacheLsSettings(cache=cache))
        assert [(kept.path, kept.n_done) for kept in listing.kept] == [(other.path, 6), (label_map.path, 4)]
        assert cache_info(CacheInfoSettings(cache=tmp_path, key=label_map.path)).tiles.n_done == 4
        assert [words.partition(" has")[0] for words in verify(cache)] == ["tile 0.0: labels/c/0/0"]
        Store(label_map.path).delete(["labels/c/0/1"])
        assert verify(cache, "scene") == ["tile 0.1: labels/c/0/1 is missing"]
        assert label_map_of(raster, cache, tile=128).n_computed == 1
        assert verify(cache, "scene") == []
        written = cache_export(CacheExportSettings(cache=cache, key="scene", output=tmp_path / "scene.parquet"))
        assert written.n_polygons == label_map.n_superpixels
        done = cache_gc(CacheGcSettings(cache=cache, older_than="0s", yes=True))
        assert {one.path for one in done.removals} >= {other.path, label_map.path}
        assert find_holdings(cache) == list(Store(cache).list()) == []
