"""Superpixels to polygons: speed against GDAL with geopandas, and memory by the height of the raster.

    python benchmarks/polygons.py tile5.tif [--region-size 20] [--repeats 5]
    python benchmarks/polygons.py tile5.tif --rows 2048 8192 32768

The first takes the label map of the raster, in memory, through both ways in turn and checks that the polygons are the
same. Theirs is `rasterio.features.shapes` of the whole map, `dissolve`, and the same kind of file, without statistics.
The second measures the peak of memory in processes of their own, beyond what is there when all is loaded, on rasters
2048 wide that repeat a part of the given one and are made tile by tile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from rasterio import features

from superpoint.cache.polygons import write_polygons
from superpoint.cache.rasters import open_raster
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.pieces import label_pieces
from superpoint.superpixels.slic import Slic
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.rasters import Raster

    type Labels = np.ndarray[tuple[int, int], np.dtype[np.uint32]]
    type Bands = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]

SIDE = 2048
FORMATS = (".parquet", ".gpkg")


@dataclass(frozen=True)
class LabelMap:
    """A label map that repeats an array downwards under new ids, read as the cache's groups are."""

    labels: Labels
    georeference: Georeference
    tile_size: int
    path: str = "labels"
    provenance: dict[str, Any] = field(default_factory=dict)

    def read(self, _: str, window: Window) -> Labels:
        """Read a window that lies in one repetition."""
        times, row = divmod(window.row, len(self.labels))
        part = self.labels[replace(window, row=row).slices]
        return np.where(part > 0, part + np.uint32(times * self.labels.max()), np.uint32(0))


@dataclass(frozen=True)
class Image:
    """An image that repeats an array downwards, read as rasters are."""

    values: Bands
    georeference: Georeference
    bands: tuple[int, ...] = (1, 2, 3)
    path: str = "image"

    def read(self, window: Window) -> tuple[Any, Any]:
        """Read a window that lies in one repetition."""
        rows, cols = replace(window, row=window.row % self.values.shape[1]).slices
        return self.values[:, rows, cols].copy(), np.ones(window.shape, np.bool_)


def main() -> None:
    """Run a benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Superpixels to polygons.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--region-size", type=float, default=20.0)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--rows", type=int, nargs="+", help="heights of rasters to measure memory with, multiples of 2048"
    )
    arguments = parser.parse_args()
    raster = open_raster(arguments.raster)
    image, valid = raster.read(Window(row=0, col=0, n_rows=raster.shape[0], n_cols=raster.shape[1]))
    labels = superpixelize_array(image, Slic(region_size=arguments.region_size), valid=valid)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.rows:
            show_memory(arguments, raster.georeference, labels, image, Path(folder))
        else:
            show_speed(arguments, raster, labels, Path(folder))


def show_speed(arguments: argparse.Namespace, raster: Raster, labels: Labels, folder: Path) -> None:
    """Write polygons in both ways, in turn."""
    group: Any = LabelMap(labels, raster.georeference, arguments.tile)
    ways: dict[str, Callable[[Path], object]] = {
        "superpoint, with statistics": lambda path: write_polygons(path, group, raster, overwrite=True),
        "superpoint, polygons alone": lambda path: write_polygons(path, group, None, overwrite=True),
        "rasterio and geopandas": lambda path: write_dissolved(path, labels, raster.georeference),
    }
    seconds: dict[tuple[str, str], list[float]] = {(name, suffix): [] for name in ways for suffix in FORMATS}
    for repeat in range(arguments.repeats + 1):
        for (name, suffix), measured in seconds.items():
            start = time.perf_counter()
            ways[name](folder / f"{name}{suffix}")
            if repeat:  # the first loads what was compiled
                measured.append(time.perf_counter() - start)
    one, other = (gpd.read_parquet(folder / f"{list(ways)[number]}.parquet").set_index("id") for number in (0, 2))
    same = shapely.equals_exact(one.sort_index().normalize(), other.sort_index().normalize(), 1e-9)
    print(f"{len(one)} superpixels on {labels.size / 1e6:.1f} Mpx, {np.mean(same):.1%} the same polygon both ways\n")
    print("| | " + " | ".join(f"{suffix}, s | polygons/s | Mpx/s" for suffix in FORMATS) + " |")
    print("|---|" + "---:|" * 6)
    for name in ways:
        medians = [statistics.median(seconds[name, suffix]) for suffix in FORMATS]
        cells = [f"{median:.2f} | {len(one) / median:,.0f} | {labels.size / 1e6 / median:.1f}" for median in medians]
        print(f"| {name} | {' | '.join(cells)} |")


def write_dissolved(path: Path, labels: Labels, georeference: Georeference) -> None:
    """Write the polygons of a whole label map as one would without superpoint."""
    ids, ranks = np.unique(labels, return_inverse=True)
    found = features.shapes(ranks.astype(np.int32), mask=labels > 0, transform=georeference.affine)
    outlines, numbers = zip(*found, strict=True)
    geometry = [shapely.geometry.shape(outline) for outline in outlines]
    table = gpd.GeoDataFrame({"id": ids[np.array(numbers, int)]}, geometry=geometry, crs=georeference.crs)
    table = table.dissolve("id", as_index=False)
    if path.suffix == ".parquet":
        table.to_parquet(path, compression="zstd")
    else:
        table.to_file(path, driver="GPKG", use_arrow=True)


def show_memory(
    arguments: argparse.Namespace, georeference: Georeference, labels: Labels, image: Bands, folder: Path
) -> None:
    """Measure the peak of memory for each height."""
    part = labels[:SIDE, :SIDE]
    pieces = (label_pieces(part.astype(np.int64), part > 0)[0] + 1).astype(np.uint32)  # a cut may part superpixels
    print("| rows x cols | tile | superpixels | format | peak beyond what is loaded, MiB |\n|---|---|---:|---|---:|")
    for n_rows in arguments.rows:
        grid = replace(georeference, shape=(n_rows, SIDE))
        values = np.ascontiguousarray(image[:, :SIDE, :SIDE])
        for suffix in FORMATS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                given = LabelMap(pieces, grid, arguments.tile), Image(values, grid), folder / f"polygons{suffix}"
                n_polygons, peak = pool.apply(peak_of, given)
            print(f"| {n_rows} x {SIDE} | {arguments.tile} | {n_polygons} | {suffix} | {peak:.0f} |")


def peak_of(group: Any, raster: Any, path: Path) -> tuple[int, float]:  # noqa: ANN401  # stand in for the cache's
    """Return the number of polygons, and the MiB that writing them took at most."""
    grid = replace(group.georeference, shape=(64, 64))
    small = replace(group, labels=np.ones(grid.shape, np.uint32), georeference=grid)
    write_polygons(path, small, replace(raster, georeference=grid), overwrite=True)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what is there now
    loaded = peak_bytes()
    n_polygons = write_polygons(path, group, raster, overwrite=True)
    return n_polygons, (peak_bytes() - loaded) / 2**20


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
