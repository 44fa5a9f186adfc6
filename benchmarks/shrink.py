"""Write the Dubai data set smaller: images averaged, masks by nearest, in the same folders.

    python benchmarks/shrink.py PATH/TO/dubai PATH/TO/dubai-half --factor 2

For trainings on machines without a GPU: at half the resolution a patch of 128 pixels sees the ground of one of 256,
and costs a quarter of it.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning

warnings.simplefilter("ignore", NotGeoreferencedWarning)


def main() -> None:
    """Shrink every image and mask of every tile."""
    parser = argparse.ArgumentParser(description="Write the Dubai data set smaller.")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--factor", type=float, default=2.0)
    arguments = parser.parse_args()
    for path in sorted(arguments.data.glob("Tile */*/*")):
        if path.suffix in (".jpg", ".png"):
            written = arguments.output / path.relative_to(arguments.data).with_suffix(".png")
            written.parent.mkdir(parents=True, exist_ok=True)
            shrink(path, written, arguments.factor)


def shrink(path: Path, output: Path, factor: float) -> None:
    """Write one image or mask smaller; the colours of a palette are written out."""
    is_mask = path.parent.name == "masks"
    with rasterio.open(path) as dataset:
        shape = (round(dataset.height / factor), round(dataset.width / factor))
        how = Resampling.nearest if is_mask else Resampling.average
        pixels = dataset.read(out_shape=(dataset.count, *shape), resampling=how)
        palette = dataset.colormap(1) if dataset.count == 1 else {}
    if palette:
        colors = np.array([palette.get(value, (0, 0, 0))[:3] for value in range(256)], np.uint8)
        pixels = np.moveaxis(colors[pixels[0]], -1, 0)
    profile = {"driver": "PNG", "dtype": "uint8", "count": 3, "height": shape[0], "width": shape[1]}
    with rasterio.open(output, "w", **profile) as dataset:
        dataset.write(pixels[:3])


if __name__ == "__main__":
    main()
