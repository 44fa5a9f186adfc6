from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio.transform
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from superpoint.errors import InputError
from superpoint.points.query import QueryPoints, pixels_of, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
SHAPE = (30, 40)


def inside(xs: Sequence[float], ys: Sequence[float], transform: Affine = UTM) -> list[bool]:
    rows, cols = pixels_of(np.array(xs, float), np.array(ys, float), transform)
    return QueryPoints(rows=rows, cols=cols, values=np.zeros(len(rows), np.int16)).inside(SHAPE).tolist()


@st.composite
def transforms(draw: st.DrawFn) -> Affine:
    """Any grid: small or large pixels, mirrored, rotated, anywhere."""
    sizes = st.sampled_from([1 / 3600, 0.1, 0.3, 0.5, 2.5, 10, 30, 1000])
    across, down = draw(sizes), draw(sizes) * draw(st.sampled_from([-1, 1]))
    turn = draw(st.sampled_from([0, 0, 1, 30, -45, 90, 180]))
    x, y = draw(st.floats(-2e6, 2e6)), draw(st.floats(-1e7, 1e7))
    return Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(across, down)


@given(
    transform=transforms(),
    pixels=st.lists(
        st.tuples(st.integers(-50, 5000), st.integers(-50, 5000), st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
        min_size=1,
        max_size=20,
    ),
)
def test_a_place_inside_a_pixel_is_in_that_pixel_as_rasterio_says(
    transform: Affine, pixels: list[tuple[int, int, float, float]]
) -> None:
    rows, cols, downs, acrosses = (np.array(column) for column in zip(*pixels, strict=True))
    xs, ys = transform @ (cols + acrosses, rows + downs)
    found_rows, found_cols = pixels_of(xs, ys, transform)
    np.testing.assert_array_equal(found_rows, rows)
    np.testing.assert_array_equal(found_cols, cols)
    rasterio_rows, rasterio_cols = rasterio.transform.rowcol(transform, xs, ys, op=math.floor)
    np.testing.assert_array_equal(found_rows, rasterio_rows)
    np.testing.assert_array_equal(found_cols, rasterio_cols)


@pytest.mark.parametrize("size", [0.25, 0.5, 1, 2.5, 3, 7, 10, 30])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (500_000.0, 5_000_000.0), (11.5, 47.25), (-300_000.5, -7.0)])
def test_a_place_on_a_pixels_edge_is_in_the_pixel_below_and_right_of_it(
    size: float, corner: tuple[float, float]
) -> None:
    pixels = np.arange(-100, 12_000)
    rows, cols = pixels_of(
        corner[0] + size * pixels, corner[1] - size * pixels, Affine(size, 0, corner[0], 0, -size, corner[1])
    )
    np.testing.assert_array_equal(cols, pixels)
    np.testing.assert_array_equal(rows, pixels)


def test_the_first_and_the_last_pixel_are_inside() -> None:
    assert inside([500_000, 500_399.999, 500_005], [5_000_000, 4_999_700.001, 4_999_705]) == [True, True, True]


def test_the_right_and_the_bottom_edge_are_outside_and_the_left_and_the_top_edge_inside() -> None:
    right, bottom, left, top = (500_400, 4_999_850), (500_200, 4_999_700), (500_000, 4_999_850), (500_200, 5_000_000)
    xs, ys = zip(right, bottom, left, top, strict=True)
    assert inside(xs, ys) == [False, False, True, True]


def test_a_place_just_left_of_a_raster_is_in_pixel_minus_1_and_outside() -> None:
    rows, cols = pixels_of(np.array([499_999.999]), np.array([5_000_000.001]), UTM)
    assert (rows.tolist(), cols.tolist()) == ([-1], [-1])
    assert inside([499_999.999], [4_999_999]) == [False]


def test_a_place_that_is_not_finite_or_beyond_all_numbers_is_outside() -> None:
    xs = [math.nan, math.inf, -math.inf, 500_100, 1e300, -1e300]
    ys = [4_999_900, math.inf, 4_999_900, math.nan, 4_999_900, 4_999_900]
    assert inside(xs, ys) == [False] * 6
    assert inside(xs, ys, Affine.rotation(30) @ UTM) == [False] * 6


def test_a_point_needs_a_row_a_col_and_a_value() -> None:
    with pytest.raises(ValueError, match="2 rows, 2 cols and 1 values"):
        QueryPoints(rows=np.zeros(2, int), cols=np.zeros(2, int), values=np.zeros(1, np.int16))


def test_a_table_of_names_is_sorted_and_leaves_out_what_is_missing() -> None:
    assert table_of(["water", None, "road ", math.nan, "", "road"]).names == ("road", "water")


@given(st.lists(st.integers(-5, 10**10), unique=True, min_size=1, max_size=30))
def test_a_table_of_numbers_gives_each_number_its_place_in_their_order(numbers: list[int]) -> None:
    for labels in (numbers, [float(number) for number in numbers]):
        classes = table_of(labels)
        assert [classes.value_of(label) for label in labels] == [sorted(numbers).index(label) for label in numbers]
        assert classes.from_codes(np.array([numbers])).tolist() == [[sorted(numbers).index(n) for n in numbers]]


def test_fractions_are_named_as_they_are_written() -> None:
    classes = table_of([0.25, 2.0, 0.5])
    assert classes.names == ("0.25", "0.5", "2")
    assert [classes.value_of(label) for label in (0.5, 2, 0.25)] == [1, 2, 0]


def test_yes_and_no_are_classes_too() -> None:
    classes = table_of([True, False, True])
    assert [classes.value_of(label) for label in (True, False)] == [1, 0]


def test_points_without_any_class_are_refused() -> None:
    with pytest.raises(InputError, match="no point has a readable class; check the class column"):
        table_of([None, math.nan, " "])


def test_a_points_annotator_and_origin_are_as_many_as_the_points() -> None:
    columns = {"rows": np.zeros(2, int), "cols": np.zeros(2, int), "values": np.zeros(2, np.int16)}
    with pytest.raises(ValueError, match="2 rows and 1 annotators"):
        QueryPoints(**columns, annotators=np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="2 rows and 3 origins"):
        QueryPoints(**columns, origins=np.zeros(3, np.int64))
