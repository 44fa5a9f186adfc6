"""One label map, however it is computed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import zarr
from caches import bytes_of
from pydantic import ValidationError
from smallworld import two_fields, write_raster

from superpoint.cache.handles import close_handles
from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import scaling_of
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.jobs import within
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.slic import SPREAD, Slic
from superpoint.tiles import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    image, _ = two_fields((300, 420), seed=4)
    return write_raster(tmp_path / "scene.tif", image)


def run(raster: Path, cache: Path, **settings: object) -> tuple[NDArray[np.uint32], Path]:
    values = {"rasters": [raster], "cache": cache, "region_size": 8, "tile": 64} | settings
    (label_map,) = superpixelize(SuperpixelizeSettings(**values))
    return np.asarray(zarr.open_group(label_map.path, mode="r")["labels"]), Path(label_map.path)


def test_the_exact_halo_gives_the_untiled_labels(raster: Path, tmp_path: Path) -> None:
    with rasterio.open(raster) as dataset:
        image = dataset.read().astype(np.float32)
    low, high = (np.percentile(image, p, axis=(1, 2), method="lower")[:, None, None] for p in (1, 99))
    shape = image.shape[1:]
    expected = Slic(region_size=8)(
        ((image - low) / (high - low)).astype(np.float32),
        np.ones(shape, bool),
        origin=Origin(raster_shape=shape),
        rng=np.random.default_rng(0),
    )
    for tile in (64, 512):
        labels, _ = run(raster, tmp_path / "cache", halo="exact", tile=tile)
        np.testing.assert_array_equal(labels, expected)


def test_the_number_of_superpixels_counts_those_across_tiles_once(raster: Path, tmp_path: Path) -> None:
    settings = SuperpixelizeSettings(rasters=[raster], cache=tmp_path, region_size=8, tile=64, halo="exact")
    (label_map,) = superpixelize(settings)
    labels = np.asarray(zarr.open_group(label_map.path, mode="r")["labels"])
    assert label_map.n_superpixels == len(np.unique(labels))


def test_a_cluster_writes_the_same_bytes_as_this_process(raster: Path, tmp_path: Path) -> None:
    _, alone = run(raster, tmp_path / "alone")
    _, together = run(raster, tmp_path / "together", workers=2)
    assert alone.name == together.name
    assert bytes_of(alone) == bytes_of(together)


def test_a_scheduler_is_used_by_its_address(raster: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    expected, _ = run(raster, tmp_path / "here")
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        labels, _ = run(raster, tmp_path / "there", scheduler=cluster.scheduler_address)
    np.testing.assert_array_equal(labels, expected)


def test_no_scheduler_at_an_address_is_one_sentence(raster: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        run(raster, tmp_path, scheduler="tcp://127.0.0.1:9")


def test_a_second_run_computes_nothing(raster: Path, tmp_path: Path) -> None:
    settings = SuperpixelizeSettings(rasters=[raster], cache=tmp_path, region_size=8, tile=64)
    (first,), (second,) = superpixelize(settings), superpixelize(settings)
    assert (first.n_computed, second.n_computed) == (first.n_tiles, 0)
    assert second.n_superpixels == first.n_superpixels


def test_a_changed_setting_or_source_is_another_label_map(raster: Path, tmp_path: Path) -> None:
    paths = {run(raster, tmp_path / "cache")[1], run(raster, tmp_path / "cache", region_size=9)[1]}
    paths |= {run(raster, tmp_path / "cache", parameter={"compactness": 20})[1]}
    image, _ = two_fields((300, 420), seed=5)
    write_raster(raster, image)
    paths |= {run(raster, tmp_path / "cache")[1]}
    assert len(paths) == 4


def test_a_killed_run_goes_on_with_the_missing_tiles_only(raster: Path, tmp_path: Path) -> None:
    cache, undisturbed = tmp_path / "cache", tmp_path / "undisturbed"
    command = [sys.executable, "-m", "superpoint", "superpixelize", str(raster), "--region-size", "8", "--tile", "32"]
    subprocess.run([*command, "--cache", str(undisturbed)], check=True, capture_output=True)
    victim = subprocess.Popen([*command, "--cache", str(cache)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(cache.rglob("*.ledger/*.json"))) < 5 and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    done = {path: path.stat().st_mtime_ns for path in cache.rglob("*.ledger/*.json")}
    again = subprocess.run([*command, "--cache", str(cache), "--json"], check=True, capture_output=True, text=True)
    (result,) = json.loads(again.stdout)
    assert 5 <= len(done) < result["n_tiles"] == 140
    assert result["n_computed"] == 140 - len(done)
    assert f"{len(done)} of 140 tiles are in the cache, computing {140 - len(done)}" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in done} == done
    (label_map,), (expected,) = cache.rglob("*.zarr"), undisturbed.rglob("*.zarr")
    assert bytes_of(label_map) == bytes_of(expected)


def test_ctrl_c_stops_with_a_word_and_keeps_what_is_done(raster: Path, tmp_path: Path) -> None:
    # A job in the background of a shell is started deaf to Ctrl-C, and so would be the tests' children.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from superpoint.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "superpixelize", str(raster), "--region-size", "8", "--tile", "16"]
    running = subprocess.Popen([*command, "--cache", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.ledger/*.json"))) < 3 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "stopped; what is done is kept, run the same command again" in words
    assert "Traceback" not in words
    assert 3 <= len(list(tmp_path.rglob("*.ledger/*.json"))) < 19 * 27


def test_an_output_that_is_an_input_is_refused(raster: Path, tmp_path: Path) -> None:
    before = raster.read_bytes()
    with pytest.raises(InputError, match=r"the output .*scene\.tif is an input"):
        run(raster, tmp_path / "cache", output=raster, overwrite=True)
    assert raster.read_bytes() == before


def test_rasters_of_one_name_get_outputs_of_their_own(tmp_path: Path) -> None:
    rasters = []
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        rasters.append(write_raster(tmp_path / name / "part.tif", two_fields((40, 50), seed=len(name))[0]))
    settings = SuperpixelizeSettings(rasters=rasters, cache=tmp_path / "cache", output=tmp_path / "out")
    outputs = [Path(str(label_map.output)).name for label_map in superpixelize(settings)]
    assert outputs == ["north-part.labels.tif", "south-part.labels.tif"]


def test_nodata_of_one_band_enters_no_statistics(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(100, 200, (2, 60, 60)).astype(np.int16)
    image[1, :20] = -9999
    raster = open_raster(write_raster(tmp_path / "scene.tif", image, nodata=-9999))
    scaling = scaling_of([raster], tmp_path / "cache")
    assert scaling is not None
    expected = [np.percentile(values[values > 0], 1, method="lower") for values in image]
    assert scaling.low == tuple(expected)
    scaled = scaling.apply(*raster.read(Window(row=0, col=0, n_rows=60, n_cols=60)))
    assert np.isfinite(scaled).all()
    assert (scaled[1, :20] == 0).all()


def test_a_tile_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    image, _ = two_fields((256, 256), seed=0)
    raster = write_raster(tmp_path / "scene.tif", image, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    settings = SuperpixelizeSettings(rasters=[raster], cache=tmp_path / "cache", region_size=8, tile=64, halo=0)
    whole = raster.read_bytes()
    (label_map,) = superpixelize(settings)
    for path in Path(label_map.path).with_suffix(".ledger").glob("*.json"):
        path.unlink()
    status = raster.stat()
    with rasterio.open(raster) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_3_3", "TIFF", bidx=1))
    raster.write_bytes(whole[:offset] + b"\0" * (len(whole) - offset))
    os.utime(raster, ns=(status.st_atime_ns, status.st_mtime_ns))
    within(None, close_handles)  # which know the file as it was: nothing tells that it changed
    output = tmp_path / "labels.tif"
    with pytest.raises(TilesFailedError, match=r"1 of 16 tiles of .*scene\.tif failed.*run the same command") as caught:
        superpixelize(settings.model_copy(update={"output": output}))
    assert caught.value.exit_code == 3
    assert not output.exists()
    raster.write_bytes(whole)
    os.utime(raster, ns=(status.st_atime_ns, status.st_mtime_ns))
    (mended,) = superpixelize(settings.model_copy(update={"output": output}))
    assert mended.n_computed == 1
    with rasterio.open(output) as dataset:
        np.testing.assert_array_equal(dataset.read(1), np.asarray(zarr.open_group(mended.path)["labels"]))


def test_n_segments_gives_about_that_many(raster: Path, tmp_path: Path) -> None:
    labels, _ = run(raster, tmp_path, region_size=None, n_segments=150)
    # SLIC's seeds stand wider, and large pieces of clusters make up for it: two plain fields have hardly any.
    assert 140 / SPREAD**2 <= len(np.unique(labels)) <= 160


def test_nodata_is_zero_and_the_output_says_so(tmp_path: Path) -> None:
    image, _ = two_fields((130, 150), seed=0)
    image = image.clip(1)
    image[:, 40:60, 20:90] = 0
    raster = write_raster(tmp_path / "scene.tif", image, nodata=0)
    labels, _ = run(raster, tmp_path / "cache", output=tmp_path / "labels.tif")
    np.testing.assert_array_equal(labels == 0, (image == 0).all(axis=0))
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        assert (dataset.dtypes, dataset.nodata, dataset.crs.to_epsg()) == (("uint32",), 0, 32633)
        np.testing.assert_array_equal(dataset.read(1), labels)


def test_what_a_mask_band_leaves_out_is_nodata_of_the_label_map(tmp_path: Path) -> None:
    image, _ = two_fields((60, 90), seed=1)
    fmask = np.zeros((1, 60, 90), np.uint8)
    fmask[0, 10:30, 20:50] = 4
    image[:, fmask[0] == 4] = 255
    raster = write_raster(tmp_path / "scene.tif", np.concatenate([image, fmask]), photometric="MINISBLACK", alpha="NO")
    labels, group = run(raster, tmp_path, mask_band=4, mask_values=[2, 4], tile=32)
    np.testing.assert_array_equal(labels == 0, fmask[0] == 4)
    assert run(raster, tmp_path, bands=[1, 2, 3], tile=32)[1] != group


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ({"mask_values": [4]}, "--mask-values needs a mask; name one with --mask-asset or --mask-band"),
        ({"mask_band": "Fmask"}, "scene.tif has no band 'Fmask'; bands: 1 red, 2 green, 3 blue"),
        ({"mask_band": 3, "mask_asset": "scl"}, "give mask_asset or mask_band, not both"),
    ],
)
def test_a_mask_that_is_not_there_or_there_twice_is_one_sentence(
    raster: Path, tmp_path: Path, masks: dict[str, object], sentence: str
) -> None:
    with pytest.raises((InputError, ValidationError), match=sentence):
        run(raster, tmp_path / "cache", **masks)


def test_an_all_nodata_raster_is_all_zero_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raster = write_raster(tmp_path / "empty.tif", np.zeros((2, 50, 70), np.uint16), nodata=0)
    labels, _ = run(raster, tmp_path / "cache")
    assert not labels.any()
    assert "holds nothing but nodata" in caplog.text


def test_a_raster_without_crs_works_in_pixel_space_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, _ = two_fields((50, 70), seed=0)
    raster = write_raster(tmp_path / "plain.tif", image, crs=None, transform=rasterio.Affine.identity())
    with caplog.at_level("INFO", logger="superpoint"):
        labels, _ = run(raster, tmp_path / "cache")
    assert labels.all()
    assert "has no CRS: working in pixel space" in caplog.text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"algorithm": "slik"}, "unknown superpixel algorithm 'slik'; known: .*slic"),
        ({"parameter": {"compactnes": 3}}, "slic has no parameter 'compactnes'; known: region_size, compactness"),
        ({"parameter": {"iterations": 0}}, "iterations must be at least 1, got 0"),
        ({"tile": 1000}, "tile must be a multiple of 512 pixels .*, got 1000"),
        ({"bands": [4]}, "has bands 1 to 3, there is no band 4"),
    ],
)
def test_a_bad_setting_is_one_sentence(
    raster: Path, tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        run(raster, tmp_path / "cache", **settings)


def test_numbers_of_bands_may_be_listed_and_names_may_hold_a_comma() -> None:
    asked = SuperpixelizeSettings(rasters=["a.tif"], bands=["4,3, 2", 1, "B4, central wavelength 665 nm"])
    assert asked.bands == [4, 3, 2, 1, "B4, central wavelength 665 nm"]


def test_learned_affinities_on_two_bands_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    image, _ = two_fields((70, 80), seed=1)
    raster = write_raster(tmp_path / "two.tif", image[:2])
    with pytest.raises(InputError, match=r"learned affinities need three bands"):
        run(raster, tmp_path / "cache", algorithm="hers", parameter={"affinity": "dal"})
    assert not (tmp_path / "cache" / "label-maps").exists()


def test_the_same_weights_in_another_folder_are_the_same_label_map(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from superpoint.superpixels.dal import shipped_weights

    image, _ = two_fields((70, 80), seed=1)
    raster = write_raster(tmp_path / "three.tif", image)
    paths = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        weights = tmp_path / name / "weights.safetensors"
        weights.write_bytes(shipped_weights().read_bytes())
        parameter = {"affinity": "dal", "weights": str(weights)}
        paths.add(run(raster, tmp_path / "cache", algorithm="hers", parameter=parameter, tile=512)[1])
    assert len(paths) == 1


def test_seeds_share_the_labels_of_an_algorithm_that_draws_nothing(tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "scene.tif", two_fields((60, 80), seed=0)[0])
    settings = SuperpixelizeSettings(rasters=[raster], cache=tmp_path / "cache")
    first, other = (superpixelize(settings.model_copy(update={"seed": seed}))[0] for seed in (0, 7))
    assert (other.path, other.n_computed) == (first.path, 0)


def test_many_rasters_alike_are_warned_of_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, _ = two_fields((40, 50), seed=0)
    rasters = [write_raster(tmp_path / f"{number}.tif", image, crs=None) for number in range(6)]
    superpixelize(SuperpixelizeSettings(rasters=rasters, cache=tmp_path / "cache"))
    said = [line for line in caplog.text.splitlines() if "no CRS" in line]
    assert len(said) == 4
    assert said[-1].endswith("3 more rasters alike: ... has no CRS: working in pixel space")
