"""Bars as high as their values, and bins that hold every value."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.report.charts import HEIGHT, bar_chart, count, histogram, histogram_chart, time_ticks


def bars(html: str) -> list[dict[str, float]]:
    return [
        {name: float(value) for name, value in re.findall(r'\b(x|y|width|height)="([\d.]+)"', bar)}
        for bar in re.findall(r"<rect[^>]*>", html)
    ]


def test_bars_are_stacked_and_as_high_as_their_values() -> None:
    series = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 0.0])}
    html = bar_chart(series, label="x", ticks=[], title=lambda number, name, height: f"{number} {name} {height:g}")
    first_a, second_a, first_b = bars(html)
    assert first_b["height"] == pytest.approx(3 * first_a["height"], abs=0.01)
    assert second_a["height"] == pytest.approx(2 * first_a["height"], abs=0.01)
    assert first_b["y"] + first_b["height"] == pytest.approx(first_a["y"], abs=0.01)
    assert first_a["y"] + first_a["height"] == pytest.approx(HEIGHT, abs=0.01)
    assert re.findall(r"<title>(.*?)</title>", html) == ["0 a 1", "1 a 2", "0 b 3"]


def test_a_chart_of_nothing_has_no_bars() -> None:
    assert bars(bar_chart({"a": np.zeros(3)}, label="x", ticks=[], title=lambda *_: "")) == []


@given(st.lists(st.floats(1e-3, 1e6), min_size=1), st.integers(4, 60))
def test_every_value_is_in_one_bin_and_there_are_not_many(values: list[float], most: int) -> None:
    edges, _ = histogram(np.array(values), most=most)
    assert len(edges) - 1 <= most + 1
    assert count(np.array(values), edges).sum() == len(values)


def test_values_far_off_share_the_last_bin() -> None:
    values = np.array([*np.linspace(1, 2, 29), 1000])
    edges, overflows = histogram(values, most=40)
    assert overflows
    assert edges[-1] < 9
    assert count(values, edges)[-1] == 1


def test_a_bin_for_all_that_is_larger_says_so() -> None:
    values = np.array([*np.linspace(1, 2, 29), 1000])
    html = histogram_chart({"done": values}, label="x", unit="s", what="tiles")
    assert re.search(r'class="tick"[^>]*>over 8<', html)
    assert re.search(r"<title>8 and more s: 1 tiles</title>", html)


def test_ticks_of_a_time_axis_are_round_times_within_it() -> None:
    assert time_ticks(300, 120) == [(0, "0"), (0.4, "2 min"), (0.8, "4 min")]
