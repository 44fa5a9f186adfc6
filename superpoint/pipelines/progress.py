"""Progress on the terminal: done, rate and time left, on standard error and only if someone is looking."""

from __future__ import annotations

from contextlib import contextmanager
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
