"""Seconds and memory of a call, by algorithms that need what is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import strangers

from superpoint.errors import InputError, SuperpointError
from superpoint.pipelines.costs import measure_costs
from superpoint.superpixels import make_algorithm
from superpoint.superpixels.algorithm import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(autouse=True)
def _strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers.install(tmp_path / "site", monkeypatch)


def scene(rows: int, cols: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    return rng.random((3, rows, cols), np.float32), rng.random((rows, cols)) < 0.9


def test_the_labels_are_those_of_a_call_in_this_process() -> None:
    algorithms = [make_algorithm("slic", {"region_size": 9}), make_algorithm("columns", {"region_size": 5})]
    image, valid = scene(60, 80)
    costs, labels = measure_costs(algorithms, image, valid, repeats=2)
    for algorithm, found in zip(algorithms, labels, strict=True):
        expected = algorithm(image, valid, origin=Origin(raster_shape=(60, 80)), rng=np.random.default_rng(0))
        np.testing.assert_array_equal(found, expected)
    assert all(cost.mpx_per_s > 0 and cost.compile_s >= 0 for cost in costs)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is counted by Linux only")
def test_the_peak_is_what_an_algorithm_takes_beyond_its_input() -> None:
    algorithms = [make_algorithm("hungry", {}), make_algorithm("columns", {})]
    costs, _ = measure_costs(algorithms, *scene(900, 1000), repeats=1)
    hungry, columns = (cost.peak_bytes_per_px or 0 for cost in costs)
    assert hungry == pytest.approx(160, rel=0.03)  # pages, and Python's own
    assert columns == pytest.approx(4 + 4, abs=2)  # labels, and once more as astype copies them


def test_libraries_are_told_to_use_one_thread() -> None:
    _, (labels,) = measure_costs([make_algorithm("threads", {})], *scene(40, 40), repeats=1)
    assert np.unique(labels).tolist() == [1]


def test_an_algorithm_that_refuses_the_image_is_quoted() -> None:
    with pytest.raises(InputError, match=r"^superpixel algorithm picky: picky takes one band, got 3$"):
        measure_costs([make_algorithm("picky", {})], *scene(40, 40), repeats=1)


def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(SuperpointError, match=r"killed by signal 9, as when memory runs out; give --crop"):
        measure_costs([make_algorithm("dying", {})], *scene(40, 40), repeats=1)
