"""A hierarchy comes back as it was kept, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from superpoint.cache.georeference import Georeference
from superpoint.cache.hierarchies import hierarchy_store, read_hierarchy, write_hierarchy
from superpoint.cache.stores import Store, as_store
from superpoint.errors import InputError
from superpoint.superpixels.hers import Hers
from superpoint.superpixels.hierarchy import Hierarchy

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROVENANCE = {"source": "here", "algorithm": {"name": "hers"}}
SHAPE = (30, 40)
GRID = Georeference(shape=SHAPE, transform=(2.0, 0.0, 500_000.0, 0.0, -2.0, 4_600_000.0), crs=None)


@pytest.fixture
def hierarchy() -> Hierarchy:
    rng = np.random.default_rng(0)
    return Hers().hierarchy(rng.random((2, *SHAPE)).astype(np.float32), rng.random(SHAPE) < 0.7)


@pytest.fixture
def kept(hierarchy: Hierarchy, tmp_path: Path) -> Store:
    store = hierarchy_store(tmp_path, name="scene", provenance=PROVENANCE)
    write_hierarchy(store, hierarchy, georeference=GRID, provenance=PROVENANCE)
    return store


def arrays_of(hierarchy: Hierarchy) -> list[NDArray[np.generic]]:
    return [hierarchy.absorbed, hierarchy.into, hierarchy.valid]


def test_what_is_kept_comes_back(hierarchy: Hierarchy, kept: Store) -> None:
    found = read_hierarchy(kept)
    assert found is not None
    for ours, theirs in zip(arrays_of(found), arrays_of(hierarchy), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("valid", [np.zeros((3, 4), bool), np.ones((1, 1), bool)])
def test_a_hierarchy_without_merges_comes_back(valid: NDArray[np.bool_], tmp_path: Path) -> None:
    store = hierarchy_store(tmp_path, name="empty", provenance=PROVENANCE)
    none = np.empty(0, np.uint32)
    write_hierarchy(store, Hierarchy(absorbed=none, into=none, valid=valid), georeference=GRID, provenance=PROVENANCE)
    found = read_hierarchy(store)
    assert found is not None
    np.testing.assert_array_equal(found.cut(n_segments=1), valid)


def test_the_folder_says_what_it_was_made_of(kept: Store) -> None:
    attributes = dict(zarr.open_group(kept.url, mode="r").attrs)
    assert attributes["superpoint"] == {"layout": 1, "kind": "hierarchies", **PROVENANCE}
    assert attributes["spatial:shape"] == list(SHAPE)


def test_another_provenance_is_another_folder(tmp_path: Path) -> None:
    stores = {hierarchy_store(tmp_path, name="scene", provenance=PROVENANCE | {"sigma": s}) for s in (0.1, 0.2)}
    assert len(stores) == 2
    assert {Path(store.url).parent for store in stores} == {tmp_path / "hierarchies"}


def test_where_nothing_is_kept_nothing_is_found(tmp_path: Path) -> None:
    assert read_hierarchy(as_store(tmp_path / "nothing.zarr")) is None


@pytest.mark.parametrize("damage", ["cut", "swap", "remove", "metadata"])
def test_a_damaged_hierarchy_counts_as_none_and_is_replaced(hierarchy: Hierarchy, kept: Store, damage: str) -> None:
    folder = Path(kept.url)
    chunk = folder / "into" / "c" / "0"
    if damage == "cut":
        chunk.write_bytes(chunk.read_bytes()[:-20])
    elif damage == "swap":
        chunk.write_bytes((folder / "absorbed" / "c" / "0").read_bytes())
    elif damage == "remove":
        chunk.unlink()  # Zarr reads a missing chunk as zeros
    else:
        (folder / "zarr.json").write_text("{")
    assert read_hierarchy(kept) is None
    write_hierarchy(kept, hierarchy, georeference=GRID, provenance=PROVENANCE)
    assert read_hierarchy(kept) is not None


def test_beside_a_kept_hierarchy_nothing_is_left(kept: Store) -> None:
    folder = Path(kept.url)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_cannot_be_laid_out_leaves_nothing(hierarchy: Hierarchy, tmp_path: Path) -> None:
    store = hierarchy_store(tmp_path, name="scene", provenance=PROVENANCE)
    with pytest.raises(TypeError):
        write_hierarchy(store, hierarchy, georeference=GRID, provenance={"not JSON": object()})
    assert not (tmp_path / "hierarchies").exists()


def test_a_file_in_place_of_the_cache_is_one_sentence(hierarchy: Hierarchy, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    store = hierarchy_store(tmp_path / "cache", name="scene", provenance=PROVENANCE)
    with pytest.raises(InputError, match=r"cannot use the cache folder .*; give another with --cache"):
        write_hierarchy(store, hierarchy, georeference=GRID, provenance=PROVENANCE)
