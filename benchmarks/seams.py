"""Can the tile grid be found in a label map? Tiled against untiled SLIC on one raster.

    python benchmarks/seams.py RASTER [--region-size 20]

Prints, for each tile size and halo: the share of pixels identical to the untiled label map, the seam ratio
beside the untiled map's on the same lines, and the time relative to the untiled run (of this one run).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import superpoint as sp
from superpoint.cache.groups import load_group
from superpoint.superpixels.quality import seam_ratio


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Tiled against untiled SLIC on one raster.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--region-size", type=float, default=20.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compute(arguments, Path(folder), tile=256, halo=0)  # compiles, and measures the scaling
        untiled, seconds = compute(arguments, Path(folder), tile=2**17, halo=0)
        print("| tile | halo | identical pixels | seam ratio (down, across) | untiled on these lines | time |")
        print("|---|---|---|---|---|---|")
        for tile in (512, 1024):
            for halo in (0, "default", "exact"):
                labels, tiled_seconds = compute(arguments, Path(folder), tile=tile, halo=halo)
                ours, theirs = seam_ratio(labels, tile), seam_ratio(untiled, tile)
                print(
                    f"| {tile} | {halo} | {(labels == untiled).mean():.6%} | {ours.down:.4f}, {ours.across:.4f} "
                    f"| {theirs.down:.4f}, {theirs.across:.4f} | {tiled_seconds / seconds:.2f}x |"
                )


def compute(
    arguments: argparse.Namespace, cache: Path, *, tile: int, halo: int | str
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.uint32]], float]:
    """Superpixelize once, and return the labels and the seconds it took."""
    (label_map,) = sp.superpixelize(
        sp.SuperpixelizeSettings.model_validate(
            {
                "rasters": [arguments.raster],
                "region_size": arguments.region_size,
                "tile": tile,
                "halo": halo,
                "cache": cache,
            }
        )
    )
    return np.asarray(load_group(label_map.path).array("labels")[:]), label_map.seconds


if __name__ == "__main__":
    main()
