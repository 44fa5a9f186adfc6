from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caches import age, all_files, facts_of, make_group, source_of
from servers import file_server

from superpoint.cache.garbage import Choice, Garbage, delete_garbage, find_garbage, guard_of, loss_of
from superpoint.cache.holdings import find_holdings
from superpoint.cache.keys import digest
from superpoint.cache.parts import TileParts
from superpoint.cache.runs import Progress, RasterRow, RunFolder, begin_run, now_text
from superpoint.cache.stores import Store, as_store

if TYPE_CHECKING:
    from superpoint.cache.groups import TiledGroup

OLD, YOUNG = 40.0, 3.0  # days


def found(cache: Path, **choice: object) -> list[Garbage]:
    return find_garbage(find_holdings(cache), Choice(**choice), now=datetime.now(UTC))


def paths(cache: Path, **choice: object) -> list[str]:
    return [garbage.path for garbage in found(cache, **choice)]


def delete(cache: Path, garbage: list[Garbage]) -> list[str]:
    return [one.path for one in delete_garbage(as_store(cache), garbage)]


def old_group(cache: Path, *, days: float = OLD, **changes: object) -> TiledGroup:
    group = make_group(cache, **changes)
    age(group.path, days=days)
    return group


def running(cache: Path, **row: object) -> RunFolder:
    run = begin_run(cache, command="superpixelize", settings={}, n_rasters=1)
    run.write_row(RasterRow(**{"number": 0, "raster": "scene.tif", "name": "scene", "state": "running"} | row))
    return run


# --- criteria


def test_what_was_not_used_for_so_long_may_go(tmp_path: Path) -> None:
    old = old_group(tmp_path)
    old_group(tmp_path, days=YOUNG, halo=1)
    assert paths(tmp_path, older_than=timedelta(days=30)) == [old.path]
    assert found(tmp_path, older_than=timedelta(days=30))[0].reason == "not used for 40 days"
    # A run that needs a group writes its Item again.
    Store(str(tmp_path / "label-maps")).write(Path(old.path).stem + ".json", b"{}")
    assert paths(tmp_path, older_than=timedelta(days=30)) == []


def test_what_was_written_in_the_last_hour_stays_unless_a_shorter_age_is_asked_for(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    everything = {"larger_than": 0, "source_gone": True, "leftovers": True}
    assert paths(tmp_path, **everything) == paths(tmp_path, **everything, older_than=timedelta(hours=9)) == []
    assert paths(tmp_path, older_than=timedelta(0)) == [group.path]
    age(group.path, days=0.05)
    assert paths(tmp_path, larger_than=0) == [group.path]


def test_size_takes_what_was_used_longest_ago_until_it_is_enough(tmp_path: Path) -> None:
    groups = [old_group(tmp_path, days=50 - number, halo=number) for number in range(4)]
    sizes = [holding.n_bytes for holding in find_holdings(tmp_path)]
    limit = sum(sizes) - sizes[0] - 1
    assert paths(tmp_path, larger_than=limit) == [groups[0].path, groups[1].path]
    assert paths(tmp_path, larger_than=sum(sizes)) == []
    # What goes for its age counts.
    assert len(paths(tmp_path, larger_than=limit, older_than=timedelta(days=48.5))) == 2


def test_a_scaling_is_as_young_as_the_groups_of_its_raster(tmp_path: Path) -> None:
    identity = {"percentiles": [1, 99], "rasters": [source_of()]}
    scaling = tmp_path / f"scalings/scene-{digest(identity)}.json"
    Store(str(scaling.parent)).write(scaling.name, json.dumps(identity).encode())
    age(scaling.parent, days=OLD)
    group = old_group(tmp_path, days=YOUNG)
    assert paths(tmp_path, older_than=timedelta(days=30)) == []
    age(group.path, days=OLD)
    assert sorted(paths(tmp_path, older_than=timedelta(days=30))) == sorted([group.path, str(scaling)])


def test_what_was_made_of_a_raster_that_is_gone_or_changed_may_go(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("same.tif", "gone.tif", "changed.tif")]
    for file in files:
        file.write_bytes(b"raster")
    cache = tmp_path / "cache"
    groups = [old_group(cache, name=file.stem, source=source_of(file, files=facts_of(file))) for file in files]
    assert paths(cache, source_gone=True) == []
    files[1].unlink()
    files[2].write_bytes(b"another")
    garbage = {one.path: one.reason for one in found(cache, source_gone=True)}
    assert garbage == {groups[1].path: f"{files[1]} is gone", groups[2].path: f"{files[2]} has changed"}


def test_a_raster_whose_disk_is_gone_is_told_as_such(tmp_path: Path) -> None:
    words = loss_of(source_of(tmp_path / "disk/scene.tif"))
    assert words == f"{tmp_path}/disk/scene.tif is gone, and so is its folder (a disk that is not mounted?)"
    assert loss_of(source_of(tmp_path)) is None  # a folder is not told by its size and time


def test_masks_and_stacked_bands_belong_to_the_source(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("b1.tif", "b2.tif", "mask.tif")]
    for place in places:
        place.write_bytes(b"raster")
    source = source_of(places[0], files=[facts_of(place)[0] for place in places])
    source |= {"parts": [str(place) for place in places[:2]], "mask": str(places[2]), "mask_values": []}
    assert loss_of(source) is None
    for place in places[1:]:
        place.rename(tmp_path / "elsewhere")
        assert loss_of(source) == f"{place} is gone"
        (tmp_path / "elsewhere").rename(place)


def test_a_server_is_asked_only_if_told_so_and_only_its_no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from superpoint.cache import objects

    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.001)
    with file_server() as server:
        url = server.put("/a.tif", b"raster")
        source = source_of(url, files=[[url, *objects.object_facts(url)]])
        server.asked()
        assert loss_of(source) is None
        assert not server.asked()
        assert loss_of(source, ask_remote=True) is None
        server.put("/a.tif", b"another")
        assert loss_of(source, ask_remote=True) == f"{url} has changed"
        for failure in (403, 500):
            server.fail(failure)
            assert loss_of(source, ask_remote=True) is None
        server.fail(404)
        assert loss_of(source, ask_remote=True) == f"{url} is gone"


# --- leftovers


def test_leftovers_are_what_no_result_needs(tmp_path: Path) -> None:
    whole = make_group(tmp_path)
    stem = Path(whole.path).stem
    parts = TileParts.of(whole, "windows")
    Store(parts.path).write("0.0/labels.npy.zst", b"1")
    parts.ledger.store.write("0.0.json", b"{}")
    whole.ledger.store.write("turn-0", b"host")
    Path(whole.path, "labels/c/0/0#1").write_bytes(b"half")
    half = make_group(tmp_path, name="half")
    half.ledger.delete()
    Path(half.path, "zarr.json").unlink()
    rootless = make_group(tmp_path, name="rootless")  # damaged, and made whole by the next run
    Path(rootless.path, "zarr.json").unlink()
    orphan = make_group(tmp_path, name="orphan")
    Store(orphan.path).delete_all()
    Store(str(tmp_path / "runs/r1")).write("rasters/000000.json", b"{}")
    age(tmp_path, days=OLD)
    reasons = {Path(one.path).name: one.reason for one in found(tmp_path, leftovers=True)}
    assert reasons == {
        f"{stem}-windows.parts": "what tiles had to know of one another, kept for a run to go on",
        "turn-0": "turns that runs were killed in",
        "0#1": "half-written when a run was killed",
        Path(half.path).name: "a group of which no tile is done",
        Path(orphan.path).name: "what lay beside a group that is gone",
        "r1": "a run without a manifest",
    }
    delete(tmp_path, found(tmp_path, leftovers=True))
    assert found(tmp_path, leftovers=True) == []
    assert {one.path for one in find_holdings(tmp_path)} == {whole.path, rootless.path}
    assert len(list(whole.done())) == 6


# --- deleting


def test_all_of_a_group_goes_and_nothing_else(tmp_path: Path) -> None:
    group, other = old_group(tmp_path), old_group(tmp_path, days=YOUNG, halo=1)
    beside = Store(str(tmp_path / "label-maps"))
    for suffix in (".json", ".points.parquet", "-windows.ledger/0.0.json"):
        beside.write(Path(group.path).stem + suffix, b"{}")
    (tmp_path / "README.md").write_text("mine")
    age(group.path, days=OLD)
    before = all_files(tmp_path)
    (garbage,) = found(tmp_path, older_than=timedelta(days=30))
    assert delete(tmp_path, [garbage]) == [group.path]
    after = all_files(tmp_path)
    assert {key for key in before if key not in after} == {key for key in before if Path(group.path).stem in key}
    assert after == {key: before[key] for key in after}
    assert garbage.n_bytes == sum(len(data) for key, (_, data) in before.items() if key not in after)
    assert len(list(other.done())) == 6


def test_the_ledger_goes_first_then_the_root_then_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if killed after each deletion: what is left never speaks of what is gone."""
    group = old_group(tmp_path)
    left: list[tuple[bool, bool, bool]] = []

    def look() -> tuple[bool, bool, bool]:
        place = Path(group.path)
        chunks = [file for file in place.rglob("labels/c/*/*") if file.is_file()]
        return any(group.ledger.store.list()), (place / "zarr.json").exists(), len(chunks) == 6

    for name in ("delete", "delete_all"):
        real = getattr(Store, name)

        def spy(store: Store, *of: object, real: object = real) -> None:
            real(store, *of)  # type: ignore[operator]
            left.append(look())

        monkeypatch.setattr(Store, name, spy)
    delete(tmp_path, found(tmp_path, older_than=timedelta(days=30)))
    assert list(dict.fromkeys(left)) == [(False, True, True), (False, False, True), (False, False, False)]


def test_a_run_keeps_its_manifest_till_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = running(tmp_path)
    run.write_manifest(run.manifest() | {"state": "done"})
    age(run.store.url, days=OLD)
    (garbage,) = found(tmp_path, older_than=timedelta(days=30))
    monkeypatch.setattr(Store, "delete_all", lambda _: None)  # killed before
    delete(tmp_path, [garbage])
    assert [stored.key for stored in run.store.list()] == ["manifest.json"]
    monkeypatch.undo()
    assert delete(tmp_path, [garbage]) == [run.store.url]
    assert find_holdings(tmp_path) == []


# --- runs in progress


def test_the_groups_of_a_run_in_progress_stay_however_old_they_are(tmp_path: Path) -> None:
    group, other = old_group(tmp_path), old_group(tmp_path, name="other")
    run = running(tmp_path, path=f"s3://the/same/cache/label-maps/{Path(group.path).name}")
    garbage = found(tmp_path, older_than=timedelta(days=1))
    assert delete(tmp_path, garbage) == [other.path]
    assert len(list(group.done())) == 6
    run.write_manifest(run.manifest() | {"state": "done"})
    assert delete(tmp_path, garbage) == [group.path, other.path]


def test_what_tiles_must_know_of_one_another_stays_while_a_run_goes_on_with_it(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    parts = TileParts.of(group, "windows")
    Store(parts.path).write("0.0/labels.npy.zst", b"1")
    age(group.path, days=OLD)
    run = running(tmp_path, path=group.path)
    garbage = found(tmp_path, leftovers=True)
    assert [one.path for one in garbage] == [parts.path]
    assert delete(tmp_path, garbage) == []
    run.write_manifest(run.manifest() | {"state": "stopped"})
    assert delete(tmp_path, garbage) == [parts.path]


def test_a_run_that_is_not_heard_of_any_more_keeps_nothing(tmp_path: Path) -> None:
    group = old_group(tmp_path)
    run = running(tmp_path, path=group.path)
    run.write_progress(Progress(updated=(datetime.now(UTC) - timedelta(hours=1)).isoformat(), n_rasters=1))
    assert delete(tmp_path, found(tmp_path, older_than=timedelta(days=1))) == [group.path]


def test_a_run_in_progress_stays_and_so_does_what_was_written_since_it_started(tmp_path: Path) -> None:
    new = make_group(tmp_path, name="new")
    run = running(tmp_path, state="done", path="label-maps/none.zarr")
    garbage = found(tmp_path, older_than=timedelta(0))
    assert {one.path for one in garbage} == {new.path, run.store.url}
    assert delete(tmp_path, garbage) == []


def test_a_run_with_a_damaged_manifest_counts_as_running_while_it_writes(tmp_path: Path) -> None:
    group = old_group(tmp_path)
    run = running(tmp_path, path=group.path)
    run.store.write("manifest.json", b"{")
    assert delete(tmp_path, found(tmp_path, older_than=timedelta(0))) == []
    age(run.store.url, days=OLD)
    assert set(delete(tmp_path, found(tmp_path, older_than=timedelta(0)))) == {group.path, run.store.url}


@pytest.mark.parametrize("has_path", [False, True], ids=["before it has a group", "when it has one"])
def test_a_run_that_begins_while_ledgers_are_deleted_keeps_the_chunks_it_believes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_path: bool
) -> None:
    group = old_group(tmp_path)
    garbage = found(tmp_path, older_than=timedelta(days=30))
    believed: list[str] = []
    real = Store.delete_all

    def begin_then_delete(store: Store) -> None:
        if not believed:  # a run says what it is at, and then reads the ledger
            running(tmp_path, path=group.path if has_path else None)
            believed.extend(record.tile for record in group.done())
        real(store)

    monkeypatch.setattr(Store, "delete_all", begin_then_delete)
    assert delete(tmp_path, garbage) == []
    assert len(believed) == 6
    assert {key for key in all_files(group.path) if key.startswith("labels/c/")} == {
        f"labels/c/{row}/{col}" for row in range(2) for col in range(3)
    }


def test_without_a_run_nothing_is_guarded(tmp_path: Path) -> None:
    run = running(tmp_path)
    run.write_manifest(run.manifest() | {"state": "stopped", "ended": now_text()})
    guard = guard_of(as_store(tmp_path))
    assert (guard.runs, guard.places, guard.names, guard.since) == (frozenset(), frozenset(), frozenset(), None)
