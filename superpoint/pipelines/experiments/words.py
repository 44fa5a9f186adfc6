"""What an experiment says while it runs: a line a cell, and what its steps warn of once."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.pipelines.experiments.cells import Course

log = logging.getLogger("superpoint.experiment")


class _Once(logging.Filter):
    """Lets a warning of a step through when it is new, and nothing less than a warning."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_new = record.levelno >= logging.WARNING and text not in self.seen
        self.seen.add(text)
        return is_new


@contextmanager
def steps_hushed() -> Iterator[None]:
    """Keep what every cell's steps would say again and again off the console; `log` here is heard."""
    steps, once = logging.getLogger("superpoint"), _Once()
    steps.addFilter(once)
    try:
        yield
    finally:
        steps.removeFilter(once)


def tell(course: Course, number: int, n_cells: int) -> None:
    """Log what a cell came to."""
    place = f"cell {number} of {n_cells} ({in_words(course.cell.values)})"
    if course.status == "failed":
        log.warning("%s failed: %s", place, course.error)
        return
    miou = course.results.get("evaluate", {}).get("miou")
    accuracy = course.quality.get("label_accuracy")
    scores = [f"labels {accuracy:.3f} right" if accuracy is not None else "", f"mIoU {miou:.3f}" if miou else ""]
    log.info("%s: %s", place, ", ".join([*filter(None, scores), f"{course.seconds:.0f} s"]))


def in_words(values: dict[str, object]) -> str:
    """Return a cell's place on the axes in words."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())
