"""Stitch the nine parts of a tile of the Dubai data set to one GeoTIFF, a real large aerial image.

    python benchmarks/stitch.py PATH/TO/dubai 5 tile5.tif

The parts are a row-major 3 x 3 cut whose sizes differ by a pixel. The data set has no georeference: the one
written (EPSG:32640, 0.3 m) only has the right city and about the right pixel.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

warnings.simplefilter("ignore", NotGeoreferencedWarning)


def main() -> None:
    """Read the parts, put them together, and write them."""
    parser = argparse.ArgumentParser(description="Stitch a tile of the Dubai data set to one GeoTIFF.")
    parser.add_argument("data", type=Path)
    parser.add_argument("tile", type=int)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    parts = [read(path) for path in sorted((arguments.data / f"Tile {arguments.tile}" / "images").glob("*.jpg"))]
    image = join([join(parts[first : first + 3], axis=2) for first in (0, 3, 6)], axis=1)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": image.shape[1], "width": image.shape[2]}
    place = {"crs": "EPSG:32640", "transform": rasterio.transform.from_origin(325_000, 2_790_000, 0.3, 0.3)}
    with rasterio.open(arguments.output, "w", **profile, **place, tiled=True, compress="deflate") as dataset:
        dataset.write(image)


def read(path: Path) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Read an image as (band, row, col)."""
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def join(
    images: list[np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]], *, axis: int
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Put images side by side along an axis, cut to the smallest of them along the other."""
    other = 3 - axis
    size = min(image.shape[other] for image in images)
    return np.concatenate([np.take(image, range(size), axis=other) for image in images], axis=axis)


if __name__ == "__main__":
    main()
