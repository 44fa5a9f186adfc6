from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.classes import IGNORE, ClassTable, LandClass
from superpoint.errors import InputError

TABLE = {
    "class": [
        {"name": "Building", "value": 0, "color": "#3C1098"},
        {"name": "Road", "value": 1, "color": "#6ec1e4"},
    ],
    "ignore": ["Unlabeled", "#9b9b9b", "7"],
}


def test_a_table_survives_json() -> None:
    table = ClassTable.from_dict(TABLE)
    assert ClassTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_values_and_colors_that_are_left_out_are_filled_in() -> None:
    table = ClassTable.from_dict({"class": [{"name": "a"}, {"name": "b"}]})
    assert [land_class.value for land_class in table.classes] == [0, 1]
    assert table == ClassTable.from_names(["a", "b"])


def test_the_first_ten_colors_differ() -> None:
    table = ClassTable.from_names([str(number) for number in range(10)])
    assert len(set(table.colormap.values())) == 10


def test_the_colormap_holds_each_color_in_red_green_and_blue() -> None:
    assert ClassTable.from_dict(TABLE).colormap == {0: (0x3C, 0x10, 0x98), 1: (0x6E, 0xC1, 0xE4)}


@pytest.mark.parametrize(
    ("label", "value"),
    [("Road", 1), (" Road ", 1), ("1", 1), (1, 1), (1.0, 1), (np.float64(0), 0), ("Unlabeled", IGNORE), (7, IGNORE)],
)
def test_a_label_is_a_name_or_a_value(label: object, value: int) -> None:
    assert ClassTable.from_dict(TABLE).value_of(label) == value


@pytest.mark.parametrize("label", ["road", "Building Road", 2, 0.5, -1, "", None])
def test_a_label_that_is_not_in_the_table_is_not_guessed(label: object) -> None:
    assert ClassTable.from_dict(TABLE).value_of(label) is None


@given(st.lists(st.integers(-9, 300), unique=True, min_size=1, max_size=12))
def test_a_name_goes_before_a_value_that_reads_the_same(numbers: list[int]) -> None:
    table = ClassTable.from_names([str(number) for number in numbers])
    assert [table.value_of(number) for number in numbers] == list(range(len(numbers)))


def test_a_color_mask_becomes_class_values_and_ignored_colors_255() -> None:
    table = ClassTable.from_dict(TABLE)
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([0, 1, IGNORE], np.uint8), (20, 30))
    colors = {0: (0x3C, 0x10, 0x98), 1: (0x6E, 0xC1, 0xE4), IGNORE: (0x9B, 0x9B, 0x9B)}
    mask = np.zeros((3, 20, 30), np.uint8)
    for (row, col), value in np.ndenumerate(values):
        mask[:, row, col] = colors[value]
    found = table.from_colors(mask)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.uint8


def test_an_unknown_color_is_named_with_its_number_of_pixels() -> None:
    mask = np.full((3, 4, 5), 0x9B, np.uint8)
    mask[:, 0, :3] = np.array([[1], [2], [3]])
    with pytest.raises(InputError, match=r"color #010203 \(3 pixels\) is not in the class table; known: #3C1098"):
        ClassTable.from_dict(TABLE).from_colors(mask)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, r"one \[\[class\]\] per class"),
        ({"class": "road"}, r"one \[\[class\]\] per class"),
        ({"class": ["road"]}, r"one \[\[class\]\] per class"),
        ({"class": []}, "at least one class"),
        ({"class": [{"value": 0}]}, "has name, value and color, got"),
        ({"class": [{"name": "a", "colour": "#000000"}]}, "colour"),
        ({"class": [{"name": "a", "value": 1}]}, r"must be 0, 1, 2, ... in order, got \[1\]"),
        ({"class": [{"name": "a", "value": 255}]}, "'a' has value 255; values run from 0 to 254"),
        ({"class": [{"name": "a", "value": "x"}]}, "'x'"),
        ({"class": [{"name": "a", "value": 0.5}]}, "0.5"),
        ({"class": [{"name": "a", "color": "red"}]}, "'a' has color 'RED'; write it as #RRGGBB"),
        ({"class": [{"name": "a"}, {"name": "a"}]}, r"names must differ, got \['a', 'a'\]"),
        ({"class": [{"name": "a"}], "ignore": "Unlabeled"}, "ignore"),
    ],
)
def test_a_table_that_says_nothing_clear_is_refused(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ClassTable.from_dict(table)


def test_more_classes_than_a_byte_holds_are_refused() -> None:
    assert len(ClassTable.from_names(map(str, range(255)))) == 255
    with pytest.raises(InputError, match="value 255"):
        ClassTable.from_names(map(str, range(256)))


def test_a_color_is_written_in_upper_case() -> None:
    with pytest.raises(InputError, match="#abcdef"):
        LandClass(name="a", value=0, color="#abcdef")


# --- codes

CODED = ClassTable.from_dict(
    {"class": [{"name": "Road", "code": 21}, {"name": "Water", "code": "W"}, {"name": "Soil"}], "ignore": ["99"]}
)


def test_a_label_is_a_name_then_a_code_then_a_value() -> None:
    assert [CODED.value_of(label) for label in ("Road", 21, 21.0, "W", "Soil", 2, 1, 99)] == [
        0,
        0,
        0,
        1,
        2,
        2,
        1,
        IGNORE,
    ]
    crossed = ClassTable.from_names(["a", "b", "1"], codes=[1, 0, 7])
    assert [crossed.value_of(label) for label in (1, 0, 2, 7)] == [2, 1, 2, 2]


def test_a_code_is_written_only_where_there_is_one_and_survives_json() -> None:
    assert ClassTable.from_dict(json.loads(json.dumps(CODED.to_dict()))) == CODED
    assert ["code" in row for row in CODED.to_dict()["class"]] == [True, True, False]
    assert (CODED.has_codes, ClassTable.from_names(["a"]).has_codes) == (True, False)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"name": "a", "code": 3}, {"name": "b", "code": "3"}], r"codes must differ, got \['3', '3'\]"),
        ([{"name": "a", "code": 3.5}], "'a' has code 3.5; give a whole number or a text"),
        ([{"name": "a", "code": True}], "'a' has code True"),
    ],
)
def test_codes_that_say_nothing_clear_are_refused(rows: list[dict[str, object]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ClassTable.from_dict({"class": rows})


@given(st.lists(st.sampled_from([21, 7, 300, -4, 99, 255, 1]), min_size=1, max_size=30))
def test_a_mask_of_codes_becomes_class_values_as_one_by_one(codes: list[int]) -> None:
    table = ClassTable.from_dict(
        {"class": [{"name": "a", "code": 21}, {"name": "b"}, *({"name": str(n), "code": n} for n in (7, 300, -4))]}
        | {"ignore": ["99"]}
    )
    twin = {21: 0, 1: 1, 7: 2, 300: 3, -4: 4, 99: IGNORE, 255: IGNORE}
    found = table.from_codes(np.array([codes], np.int16))
    assert found.tolist() == [[twin[code] for code in codes]]
    assert found.dtype == np.uint8


def test_a_code_that_is_no_classs_is_named_with_its_number_of_pixels() -> None:
    with pytest.raises(InputError, match=r"value 5 \(2 pixels\) is no class's code; known: 2, 21, W, 99; add it"):
        CODED.from_codes(np.array([[21, 5], [5, 255]]))
