"""Polygons to learn from and polygons to judge on: what `pipelines/landsat.toml` takes.

    python examples/landsat_polygons.py PATH/TO/sparse --out runs/landsat-polygons

The folder holds a stack of Landsat bands and thirty training polygons (data of open-geo-tutorial, see `landsat.py`).
Polygons are kept whole: pixels of one polygon resemble each other, and a map that is judged on polygons it learned from
is judged too well. The polygons of each class are dealt out at random to two halves. Of each half are written

- `half-1.gpkg`: the polygons,
- `half-1-truth.tif`: the pixels that they cover, as a mask to judge maps by.

Learn from one half and judge by the other, then the other way round.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

import superpoint as sp

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = Path(__file__).with_name("landsat-classes.toml")


def main() -> None:
    """Write both halves, and say what is in them."""
    parser = argparse.ArgumentParser(description="Divide the Landsat training polygons into two halves.")
    parser.add_argument("data", type=Path, help="folder with the stacks and the training data")
    parser.add_argument("--out", type=Path, default=Path("runs/landsat-polygons"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    polygons = gpd.read_file(arguments.data / "training_data.shp")
    half_of = halves(polygons["class"].to_numpy(), np.random.default_rng(arguments.seed))
    for half in (1, 2):
        taken = polygons[half_of == half]
        path = out / f"half-{half}.gpkg"
        taken.to_file(path)
        truth = burn(path, arguments.data, out / f"half-{half}-truth.tif")
        pixels = ", ".join(f"{name} {count}" for name, count in truth.class_pixels.items())
        print(f"{path}: {len(taken)} polygons; pixels of {truth.output}: {pixels}")


def halves(classes: NDArray[np.object_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the polygons of each class out to two halves, 1 and 2; of an odd number the first half gets one more."""
    half_of = np.zeros(len(classes), np.int64)
    for name in sorted(set(classes)):
        places = rng.permutation(np.flatnonzero(classes == name))
        half_of[places] = np.arange(len(places)) % 2 + 1
    return half_of


def burn(polygons: Path, data: Path, output: Path) -> sp.PseudoMask:
    """Write the pixels that polygons cover: a pseudo-mask in which every pixel is a superpixel of its own."""
    return sp.label(
        sp.LabelSettings(
            rasters=[str(min(data.glob("LE7*_stack.gtif")))],
            points=[polygons],
            geometries="burn",
            class_column="class",
            classes=CLASSES,
            algorithm="pixels",
            output=output,
            overwrite=True,
        )
    )[0]


if __name__ == "__main__":
    main()
