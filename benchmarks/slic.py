"""SLIC against fast-slic and scikit-image: one core, from the array as stored to connected labels.

    uv run --group bench python benchmarks/slic.py RASTER [--size 2048] [--repeats 9]

Everything is in the time: conversion, scaling, all iterations, connectivity. The calls of all algorithms are
interleaved, and medians compared. Then: threads, growth with the number of pixels (512 to 8192, the raster tiled up),
memory, numbers of bands and types, and what compiling costs once a machine.
"""

# ruff: noqa: E402  # the threads of libraries are limited before they load

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import fast_slic
import fast_slic.avx2
import numpy as np
import rasterio
from skimage.segmentation import slic as skimage_slic

from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.slic import Slic

if TYPE_CHECKING:
    from collections.abc import Callable

    Image = np.ndarray[tuple[int, int, int], np.dtype[np.generic]]


def main() -> None:
    """Run every part and print Markdown tables."""
    parser = argparse.ArgumentParser(description="SLIC against its peers.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)  # the child process of `memory`
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(peak_growth(tiled_up(arguments.raster, arguments.memory_of)))
        return
    image = tiled_up(arguments.raster, arguments.size)
    first_calls()
    for region_size in (20, 40):
        peers(image, region_size, arguments.repeats)
    growth(arguments.raster, arguments.repeats)
    memory(arguments.raster, arguments.size)
    kinds(image, arguments.repeats)


def tiled_up(path: Path, size: int) -> Image:
    """Return a square of the raster, repeated where it is too small."""
    with rasterio.open(path) as dataset:
        image = dataset.read()[:, :size, :size]
    times = [-(-size // n) for n in image.shape[1:]]
    return np.ascontiguousarray(np.tile(image, (1, *times))[:, :size, :size])


def first_calls() -> None:
    """Time the first call in a new process: with an empty cache of compiled code, and with a full one."""
    script = (
        "import time, numpy as np; from superpoint.superpixels.arrays import superpixelize_array as f; "
        "from superpoint.superpixels.slic import Slic; t = time.perf_counter(); "
        "f(np.zeros((3, 64, 64), np.uint8), Slic()); print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        seconds = [
            float(
                subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True).stdout
            )
            for _ in range(2)
        ]
    print(f"first call of a process: {seconds[0]:.1f} s once a machine (compiles), then {seconds[1]:.2f} s\n")


def peers(image: Image, region_size: int, repeats: int) -> None:
    """Compare the speed at about the same number of superpixels."""
    n_pixels = image[0].size
    n_segments = round(n_pixels / region_size**2)
    interleaved = np.ascontiguousarray(image.transpose(1, 2, 0))
    calls: dict[str, Callable[[], object]] = {
        "superpoint slic": lambda: superpixelize_array(image, Slic(region_size=region_size)),
        "superpoint slic, 2 threads": lambda: superpixelize_array(image, Slic(region_size=region_size), threads=2),
        "fast-slic (AVX2)": lambda: fast_slic.avx2.SlicAvx2(num_components=n_segments, num_threads=1).iterate(
            interleaved
        ),
        "scikit-image slic": lambda: skimage_slic(interleaved, n_segments=n_segments, start_label=1),
    }
    counts = {name: len(np.unique(call())) for name, call in calls.items()}
    seconds = medians(calls, repeats)
    print(f"region size {region_size}, {image.shape[1]} x {image.shape[2]} x {len(image)} {image.dtype}\n")
    print("| | Mpx/s | times as fast as it | superpixels |\n|---|---:|---:|---:|")
    for name, taken in seconds.items():
        print(
            f"| {name} | {n_pixels / 1e6 / taken:.1f} | {taken / seconds['superpoint slic']:.2f} | {counts[name]:,} |"
        )
    print()


def growth(path: Path, repeats: int) -> None:
    """Fit the exponent of time over pixels."""
    sizes = (512, 1024, 2048, 4096, 8192)
    seconds = []
    for size in sizes:
        image = tiled_up(path, size)
        seconds.append(medians({"slic": lambda image=image: superpixelize_array(image, Slic())}, repeats)["slic"])
    exponent = np.polyfit(np.log([size**2 for size in sizes]), np.log(seconds), 1)[0]
    print("| side | Mpx/s |\n|---:|---:|")
    for size, taken in zip(sizes, seconds, strict=True):
        print(f"| {size} | {size**2 / 1e6 / taken:.1f} |")
    print(f"\ntime grows with pixels to the power of {exponent:.3f}\n")


def memory(path: Path, size: int) -> None:
    """Print the peak of memory beyond the input, in a process of its own."""
    command = [sys.executable, __file__, str(path), "--memory-of", str(size)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"peak memory beyond the input, labels included: {grown / size**2:.1f} bytes per pixel at 3 bands\n")


def peak_growth(image: Image) -> int:
    """Return by how many bytes the process grows at most while the image is superpixelized (Linux)."""
    superpixelize_array(image[:, :128, :128], Slic())
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status("VmRSS")
    superpixelize_array(image, Slic())
    return status("VmHWM") - before


def status(field: str) -> int:
    """Return a field of the process's status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def kinds(image: Image, repeats: int) -> None:
    """Print the cost of numbers of bands, types and nodata."""
    holes = np.random.default_rng(0).random(image.shape[1:]) < 0.9  # noqa: PLR2004  # a tenth is nodata
    images = {n_bands: np.resize(image, (n_bands, *image.shape[1:])) for n_bands in (1, 2, 3, 4, 8, 16)}
    calls: dict[str, Callable[[], object]] = {
        f"{n_bands} bands uint8": lambda values=values: superpixelize_array(values, Slic())
        for n_bands, values in images.items()
    }
    for kind in ("uint16", "int16", "float32"):
        values = image.astype(kind)
        calls[f"3 bands {kind}"] = lambda values=values: superpixelize_array(values, Slic())
    calls["3 bands uint8, a tenth nodata, strewn"] = lambda: superpixelize_array(image, Slic(), valid=holes)
    square = np.ones_like(holes)
    square[: len(square) // 3] = False
    calls["3 bands uint8, a third nodata, whole"] = lambda: superpixelize_array(image, Slic(), valid=square)
    seconds = medians(calls, repeats)
    print("| | Mpx/s | time to that of 3 bands uint8 |\n|---|---:|---:|")
    for name, taken in seconds.items():
        print(f"| {name} | {image[0].size / 1e6 / taken:.1f} | {taken / seconds['3 bands uint8']:.2f} |")


def medians(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of interleaved runs, after one that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            if name.startswith("scikit") and round_ > 2:  # noqa: PLR2004  # slow enough to tell
                continue
            started = time.perf_counter()
            call()
            if round_:
                taken[name].append(time.perf_counter() - started)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
