"""Memory of workers: what a tile takes at its peak, against what `superpoint.pipelines.memory` says it will.

    python benchmarks/memory.py RASTER [--algorithms slic,hers] [--bands 1,3,8] [--tiles 1024,2048] [--noise]
    python benchmarks/memory.py RASTER --processes

Each case is a process of its own. It takes a small tile through all its jobs, so that everything is imported and
compiled, then the middle one of 3 x 3 tiles, and reads the most memory that it held meanwhile (Linux only). The rasters
are made of RASTER, repeated as often as needed; with --noise, of noise. With --processes the processes of a Dask
cluster on this machine are measured instead, what they hold and held at most, before and after SLIC has run on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from superpoint.cache.groups import ArraySpec, open_group
from superpoint.cache.parts import TileParts
from superpoint.cache.rasters import open_raster
from superpoint.pipelines.jobs import Conduct, run_tile
from superpoint.pipelines.memory import worker_bytes
from superpoint.pipelines.superpixeljobs import PieceJob, Recipe, RelabelJob, SuperpixelJob, WindowJob
from superpoint.scaling import Scaling
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.joining import is_joined, tiles_seeing
from superpoint.superpixels.resolving import PieceTable
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.pipelines.jobs import TileJob
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

NAMES = "slic,snic,hers,skimage-slic,felzenszwalb,simpleitk-slic,opencv-seeds,opencv-slico,opencv-lsc,fast-slic"
SMALL = 256  # side of the tiles that warm a process up
MIDDLE = (1, 1)
MIB = 2**20
# As Dask's nanny starts a worker; and of the blocks that GDAL keeps, which the base counts, only a few.
LIKE_A_WORKER = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "GDAL_CACHEMAX": "16"}


def main() -> None:
    """Measure every case and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Memory of workers.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--algorithms", default=NAMES)
    parser.add_argument("--parameters", default="{}", help="of all of them, as JSON")
    parser.add_argument("--bands", default="1,3,8")
    parser.add_argument("--tiles", default="1024,2048")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--processes", action="store_true")
    parser.add_argument("--measure", type=int, metavar="TILE", help=argparse.SUPPRESS)  # what a case's process does
    arguments = parser.parse_args()
    algorithms = [make_algorithm(name, json.loads(arguments.parameters)) for name in arguments.algorithms.split(",")]
    if arguments.measure:
        print(measure(arguments.raster, algorithms[0], arguments.measure))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.processes:
            print_processes(make_raster(arguments.raster, 3, 2 * 2048, folder=Path(folder), noise=False))
            return
        print("| algorithm | bands | tile | halo | measured, MiB | estimated, MiB | ratio | by |")
        print("|---|---:|---:|---:|---:|---:|---:|---|")
        for tile in map(int, arguments.tiles.split(",")):
            for n_bands in map(int, arguments.bands.split(",")):
                raster = make_raster(arguments.raster, n_bands, 3 * tile, folder=Path(folder), noise=arguments.noise)
                for algorithm in algorithms:
                    print_case(raster, algorithm, arguments.parameters, n_bands=n_bands, tile=tile)
                raster.unlink()


def make_raster(source: Path, n_bands: int, side: int, *, folder: Path, noise: bool) -> Path:
    """Write a square raster of uint8 with as many bands, in blocks of 512."""
    if noise:
        image = np.random.default_rng(0).integers(0, 256, (n_bands, side, side), np.uint8)
    else:
        with rasterio.open(source) as dataset:
            image = dataset.read(out_dtype=np.uint8)[:, :side, :side]
        times = [-(-side // n) for n in image.shape[1:]]
        image = np.resize(np.tile(image, (1, *times))[:, :side, :side], (n_bands, side, side))
    path = folder / f"{n_bands}-{side}.tif"
    grid: dict[str, Any] = {"count": n_bands, "height": side, "width": side, "dtype": "uint8", "crs": "EPSG:32640"}
    grid |= {"transform": rasterio.Affine(0.3, 0, 325_000, 0, -0.3, 2_790_000), "tiled": True, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", blockxsize=512, blockysize=512, **grid) as dataset:
        dataset.write(image)
    return path


def print_case(raster: Path, algorithm: SuperpixelAlgorithm, parameters: str, *, n_bands: int, tile: int) -> None:
    """Measure one case in a process of its own, and print its row."""
    words = ("--algorithms", algorithm.name, "--parameters", parameters, "--measure")
    command = [sys.executable, __file__, str(raster), *words]
    for side in (SMALL, tile):  # what compiles in one process leaves holes that the next would fill unnoticed
        finished = subprocess.run(
            [*command, str(side)], check=True, stdout=subprocess.PIPE, text=True, env=os.environ | LIKE_A_WORKER
        )
    measured = int(finished.stdout.split()[-1])
    halo = algorithm.halo()
    estimate = worker_bytes(tile=tile, halo=halo, n_bands=n_bands, dtype="uint8", algorithm=algorithm)
    step = max(estimate.steps, key=lambda step: estimate.steps[step])
    print(
        f"| {algorithm.name} | {n_bands} | {tile} | {halo} | {measured / MIB:.0f} | {estimate.tile_bytes / MIB:.0f} "
        f"| {estimate.tile_bytes / measured:.2f} | {step} |",
        flush=True,
    )


def measure(path: Path, algorithm: SuperpixelAlgorithm, tile: int) -> int:
    """Return by how many bytes this process grows at most while it does all jobs of one tile."""
    with tempfile.TemporaryDirectory() as cache:
        for job in jobs_of(path, algorithm, SMALL, cache):
            do(job)
        forget_peak()
        before, peak = peak_bytes(), 0
        for job in jobs_of(path, algorithm, tile, cache):
            forget_peak()
            do(job)
            if job.tile.index == MIDDLE:
                peak = max(peak, peak_bytes())
    return peak - before


def jobs_of(path: Path, algorithm: SuperpixelAlgorithm, tile_size: int, cache: str) -> Iterator[TileJob]:
    """Yield the jobs of the tile in the second row and column, and what has to be done before."""
    raster = open_raster(path)
    grid = TileGrid(shape=raster.shape, size=tile_size, halo=algorithm.halo())
    n_bands, middle = len(raster.bands), grid.tile(*MIDDLE)
    scaling = Scaling(low=(0.0,) * n_bands, high=(255.0,) * n_bands)
    recipe = Recipe(raster=raster, algorithm=algorithm, scaling=scaling, seed=0)
    group = open_group(
        cache,
        kind="label-maps",
        name=raster.name,
        georeference=raster.georeference,
        tile_size=tile_size,
        arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")},
        provenance={},
    )
    if not is_joined(algorithm):
        yield SuperpixelJob(recipe=recipe, group=group, tile=middle)
        return
    windows, pieces = TileParts.of(group, "windows"), TileParts.of(group, "pieces")
    for tile in tiles_seeing(grid, middle.read):
        yield WindowJob(recipe=recipe, group=windows, tile=tile)
    yield PieceJob(windows=windows, group=pieces, grid=grid, tile=middle)
    table = PieceTable.unpack(pieces.read_tile(middle, "table"))
    lookup = np.arange(1, len(table.sizes) + 1, dtype=np.uint32)
    yield RelabelJob(pieces=pieces, group=group, tile=middle, lookup=lookup)


def do(job: TileJob) -> None:
    """Do a job as a worker does."""
    record = run_tile(job, Conduct())
    if record.state != "done":
        raise SystemExit(f"tile {record.tile}: {record.error}")


def forget_peak() -> None:
    """Let the peak begin anew at what this process holds now, where the system can do so: proc(5)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process held; not `ru_maxrss`, which begins at what its parent held."""
    return status_of("self")["VmHWM"]


def print_processes(raster: Path) -> None:
    """Print what a scheduler, a worker and the nanny that watches over it hold, in MiB."""
    from distributed import Client

    from superpoint.pipelines.settings import SuperpixelizeSettings
    from superpoint.pipelines.superpixelize import superpixelize

    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/scheduler.json"
        dask = [sys.executable, "-m", "dask"]
        with (
            started([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", address]) as first,
            started([*dask, "worker", "--scheduler-file", address, "--nthreads", "1"]) as nanny,
            Client(scheduler_file=address) as client,
        ):
            client.wait_for_workers(1)
            (worker,) = client.run(os.getpid).values()
            processes = {"scheduler": first, "nanny": nanny, "worker": worker}
            print("| | " + " | ".join(processes) + " |\n|---|---:|---:|---:|")
            print_row("idle", processes)
            for tile in (SMALL, 1024, 2048):
                settings = SuperpixelizeSettings(rasters=[raster], cache=folder, tile=tile)
                superpixelize(settings, client=client)
                print_row(f"after tiles of {tile}, and the most so far", processes)


@contextmanager
def started(command: list[str]) -> Iterator[int]:
    """Start a process, give its id, and stop it."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def print_row(when: str, processes: dict[str, int]) -> None:
    """Print what processes hold and held at most, in MiB."""
    held = []
    for process in processes.values():
        status = status_of(process)
        held.append(f"{status['VmRSS'] / MIB:.0f} / {status['VmHWM'] / MIB:.0f}")
    print(f"| {when} | " + " | ".join(held) + " |", flush=True)


def status_of(process: int | str) -> dict[str, int]:
    """Return the sizes that Linux tells of a process, in bytes."""
    lines = [line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines()]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[2:] == ["kB"]}


if __name__ == "__main__":
    main()
