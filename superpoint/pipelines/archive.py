"""A run as it goes: what became of each raster is written down, progress is shown, and what failed is quarantined."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from superpoint.cache.runs import Progress, RasterRow, RunFolder, begin_run, now_text
from superpoint.errors import SuperpointError, TilesFailedError, UnreachableError
from superpoint.pipelines.jobs import Conduct, attempt
from superpoint.pipelines.progress import live_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from distributed import Client

    from superpoint.cache.inputs import Source
    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.stores import Store
    from superpoint.pipelines.progress import Shown

log = logging.getLogger("superpoint")

BEAT = 2.0  # seconds between two reports of progress
PATIENCE = Conduct(retries=4)  # of what the client itself writes
MOST_LISTED = 1000  # failed tiles of a raster that its row lists
MOST_SAID = 20  # of these, that are told of one by one


@dataclass(kw_only=True)
class Entry:
    """One raster of a run on its way."""

    archive: Archive
    row: RasterRow
    began: float = field(default_factory=time.perf_counter)
    n_megapixels: float = 0.0
    failed: list[TileRecord] = field(default_factory=list)
    n_computed: int = 0

    def update(self, **fields: Any) -> None:  # noqa: ANN401  # fields of the row
        """Change what is known of the raster, and keep it."""
        self.row = replace(self.row, **fields)
        self.archive.keep(self.row)

    def add(self, record: TileRecord, *, megapixels: float, is_label: bool) -> None:
        """Take in a tile of one of the rounds; `is_label` tells that it is one of the label map."""
        is_ours = record.run == self.archive.folder.run
        if record.state == "failed":
            self.failed.append(record)
        elif is_label and is_ours:
            self.n_computed += 1
        self.archive.add_tile(record, megapixels=megapixels if is_ours else 0.0, is_label=is_label)

    def refuse_failed(self, n_tiles: int, path: str) -> None:
        """Raise if tiles failed, and say which.

        Raises
        ------
        TilesFailedError
            If so.
        """
        for record in self.failed[:MOST_SAID]:
            attempts = f"{record.attempts} attempt" + ("s" if record.attempts > 1 else "")
            log.warning("tile %s of %s failed after %s: %s", record.tile, self.row.name, attempts, record.error)
        if self.failed:
            raise TilesFailedError(
                f"{len(self.failed)} of {n_tiles} tiles of {self.row.raster} failed (reasons above and in the ledger "
                f"beside {path}); the others are done, run the same command to try again"
            )

    def forget_failed(self) -> None:
        """Take back what failed: another run did it meanwhile."""
        self.archive.forget_failed(len(self.failed))
        self.failed.clear()

    def finish(self, **fields: Any) -> None:  # noqa: ANN401  # fields of the row
        """Say that the raster is done."""
        self._end(state="done", **fields)
        self.archive.n_done += 1

    def quarantine(self, error: Exception) -> None:
        """Quarantine the raster; the others go on."""
        reason = " ".join(str(error).split()) or type(error).__name__
        failed = tuple((record.tile, record.error or "") for record in self.failed[:MOST_LISTED])
        # What cannot be written down now is found in the ledgers; the store may not answer at all.
        with suppress(UnreachableError):
            self._end(state="quarantined", reason=reason, n_failed=len(self.failed), failed_tiles=failed)
        self.archive.failures.append((self.row, error))
        if not self.archive.is_single:
            log.warning("quarantined: %s", self.row.sentence)

    def _end(self, **fields: Any) -> None:  # noqa: ANN401  # fields of the row
        seconds = round(time.perf_counter() - self.began, 3)
        self.update(n_computed=self.n_computed, seconds=seconds, finished=now_text(), **fields)


MOST_ALIKE = 3  # rasters that are warned of by name for the same reason


class Archive:
    """A run over many rasters."""

    def __init__(self, folder: RunFolder, *, n_rasters: int, n_done: int) -> None:
        self.folder = folder
        self.failures: list[tuple[RasterRow, Exception]] = []
        self.n_done = self._n_before = n_done
        self.hosts: set[str] = set()
        self._n_rasters = n_rasters
        self._n_tiles = self._n_tiles_done = self._n_tiles_failed = 0
        self._megapixels = self._expected = 0.0
        self._began = time.monotonic()
        self._warned: Counter[str] = Counter()

    @property
    def is_single(self) -> bool:
        """Whether the run was asked for a single raster, whose failure is the run's."""
        return self._n_rasters == 1

    def begin(self, number: int, *, raster: str, name: str) -> Entry:
        """Begin with a raster."""
        row = RasterRow(number=number, raster=raster, name=name, state="running", started=now_text())
        with suppress(UnreachableError):  # no reason to stop the others
            self.keep(row)
        return Entry(archive=self, row=row)

    def keep(self, row: RasterRow) -> None:
        """Write down what is known of a raster, even if the store does not answer for some seconds."""
        outcome = attempt(lambda: self.folder.write_row(row), PATIENCE)
        if outcome.error is not None:
            raise outcome.error

    def warn(self, sentence: str, raster: str) -> None:
        """Warn of something about a raster; of many rasters alike, of the first few."""
        kind = sentence.replace(raster, "")
        self._warned[kind] += 1
        if self._warned[kind] <= MOST_ALIKE:
            log.warning("%s", sentence)

    def tell_of_the_rest(self) -> None:
        """Say how many rasters more there were of each kind that was warned of."""
        for kind, count in self._warned.items():
            if count > MOST_ALIKE:
                log.warning("%d more rasters alike: ...%s", count - MOST_ALIKE, kind)

    def expect(self, *, n_tiles: int, n_tiles_done: int, megapixels: float) -> None:
        """Take in a raster that was opened: its tiles, those done already, and what is to be computed."""
        self._n_tiles += n_tiles
        self._n_tiles_done += n_tiles_done
        self._expected += megapixels

    def add_tile(self, record: TileRecord, *, megapixels: float, is_label: bool) -> None:
        """Take in a tile."""
        if record.host:
            self.hosts.add(record.host)
        self._megapixels += megapixels
        if record.state == "failed":
            self._n_tiles_failed += 1
        elif is_label:
            self._n_tiles_done += 1

    def forget_failed(self, n_tiles: int) -> None:
        """Take back tiles that failed."""
        self._n_tiles_failed -= n_tiles

    def progress(self) -> Progress:
        """Return how far the run is."""
        seconds = time.monotonic() - self._began
        rate = self._megapixels / seconds if seconds else 0.0
        n_begun = self.n_done - self._n_before + len(self.failures)
        n_todo = self._n_rasters - self._n_before
        # Rasters that were not opened yet count as the mean of those that were.
        total = self._expected * max(1.0, n_todo / n_begun) if n_begun else self._expected
        left = max(0.0, total - self._megapixels)
        return Progress(
            updated=now_text(),
            n_rasters=self._n_rasters,
            n_rasters_done=self.n_done,
            n_rasters_quarantined=len(self.failures),
            n_tiles=self._n_tiles,
            n_tiles_done=self._n_tiles_done,
            n_tiles_failed=self._n_tiles_failed,
            megapixels=round(self._megapixels, 3),
            seconds=round(seconds, 3),
            mpx_per_s=round(rate, 3),
            eta_seconds=round(left / rate, 1) if rate else None,
        )

    def refuse_failures(self, results: Any) -> None:  # noqa: ANN401  # whatever was asked for
        """Raise what stands for all failures, if there are any.

        Raises
        ------
        SuperpointError
            The error itself, if there is but one raster.
        TilesFailedError
            Else, with the results of the others.
        """
        if not self.failures:
            return
        row, error = self.failures[0]
        again = (
            f"see them with: superpoint status {self.folder.run}; try again with: superpoint retry {self.folder.run}"
        )
        if not self.is_single:
            n_failed = len(self.failures)
            are = "is" if n_failed == 1 else "are"
            raise TilesFailedError(
                f"{n_failed} of {self._n_rasters} rasters {are} quarantined, the others are done; {again}",
                results=results,
            )
        if isinstance(error, SuperpointError):
            raise error
        raise TilesFailedError(f"{row.raster} failed: {row.reason}; {again}", results=results) from error


@contextmanager
def archive_run(
    cache: Store | str,
    *,
    command: str,
    settings: Mapping[str, Any],
    inputs: Sequence[tuple[Source, Path | None]],
    n_todo: int,
    client: Client | None,
    run: str | None = None,
) -> Iterator[Archive]:
    """Write down a run over rasters while it goes, and how it ended."""
    folder = begin_run(cache, command=command, settings=settings, n_rasters=len(inputs), run=run)
    if run is None:
        folder.write_inputs(inputs)
    archive = Archive(folder, n_rasters=len(inputs), n_done=len(inputs) - n_todo)
    _announce(archive, client)
    state = "failed"
    try:
        with live_progress(command) as shown, _heartbeat(archive, shown):
            yield archive
        archive.tell_of_the_rest()
        state = "quarantined" if archive.failures else "done"
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        with suppress(SuperpointError):  # the disk may be full, the store gone: the error that says so goes on
            attempt(lambda: _end(archive, state, client), Conduct())


def _announce(archive: Archive, client: Client | None) -> None:
    n_rasters = archive.progress().n_rasters
    rasters = f"{n_rasters:,} raster" + ("s" if n_rasters > 1 else "")
    log.info("run %s, %s; how far it is: superpoint status %s", archive.folder.run, rasters, archive.folder.run)
    if client and find_spec("bokeh"):  # without it there is a page that says so
        log.info("Dask dashboard: %s", client.dashboard_link)


def _end(archive: Archive, state: str, client: Client | None) -> None:
    manifest = archive.folder.manifest()
    progress = archive.progress()
    last = {**manifest["goes"][-1], "ended": now_text(), "seconds": progress.seconds, "state": state}
    rows = list(archive.folder.rows())
    manifest |= {
        "state": state,
        "goes": [*manifest["goes"][:-1], last],
        "ended": last["ended"],
        "seconds": round(sum(go.get("seconds", 0.0) for go in [*manifest["goes"][:-1], last]), 3),
        "hosts": sorted({*manifest.get("hosts", []), *archive.hosts}),
        "n_hosts": len({*manifest.get("hosts", []), *archive.hosts}),
        "n_threads": _n_threads(client) if client else 1,
        "rasters": {word: sum(row.state == word for row in rows) for word in ("done", "quarantined", "running")},
        "failures": [{"raster": row.raster, "reason": row.reason} for row in rows if row.state == "quarantined"],
    }
    archive.folder.write_progress(progress)
    archive.folder.write_summary(rows)
    archive.folder.write_manifest(manifest)


def _n_threads(client: Client) -> int:
    """Return how many threads a cluster has; 0 if its scheduler is gone."""
    with suppress(OSError):
        return sum(client.nthreads().values()) if client.status == "running" else 0
    return 0


@contextmanager
def _heartbeat(archive: Archive, shown: Shown) -> Iterator[None]:
    """Show and keep how far the run is, every few seconds, from a thread of its own: a job may take long."""
    over = threading.Event()

    def beat() -> None:
        while True:
            with suppress(Exception):  # the work itself says so, if it lasts; a run that is not heard of seems dead
                shown(archive.progress())
                archive.folder.write_progress(archive.progress())
            if over.wait(BEAT):
                return

    thread = threading.Thread(target=beat, name="superpoint-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        shown(archive.progress())
