"""What a call of an algorithm costs: seconds and memory on one core, measured in processes of their own.

Only the start of a process can keep every library to one thread, shows what the first call costs, and gives a peak
of memory that nothing else has a part in. This module starts itself::

    python -m superpoint.pipelines.costs FOLDER speed|start

with the work in the folder and the answer beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.errors import InputError, SuperpointError
from superpoint.pipelines.progress import progress
from superpoint.superpixels import describe_algorithm, make_algorithm
from superpoint.superpixels.algorithm import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

WARM_UP_PX = 128  # side of the crop that compiles before memory is measured
ONE_THREAD = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
# glibc then gives freed arrays back at once, so that what the warm-up freed does not hide what a call needs.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one call costs, array to labels."""

    mpx_per_s: float
    """Megapixels a second of one core: the median of the runs, of wall-clock or CPU time whichever is more."""
    compile_s: float
    """Seconds by which the first call in a new process is slower than the next, on a small crop: compiling, or loading
    what an earlier process compiled, and late imports."""
    peak_bytes_per_px: float | None
    """Most memory that the process held beyond its input while the call ran, labels included; None without /proc."""


def measure_costs(
    algorithms: Sequence[SuperpixelAlgorithm],
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    repeats: int,
    seed: int = 0,
) -> tuple[list[Cost], list[NDArray[np.uint32]]]:
    """Superpixelize an image as one tile by each algorithm, and measure it.

    Runs are interleaved, so that what else the machine does is shared by all.

    Parameters
    ----------
    algorithms : sequence of SuperpixelAlgorithm
        Found by their names.
    image : float32 array of shape (bands, rows, cols)
        Scaled.
    valid : bool array of shape (rows, cols)
        False on nodata.
    repeats : int
        Runs that are measured, after a first one.
    seed : int
        Seed of what an algorithm draws.

    Returns
    -------
    costs : list of Cost
        One for each algorithm.
    labels : list of uint32 array of shape (rows, cols)
        The label map of each.

    Raises
    ------
    InputError
        If an algorithm refuses the image.
    SuperpointError
        If a measuring process was killed.
    """
    described = [describe_algorithm(algorithm) for algorithm in algorithms]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "image.npy", image)
        np.save(folder / "valid.npy", valid)
        with progress("measuring", total=len(algorithms) * (repeats + 2), unit="runs") as advance:

            def ask(what: str, chosen: list[dict[str, object]]) -> None:
                task = {"algorithms": chosen, "repeats": repeats, "seed": seed}
                (folder / "task.json").write_text(json.dumps(task))
                _run_process(folder, what, advance)

            ask("speed", described)
            seconds = json.loads((folder / "speed.json").read_text())
            labels = [np.load(folder / f"labels-{number}.npy") for number in range(len(algorithms))]
            starts = []
            for one in described:  # each in a process of its own: what one compiles, the next would not have to
                ask("start", [one])
                starts.append(json.loads((folder / "start.json").read_text()))
    return [_cost(runs, start, valid.size) for runs, start in zip(seconds, starts, strict=True)], labels


def _cost(seconds: list[float], start: dict[str, Any], n_pixels: int) -> Cost:
    peak_bytes: int | None = start["peak_bytes"]
    return Cost(
        mpx_per_s=n_pixels / statistics.median(seconds[1:]) / 1e6,
        compile_s=max(0.0, start["first_s"] - start["next_s"]),
        peak_bytes_per_px=None if peak_bytes is None else peak_bytes / n_pixels,
    )


def _run_process(folder: Path, what: str, advance: Callable[[float], None]) -> None:
    """Start a measuring process and wait; it says a line for each run."""
    environment = os.environ | dict.fromkeys(ONE_THREAD, "1") | (GIVE_BACK if what == "start" else {})
    command = [sys.executable, "-m", "superpoint.pipelines.costs", str(folder), what]
    with (
        (folder / "stderr").open("w+") as words,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=words) as process,
    ):
        for _ in process.stdout or ():
            advance(1)
        process.wait()
        words.seek(0)
        said = words.read().strip()
    if process.returncode < 0:
        raise SuperpointError(
            f"the process that measures was killed by signal {-process.returncode}, as when memory runs out; "
            f"give --crop or --long-side"
        )
    if process.returncode:
        raise InputError(said.splitlines()[-1] if said else f"measuring ended with exit code {process.returncode}")


def _answer(folder: Path, what: str) -> None:
    """Do the work of a measuring process."""
    task = json.loads((folder / "task.json").read_text())
    image, valid = np.load(folder / "image.npy"), np.load(folder / "valid.npy")
    calls = [_call_of(described, image, valid, task["seed"]) for described in task["algorithms"]]
    if what == "start":
        answer: object = _start_of(calls[0], valid.shape)
    else:
        answer = _seconds_of(calls, folder, task["repeats"])
    (folder / f"{what}.json").write_text(json.dumps(answer))


def _call_of(
    described: dict[str, Any], image: NDArray[np.float32], valid: NDArray[np.bool_], seed: int
) -> Callable[..., NDArray[np.uint32]]:
    """Return a function that calls the algorithm on the image, or on the centre of it."""
    algorithm = make_algorithm(described["name"], described["parameters"])

    def call(centre: tuple[slice, slice] = (slice(None), slice(None))) -> NDArray[np.uint32]:
        # Contiguous as the whole is: kernels are compiled for one kind of array.
        part, usable = np.ascontiguousarray(image[:, *centre]), np.ascontiguousarray(valid[centre])
        origin = Origin(raster_shape=(usable.shape[0], usable.shape[1]))
        try:
            return algorithm(part, usable, origin=origin, rng=np.random.default_rng(seed))
        except (ValueError, TypeError, ImportError, RuntimeError, MemoryError) as error:
            raise SystemExit(f"superpixel algorithm {algorithm.name}: {error}") from error

    return call


def _seconds_of(calls: list[Callable[..., NDArray[np.uint32]]], folder: Path, repeats: int) -> list[list[float]]:
    """Time each call once and `repeats` times more, in turns, and keep the labels."""
    seconds: list[list[float]] = [[] for _ in calls]
    for repeat in range(1 + repeats):
        for number, call in enumerate(calls):
            spent, labels = _timed(call)
            seconds[number].append(spent)
            if repeat == 0:
                np.save(folder / f"labels-{number}.npy", labels)
            sys.stdout.write("run\n")
            sys.stdout.flush()
    return seconds


def _timed(call: Callable[..., NDArray[np.uint32]], *arguments: object) -> tuple[float, NDArray[np.uint32]]:
    """Return the seconds of one core: CPU time, where several threads made it more than what the clock says."""
    wall, cpu = time.perf_counter(), time.process_time()
    labels = call(*arguments)
    return max(time.perf_counter() - wall, time.process_time() - cpu), labels


def _start_of(call: Callable[..., NDArray[np.uint32]], shape: tuple[int, int]) -> dict[str, float | None]:
    """Time the first two calls of this process, on a small crop, then find the peak of memory of one on the whole."""
    centre = tuple(slice(n // 4, n // 4 + max(1, min(WARM_UP_PX, n // 2))) for n in shape)
    (first_s, _), (next_s, _) = _timed(call, centre), _timed(call, centre)
    peak_bytes = _growth_of(call)
    sys.stdout.write("run\n")
    return {"first_s": first_s, "next_s": next_s, "peak_bytes": peak_bytes}


def _growth_of(call: Callable[[], NDArray[np.uint32]]) -> int | None:
    """Return the bytes by which the process grows at most while the call runs; None where nobody counts them."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten: proc(5)
        before = _peak_bytes()
    except OSError:
        return None
    call()
    return _peak_bytes() - before


def _peak_bytes() -> int:
    """Return the largest resident size of this process since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kibibytes) * 1024


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), sys.argv[2])
