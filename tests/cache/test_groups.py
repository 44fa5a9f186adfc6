from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray  # noqa: F401  # gives data arrays their .rio
import xarray as xr
import zarr
from affine import Affine
from numcodecs import Zstd

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, TiledGroup, chunk_of, load_group, open_group
from superpoint.cache.ledger import TileRecord
from superpoint.errors import InputError
from superpoint.tiles import Tile, TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from superpoint.cache.groups import Check

SHAPE = (100, 150)
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = pyproj.CRS("EPSG:32633").to_wkt("WKT2_2019")
ARRAYS = {"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")}
LABELS = np.random.default_rng(0).integers(0, 2**32, SHAPE, dtype=np.uint32)

# rioxarray multiplies transforms as affine 3 no longer likes.
quiet_rioxarray = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def group_in(cache: Path, **changes: object) -> TiledGroup:
    settings: dict[str, Any] = {
        "kind": "label-maps",
        "name": "scene",
        "georeference": Georeference(shape=SHAPE, transform=tuple(NORTH_UP)[:6], crs=UTM),
        "tile_size": 64,
        "arrays": ARRAYS,
        "provenance": {"source": "scene.tif", "seed": 0},
    }
    return open_group(cache, **(settings | changes))


def write(group: TiledGroup, values: NDArray[Any] = LABELS, name: str = "labels") -> None:
    shape = group.georeference.shape
    for tile in TileGrid(shape=shape, size=group.tile_size):
        group.write_tile(tile, {name: values[tile.core.slices]})


# --- writing


def test_tiles_written_are_read_back_in_any_window(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    write(group)
    for window in (Window(row=0, col=0, n_rows=100, n_cols=150), Window(row=60, col=3, n_rows=9, n_cols=80)):
        np.testing.assert_array_equal(group.read("labels", window), LABELS[window.slices])


def test_a_tile_that_is_not_written_is_nodata(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    group.write_tile(TileGrid(shape=SHAPE, size=64).tile(0, 0), {"labels": LABELS[:64, :64]})
    found = group.read("labels", Window(row=0, col=0, n_rows=100, n_cols=150))
    np.testing.assert_array_equal(found[:64, :64], LABELS[:64, :64])
    assert not found[64:].any()
    assert not found[:, 64:].any()


def test_a_written_tile_is_answered_with_size_and_digest_of_each_chunk_that_is_stored(tmp_path: Path) -> None:
    arrays = {name: ArraySpec(dtype="uint8", fill_value=0, long_name=name) for name in ("b", "a")}
    group = group_in(tmp_path, arrays=arrays)
    tile = TileGrid(shape=SHAPE, size=64).tile(1, 2)
    a, b = np.full(tile.core.shape, 1, np.uint8), np.zeros(tile.core.shape, np.uint8)
    content = (Path(group.path) / "a/c/1/2").read_bytes() if group.write_tile(tile, {"b": b, "a": a}) else b""
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert group.write_tile(tile, {"b": b, "a": a}) == {"a/c/1/2": (len(content), expected)}
    assert not (Path(group.path) / "b/c").exists()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_chunks_are_those_of_zarr_itself_to_every_reader(tmp_path: Path, dtype: str) -> None:
    values = (LABELS % 200).astype(dtype)
    values[:64, 64:128] = 0  # a chunk of nothing but fill value
    spec = {"values": ArraySpec(dtype=dtype, fill_value=0, long_name="values")}
    ours, theirs = group_in(tmp_path / "ours", arrays=spec), group_in(tmp_path / "theirs", arrays=spec)
    write(ours, values, "values")
    zarr.open_group(theirs.path, mode="r+")["values"][:] = values
    np.testing.assert_array_equal(zarr.open_group(ours.path, mode="r")["values"][:], values)
    chunks = [
        {
            str(file.relative_to(group.path)): Zstd().decode(file.read_bytes())
            for file in Path(group.path).glob("*/c/*/*")
        }
        for group in (ours, theirs)
    ]
    assert chunks[0] == {key: value for key, value in chunks[1].items() if not key.startswith(("x", "y"))}
    assert "values/c/0/1" not in chunks[0]


def test_shards_hold_the_chunks_of_a_tile_and_read_the_same(tmp_path: Path) -> None:
    labels = np.arange(1200 * 1100, dtype=np.uint32).reshape(1200, 1100)
    georeference = Georeference(shape=labels.shape, transform=tuple(NORTH_UP)[:6], crs=UTM)
    group = group_in(tmp_path, georeference=georeference, tile_size=1024, sharding=True)
    write(group, labels)
    array = group.array("labels")
    assert (array.shards, array.chunks) == ((1024, 1024), (512, 512))
    np.testing.assert_array_equal(array[:], labels)
    assert len([file for file in (Path(group.path) / "labels/c").rglob("*") if file.is_file()]) == 4
    assert group.path != group_in(tmp_path, georeference=georeference, tile_size=1024).path


@pytest.mark.parametrize(
    ("core", "sentence"),
    [
        (Window(row=0, col=0, n_rows=32, n_cols=64), "pixels 0 to 32 of 100, chunk 64"),
        (Window(row=32, col=0, n_rows=64, n_cols=64), "pixels 32 to 96 of 100, chunk 64"),
        (Window(row=0, col=64, n_rows=64, n_cols=65), "pixels 64 to 129 of 150, chunk 64"),
        (Window(row=1, col=0, n_rows=99, n_cols=64), "pixels 1 to 100 of 100, chunk 64"),
    ],
)
def test_a_tile_that_does_not_own_whole_chunks_is_refused(tmp_path: Path, core: Window, sentence: str) -> None:
    group = group_in(tmp_path)
    tile = Tile(index=(0, 0), core=core, read=core)
    with pytest.raises(ValueError, match=f"tile 0.0 does not own whole chunks: {sentence}"):
        group.write_tile(tile, {"labels": np.ones(core.shape, np.uint32)})
    assert not group.read("labels", Window(row=0, col=0, n_rows=100, n_cols=150)).any()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("labels", np.ones((64, 63), np.uint32)),
        ("labels", np.ones((64, 64), np.int32)),
        ("x", np.ones((64, 64), np.uint32)),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(tmp_path: Path, name: str, values: NDArray[Any]) -> None:
    group = group_in(tmp_path)
    with pytest.raises(ValueError, match=f"{name} of tile 0.0 is"):
        group.write_tile(TileGrid(shape=SHAPE, size=64).tile(0, 0), {name: values})


@pytest.mark.parametrize(("tile_size", "chunk"), [(512, 512), (1024, 512), (4096, 512), (16, 16), (64, 64), (496, 496)])
def test_a_tile_is_made_of_whole_chunks(tile_size: int, chunk: int) -> None:
    assert chunk_of(tile_size) == chunk
    assert tile_size % chunk == 0


@pytest.mark.parametrize("tile_size", [-512, 0, 8, 15, 100, 513, 768, 1000])
def test_a_tile_that_no_chunk_divides_is_refused(tile_size: int) -> None:
    with pytest.raises(InputError, match=f"tile must be a multiple of 512 pixels .*, got {tile_size}"):
        chunk_of(tile_size)


def test_a_raster_smaller_than_a_chunk_is_one_chunk(tmp_path: Path) -> None:
    georeference = Georeference(shape=(3, 5), transform=tuple(NORTH_UP)[:6], crs=UTM)
    group = group_in(tmp_path, georeference=georeference, tile_size=1024)
    write(group, LABELS[:3, :5])
    np.testing.assert_array_equal(group.array("labels")[:], LABELS[:3, :5])
    assert group.array("labels").chunks == (3, 5)


# --- the key


def test_the_same_provenance_is_the_same_folder_and_keeps_its_tiles(tmp_path: Path) -> None:
    write(group_in(tmp_path))
    again = group_in(tmp_path, provenance={"seed": 0, "source": "scene.tif"})
    assert again.path == group_in(tmp_path).path
    np.testing.assert_array_equal(again.array("labels")[:], LABELS)


@pytest.mark.parametrize(
    "change", [{"provenance": {"source": "scene.tif", "seed": 1}}, {"tile_size": 128}, {"kind": "pseudo-masks"}]
)
def test_another_provenance_is_another_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    assert group_in(tmp_path).path != group_in(tmp_path, **change).path


def test_a_group_is_loaded_by_its_folder_as_it_was_opened(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    loaded = load_group(group.path)
    assert loaded == group
    assert loaded.provenance == {"layout": 2, "kind": "label-maps", "tile": 64, "source": "scene.tif", "seed": 0}


def test_the_ledger_lies_beside_the_group(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    group.ledger.write(TileRecord(tile="0.0", state="done", attempts=1, seconds=1))
    assert Path(group.path).with_suffix(".ledger").joinpath("0.0.json").exists()
    assert [record.tile for record in load_group(group.path).done()] == ["0.0"]


# --- kills and accidents


def test_a_half_made_group_is_made_whole(tmp_path: Path) -> None:
    path = group_in(tmp_path).path
    shutil.rmtree(path)
    # As if killed while laying out: an array is there, of a shape that is not even right, and nothing else.
    zarr.open_group(path, mode="w").create_array("labels", shape=(7, 7), dtype="float64")
    group = group_in(tmp_path)
    write(group)
    assert load_group(path) == group
    np.testing.assert_array_equal(group.array("labels")[:], LABELS)
    with rasterio.open(path) as dataset:
        assert (dataset.crs.to_epsg(), dataset.transform, dataset.dtypes) == (32633, NORTH_UP, ("uint32",))


def test_an_empty_folder_in_a_groups_place_is_filled(tmp_path: Path) -> None:
    path = group_in(tmp_path).path
    shutil.rmtree(path)
    Path(path).mkdir()
    write(group_in(tmp_path))
    np.testing.assert_array_equal(load_group(path).array("labels")[:], LABELS)


def finished(group: TiledGroup) -> TileGrid:
    """Write all tiles and enter them in the ledger."""
    grid = TileGrid(shape=SHAPE, size=64)
    for tile in grid:
        chunks = group.write_tile(tile, {"labels": LABELS[tile.core.slices]})
        group.ledger.write(TileRecord(tile=tile.name, state="done", attempts=1, seconds=1, chunks=chunks))
    return grid


def test_a_group_that_was_deleted_has_no_tile_done(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    grid = finished(group)
    assert len(list(group_in(tmp_path).done())) == len(grid)
    shutil.rmtree(group.path)
    assert list(group_in(tmp_path).done()) == []


@pytest.mark.parametrize(
    ("damage", "sentence", "check"),
    [
        (lambda file: file.unlink(), "labels/c/0/1 is missing", "sizes"),
        (lambda file: file.write_bytes(file.read_bytes()[:-3]), "labels/c/0/1 has .* bytes instead of", "sizes"),
        (lambda file: file.write_bytes(bytes(len(file.read_bytes()))), "labels/c/0/1 differs", "bytes"),
    ],
)
def test_damage_is_found_named_and_mended_by_writing_again(
    tmp_path: Path, damage: Callable[[Path], object], sentence: str, check: Check
) -> None:
    group = group_in(tmp_path)
    grid = finished(group)
    damage(Path(group.path) / "labels/c/0/1")
    assert sorted({tile.name for tile in grid} - {record.tile for record in group.done(check=check)}) == ["0.1"]
    record = group.ledger.read(grid.tile(0, 1))
    assert record is not None
    (found,) = group.damage(record)
    assert re.match(sentence, found)
    finished(group_in(tmp_path))
    assert len(list(group.done())) == len(grid)
    np.testing.assert_array_equal(group.array("labels")[:], LABELS)


def test_a_damaged_root_or_array_is_mended_by_opening_the_group_and_its_tiles_stay(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    finished(group)
    for name in ("zarr.json", "labels/zarr.json", "x/c/0", "spatial_ref/zarr.json"):
        file = Path(group.path) / name
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        group_in(tmp_path)
        assert file.read_bytes() == whole
    assert len(list(group_in(tmp_path).done())) == 6


@pytest.mark.parametrize("nested", ["", "deeper/still"])
def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, nested: str) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / nested
    with pytest.raises(InputError, match=f"cannot use the cache folder {cache}.*: .*; give another with --cache"):
        group_in(cache)


def test_what_is_no_group_is_refused_by_its_path(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "foreign.zarr"), mode="w")
    (tmp_path / "file.zarr").write_text("")
    (tmp_path / "empty.zarr").mkdir()
    for name in ("missing.zarr", "foreign.zarr", "file.zarr", "empty.zarr"):
        with pytest.raises(InputError, match=f"{name} is not a label map or pseudo-mask of superpoint"):
            load_group(tmp_path / name)


def test_an_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no array 'votes'; delete the folder and run again"):
        group_in(tmp_path).array("votes")


# --- other readers


@pytest.mark.parametrize(
    ("transform", "code"),
    [
        (NORTH_UP, 32633),
        (Affine(0.0001, 0, 11.5, 0, -0.0001, 47.25), 4326),
        (Affine(5, 0, -300_000.5, 0, 5, -7), 3035),
    ],
)
def test_gdal_sees_the_grid_by_the_folder_and_by_the_arrays_name(tmp_path: Path, transform: Affine, code: int) -> None:
    georeference = Georeference(
        shape=SHAPE, transform=tuple(transform)[:6], crs=pyproj.CRS.from_epsg(code).to_wkt("WKT2_2019")
    )
    group = group_in(tmp_path, georeference=georeference)
    write(group)
    for name in (group.path, f'ZARR:"{group.path}":/labels'):
        with rasterio.open(name) as dataset:
            assert dataset.crs.to_epsg() == code
            assert dataset.transform.almost_equals(transform, precision=1e-9)
            assert (dataset.nodata, dataset.dtypes, dataset.count) == (0, ("uint32",), 1)
            np.testing.assert_array_equal(dataset.read(1), LABELS)


@quiet_rioxarray
def test_xarray_sees_whole_numbers_coordinates_and_crs(tmp_path: Path) -> None:
    group = group_in(tmp_path)
    write(group)
    with xr.open_zarr(group.path) as dataset:
        assert dataset.labels.dtype == np.uint32
        np.testing.assert_array_equal(dataset.labels, LABELS)
        assert dataset.labels.dims == ("y", "x")
        np.testing.assert_array_equal(dataset.x, NORTH_UP.c + 10 * (np.arange(150) + 0.5))
        np.testing.assert_array_equal(dataset.y, NORTH_UP.f - 10 * (np.arange(100) + 0.5))
        assert dataset.labels.rio.crs.to_epsg() == 32633
        assert dataset.labels.rio.transform() == NORTH_UP
    with xr.open_zarr(group.path, decode_coords="all") as dataset:
        assert set(dataset.labels.coords) == {"x", "y", "spatial_ref"}


@quiet_rioxarray
def test_xarray_sees_a_rotated_grid_too(tmp_path: Path) -> None:
    rotated = NORTH_UP @ Affine.rotation(30)
    georeference = Georeference(shape=SHAPE, transform=tuple(rotated)[:6], crs=UTM)
    group = group_in(tmp_path, georeference=georeference)
    with xr.open_zarr(group.path, decode_coords="all") as dataset:
        assert dataset.labels.rio.crs.to_epsg() == 32633
        assert dataset.labels.rio.transform().almost_equals(rotated, precision=1e-9)


def test_a_group_without_a_crs_is_read_as_having_none(tmp_path: Path) -> None:
    georeference = Georeference(shape=SHAPE, transform=(1, 0, 0, 0, 1, 0), crs=None)
    group = group_in(tmp_path, georeference=georeference)
    write(group)
    assert load_group(group.path).georeference == georeference
    with xr.open_zarr(group.path) as dataset:
        assert dataset.labels.rio.crs is None
        np.testing.assert_array_equal(dataset.labels, LABELS)


def test_chunks_are_compressed_with_zstd_and_not_sharded(tmp_path: Path) -> None:
    array = group_in(tmp_path).array("labels")
    assert array.shards is None
    assert array.chunks == (64, 64)
    assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec"]
