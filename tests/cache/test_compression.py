"""How small label maps and pseudo-masks are stored, and that no code of ours is needed to read them."""

from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import zarr

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, TiledGroup, open_group
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.slic import Slic
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ARRAYS = {
    "labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id"),
    "pseudo_mask": ArraySpec(dtype="uint8", fill_value=255, long_name="class"),
    "vote_share": ArraySpec(dtype="float32", fill_value=0, long_name="share"),
    "votes": ArraySpec(dtype="uint16", fill_value=0, long_name="number of votes"),
}
STITCH = Path(__file__).parents[2] / "benchmarks" / "stitch.py"


@pytest.fixture(scope="module")
def arrays() -> dict[str, NDArray[Any]]:
    """Superpixels of stripes under noise, and what votes would make of them: constant over each superpixel."""
    rng = np.random.default_rng(0)
    rows, cols = np.indices((1100, 700))
    image = 128 + 60 * np.sin(rows / 23 + cols / 41) + rng.normal(0, 15, (3, *rows.shape))
    labels = superpixelize_array(image.clip(0, 255).astype(np.uint8), Slic(region_size=20))
    labels[200:300, 100:600] = 0
    votes = rng.integers(0, 4, labels.max() + 1).astype(np.uint16)
    classes = np.where(votes > 0, rng.integers(0, 6, len(votes)), 255).astype(np.uint8)
    shares = (rng.integers(0, 4, len(votes)) / 3).astype(np.float32)
    return {"labels": labels, "pseudo_mask": classes[labels], "vote_share": shares[labels], "votes": votes[labels]}


def stored(cache: Path, arrays: Mapping[str, NDArray[Any]], *, threads: int = 1) -> TiledGroup:
    """Write arrays of one shape to a cache, in tiles of 512."""
    shape = arrays["labels"].shape
    group = open_group(
        cache,
        kind="label-maps",
        name="scene",
        georeference=Georeference(shape=shape, transform=(1, 0, 0, 0, -1, 0), crs=None),
        tile_size=512,
        arrays={name: ARRAYS[name] for name in arrays},
        provenance={},
    )
    with ThreadPoolExecutor(threads) as pool:
        cut = [
            (tile, {name: values[tile.core.slices] for name, values in arrays.items()})
            for tile in TileGrid(shape=shape, size=group.tile_size)
        ]
        list(pool.map(lambda each: group.write_tile(*each), cut))
    return group


def chunks_of(group: TiledGroup, name: str = "") -> dict[str, bytes]:
    folder = Path(group.path)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and path.name != "zarr.json" and path.parts[len(folder.parts)] in ARRAYS
    }


@pytest.mark.shared
def test_a_label_map_of_dubai_takes_less_than_nine_tenths_of_a_bit_per_pixel(shared: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("stitch", STITCH)
    assert spec is not None
    assert spec.loader is not None
    stitch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stitch)
    parts = [stitch.read(path) for path in sorted((shared / "data/dubai/Tile 5/images").glob("*.jpg"))]
    image = stitch.join([stitch.join(parts[first : first + 3], axis=2) for first in (0, 3, 6)], axis=1)
    labels = superpixelize_array(image, Slic(region_size=20))
    n_bytes = sum(map(len, chunks_of(stored(tmp_path, {"labels": labels})).values()))
    assert n_bytes * 8 / labels.size <= 0.9


def test_what_votes_make_of_a_label_map_is_smaller_still(tmp_path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    group = stored(tmp_path, arrays)
    sizes = {name: sum(map(len, chunks_of(group, name).values())) for name in arrays}
    assert max(sizes["pseudo_mask"], sizes["votes"], sizes["vote_share"]) < sizes["labels"]


def test_zarr_reads_every_array_with_codecs_of_its_own(tmp_path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    group = stored(tmp_path, arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(zarr.open_group(group.path, mode="r")[name], values)
        metadata = json.loads((Path(group.path) / name / "zarr.json").read_text())
        assert [codec["name"] for codec in metadata["codecs"]] == ["bytes", "zstd"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_reads_every_array(tmp_path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    group = stored(tmp_path, arrays)
    for name, values in arrays.items():
        with rasterio.open(f'ZARR:"{group.path}":/{name}') as dataset:
            np.testing.assert_array_equal(dataset.read(1), values)
            assert dataset.nodata == ARRAYS[name].fill_value


def test_chunks_have_the_same_bytes_however_many_threads_write_them(
    tmp_path: Path, arrays: dict[str, NDArray[Any]]
) -> None:
    expected = chunks_of(stored(tmp_path / "one", arrays))
    assert len(expected) == 4 * 6
    with zarr.config.set({"threading.max_workers": 8, "async.concurrency": 8}):
        assert chunks_of(stored(tmp_path / "many", arrays, threads=8)) == expected


def test_a_chunk_of_nodata_is_not_stored(tmp_path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    labels = arrays["labels"].copy()
    labels[:512, :512] = 0
    assert "labels/c/0/0" not in chunks_of(stored(tmp_path, {"labels": labels}))
