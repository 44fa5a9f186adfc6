"""Can the tile grid be found after joining? Tiled against untiled superpixels on one raster, algorithm by algorithm.

    python benchmarks/joining.py RASTER [--algorithms snic felzenszwalb ...] [--tile 512] [--region-size 20]

Prints a row for joined tiles and one for tiles that are merely cut at their cores' edges. Columns: the number of
superpixels beside the untiled one; the seam ratio beside that of the untiled map on the same lines; the share of
pixels whose superpixel and whose untiled superpixel are each other's best match; boundary agreement, twice the pixel
edges that are boundary in both maps over the sum of those of each; ids in more than one piece; and the time that
joining takes as a share of that of superpixelizing the tiles (of this one run).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import scaling_of
from superpoint.superpixels import algorithm_names, make_algorithm
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.joining import is_joined, join_tiles, number_ids
from superpoint.superpixels.quality import seam_ratio
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

    Labels = NDArray[np.uint32]


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Tiled against untiled superpixels of any algorithm on one raster.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--algorithms", nargs="+", default=[])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--region-size", type=float, default=20.0)
    arguments = parser.parse_args()
    image, valid = read(arguments.raster)
    print(
        "| algorithm | halo | tiles | superpixels | untiled | seam ratio (down, across) | untiled on these lines "
        "| same superpixel | same boundary | ids in pieces | joining |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in arguments.algorithms or algorithm_names():
        if is_joined(make_algorithm(name, {})):
            algorithm = make_algorithm(name, {"region_size": arguments.region_size})
            compare(algorithm, image, valid, tile_size=arguments.tile, region_size=arguments.region_size)


def read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read and scale a whole raster."""
    raster = open_raster(path)
    with tempfile.TemporaryDirectory() as folder:
        scaling = scaling_of([raster], Path(folder))
    if scaling is None:
        raise SystemExit(f"{path} holds nothing but nodata")
    image, valid = raster.read(Window(row=0, col=0, n_rows=raster.shape[0], n_cols=raster.shape[1]))
    return scaling.apply(image, valid), valid


def compare(
    algorithm: SuperpixelAlgorithm,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    tile_size: int,
    region_size: float,
) -> None:
    """Print the two rows of an algorithm."""
    grid = TileGrid(shape=(valid.shape[0], valid.shape[1]), size=tile_size, halo=algorithm.halo())
    run(algorithm, image[:, :64, :64], valid[:64, :64], Origin(raster_shape=(64, 64)), [0])  # compiles
    untiled = run(algorithm, image, valid, Origin(raster_shape=grid.shape), [0])
    started = time.perf_counter()
    found = []
    for tile in grid:
        origin = Origin(row=tile.read.row, col=tile.read.col, raster_shape=grid.shape)
        found.append(run(algorithm, image[:, *tile.read.slices], valid[tile.read.slices], origin, [0, *tile.index]))
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    joined = join_tiles(grid, found, region_size=region_size)
    share = (time.perf_counter() - started) / seconds
    for what, labels, cost in (("joined", joined, f"{share:.0%}"), ("cut", cut(grid, found), "")):
        ours, theirs = seam_ratio(labels, tile_size), seam_ratio(untiled, tile_size)
        same, boundary = agreement(labels, untiled)
        n_ids = count(labels)
        print(
            f"| {algorithm.name} | {grid.halo} | {what} | {n_ids:,} | {count(untiled):,} "
            f"| {ours.down:.2f}, {ours.across:.2f} | {theirs.down:.2f}, {theirs.across:.2f} "
            f"| {same:.1%} | {boundary:.1%} | {int(number_ids(labels).max()) - n_ids} | {cost} |",
            flush=True,
        )


def run(
    algorithm: SuperpixelAlgorithm,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    origin: Origin,
    seed: list[int],
) -> Labels:
    """Superpixelize one window of the raster."""
    return algorithm(
        np.ascontiguousarray(image), np.ascontiguousarray(valid), origin=origin, rng=np.random.default_rng(seed)
    )


def cut(grid: TileGrid, windows: Sequence[Labels]) -> Labels:
    """Put the cores of tiles side by side, with ids of their own."""
    labels = np.zeros(grid.shape, np.int64)
    for number, (tile, found) in enumerate(zip(grid, windows, strict=True)):
        core = found[tile.core.within(tile.read)]
        labels[tile.core.slices] = np.where(core > 0, core.astype(np.int64) + (number << 32), 0)
    ids, ranks = np.unique(labels, return_inverse=True)
    return (ranks.reshape(grid.shape) + (ids[0] != 0)).astype(np.uint32)


def count(labels: Labels) -> int:
    """Count the superpixels of a label map."""
    return int(np.count_nonzero(np.unique(labels)))


def agreement(one: Labels, other: Labels) -> tuple[float, float]:
    """Return the share of pixels of which both superpixels match, and the agreement of boundaries."""
    base = int(other.max()) + 1
    pairs, counts = np.unique(one[one > 0].astype(np.int64) * base + other[one > 0], return_counts=True)
    ids, other_ids = np.divmod(pairs, base)
    best = []
    for names in (ids, other_ids):
        largest = np.zeros(int(names.max()) + 1, np.int64)
        np.maximum.at(largest, names, counts)
        best.append(counts == largest[names])
    edges = [[labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]] for labels in (one, other)]
    both = sum(int(np.count_nonzero(a & b)) for a, b in zip(*edges, strict=True))
    each = sum(int(np.count_nonzero(changes)) for pair in edges for changes in pair)
    return float(counts[best[0] & best[1]].sum() / counts.sum()), 2 * both / each


if __name__ == "__main__":
    main()
