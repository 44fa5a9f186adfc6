from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.cache.ledger import Ledger, TileRecord
from superpoint.cache.stores import Store
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from pathlib import Path

TILES = list(TileGrid(shape=(100, 150), size=64))
DONE = TileRecord(
    tile="0.1",
    state="done",
    attempts=2,
    seconds=0.25,
    chunks={"labels/c/0/1": (12, "ab12")},
    facts={"edge_ids": [1, 4_294_967_295]},
)
FAILED = TileRecord(tile="1.0", state="failed", attempts=3, seconds=1.5, error="no data: “ü”")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "scene.ledger")))


def test_a_record_comes_back_as_it_was_written(ledger: Ledger) -> None:
    for record in (DONE, FAILED):
        ledger.write(record)
    assert {tile.name: ledger.read(tile) for tile in TILES if ledger.read(tile)} == {"0.1": DONE, "1.0": FAILED}


def test_a_ledger_that_was_never_written_knows_no_tile(ledger: Ledger) -> None:
    assert ledger.read(TILES[0]) is None
    assert list(ledger.records()) == []


def test_all_records_are_there_at_once(ledger: Ledger) -> None:
    for record in (DONE, FAILED):
        ledger.write(record)
    assert sorted(ledger.records(), key=lambda record: record.tile) == [DONE, FAILED]


def test_a_later_record_replaces_the_earlier_one(ledger: Ledger) -> None:
    ledger.write(TileRecord(tile="0.1", state="failed", attempts=3, seconds=9, error="x" * 500))
    ledger.write(DONE)
    assert ledger.read(TILES[1]) == DONE
    assert list(ledger.records()) == [DONE]


def test_a_record_is_one_json_file_that_a_person_can_read(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(DONE)
    files = list((tmp_path / "scene.ledger").iterdir())
    assert [file.name for file in files] == ["0.1.json"]
    assert json.loads(files[0].read_text())["facts"] == {"edge_ids": [1, 4_294_967_295]}


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"tile": "0.1"', b"null", b"[]", b'{"tile": "0.1"}', b'{"surprise": 1}', b"\xff\xfe\x00"]
)
def test_a_damaged_record_is_no_record(ledger: Ledger, tmp_path: Path, damage: bytes) -> None:
    ledger.write(DONE)
    (tmp_path / "scene.ledger" / "0.1.json").write_bytes(damage)
    assert ledger.read(TILES[1]) is None
    assert list(ledger.records()) == []


@given(where=st.integers(0, 10_000), to=st.integers(0, 255))
def test_a_record_of_which_any_byte_was_changed_is_no_record(
    tmp_path_factory: pytest.TempPathFactory, where: int, to: int
) -> None:
    place = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(Store(str(place)))
    ledger.write(DONE)
    content = bytearray((place / "0.1.json").read_bytes())
    where %= len(content)
    is_same = content[where] == to
    content[where] = to
    (place / "0.1.json").write_bytes(content)
    found = ledger.read(TILES[1])
    # Another way of writing the very same JSON is no change: a blank for a blank.
    assert found == DONE if is_same else found is None or found == DONE
