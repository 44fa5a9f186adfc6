"""What do points make of superpixels? Pseudo-masks of all algorithms from the same points, on images of Dubai.

    python benchmarks/labels.py PATH/TO/dubai [--points 10,30,50] [--n-segments 300] [--long-side 450] [--tiles 1,2]
        [--seeds 5] [--algorithms slic,hers] [--variant hers:affinity=dal]

The data set is that of `examples/dubai.py`; every image is made smaller and scaled as `benchmarks/quality.py` does. Of
each image so many points are drawn from its mask, equally many of each class there, once for all algorithms; the vote
gives each superpixel the class of most of its points, a tie the lowest. Beside the algorithms stands a grid of squares.
Prints, as means over the images, the number of superpixels, and for each number of points the accuracy (right of the
labelled pixels of known truth), the coverage (labelled of all pixels) and how many of all pixels of known truth are
labelled rightly; with standard deviations over the seeds of the points.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from quality import images_of, read_parameter, read_scene

from superpoint.classes import IGNORE
from superpoint.labels.paint import paint
from superpoint.labels.vote import VoteRule, elect, tally_votes
from superpoint.points.sample import sample_balanced
from superpoint.superpixels import algorithm_names, is_installed, load_algorithm, make_algorithm, traits_of
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.pixels import Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.pipelines.compare import Scene
    from superpoint.points.query import QueryPoints

GRID = "grid of squares"
VARIANTS = ["hers:sigma=0.02", "hers:affinity=dal"]  # beside the defaults


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    arguments = parse_arguments()
    images = images_of(arguments.data, arguments.tiles)
    if not images:
        raise SystemExit(f"{arguments.data} holds no Tile N/images/*.jpg of these tiles; give the data set's folder")
    variants = [GRID, *(arguments.algorithms or installed()), *arguments.variant]
    shape = len(images), len(variants), len(arguments.points), arguments.seeds, 3
    scores, sizes = np.empty(shape), np.empty(shape[:2])
    for place, path in enumerate(images):
        scene = read_scene(path, arguments.long_side)
        drawn = [
            [draw(scene, number, (seed, place, number)) for seed in range(arguments.seeds)]
            for number in arguments.points
        ]
        for at, variant in enumerate(variants):
            labels = superpixelize(variant, scene, arguments.n_segments)
            sizes[place, at] = len(np.unique(labels[labels > 0]))
            scores[place, at] = [[judge(labels, points, scene) for points in row] for row in drawn]
    tiles = ", ".join(map(str, arguments.tiles))
    print(f"{len(images)} images of tiles {tiles}, long side {arguments.long_side}, {arguments.n_segments} segments,")
    print(f"{arguments.seeds} draws of points\n")
    print_table(variants, arguments.points, sizes.mean(axis=0), np.nanmean(scores, axis=0))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Pseudo-masks of all algorithms from the same points.")
    parser.add_argument("data", type=Path, help="folder with Tile 1, Tile 2, ...")
    parser.add_argument("--points", type=numbers, default=[10, 30, 50], help="of each image, all classes together")
    parser.add_argument("--n-segments", type=int, default=300, help="superpixels asked for in each image")
    parser.add_argument("--long-side", type=int, default=450, help="pixels of the longer side of each image")
    parser.add_argument("--tiles", type=numbers, default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--seeds", type=int, default=5, help="draws of points")
    parser.add_argument("--algorithms", type=lambda text: text.split(","), help="all that are installed by default")
    parser.add_argument(
        "--variant", action="append", metavar="NAME:PARAMETER=VALUE,...", help="may be repeated; HERS otherwise"
    )
    arguments = parser.parse_args()
    arguments.variant = arguments.variant or VARIANTS
    return arguments


def numbers(text: str) -> list[int]:
    """Read numbers with commas between."""
    return [int(number) for number in text.split(",")]


def installed() -> list[str]:
    """List the algorithms whose packages are there, but for single pixels: their number is not to be chosen."""
    names = [name for name in algorithm_names() if name != Pixels.name]
    return [name for name in names if is_installed(traits_of(load_algorithm(name)))]


def draw(scene: Scene, n_points: int, seed: tuple[int, ...]) -> QueryPoints:
    """Draw an image's points, equally many of each class."""
    return sample_balanced(scene.truth, n_points, rng=np.random.default_rng(seed))


def superpixelize(variant: str, scene: Scene, n_segments: int) -> NDArray[np.uint32]:
    """Superpixelize an image, with an algorithm or without."""
    region_size = math.sqrt(scene.valid.size / n_segments)
    if variant == GRID:
        return squares(scene.shape, region_size)
    name, _, words = variant.partition(":")
    parameters = dict(read_parameter(word) for word in words.split(",") if word)
    algorithm = make_algorithm(name, {"region_size": region_size, **parameters})
    return algorithm(scene.image, scene.valid, origin=Origin(raster_shape=scene.shape), rng=np.random.default_rng(0))


def squares(shape: tuple[int, int], side: float) -> NDArray[np.uint32]:
    """Divide an image into rectangles of equal size, squares nearly."""
    n_rows, n_cols = (round(length / side) for length in shape)
    rows, cols = (np.arange(length) * n // length for length, n in zip(shape, (n_rows, n_cols), strict=True))
    return (rows[:, None] * n_cols + cols + 1).astype(np.uint32)


def judge(labels: NDArray[np.uint32], points: QueryPoints, scene: Scene) -> tuple[float, float, float]:
    """Return accuracy, coverage and the share of rightly labelled pixels of the pseudo-mask of some points."""
    tally = tally_votes(labels[points.rows, points.cols], points.values.astype(np.uint8))
    mask = paint(labels, elect(tally, VoteRule(tie="lowest")))[0]
    is_labelled, is_known = mask != IGNORE, scene.truth != IGNORE
    n_right = np.count_nonzero((mask == scene.truth) & is_known)
    return n_right / np.count_nonzero(is_labelled & is_known), is_labelled.mean(), n_right / np.count_nonzero(is_known)


def print_table(
    variants: list[str], numbers_of_points: list[int], sizes: NDArray[np.float64], scores: NDArray[np.float64]
) -> None:
    """Print a row for each algorithm.

    Parameters
    ----------
    variants : list of str
        What is compared.
    numbers_of_points : list of int
        Points of each image.
    sizes : float64 array of shape (variants,)
        Superpixels of an image.
    scores : float64 array of shape (variants, numbers of points, seeds, 3)
        As of `judge`, means over the images.
    """
    heads = [f"{name}, {number}" for number in numbers_of_points for name in ("accuracy", "coverage", "right")]
    print(f"| superpixels | number | {' | '.join(heads)} |\n|---|---:|{'---:|' * len(heads)}")
    for variant, size, rows in zip(variants, sizes, scores, strict=True):
        means, deviations = rows.mean(axis=1).ravel(), rows.std(axis=1, ddof=min(1, rows.shape[1] - 1)).ravel()
        cells = (f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(means, deviations, strict=True))
        print(f"| {variant} | {size:.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
