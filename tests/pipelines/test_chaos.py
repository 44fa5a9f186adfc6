"""Whatever was done to a run or its cache, the next one ends with the same bytes and computes what is missing, no more.

`benchmarks/chaos.py` does the same at random moments, with kills, on clusters and on object stores.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest
from smallworld import two_fields, write_raster
from wreckage import damage, delete, differences, flip, intact_tiles, n_entries, objects_of, truncate, violations

from superpoint.cache.parts import TileParts
from superpoint.cache.stores import Store
from superpoint.cache.turns import turn_at
from superpoint.errors import DiskFullError
from superpoint.pipelines import superpixelize as module
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wreckage import Damage, Objects

    from superpoint.cache.groups import TiledGroup

TILE = 64


@pytest.fixture
def rasters(tmp_path: Path) -> list[Path]:
    """Return two rasters of 12 and 6 tiles."""
    shapes = ((180, 250), (100, 190))
    images = [two_fields(shape, seed=number)[0] for number, shape in enumerate(shapes)]
    return [write_raster(tmp_path / f"{number}.tif", image) for number, image in enumerate(images)]


def settings(rasters: list[Path], cache: Path, **changes: object) -> SuperpixelizeSettings:
    values = {"rasters": rasters, "cache": cache, "tile": TILE, "region_size": 8}
    return SuperpixelizeSettings(**(values | changes))


def undisturbed(rasters: list[Path], **changes: object) -> Objects:
    """Return all objects of a cache to which nothing happened."""
    cache = rasters[0].parent / "undisturbed"
    superpixelize(settings(rasters, cache, **changes))
    return objects_of(str(cache))


def mended(asked: SuperpixelizeSettings, expected: Objects, damaged: dict[str, str] | None = None) -> list[str]:
    """Give the command again, and return what does not hold then."""
    before = objects_of(asked.cache)
    n_computed = sum(made.n_computed for made in superpixelize(asked))
    return violations(before, objects_of(asked.cache), expected, damaged=damaged or {}, n_computed=n_computed)


@pytest.mark.parametrize("how", [flip, truncate, delete])
@pytest.mark.parametrize("algorithm", ["slic", "snic"])
def test_what_is_damaged_is_computed_again_and_nothing_else(
    rasters: list[Path], tmp_path: Path, algorithm: str, how: Damage
) -> None:
    asked = settings(rasters, tmp_path / "cache", algorithm=algorithm)
    expected = undisturbed(rasters, algorithm=algorithm)
    superpixelize(asked)
    for seed in range(2):
        damaged = damage(asked.cache, how, np.random.default_rng(seed), n_objects=7)
        assert damaged
        assert mended(asked, expected, damaged) == []


@pytest.mark.parametrize("how", [flip, truncate, delete])
def test_damaged_parts_of_a_joined_label_map_are_made_again(
    rasters: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Damage
) -> None:
    asked = settings(rasters, tmp_path / "cache", algorithm="snic")
    expected = undisturbed(rasters, algorithm="snic")
    with monkeypatch.context() as killed:
        killed.setattr(TileParts, "delete", lambda _: None)  # as if killed before
        superpixelize(asked)
    entries = [key for key in objects_of(asked.cache) if key.endswith((".ledger/0.1.json", ".ledger/1.1.json"))]
    Store(asked.cache).delete(key for key in entries if "-windows" not in key and "-pieces" not in key)
    damaged = damage(asked.cache, how, np.random.default_rng(1), n_objects=40)
    assert {"part", "part's entry"} <= set(damaged.values())
    assert mended(asked, expected, damaged) == []


@pytest.mark.parametrize("algorithm", ["slic", "snic"])
def test_two_runs_at_once_lose_nothing(rasters: list[Path], tmp_path: Path, algorithm: str) -> None:
    asked = settings(rasters, tmp_path / "cache", algorithm=algorithm)
    expected = undisturbed(rasters, algorithm=algorithm)
    n_computed = []

    def run() -> None:
        n_computed.append(sum(made.n_computed for made in superpixelize(asked)))

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(n_computed) == 2
    assert sum(n_computed) >= 18
    assert mended(asked, expected) == []


@pytest.mark.parametrize("what", ["windows", "pieces"])
def test_a_run_that_is_overtaken_between_its_rounds_finds_the_label_map_whole(
    rasters: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    asked = settings(rasters[:1], tmp_path / "cache", algorithm="snic")
    expected = undisturbed(rasters[:1], algorithm="snic")
    overtaken = []

    @contextmanager
    def turn_then_overtaken(group: TiledGroup) -> Iterator[int]:
        with turn_at(group) as turn:
            yield turn
        if group.path.endswith(f"-{what}.parts") and not overtaken:
            overtaken.append(group)
            overtaken.extend(superpixelize(asked))

    monkeypatch.setattr(module, "turn_at", turn_then_overtaken)
    (late,) = superpixelize(asked)
    assert (late.n_computed, overtaken[1].n_computed) == (0, 12)
    assert late.n_superpixels == overtaken[1].n_superpixels
    assert differences(objects_of(asked.cache), expected) == []


def test_a_run_killed_in_the_midst_of_its_rounds_goes_on_there(rasters: list[Path], tmp_path: Path) -> None:
    asked = settings(rasters, tmp_path / "cache", algorithm="snic", tile=32)
    expected = undisturbed(rasters, algorithm="snic", tile=32)
    words = ["--cache", asked.cache, "--tile=32", "--region-size=8", "--algorithm=snic"]
    command = [sys.executable, "-m", "superpoint", "superpixelize", *asked.rasters, *words]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while n_entries(asked.cache) < 60 and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert mended(asked, expected) == []


def test_a_full_disk_stops_a_run_in_one_sentence_and_room_lets_it_go_on(rasters: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    expected = undisturbed(rasters)
    asked = settings(rasters, cache)
    mount = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(cache)]
    if not os.path.exists(mount[0]) or subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: PTH110
        pytest.skip("a small disk cannot be mounted here")
    try:
        with pytest.raises(DiskFullError, match=r"no space left in .*; free some, then run the same command to go on"):
            superpixelize(asked)
        assert 0 < len(intact_tiles(objects_of(asked.cache), expected, {})) < 18
        subprocess.run(["/usr/bin/mount", "-o", "remount,size=16m", str(cache)], check=True)
        assert mended(asked, expected) == []
    finally:
        subprocess.run(["/usr/bin/umount", "-l", str(cache)], check=True)
