"""Bad rasters among good ones: the good ones are done, each bad one is one line, nothing crashes, hangs or swells."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import watched
from mutants import write_mutants, write_oddities
from smallworld import two_fields, write_raster

from superpoint.cache.groups import load_group
from superpoint.cache.runs import find_run
from superpoint.errors import TilesFailedError
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1.5e9
READABLE = {"mandrilmini_12bitjpeg.tif", "rgbsmall_JXL_tiled_separate.tif"}  # by some builds of GDAL
SLUGGISH = '''
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from superpoint.superpixels.algorithm import Traits


@dataclass(frozen=True, kw_only=True)
class Sluggish:
    """One superpixel a tile; takes a minute for the first tile of a square raster."""

    name: ClassVar[str] = "sluggish"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(ids="lattice")
    region_size: float = 20.0

    def halo(self, *, exact=False):
        return 0

    def __call__(self, image, valid, *, origin, rng):
        if (origin.row, origin.col) == (0, 0) and origin.raster_shape[0] == origin.raster_shape[1]:
            time.sleep(60)
        return valid.astype(np.uint32)
'''


@pytest.mark.shared
def test_an_archive_is_done_but_for_its_bad_rasters_each_of_which_is_one_line(shared: Path, tmp_path: Path) -> None:
    archive, cache = tmp_path / "archive", tmp_path / "cache"
    archive.mkdir()
    shapes = {"first": (300, 170), "middle": (130, 520), "last": (64, 64)}
    good = [write_raster(archive / f"{name}.tif", two_fields(shape, seed=0)[0]) for name, shape in shapes.items()]
    bad = sorted((shared / "data" / "bad").iterdir())
    odd = write_oddities(archive, np.random.default_rng(0))
    listed = [good[0], *bad, good[1], *write_mutants(archive, 24, seed=0), *odd, good[2]]
    (tmp_path / "archive.txt").write_text("".join(f"{path}\n" for path in listed))
    words = ("--cache", cache, "--region-size", 8, "--tile", 512)
    ended = watched(tmp_path, "superpixelize", tmp_path / "archive.txt", *words, seconds=120)

    assert ended.code == 3
    rows = {row.raster: row for row in find_run(cache, "latest").rows()}
    assert sorted(rows) == sorted(map(str, listed))
    quarantined = {path for path, row in rows.items() if row.state == "quarantined"}
    assert quarantined >= {str(path) for path in [*bad, *odd] if path.name not in READABLE}
    assert all(rows[path].reason and "\n" not in str(rows[path].reason) for path in quarantined)

    assert ended.lines[0].startswith("run ")
    assert ended.lines[-1].startswith(f"error: {len(quarantined)} of {len(listed)} rasters are quarantined")
    said = [line for line in ended.lines[1:-1] if not line.endswith("has no CRS: working in pixel space")]
    assert said == [f"warning: quarantined: {rows[path].sentence}" for path in map(str, listed) if path in quarantined]

    alone = superpixelize(SuperpixelizeSettings(rasters=good, cache=tmp_path / "alone", region_size=8, tile=512))
    for expected in alone:
        (found,) = (one for one in ended.result if one["raster"] == expected.raster)
        ours, theirs = (load_group(path).array("labels")[:] for path in (found["path"], expected.path))
        np.testing.assert_array_equal(ours, theirs)
    assert 0 < ended.peak_bytes < MOST_BYTES


@pytest.fixture
def sluggish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install another package's algorithm for one test."""
    facts = tmp_path / "site" / "sluggish_superpixels-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: sluggish-superpixels\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[superpoint.superpixels]\nsluggish = sluggish_superpixels:Sluggish\n")
    (facts.parent / "sluggish_superpixels.py").write_text(SLUGGISH)
    monkeypatch.syspath_prepend(str(facts.parent))
    monkeypatch.delitem(sys.modules, "sluggish_superpixels", raising=False)


@pytest.mark.usefixtures("sluggish")
def test_a_tile_over_the_timeout_is_given_up_and_the_others_finish(tmp_path: Path) -> None:
    shapes = {"quick": (64, 128), "stuck": (128, 128), "another": (128, 64)}
    rasters = [write_raster(tmp_path / f"{name}.tif", two_fields(shape, seed=0)[0]) for name, shape in shapes.items()]
    values = {"cache": tmp_path / "cache", "tile": 64, "algorithm": "sluggish"}
    with pytest.raises(TilesFailedError, match=r"1 of 3 rasters (is|are) quarantined") as caught:
        superpixelize(SuperpixelizeSettings(rasters=rasters, timeout=2, **values))
    assert [one.raster for one in caught.value.results] == [str(rasters[0]), str(rasters[2])]
    row = list(find_run(tmp_path / "cache", "latest").rows())[1]
    assert (row.n_computed, row.n_failed) == (3, 1)
    assert row.failed_tiles == (("0.0", "took longer than 2 seconds; look at the raster there, or give --timeout"),)
