from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from caches import make_group

from superpoint.cache.holdings import find_holding, find_holdings, read_provenance, sources_in
from superpoint.cache.parts import TileParts
from superpoint.cache.runs import begin_run
from superpoint.cache.stores import Store
from superpoint.cache.turns import turn_at
from superpoint.errors import InputError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from superpoint.cache.groups import TiledGroup


def test_a_holding_is_all_that_lies_under_one_key(tmp_path: Path) -> None:
    group = make_group(tmp_path)
    parts = TileParts.of(group, "windows")
    parts.write_tile(next(iter(TileGrid(shape=(100, 150), size=64))), {"labels": np.zeros(4)})
    Store(str(tmp_path / "label-maps")).write(Path(group.path).stem + ".json", b"{}")
    with turn_at(group):
        (holding,) = find_holdings(tmp_path)
    assert holding.path == group.path
    assert (holding.kind, holding.name, f"scene-{holding.digest}.zarr") == (
        "label-maps",
        "scene",
        Path(group.path).name,
    )
    assert set(holding.members) == {".zarr", ".ledger", ".json", "-windows.parts"}
    assert (holding.n_entries, holding.has_root) == (6, True)
    assert holding.turns == (f"label-maps/{holding.key}.ledger/turn-0",)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert holding.n_objects == len(files) + 1
    assert holding.n_bytes == sum(file.stat().st_size for file in files) + len(os.uname().nodename)
    assert holding.written.timestamp() == pytest.approx(max(file.stat().st_mtime for file in files), abs=1e-3)


def test_every_kind_is_found_and_what_bears_no_name_of_ours_is_not(tmp_path: Path) -> None:
    make_group(tmp_path, name="a-b.c d#1")
    for key in ("README.md", "notes/a.txt", "label-maps/notes.txt", "label-maps/scene-12.zarr/zarr.json", "runs/x"):
        Store(str((tmp_path / key).parent)).write(Path(key).name, b"mine")
    digest = "0123456789abcdef" * 2
    for key in (f"scalings/a-{digest}.json", f"hierarchies/b-{digest}.zarr/zarr.json"):
        Store(str((tmp_path / key).parent)).write(Path(key).name, b"{}")
    run = begin_run(tmp_path, command="superpixelize", settings={}, n_rasters=1).run
    found = [(holding.kind, holding.name) for holding in find_holdings(tmp_path)]
    assert found == [("label-maps", "a-b.c d#1"), ("hierarchies", "b"), ("scalings", "a"), ("runs", run)]


def test_an_empty_or_missing_cache_holds_nothing(tmp_path: Path) -> None:
    assert find_holdings(tmp_path) == find_holdings(tmp_path / "none") == []


@pytest.fixture
def group(tmp_path: Path) -> TiledGroup:
    return make_group(tmp_path)


def test_a_result_is_found_by_its_path_key_or_digest_or_how_they_begin(
    tmp_path: Path, group: TiledGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(tmp_path, name="other", halo=3)
    name = Path(group.path).name
    digest = name.removeprefix("scene-").removesuffix(".zarr")
    monkeypatch.chdir(tmp_path)
    ways = ["scene", name, f"scene-{digest[:3]}", digest, digest[:9], f"label-maps/{name}", "label-maps/scene"]
    for key in (*ways, group.path, f"{group.path}/"):
        assert find_holding(tmp_path, key).path == group.path
    assert find_holding("/no/cache", group.path).path == group.path
    assert find_holding(tmp_path, "scene") == next(one for one in find_holdings(tmp_path) if one.name == "scene")


def test_a_key_of_many_or_none_is_one_sentence_with_candidates(tmp_path: Path, group: TiledGroup) -> None:
    other = make_group(tmp_path, halo=3)
    keys = sorted(Path(one.path).stem for one in (group, other))
    both = re.escape(f"2 results in {tmp_path} begin with 'scene': label-maps/{keys[0]}, label-maps/{keys[1]}; give")
    with pytest.raises(InputError, match=both):
        find_holding(tmp_path, "scene")
    with pytest.raises(
        InputError, match=re.escape(f"no result in {tmp_path} begins with 'xyz'; there are label-maps/")
    ):
        find_holding(tmp_path, "xyz")
    with pytest.raises(InputError, match="begins with 'a'; it is empty; see superpoint cache ls"):
        find_holding(tmp_path / "none", "a")


def test_a_whole_key_names_its_result_even_if_another_begins_with_it(tmp_path: Path, group: TiledGroup) -> None:
    key = Path(group.path).stem
    make_group(tmp_path, name=f"{key}-too")
    assert find_holding(tmp_path, key).path == group.path


def test_a_scaling_is_meant_only_where_the_kind_or_the_digest_says_so(tmp_path: Path, group: TiledGroup) -> None:
    digest = "0123456789abcdef" * 2
    Store(str(tmp_path / "scalings")).write(f"scene-{digest}.json", b"{}")
    assert find_holding(tmp_path, "scene").path == group.path
    for key in ("scalings/scene", digest[:8]):
        assert find_holding(tmp_path, key).path == f"{tmp_path}/scalings/scene-{digest}.json"


def test_the_provenance_and_the_sources_in_it_are_read_back(tmp_path: Path, group: TiledGroup) -> None:
    provenance = read_provenance(find_holding(tmp_path, "scene"))
    assert provenance == group.provenance
    assert sources_in(provenance) == [group.provenance["source"]]
    assert sources_in({"label_map": provenance}) == sources_in({"rasters": [group.provenance["source"]]})
    assert sources_in(None) == sources_in({"source": "scene.tif"}) == []
    Path(group.path, "zarr.json").write_text("{")
    assert read_provenance(find_holding(tmp_path, "scene")) is None
