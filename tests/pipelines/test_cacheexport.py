from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import zarr
from caches import make_group
from geopandas.testing import assert_geodataframe_equal
from smallworld import two_fields, write_raster

from superpoint.errors import InputError
from superpoint.pipelines.cacheexport import cache_export
from superpoint.pipelines.cut import cut
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import CacheExportSettings, CutSettings, LabelSettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from smallworld import Files

    from superpoint.pipelines.cacheexport import Export
    from superpoint.pipelines.superpixelize import LabelMap


def export(cache: Path, output: Path, key: str = "label-maps/", **settings: object) -> Export:
    return cache_export(CacheExportSettings(cache=cache, key=key, output=output, **settings))


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", two_fields((150, 200), seed=4)[0])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def label_map_of(raster: Path, cache: Path, **settings: object) -> LabelMap:
    values = {"rasters": [raster], "cache": cache, "region_size": 8, "tile": 64} | settings
    (label_map,) = superpixelize(SuperpixelizeSettings(**values))
    return label_map


def test_a_label_map_becomes_the_cog_that_superpixelize_writes(raster: Path, cache: Path, tmp_path: Path) -> None:
    label_map_of(raster, cache, output=tmp_path / "expected.tif")
    written = export(cache, tmp_path / "labels.tif")
    assert written.n_bytes == (tmp_path / "labels.tif").stat().st_size
    with rasterio.open(tmp_path / "labels.tif") as ours, rasterio.open(tmp_path / "expected.tif") as theirs:
        np.testing.assert_array_equal(ours.read(), theirs.read())
        assert (ours.profile, ours.tags(), ours.crs) == (theirs.profile, theirs.tags(), theirs.crs)


def test_a_pseudo_mask_becomes_the_files_that_label_writes(files: Files) -> None:
    cache, folder = files.folder / "cache", files.folder
    settings = {"cache": cache, "region_size": 10, "tile": 64, "output": folder / "expected.tif"}
    label(LabelSettings(rasters=[files.raster], points=files.points, classes=files.classes, **settings))
    export(cache, folder / "mask.tif", "pseudo-masks/")
    for suffix in (".tif", ".evidence.tif"):
        with rasterio.open(folder / f"mask{suffix}") as ours, rasterio.open(folder / f"expected{suffix}") as theirs:
            np.testing.assert_array_equal(ours.read(), theirs.read())
            assert (ours.profile, ours.tags()) == (theirs.profile, theirs.tags())
            if suffix == ".tif":
                assert ours.colormap(1) == theirs.colormap(1)
    ours, theirs = (gpd.read_parquet(folder / f"{name}.points.parquet") for name in ("mask", "expected"))
    assert_geodataframe_equal(ours, theirs)  # all rows lie on the raster


def test_a_label_map_becomes_polygons_with_statistics_of_its_source(raster: Path, cache: Path, tmp_path: Path) -> None:
    label_map = label_map_of(raster, cache, bands=[3, 1])
    written = export(cache, tmp_path / "map.parquet")
    table = gpd.read_parquet(tmp_path / "map.parquet").set_index("id")
    assert written.n_polygons == len(table) == label_map.n_superpixels
    labels = np.asarray(zarr.open_group(label_map.path, mode="r")["labels"])
    with rasterio.open(raster) as dataset:
        image, crs = dataset.read(), dataset.crs
    some = np.unique(labels)[::17]
    for number in some.tolist():
        inside = labels == number
        assert table.area_px[number] == inside.sum()
        assert table.mean_blue[number] == pytest.approx(image[2][inside].mean(), rel=1e-6)
        assert table.std_red[number] == pytest.approx(image[0][inside].std(), rel=1e-6)
    assert table.crs == crs


def test_statistics_leave_out_what_a_mask_band_does(cache: Path, tmp_path: Path) -> None:
    image, clouds = two_fields((150, 200), seed=4)
    image[2] = clouds
    label_map = label_map_of(write_raster(tmp_path / "scene.tif", image), cache, mask_band=3, mask_values=[1])
    export(cache, tmp_path / "map.parquet")
    table = gpd.read_parquet(tmp_path / "map.parquet").set_index("id")
    labels = np.asarray(zarr.open_group(label_map.path, mode="r")["labels"])
    np.testing.assert_array_equal(labels == 0, clouds == 1)
    number = table.area_px.idxmax()
    assert table.mean_red[number] == pytest.approx(image[0][labels == number].mean(), rel=1e-6)
    assert "mean_blue" not in table


def test_a_geopackage_without_statistics_needs_no_raster(raster: Path, cache: Path, tmp_path: Path) -> None:
    label_map = label_map_of(raster, cache)
    raster.unlink()
    written = export(cache, tmp_path / "map.gpkg", no_statistics=True)
    table = gpd.read_file(tmp_path / "map.gpkg")
    assert written.n_polygons == len(table) == label_map.n_superpixels
    assert not [name for name in table.columns if name.startswith(("mean", "std"))]


def test_statistics_of_a_raster_that_is_gone_or_changed_are_refused_in_one_sentence(
    raster: Path, cache: Path, tmp_path: Path
) -> None:
    label_map_of(raster, cache)
    elsewhere = raster.rename(tmp_path / "moved.tif")
    with pytest.raises(InputError, match=r"scene.tif does not exist.*; give --raster .*, or give --no-statistics"):
        export(cache, tmp_path / "map.parquet")
    write_raster(raster, two_fields((150, 200), seed=5)[0])
    with pytest.raises(InputError, match=r"scene.tif is not what it was when .* was made of it; give --raster, or"):
        export(cache, tmp_path / "map.parquet")
    assert not (tmp_path / "map.parquet").exists()
    export(cache, tmp_path / "map.parquet", raster=elsewhere)
    assert gpd.read_parquet(tmp_path / "map.parquet").mean_red.notna().all()


def test_a_label_map_that_is_not_whole_or_damaged_is_not_exported(tmp_path: Path) -> None:
    make_group(tmp_path, fails=True)
    with pytest.raises(InputError, match=r"scene-.* is not finished, 5 of 6 tiles are done; run the command that made"):
        export(tmp_path, tmp_path / "map.tif")
    whole = make_group(tmp_path, name="whole")
    Path(whole.path, "labels/c/0/1").write_bytes(b"")
    with pytest.raises(InputError, match=r"whole-.* is damaged \(tile 0.1: labels/c/0/1 has 0 bytes.*\); run the"):
        export(tmp_path, tmp_path / "map.tif", "whole")
    assert not (tmp_path / "map.tif").exists()


def test_what_cannot_be_such_a_file_is_told_what_can(files: Files) -> None:
    cache, folder = files.folder / "cache", files.folder
    settings = {"cache": cache, "region_size": 10, "tile": 64}
    (mask,) = label(LabelSettings(rasters=[files.raster], points=files.points, **settings))
    cut(CutSettings(rasters=[files.raster], cache=cache, n_segments=[50]))
    with pytest.raises(InputError, match=r"hierarchies/scene-.*zarr is a hierarchy; write cuts of it with: superpoint"):
        export(cache, folder / "a.tif", "hierarchies/")
    label_map = Path(mask.label_map.path).stem
    with pytest.raises(InputError, match=f"is a pseudo-mask, .* export its label map instead: label-maps/{label_map}"):
        export(cache, folder / "a.gpkg", "pseudo-masks/")
    with pytest.raises(InputError, match=r"cannot tell a format .* of .*a.shp; known suffixes: .tif, .parquet, .gpkg"):
        export(cache, folder / "a.shp")


@pytest.mark.parametrize("name", ["map.tif", "map.parquet", "map.gpkg"])
def test_a_file_that_is_there_is_replaced_only_when_told(raster: Path, cache: Path, tmp_path: Path, name: str) -> None:
    label_map_of(raster, cache, region_size=20)
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(InputError, match=f"{name} exists already; give --overwrite"):
        export(cache, tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"mine"
    assert export(cache, tmp_path / name, overwrite=True).n_bytes > 4
