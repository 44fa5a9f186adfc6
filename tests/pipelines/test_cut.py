"""Cuts of one hierarchy: as many superpixels as were asked for, nested, and computed once."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from smallworld import two_fields, write_raster
from typer.testing import CliRunner

from superpoint.cache.hierarchies import read_hierarchy
from superpoint.cache.rasters import open_raster
from superpoint.cache.stores import Store
from superpoint.cli import app
from superpoint.errors import InputError
from superpoint.pipelines import cut as cut_module
from superpoint.pipelines.cut import Cut, cut
from superpoint.pipelines.settings import CutSettings
from superpoint.superpixels.hers import Hers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def image() -> NDArray[np.generic]:
    return two_fields((90, 120), seed=4)[0]


@pytest.fixture
def raster(image: NDArray[np.generic], tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", image)


def run(raster: Path, **settings: object) -> Cut:
    values = {"rasters": [raster], "cache": raster.parent / "cache", "n_segments": [10, 50, 200]} | settings
    (made,) = cut(CutSettings(**values))
    return made


def read(path: Path | str | None) -> NDArray[np.uint32]:
    assert path is not None
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return time of change and content of every file."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_every_level_is_a_band_named_by_its_number_of_superpixels(raster: Path, tmp_path: Path) -> None:
    made = run(raster, output=tmp_path / "levels.tif")
    assert made.levels == [10, 50, 200]
    with rasterio.open(made.output) as dataset, rasterio.open(raster) as source:
        assert dataset.descriptions == ("10 superpixels", "50 superpixels", "200 superpixels")
        assert (set(dataset.dtypes), dataset.nodata) == ({"uint32"}, 0)
        assert (dataset.transform, dataset.crs, dataset.shape) == (source.transform, source.crs, source.shape)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert [len(np.unique(level)) for level in read(made.output)] == made.levels


def test_levels_are_nested(raster: Path, tmp_path: Path) -> None:
    levels = read(run(raster, output=tmp_path / "levels.tif").output)
    for coarse, fine in itertools.pairwise(levels):
        assert len(np.unique(np.stack([coarse.ravel(), fine.ravel()]), axis=1).T) == len(np.unique(fine))


def test_the_labels_are_those_of_the_algorithm_on_the_scaled_raster(
    raster: Path, image: NDArray[np.generic], tmp_path: Path
) -> None:
    low, high = (np.percentile(image, p, axis=(1, 2), method="lower")[:, None, None] for p in (1, 99))
    scaled = (image.astype(np.float32) - low.astype(np.float32)) / (high - low).astype(np.float32)
    hierarchy = Hers(sigma=0.1).hierarchy(scaled.astype(np.float32), np.ones(image.shape[1:], bool))
    made = run(raster, region_size=[10, 20], n_segments=[], sigma=0.1, output=tmp_path / "levels.tif")
    np.testing.assert_array_equal(read(made.output), hierarchy.stack(n_segments=[108, 27]))


def test_other_levels_are_cut_from_the_cache_without_merging_anew(
    raster: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="superpoint"):
        first = run(raster)
        kept = files_of(raster.parent / "cache")
        assert "scene: computing the hierarchy" in caplog.text
        caplog.clear()
        second = run(raster, n_segments=[7, 333])
    assert "the hierarchy is in the cache, cutting it" in caplog.text
    assert "computing" not in caplog.text
    assert (first.from_cache, second.from_cache) == (False, True)
    assert (second.path, second.levels) == (first.path, [7, 333])
    assert files_of(raster.parent / "cache") == kept


def test_another_sigma_or_band_is_another_hierarchy(raster: Path) -> None:
    made = [run(raster), run(raster, sigma=0.2), run(raster, bands=[1])]
    assert len({each.path for each in made}) == 3
    assert not any(each.from_cache for each in made)


def test_a_damaged_hierarchy_is_computed_again(raster: Path, tmp_path: Path) -> None:
    first = run(raster, output=tmp_path / "first.tif")
    next((raster.parent / "cache" / "hierarchies").glob("*/into/c/0")).write_bytes(b"")
    again = run(raster, output=tmp_path / "again.tif")
    assert (again.path, again.from_cache) == (first.path, False)
    np.testing.assert_array_equal(read(again.output), read(first.output))


def test_nodata_is_zero_and_every_island_has_a_superpixel(image: NDArray[np.generic], tmp_path: Path) -> None:
    image = image.clip(1)
    image[:, 30:40], image[:, :, 50:60] = 0, 0
    raster = write_raster(tmp_path / "scene.tif", image, nodata=0)
    made = run(raster, n_segments=[1, 30], output=tmp_path / "levels.tif")
    assert made.levels == [4, 30]
    for level in read(made.output):
        np.testing.assert_array_equal(level == 0, (image == 0).all(axis=0))


def test_a_raster_of_nodata_has_no_superpixels_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raster = write_raster(tmp_path / "empty.tif", np.zeros((2, 20, 30), np.uint16), nodata=0)
    made = run(raster, n_segments=[5], output=tmp_path / "levels.tif")
    assert made.levels == [0]
    assert not read(made.output).any()
    assert "holds nothing but nodata" in caplog.text


def test_without_an_output_the_hierarchy_is_kept(raster: Path) -> None:
    made = run(raster)
    kept = read_hierarchy(Store(made.path))
    assert made.output is None
    assert kept is not None
    assert kept.cut(n_segments=50).max() == 50


def test_several_rasters_go_into_a_folder(raster: Path, tmp_path: Path) -> None:
    other = write_raster(tmp_path / "other.tif", two_fields((40, 50), seed=1)[0])
    made = cut(CutSettings(rasters=[raster, other], cache=tmp_path, n_segments=[9], output=tmp_path / "cuts"))
    assert [each.output for each in made] == [
        str(tmp_path / "cuts" / f"{name}.cuts.tif") for name in ("scene", "other")
    ]


def test_the_command_takes_numbers_joined_by_commas(raster: Path, tmp_path: Path) -> None:
    for flags, levels in ((["--n-segments", "12,34"], [12, 34]), (["--region-size", "10,22.5"], [108, 21])):
        result = CliRunner().invoke(app, ["cut", str(raster), *flags, "--cache", str(tmp_path / "cache"), "--json"])
        assert result.exit_code == 0, result.output
        (made,) = json.loads(result.stdout)
        assert made["levels"] == levels


def test_a_raster_too_large_for_the_memory_is_refused_with_the_way_out(raster: Path) -> None:
    needed = 90 * 120 * (cut_module.BYTES_PER_PIXEL + 3 * cut_module.BYTES_PER_SAMPLE)
    cut_module._refuse_too_large(open_raster(raster), needed)
    with pytest.raises(InputError, match=r"scene\.tif has 120 x 90 pixels.* superpixelize --algorithm hers"):
        cut_module._refuse_too_large(open_raster(raster), needed - 1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"region_size": [10]}, "give region_size or n_segments, not both"),
        ({"n_segments": [0]}, "greater than or equal to 1"),
        ({"affinity": "learnt"}, "'gaussian' or 'dal'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(raster: Path, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        run(raster, **settings)


def test_an_output_that_is_there_is_refused_before_anything_is_computed(raster: Path, tmp_path: Path) -> None:
    output = tmp_path / "levels.tif"
    output.write_text("mine")
    with pytest.raises(InputError, match="exists already; give --overwrite"):
        run(raster, output=output)
    assert output.read_text() == "mine"
    assert not (raster.parent / "cache").exists()
