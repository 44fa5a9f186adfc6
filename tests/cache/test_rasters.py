from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from superpoint.cache.handles import close_handles
from superpoint.cache.inputs import Source
from superpoint.cache.rasters import Raster, open_raster, open_source
from superpoint.cache.scalings import scaling_of
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (20, 30)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def whole(raster: Raster) -> Window:
    return Window(row=0, col=0, n_rows=raster.shape[0], n_cols=raster.shape[1])


def numbers(n_bands: int, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(n_bands).integers(1, 250, (n_bands, *SHAPE)).astype(dtype)


# --- what is read


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
def test_a_window_holds_the_values_rasterio_reads(make_raster: Callable[..., Path], dtype: str) -> None:
    values = numbers(3).astype(dtype) if dtype != "int8" else (numbers(3) // 2 - 60).astype(dtype)
    raster = open_raster(make_raster(values))
    image, valid = raster.read(Window(row=3, col=5, n_rows=8, n_cols=20))
    np.testing.assert_array_equal(image, values[:, 3:11, 5:25])
    assert (image.dtype, valid.dtype, raster.dtype) == (np.float32, bool, dtype)
    assert valid.all()


def test_a_raster_tells_its_grid_name_and_files(make_raster: Callable[..., Path]) -> None:
    transform = Affine(0.5, 0, 11, 0, -0.5, 47)
    path = make_raster(numbers(2), name="a scene.v2.tif", crs="EPSG:4326", transform=transform)
    raster = open_raster(path)
    assert (raster.shape, raster.name, raster.bands, raster.path) == (SHAPE, "a scene.v2", (1, 2), str(path))
    assert raster.georeference.affine == transform
    assert raster.georeference.crs is not None
    assert pyproj.CRS(raster.georeference.crs) == pyproj.CRS("EPSG:4326")
    assert raster.files == ((path.name, path.stat().st_size, path.stat().st_mtime_ns),)


def test_bands_are_read_in_the_order_they_are_asked_for(make_raster: Callable[..., Path]) -> None:
    values = numbers(4)
    raster = open_raster(make_raster(values), bands=(4, 1))
    np.testing.assert_array_equal(raster.read(whole(raster))[0], values[[3, 0]])


@pytest.mark.parametrize(("bands", "missing"), [((5,), 5), ((1, 0), 0), ((-1,), -1)])
def test_a_band_that_is_not_there_is_named(
    make_raster: Callable[..., Path], bands: tuple[int, ...], missing: int
) -> None:
    with pytest.raises(InputError, match=f"scene.tif has bands 1 to 4, there is no band {missing}"):
        open_raster(make_raster(numbers(4)), bands=bands)


def named(make_raster: Callable[..., Path]) -> Path:
    """Write six bands: red, green and blue as the file marks them, two that are described, alpha."""
    values = numbers(6, "uint8")
    values[5] = 255
    values[5, 6, 7] = 0
    path = make_raster(values, photometric="RGB")
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = (None, None, "blue", "NIR 842", "4", None)
        roles = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.nir, ColorInterp.undefined]
        dataset.colorinterp = [*roles, ColorInterp.alpha]
    return path


@pytest.mark.parametrize(
    ("bands", "numbers", "names"),
    [
        (["nir", "RED"], (4, 1), ("NIR 842", "red")),
        (["nir 842", 5, "2"], (4, 5, 2), ("NIR 842", "4", "green")),
        (["4", 4], (5, 4), ("4", "NIR 842")),  # a name before a number
        (["Blue"], (3,), ("blue",)),
        ([], (1, 2, 3, 4, 5), ("red", "green", "blue", "NIR 842", "4")),
    ],
)
def test_bands_are_chosen_by_description_colour_or_number(
    make_raster: Callable[..., Path], bands: list[int | str], numbers: tuple[int, ...], names: tuple[str, ...]
) -> None:
    raster = open_raster(named(make_raster), bands=bands)
    assert (raster.bands, raster.band_names) == (numbers, names)


def test_a_band_name_that_nobody_or_several_have_is_answered_with_what_there_is(
    make_raster: Callable[..., Path],
) -> None:
    words = "has no band 'swir'; bands: 1 red, 2 green, 3 blue, 4 NIR 842, 5 4, 6 alpha"
    with pytest.raises(InputError, match=words):
        open_raster(named(make_raster), bands=["swir"])
    path = make_raster(numbers(3))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("x", "y", "X")
    with pytest.raises(InputError, match="has several bands called 'x', 1, 3; give the number"):
        open_raster(path, bands=["x"])


def test_a_raster_without_a_crs_is_read_in_pixel_space(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(make_raster(numbers(1), crs=None))
    assert raster.georeference.crs is None
    assert raster.georeference.affine == Affine.identity()


def test_a_rotated_raster_keeps_its_rotation(make_raster: Callable[..., Path]) -> None:
    transform = Affine(10, 0, 500_000, 0, -10, 5_000_000) @ Affine.rotation(15)
    raster = open_raster(make_raster(numbers(1), transform=transform))
    assert raster.georeference.affine.almost_equals(transform, precision=1e-9)


def test_a_raster_is_told_from_itself_after_a_change(make_raster: Callable[..., Path]) -> None:
    path = make_raster(numbers(2))
    before = open_raster(path).identity()
    assert open_raster(path).identity() == before
    assert open_raster(path, bands=(1,)).identity() != before
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert open_raster(path).identity() != before


def test_a_raster_that_changed_under_the_run_is_not_read_under_its_old_name(make_raster: Callable[..., Path]) -> None:
    path = make_raster(numbers(2))
    raster = open_raster(path)
    raster.read(whole(raster))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))  # no more than a clock may differ
    raster.read(whole(raster))
    make_raster(numbers(2) + 1)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**10))
    with pytest.raises(InputError, match=r"scene.tif changed .* \(scene.tif\); run the same command again"):
        raster.read(whole(raster))
    path.unlink()
    with pytest.raises(InputError, match=r"scene.tif is gone; put it back"):
        raster.read(whole(raster))


def mosaic(path: Path, source: Path) -> Path:
    """Write a VRT of one band of one file."""
    path.write_text(
        f'<VRTDataset rasterXSize="{SHAPE[1]}" rasterYSize="{SHAPE[0]}"><VRTRasterBand dataType="UInt16" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="1">{source.name}</SourceFilename><SourceBand>1</SourceBand>'
        f"</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def test_a_vrt_is_told_from_itself_after_a_change_of_anything_it_is_made_of(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    values = numbers(1)
    inner = mosaic(tmp_path / "inner.vrt", make_raster(values))
    outer = mosaic(tmp_path / "outer.vrt", inner)
    raster = open_raster(outer)
    assert [name for name, *_ in raster.files] == ["outer.vrt", "inner.vrt", "scene.tif"]
    np.testing.assert_array_equal(raster.read(whole(raster))[0], values)
    make_raster(values, nodata=7)
    os.utime(tmp_path / "scene.tif", ns=(10**18, 10**18))
    assert open_raster(outer).identity() != raster.identity()
    close_handles()
    with pytest.raises(InputError, match=r"outer.vrt changed while it was worked on \(scene.tif\)"):
        raster.read(whole(raster))


def test_vrts_that_name_each_other_come_to_an_end(tmp_path: Path) -> None:
    mosaic(tmp_path / "a.vrt", mosaic(tmp_path / "b.vrt", tmp_path / "a.vrt"))
    raster = open_raster(tmp_path / "a.vrt")
    assert [name for name, *_ in raster.files] == ["a.vrt", "b.vrt"]
    with pytest.raises(InputError, match=r"cannot read .*a.vrt"):
        raster.read(whole(raster))


@pytest.mark.parametrize("form", ["/vsizip/{}/deep/scene.tif", "zip://{}!deep/scene.tif"])
def test_a_raster_in_an_archive_is_told_by_the_archive(
    make_raster: Callable[..., Path], tmp_path: Path, form: str
) -> None:
    archive, values = tmp_path / "a.zip", numbers(2)
    with zipfile.ZipFile(archive, "w") as file:
        file.write(make_raster(values), "deep/scene.tif")
    raster = open_raster(form.format(archive))
    np.testing.assert_array_equal(raster.read(whole(raster))[0], values)
    assert (raster.name, raster.files) == ("scene", (("a.zip", archive.stat().st_size, archive.stat().st_mtime_ns),))
    with pytest.raises(InputError, match=r"raster .*gone.zip.* does not exist"):
        open_raster(form.format(tmp_path / "gone.zip"))


def test_what_nobody_can_tell_from_its_next_version_is_refused() -> None:
    with pytest.raises(InputError, match=r"nobody can tell when /vsimem/a.tif changes; copy it"):
        open_raster("/vsimem/a.tif")


# --- where there is data


def test_everything_is_valid_where_nothing_says_otherwise(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(make_raster(np.zeros((1, *SHAPE), np.uint8)))
    assert raster.read(whole(raster))[1].all()


def test_a_pixel_that_is_nodata_in_every_band_is_not_valid_and_becomes_0(make_raster: Callable[..., Path]) -> None:
    values = numbers(2, "int16")
    values[:, 2, 3] = -9999
    values[0, 4, 5] = -9999
    raster = open_raster(make_raster(values, nodata=-9999))
    image, valid = raster.read(whole(raster))
    assert np.argwhere(~valid).tolist() == [[2, 3]]
    assert image[:, 2, 3].tolist() == [0, 0]
    # Nodata in one band only: the sample must enter no statistics, and the pixel keeps its other bands.
    np.testing.assert_array_equal(image[:, 4, 5], [np.nan, values[1, 4, 5]])


def test_only_the_bands_in_use_decide_what_is_nodata(make_raster: Callable[..., Path]) -> None:
    values = numbers(3, "int16")
    values[:2, 2, 3] = -9999
    raster = open_raster(make_raster(values, nodata=-9999), bands=(1, 2))
    assert np.argwhere(~raster.read(whole(raster))[1]).tolist() == [[2, 3]]


def test_a_transparent_pixel_is_not_valid_and_alpha_is_not_a_band_of_the_image(
    make_raster: Callable[..., Path],
) -> None:
    values = numbers(4, "uint8")
    values[3] = 255
    values[3, 6, 7] = 0
    raster = open_raster(make_raster(values, photometric="RGB", alpha="YES"))
    image, valid = raster.read(whole(raster))
    assert (raster.bands, image.shape) == ((1, 2, 3), (3, *SHAPE))
    assert np.argwhere(~valid).tolist() == [[6, 7]]


def test_alpha_counts_wherever_it_is_and_however_many_bands_there_are(make_raster: Callable[..., Path]) -> None:
    raster = open_raster(named(make_raster))
    image, valid = raster.read(whole(raster))
    assert np.argwhere(~valid).tolist() == [[6, 7]]
    assert not image[:, 6, 7].any()
    assert raster.has_gaps
    assert open_raster(named(make_raster), bands=[1]).read(whole(raster))[1].sum() == valid.sum()


def test_alpha_can_be_a_band_anywhere(make_raster: Callable[..., Path]) -> None:
    path = make_raster(np.full((3, *SHAPE), 255, np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.alpha, ColorInterp.undefined]
    assert open_raster(path).bands == (1, 3)


def test_a_pixel_that_an_internal_mask_hides_is_not_valid(make_raster: Callable[..., Path]) -> None:
    expected = np.random.default_rng(0).random(SHAPE) < 0.7
    raster = open_raster(make_raster(numbers(3, "uint8"), valid=expected))
    image, valid = raster.read(whole(raster))
    np.testing.assert_array_equal(valid, expected)
    assert not image[:, ~expected].any()


@pytest.mark.parametrize("nodata", [None, np.nan, -1.0])
def test_a_pixel_with_any_band_that_is_not_finite_is_not_valid(
    make_raster: Callable[..., Path], nodata: float | None
) -> None:
    values = numbers(3, "float32")
    values[1, 0, 0], values[2, 1, 1], values[:, 2, 2] = np.nan, np.inf, np.nan
    raster = open_raster(make_raster(values, nodata=nodata))
    image, valid = raster.read(whole(raster))
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert np.isfinite(image).all()


def write_landsat(make_raster: Callable[..., Path]) -> tuple[NDArray[np.int16], Path]:
    """Write three bands and an Fmask, 4 is cloud and 255 is fill; under both the bands go through the roof."""
    values = np.concatenate([numbers(3, "int16"), np.zeros((1, *SHAPE), np.int16)])
    for value, place in ((4, np.s_[2:6, 3:9]), (255, np.s_[:, 25:]), (1, np.s_[10:, :4])):
        values[3][place] = value
    values[:3, values[3] > 1] = 16_000
    path = make_raster(values, nodata=-9999)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("red", "nir", "swir", "Fmask")
    return values, path


def source_of(*paths: Path, mask: Path | None = None) -> Source:
    return Source(name="scene", paths=tuple(map(str, paths)), mask=str(mask) if mask else None)


@pytest.mark.parametrize("mask_band", ["fmask", 4])
def test_a_band_of_the_raster_itself_can_be_the_mask_and_is_no_band_of_the_image(
    make_raster: Callable[..., Path], mask_band: int | str
) -> None:
    values, path = write_landsat(make_raster)
    raster = open_source(source_of(path), mask_band=mask_band, mask_values=[2, 4, 255])
    clear = values[3] <= 1
    image, valid = raster.read_stored(whole(raster))
    assert (raster.bands, raster.mask_band, raster.has_gaps) == ((1, 2, 3), 4, True)
    np.testing.assert_array_equal(valid, clear)
    np.testing.assert_array_equal(image, np.where(clear, values[:3], 0))
    window = Window(row=4, col=6, n_rows=9, n_cols=22)
    np.testing.assert_array_equal(raster.read(window)[1], clear[window.slices])


def test_without_values_it_is_0_that_a_mask_band_leaves_out(make_raster: Callable[..., Path]) -> None:
    values, path = write_landsat(make_raster)
    raster = open_source(source_of(path), bands=["nir"], mask_band="Fmask")
    assert raster.bands == (2,)
    np.testing.assert_array_equal(raster.read(whole(raster))[1], values[3] != 0)


def test_what_a_mask_band_leaves_out_does_not_stretch_the_scaling(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    _, path = write_landsat(make_raster)
    raster = open_source(source_of(path), mask_band="Fmask", mask_values=[4, 255])
    cloudy = scaling_of([open_raster(path, bands=[1, 2, 3])], tmp_path / "cache")
    clear = scaling_of([raster], tmp_path / "cache")
    assert clear is not None
    assert cloudy is not None
    assert max(clear.high) < 250
    assert min(cloudy.high) == 16_000


def test_a_stacked_file_can_be_the_mask_of_the_others(make_raster: Callable[..., Path]) -> None:
    values, _ = write_landsat(make_raster)
    coarse = np.kron(values[3, ::2, ::2], np.ones((2, 2), np.int16))
    paths = [make_raster(values[place : place + 1], name=f"b{place + 1}.tif") for place in range(3)]
    half = make_raster(values[3:, ::2, ::2], name="qa.tif", transform=PLACE @ Affine.scale(2))
    raster = open_source(source_of(paths[0], half, *paths[1:]), mask_band="qa", mask_values=[4, 255])
    image, valid = raster.read(whole(raster))
    assert (raster.bands, raster.mask_band) == ((1, 3, 4), 2)
    np.testing.assert_array_equal(valid, coarse <= 1)
    np.testing.assert_array_equal(image, np.where(valid, values[:3], 0))


def test_a_mask_band_and_its_values_tell_a_raster_from_itself(make_raster: Callable[..., Path]) -> None:
    _, path = write_landsat(make_raster)

    def identity(mask_band: int | str | None = None, mask_values: Sequence[int] = ()) -> str:
        raster = open_source(source_of(path), bands=[1, 2, 3], mask_band=mask_band, mask_values=mask_values)
        return json.dumps(raster.identity())

    plain = json.loads(identity())
    made = {identity(), identity(mask_band=4), identity(mask_band=3), identity(mask_band=4, mask_values=[4, 255])}
    assert len(made) == 4
    assert identity(mask_band="fmask", mask_values=[255, 4]) in made
    assert set(plain) == {"path", "bands", "nodata", "grid", "files"}  # as before there were mask bands


def test_a_mask_band_that_cannot_be_one_is_answered_with_what_there_is(make_raster: Callable[..., Path]) -> None:
    _, path = write_landsat(make_raster)
    with pytest.raises(InputError, match="has no band 'qa'; bands: 1 red, 2 nir, 3 swir, 4 Fmask"):
        open_source(source_of(path), mask_band="qa")
    with pytest.raises(InputError, match=r"scene.tif has a mask already, .*scene.tif; leave out --mask-band 4"):
        open_source(source_of(path, mask=path), mask_band=4)
    alone = make_raster(numbers(1), name="alone.tif")
    with pytest.raises(InputError, match="has no band but its mask; leave out --mask-band 1"):
        open_source(source_of(alone), mask_band=1)
    bytes_of_four = make_raster(numbers(4, "uint8"), name="four.tif")
    with pytest.raises(InputError, match=r"band 4 of .*four.tif is marked as alpha .*-colorinterp_4 undefined '/"):
        open_source(source_of(bytes_of_four), mask_band=4)


# --- what is refused


def test_a_file_that_is_not_there_or_not_a_raster_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"raster {tmp_path / 'missing.tif'} does not exist; check the path"):
        open_raster(tmp_path / "missing.tif")
    (tmp_path / "text.tif").write_text("not a raster")
    with pytest.raises(InputError, match=r"cannot open .*text.tif as a raster: .*; give a raster that gdalinfo reads"):
        open_raster(tmp_path / "text.tif")
    with pytest.raises(InputError, match=f"cannot open {tmp_path} as a raster"):
        open_raster(tmp_path)


def test_a_raster_with_ground_control_points_only_is_answered_with_the_command_that_helps(
    make_raster: Callable[..., Path],
) -> None:
    path = make_raster(numbers(1), name="radar.tif", crs=None)
    corners = [(0, 0, 500_000, 5e6), (0, 30, 500_300, 5e6), (20, 0, 500_000, 4_999_800), (20, 30, 500_300, 4_999_800)]
    points = [GroundControlPoint(row=row, col=col, x=x, y=y) for row, col, x, y in corners]
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.CRS.from_epsg(32633))
    with pytest.raises(
        InputError, match=re.escape(f"run: gdalwarp '{path}' radar.warped.tif and use radar.warped.tif")
    ):
        open_raster(path)


def write_sparse(path: Path, **profile: object) -> Path:
    """Write a header and no pixel."""
    grid = {"count": 1, "dtype": "uint8", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(path, "w", driver="GTiff", sparse_ok=True, **(grid | profile)):
        pass
    return path


def test_a_header_that_declares_more_than_its_bytes_can_hold_is_refused_at_once(tmp_path: Path) -> None:
    path = write_sparse(
        tmp_path / "bomb.tif", width=300_000, height=300_000, tiled=True, blockxsize=4096, blockysize=4096
    )
    started = time.perf_counter()
    with pytest.raises(
        InputError, match=r"bomb.tif declares 300000 x 300000 x 1 values \(83.8 GiB\) in a file of \d+ bytes"
    ):
        open_raster(path)
    assert time.perf_counter() - started < 2


def test_a_block_that_does_not_fit_memory_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    side = 16 * 1500
    path = write_sparse(tmp_path / "block.tif", width=side, height=side, tiled=True, blockxsize=side, blockysize=side)
    with pytest.raises(InputError, match=r"blocks of 549 MiB .* rewrite it with: gdal_translate -of COG '.*block.tif'"):
        open_raster(path)


def test_more_pixels_than_can_be_real_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000">'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(InputError, match="declares 2000000000 x 2000000000 pixels, more than can be real"):
        open_raster(path)


def test_bands_without_end_are_refused_at_once_unless_some_are_chosen(tmp_path: Path) -> None:
    bands = "".join(f'<VRTRasterBand dataType="Byte" band="{number}"/>' for number in range(1, 65_536))
    path = tmp_path / "endless.vrt"
    path.write_text(f'<VRTDataset rasterXSize="32" rasterYSize="32">{bands}</VRTDataset>')
    with pytest.raises(InputError, match=r"65535 bands to be read at once .* choose with --bands"):
        open_raster(path)
    assert open_raster(path, bands=(65_535, 1)).bands == (65_535, 1)


def test_a_transform_without_area_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flat.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><GeoTransform>5, 0, 0, 6, 0, 0</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(InputError, match=r"flat.vrt declares a transform under which pixels have no area"):
        open_raster(path)


def test_an_honest_raster_of_one_colour_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "flat.tif"
    grid = {"width": 17_000, "height": 16_384, "count": 1, "dtype": "uint8", "tiled": True}
    placed = {"crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(path, "w", driver="GTiff", compress="DEFLATE", zlevel=1, **grid, **placed) as dataset:
        rows = np.ones((1, 2048, 17_000), np.uint8)
        for row in range(0, 16_384, 2048):
            dataset.write(rows, window=rasterio.windows.Window(0, row, 17_000, 2048))
    assert path.stat().st_size < 2**28 / 200
    assert open_raster(path).shape == (16_384, 17_000)


def test_a_file_cut_short_says_where_it_cannot_be_read(make_raster: Callable[..., Path]) -> None:
    path = make_raster(np.random.default_rng(0).integers(0, 255, (1, 300, 300)).astype(np.uint8), tiled=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 20_000])
    raster = open_raster(path)
    with pytest.raises(InputError, match=r"cannot read .*scene.tif at row 0, col 0: .* damaged or cut short"):
        raster.read(whole(raster))


READ_ALL = """
import resource, sys
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.tiles import TileGrid
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
for path in sys.argv[1:]:
    try:
        raster = open_raster(path)
        for tile in TileGrid(shape=raster.shape, size=1024):
            raster.read(tile.core)
        print("read", path)
    except InputError as error:
        print("named" if path in str(error) and "\\n" not in str(error) else f"unnamed: {error}", path)
"""


@pytest.mark.shared
def test_every_bad_file_is_read_or_refused_by_name_in_bounded_time_and_memory(shared: Path) -> None:
    paths = sorted(str(path) for path in (shared / "data" / "bad").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *paths], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    verdicts = dict(reversed(line.split(" ", 1)) for line in done.stdout.splitlines())
    assert set(verdicts) == set(paths)
    assert set(verdicts.values()) <= {"read", "named"}, done.stdout
    assert list(verdicts.values()).count("named") >= 14


def test_files_at_which_gdal_or_rasterio_stumble_are_named_or_read(tmp_path: Path) -> None:
    # Found by changing bytes at random: words that are no UTF-8, and a box without end in which GDAL's search for
    # the interleaving of a JPEG 2000 never ends.
    (tmp_path / "words.vrt").write_bytes(b'<VRTDataset rasterXSize="4" rasterYSize="4"><\xff</VRTDataset>')
    place = {"crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(
        tmp_path / "a.jp2", "w", driver="JP2OpenJPEG", width=40, height=30, count=3, dtype="uint8", **place
    ) as dataset:
        dataset.write(np.full((3, 30, 40), 7, np.uint8))
    content = (tmp_path / "a.jp2").read_bytes()
    label = b"\x00\x00\x00\x10lbl gml.dat"
    assert label in content
    (tmp_path / "endless.jp2").write_bytes(content.replace(label, bytes(4) + label[4:]))
    paths = [str(tmp_path / name) for name in ("words.vrt", "a.jp2", "endless.jp2")]
    command = [sys.executable, "-c", READ_ALL, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    verdicts = [line.split()[0] for line in done.stdout.splitlines()]
    assert verdicts == ["named", "read", "read"]


@pytest.mark.shared
def test_every_good_raster_is_read_as_rasterio_reads_it(shared: Path) -> None:
    paths = [*(shared / "data" / "rasters").glob("*.tif"), *(shared / "data" / "sparse").glob("*stack.gtif")]
    assert len(paths) >= 14
    for path in sorted(paths):
        if path.name == "cog_gcps.tif":
            with pytest.raises(InputError, match="ground control points only; run: gdalwarp"):
                open_raster(path)
            continue
        raster = open_raster(path)
        for tile in list(TileGrid(shape=raster.shape, size=512))[:2]:
            image, valid = raster.read(tile.core)
            with rasterio.open(path) as dataset:
                stored = dataset.read(
                    raster.bands, window=((0, tile.core.n_rows), (tile.core.col, tile.core.col + tile.core.n_cols))
                )
                masks = dataset.read_masks(
                    raster.bands, window=((0, tile.core.n_rows), (tile.core.col, tile.core.col + tile.core.n_cols))
                )
            expected = np.where(masks > 0, stored.astype(np.float32), np.nan)
            np.testing.assert_array_equal(image[:, valid], expected[:, valid])
