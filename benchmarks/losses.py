"""Memory and time of the losses, forward and backward, against the form with a one-hot image that autograd takes apart.

    python benchmarks/losses.py [--shape 8 6 512 512] [--labelled 0.1] [--device cuda] [--repeats 5]
    python benchmarks/losses.py --step [--shape 4 6 256 256] [--encoder resnet18]

Peak memory is what stands beside the outputs and labels at the worst moment, their gradient included: on a CPU the
process's largest resident set (Linux), on a GPU what PyTorch allocated. The forms take turns; times are medians, of CPU
seconds on one thread or of seconds on a GPU, so that a busy machine does not blur them. All forms of a loss must agree
to 1e-4.

`--step` instead prints the share of each loss in a training step, forward and backward: the loss on a network's outputs
over that and the network, a U-Net of three bands on a gradient at hand; without optimizer and data. They take turns.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from superpoint.losses import (
    dice_loss,
    lovasz_softmax,
    partial_cross_entropy,
    partial_focal,
    superpixel_consistency,
    weighted_masked_mse,
)
from superpoint.models import build_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Form = Callable[[Tensor], Tensor]

IGNORE, MIB, GAMMA, SIDE = 255, 2**20, 2.0, 32
NETWORK = "network, forward and backward"
M_MMAP_THRESHOLD = -3  # of malloc.h


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs=4, type=int, default=[8, 6, 512, 512], metavar=("B", "C", "H", "W"))
    parser.add_argument("--labelled", type=float, default=0.1, help="share of labelled pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--step", action="store_true", help="the share of a training step")
    parser.add_argument("--encoder", default="resnet18", help="of the U-Net of --step")
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if given.step:
        print_shares(given)
    else:
        print_forms(given)


def print_shares(given: argparse.Namespace) -> None:
    """Print the time of each loss and its share of a training step."""
    n_batch, n_classes, *sides = given.shape
    network = build_model("unet", encoder=given.encoder, bands=3, n_classes=n_classes).to(given.device).train()
    images = torch.randn(n_batch, 3, *sides, device=given.device)
    outputs = network(images).detach()
    slopes = torch.randn_like(outputs)
    losses = {name: forms["ours"] for name, forms in all_forms(*targets(outputs, given.labelled)).items()}
    steps = {name: partial(step, outputs, run) for name, run in losses.items()}
    times = median_seconds({NETWORK: lambda: network(images).backward(slopes), **steps}, given.repeats, given.device)
    print(f"U-Net {given.encoder}, images {tuple(images.shape)}, {given.labelled:.0%} labelled, {given.device}\n")
    print("| | ms | of a step |")
    print("|---|---:|---:|")
    print(f"| {NETWORK} | {times[NETWORK] * 1e3:.0f} | |")
    for name in losses:
        print(f"| {name} | {times[name] * 1e3:.1f} | {times[name] / (times[name] + times[NETWORK]):.2%} |")


def print_forms(given: argparse.Namespace) -> None:
    """Print memory and time of each form of each loss."""
    # What is freed goes back to the system at once, and the resident set is what is in use; costly, so not for times.
    ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 2**16)
    outputs = torch.randn(given.shape, device=given.device)
    size = outputs.numel() * outputs.element_size() / MIB
    print(f"outputs {tuple(given.shape)}: {size:.0f} MiB, {given.labelled:.0%} labelled, {given.device}\n")
    print("| loss | form | peak MiB | of outputs | ms | memory to ours | time to ours |")
    print("|---|---|---:|---:|---:|---:|---:|")
    losses = all_forms(*targets(outputs, given.labelled))
    for forms in losses.values():
        check(outputs, forms)
    peaks = {name: {form: peak_mib(outputs, run) for form, run in forms.items()} for name, forms in losses.items()}
    ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 2**25)
    for name, forms in losses.items():
        steps = {form: partial(step, outputs, run) for form, run in forms.items()}
        times = median_seconds(steps, given.repeats, given.device)
        for form, peak in peaks[name].items():
            ratios = f"{peak / peaks[name]['ours']:.1f} | {times[form] / times['ours']:.2f}"
            print(f"| {name} | {form} | {peak:.0f} | {peak / size:.1f} | {times[form] * 1e3:.0f} | {ratios} |")


def targets(outputs: Tensor, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels uint8 and superpixels (both (batch, rows, cols)) and class frequencies."""
    n_batch, n_classes, n_rows, n_cols = outputs.shape
    labels = torch.randint(n_classes, (n_batch, n_rows, n_cols), device=outputs.device)
    labels[torch.rand(labels.shape, device=outputs.device) >= share] = IGNORE
    rows, cols = (torch.arange(n, device=outputs.device) // SIDE for n in (n_rows, n_cols))
    squares = rows[:, None] * (n_cols // SIDE + 1) + cols + 1
    frequencies = torch.rand(n_classes, device=outputs.device) + 0.1
    superpixels = squares.expand(labels.shape).contiguous()
    return labels.to(torch.uint8), superpixels, frequencies / frequencies.sum()


def all_forms(labels: Tensor, superpixels: Tensor, frequencies: Tensor) -> dict[str, dict[str, Form]]:
    """Return the forms of each loss as functions of the outputs; the first is ours."""
    mask = labels != IGNORE

    def one_hot(outputs: Tensor) -> Tensor:  # (batch, class, rows, cols)
        known = torch.where(mask, labels, 0).long()
        return functional.one_hot(known, outputs.shape[1]).movedim(-1, 1).to(outputs) * mask.unsqueeze(1)

    def mse(outputs: Tensor) -> Tensor:
        squares = (outputs - one_hot(outputs)) ** 2 * mask.unsqueeze(1)
        return (squares / frequencies[:, None, None]).mean()

    def entropy(outputs: Tensor) -> Tensor:
        return -(outputs.log_softmax(1) * one_hot(outputs)).sum() / mask.sum()

    def torch_entropy(outputs: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, labels.long(), ignore_index=IGNORE)

    def focal(outputs: Tensor) -> Tensor:
        truth, logs = one_hot(outputs), outputs.log_softmax(1)
        return -(truth * (1 - logs.exp()) ** GAMMA * logs).sum() / mask.sum()

    def dice(outputs: Tensor) -> Tensor:
        truth, shares = one_hot(outputs), outputs.softmax(1) * mask.unsqueeze(1)
        above, below = (2 * truth * shares).sum((0, 2, 3)), (shares**2 + truth).sum((0, 2, 3))
        return (1 - above / below).mean()

    def lovasz(outputs: Tensor) -> Tensor:
        truth = one_hot(outputs).movedim(1, 0)[:, mask]  # (class, labelled)
        errors, order = (truth - outputs.softmax(1).movedim(1, 0)[:, mask]).abs().sort(dim=1, descending=True)
        hits = truth.gather(1, order).double()
        left = hits.sum(1, keepdim=True) - hits.cumsum(1)
        jaccard = 1 - left / (hits.sum(1, keepdim=True) + (1 - hits).cumsum(1))
        return (errors * jaccard.diff(dim=1, prepend=torch.zeros_like(jaccard[:, :1]))).sum(1).mean()

    def consistency(outputs: Tensor) -> Tensor:
        patches = torch.arange(len(labels), device=labels.device)[:, None, None] * 2**32
        members = (superpixels + patches).unique(return_inverse=True)[1].flatten()
        shares = outputs.softmax(1).movedim(1, 0).flatten(1)  # (class, pixels)
        sizes = members.bincount().to(shares)
        means = shares.new_zeros(len(shares), len(sizes)).scatter_add(1, members.expand_as(shares), shares) / sizes
        return ((shares - means[:, members]) ** 2 / sizes[members]).sum() / len(sizes)

    return {
        "weighted masked MSE": {"ours": lambda x: weighted_masked_mse(x, labels, frequencies), "one-hot": mse},
        "partial cross-entropy": {
            "ours": lambda x: partial_cross_entropy(x, labels), "one-hot": entropy, "torch": torch_entropy
        },
        "partial focal": {"ours": lambda x: partial_focal(x, labels, gamma=GAMMA), "one-hot": focal},
        "Dice": {"ours": lambda x: dice_loss(x, labels), "one-hot": dice},
        "Lovász-softmax": {"ours": lambda x: lovasz_softmax(x, labels), "one-hot": lovasz},
        "superpixel consistency": {"ours": lambda x: superpixel_consistency(x, superpixels), "autograd": consistency},
    }  # fmt: skip


def check(outputs: Tensor, forms: dict[str, Form]) -> None:
    """Stop unless all forms of a loss agree."""
    values = {form: float(run(outputs)) for form, run in forms.items()}
    if any(abs(value - values["ours"]) > 1e-4 * abs(values["ours"]) for value in values.values()):
        raise SystemExit(f"the forms disagree: {values}")


def step(outputs: Tensor, run: Form) -> None:
    """Run one form forward and backward and forget the gradient."""
    traced = outputs.detach().requires_grad_()
    # Not backward(): at a leaf it may copy the gradient, which within a network goes on to the layer before.
    torch.autograd.grad(run(traced), traced)


def median_seconds(runs: Mapping[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Return the median time of each run; they take turns."""
    on_gpu = torch.device(device).type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):  # the first one warms up
        for name, run in runs.items():
            started = clock()
            run()
            if on_gpu:
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_mib(outputs: Tensor, run: Form) -> float:
    """Return the largest memory in use during a step, beyond that in use before it."""
    step(outputs, run)
    if outputs.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(outputs, run)
        return (torch.cuda.max_memory_allocated() - before) / MIB
    Path("/proc/self/clear_refs").write_text("5")  # forgets the largest resident set
    before = resident_mib("VmRSS")
    step(outputs, run)
    return resident_mib("VmHWM") - before


def resident_mib(what: str) -> float:
    """Return the process's resident set now (VmRSS) or at its largest (VmHWM)."""
    match = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise SystemExit(f"/proc/self/status tells no {what}; memory on a CPU is measured on Linux only")
    return int(match[1]) / 1024


if __name__ == "__main__":
    main()
