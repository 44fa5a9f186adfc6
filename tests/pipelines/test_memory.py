"""What a worker's memory is said to be, against what a process holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from smallworld import two_fields, write_raster

from superpoint.pipelines.memory import MemoryEstimate, worker_bytes
from superpoint.superpixels import algorithm_names, load_algorithm
from superpoint.superpixels.algorithm import TellsMemory
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.hers import Hers
from superpoint.superpixels.slic import Slic
from superpoint.superpixels.snic import Snic

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory.py"


class Stranger(Snic):
    """Says nothing of its memory."""

    memory_need = None


def estimate(tile: int = 1024, *, halo: int = 80, n_bands: int = 3, **more: object) -> MemoryEstimate:
    return worker_bytes(
        **{"tile": tile, "halo": halo, "n_bands": n_bands, "dtype": "uint8", "algorithm": Slic(), **more}
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is counted by Linux only")
def test_a_tile_takes_no_more_memory_than_its_estimate_and_not_much_less(tmp_path: Path) -> None:
    patch, _ = two_fields((600, 600), seed=0)
    raster = write_raster(tmp_path / "scene.tif", np.tile(patch, (1, 6, 6))[:, :3072, :3072], tiled=True)
    # What is not compiled yet is compiled here: in the process that is measured it would leave holes to be filled.
    superpixelize_array(np.ascontiguousarray(patch[:, :64, :64]), Slic())
    command = [sys.executable, str(BENCHMARK), str(raster), "--algorithms", "slic", "--measure", "1024"]
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536", "GDAL_CACHEMAX": "16"}
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    measured = int(finished.stdout)
    assert measured <= estimate(halo=Slic().halo()).tile_bytes <= 1.6 * measured


def test_each_thread_takes_a_tile_more_and_the_process_something_anyway() -> None:
    one, four = estimate(), estimate(threads=4)
    assert four.n_bytes - one.n_bytes == 3 * one.tile_bytes == 3 * max(one.steps.values())
    assert four.base_bytes == one.base_bytes > 2**28


@pytest.mark.parametrize("algorithm", [Slic(), Snic(), Hers()], ids=lambda algorithm: algorithm.name)
def test_more_pixels_and_more_bands_take_more(algorithm: Slic | Snic | Hers) -> None:
    small = estimate(algorithm=algorithm).tile_bytes
    for larger in ({"tile": 1536}, {"halo": 300}, {"n_bands": 20}):
        assert estimate(algorithm=algorithm, **larger).tile_bytes > small


def test_slic_holds_integers_as_they_are_stored_unless_a_band_has_gaps_of_its_own() -> None:
    stored, floats = estimate().steps, estimate(dtype="float32").steps
    assert stored["labelling"] < floats["labelling"]
    assert estimate(has_gaps=True).steps["labelling"] == floats["labelling"]


def test_a_halo_wider_than_half_a_tile_is_seen_by_tiles_further_off() -> None:
    near, far = (estimate(512, halo=halo, algorithm=Snic()).steps["joining"] for halo in (256, 257))
    assert far > 2 * near  # 25 windows instead of 9, and what does not depend on them


def test_all_that_comes_with_superpoint_tell_what_they_need() -> None:
    for name in algorithm_names():
        algorithm_class = load_algorithm(name)
        if algorithm_class.__module__.startswith("superpoint."):
            algorithm = algorithm_class()
            assert isinstance(algorithm, TellsMemory), name
            assert algorithm.memory_need(8).bytes_per_px >= algorithm.memory_need(1).bytes_per_px > 4  # the labels


def test_many_bins_of_seeds_and_small_regions_of_slic_are_counted() -> None:
    seeds = load_algorithm("opencv-seeds")
    assert isinstance(seeds(), TellsMemory)
    many, few = (seeds(bins=bins).memory_need(3).bytes_per_px for bins in (32, 8))
    assert many > 30 * few
    assert Slic(region_size=2).memory_need(3).bytes_per_px > 2 * Slic().memory_need(3).bytes_per_px


def test_a_stranger_is_taken_to_need_much() -> None:
    told, untold = Snic(), Stranger()
    assert not isinstance(untold, TellsMemory)
    assert estimate(algorithm=untold).tile_bytes > 2 * estimate(algorithm=told).tile_bytes
