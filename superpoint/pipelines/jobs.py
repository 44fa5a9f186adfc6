"""Tile jobs: the same function over many tiles, in this process, on a local cluster or on anyone's.

A job computes the arrays of one tile's core. What is around it is here: attempts, writing, the ledger. The loop
of `_here` defines what every cluster must equal.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from superpoint.cache.ledger import TileRecord
from superpoint.errors import InputError
from superpoint.pipelines.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    import numpy as np
    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.tiles import Tile

log = logging.getLogger("superpoint")

WINDOW_PER_THREAD = 4  # futures in flight for each thread of a cluster


class TileJob(Protocol):
    """All that a worker needs to know to compute one tile; small, and picklable."""

    @property
    def tile(self) -> Tile:
        """The tile."""
        ...

    @property
    def group(self) -> TiledGroup:
        """Where it is written."""
        ...

    def compute(self) -> tuple[Mapping[str, NDArray[np.generic]], dict[str, Any]]:
        """Return the arrays of the tile's core, and facts for the ledger."""
        ...


@contextmanager
def open_client(*, workers: int, scheduler: str | None) -> Iterator[Client | None]:
    """Give a Dask client of the cluster that is asked for; None means this process.

    Raises
    ------
    InputError
        If no scheduler answers at the address.
    """
    if scheduler is None and workers == 1:
        yield None
        return
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at {scheduler!r}; start one with: dask scheduler") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=30)
            except TimeoutError as error:
                raise InputError(f"the scheduler at {scheduler!r} has no workers; start one: dask worker") from error
            yield client
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def track_tiles(description: str, jobs: Sequence[TileJob], *, client: Client | None, retries: int) -> list[TileRecord]:
    """Run jobs with a progress bar in megapixels, and return the records in the order of their coming."""
    megapixels = {job.tile.name: job.tile.core.n_rows * job.tile.core.n_cols / 1e6 for job in jobs}
    records = []
    with progress(description, total=sum(megapixels.values()), unit="Mpx") as advance:
        for record in run_tiles(jobs, client=client, retries=retries):
            records.append(record)
            advance(megapixels[record.tile])
    return records


def run_tiles(jobs: Iterable[TileJob], *, client: Client | None, retries: int) -> Iterator[TileRecord]:
    """Run jobs and yield each tile's record as it comes.

    Parameters
    ----------
    jobs : iterable of TileJob
        Consumed as there is room: at most a few futures for each thread are in flight.
    client : distributed.Client or None
        None runs one job after another in this process.
    retries : int
        Further attempts at a tile that failed.

    Yields
    ------
    TileRecord
        Done or failed; a failure of one tile is never the others'.
    """
    for record in _here(jobs, retries) if client is None else _on_cluster(jobs, client, retries):
        if record.state == "failed":
            log.warning("tile %s failed after %d attempts: %s", record.tile, record.attempts, record.error)
        yield record


def _here(jobs: Iterable[TileJob], retries: int) -> Iterator[TileRecord]:
    with _remembered_interrupts() as raise_if_interrupted:
        for job in jobs:
            yield run_tile(job, retries)
            raise_if_interrupted()


@contextmanager
def _remembered_interrupts() -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C: Numba loses an interrupt that comes while it calls back into Python."""
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    def raise_if_interrupted() -> None:
        if came:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield raise_if_interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _on_cluster(jobs: Iterable[TileJob], client: Client, retries: int) -> Iterator[TileRecord]:
    from distributed import as_completed

    waiting = iter(jobs)
    n_threads = sum(client.nthreads().values()) or 1
    in_flight: dict[Any, TileJob] = {}

    def submit() -> Any:  # noqa: ANN401  # a future, or None when all jobs are out
        job = next(waiting, None)
        if job is None:
            return None
        future = client.submit(run_tile, job, retries, pure=False)
        in_flight[future] = job
        return future

    first = [future for future in (submit() for _ in range(WINDOW_PER_THREAD * n_threads)) if future is not None]
    completed = as_completed(first)
    for future in completed:
        job = in_flight.pop(future)
        error = future.exception()
        yield future.result() if error is None else _lost(job, error)
        following = submit()
        if following is not None:
            completed.add(following)


def run_tile(job: TileJob, retries: int) -> TileRecord:
    """Compute, write and record one tile; this is what a worker runs."""
    for attempt in range(1, retries + 2):
        started = time.perf_counter()
        try:
            arrays, facts = job.compute()
            written = job.group.write_tile(job.tile, arrays)
        except Exception as error:  # noqa: BLE001  # whatever a tile raises is that tile's failure, not the run's
            record = _failed(job, error, attempt, time.perf_counter() - started)
        else:
            record = TileRecord(
                tile=job.tile.name,
                state="done",
                attempts=attempt,
                seconds=round(time.perf_counter() - started, 3),
                checksum=written,
                facts=facts,
            )
            break
    job.group.ledger.write(record)
    return record


def _lost(job: TileJob, error: BaseException) -> TileRecord:
    """Record a tile whose worker died or could not start the job."""
    record = _failed(job, error, 1, 0.0)
    job.group.ledger.write(record)
    return record


def _failed(job: TileJob, error: BaseException, attempt: int, seconds: float) -> TileRecord:
    sentence = str(error) or type(error).__name__
    return TileRecord(tile=job.tile.name, state="failed", attempts=attempt, seconds=round(seconds, 3), error=sentence)
