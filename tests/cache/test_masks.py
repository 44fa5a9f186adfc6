from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, TiledGroup, open_group
from superpoint.cache.ledger import TileRecord
from superpoint.cache.masks import CLASSES_TAG, open_mask
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (20, 30)
CLASSES = ClassTable.from_dict(
    {
        "class": [{"name": "building", "color": "#3C1098"}, {"name": "road", "color": "#6EC1E4"}],
        "ignore": ["#000000", "7"],
    }
)
VALUES = np.random.default_rng(0).choice(np.array([0, 1, IGNORE], np.uint8), SHAPE)
COLORS = {0: (0x3C, 0x10, 0x98), 1: (0x6E, 0xC1, 0xE4), IGNORE: (0, 0, 0)}
WINDOW = Window(row=2, col=3, n_rows=11, n_cols=17)


def colored(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    mask = np.zeros((3, *values.shape), np.uint8)
    for pixel, value in np.ndenumerate(values):
        mask[:, *pixel] = COLORS[int(value)]
    return mask


def in_cache(cache: Path, values: NDArray[np.uint8], **provenance: object) -> TiledGroup:
    group = open_group(
        cache,
        kind="pseudo-masks",
        name="scene",
        georeference=Georeference(shape=SHAPE, transform=(10, 0, 0, 0, -10, 0), crs=None),
        tile_size=512,
        arrays={"pseudo_mask": ArraySpec(dtype="uint8", fill_value=IGNORE, long_name="class")},
        provenance=provenance,
    )
    for tile in TileGrid(shape=SHAPE, size=512):
        written = group.write_tile(tile, {"pseudo_mask": values})
        group.ledger.write(TileRecord(tile=tile.name, state="done", attempts=1, seconds=0.1, chunks=written))
    return group


def test_a_pseudo_mask_of_the_cache_brings_its_classes(tmp_path: Path) -> None:
    mask = open_mask(tmp_path / in_cache(tmp_path, VALUES, classes=CLASSES.to_dict()).path)
    assert (mask.kind, mask.classes, mask.shape) == ("group", CLASSES, SHAPE)
    np.testing.assert_array_equal(mask.read(WINDOW), VALUES[WINDOW.slices])


def test_a_label_map_is_not_taken_for_a_mask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a pseudo-mask; give a folder of the cache's pseudo-masks"):
        open_mask(tmp_path / in_cache(tmp_path, VALUES).path)


def test_a_mask_that_superpoint_wrote_brings_its_classes(make_raster: Callable[..., Path]) -> None:
    path = make_raster(VALUES[None], nodata=IGNORE)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{CLASSES_TAG: json.dumps(CLASSES.to_dict())})
        dataset.write_colormap(1, CLASSES.colormap)
    mask = open_mask(path)
    assert (mask.kind, mask.classes) == ("values", CLASSES)
    np.testing.assert_array_equal(mask.read(WINDOW), VALUES[WINDOW.slices])


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", None), ("int16", -9999), ("uint16", 65535), ("float32", -1)])
def test_nodata_of_any_type_is_unlabelled(make_raster: Callable[..., Path], dtype: str, nodata: float | None) -> None:
    values = VALUES.astype(dtype)
    if nodata is not None:
        values[VALUES == IGNORE] = nodata
    mask = open_mask(make_raster(values[None], nodata=nodata), CLASSES)
    found = mask.read(WINDOW)
    np.testing.assert_array_equal(found, VALUES[WINDOW.slices])
    assert found.dtype == np.uint8


def test_colors_become_class_values(make_raster: Callable[..., Path]) -> None:
    mask = open_mask(make_raster(colored(VALUES)), CLASSES)
    assert mask.kind == "colors"
    np.testing.assert_array_equal(mask.read(WINDOW), VALUES[WINDOW.slices])


def test_a_palette_image_becomes_class_values_by_its_colors_not_its_indices(make_raster: Callable[..., Path]) -> None:
    index_of = {0: 9, 1: 4, IGNORE: 0}
    indices = np.vectorize(index_of.__getitem__, otypes=[np.uint8])(VALUES)
    path = make_raster(indices[None], photometric="PALETTE")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {index: COLORS[value] for value, index in index_of.items()})
    mask = open_mask(path, CLASSES)
    assert mask.kind == "palette"
    np.testing.assert_array_equal(mask.read(WINDOW), VALUES[WINDOW.slices])


def test_a_value_listed_as_ignored_is_unlabelled_and_any_other_unknown_one_is_named(
    make_raster: Callable[..., Path],
) -> None:
    values = VALUES.copy()
    values[4, 4] = 7
    path = make_raster(values[None])
    assert open_mask(path, CLASSES).read(WINDOW)[2, 1] == IGNORE
    with rasterio.open(path, "r+") as dataset:
        values[5, 5] = 8
        dataset.write(values, 1)
    with pytest.raises(InputError, match=r"scene.tif: value 8 is not in the class table of 2 classes; add it"):
        open_mask(path, CLASSES).read(WINDOW)


def test_an_unknown_color_is_named_with_its_file(make_raster: Callable[..., Path]) -> None:
    image = colored(VALUES)
    image[:, 5, 5] = (1, 2, 3)
    with pytest.raises(InputError, match=r"scene.tif: color #010203 \(1 pixels\)"):
        open_mask(make_raster(image), CLASSES).read(WINDOW)


def test_a_mask_that_carries_no_table_needs_one(make_raster: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"scene.tif carries no class table; give one with --classes"):
        open_mask(make_raster(VALUES[None]))


def test_a_mask_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("missing.tif", "missing.zarr"):
        with pytest.raises(InputError, match=name):
            open_mask(tmp_path / name, CLASSES)


def test_a_mask_cut_short_says_so(make_raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(0, 2, (1, 300, 300)).astype(np.uint8)
    path = make_raster(values, tiled=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 20_000])
    with pytest.raises(InputError, match=r"cannot read the mask .*scene.tif: .*; get the file again"):
        open_mask(path, CLASSES).read(Window(row=0, col=0, n_rows=300, n_cols=300))


@pytest.mark.shared
def test_palette_and_color_masks_of_real_data_name_the_same_classes(shared: Path) -> None:
    names = ["Building", "Land", "Road", "Vegetation", "Water"]
    palette = ["#3C1098", "#8429F6", "#6EC1E4", "#FEDD3A", "#E2A929"]
    classes = ClassTable.from_dict(
        {
            "class": [{"name": name, "color": color} for name, color in zip(names, palette, strict=True)],
            "ignore": ["#9B9B9B", "#000000"],
        }
    )
    kinds = set()
    for tile in (1, 2, 4):
        path = min((shared / "data" / "dubai" / f"Tile {tile}" / "masks").glob("*.png"))
        mask = open_mask(path, classes)
        kinds.add(mask.kind)
        found = mask.read(Window(row=0, col=0, n_rows=mask.shape[0], n_cols=mask.shape[1]))
        assert set(np.unique(found)) <= {0, 1, 2, 3, 4, IGNORE}
        assert np.mean(found != IGNORE) > 0.5
    assert kinds == {"palette", "colors"}


def test_a_mask_of_codes_is_read_by_the_codes_of_its_table(make_raster: Callable[..., Path]) -> None:
    table = ClassTable.from_names(["road", "water"], codes=[21, 7])
    path = make_raster(np.where(VALUES == 0, 21, np.where(VALUES == 1, 7, 0)).astype(np.uint8)[None], nodata=0)
    mask = open_mask(path, table)
    np.testing.assert_array_equal(mask.read(Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1])), VALUES)
    other = ClassTable.from_names(["road", "water"], codes=[21, 8])
    with pytest.raises(InputError, match=r"value 7 \(\d+ pixels\) is no class's code; known: 21, 8"):
        open_mask(path, other).read(WINDOW)


def test_the_same_classes_in_another_order_are_renumbered_and_others_refused(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    swapped = ClassTable.from_names(["road", "building"])
    path = make_raster(VALUES[None], nodata=IGNORE)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{CLASSES_TAG: json.dumps(CLASSES.to_dict())})
    expected = np.array([1, 0], np.uint8)[np.minimum(VALUES, 1)]
    expected[VALUES == IGNORE] = IGNORE
    for place in (path, tmp_path / in_cache(tmp_path, VALUES, classes=CLASSES.to_dict()).path):
        mask = open_mask(place, swapped)
        assert mask.classes == swapped
        np.testing.assert_array_equal(mask.read(Window(row=0, col=0, n_rows=20, n_cols=30)), expected)
        with pytest.raises(InputError, match="classes building, road, and the table given has road, water"):
            open_mask(place, ClassTable.from_names(["road", "water"]))
