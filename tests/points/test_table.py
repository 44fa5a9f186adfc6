from __future__ import annotations

import math

import numpy as np
import pytest

from superpoint.errors import InputError
from superpoint.points.table import PIXELS, PointFile, PointTable


def table_of(names: tuple[str, ...] = ("b", "a"), **columns: object) -> PointTable:
    files = (PointFile(name="p", n_rows=3, system=PIXELS), PointFile(name="q", n_rows=2, system=PIXELS))
    given = {"files": files, "systems": (), "xs": np.arange(5.0), "ys": np.arange(5.0), "names": names}
    return PointTable(**(given | {"labels": np.zeros(5, np.int32)} | columns))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"ys": np.zeros(4)}, "4 ys where there must be 5"),
        ({"labels": np.zeros(6, np.int32)}, "6 labels where there must be 5"),
        ({"annotators": np.zeros(1, np.int32)}, "1 annotators"),
        ({"rasters": np.zeros(1, np.int32)}, "1 rasters"),
        ({"owners": np.zeros(1, np.int64)}, "1 owners"),
    ],
)
def test_columns_are_as_long_as_the_files(columns: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        table_of(**columns)


def test_a_row_has_a_place_if_any_of_its_places_is_a_number_or_it_has_a_geometry() -> None:
    nan = math.nan
    table = table_of(
        xs=np.array([nan, 1, nan, nan, 3]), ys=np.array([0, 1, 2, 3, nan]), owners=np.array([0, 0, 1, 2, 3]),
        geometries=np.array(["a polygon"], object), geometry_rows=np.array([2]),
    )  # fmt: skip
    assert table.has_place().tolist() == [True, False, True, False, False]
    assert table.first_places(np.arange(5)).tolist() == [0, 2, 3, 4, -1]
    assert table.place_starts.tolist() == [0, 4, 5]


def test_rows_are_those_of_their_files() -> None:
    files, rows = table_of().file_of(np.arange(5))
    assert (files.tolist(), rows.tolist()) == ([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])


def test_names_become_a_class_table_by_their_order_and_numbers_by_their_size() -> None:
    assert table_of(("b", "a")).class_table().names == ("a", "b")
    numbers = table_of(("10", "9", "0.5")).class_table()
    assert numbers.names == ("0.5", "9", "10")
    assert [one.code for one in numbers.classes] == ["0.5", 9, 10]
    assert table_of(("10", "9", "09")).class_table().names == ("09", "10", "9")  # texts on purpose
    with pytest.raises(InputError, match="no point has a readable class"):
        table_of(()).class_table()
