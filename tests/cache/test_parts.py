from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, TiledGroup, open_group
from superpoint.cache.ledger import TileRecord
from superpoint.cache.parts import TileParts
from superpoint.tiles import TileGrid

GRID = TileGrid(shape=(40, 50), size=16, halo=5)
TILE = GRID.tile(1, 2)
RECORD = TileRecord(tile=TILE.name, state="done", attempts=1, seconds=0.1)


@pytest.fixture
def result(tmp_path: Path) -> TiledGroup:
    return open_group(
        tmp_path,
        kind="label-maps",
        name="scene",
        georeference=Georeference(shape=GRID.shape, transform=(1, 0, 0, 0, -1, 0), crs=None),
        tile_size=GRID.size,
        arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="ids")},
        provenance={"seed": 0},
    )


@pytest.fixture
def parts(result: TiledGroup) -> TileParts:
    return TileParts.of(result, "windows")


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12, dtype=np.int32).reshape(3, 4),
        np.zeros((3, 4), np.uint32),
        np.zeros((0, 2), np.int64),
        np.arange(5, dtype=np.int64),
    ],
)
def test_what_a_tile_writes_is_read_as_it_was(parts: TileParts, values: np.ndarray) -> None:
    parts.write_tile(TILE, {"other": np.ones(3), "values": values})
    found = parts.read_tile(TILE, "values")
    np.testing.assert_array_equal(found, values)
    assert (found.dtype, found.shape) == (values.dtype, values.shape)


def test_a_tile_that_is_written_again_has_the_newer_arrays_and_others_are_left_alone(parts: TileParts) -> None:
    parts.write_tile(GRID.tile(0, 0), {"labels": np.ones((4, 4))})
    sums = [parts.write_tile(TILE, {"labels": np.full(shape, 7)}) for shape in ((9, 9), (2, 3), (2, 3))]
    assert parts.read_tile(TILE, "labels").tolist() == [[7] * 3] * 2
    assert parts.read_tile(GRID.tile(0, 0), "labels").shape == (4, 4)
    assert sums[0] != sums[1] == sums[2]


def test_parts_lie_beside_their_result_and_speak_of_the_same(result: TiledGroup, parts: TileParts) -> None:
    place = Path(result.path)
    assert Path(parts.path) == place.parent / f"{place.stem}-windows.parts"
    assert parts.provenance == result.provenance
    result.ledger.write(RECORD)
    assert parts.ledger.read(TILE) is None


def test_a_tile_whose_parts_are_gone_or_damaged_is_not_done(parts: TileParts) -> None:
    chunks = parts.write_tile(TILE, {"labels": np.ones(3), "table": np.ones(2)})
    parts.ledger.write(replace(RECORD, chunks=chunks))
    assert [record.tile for record in parts.done()] == [TILE.name]
    file = Path(parts.path) / TILE.name / "table.npy.zst"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert list(parts.done()) == []
    assert len(list(parts.done(check="sizes"))) == 1
    file.unlink()
    assert list(parts.done(check="sizes")) == []
    with pytest.raises(FileNotFoundError, match=r"holds no table of tile 1\.2"):
        parts.read_tile(TILE, "table")


def test_deleted_parts_leave_the_result_alone(result: TiledGroup, parts: TileParts) -> None:
    parts.write_tile(TILE, {"labels": np.ones(3)})
    parts.ledger.write(RECORD)
    result.ledger.write(RECORD)
    parts.delete()
    parts.delete()
    place = Path(result.path)
    assert sorted(place.parent.iterdir()) == [place.with_suffix(".ledger"), place]
