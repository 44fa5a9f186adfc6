"""One label map of an algorithm that knows nothing of tiles, however it is computed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from caches import bytes_of
from smallworld import two_fields, write_raster

from superpoint.cache.handles import close_handles
from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import scaling_of
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines import rasterjobs
from superpoint.pipelines.jobs import within
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import LabelMap, superpixelize
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.quality import seam_ratio
from superpoint.testing import superpixelize_tiles
from superpoint.tiles import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCATTER = """
    from dataclasses import dataclass
    from typing import ClassVar

    import numpy as np
    from scipy.spatial import cKDTree

    from superpoint.superpixels.algorithm import Traits
    from superpoint.superpixels.joining import number_ids


    @dataclass(frozen=True, kw_only=True)
    class Scatter:
        '''Seeds fall anywhere, others in each tile; pixels go to the nearest in place and colour.'''

        name: ClassVar[str] = "scatter"
        version: ClassVar[str] = "1"
        traits: ClassVar[Traits] = Traits(ids="joined")
        region_size: float = 20.0

        def halo(self, *, exact=False):
            if exact:
                raise ValueError("seeds fall where they will")
            return 2 * int(self.region_size)

        def __call__(self, image, valid, *, origin, rng):
            features = np.concatenate([np.indices(valid.shape) / self.region_size, image]).reshape(2 + len(image), -1).T
            seeds = rng.choice(len(features), max(1, round(len(features) / self.region_size**2)), replace=False)
            nearest = cKDTree(features[seeds]).query(features)[1].reshape(valid.shape) + 1
            return number_ids(np.where(valid, nearest, 0)).astype(np.uint32)


    class Careless(Scatter):
        name: ClassVar[str] = "careless"

        def __call__(self, image, valid, *, origin, rng):
            return super().__call__(image, valid, origin=origin, rng=rng).astype(np.int32)
"""


@pytest.fixture(autouse=True)
def scatter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the algorithm, for this process and those it starts."""
    site = tmp_path / "site"
    metadata = site / "scattered-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "scattered.py").write_text(textwrap.dedent(SCATTER))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scattered\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[superpoint.superpixels]\nscatter = scattered:Scatter\ncareless = scattered:Careless\n"
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
    monkeypatch.delitem(sys.modules, "scattered", raising=False)


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    image, _ = two_fields((300, 420), seed=4)
    image = image.clip(1)
    image[:, 100:140, 150:260] = 0
    return write_raster(tmp_path / "scene.tif", image, nodata=0)


def run(raster: Path, cache: Path, **settings: object) -> LabelMap:
    values = {"rasters": [raster], "cache": cache, "algorithm": "scatter", "region_size": 8, "tile": 64} | settings
    (label_map,) = superpixelize(SuperpixelizeSettings(**values))
    return label_map


def labels_of(label_map: LabelMap) -> NDArray[np.uint32]:
    return np.asarray(zarr.open_group(label_map.path, mode="r")["labels"])


def groups_in(cache: Path) -> list[str]:
    return sorted(
        path.name.partition("-")[0] for path in (cache / "label-maps").iterdir() if path.suffix in (".zarr", ".parts")
    )


def test_the_label_map_is_the_plain_loops_bit_for_bit(raster: Path, tmp_path: Path) -> None:
    opened = open_raster(raster)
    scaling = scaling_of([opened], tmp_path / "cache")
    assert scaling is not None
    image, valid = opened.read(Window(row=0, col=0, n_rows=300, n_cols=420))
    for tile, halo, seed in ((64, 16, 0), (128, 9, 3), (512, 16, 1)):
        expected = superpixelize_tiles(
            make_algorithm("scatter", {"region_size": 8.0}),
            scaling.apply(image, valid),
            valid,
            tile_size=tile,
            halo=halo,
            seed=seed,
        )
        label_map = run(raster, tmp_path / "cache", tile=tile, halo=halo, seed=seed)
        np.testing.assert_array_equal(labels_of(label_map), expected)
        assert label_map.n_superpixels == len(np.unique(expected[expected > 0]))


def test_the_tile_grid_is_not_found(raster: Path, tmp_path: Path) -> None:
    labels = labels_of(run(raster, tmp_path / "cache"))
    untiled = labels_of(run(raster, tmp_path / "cache", tile=512))
    for ours, theirs in zip(seam_ratio(labels, 64), seam_ratio(untiled, 64), strict=True):
        assert ours < 1.3 * theirs  # tiles have not a seed in common, so that the two maps differ everywhere
    assert labels.max() == pytest.approx(untiled.max(), rel=0.1)


def test_a_cluster_writes_the_same_bytes_as_this_process(raster: Path, tmp_path: Path) -> None:
    alone, together = (Path(run(raster, tmp_path / str(n), workers=n).path) for n in (1, 2))
    assert alone.name == together.name
    assert bytes_of(alone) == bytes_of(together)


def test_a_second_run_computes_nothing_and_nothing_is_left_over(raster: Path, tmp_path: Path) -> None:
    first, second = run(raster, tmp_path / "cache"), run(raster, tmp_path / "cache")
    assert (first.n_computed, second.n_computed) == (first.n_tiles, 0) == (35, 0)
    assert (second.path, second.n_superpixels) == (first.path, first.n_superpixels)
    assert len(groups_in(tmp_path / "cache")) == 1


@pytest.mark.parametrize("interrupted", ["windows", "pieces", "labels"])
def test_a_run_killed_in_any_round_goes_on_to_the_same_bytes(raster: Path, tmp_path: Path, interrupted: str) -> None:
    cache = tmp_path / "cache"
    words = ["superpixelize", str(raster), "--algorithm", "scatter", "--region-size", "8", "--tile", "48"]
    command = [sys.executable, "-m", "superpoint", *words, "--cache", str(cache), "--json"]
    expected = Path(run(raster, tmp_path / "undisturbed", tile=48).path)
    suffix = "" if interrupted == "labels" else f"-{interrupted}"
    ledger = cache / "label-maps" / f"{expected.stem}{suffix}.ledger"
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(ledger.glob("*.json"))) < 5 and victim.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    n_done = len(list(ledger.glob("*.json")))
    assert 5 <= n_done < 63
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"{interrupted} of scene: {n_done} of 63 tiles are in the cache, computing {63 - n_done}" in again.stderr
    (result,) = json.loads(again.stdout)
    assert bytes_of(Path(result["path"])) == bytes_of(expected)
    assert len(groups_in(cache)) == 1


def test_a_run_killed_before_it_tidied_up_is_tidied_up_after(raster: Path, tmp_path: Path) -> None:
    path = Path(run(raster, tmp_path / "cache").path)
    for name in ("windows", "pieces"):
        (path.parent / f"{path.stem}-{name}.parts").mkdir()
    run(raster, tmp_path / "cache")
    assert len(groups_in(tmp_path / "cache")) == 1


def test_a_tile_that_fails_stops_the_run_before_tiles_are_joined(tmp_path: Path) -> None:
    image, _ = two_fields((256, 256), seed=0)
    raster = write_raster(tmp_path / "scene.tif", image, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    expected = labels_of(run(raster, tmp_path / "whole"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "whole" / "scalings").rename(tmp_path / "cache" / "scalings")
    whole, status = raster.read_bytes(), raster.stat()
    damage(raster, block=(3, 3))
    os.utime(raster, ns=(status.st_atime_ns, status.st_mtime_ns))
    within(None, close_handles)  # which know the file as it was: nothing tells that it changed
    with pytest.raises(TilesFailedError, match=r"4 of 16 tiles of .*scene\.tif failed.*run the same command") as caught:
        run(raster, tmp_path / "cache", retries=0)
    assert caught.value.exit_code == 3
    assert not list((tmp_path / "cache").rglob("*-pieces.ledger/*"))
    raster.write_bytes(whole)
    os.utime(raster, ns=(status.st_atime_ns, status.st_mtime_ns))
    within(None, close_handles)
    np.testing.assert_array_equal(labels_of(run(raster, tmp_path / "cache")), expected)


def damage(raster: Path, *, block: tuple[int, int]) -> None:
    import rasterio

    with rasterio.open(raster) as dataset:
        offset = int(dataset.get_tag_item(f"BLOCK_OFFSET_{block[0]}_{block[1]}", "TIFF", bidx=1))
    content = raster.read_bytes()
    raster.write_bytes(content[:offset] + b"\0" * (len(content) - offset))


def test_another_rule_of_joining_is_another_label_map(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(raster, tmp_path / "cache")
    attributes: dict[str, Any] = dict(zarr.open_group(first.path, mode="r").attrs)
    assert attributes["superpoint"]["joining"] == "1"
    monkeypatch.setattr(rasterjobs, "JOINING_VERSION", "2")
    assert run(raster, tmp_path / "cache").path != first.path


def test_a_halo_too_small_to_join_in_is_one_sentence(raster: Path, tmp_path: Path) -> None:
    sentence = r"scatter joins its tiles .* needs a halo of at least 8 pixels, its region size, got 7; give --halo 8"
    with pytest.raises(InputError, match=sentence):
        run(raster, tmp_path / "cache", halo=7)
    assert not (tmp_path / "cache" / "label-maps").exists()
    assert run(raster, tmp_path / "cache", halo=0, tile=512).n_tiles == 1


def test_an_exact_halo_that_there_is_not_is_one_sentence(raster: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scatter has no exact halo; use --halo default"):
        run(raster, tmp_path / "cache", halo="exact")


def test_what_an_algorithm_must_not_return_is_named(
    raster: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TilesFailedError, match="35 of 35 tiles"):
        run(raster, tmp_path / "cache", algorithm="careless", retries=0)
    assert "careless returned int32 (80, 80), not uint32 (80, 80); check it with superpoint.testing" in caplog.text
