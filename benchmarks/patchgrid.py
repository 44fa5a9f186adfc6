"""Can the patches be found in a predicted map? Label changes across the edges of patches, against edges without any.

    python benchmarks/patchgrid.py RASTER CHECKPOINT [--overlaps 0 32 64 128] [--flips none]

Two maps are made of the raster, the patches of one three eighths of a patch further down and to the right. For each
overlap is printed, of the maps and of their probabilities:

- the seam ratio: the share of label changes (the mean absolute difference of probabilities) across the pixel edges
  where a map's own patches begin or end, over that across all other pixel edges;
- the same of the other map on these lines, where it has no edges of patches: the lines themselves may run along streets
  or along the coarse grid of the network's own layers;
- the one over the other, which is 1.00 if no one can find the patches.

Lines where edges of both maps come close are left out.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from superpoint.cache.rasters import open_raster
from superpoint.inference import VIEWS, class_probabilities, predict_window
from superpoint.pipelines.networks import MSE, Network, open_network
from superpoint.scaling import Scaling
from superpoint.tiles import Window
from superpoint.training.patches import lattice

APART = 3  # pixels between the edges of one map's patches and those of the other's


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Label changes across the edges of patches.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 32, 64, 128])
    parser.add_argument("--flips", choices=sorted(VIEWS), default="none")
    parser.add_argument("--side", type=int, default=2**16, help="rows and columns of the raster that are looked at")
    arguments = parser.parse_args()
    network = open_network(arguments.checkpoint)
    image = scaled(arguments.raster, network, arguments.side)
    print("| overlap | lines | map: seam ratio, no edges there | | probabilities: seam ratio, no edges there | |")
    print("|---:|---:|---|---:|---|---:|")
    size = network.recipe.patch_size
    shift = 3 * size // 8
    for overlap in arguments.overlaps:
        ours = predicted(image, network, overlap, arguments.flips)[:, shift:, shift:]
        theirs = predicted(image[:, shift:, shift:], network, overlap, arguments.flips)
        lines = [edges(length, size, overlap, shift) for length in image.shape[1:]]
        cells = []
        for of in (label_changes, differences):
            own, other = ratios(of(ours), of(theirs), lines)
            cells.append(f"{own:.3f}, {other:.3f} | **{own / other:.3f}**")
        n_lines = sum(len(one) for pair in lines for one in pair)
        print(f"| {overlap} | {n_lines} | {cells[0]} | {cells[1]} |", flush=True)


def scaled(path: Path, network: Network, side: int) -> np.ndarray:
    """Read a raster as the network sees it, (bands, rows, cols)."""
    recipe = network.recipe
    raster = open_raster(path, bands=recipe.band_numbers)
    rows, cols = (min(side, length) for length in raster.shape)
    scaling = Scaling(low=recipe.scaling_low, high=recipe.scaling_high)
    return scaling.apply(*raster.read(Window(row=0, col=0, n_rows=rows, n_cols=cols)))


def predicted(image: np.ndarray, network: Network, overlap: int, flips: str) -> np.ndarray:
    """Return the class probabilities of a whole image, (classes, rows, cols)."""
    rows, cols = image.shape[1:]
    return predict_window(
        network.module,
        lambda window: image[:, *window.slices],
        Window(row=0, col=0, n_rows=rows, n_cols=cols),
        shape=(rows, cols),
        patch_size=network.recipe.patch_size,
        overlap=overlap,
        views=VIEWS[flips],
        activate=partial(class_probabilities, are_logits=network.recipe.loss != MSE),
    )


def edges(length: int, size: int, overlap: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel edges where patches of either map begin or end and none of the other, from `shift` on."""

    def all_edges(first: int) -> np.ndarray:
        starts = np.array(lattice(length - first, size, size - overlap)) + first
        found = np.unique(np.concatenate((starts, starts + size)))
        return found[(found > shift) & (found < length)] - shift - 1

    ours, theirs = all_edges(0), all_edges(shift)
    return _away(ours, theirs), _away(theirs, ours)


def _away(lines: np.ndarray, others: np.ndarray) -> np.ndarray:
    return lines[np.abs(lines[:, None] - others).min(axis=1) > APART]


def label_changes(probabilities: np.ndarray) -> list[np.ndarray]:
    """Return where labels change across edges, down and across, each (edges, pixels along them)."""
    labels = probabilities.argmax(axis=0)
    return [labels[1:] != labels[:-1], (labels[:, 1:] != labels[:, :-1]).T]


def differences(probabilities: np.ndarray) -> list[np.ndarray]:
    """Return how far probabilities differ across edges, down and across, each (edges, pixels along them)."""
    down, across = (np.abs(np.diff(probabilities, axis=axis)).mean(axis=0) for axis in (1, 2))
    return [down, across.T]


def ratios(
    ours: list[np.ndarray], theirs: list[np.ndarray], lines: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, float]:
    """Return the mean of each map on its own lines over that elsewhere, and of each map on the other's lines."""
    own, other, elsewhere = [], [], []
    for first, second, (at_first, at_second) in zip(ours, theirs, lines, strict=True):
        own += [first[at_first], second[at_second]]
        other += [second[at_first], first[at_second]]
        off = np.setdiff1d(np.arange(len(first)), np.concatenate((at_first, at_second)))
        elsewhere += [first[off], second[off]]
    on, there, off_lines = (np.concatenate([part.ravel() for part in parts]) for parts in (own, other, elsewhere))
    return float(on.mean() / off_lines.mean()), float(there.mean() / off_lines.mean())


if __name__ == "__main__":
    main()
