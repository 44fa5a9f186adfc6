"""Throughput of a real run on two workers against the bare kernel: reading, statistics and writing included.

    python benchmarks/stitch.py PATH/TO/dubai 5 tile5.tif        # and 1, 2, 3, 4, 6
    python benchmarks/archive.py tile1.tif ... tile6.tif --tiles 1024 4096

The kernel is `superpixelize_array` on one core, array in, labels out, on each raster once; the run is `superpixelize`
with two worker processes that have loaded the kernels, from GeoTIFFs to Zarr, ledgers, Items and all. Runs and kernel
take turns; what counts is the median.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio

from superpoint.pipelines.jobs import open_client
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.slic import Slic

if TYPE_CHECKING:
    from distributed import Client

REGION_SIZE = 20


def main() -> None:
    """Print the throughput of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rasters", nargs="+", type=Path)
    parser.add_argument("--tiles", nargs="+", type=int, default=[1024, 4096])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    logging.getLogger("superpoint").setLevel(logging.WARNING)
    kernel_rates: list[float] = []
    run_rates: dict[int, list[float]] = {tile: [] for tile in given.tiles}
    with (
        tempfile.TemporaryDirectory() as folder,
        open_client(f"local:{given.workers}") as client,
    ):
        for repeat in range(given.repeats + 1):  # the first one warms up
            kernel = kernel_mpx_per_s(given.rasters)
            runs = {
                tile: run_mpx_per_s(given.rasters, Path(folder) / f"{repeat}-{tile}", tile, client)
                for tile in given.tiles
            }
            if repeat:
                kernel_rates.append(kernel)
                for tile, rate in runs.items():
                    run_rates[tile].append(rate)
    one = statistics.median(kernel_rates)
    spread = f"{min(kernel_rates):.1f} to {max(kernel_rates):.1f}"
    print(f"kernel, one core: {one:.1f} Mpx/s (median of {given.repeats}, {spread})")
    for tile, rates in run_rates.items():
        rate = statistics.median(rates)
        share = rate / (given.workers * one)
        print(
            f"tile {tile}, {given.workers} workers: {rate:.1f} Mpx/s ({min(rates):.1f} to {max(rates):.1f}), "
            f"{share:.0%} of {given.workers} x the kernel"
        )


def kernel_mpx_per_s(rasters: list[Path]) -> float:
    """Return how fast arrays become labels on one core."""
    seconds = megapixels = 0.0
    for path in rasters:
        with rasterio.open(path) as dataset:
            image = dataset.read()
        started = time.perf_counter()
        superpixelize_array(image, Slic(region_size=REGION_SIZE))
        seconds += time.perf_counter() - started
        megapixels += image.shape[1] * image.shape[2] / 1e6
    return megapixels / seconds


def run_mpx_per_s(rasters: list[Path], cache: Path, tile: int, client: Client | None) -> float:
    """Return how fast GeoTIFFs become label maps in the cache."""
    settings = SuperpixelizeSettings(rasters=rasters, cache=cache, region_size=REGION_SIZE, tile=tile)
    started = time.perf_counter()
    made = superpixelize(settings, client=client)
    seconds = time.perf_counter() - started
    return sum(one.shape[0] * one.shape[1] for one in made) / 1e6 / seconds


if __name__ == "__main__":
    main()
