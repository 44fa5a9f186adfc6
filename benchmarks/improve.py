"""What do label steps buy and cost? Pseudo-masks of the aerial images of Dubai before and after each.

    python benchmarks/improve.py PATH/TO/dubai [--tiles 5,6] [--points 10,30,50] [--wrong 0.2] [--search]
    python benchmarks/improve.py --superpixels 1000000

The data set is that of `examples/dubai.py`; every image is made smaller and scaled as `benchmarks/quality.py` does,
cut into SLIC superpixels, and given as many points of each class; `--wrong` gives a share of them any of the image's
classes. Prints means over the images of accuracy (of the labelled pixels), coverage, and their product, the share of
all pixels that is labelled right. `--search` compares parameters of `propagate` instead. `--superpixels` measures time
and memory on a made-up graph with 10 classes, a hundredth of it labelled.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from quality import images_of, read_scene
from scipy import ndimage

from superpoint.classes import IGNORE
from superpoint.labels.evidence import PseudoLabels
from superpoint.labels.nearest import FillNearest
from superpoint.labels.propagation import Propagate
from superpoint.labels.suspects import RemoveSuspects
from superpoint.points.sample import sample_balanced
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.graph import SuperpixelGraph, graph_of_tile, merge_graphs
from superpoint.superpixels.slic import Slic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.labels.steps import LabelStep
    from superpoint.pipelines.compare import Scene

    Recipe = Sequence[LabelStep]

RECIPES: dict[str, Recipe] = {
    "the vote": (),
    "`remove-suspects`": (RemoveSuspects(),),
    "`fill-nearest`, within 30 pixels": (FillNearest(max_distance=30),),
    "`fill-nearest`": (FillNearest(),),
    "`propagate`, min_confidence 0.9": (Propagate(min_confidence=0.9),),
    "`propagate`, 0.7": (Propagate(min_confidence=0.7),),
    "**`propagate`, 0.5**": (Propagate(),),
    "`propagate`, 0.3": (Propagate(min_confidence=0.3),),
    "`propagate`, 0.1": (Propagate(min_confidence=0.1),),
    "`propagate`, 0": (Propagate(min_confidence=0),),
    "`propagate`, 0, leak 0": (Propagate(leak=0, min_confidence=0),),
    "`propagate`, 0.95, leak 0": (Propagate(leak=0, min_confidence=0.95),),
    "`propagate`, then `fill-nearest`": (Propagate(), FillNearest()),
    "`propagate`, seed_weight 0.3": (Propagate(seed_weight=0.3),),
    "`remove-suspects`, then `propagate`": (RemoveSuspects(), Propagate()),
    "`propagate`, then `remove-suspects`": (Propagate(), RemoveSuspects()),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """An image cut into superpixels."""

    graph: SuperpixelGraph
    places: NDArray[np.int64]
    """Place of each pixel's superpixel in the graph, (row, col)."""
    truth: NDArray[np.uint8]
    table: NDArray[np.int64]
    """Pixels of each class, (superpixel, class)."""


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    arguments = parse_arguments()
    if arguments.superpixels:
        measure(round(math.sqrt(arguments.superpixels)))
        return
    cases = [make_case(read_scene(image, 450)) for image in images_of(arguments.data, arguments.tiles)]
    print(
        f"{len(cases)} images of tiles {arguments.tiles}, accuracy / coverage / product, points: {arguments.points}\n"
    )
    recipes = RECIPES if not arguments.search else search()
    votes = [[vote(case, n_points, arguments.wrong) for case in cases] for n_points in arguments.points]
    print("| steps |" + "".join(f" {n_points} points |" for n_points in arguments.points))
    print("|---|" + "---:|" * len(arguments.points))
    for name, steps in recipes.items():
        cells = [judge(cases, before, steps) for before in votes]
        print(f"| {name} | {' | '.join(' / '.join(f'{mean:.3f}' for mean in cell) for cell in cells)} |")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What label steps buy and cost.")
    parser.add_argument("data", type=Path, nargs="?", help="folder with Tile 1, Tile 2, ...")
    numbers = {"type": lambda text: [int(n) for n in text.split(",")]}
    parser.add_argument("--tiles", default=[1, 2, 3, 4, 5, 6], **numbers)
    parser.add_argument("--points", default=[10, 30, 50], **numbers, help="points of each image, as many of each class")
    parser.add_argument("--wrong", type=float, default=0, help="share of the points that get any class of the image")
    parser.add_argument("--search", action="store_true", help="compare parameters of propagate")
    parser.add_argument("--superpixels", type=int, help="measure time and memory on a graph of so many")
    arguments = parser.parse_args()
    if not (arguments.data or arguments.superpixels):
        parser.error("give the data set's folder, or --superpixels")
    return arguments


def search() -> Mapping[str, Recipe]:
    """Return propagation with parameters side by side."""
    grid = product((0.03, 0.04, 0.05), (0, 0.003, 0.01, 0.03), (0, 0.5, 0.8))
    return {"the vote": ()} | {
        f"sigma {sigma}, leak {leak}, min_confidence {least}": (
            Propagate(sigma=sigma, leak=leak, min_confidence=least),
        )
        for sigma, leak, least in grid
    }


def make_case(scene: Scene) -> Case:
    """Cut an image into about 300 superpixels."""
    algorithm = Slic(region_size=math.sqrt(scene.valid.size / 300))
    labels = algorithm(scene.image, scene.valid, origin=Origin(raster_shape=scene.shape), rng=np.random.default_rng(0))
    graph = merge_graphs([graph_of_tile(labels, scene.image)])
    places = np.searchsorted(graph.ids, labels)
    return Case(graph=graph, places=places, truth=scene.truth, table=count(places, scene.truth, len(graph)))


def count(places: NDArray[np.int64], values: NDArray[np.generic], n_superpixels: int) -> NDArray[np.int64]:
    """Count classes in superpixels, (superpixel, class)."""
    flat = np.bincount((places * (IGNORE + 1) + values).ravel(), minlength=n_superpixels * (IGNORE + 1))
    return flat.reshape(n_superpixels, -1)[:, :IGNORE]


def vote(case: Case, n_points: int, wrong: float) -> PseudoLabels:
    """Return the majority vote of points that are right but for a share of them."""
    rng = np.random.default_rng(0)
    points = sample_balanced(case.truth, n_points, rng=rng)
    values = points.values.copy()
    random = rng.random(len(values)) < wrong
    values[random] = rng.choice(np.unique(case.truth[case.truth != IGNORE]), np.count_nonzero(random))
    votes = count(case.places[points.rows, points.cols], values, len(case.graph))
    voted = votes.sum(axis=1) > 0
    votes = votes[voted]
    return PseudoLabels(
        superpixels=case.graph.ids[voted],
        classes=votes.argmax(axis=1).astype(np.uint8),
        shares=(votes.max(axis=1) / votes.sum(axis=1)).astype(np.float32),
        votes=votes.sum(axis=1).astype(np.uint32),
        flags=np.zeros(len(votes), np.uint8),
    )


def judge(cases: Sequence[Case], before: Sequence[PseudoLabels], steps: Recipe) -> NDArray[np.float64]:
    """Return mean accuracy, coverage and their product after some steps."""
    scores = []
    for case, voted in zip(cases, before, strict=True):
        labels = voted
        for step in steps:
            labels = step(labels, case.graph)
        classes = labels.class_of(case.graph.ids)
        known = np.flatnonzero(classes != IGNORE)
        right, covered = case.table[known, classes[known]].sum(), case.table[known].sum()
        scores.append([right / covered, covered / case.table.sum(), right / case.table.sum()])
    return np.mean(scores, axis=0)


def measure(side: int) -> None:
    """Print seconds and memory of each step on a made-up graph in which each superpixel touches six others."""
    graph, labels = make_graph(side)
    print(f"{len(graph):,} superpixels, {len(graph.edges):,} pairs, {len(labels):,} labels\n")
    print("| step | seconds | peak beyond the graph, MB | coverage |\n|---|---:|---:|---:|")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for step in (RemoveSuspects(), FillNearest(), Propagate()):
        started = time.process_time()
        after = step(labels, graph)
        seconds = time.process_time() - started
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        coverage = np.count_nonzero(after.classes != IGNORE) / len(graph)
        print(f"| {step.name} | {seconds:.1f} | {peak:.0f} | {coverage:.3f} |", flush=True)


def make_graph(side: int) -> tuple[SuperpixelGraph, PseudoLabels]:
    """Make superpixels on a lattice, in ten classes that lie in patches, with the labels of a hundredth."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(side, side)), 8).ravel()
    classes = np.searchsorted(np.quantile(smooth, np.linspace(0, 1, 11)[1:-1]), smooth)
    place = np.arange(side**2).reshape(side, side)
    pairs = [(place[:, :-1], place[:, 1:]), (place[:-1], place[1:]), (place[:-1, :-1], place[1:, 1:])]
    edges = np.concatenate([np.stack([one.ravel(), other.ravel()], axis=1) for one, other in pairs])
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    graph = SuperpixelGraph(
        ids=np.arange(1, side**2 + 1, dtype=np.uint32),
        sizes=np.full(side**2, 400),
        centroids=20.0 * np.argwhere(place >= 0) + rng.normal(0, 2, (side**2, 2)),
        means=classes[:, None] * (0.1, 0.05, 0.07) + rng.normal(0, 0.02, (side**2, 3)),
        edges=edges,
        borders=rng.integers(5, 20, len(edges)),
    )
    chosen = np.sort(rng.choice(side**2, side**2 // 100, replace=False))
    return graph, PseudoLabels(
        superpixels=graph.ids[chosen],
        classes=classes[chosen].astype(np.uint8),
        shares=np.ones(len(chosen), np.float32),
        votes=np.ones(len(chosen), np.uint32),
        flags=np.zeros(len(chosen), np.uint8),
    )


if __name__ == "__main__":
    main()
