"""Do learned affinities make better superpixels? HERS with Gaussian and with DAL affinities, on images of Dubai.

    python benchmarks/affinity.py PATH/TO/dubai [--tiles 5,6] [--n-segments 300] [--weights FILE]

The data set is that of `examples/dubai.py`; every image is made smaller and scaled as `benchmarks/quality.py` does. The
weights that come with superpoint were trained on tiles 1 to 4. Prints means over the images of achievable
segmentation accuracy (ASA), boundary recall within 2 pixels (BR) and undersegmentation error by Neubert and Protzel
(UE), and the mean difference in each with its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from quality import images_of, read_scene

from superpoint.superpixels.affinity import mean_weights
from superpoint.superpixels.dal import dal_affinities
from superpoint.superpixels.hers import CONNECTIVITY, Hers
from superpoint.superpixels.hierarchy import build_hierarchy
from superpoint.superpixels.quality import achievable_segmentation_accuracy, boundary_recall, undersegmentation_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.pipelines.compare import Scene


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description="HERS with Gaussian and with learned affinities.")
    parser.add_argument("data", type=Path, help="folder with Tile 1, Tile 2, ...")
    parser.add_argument("--tiles", type=lambda text: [int(n) for n in text.split(",")], default=[5, 6])
    parser.add_argument("--n-segments", type=int, default=300)
    parser.add_argument("--long-side", type=int, default=450, help="pixels of the longer side of each image")
    parser.add_argument("--weights", type=Path, help="learned weights instead of those that come with superpoint")
    arguments = parser.parse_args()
    scenes = [read_scene(image, arguments.long_side) for image in images_of(arguments.data, arguments.tiles)]
    if not scenes:
        raise SystemExit(f"{arguments.data} holds no Tile N/images/*.jpg of these tiles; give the data set's folder")
    scores = np.array([compare(scene, arguments) for scene in scenes])  # (image, affinity, measure)
    print(f"{len(scenes)} images of tiles {arguments.tiles}, {arguments.n_segments} superpixels\n")
    print("| affinity | ASA | BR | UE |\n|---|---:|---:|---:|")
    for name, means in zip(("gaussian", "dal"), scores.mean(axis=0), strict=True):
        print(f"| {name} | {' | '.join(f'{mean:.4f}' for mean in means)} |")
    differences = scores[:, 1] - scores[:, 0]  # (image, measure)
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(scenes))
    cells = (f"{mean:+.4f} ± {error:.4f}" for mean, error in zip(differences.mean(axis=0), errors, strict=True))
    print(f"| difference | {' | '.join(cells)} |")
    print(f"\nThe ASA of dal is higher on {(differences[:, 0] > 0).sum()} images of {len(scenes)}.")


def compare(scene: Scene, arguments: argparse.Namespace) -> list[list[float]]:
    """Return the measures of Gaussian and of learned affinities on one image."""
    image, valid = scene.image, scene.valid
    learned = mean_weights(dal_affinities(image, weights=arguments.weights), valid, connectivity=CONNECTIVITY)
    hierarchies = Hers().hierarchy(image, valid), build_hierarchy(image, valid, learned)
    return [judge(hierarchy.cut(n_segments=arguments.n_segments), scene.truth) for hierarchy in hierarchies]


def judge(labels: NDArray[np.uint32], truth: NDArray[np.uint8]) -> list[float]:
    """Return accuracy, recall and error of a label map."""
    measures = achievable_segmentation_accuracy, boundary_recall, undersegmentation_error
    return [measure(labels, truth) for measure in measures]


if __name__ == "__main__":
    main()
