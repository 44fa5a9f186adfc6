"""From a GeoTIFF and a file of points to a map, step by step.

    python examples/points_to_map.py ortho.tif points.gpkg --class-column landuse --out runs/ortho

The points may be in any CRS. `superpoint demo` makes such files to try it on:

    superpoint demo
    python examples/points_to_map.py superpoint-demo/scene.tif superpoint-demo/points.gpkg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import superpoint as sp


def main() -> None:
    """Take the steps one by one, and say what each one made."""
    parser = argparse.ArgumentParser(description="From a GeoTIFF and a file of points to a map.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("points", type=Path)
    parser.add_argument("--class-column", default="class")
    parser.add_argument("--out", type=Path, default=Path("runs/points-to-map"))
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--patch", type=int, default=128)
    arguments = parser.parse_args()
    out: Path = arguments.out

    # 1. Superpixels, and the vote of the points in them. The label map and the pseudo-mask are kept in the cache:
    #    with another points file, or another rule for ties, the superpixels are not computed again.
    (mask,) = sp.label(
        sp.LabelSettings(
            rasters=[arguments.raster],
            points=arguments.points,
            class_column=arguments.class_column,
            region_size=16,
            output=out / "pseudo-mask.tif",
            overwrite=True,
        )
    )
    account = ", ".join(f"{count} {state}" for state, count in mask.points.items() if count)
    print(f"{mask.label_map.n_superpixels} superpixels; points: {account}; {mask.coverage:.1%} of the pixels labelled")

    # 2. A network that learns from the labelled pixels only.
    training = sp.train(
        sp.TrainSettings(
            raster=[arguments.raster],
            labels=[Path(mask.path)],
            out=out / "model",
            encoder=arguments.encoder,
            epochs=arguments.epochs,
            patch=arguments.patch,
            overwrite=True,
        )
    )
    print(f"{training.n_patches} patches, last loss {training.history[-1]['train_loss']:.4f}")

    # 3. The map: a Cloud-Optimized GeoTIFF with the classes' colours, for QGIS.
    (made,) = sp.predict(
        sp.PredictSettings(
            checkpoint=Path(training.checkpoint),
            rasters=[arguments.raster],
            output=out / "map.tif",
            overwrite=True,
        )
    )
    print(f"{made.output}: " + ", ".join(f"{name} {count}" for name, count in made.class_pixels.items()))


if __name__ == "__main__":
    main()
