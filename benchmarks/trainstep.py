"""A training step of ours against a plain PyTorch loop: same network, optimizer and augmentation, data in memory.

    python benchmarks/trainstep.py [--model unet] [--encoder resnet18] [--patch 256] [--batch-size 8] [--steps 12]
        [--rounds 4] [--threads 1] [--device cpu] [--precision 32] [--profile]

`superpoint` is `fit` with its callbacks and its partial cross-entropy; `plain` is the loop below, with PyTorch's own
cross-entropy. They take turns, `--steps` steps each. Printed are medians over all steps but the first two of each turn:
seconds by the clock, and by the processor, which on one thread do not change with what else the machine does. The last
line is the share of our loss, forward and backward, in our step, timed by itself.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from superpoint.classes import IGNORE, ClassTable
from superpoint.models import build_model
from superpoint.training.dataset import LabelledPatches
from superpoint.training.fit import fit
from superpoint.training.module import SegmentationModule
from superpoint.training.patches import count_labels
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from superpoint.tiles import Window

    Clock = tuple[float, float]

N_CLASSES, LABELLED, WARM_UP = 6, 0.3, 2


@dataclass(frozen=True)
class InMemory:
    """A raster of noise; `superpoint.training.patches.Source`."""

    bands: NDArray[np.float32]
    classes: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.classes.shape[0], self.classes.shape[1]

    def image(self, window: Window) -> NDArray[np.float32]:
        """Return a window of the bands."""
        return self.bands[:, *window.slices]

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Return a window of the classes."""
        return self.classes[window.slices]


def main() -> None:
    """Take turns and print a Markdown table."""
    given = parse_arguments()
    torch.set_num_threads(given.threads)
    data = noise(given.patch, given.batch_size * given.steps)
    turns: dict[str, Callable[[], list[Clock]]] = {
        "plain": lambda: plain(given, data),
        "superpoint": lambda: ours(given, data),
    }
    if given.profile:
        profiled(turns["superpoint"])
        return
    times: dict[str, list[Clock]] = {name: [] for name in turns}
    for _, (name, turn) in itertools.product(range(given.rounds), turns.items()):
        times[name] += turn()
    print("| loop | clock s | processor s |\n|---|---:|---:|")
    medians = {name: [statistics.median(one) for one in zip(*steps, strict=True)] for name, steps in times.items()}
    for name, (clock, processor) in medians.items():
        print(f"| {name} | {clock:.4f} | {processor:.4f} |")
    ratios = [a / b for a, b in zip(medians["superpoint"], medians["plain"], strict=True)]
    print(f"| ratio | {ratios[0]:.3f} | {ratios[1]:.3f} |\n")
    print(f"loss: {loss_seconds(given) / medians['superpoint'][1]:.2%} of a step (processor)")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["32", "bf16-mixed"], default="32")
    parser.add_argument("--profile", action="store_true", help="print where one turn of ours spends its time instead")
    return parser.parse_args()


def plain(given: argparse.Namespace, data: InMemory) -> list[Clock]:
    """Train by a loop as one would write it, and return the time of each step."""
    size = given.patch
    images = torch.from_numpy(data.bands).unfold(2, size, size).permute(2, 0, 1, 3).contiguous()
    labels = torch.from_numpy(data.classes).long().unfold(1, size, size).permute(1, 0, 2).contiguous()
    torch.manual_seed(0)
    model = build_model(given.model, encoder=given.encoder, bands=3, n_classes=N_CLASSES)
    model.to(given.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    total, clocks = torch.zeros((), device=given.device), [now(given.device)]
    for chosen in torch.randperm(len(images)).split(given.batch_size):
        turns = torch.randint(4, (len(chosen),)).tolist()
        batch = torch.stack([images[i].rot90(n, (1, 2)) for i, n in zip(chosen, turns, strict=True)]).to(given.device)
        truth = torch.stack([labels[i].rot90(n) for i, n in zip(chosen, turns, strict=True)]).to(given.device)
        with torch.autocast(given.device, torch.bfloat16, enabled=given.precision == "bf16-mixed"):
            outputs = model(batch.contiguous(memory_format=torch.channels_last))
            loss = functional.cross_entropy(outputs, truth, ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
        clocks.append(now(given.device))
    return list(steps(clocks))


def ours(given: argparse.Namespace, data: InMemory) -> list[Clock]:
    """Train by `fit`, and return the time of each step."""
    counts = count_labels([data], n_classes=N_CLASSES, patch_size=given.patch)
    recipe = Recipe(
        model=given.model,
        encoder=given.encoder,
        classes=ClassTable.from_names([f"class {index}" for index in range(N_CLASSES)]),
        frequencies=tuple(counts.frequencies.tolist()),
        loss="partial-cross-entropy",
        batch_size=given.batch_size,
        patch_size=given.patch,
        precision=given.precision,
        scaling_low=(0.0,) * 3,
        scaling_high=(1.0,) * 3,
    )
    clocks: list[Clock] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(
            SegmentationModule(recipe),
            LabelledPatches([data], counts.patches, patch_size=given.patch),
            epochs=1,
            out_dir=Path(folder),
            accelerator={"cuda": "gpu"}.get(given.device, given.device),
            on_step=lambda *_: clocks.append(now(given.device)),
        )
    return list(steps(clocks))


def now(device: str) -> Clock:
    """Return what the clock and the processor say, when the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def steps(clocks: list[Clock]) -> Iterator[Clock]:
    """Return what passed between steps, but for the first."""
    return ((b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(clocks[WARM_UP:]))


def loss_seconds(given: argparse.Namespace) -> float:
    """Return the median of processor seconds that our loss takes, forward and backward."""
    from superpoint.losses import partial_cross_entropy

    outputs = torch.randn(given.batch_size, N_CLASSES, given.patch, given.patch, device=given.device)
    outputs.requires_grad_()
    labels = torch.randint(N_CLASSES, (given.batch_size, given.patch, given.patch), device=given.device)
    labels[torch.rand(labels.shape, device=given.device) > LABELLED] = IGNORE
    clocks = [now(given.device)]
    for _ in range(20):
        partial_cross_entropy(outputs, labels).backward()
        clocks.append(now(given.device))
    return statistics.median(processor for _, processor in steps(clocks))


def noise(patch: int, n_patches: int) -> InMemory:
    """Return a raster of one row of patches."""
    drawn = np.random.default_rng(0)
    shape = patch, patch * n_patches
    classes = drawn.integers(0, N_CLASSES, shape).astype(np.uint8)
    classes[drawn.random(shape) > LABELLED] = IGNORE
    return InMemory(drawn.random((3, *shape), np.float32), classes)


def profiled(turn: Callable[[], object]) -> None:
    """Print where the time goes in Python."""
    profile = cProfile.Profile()
    profile.runcall(turn)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
