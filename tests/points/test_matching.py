from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import ClassTable
from superpoint.points.matching import match_classes
from superpoint.points.query import UNREADABLE
from superpoint.points.table import PIXELS, PointFile, PointTable

if TYPE_CHECKING:
    import pytest

CLASSES = ClassTable.from_dict({"class": [{"name": "Road", "code": 21}, {"name": "Water"}], "ignore": ["cloud"]})


def table_of(labels: list[int], *names: str) -> PointTable:
    n = len(labels)
    return PointTable(
        files=(PointFile(name="p", n_rows=n, system=PIXELS),), systems=(), xs=np.zeros(n), ys=np.zeros(n),
        labels=np.array(labels, np.int32), names=names,
    )  # fmt: skip


def test_names_codes_and_values_have_a_value_and_what_is_ignored_or_unknown_has_a_reason() -> None:
    table = table_of([0, 1, 2, 3, 4, -1], "Road", "21", "1", "cloud", "Raod")
    match = match_classes(table, CLASSES)
    assert match.of(table.labels).tolist() == [0, 0, 1, *[UNREADABLE] * 3]
    assert match.reasons == (
        "", "", "", "class 'cloud' is listed as ignored",
        "class 'Raod' is not in the class table; nearest: Road", "its class is missing",
    )  # fmt: skip


def test_one_warning_lists_the_unknown_classes_the_most_frequent_first(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"class-{number:02}" for number in range(11)]
    with caplog.at_level(logging.WARNING, logger="superpoint"):
        match_classes(table_of([0, 1, 1, 1, *range(2, 13)], "Road", "WATER!", *names), CLASSES)
    (message,) = caplog.messages
    assert "whose rows do not vote: 'WATER!' (rows: 3; nearest: Water), 'class-00' (rows: 1), 'class-01'" in message
    assert "'class-08' (rows: 1) and 2 more; known: Road, Water; add them as classes, as codes or to ignore" in message


def test_nothing_is_said_where_all_classes_are_known(caplog: pytest.LogCaptureFixture) -> None:
    match_classes(table_of([0, 1, -1], "Road", "cloud"), CLASSES)
    assert caplog.messages == []
