"""Two Landsat scenes, thirty training polygons and their clouds: from stacks to pseudo-masks, and what to question.

    python examples/landsat.py PATH/TO/sparse --out runs/landsat

The folder holds two stacks of 8 bands (`LE7*_stack.gtif`: six of reflectance, temperature, Fmask), the polygons
(`training_data.shp`, class by name in the column `class`) and the same polygons as a raster (`training_data.gtif`,
class by code): data of open-geo-tutorial. `docs/landsat.md` walks through what is printed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

import superpoint as sp
from superpoint.cache.tables import read_class_table
from superpoint.classes import IGNORE
from superpoint.labels.evidence import Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable

CLASSES = Path(__file__).parent / "landsat-classes.toml"
RED, NIR, SWIR, FMASK = 3, 4, 5, 8
FMASK_VALUES = {0: "clear land", 1: "clear water", 2: "cloud shadow", 3: "snow", 4: "cloud", 255: "fill"}
LEFT_OUT = [2, 3, 4, 255]
BANDS: dict[str, list[int | str]] = {
    "all-reflective": [1, 2, 3, 4, 5, 6],
    "red-nir-swir": ["band 3 reflectance", "band 4 reflectance", "band 5 reflectance"],
}


def main() -> None:
    """Label both scenes with two choices of bands, and compare the pseudo-masks with the training data."""
    parser = argparse.ArgumentParser(description="From Landsat stacks and training polygons to pseudo-masks.")
    parser.add_argument("data", type=Path, help="folder with the stacks and the training data")
    parser.add_argument("--out", type=Path, default=Path("runs/landsat"))
    parser.add_argument("--region-size", type=float, default=5, help="side of a superpixel in pixels of 30 m")
    arguments = parser.parse_args()
    scenes = sorted(arguments.data.glob("LE7*_stack.gtif"))
    if not scenes:
        raise SystemExit(f"{arguments.data} holds no LE7*_stack.gtif; give the folder with the Landsat stacks")
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stdout)

    # 1. Look before deciding: which values has Fmask here, and do the classes look alike at both dates?
    table = read_class_table(CLASSES)
    truth = read_training(arguments.data / "training_data.gtif", table)
    for scene in scenes:
        print(f"{scene.name}: {share_of_fmask(scene)}")
        print(f"  NDVI of clear training pixels: {greenness(scene, truth, table)}")

    # 2. One file of polygons for both scenes: every pixel whose centre is inside votes in the superpixel it lies in.
    #    The pixels that Fmask does not call clear have no superpixel, and polygons there are accounted for as such.
    for choice, bands in BANDS.items():
        masks = sp.label(
            sp.LabelSettings(
                rasters=scenes,
                points=[arguments.data / "training_data.shp"],
                geometries="burn",
                class_column="class",
                classes=CLASSES,
                bands=bands,
                mask_band=FMASK,
                mask_values=LEFT_OUT,
                region_size=arguments.region_size,
                output=arguments.out / choice,
                overwrite=True,
            )
        )
        # 3. What came of it, and what is to be questioned.
        for mask in masks:
            print(f"\n{Path(mask.raster).name}, bands {', '.join(map(str, bands))}")
            print(f"  polygons: {', '.join(f'{n} {state}' for state, n in mask.points.items() if n)}")
            print(f"  {mask.label_map.n_superpixels} superpixels, {mask.coverage:.1%} of the clear pixels labelled")
            describe(Path(mask.output or ""), Path(mask.raster), truth, table)


def share_of_fmask(scene: Path) -> str:
    """Say how much of a scene has which value of Fmask."""
    with rasterio.open(scene) as dataset:
        values, counts = np.unique(dataset.read(FMASK), return_counts=True)
    shares = zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True)
    return ", ".join(f"{FMASK_VALUES.get(value, '?')} ({value}) {share:.1%}" for value, share in shares)


def greenness(scene: Path, truth: NDArray[np.uint8], table: ClassTable) -> str:
    """Say how green the training pixels of each class are in a scene, where it is clear."""
    with rasterio.open(scene) as dataset:
        red, nir, fmask = dataset.read([RED, NIR, FMASK]).astype(np.float32)
    ndvi, is_clear = (nir - red) / (nir + red), ~np.isin(fmask, LEFT_OUT)
    means = (ndvi[(truth == one.value) & is_clear].mean() for one in table.classes)
    return ", ".join(f"{name} {mean:.2f}" for name, mean in zip(table.names, means, strict=True))


def read_training(path: Path, table: ClassTable) -> NDArray[np.uint8]:
    """Read the rasterized polygons: codes become class values, 255 where there is no polygon."""
    with rasterio.open(path) as dataset:
        return table.from_codes(np.where(dataset.read_masks(1) > 0, dataset.read(1), IGNORE))


def describe(output: Path, scene: Path, truth: NDArray[np.uint8], table: ClassTable) -> None:
    """Say how pure the superpixels with votes are, and how far the pseudo-mask agrees with the training raster."""
    with rasterio.open(output) as dataset, rasterio.open(output.with_suffix(".evidence.tif")) as evidence:
        mask = dataset.read(1)
        share, votes, flags = evidence.read()
    with rasterio.open(scene) as dataset:
        swir = dataset.read(SWIR) / 10_000
    print("  pixels, and their mean reflectance in band 5 (of those in polygons):")
    for one in table.classes:
        made, drawn = mask == one.value, (truth == one.value) & (mask != IGNORE)
        sizes, means = f"{made.sum()} ({drawn.sum()})", f"{swir[made].mean():.3f} ({swir[drawn].mean():.3f})"
        print(f"    {one.name} {sizes}, {means}")
    voted = votes > 0
    is_conflict = flags.astype(np.uint8) & Flag.CONFLICT > 0
    print(
        f"  of the labelled pixels, {is_conflict[voted].mean():.1%} lie in superpixels with votes for two classes "
        f"and {(votes[voted] == 1).mean():.1%} in those with a single vote; mean vote share {share[voted].mean():.3f}"
    )
    both = (mask != IGNORE) & (truth != IGNORE)
    print(f"  training pixels labelled: {both.sum()} of {(truth != IGNORE).sum()}, ", end="")
    print(f"{(mask == truth)[both].mean():.1%} of them with their own class")
    for theirs, ours in sorted(set(zip(truth[both].tolist(), mask[both].tolist(), strict=True))):
        if theirs != ours:
            n_pixels = np.count_nonzero((truth == theirs) & (mask == ours))
            print(f"    {table.names[theirs]} in the raster, {table.names[ours]} in the pseudo-mask: {n_pixels}")


if __name__ == "__main__":
    main()
