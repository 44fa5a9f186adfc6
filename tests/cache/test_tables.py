from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from superpoint.cache.tables import read_class_table
from superpoint.classes import IGNORE
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as raised:
        read()
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


def test_a_class_table_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(
        'ignore = ["#000000"]\n[[class]]\nname = "Straße"\nvalue = 0\ncolor = "#6EC1E4"\n[[class]]\nname = "b"\n'
    )
    classes = read_class_table(path)
    assert (classes.names, classes.value_of("#000000"), classes.colormap[0]) == (
        ("Straße", "b"),
        IGNORE,
        (0x6E, 0xC1, 0xE4),
    )


def test_a_class_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    assert refusal(lambda: read_class_table(path)) == (
        f"cannot read the class table {path}: No such file or directory; check the path"
    )
    assert refusal(lambda: read_class_table(tmp_path)).startswith(
        f"cannot read the class table {tmp_path}: Is a directory"
    )


@pytest.mark.parametrize("content", [b"[[class", b"name: road", b"\xff\xfe"])
def test_a_class_table_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "classes.toml"
    path.write_bytes(content)
    assert refusal(lambda: read_class_table(path)).startswith(f"the class table {path} is not TOML: ")


def test_a_class_table_that_says_nothing_clear_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('[[class]]\nname = "a"\nvalue = 3\n')
    assert refusal(lambda: read_class_table(path)) == f"{path}: class values must be 0, 1, 2, ... in order, got [3]"


def test_codes_are_read_whole_numbers_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_text('[[class]]\nname = "a"\ncode = 21\n[[class]]\nname = "b"\ncode = "W"\n')
    classes = read_class_table(path)
    assert (classes.value_of(21), classes.value_of("W")) == (0, 1)
