"""Chaos: whatever is done to a run, the next one ends with the same bytes and computes what is missing, no more.

    python benchmarks/chaos.py [--rounds 50] [--seed 0] [--start 0] [--only flip,worker] [--store local|s3|both]

Each round makes a small random scene or two, and superpixelizes them undisturbed, in this process, into a folder of
its own. Then `superpoint superpixelize` does the same into another cache, on a folder or an S3 server, in one process
or on a cluster, and is disturbed at a random moment:

    worker, client, everything   kill -9
    scheduler                    kill -9 of the Dask scheduler alone
    interrupt                    Ctrl-C
    cut                          for 2 to 6 s the object store refuses, drops or does not answer
    flip, truncate, delete       of chunks, ledger entries, metadata, scalings, parts, manifests, when nothing runs
    full                         the disk (a small tmpfs) is full
    two                          two clients at once on one cache, one of which may be killed

The same command is then given again. It must end with exit code 0, all objects of all label maps must have the bytes
of the undisturbed ones, with none missing and none too many; no object of a tile that was intact may have been written
again, and every tile that was not intact must have been. After half of the damages `superpoint cache verify` is asked
first; it must find the damaged tiles, all of them and no others. Whether a tile was intact is told from the bytes in
the cache, not from what a run says. A round's plan depends on `--seed` and its number alone; when exactly a kill hits
does not.

Prints a line a round and a table, and exits with 1 if anything did not hold. Needs Linux; `full` needs root.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import psutil
import rasterio

from superpoint.cache.stores import Store
from superpoint.errors import TilesFailedError
from superpoint.pipelines.care import cache_verify
from superpoint.pipelines.settings import CacheVerifySettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.scenes import make_scene

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import wreckage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

KINDS = (
    "worker", "client", "everything", "scheduler", "interrupt", "cut", "flip", "truncate", "delete", "full", "two"
)  # fmt: skip
DAMAGES = {"flip": wreckage.flip, "truncate": wreckage.truncate, "delete": wreckage.delete}
MOST_PRINTED = 8
LONGEST = 300.0  # seconds until a command counts as hung
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "chaos", "AWS_SECRET_ACCESS_KEY": "chaos", "AWS_REGION": "us-east-1"}
SERVER_LOG = "server.log"
STOPPED, QUARANTINED, FULL = 130, 3, 1  # exit codes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a round is about, all of it drawn from its seed."""

    number: int
    kind: str
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of each raster."""
    n_bands: int
    dtype: str
    has_holes: bool
    tile: int
    algorithm: str
    region_size: int
    sharding: bool
    scheduler: str
    """`inprocess`, `local:2`, or `cluster`: a Dask scheduler and two workers of the round's own."""
    store: str
    """`local` or `s3`."""
    moment: float
    """When it is disturbed: share of all ledger entries, 0 to 1."""

    @property
    def options(self) -> dict[str, Any]:
        """Settings of the runs, but for where they work."""
        return {
            "tile": self.tile,
            "algorithm": self.algorithm,
            "region_size": self.region_size,
            "sharding": self.sharding,
        }

    @property
    def flags(self) -> list[str]:
        """The same for the command line."""
        words = [f"--tile={self.tile}", f"--algorithm={self.algorithm}", f"--region-size={self.region_size}"]
        return [*words, "--sharding"] if self.sharding else words

    @property
    def n_tiles(self) -> int:
        """Tiles of all rasters together."""
        return sum(-(-rows // self.tile) * -(-cols // self.tile) for rows, cols in self.shapes)

    @property
    def grid(self) -> str:
        """Tiles of each raster in words."""
        return "+".join(f"{-(-rows // self.tile)}x{-(-cols // self.tile)}" for rows, cols in self.shapes)


@dataclass(kw_only=True)
class Result:
    """What came of a round."""

    plan: Plan
    n_done: int = 0
    """Tiles that were intact before the last run."""
    n_again: int = 0
    """Tiles that the last run computed."""
    n_twice: int = 0
    """Tiles that two clients both computed."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


# --- plans


def plans(rounds: range, seed: int, *, only: tuple[str, ...], store: str) -> Iterator[Plan]:
    """Yield the plans of rounds; the kinds take turns."""
    for number in rounds:
        rng = np.random.default_rng([seed, number])
        kind = only[number % len(only)]
        yield draw_plan(number, kind, rng, store=store)


def draw_plan(number: int, kind: str, rng: np.random.Generator, *, store: str) -> Plan:
    """Draw the plan of a round."""
    schedulers = {"worker": ("local:2", "cluster"), "scheduler": ("cluster",)}
    where = "s3" if kind == "cut" or (kind != "full" and rng.random() < 0.12) else "local"  # noqa: PLR2004  # moto is slow
    if store != "both":
        where = store
    is_small = where == "s3"
    n_rasters = 1 if is_small else int(rng.integers(1, 3))
    sides = (200, 420) if is_small else (200, 900)
    shapes = [(int(rng.integers(*sides)), int(rng.integers(*sides))) for _ in range(n_rasters)]
    largest = min(128 if is_small else 256, max(map(min, shapes)) // 2)  # two tiles at least in each direction
    tile = 16 * int(rng.integers(4, largest // 16 + 1))
    return Plan(
        number=number,
        kind=kind,
        shapes=tuple(shapes),
        n_bands=int(rng.integers(1, 5)),
        dtype=str(rng.choice(["uint8", "uint16", "float32"])),
        has_holes=bool(rng.random() < 0.7),  # noqa: PLR2004
        tile=tile,
        algorithm=str(rng.choice(["slic", "snic", "hers"], p=[0.7, 0.15, 0.15])),
        region_size=int(rng.integers(6, 15)),
        sharding=bool(rng.random() < 0.15),  # noqa: PLR2004
        scheduler=str(rng.choice(schedulers.get(kind, ("inprocess", "inprocess", "local:2", "cluster")))),
        store=where,
        moment=float(rng.uniform(0, 0.8)),
    )


def make_raster(path: Path, shape: tuple[int, int], plan: Plan, rng: np.random.Generator) -> None:
    """Write a made-up scene as a GeoTIFF, with nodata in holes and on a slant edge."""
    scene = make_scene(size=shape, seed=int(rng.integers(2**31))).image.astype(np.float32)
    bands: NDArray[Any] = np.concatenate([scene, scene[:2].mean(axis=0)[None]])[: plan.n_bands]
    bands = bands.clip(1) * {"uint8": 1, "uint16": 37, "float32": 0.01}[plan.dtype]
    nodata = -9999.0 if plan.dtype == "float32" else 0.0
    if plan.has_holes:
        rows, cols = np.indices(shape)
        for _ in range(int(rng.integers(1, 5))):
            row, col, size = rng.integers(shape[0]), rng.integers(shape[1]), rng.integers(10, 150)
            bands[:, (rows - row) ** 2 + 2 * (cols - col) ** 2 < size**2] = nodata
        bands[:, rows + 0.4 * cols < rng.uniform(0, 0.5) * shape[0]] = nodata
    profile = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.6, 0, 5e5, 0, -0.6, 5e6), "compress": "deflate"}
    profile["photometric"] = "minisblack"  # a fourth band is no alpha
    with rasterio.open(
        path, "w", driver="GTiff", count=plan.n_bands, height=shape[0], width=shape[1], dtype=plan.dtype,
        nodata=nodata if plan.has_holes else None, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(bands.astype(plan.dtype))


# --- the object store, and what stands before it


class Door:
    """A proxy before the object store that can be shut."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._how = "open"
        self._may_speak = asyncio.Event()
        self._may_speak.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(0), self._loop).result()

    def shut(self, how: str) -> None:
        """Refuse connections, drop them, or leave them without an answer."""
        asyncio.run_coroutine_threadsafe(self._shut(how), self._loop).result()

    def open(self) -> None:
        """Let everyone through again."""
        asyncio.run_coroutine_threadsafe(self._reopen(), self._loop).result()

    async def _listen(self, port: int) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def _shut(self, how: str) -> None:
        self._how = how
        if how == "silent":
            self._may_speak.clear()
            return
        if how == "refuse":
            self._server.close()
        self._hang_up()

    async def _reopen(self) -> None:
        if self._how == "refuse":
            await self._listen(self.port)
        if self._how == "silent":
            self._hang_up()
        self._may_speak.set()
        self._how = "open"

    def _hang_up(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._how == "drop":
            writer.transport.abort()
            return
        self._open.add(writer)
        with contextlib.suppress(OSError):
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            await asyncio.gather(self._pass(reader, behind_writer), self._pass(behind_reader, writer))
        self._open.discard(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                await self._may_speak.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@functools.cache
def object_server() -> tuple[Door, dict[str, str]]:
    """Start an S3 server for all rounds, and a door before it; return it and the environment of who goes through."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    Command(command, Path(tempfile.mkdtemp()) / SERVER_LOG)
    door = Door(port)
    os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
            break
        time.sleep(0.1)
    return door, CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{door.port}"}


def make_bucket(name: str) -> str:
    """Make a bucket and return its address."""
    object_server()
    request = urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{name}", method="PUT")  # noqa: S310  # our server
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
    return f"s3://{name}/cache"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


# --- processes


class Command(subprocess.Popen[bytes]):
    """A process in a group of its own, with its words in a file and its output in another."""

    running: ClassVar[list[Command]] = []

    def __init__(self, words: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as stderr, log.with_suffix(".out").open("wb") as stdout:
            super().__init__(
                words, stdout=stdout, stderr=stderr, start_new_session=True, env=os.environ | (environment or {})
            )
        self.running.append(self)

    def end(self) -> None:
        """Kill it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


class Cluster:
    """A Dask scheduler and two workers on loopback."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._dask = str(Path(sys.executable).with_name("dask"))
        self._folder, self._environment = folder, environment
        self.scheduler: Command | None = None
        self.workers: list[Command] = []
        self.address = f"tcp://127.0.0.1:{free_port()}"

    def mend(self) -> None:
        """Start what does not run."""
        quiet = ["--no-dashboard"]
        if self.scheduler is None or self.scheduler.poll() is not None:
            where = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
            self.scheduler = self._start("scheduler", [*where, *quiet])
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:  # noqa: PLR2004  # two cores
            one = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder), "--host", "127.0.0.1"]
            self.workers.append(self._start("worker", [self.address, *one, *quiet]))

    def end(self) -> None:
        """Kill all of it."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.end()

    def _start(self, what: str, words: list[str]) -> Command:
        return Command([self._dask, what, *words], self._folder / f"{what}.log", self._environment)


# --- a round


class Round:
    """A round on its way."""

    def __init__(self, plan: Plan, rng: np.random.Generator, folder: Path) -> None:
        self.plan, self.rng, self.folder = plan, rng, folder
        self.result = Result(plan=plan)
        self.rasters = [folder / f"scene-{number}.tif" for number in range(len(plan.shapes))]
        for path, shape in zip(self.rasters, plan.shapes, strict=True):
            make_raster(path, shape, plan, rng)
        self.environment: dict[str, str] = {}
        self.cache = str(folder / "cache")
        if plan.store == "s3":
            self.cache = make_bucket(f"round-{os.getpid()}-{plan.number}")
            self.environment = object_server()[1]
        self.cluster = Cluster(folder, self.environment)
        self.expected = self._undisturbed()
        self.n_entries = sum(".ledger/" in key and key.endswith(".json") for key in self.expected)
        if plan.algorithm != "slic" and plan.n_tiles > len(plan.shapes):
            self.n_entries *= 3  # windows and pieces have ledgers of their own

    def _undisturbed(self) -> wreckage.Objects:
        cache = self.folder / "undisturbed"
        superpixelize(SuperpixelizeSettings(rasters=self.rasters, cache=cache, **self.plan.options))
        return wreckage.objects_of(str(cache))

    def begin(self, scheduler: str | None = None) -> Command:
        """Start the command."""
        scheduler = scheduler or self.plan.scheduler
        if scheduler == "cluster":
            self.cluster.mend()
            scheduler = self.cluster.address
        words = [*map(str, self.rasters), "--cache", self.cache, *self.plan.flags, "--scheduler", scheduler, "--json"]
        number = len(list(self.folder.glob("client-*.log")))
        log = self.folder / f"client-{number}.log"
        return Command([sys.executable, "-m", "superpoint", "superpixelize", *words], log, self.environment)

    def wait_until(self, process: Command, moment: float) -> None:
        """Wait until a share of all ledger entries is there, or the process has ended."""
        wanted = max(1, round(moment * self.n_entries))
        deadline = time.monotonic() + LONGEST
        while process.poll() is None and time.monotonic() < deadline:
            if wreckage.n_entries(self.cache) >= wanted:
                return
            time.sleep(0.002 if self.plan.store == "local" else 0.05)

    def wait_for_runs(self, n_runs: int) -> None:
        """Wait until so many runs have begun."""
        deadline = time.monotonic() + LONGEST
        runs = Store(self.cache).child("runs")
        while len(runs.list_names()[0]) < n_runs and time.monotonic() < deadline:
            time.sleep(0.002 if self.plan.store == "local" else 0.05)

    def outcome(self, process: Command, allowed: tuple[int, ...], what: str) -> int:
        """Wait for a command and look at how it ended; return how many tiles it computed."""
        try:
            code = process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self.result.wrong.append(f"the {what} run hangs")
            process.end()
            return 0
        words = process.log.read_text()
        if code not in allowed:
            self.result.wrong.append(f"the {what} run ended with {code}: {words.strip()[-500:]}")
        if "Traceback" in words and code != -signal.SIGKILL:
            self.result.notes.append(f"traceback in the {what} run")
        if code != 0:
            self.result.notes.append(f"{what} run: exit {code}")
        out = process.log.with_suffix(".out").read_text()
        return sum(one["n_computed"] for one in json.loads(out)) if out.strip() else 0

    def settle(self) -> None:
        """Wait until nobody writes any more: workers that lost their client finish what they are at."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 1.0:
            if (now := wreckage.n_entries(self.cache)) != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    def run_again(self, damaged: dict[str, str], *, note: str = "") -> None:
        """Give the same command again, and judge."""
        before = wreckage.objects_of(self.cache)
        n_computed = self.outcome(self.begin(), (0,), f"last{note}")
        after = wreckage.objects_of(self.cache)
        self.result.wrong += wreckage.violations(before, after, self.expected, damaged=damaged, n_computed=n_computed)
        self.result.wrong += [f"verify still finds tile {tile} of {group}" for group, tile in self.verify()]
        self.result.n_done = len(wreckage.intact_tiles(before, self.expected, damaged))
        self.result.n_again = n_computed

    def verify(self) -> set[wreckage.TileName]:
        """Return the tiles of label maps that `superpoint cache verify` finds damaged."""
        try:
            checked = cache_verify(CacheVerifySettings(cache=self.cache))
        except TilesFailedError as error:
            checked = error.results
        return {
            (one.key, damage.tile)
            for one in checked
            for damage in one.damages
            if one.kind == "label-maps" and damage.tile and not damage.what.startswith(("windows: ", "pieces: "))
        }

    def litter(self) -> int:
        """Count what obstore leaves behind of files that were being written."""
        return sum("#" in path.name for path in Path(self.cache).rglob("*")) if self.plan.store == "local" else 0


def play(plan: Plan, seed: int, folder: Path) -> Result:
    """Play a round."""
    began = time.monotonic()
    rng = np.random.default_rng([seed, plan.number, 1])
    folder.mkdir(parents=True)
    n_before = len(Command.running)
    own = Round(plan, rng, folder)
    try:
        DISTURBANCES[plan.kind](own)
        if own.litter():
            own.result.notes.append(f"{own.litter()} half-written files left")
    finally:
        for process in Command.running[n_before:]:
            if process.log.name != SERVER_LOG:
                process.end()
    own.result.seconds = time.monotonic() - began
    return own.result


# --- disturbances


def kill_worker(own: Round) -> None:
    """Kill workers, one or two, one after the other; the run goes on."""
    process = own.begin()
    for number in range(int(own.rng.integers(1, 3))):
        own.wait_until(process, own.plan.moment * (1 + number) / 2)
        if own.plan.scheduler == "cluster":
            victim = own.cluster.workers[number]
            victim.end()
            own.cluster.mend()
        else:
            workers = [one for one in psutil.Process(process.pid).children(recursive=True) if is_worker(one)]
            if workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    workers[int(own.rng.integers(len(workers)))].kill()
    own.outcome(process, (0,), "disturbed")
    own.run_again({})


def is_worker(process: psutil.Process) -> bool:
    """Tell a worker of a local cluster from what else Python starts."""
    with contextlib.suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def kill_client(own: Round) -> None:
    """Kill the client; what it started may live a little longer."""
    process = own.begin()
    own.wait_until(process, own.plan.moment)
    process.kill()
    own.outcome(process, (0, -signal.SIGKILL), "disturbed")
    own.settle()
    own.run_again({})


def kill_everything(own: Round) -> None:
    """Kill the client and all workers."""
    process = own.begin()
    own.wait_until(process, own.plan.moment)
    process.end()
    own.cluster.end()
    own.outcome(process, (0, -signal.SIGKILL), "disturbed")
    own.run_again({})


def kill_scheduler(own: Round) -> None:
    """Kill the Dask scheduler; the client has to notice."""
    process = own.begin()
    own.wait_until(process, own.plan.moment)
    assert own.cluster.scheduler  # noqa: S101  # for mypy; the plan has one
    own.cluster.scheduler.end()
    own.outcome(process, (0, QUARANTINED), "disturbed")
    own.cluster.end()
    own.run_again({})


def interrupt(own: Round) -> None:
    """Press Ctrl-C: the whole foreground group hears it."""
    process = own.begin()
    own.wait_until(process, own.plan.moment)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    own.outcome(process, (0, STOPPED), "disturbed")
    own.settle()
    own.run_again({})


def cut(own: Round) -> None:
    """Cut the object store off for some seconds."""
    door, _ = object_server()
    process = own.begin()
    own.wait_until(process, own.plan.moment)
    how = str(own.rng.choice(["refuse", "drop", "silent"]))
    seconds = float(own.rng.uniform(2, 6))
    door.shut(how)
    time.sleep(seconds)
    door.open()
    own.result.notes.append(f"{how} for {seconds:.1f} s")
    own.outcome(process, (0, QUARANTINED), "disturbed")
    own.run_again({})


def spoil(own: Round) -> None:
    """Damage objects while nothing runs, of a cache that is whole or of a killed run."""
    process = own.begin()
    if own.plan.algorithm != "slic" or own.rng.random() < 0.5:  # noqa: PLR2004  # parts are only there on the way
        own.wait_until(process, own.plan.moment)
        process.end()
        own.cluster.end()
        own.outcome(process, (0, -signal.SIGKILL), "disturbed")
    else:
        own.outcome(process, (0,), "disturbed")
    damaged = wreckage.damage(own.cache, DAMAGES[own.plan.kind], own.rng, n_objects=int(own.rng.integers(1, 9)))
    kinds = sorted(damaged.values())
    own.result.notes.append(", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)))
    if own.rng.random() < 0.5:  # noqa: PLR2004
        look_at_verify(own, damaged)
    own.run_again(damaged)


def look_at_verify(own: Round, damaged: dict[str, str]) -> None:
    """Hold what `superpoint cache verify` finds against what was done; it must find it all, and nothing else."""
    before = wreckage.objects_of(own.cache)
    found = own.verify()
    expected = {
        tile
        for tile, key in wreckage.tiles_in(own.expected)
        if key in before
        and (key in damaged or any(one in damaged for one in wreckage.chunks_of(own.expected[key], tile)))
    }
    own.result.notes.append(f"verify finds {len(found)} tiles")
    own.result.wrong += [f"verify misses tile {tile} of {group}" for group, tile in sorted(expected - found)]
    own.result.wrong += [f"verify blames tile {tile} of {group}" for group, tile in sorted(found - expected)]
    if wreckage.objects_of(own.cache) != before:
        own.result.wrong.append("verify changed something")


def fill_disk(own: Round) -> None:
    """Let the disk be full half-way, and make room."""
    cache = Path(own.cache)
    cache.mkdir()
    page = 4096
    needed = sum(-(-len(kept.data) // page) * page for kept in own.expected.values())
    size = int(needed * own.rng.uniform(0.2, 0.8)) // page * page
    mounted = subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(cache)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        own.result.notes.append("skipped: a tmpfs cannot be mounted here")
        return
    try:
        own.outcome(own.begin(), (0, FULL), "disturbed")
        own.settle()
        subprocess.run(["/usr/bin/mount", "-o", f"remount,size={needed * 8 + 2**24}", str(cache)], check=True)
        own.settle()
        own.run_again({})
        own.result.notes.append(f"{size // 1024} of {needed // 1024} KiB")
    finally:
        own.cluster.end()
        subprocess.run(["/usr/bin/umount", "-l", str(cache)], check=True)


def run_two(own: Round) -> None:
    """Let two clients begin on one cache at the same moment; one of them may be killed."""
    other = str(own.rng.choice(["inprocess", "local:2", "cluster"]))
    processes = [own.begin()]
    own.wait_for_runs(1)
    os.killpg(processes[0].pid, signal.SIGSTOP)
    processes.append(own.begin(other))
    own.wait_for_runs(2)
    os.killpg(processes[0].pid, signal.SIGCONT)
    is_killed = bool(own.rng.random() < 0.3)  # noqa: PLR2004
    if is_killed:
        own.wait_until(processes[0], own.plan.moment)
        processes[0].kill()
    codes = ((0, -signal.SIGKILL) if is_killed else (0,)), (0,)
    computed = [
        own.outcome(process, allowed, f"{which} client's")
        for process, allowed, which in zip(processes, codes, ("first", "second"), strict=True)
    ]
    own.settle()
    if not is_killed:
        own.result.n_twice = sum(computed) - own.plan.n_tiles
        own.result.wrong += wreckage.differences(wreckage.objects_of(own.cache), own.expected)
    own.result.notes.append(f"with {other}, {computed[0]} and {computed[1]} tiles")
    own.run_again({})


DISTURBANCES: dict[str, Callable[[Round], None]] = {
    "worker": kill_worker,
    "client": kill_client,
    "everything": kill_everything,
    "scheduler": kill_scheduler,
    "interrupt": interrupt,
    "cut": cut,
    "flip": spoil,
    "truncate": spoil,
    "delete": spoil,
    "full": fill_disk,
    "two": run_two,
}


# --- what is printed


def line_of(result: Result) -> str:
    """Return a round in one line."""
    plan = result.plan
    holds = "yes" if not result.wrong else "NO"
    words = "; ".join(result.notes)
    return (
        f"{plan.number:3} {plan.kind:10} {plan.grid:>11} tiles of {plan.tile:<3} {plan.algorithm:4} "
        f"{plan.scheduler:9} {plan.store:5} done {result.n_done:3}, recomputed {result.n_again:3}, "
        f"identical {holds:3} {result.seconds:5.1f} s  {words}"
    )


def table_of(results: list[Result]) -> str:
    """Return a table with a row for each kind."""
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_kind[result.plan.kind].append(result)
    lines = [
        "| disturbance | rounds | joined | S3 | tiles | done before | computed again | computed twice | did not hold |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, some in [*by_kind.items(), ("all", results)]:
        n_tiles = sum(one.plan.n_tiles for one in some)
        numbers = [
            len(some),
            sum(one.plan.algorithm != "slic" for one in some),
            sum(one.plan.store == "s3" for one in some),
            n_tiles,
            sum(one.n_done for one in some),
            sum(one.n_again for one in some),
            sum(one.n_twice for one in some),
            sum(bool(one.wrong) for one in some),
        ]
        lines.append(f"| {kind} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    return "\n".join(lines)


def main() -> None:
    """Play the rounds, print lines and a table."""
    parser = argparse.ArgumentParser(description="Disturb runs in every way, and look what the next one makes of it.")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--start", type=int, default=0, help="number of the first round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds of disturbance, joined by commas")
    parser.add_argument("--store", choices=("local", "s3", "both"), default="both")
    parser.add_argument("--keep", type=Path, help="folder in which the rounds are kept that need a look")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell is deaf to it
    logging.getLogger("superpoint").setLevel(logging.ERROR)
    rounds = range(arguments.start, arguments.start + arguments.rounds)
    results = []
    place = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        for plan in plans(rounds, arguments.seed, only=tuple(arguments.only.split(",")), store=arguments.store):
            folder = place / str(plan.number)
            result = play(plan, arguments.seed, folder)
            results.append(result)
            print(line_of(result), flush=True)
            for wrong in result.wrong[:MOST_PRINTED]:
                print(f"      {wrong}", flush=True)
            if len(result.wrong) > MOST_PRINTED:
                print(f"      and {len(result.wrong) - MOST_PRINTED} more", flush=True)
            if arguments.keep and (result.wrong or "traceback" in " ".join(result.notes)):
                shutil.copytree(folder, arguments.keep / str(plan.number), dirs_exist_ok=True)
            shutil.rmtree(folder)
    finally:
        for process in Command.running:
            process.end()
        shutil.rmtree(place, ignore_errors=True)
    print(f"\n{table_of(results)}")
    sys.exit(any(result.wrong for result in results))


if __name__ == "__main__":
    main()
