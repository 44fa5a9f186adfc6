"""Progress on the terminal: done, rate and time left, on standard error and only if someone is looking."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from superpoint.cache.runs import Progress as RunProgress

log = logging.getLogger("superpoint")
console = Console(stderr=True)


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s", style="progress.data.speed")


@contextmanager
def progress(description: str, *, total: float, unit: str) -> Iterator[Callable[[float], None]]:
    """Show a bar and give a function that moves it on.

    Parameters
    ----------
    description : str
        What is being done.
    total : float
        How much there is to do, in units.
    unit : str
        Name of the unit, as `Mpx`.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), _Rate(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, unit=unit)
        yield lambda amount: bar.advance(task, amount)


type Shown = Callable[[RunProgress], None]

LINE_EVERY = 60.0  # seconds between lines where no one is looking, as in the log of a cluster's job


@contextmanager
def live_progress(description: str) -> Iterator[Shown]:
    """Show how far a run over many rasters is: a bar on a terminal, a line a minute elsewhere.

    Parameters
    ----------
    description : str
        What is being done.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[words]}"),
    )  # fmt: skip
    last = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None, words="")

        def show(progress: RunProgress) -> None:
            nonlocal last
            left = progress.eta_seconds
            total = None if left is None else progress.megapixels + left * progress.mpx_per_s
            bar.update(task, total=total, completed=progress.megapixels, words=in_words(progress))
            if not console.is_terminal and time.monotonic() - last > LINE_EVERY:
                last = time.monotonic()
                log.info("%s: %s", description, in_words(progress))

        yield show


def in_words(progress: RunProgress) -> str:
    """Say how far a run is."""
    ended = progress.n_rasters_done + progress.n_rasters_quarantined
    words = [
        f"{ended}/{progress.n_rasters} rasters",
        f"{progress.n_tiles_done:,}/{progress.n_tiles:,} tiles",
        f"{progress.mpx_per_s:.1f} Mpx/s",
    ]
    if progress.eta_seconds is not None:
        words.append(f"ETA {timedelta(seconds=round(progress.eta_seconds))}")
    if progress.n_tiles_failed or progress.n_rasters_quarantined:
        words.append(
            f"{progress.n_tiles_failed:,} tiles failed, {progress.n_rasters_quarantined:,} rasters quarantined"
        )
    return ", ".join(words)
