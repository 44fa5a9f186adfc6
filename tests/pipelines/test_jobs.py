"""Works and their batches, in this process and on a cluster."""

from __future__ import annotations

import errno
import pickle
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from distributed import Client
from rasterio._err import CPLE_AppDefinedError

from superpoint.errors import DiskFullError, InputError, UnreachableError
from superpoint.pipelines.jobs import JOBS_PER_THREAD, Batch, Conduct, Outcome, Work, attempt, drive, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HASTE = Conduct(retries=3, pause=0.001)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0", set_as_default=False
    ) as client:
        yield client


@pytest.fixture(params=["here", "cluster"])
def client(request: pytest.FixtureRequest) -> Client | None:
    return None if request.param == "here" else request.getfixturevalue("cluster")


@dataclass(frozen=True)
class Square:
    number: int


def square(job: Square, conduct: Conduct) -> int:
    if job.number < 0:
        raise DiskFullError(f"no space left in {conduct.run}")
    return job.number**2


def lost(job: Square, error: BaseException) -> int:
    raise AssertionError(job) from error


def squares(numbers: Iterator[int] | range, collect: Callable[[int], object]) -> Batch[Square, int]:
    return Batch(jobs=(Square(number) for number in numbers), call=square, lost=lost, collect=collect)


def test_every_job_of_every_work_is_done_once(client: Client | None) -> None:
    found: list[list[int]] = [[] for _ in range(7)]
    drive([iter([squares(range(n), found[n].append)]) for n in range(7)], client=client, conduct=HASTE)
    assert [sorted(some) for some in found] == [[k**2 for k in range(n)] for n in range(7)]


def test_a_batch_begins_when_the_one_before_has_come_back_whole(client: Client | None) -> None:
    sums: list[int] = []

    def work(n: int) -> Work:
        found: list[int] = []
        yield squares(range(n), found.append)
        assert sorted(found) == [k**2 for k in range(n)]
        yield squares(range(sum(found), sum(found) + 1), sums.append)

    drive((work(n) for n in range(20)), client=client, conduct=HASTE)
    assert sorted(sums) == sorted(sum(k**2 for k in range(n)) ** 2 for n in range(20))


def test_jobs_and_works_are_made_as_there_is_room(cluster: Client) -> None:
    made, back = 0, 0
    ahead: list[int] = []

    def numbers() -> Iterator[int]:
        nonlocal made
        for number in range(30):
            made += 1
            ahead.append(made - back)
            yield number

    def collect(_: int) -> None:
        nonlocal back
        back += 1

    drive((iter([squares(numbers(), collect)]) for _ in range(10)), client=cluster, conduct=HASTE)
    assert (made, back) == (300, 300)
    assert max(ahead) <= 2 * JOBS_PER_THREAD + 1


def test_a_full_disk_stops_everything(client: Client | None) -> None:
    with pytest.raises(DiskFullError, match="no space left in there"):
        drive([iter([squares(range(-1, 3), print)])], client=client, conduct=Conduct(run="there"))


@pytest.mark.parametrize("error", [UnreachableError("no answer"), ConnectionResetError(), OSError(errno.EIO, "bad")])
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    failures = [error, error]

    def call() -> str:
        if failures:
            raise failures.pop()
        return "there"

    outcome = attempt(call, HASTE)
    assert (outcome.value, outcome.error, outcome.attempts) == ("there", None, 3)


@pytest.mark.parametrize("error", [InputError("damaged"), ValueError("a bug"), FileNotFoundError(), MemoryError()])
def test_what_will_not_pass_is_tried_once(error: Exception) -> None:
    def call() -> None:
        raise error

    outcome = attempt(call, HASTE)
    assert (outcome.value, outcome.attempts) == (None, 1)
    assert str(error) in outcome.reason


def test_what_never_passes_is_given_up_after_the_retries() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise UnreachableError("no\n  answer")

    outcome = attempt(call, HASTE)
    assert (len(calls), outcome.attempts, outcome.reason) == (4, 4, "no answer")


def test_a_call_that_takes_too_long_is_left_behind_and_the_next_one_is_done() -> None:
    forever = threading.Event()
    with pytest.raises(
        InputError, match=r"took longer than 0\.05 seconds; look at the raster there, or give --timeout"
    ):
        within(0.05, forever.wait)
    assert within(5, lambda: "next") == "next"
    forever.set()


def test_calls_of_one_thread_share_a_thread_and_errors_come_back() -> None:
    names = {within(5, lambda: threading.current_thread().name) for _ in range(3)}
    idents = {within(5, threading.get_ident) for _ in range(3)}
    assert len(idents) == len(names) == 1
    assert idents != {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    assert {within(5, threading.get_ident)} == idents


def test_an_error_comes_out_of_a_pickle_as_it_went_in_whatever_led_to_it() -> None:
    def call() -> None:
        try:
            raise CPLE_AppDefinedError(1, 1, "from GDAL")  # noqa: TRY301  # as rasterio does
        except CPLE_AppDefinedError as error:
            raise InputError("damaged") from error

    error = pickle.loads(pickle.dumps(attempt(call, HASTE))).error  # noqa: S301  # our own
    assert (type(error), str(error), error.__cause__) == (InputError, "damaged", None)


def test_the_pauses_between_attempts_grow() -> None:
    times: list[float] = []

    def call() -> None:
        times.append(time.perf_counter())
        raise UnreachableError("no answer")

    attempt(call, Conduct(retries=2, pause=0.02))
    assert times[1] - times[0] >= 0.02
    assert times[2] - times[1] >= 0.04


def test_the_reason_of_an_outcome_is_one_line() -> None:
    reasons: list[Any] = [Outcome[Any](error=error).reason for error in (ValueError("a\n b"), KeyError(), OSError())]
    assert reasons == ["a b", "KeyError", "OSError"]
