"""Patches a second out of `LabelledPatches`, in the random order of a training, from files of several kinds.

    python benchmarks/patches.py PATH/TO/dubai [--patch 256] [--seconds 4] [--loaders 0 1 2] [--work FOLDER]

The data set is that of `examples/dubai.py`. `parts` are the JPEG images and PNG masks of tiles 1 to 4 as they were
published, 36 of each; `mosaic` is tile 5 stitched, as a tiled GeoTIFF with a COG of a pseudo-mask; `zarr` the same with
the mask as the cache holds it. Each is read window by window from the files, as a raster is that is too large to be
kept, and with small rasters kept decoded (`superpoint/cache/decoded.py`), from the second pass on. Without loader
processes it is this process's processor time that counts, whatever else the machine does; with some it is the clock,
and they share the cores.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import torch
from stitch import join, read
from torch.utils.data import DataLoader

from superpoint.cache import decoded
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.sources import LabelledRaster
from superpoint.cache.tables import read_class_table
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import LabelSettings
from superpoint.scaling import Scaling
from superpoint.training.dataset import EpochShuffle, LabelledPatches
from superpoint.training.patches import count_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.classes import ClassTable

CLASSES = Path(__file__).parents[1] / "examples" / "dubai-classes.toml"
PLACE = {"crs": "EPSG:32640", "transform": rasterio.transform.from_origin(325_000, 2_790_000, 0.3, 0.3)}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with Tile 1, Tile 2, ...")
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--loaders", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="folder for the mosaic and its mask; kept. [a temporary one]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    classes = read_class_table(CLASSES)
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        kinds = {"parts": parts(given.data, classes), **mosaics(given.data, work, classes)}
        print("| files | loaders | from the files | kept | ratio |\n|---|---:|---:|---:|---:|")
        for (name, sources), loaders in itertools.product(kinds.items(), given.loaders):
            patches = count_labels(sources, n_classes=len(classes), patch_size=given.patch).patches
            items = LabelledPatches(sources, patches, patch_size=given.patch)
            slow, fast = (rate(items, loaders, given.seconds, kept=kept) for kept in (False, True))
            print(f"| {name} | {loaders} | {slow:.0f} | {fast:.0f} | {fast / slow:.1f} |", flush=True)


def rate(items: LabelledPatches, loaders: int, seconds: float, *, kept: bool) -> float:
    """Return patches a second in batches of 8, of this process's own time if it reads them itself."""
    clock = time.perf_counter if loaders else time.process_time
    decoded.KEPT = decoded.RecentlyUsed(decoded.KEPT_BYTES)
    decoded.LARGEST_PIXELS = 2**24 if kept else 0
    order = EpochShuffle(len(items), seed=0, reach_px=items.patch_size // 2)
    loader = DataLoader(items, batch_size=8, sampler=order, num_workers=loaders, persistent_workers=loaders > 0)
    if kept:  # the first pass decodes
        for _ in range(1 + loaders):
            for _ in loader:
                pass
    batches = epochs(loader, order)
    next(batches)
    started, n_patches = clock(), 0
    while clock() - started < seconds:
        n_patches += next(batches)
    return n_patches / (clock() - started)


def epochs(loader: DataLoader[tuple[object, ...]], order: EpochShuffle) -> Iterator[int]:
    """Yield the size of each batch, epoch after epoch."""
    for epoch in itertools.count():
        order.set_epoch(epoch)
        for images, _ in loader:
            yield len(images)


def parts(data: Path, classes: ClassTable) -> list[LabelledRaster]:
    """Return the parts of tiles 1 to 4."""
    images = [path for tile in range(1, 5) for path in sorted((data / f"Tile {tile}" / "images").glob("*.jpg"))]
    return [source(path, path.parents[1] / "masks" / f"{path.stem}.png", classes) for path in images]


def mosaics(data: Path, work: Path, classes: ClassTable) -> dict[str, list[LabelledRaster]]:
    """Return tile 5 with a pseudo-mask as a COG and as a group of the cache."""
    image = stitched(data / "Tile 5" / "images", "*.jpg")
    mask = classes.from_colors(stitched(data / "Tile 5" / "masks", "*.png"))
    raster, points = work / "mosaic.tif", work / "points.csv"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": image.shape[1], "width": image.shape[2]}
    with rasterio.open(raster, "w", **profile, **PLACE, tiled=True, compress="deflate") as dataset:
        dataset.write(image)
    rows, cols = (np.random.default_rng(0).integers(0, length, 500) for length in mask.shape)
    values = mask[rows, cols]
    known = values < len(classes)
    lines = [f"{row},{col},{value}" for row, col, value in zip(rows[known], cols[known], values[known], strict=True)]
    points.write_text("\n".join(["row,col,class", *lines]))
    (made,) = label(
        LabelSettings(
            rasters=[raster], points=points, classes=CLASSES, region_size=40, cache=work / "cache",
            output=work / "pseudo.tif", overwrite=True,
        )
    )  # fmt: skip
    return {
        "mosaic": [source(raster, work / "pseudo.tif", classes)],
        "zarr": [source(raster, Path(made.path), classes)],
    }


def stitched(folder: Path, pattern: str) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return the nine parts of a tile as one image (bands, rows, cols)."""
    images = [read(path) for path in sorted(folder.glob(pattern))]
    return join([join(images[first : first + 3], axis=2) for first in (0, 3, 6)], axis=1)


def source(raster: Path, mask: Path, classes: ClassTable) -> LabelledRaster:
    """Return a raster with its mask, scaled as bytes are."""
    scaling = Scaling(low=(0.0,) * 3, high=(255.0,) * 3)
    return LabelledRaster(raster=open_raster(raster), mask=open_mask(mask, classes), scaling=scaling)


if __name__ == "__main__":
    main()
