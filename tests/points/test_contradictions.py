from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.points.contradictions import VALUES_PER_CLASS, Contradiction, find_contradictions, names_the_class

NAMES = ("forest", "urban", "water")


def find(values: list[str | None], labels: list[str | None]) -> list[Contradiction]:
    names = sorted({value for value in values if value is not None})
    codes = np.array([-1 if value is None else names.index(value) for value in values], np.int32)
    classes = np.array([-1 if label is None else NAMES.index(label) for label in labels], np.int32)
    return find_contradictions("p.shp", "id", codes, names, classes, NAMES)


CLEAN = [("1", "forest")] * 6 + [("2", "urban")] * 6 + [("3", "water")] * 3


def test_a_code_of_two_classes_is_found_with_their_rows_most_first() -> None:
    values, labels = zip(*CLEAN, ("2", "forest"), ("3", None), (None, "water"), strict=True)
    (found,) = find(list(values), list(labels))
    assert (found.file, found.column, found.value, found.classes) == ("p.shp", "id", "2", {"urban": 6, "forest": 1})
    assert list(found.classes) == ["urban", "forest"]
    assert found.sentence == (
        "p.shp: id names the class, but id 2 is urban in 6 rows, forest in 1 row; correct one of the two columns"
    )


def test_codes_without_a_contradiction_are_no_finding() -> None:
    assert find(*map(list, zip(*CLEAN, strict=True))) == []


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("numbers of rows", [str(number) for number in range(60)]),
        ("dates", [f"2024-05-{number // 20 + 1:02}" for number in range(60)]),
        ("people", ["ann", "bob", "ann", "eve"] * 15),
        ("one for all", ["survey"] * 60),
        ("nothing", [None] * 60),
        ("half of it", ["1", "2"] * 30),
    ],
)
def test_a_column_that_has_nothing_to_do_with_the_class_is_no_finding(what: str, values: list[str | None]) -> None:
    labels = np.random.default_rng(len(what)).choice(NAMES, 60).tolist()
    assert find(values, labels) == []


def test_a_commonest_class_does_not_make_every_column_its_name() -> None:
    labels: list[str | None] = ["forest"] * 95 + ["urban"] * 3 + ["water"] * 2
    assert find(["2023", "2024"] * 50, labels) == []


def test_a_few_rows_prove_nothing() -> None:
    assert find(["a", "a", "b", "b", "b"], ["forest", "forest", "urban", "urban", "forest"]) == []


@given(seed=st.integers(0, 10_000), n_rows=st.integers(10, 80), n_values=st.integers(2, 6))
def test_the_rule_is_that_of_its_three_numbers(seed: int, n_rows: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n_rows)
    values = np.where(rng.random(n_rows) < 0.2, rng.integers(0, n_values, n_rows), labels % n_values)
    counts = np.zeros((n_values, 3), np.int64)
    np.add.at(counts, (values, labels), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    guessed = max(int((labels == label).sum()) for label in range(3))
    known = sum(max(int(((values == v) & (labels == label)).sum()) for label in range(3)) for v in range(n_values))
    leading = {tuple(row).index(max(row)) for row in counts.tolist()}
    expected = 2 <= len(counts) <= VALUES_PER_CLASS * counts.shape[1] and counts.shape[1] >= 2
    expected &= len(leading) * 2 >= counts.shape[1]
    expected &= (n_rows - known) * 5 <= n_rows - guessed
    assert names_the_class(counts) == expected
