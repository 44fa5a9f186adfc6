"""From the classes that points name to the values of a class table, with a reason where there is none."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.points.query import UNREADABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable
    from superpoint.points.table import PointTable

log = logging.getLogger("superpoint")

_NAMED = 10  # unknown classes named in the warning


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMatch:
    """The class value of each name of a `PointTable`, and at the end that of a missing one."""

    classes: ClassTable
    values: NDArray[np.int16]
    """Of shape (names + 1,); `UNREADABLE` where there is none."""
    reasons: tuple[str, ...]
    """Why there is none; empty where there is one."""

    def of(self, labels: NDArray[np.int32]) -> NDArray[np.int16]:
        """Return the class value of labels (-1, the missing one, is the last)."""
        return self.values[labels]


def match_classes(table: PointTable, classes: ClassTable) -> ClassMatch:
    """Find each class that a table names in a class table; warn, once, of those that are not there.

    Parameters
    ----------
    table : PointTable
        Its `names` are looked up: names, codes or values of classes, see `ClassTable.value_of`.
    classes : ClassTable
        A class that is listed as ignored, or is not in it, has no value: its rows are `UNREADABLE_CLASS`.

    Returns
    -------
    ClassMatch
        The value of each name, and why it has none.
    """
    found = [classes.value_of(name) for name in table.names]
    values = [UNREADABLE if value is None or value == IGNORE else value for value in found]
    reasons = [_reason(name, value, classes) for name, value in zip(table.names, found, strict=True)]
    unknown = [place for place, value in enumerate(found) if value is None]
    if unknown:
        _warn(table, classes, unknown)
    return ClassMatch(
        classes=classes,
        values=np.array([*values, UNREADABLE], np.int16),
        reasons=(*reasons, "its class is missing"),
    )


def _reason(name: str, value: int | None, classes: ClassTable) -> str:
    if value is None:
        return f"class {name!r} is not in the class table{_nearest(name, classes)}"
    return f"class {name!r} is listed as ignored" if value == IGNORE else ""


def _nearest(name: str, classes: ClassTable) -> str:
    near = difflib.get_close_matches(name, classes.names, n=1)
    if not near:
        by_lower_case = {known.lower(): known for known in classes.names}
        near = [by_lower_case[found] for found in difflib.get_close_matches(name.lower(), by_lower_case, n=1)]
    return f"; nearest: {near[0]}" if near else ""


def _warn(table: PointTable, classes: ClassTable, unknown: list[int]) -> None:
    counts = np.bincount(table.labels[table.labels >= 0], minlength=len(table.names))
    most = sorted(unknown, key=lambda place: (-counts[place], table.names[place]))
    named = [
        f"{table.names[place]!r} (rows: {counts[place]}{_nearest(table.names[place], classes)})"
        for place in most[:_NAMED]
    ]
    more = f" and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    log.warning(
        "classes of the points that are not in the class table, and whose rows do not vote: %s%s; known: %s; "
        "add them as classes, as codes or to ignore",
        ", ".join(named), more, ", ".join(classes.names),
    )  # fmt: skip
