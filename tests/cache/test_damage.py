"""Every byte of a cache is one whose change is found: each is changed, cut off, or deleted with its object."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from caches import GRID, TILE, make_group, source_of
from hypothesis import given, settings
from hypothesis import strategies as st

from superpoint.cache.damage import Checked, check
from superpoint.cache.groups import load_group
from superpoint.cache.hierarchies import hierarchy_store, write_hierarchy
from superpoint.cache.holdings import find_holding, find_holdings
from superpoint.cache.keys import digest
from superpoint.cache.parts import TileParts
from superpoint.cache.runs import begin_run
from superpoint.cache.stores import Store
from superpoint.superpixels.hierarchy import Hierarchy
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable


def checked(cache: Path, key: str = "scene") -> Checked:
    return check(find_holding(cache, key))


def sentences(cache: Path, key: str = "scene") -> list[str]:
    return [str(damage) for damage in checked(cache, key).damages]


def test_an_intact_group_has_no_damage_and_its_failed_tiles_are_none(tmp_path: Path) -> None:
    group = make_group(tmp_path, fails=True)
    counts: list[int] = []
    found = check(find_holding(tmp_path, "scene"), on_bytes=counts.append)
    assert (found.damages, found.unknown) == ((), ())
    assert (found.n_tiles, found.n_done, found.n_failed) == (6, 5, 1)
    assert sum(counts) == sum(file.stat().st_size for file in Path(group.path, "labels/c").rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("key", "damage", "expected"),
    [
        (".zarr/labels/c/0/1", None, "tile 0.1: labels/c/0/1 is missing"),
        (".zarr/labels/c/0/1", lambda data: data[:-3], r"tile 0.1: labels/c/0/1 has \d+ bytes instead of \d+"),
        (".zarr/labels/c/1/2", lambda data: data[:9] + b"#" + data[10:], "tile 1.2: labels/c/1/2 differs from what"),
        (".ledger/1.0.json", lambda data: data.replace(b"0.5", b"0.6"), "tile 1.0: its entry in the ledger cannot be"),
        (".ledger/1.0.json", lambda _: b"", "tile 1.0: its entry in the ledger cannot be read"),
        (".zarr/zarr.json", None, "zarr.json is missing: the group is not laid out"),
        (".zarr/zarr.json", lambda data: data[:99], "zarr.json cannot be read"),
        (".zarr/zarr.json", lambda _: b"[]", "zarr.json cannot be read"),
        (".zarr/zarr.json", lambda data: data.replace(b'"slic"', b'"slik"'), "zarr.json differs from what was written"),
        (".zarr/labels/zarr.json", lambda data: data.replace(b"64", b"32"), "labels/zarr.json differs from what"),
        (".zarr/labels/zarr.json", lambda data: data[1:], "labels/zarr.json differs from what"),
        (".zarr/spatial_ref/zarr.json", None, "spatial_ref/zarr.json is missing"),
        (".zarr/x/c/0", lambda data: data[:-5], "the coordinates x are missing or differ"),
        (".zarr/y/c/0", None, "the coordinates y are missing or differ"),
        (".json", lambda _: b"{", "scene-.*json, the STAC Item, cannot be read"),
    ],
)
def test_damage_is_one_sentence_that_names_tile_and_object(
    tmp_path: Path, key: str, damage: Callable[[bytes], bytes] | None, expected: str
) -> None:
    group = make_group(tmp_path)
    stem = group.path.removesuffix(".zarr")
    Path(f"{stem}.json").write_text('{"type": "Feature"}')
    assert not sentences(tmp_path)
    file = Path(stem + key)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    (sentence,) = sentences(tmp_path)
    assert re.match(expected, sentence)
    assert checked(tmp_path).n_done == (5 if expected.startswith("tile") else 6)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    make_group(cache)
    return cache


@settings(max_examples=40)
@given(which=st.integers(0, 10_000), where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_a_group_is_found(kept: Path, which: int, where: int, bit: int) -> None:
    files = sorted(file for file in kept.rglob("*") if file.is_file())
    file = files[which % len(files)]
    before = bytearray(file.read_bytes())
    after = bytearray(before)
    after[where % len(after)] ^= 1 << bit
    file.write_bytes(after)
    try:
        if sentences(kept):
            return
        # The very same said in another way is no damage.
        if file.suffix == ".json":
            assert as_read(before) == as_read(after)
        else:
            axis = file.parents[1].name
            group = load_group(find_holding(kept, "scene").path)
            np.testing.assert_array_equal(np.asarray(group.array(axis)), GRID.coordinates()[axis])
    finally:
        file.write_bytes(before)


def as_read(document: bytes) -> dict[str, Any]:
    """Return JSON without the words that tell people of conventions."""
    read: dict[str, Any] = json.loads(document)
    read.get("attributes", {}).pop("zarr_conventions", None)
    return read


def test_chunks_that_no_entry_knows_are_told_and_are_no_damage(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    Path(group.path.removesuffix(".zarr") + ".ledger", "0.2.json").unlink()
    found = checked(tmp_path)
    assert (found.damages, found.unknown, found.n_done) == ((), ("labels/c/0/2",), 5)


def test_parts_of_tiles_are_read_as_well(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    parts, tile = TileParts.of(group, "pieces"), TileGrid(shape=GRID.shape, size=TILE).tile(0, 1)
    chunks = parts.write_tile(tile, {"table": np.arange(50)})
    record = next(group.ledger.records())
    parts.ledger.write(type(record)(tile="0.1", state="done", attempts=1, seconds=1.0, chunks=chunks))
    assert not sentences(tmp_path)
    Path(parts.path, "0.1/table.npy.zst").write_bytes(b"")
    assert [text.partition(" has")[0] for text in sentences(tmp_path)] == ["tile 0.1: pieces: 0.1/table.npy.zst"]
    Path(parts.path.removesuffix(".parts") + ".ledger", "0.1.json").write_bytes(b"")
    assert sentences(tmp_path) == ["tile 0.1: pieces: its entry in the ledger cannot be read"]


@pytest.mark.parametrize("suffix", [".points.parquet", ".votes.parquet", ".superpixels.parquet"])
def test_a_table_beside_a_pseudo_mask_that_cannot_be_read_is_damage(tmp_path: Path, suffix: str) -> None:
    table = make_group(tmp_path).path.removesuffix(".zarr") + suffix
    pd.DataFrame({"state": ["used"]}).to_parquet(table)
    assert not sentences(tmp_path)
    Path(table).write_bytes(Path(table).read_bytes()[:-9])
    (sentence,) = sentences(tmp_path)
    assert sentence.endswith(f"{suffix} cannot be read")


def test_a_hierarchy_is_held_against_its_checksum_and_its_name(tmp_path: Path) -> None:
    provenance = {"source": source_of()}
    store = hierarchy_store(tmp_path, name="scene", provenance=provenance)
    absorbed, into = np.arange(1, 15_000, dtype=np.uint32), np.zeros(14_999, np.uint32)
    hierarchy = Hierarchy(absorbed=absorbed, into=into, valid=np.ones(GRID.shape, bool))
    write_hierarchy(store, hierarchy, georeference=GRID, provenance=provenance)
    assert not sentences(tmp_path)
    root, chunk = Path(store.url, "zarr.json"), Path(store.url, "absorbed/c/0")
    document, data = root.read_text(), chunk.read_bytes()
    chunk.write_bytes(data[:-4])
    assert sentences(tmp_path) == ["its arrays are missing or differ from what was written"]
    chunk.write_bytes(data)
    root.write_text(document.replace("/nowhere", "/nobody"))
    assert sentences(tmp_path)[0].startswith("zarr.json differs from what was written")
    root.unlink()
    assert sentences(tmp_path) == ["zarr.json is missing or cannot be read"]


def test_a_scaling_is_held_against_its_seal_and_its_name(tmp_path: Path) -> None:
    identity = {"percentiles": [1, 99], "rasters": [source_of()]}
    found = {"low": [1.0], "high": [2.0]}
    text = json.dumps(found | identity | {"seal": digest(found)})
    store, key = Store(str(tmp_path / "scalings")), f"scene-{digest(identity)}.json"
    store.write(key, text.encode())
    assert not sentences(tmp_path, "scalings/scene")
    for changed in (text.replace("2.0", "3.0"), text.replace("/nowhere", "/nobody"), text[:-3], "null", "[1]"):
        store.write(key, changed.encode())
        assert [words.partition(",")[0] for words in sentences(tmp_path, "scalings/scene")] == ["it cannot be read"]


def test_a_run_whose_manifest_cannot_be_read_is_damage(tmp_path: Path) -> None:
    run = begin_run(tmp_path, command="superpixelize", settings={}, n_rasters=1)
    (holding,) = find_holdings(tmp_path)
    assert check(holding).damages == ()
    run.store.write("manifest.json", b"{")
    assert [str(damage) for damage in check(holding).damages] == ["manifest.json cannot be read"]
