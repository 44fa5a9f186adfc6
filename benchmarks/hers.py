"""HERS: what a hierarchy costs, and what its graph and its sigma buy.

    python benchmarks/hers.py RASTER [--sizes 512,1024,2048,4096] [--repeats 5]
    python benchmarks/hers.py RASTER --sizes 512 --dubai PATH/TO/dubai

The first prints, for the raster's corner of each size (mirrored where the raster is smaller): megapixels a second of
one core's time for affinities, hierarchy and one cut, medians of runs in turn; the most memory held at a time, per
pixel, the image included, in a process of its own; and the time of a cut alone. The second adds scores of
300 superpixels on the aerial images of Dubai, read as by `quality.py`, for 4- and 8-connected graphs and some sigmas.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from quality import images_of, read_scene

from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import scaling_of
from superpoint.pipelines.settings import default_cache
from superpoint.superpixels.affinity import gaussian_weights
from superpoint.superpixels.hers import Hers
from superpoint.superpixels.hierarchy import Hierarchy, build_hierarchy
from superpoint.superpixels.quality import (
    achievable_segmentation_accuracy,
    boundary_recall,
    undersegmentation_error,
)
from superpoint.tiles import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.pipelines.compare import Scene

SIGMAS = (0.02, 0.05, 0.1)
N_SEGMENTS = 300
LONG_SIDE = 450


def main() -> None:
    """Run the benchmark and print Markdown tables."""
    parser = argparse.ArgumentParser(description="Speed, memory and quality of HERS.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dubai", type=Path, help="folder with Tile 1, Tile 2, ...")
    arguments = parser.parse_args()
    print_costs(arguments.raster, arguments.sizes, arguments.repeats)
    if arguments.dubai:
        print_quality([read_scene(path, LONG_SIDE) for path in images_of(arguments.dubai, [1, 2, 3, 4, 5, 6])])


def print_costs(raster: Path, sizes: list[int], repeats: int) -> None:
    """Print speed and memory at each size."""
    image = read_square(raster, max(sizes))
    timed: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    time_once(image[:, :64, :64])  # compiles
    for _, size in product(range(repeats), sizes):
        timed[size].append(time_once(image[:, :size, :size]))
    del image
    print("| pixels | Mpx/s | bytes per pixel | ms a cut |\n|---|---:|---:|---:|")
    for size in sizes:
        seconds, cut_seconds = (statistics.median(times) for times in zip(*timed[size], strict=True))
        peak = in_new_process(raster, size)
        print(f"| {size} x {size} | {size**2 / seconds / 1e6:.2f} | {peak / size**2:.0f} | {cut_seconds * 1e3:.1f} |")


def read_square(path: Path, size: int) -> NDArray[np.float32]:
    """Read the scaled corner of a raster, mirrored to the size where it is smaller."""
    raster = open_raster(path)
    scaling = scaling_of([raster], default_cache())
    if scaling is None:
        raise SystemExit(f"{path} holds nothing but nodata; give another raster")
    rows, cols = (min(size, length) for length in raster.shape)
    image = scaling.apply(*raster.read(Window(row=0, col=0, n_rows=rows, n_cols=cols)))
    return np.pad(image, ((0, 0), (0, size - rows), (0, size - cols)), mode="symmetric")


def time_once(image: NDArray[np.float32]) -> tuple[float, float]:
    """Return the seconds of one core's time that a hierarchy with one cut takes, and those of the cut."""
    image = np.ascontiguousarray(image)
    valid = np.ones(image.shape[1:], bool)
    started = time.thread_time()
    hierarchy = Hers().hierarchy(image, valid)
    built = time.thread_time()
    hierarchy.cut(region_size=20)
    ended = time.thread_time()
    return ended - started, ended - built


def in_new_process(raster: Path, size: int) -> int:
    """Return the bytes that `measure_peak` finds in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measure_peak, (raster, size))


def measure_peak(raster: Path, size: int) -> int:
    """Return the most bytes that image and hierarchy take together (Linux)."""
    time_once(np.random.default_rng(0).random((3, 64, 64), np.float32))  # what kernels take for themselves
    read_square(raster, 64)  # and what reading does
    before = kept_bytes("VmRSS")
    image = read_square(raster, size)
    valid = np.ones(image.shape[1:], bool)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    Hers().hierarchy(image, valid).cut(region_size=20)
    return kept_bytes("VmHWM") - before


def kept_bytes(name: str) -> int:
    """Return a line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def print_quality(scenes: list[Scene]) -> None:
    """Print means over the images for each graph and sigma."""
    print(f"\n{len(scenes)} images, {N_SEGMENTS} superpixels\n")
    print("| graph | sigma | ASA | BR | UE (NP) |\n|---|---:|---:|---:|---:|")
    for connectivity, sigma in product((8, 4), SIGMAS):
        scores = np.array([judge(scene, connectivity, sigma) for scene in scenes])
        asa, recall, error = (math.fsum(column) / len(scenes) for column in scores.T)
        print(f"| {connectivity}-connected | {sigma} | {asa:.4f} | {recall:.4f} | {error:.4f} |")


def judge(scene: Scene, connectivity: int, sigma: float) -> tuple[float, float, float]:
    """Return ASA, boundary recall and undersegmentation error of one image."""
    if scene.truth is None:
        raise SystemExit("an image has no mask; give the data set's folder")
    weights = gaussian_weights(scene.image, scene.valid, sigma=sigma, connectivity=connectivity)
    hierarchy: Hierarchy = build_hierarchy(scene.image, scene.valid, weights)
    labels = hierarchy.cut(n_segments=N_SEGMENTS)
    return (
        achievable_segmentation_accuracy(labels, scene.truth),
        boundary_recall(labels, scene.truth),
        undersegmentation_error(labels, scene.truth),
    )


if __name__ == "__main__":
    main()
