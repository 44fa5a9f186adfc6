"""Weak against full labels on the aerial images of Dubai.

The data set "Semantic segmentation of aerial imagery" (Humans in the Loop and MBRSC, CC0) is a folder for each
of its tiles, with `images/image_part_001.jpg ...` and `masks/image_part_001.png ...`. Its tiles are cut out of
nine parts each, so parts of one tile resemble each other: split by tile, never by part.

    python examples/dubai.py PATH/TO/dubai --out runs/dubai --epochs 4

An annotator is simulated who labels a few pixels of each part; superpixels spread the labels; one network
learns from those pseudo-masks and another from the full masks, everything else alike. Both are judged on tiles
that neither has seen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python

import superpoint as sp

CLASSES = Path(__file__).with_name("dubai-classes.toml")


def main() -> None:
    """Run the example and print its table."""
    arguments = parse_arguments()
    out: Path = arguments.out
    train_parts = parts_of(arguments.data, arguments.train_tiles)
    judged_parts = parts_of(arguments.data, arguments.test_tiles)
    masks = label_parts(train_parts, arguments)
    n_points = sum(masks[0].all_points.values())
    print(f"{n_points} points on {len(masks)} parts label {np.mean([m.coverage for m in masks]):.1%} of the pixels")

    images = [image for image, _ in train_parts]
    labels = {"weak": [Path(mask.path) for mask in masks], "full": [mask for _, mask in train_parts]}
    scores = {kind: train_and_judge(kind, images, labels[kind], judged_parts, arguments) for kind in ("weak", "full")}
    for kind, score in scores.items():
        iou = ", ".join(f"{name} {values['iou'] or 0:.3f}" for name, values in score.classes.items())
        print(f"{kind}: mIoU {score.miou:.3f} ({iou})")
    (out / "scores.json").write_text(json.dumps(to_jsonable_python(scores), indent=2))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Weak against full labels on the aerial images of Dubai.")
    parser.add_argument("data", type=Path, help="folder with Tile 1, Tile 2, ...")
    parser.add_argument("--out", type=Path, default=Path("runs/dubai"))
    parser.add_argument("--train-tiles", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--test-tiles", type=int, nargs="+", default=[5, 6])
    parser.add_argument("--n-points", type=int, default=50, help="query points on each part")
    parser.add_argument("--n-segments", type=int, default=300, help="superpixels of each part")
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def parts_of(data: Path, tiles: list[int]) -> list[tuple[Path, Path]]:
    """List image and mask of every part of the tiles."""
    images = [image for tile in tiles for image in sorted((data / f"Tile {tile}" / "images").glob("*.jpg"))]
    return [(image, image.parents[1] / "masks" / f"{image.stem}.png") for image in images]


def label_parts(parts: list[tuple[Path, Path]], arguments: argparse.Namespace) -> list[sp.PseudoMask]:
    """Sample points from the masks, the same number of each class, and turn them into pseudo-masks."""
    images, masks = [image for image, _ in parts], [mask for _, mask in parts]
    points = arguments.out / "points.csv"
    sp.sample(
        sp.SampleSettings(
            masks=masks,
            raster=images,
            classes=CLASSES,
            n_points=arguments.n_points,
            seed=arguments.seed,
            output=points,
            overwrite=True,
        )
    )
    return sp.label(
        sp.LabelSettings(
            rasters=images,
            points=points,
            raster_column="raster",
            classes=CLASSES,
            n_segments=arguments.n_segments,
            cache=arguments.out / "cache",
        )
    )


def train_and_judge(
    kind: str,
    images: list[Path],
    labels: list[Path],
    judged: list[tuple[Path, Path]],
    arguments: argparse.Namespace,
) -> sp.Evaluation:
    """Train on labels of one kind, and judge the network on parts it has not seen."""
    folder = arguments.out / kind
    training = sp.train(
        sp.TrainSettings(
            raster=images,
            labels=labels,
            classes=CLASSES,
            out=folder / "model",
            encoder=arguments.encoder,
            epochs=arguments.epochs,
            patch=arguments.patch,
            seed=arguments.seed,
            cache=arguments.out / "cache",
            overwrite=True,
        )
    )
    maps = []
    for image, _ in judged:
        output = folder / "maps" / f"{image.parents[1].name}-{image.stem}.tif"
        settings = sp.PredictSettings(
            checkpoint=Path(training.checkpoint), rasters=[image], output=output, overwrite=True
        )
        maps += sp.predict(settings)
    return sp.evaluate(
        sp.EvaluateSettings(
            maps=[Path(made.output) for made in maps], truth=[mask for _, mask in judged], classes=CLASSES
        )
    )


if __name__ == "__main__":
    main()
