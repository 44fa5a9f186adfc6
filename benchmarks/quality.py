"""How well do superpixels follow what people drew? Algorithms against the masks of the aerial images of Dubai.

    python benchmarks/quality.py PATH/TO/dubai --algorithms slic,snic,hers [--n-segments 300] [--long-side 450]
        [--tiles 5,6] [--parameter hers.sigma=0.1]

The data set is that of `examples/dubai.py`. Every image is made smaller (its mask by nearest), scaled by its own
percentiles and superpixelized whole. Prints means over the images: the number of superpixels, how many ids are not one
region, achievable segmentation accuracy (ASA), boundary recall within 2 pixels (BR), undersegmentation errors of
Neubert and Protzel and of Levinshtein et al. (UE), explained variation (EV) and compactness (CO).
"""

from __future__ import annotations

import argparse
import math
import tomllib
from pathlib import Path

import numpy as np

from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.tables import read_class_table
from superpoint.cache.views import View, read_mask_view, read_view
from superpoint.pipelines.compare import Scene, judge, make_algorithms
from superpoint.scaling import measure_scaling
from superpoint.superpixels.algorithm import Origin

CLASSES = Path(__file__).parents[1] / "examples" / "dubai-classes.toml"
COLUMNS = {
    "superpixels": ("n_superpixels", ".1f"),
    "disconnected": ("disconnected", ".1f"),
    "ASA": ("asa", ".4f"),
    "BR": ("boundary_recall", ".4f"),
    "UE (NP)": ("undersegmentation", ".4f"),
    "UE (Levin)": ("undersegmentation_levin", ".3f"),
    "EV": ("explained_variation", ".4f"),
    "CO": ("compactness", ".4f"),
}


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    arguments = parse_arguments()
    images = images_of(arguments.data, arguments.tiles)
    if not images:
        raise SystemExit(f"{arguments.data} holds no Tile N/images/*.jpg of these tiles; give the data set's folder")
    scenes = [read_scene(image, arguments.long_side) for image in images]
    facts: dict[str, list[dict[str, float | None]]] = {name: [] for name in arguments.algorithms}
    for scene in scenes:
        region_size = math.sqrt(scene.valid.size / arguments.n_segments)
        for algorithm in make_algorithms(arguments.algorithms, arguments.parameter, region_size):
            labels = algorithm(
                scene.image, scene.valid, origin=Origin(raster_shape=scene.shape), rng=np.random.default_rng(0)
            )
            facts[algorithm.name].append(judge(labels, scene))
    tiles = ", ".join(map(str, arguments.tiles))
    print(f"{len(scenes)} images of tiles {tiles}, long side {arguments.long_side}, {arguments.n_segments} segments\n")
    print(f"| algorithm | {' | '.join(COLUMNS)} |")
    print(f"|---|{'---:|' * len(COLUMNS)}")
    for name, rows in facts.items():
        means = (format(mean([row[key] for row in rows]), digits) for key, digits in COLUMNS.values())
        print(f"| {name} | {' | '.join(means)} |")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Superpixels against the masks of the aerial images of Dubai.")
    parser.add_argument("data", type=Path, help="folder with Tile 1, Tile 2, ...")
    parser.add_argument("--algorithms", type=lambda text: text.split(","), default=["slic"])
    parser.add_argument("--n-segments", type=int, default=300, help="superpixels asked for in each image")
    parser.add_argument("--long-side", type=int, default=450, help="pixels of the longer side of each image")
    parser.add_argument("--tiles", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 3, 4, 5, 6])
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="ALGORITHM.NAME=VALUE", help="may be repeated"
    )
    arguments = parser.parse_args()
    arguments.parameter = dict(map(read_parameter, arguments.parameter))
    return arguments


def read_parameter(text: str) -> tuple[str, object]:
    """Read NAME=VALUE; a value that is no TOML is a word."""
    name, _, value = text.partition("=")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def images_of(data: Path, tiles: list[int]) -> list[Path]:
    """List the images of the tiles."""
    return [image for tile in tiles for image in sorted((data / f"Tile {tile}" / "images").glob("*.jpg"))]


def read_scene(path: Path, long_side: int) -> Scene:
    """Read an image and its mask, both made smaller."""
    raster = open_raster(path)
    view = View.of(raster.shape, long_side=long_side)
    image, valid = read_view(raster, view)
    scaling = measure_scaling(lambda: [(image, valid)], n_bands=len(image), dtype=str(image.dtype))
    mask = open_mask(path.parents[1] / "masks" / f"{path.stem}.png", read_class_table(CLASSES))
    return Scene(image=scaling.apply(image, valid), valid=valid, truth=read_mask_view(mask, view))


def mean(values: list[float | None]) -> float:
    """Return the mean of what could be measured."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


if __name__ == "__main__":
    main()
