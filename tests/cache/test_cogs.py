from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.georeference import Georeference
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (700, 900)
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = pyproj.CRS("EPSG:32633").to_wkt("WKT2_2019")
CLASSES = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), SHAPE)


def profile(**changes: object) -> CogProfile:
    settings: dict[str, Any] = {
        "georeference": Georeference(shape=SHAPE, transform=tuple(NORTH_UP)[:6], crs=UTM),
        "dtype": "uint8",
        "nodata": 255,
        "band_names": ("class",),
    }
    return CogProfile(**(settings | changes))


def blocks(values: NDArray[Any], size: int = 512) -> Iterator[tuple[Window, NDArray[Any]]]:
    for tile in TileGrid(shape=(values.shape[-2], values.shape[-1]), size=size):
        yield tile.core, values[..., *tile.core.slices]


def test_a_cog_comes_back_as_it_was_written(tmp_path: Path) -> None:
    colormap = {0: (60, 16, 152), 1: (132, 41, 246), 2: (110, 193, 228)}
    tags = {"SUPERPOINT_CLASSES": {"class": [{"name": "straße"}]}, "OTHER": [1, 2.5, None]}
    path = write_cog(tmp_path / "map.tif", profile(colormap=colormap, tags=tags), blocks(CLASSES))
    assert path == tmp_path / "map.tif"
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), CLASSES)
        assert (dataset.crs.to_epsg(), dataset.transform) == (32633, NORTH_UP)
        assert (dataset.dtypes, dataset.nodata, dataset.descriptions) == (("uint8",), 255, ("class",))
        assert {value: dataset.colormap(1)[value][:3] for value in colormap} == colormap
        assert dataset.colorinterp == (ColorInterp.palette,)
        assert {key: json.loads(dataset.tags()[key]) for key in tags} == tags


def test_rasterio_reports_the_layout_of_a_cog_with_overviews_by_nearest(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "map.tif", profile(), blocks(CLASSES))
    with rasterio.open(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2]
    with rasterio.open(path, overview_level=0) as overview:
        assert set(np.unique(overview.read(1))) <= {0, 1, 2, 255}


@pytest.mark.parametrize(
    ("dtype", "nodata", "n_bands"), [("uint32", 0, 1), ("float32", 0, 2), ("uint16", 65535, 1), ("float32", None, 3)]
)
def test_any_type_and_number_of_bands_will_do(tmp_path: Path, dtype: str, nodata: float | None, n_bands: int) -> None:
    top = 2**32 - 1 if dtype == "uint32" else 60_000
    values = np.random.default_rng(1).integers(0, top, (n_bands, *SHAPE)).astype(dtype)
    names = tuple(f"band {number}" for number in range(n_bands))
    path = write_cog(tmp_path / "x.tif", profile(dtype=dtype, nodata=nodata, band_names=names), blocks(values, 300))
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert (dataset.nodata, dataset.descriptions) == (nodata, names)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_a_crs_is_written_without_one(tmp_path: Path) -> None:
    grid = Georeference(shape=(20, 30), transform=(1, 0, 0, 0, 1, 0), crs=None)
    path = write_cog(tmp_path / "x.tif", profile(georeference=grid), blocks(CLASSES[:20, :30]))
    with rasterio.open(path) as dataset:
        assert (dataset.crs, dataset.transform) == (None, Affine.identity())
        np.testing.assert_array_equal(dataset.read(1), CLASSES[:20, :30])


def test_a_rotated_grid_is_kept(tmp_path: Path) -> None:
    rotated = NORTH_UP @ Affine.rotation(20)
    grid = Georeference(shape=(20, 30), transform=tuple(rotated)[:6], crs=UTM)
    path = write_cog(tmp_path / "x.tif", profile(georeference=grid), blocks(CLASSES[:20, :30]))
    with rasterio.open(path) as dataset:
        assert dataset.transform.almost_equals(rotated, precision=1e-9)


class Interrupted(BaseException):
    """Like a KeyboardInterrupt, which pytest keeps for itself."""


@pytest.mark.parametrize("failure", [ValueError, RuntimeError, InputError, Interrupted])
def test_a_failure_on_the_way_leaves_no_file(tmp_path: Path, failure: type[BaseException]) -> None:
    def failing() -> Iterator[tuple[Window, NDArray[Any]]]:
        yield next(blocks(CLASSES))
        raise failure("in the middle")

    with pytest.raises(failure, match="in the middle"):
        write_cog(tmp_path / "map.tif", profile(), failing())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_on_the_way_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "map.tif", profile(), blocks(CLASSES))
    before = path.read_bytes()

    def failing() -> Iterator[tuple[Window, NDArray[Any]]]:
        yield next(blocks(CLASSES * 0))
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_cog(path, profile(), failing(), overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["map.tif"]
    assert path.read_bytes() == before


def test_an_output_that_is_there_is_kept_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_text("precious")
    with pytest.raises(InputError, match=r"map.tif exists already; give --overwrite to replace it, or another name"):
        write_cog(path, profile(), blocks(CLASSES))
    assert path.read_text() == "precious"
    write_cog(path, profile(), blocks(CLASSES), overwrite=True)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), CLASSES)
    assert [file.name for file in tmp_path.iterdir()] == ["map.tif"]


def test_the_folder_of_an_output_is_made(tmp_path: Path) -> None:
    assert write_cog(tmp_path / "new" / "deeper" / "map.tif", profile(), blocks(CLASSES)).exists()


def test_an_output_in_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match=f"cannot make the folder {folder}: .*; give another output"):
            check_output(folder / "map.tif", overwrite=True)


def test_a_folder_is_not_overwritten_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "map.tif").mkdir()
    with pytest.raises(InputError, match=r"map.tif"):
        write_cog(tmp_path / "map.tif", profile(), blocks(CLASSES), overwrite=True)
    assert (tmp_path / "map.tif").is_dir()
