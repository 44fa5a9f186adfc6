"""Jobs: functions of small arguments, in this process or on anyone's Dask cluster, so many at a time.

What is to be done with a raster is a *work*: an iterator of batches. The jobs of a batch are independent; the next
batch needs their results. Works are independent of each other, so that a cluster is busy with the tiles of one
raster while another one is being opened. The loop of `_here` defines what every cluster must equal.

A failure is the job's own: `attempt` tries again what may pass, and whoever collects the results decides what is
left out. Only a full disk stops everything.
"""

from __future__ import annotations

import logging
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Protocol, cast

from superpoint.cache.ledger import TileRecord
from superpoint.cache.stores import is_transient
from superpoint.errors import DiskFullError, InputError, SuperpointError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from distributed import Client, Future
    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.tiles import Tile

log = logging.getLogger("superpoint")

LOCAL = "local:"  # how a cluster on this machine is asked for, with the number of its workers
JOBS_PER_THREAD = 4  # in flight for each thread of a cluster
# Dask tells workers to give memory back at once, and every tile then waits for the same pages anew: 1.3 times as long.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**30, "MALLOC_MMAP_THRESHOLD_": 2**30, "MALLOC_TOP_PAD_": 2**26}
_SPAWN = "distributed.nanny.pre-spawn-environ"
LONGEST_PAUSE = 30.0  # seconds between two attempts
COUNT_THREADS_EVERY = 5.0  # seconds: workers come and go


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How jobs are done."""

    run: str = ""
    """Id of the run."""
    retries: int = 2
    """Further attempts at what may pass: a store or server that did not answer, a read that failed."""
    timeout: float | None = None
    """Longest time of one attempt in seconds."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled before each further one."""


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


@dataclass(frozen=True, kw_only=True)
class Batch[Job, Result]:
    """Independent jobs."""

    jobs: Iterable[Job]
    """Consumed as there is room."""
    call: Callable[[Job, Conduct], Result]
    """What a worker runs; a function of a module."""
    lost: Callable[[Job, BaseException], Result]
    """What comes of a job whose worker died."""
    collect: Callable[[Result], None]
    """Takes each result, as it comes."""


type Work = Iterator[Batch[Any, Any]]
type Stage[Result] = Generator[Batch[Any, Any], None, Result]
"""Part of a work, that returns something."""


def drive(works: Iterable[Work], *, client: Client | None, conduct: Conduct) -> None:
    """Do works, all batches of each in order.

    Parameters
    ----------
    works : iterable of Work
        Begun as there is room.
    client : distributed.Client or None
        None runs one job after another in this process.
    conduct : Conduct
        Handed to every job.

    Raises
    ------
    DiskFullError
        If there is no space left for results.
    UnreachableError
        If the cluster's scheduler is gone.
    """
    if client is None:
        _here(works, conduct)
    else:
        _on_cluster(works, client, conduct)


def _here(works: Iterable[Work], conduct: Conduct) -> None:
    for work in works:
        for batch in work:
            for job in batch.jobs:
                batch.collect(batch.call(job, conduct))


@dataclass(kw_only=True)
class _Course:
    """A work on its way."""

    work: Work
    batch: Batch[Any, Any] | None = None
    jobs: Iterator[Any] = field(default_factory=lambda: iter(()))
    n_out: int = 0
    """Jobs that were handed out and have not come back."""
    is_over: bool = False

    def next_job(self) -> tuple[Batch[Any, Any], Any] | None:
        """Return the next job; None if there is none before others have come back, or none at all."""
        while not self.is_over:
            for job in self.jobs:
                self.n_out += 1
                return self.batch, job  # type: ignore[return-value]  # jobs are a batch's
            if self.n_out:
                return None
            self.batch = next(self.work, None)
            self.is_over = self.batch is None
            self.jobs = iter(self.batch.jobs if self.batch else ())
        return None


def _on_cluster(works: Iterable[Work], client: Client, conduct: Conduct) -> None:
    from distributed import as_completed

    waiting = iter(works)
    courses: list[_Course] = []
    in_flight: dict[Future[Any], tuple[_Course, Batch[Any, Any], Any]] = {}
    with client.as_current():  # which need not be the default one
        completed = as_completed()
    room = _Room(client)
    try:
        while True:
            while len(in_flight) < room.now() and (found := _next_job(courses, waiting)):
                course, batch, job = found
                with _scheduler_asked():
                    future = client.submit(batch.call, job, conduct, pure=False)
                in_flight[future] = found
                completed.add(future)
            if not in_flight:
                return
            with _scheduler_asked():
                future = next(completed)
            course, batch, job = in_flight.pop(future)
            course.n_out -= 1
            batch.collect(_result(future, batch, job))
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.cancel(list(in_flight))


def _next_job(courses: list[_Course], waiting: Iterator[Work]) -> tuple[_Course, Batch[Any, Any], Any] | None:
    """Return the next job of the first work that has one, beginning another work if none has."""
    for course in courses:
        found = course.next_job()
        if found:
            return course, *found
    courses[:] = [course for course in courses if not course.is_over]
    for work in waiting:
        courses.append(_Course(work=work))
        found = courses[-1].next_job()
        if found:
            return courses[-1], *found
    return None


def _result(future: Future[Any], batch: Batch[Any, Any], job: Any) -> Any:  # noqa: ANN401  # a batch's own types
    with _scheduler_asked():
        if future.cancelled():
            raise CancelledError
        error = future.exception()
        if error is None:
            return future.result()
    if isinstance(error, DiskFullError):
        raise error
    return batch.lost(job, error)


@contextmanager
def _scheduler_asked() -> Iterator[None]:
    """Say in one sentence that the scheduler is gone."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise UnreachableError(
            "the Dask scheduler is gone; what is done is kept, run the same command to go on"
        ) from error


class _Room:
    """How many jobs may be in flight."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._counted = 0.0
        self._room = 0

    def now(self) -> int:
        if time.monotonic() - self._counted > COUNT_THREADS_EVERY:
            with _scheduler_asked():
                self._room = JOBS_PER_THREAD * (sum(self._client.nthreads().values()) or 1)
            self._counted = time.monotonic()
        return self._room


@dataclass(frozen=True, kw_only=True)
class Outcome[Result]:
    """What came of a job."""

    value: Result | None = None
    error: BaseException | None = None
    """Why there is no value."""
    attempts: int = 1
    seconds: float = 0.0
    """Time of the last attempt."""

    @property
    def reason(self) -> str:
        """The error in one sentence."""
        return " ".join(str(self.error).split()) or type(self.error).__name__


def attempt[Result](call: Callable[[], Result], conduct: Conduct) -> Outcome[Result]:
    """Call something, again if what failed may pass.

    Raises
    ------
    DiskFullError
        If that is why; trying again fills no gap.
    """
    for number in range(1, conduct.retries + 2):
        started = time.perf_counter()
        try:
            value = within(conduct.timeout, call)
        except Exception as error:  # whatever a job raises is its own failure, not the run's
            log.debug("attempt %d failed", number, exc_info=True)
            outcome = Outcome[Result](error=_plain(error), attempts=number, seconds=time.perf_counter() - started)
            if isinstance(error, DiskFullError) or number > conduct.retries or not is_transient(error):
                break
            time.sleep(min(LONGEST_PAUSE, conduct.pause * 2 ** (number - 1)))
        else:
            return Outcome(value=value, attempts=number, seconds=time.perf_counter() - started)
    if isinstance(outcome.error, DiskFullError):
        raise outcome.error
    return outcome


def _plain(error: Exception) -> Exception:
    """Return an error without what led to it: GDAL's errors come out of a pickle as another error."""
    if isinstance(error, SuperpointError):
        return type(error)(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def run_tile(job: TileJob, conduct: Conduct) -> TileRecord:
    """Compute, write and record one tile, unless another run did meanwhile; this is what a worker runs."""
    if meanwhile := attempt(lambda: _done(job), conduct).value:
        return meanwhile

    def write() -> TileRecord:
        arrays, facts = job.compute()
        chunks = job.group.write_tile(job.tile, arrays)
        return _record(job, conduct, state="done", chunks=chunks, facts=facts)

    outcome = attempt(write, conduct)
    if outcome.value is None:
        # What another run did in the same time stands.
        if meanwhile := attempt(lambda: _done(job), conduct).value:
            return meanwhile
        record = _failed(job, conduct, outcome)
    else:
        record = replace(outcome.value, attempts=outcome.attempts, seconds=round(outcome.seconds, 3))
    entered = attempt(lambda: job.group.ledger.write(record), conduct)
    # What is not in the ledger is not done.
    return record if entered.error is None else _failed(job, conduct, entered)


def tiles_of[T: TileJob](jobs: Iterable[T], collect: Callable[[TileRecord], None]) -> Batch[T, TileRecord]:
    """Return the batch of the jobs of tiles."""
    return Batch(jobs=jobs, call=run_tile, lost=lost_tile, collect=collect)


def lost_tile(job: TileJob, error: BaseException) -> TileRecord:
    """Record a tile whose worker died, as often as Dask tried, unless it was written all the same."""
    with suppress(SuperpointError):
        if meanwhile := _done(job):
            return meanwhile
    sentence = f"the worker died or could not start the job: {_first_line(error)}"
    record = _record(job, Conduct(), state="failed", error=sentence)
    with suppress(SuperpointError):
        job.group.ledger.write(record)
    return record


def _done(job: TileJob) -> TileRecord | None:
    """Return the record of a tile that is done and intact, whoever did it."""
    record = job.group.ledger.read(job.tile)
    return record if record and record.state == "done" and not job.group.damage(record) else None


def _failed(job: TileJob, conduct: Conduct, outcome: Outcome[Any]) -> TileRecord:
    return replace(
        _record(job, conduct, state="failed", error=outcome.reason),
        attempts=outcome.attempts,
        seconds=round(outcome.seconds, 3),
    )


def _record(job: TileJob, conduct: Conduct, **fields: Any) -> TileRecord:  # noqa: ANN401  # fields of the record
    return TileRecord(
        tile=job.tile.name,
        attempts=1,
        seconds=0.0,
        finished=round(time.time(), 3),
        run=conduct.run,
        host=socket.gethostname(),
        **fields,
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class _Hand:
    """A thread that works for another one, which can stop waiting for it: neither GDAL nor Numba can be interrupted."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Outcome[Any]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="superpoint-hand", daemon=True).start()

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                self._answers.put(Outcome(value=call()))
            except BaseException as error:  # noqa: BLE001  # raised where the call came from
                self._answers.put(Outcome(error=error))
            del call

    def do[Result](self, call: Callable[[], Result], seconds: float | None) -> Result:
        self._calls.put(call)
        outcome: Outcome[Any] = self._answers.get(timeout=seconds)
        if outcome.error is not None:
            raise outcome.error
        return cast("Result", outcome.value)


_own = threading.local()


def within[Result](seconds: float | None, call: Callable[[], Result]) -> Result:
    """Call something in a thread that is left behind if it takes too long.

    Raises
    ------
    InputError
        If it does.
    """
    hand: _Hand = getattr(_own, "hand", None) or _Hand()
    _own.hand = None
    try:
        result = hand.do(call, seconds)
    except queue.Empty:
        raise InputError(f"took longer than {seconds:g} seconds; look at the raster there, or give --timeout") from None
    except Exception:
        _own.hand = hand
        raise
    _own.hand = hand
    return result


@contextmanager
def open_client(scheduler: str, *, client: Client | None = None) -> Iterator[Client | None]:
    """Give a Dask client of the cluster that is asked for; None means this process.

    Parameters
    ----------
    scheduler : str
        `inprocess`, `local:N` for N worker processes on this machine, or the address of a scheduler.
    client : distributed.Client, optional
        To use instead, and to leave open.

    Raises
    ------
    InputError
        If no scheduler answers at the address.
    """
    if client is not None or scheduler == "inprocess":
        yield client
    elif scheduler.startswith(LOCAL):
        with _local_client(int(scheduler.removeprefix(LOCAL))) as own:
            yield own
    else:
        with _client_of(scheduler) as remote:
            yield remote


def threads_a_worker(cluster: str) -> int | None:
    """Return how many threads each worker of a cluster on this machine may take; None if it is not known, or all."""
    from dask.system import CPU_COUNT

    return max(1, CPU_COUNT // int(cluster.removeprefix(LOCAL))) if cluster.startswith(LOCAL) else None


@contextmanager
def _client_of(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}; start one with: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=30)
        except TimeoutError:  # a cluster may grow with its work, from nothing
            log.warning("the scheduler at %r has no workers yet, waiting; start one: dask worker %s", address, address)
        yield client


@contextmanager
def _local_client(n_workers: int) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    environment = {f"{_SPAWN}.{name}": value for name, value in KEEP_MEMORY.items()}
    # Ctrl-C reaches the whole process group; the client alone should stop the workers.
    with _deaf_to_interrupts(), dask.config.set(environment):
        cluster = LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.ERROR
        )
    # Dask gives up a worker for good that was away for 15 seconds: one that dies again soon after it was started again.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}), cluster, Client(cluster) as client:
        yield client


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start threads and processes that Ctrl-C does not reach; one that comes meanwhile is this thread's afterwards."""
    resource_tracker.ensure_running()  # where it starts later, it lets signals through again in that thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
