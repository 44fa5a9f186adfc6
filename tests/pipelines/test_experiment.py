"""A grid: its cells, what they share, what happens to one that fails, and going on after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from smallworld import two_fields, write_raster, write_scenes

from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.experiment import estimate, experiment
from superpoint.pipelines.experiments.grid import read_grid
from superpoint.pipelines.experiments.stages import stage_of
from superpoint.pipelines.outputs import alone_in
from superpoint.pipelines.settings import ExperimentSettings

PIPELINE = """
title = "points or masks"
out = "{folder}/out"
cache = "{folder}/cache"
classes = "{folder}/classes.toml"
device = "cpu"
[split]
rasters = ["{folder}/images/*.tif"]
masks = ["{{folder}}/../masks/{{name}}"]
train = ["{folder}/images/0.tif", "{folder}/images/1.tif"]
validation = ["{folder}/images/2.tif"]
test = ["{folder}/images/3.tif"]
[sample]
n_points = 30
[label]
region_size = 12
[train]
encoder = "tu-lcnet_035"
patch = 64
epochs = 1
[predict]
overlap = 16
[evaluate]
boundary_width = 2
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return write_scenes(tmp_path, 4)


def write_experiment(world: Path, grid: str) -> Path:
    path = world / "grid.toml"
    path.write_text(PIPELINE.format(folder=world) + grid)
    return path


def rows_of(world: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(world / "out" / "results.parquet").to_pylist()
    return rows


GRID = """
[grid]
supervision = { points = {}, masks = { sample = false, label = false } }
sample.n_points = [10, 30]
seed = [0, 1]
"""


def test_each_cell_is_a_row_and_what_cells_share_is_done_once(world: Path) -> None:
    path = write_experiment(world, GRID)
    result = experiment(ExperimentSettings(experiment=path))
    rows = rows_of(world)
    assert (result.n_cells, result.n_done, result.n_failed) == (8, 8, 0)
    assert [(row["supervision"], row["sample.n_points"], row["seed"]) for row in rows] == [
        (supervision, n, seed) for supervision in ("points", "masks") for n in (10, 30) for seed in (0, 1)
    ]
    assert result.n_trainings == 6  # 4 of points; of masks one a seed, whatever the points
    assert len(list((world / "out" / "stages").glob("train-*"))) == 6
    assert len(list((world / "cache" / "label-maps").glob("*.zarr"))) == 2
    by_key = {(row["supervision"], row["sample.n_points"], row["seed"]): row for row in rows}
    assert by_key["masks", 10, 0]["miou"] == by_key["masks", 30, 0]["miou"]
    assert by_key["masks", 10, 0]["train_digest"] != by_key["masks", 10, 1]["train_digest"]
    assert by_key["points", 30, 0]["n_points"] == 60
    assert by_key["points", 10, 0]["coverage"] < by_key["points", 30, 0]["coverage"] < 1
    assert 0.8 < by_key["points", 30, 1]["label_accuracy"] <= 1
    assert by_key["points", 30, 1]["train.epochs"] == 1
    table = (world / "out" / "results.csv").read_text().splitlines()
    assert [row["cell"] for row in csv.DictReader(table)] == [row["cell"] for row in rows]
    cell = json.loads((world / "out" / "cells" / f"{rows[0]['cell']}.json").read_text())
    assert cell["results"]["evaluate"]["miou"] == rows[0]["miou"]

    before = {path: path.stat().st_mtime_ns for path in (world / "out" / "stages").rglob("*")}
    again = experiment(ExperimentSettings(experiment=path, set={"grid.seed": [0, 1]}))
    assert again.n_done == 8
    assert {path: path.stat().st_mtime_ns for path in (world / "out" / "stages").rglob("*")} == before
    assert rows_of(world) == rows
    with alone_in(world / "out"), pytest.raises(InputError, match="another process is working in"):
        experiment(ExperimentSettings(experiment=path))


def test_a_worker_of_two_threads_gives_the_rows_of_this_process(world: Path) -> None:
    path = write_experiment(world, "[grid]\nseed = [0, 1]\n")
    scores = ("miou", "pixel_accuracy", "coverage", "label_accuracy", "train_digest", "iou_dark", "train_loss")
    settings = ExperimentSettings(experiment=path, set={"train.loaders": 1})
    experiment(ExperimentSettings(experiment=path))
    here = [[row[name] for name in scores] for row in rows_of(world)]
    (world / "out").rename(world / "before")
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster, Client(cluster) as client:
        experiment(settings, client=client)
    there = [[row[name] for name in scores] for row in rows_of(world)]
    assert [row[:-1] for row in there] == [row[:-1] for row in here]
    assert [row[-1] for row in there] == pytest.approx([row[-1] for row in here], rel=1e-4)  # threads add up otherwise


def test_a_failed_cell_sinks_no_other(world: Path) -> None:
    path = write_experiment(world, '[grid]\ntrain.loss = ["partial-focal", "partial-fecal"]\n')
    with pytest.raises(TilesFailedError, match="1 of 2 cells failed, the first because: unknown loss") as caught:
        experiment(ExperimentSettings(experiment=path))
    good, bad = rows_of(world)
    assert (good["status"], bad["status"]) == ("done", "failed")
    assert good["miou"] is not None
    assert bad["miou"] is None
    assert "partial-fecal" in bad["error"]
    assert caught.value.results.n_done == 1
    assert Path(caught.value.results.report).exists()


def test_a_killed_experiment_goes_on_with_the_cell_it_was_at(world: Path) -> None:
    path = write_experiment(world, "[grid]\nseed = [0, 1, 2]\n")
    command = [sys.executable, "-c", "import superpoint.cli as c; c.main()", "experiment", str(path)]
    killed = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    stages = world / "out" / "stages"
    deadline = time.monotonic() + 60
    while not list(stages.glob("evaluate-*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = {path: path.stat().st_mtime_ns for path in stages.glob("*/result.json")}
    assert done
    result = experiment(ExperimentSettings(experiment=path))
    assert result.n_done == 3
    assert {path: path.stat().st_mtime_ns for path in done} == done
    resumed = [row["miou"] for row in rows_of(world)]
    (world / "out").rename(world / "killed")
    experiment(ExperimentSettings(experiment=path))
    assert resumed == [row["miou"] for row in rows_of(world)]


def test_an_estimate_says_what_is_left_and_does_nothing(world: Path) -> None:
    settings = ExperimentSettings(experiment=write_experiment(world, GRID), estimate=True)
    found = estimate(settings)
    assert (found.n_cells, found.n_labels, found.n_trainings, found.n_done) == (8, 4, 6, 0)
    assert found.seconds > 0
    assert not list((world / "out" / "stages").glob("train-*"))
    experiment(settings)
    left = estimate(settings)
    assert (left.n_labels, left.n_trainings, left.n_done, left.seconds) == (0, 0, 8, 0)


def test_an_estimate_of_cells_that_will_fail_is_of_the_others(world: Path) -> None:
    path = write_experiment(world, '[grid]\ntrain.encoder = ["tu-lcnet_035", "nonsense"]\n')
    found = estimate(ExperimentSettings(experiment=path))
    assert found.n_trainings == 1
    assert found.problems[0].startswith("unknown encoder 'nonsense'")


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("", r"has no \[grid\]; give at least one axis"),
        ("[grid]\nseed = []\n", "axis 'seed' of .* has no values"),
        ("[grid]\nseed = [1, 1]\n", "axis 'seed' of .* has a value twice"),
        ("[grid]\nseed = 3\n", "axis 'seed' of .* is a list of values, or a table of variants"),
        ("[grid]\ntrain.bands = [[1], [1, 2]]\n", "values of the axis 'train.bands' are lists; name them"),
        ("[grid]\ntrain.epoch = [1, 2]\n", r"\[train\] has no setting 'epoch'"),
        ("[grid]\nsed = [1, 2]\n", "unknown setting 'sed'"),
        ("[grid]\nn_points = [1, 2]\n", "'n_points' is a column of the results"),
        ("[grid]\nseed = [1]\n[grid.two]\na = { seed = 3 }\n", "the axis 'two' of .* sets 'seed', which another axis"),
        ("[grid]\nclient = [1]\n", "unknown setting 'client'"),
        ("[grid]\nlayer = ['a', 'b']\n[grid.left]\nout = { label = false }\n", "axis 'layer' .* changes nothing"),
        ("[inspect]\n[grid]\nseed = [1]\n", r"an experiment has no \[inspect\]"),
        ('[grid]\nseed = [1]\n[report]\nmetric = "mio"\n', r"\[report\] metric"),
        ('[grid]\nseed = [1]\n[report]\nx = "points"\n', "report.x = 'points' is no axis of the grid"),
    ],
)
def test_a_bad_file_is_one_sentence_before_anything_is_done(world: Path, grid: str, sentence: str) -> None:
    path = write_experiment(world, grid)
    with pytest.raises(InputError, match=sentence):
        experiment(ExperimentSettings(experiment=path))
    assert not (world / "out").exists()


def test_a_stage_is_done_again_when_a_file_it_names_is_another(world: Path) -> None:
    path = write_experiment(world, "[grid]\nseed = [0]\n")
    grid = read_grid(path, {})
    found = [stage_of("split", grid.cells[0].pipeline, {}, world / "out").digest]
    write_raster(world / "images" / "4.tif", two_fields((64, 80), seed=4)[0])
    found.append(stage_of("split", grid.cells[0].pipeline, {}, world / "out").digest)
    write_raster(world / "images" / "4.tif", two_fields((64, 81), seed=4)[0])
    found.append(stage_of("split", grid.cells[0].pipeline, {}, world / "out").digest)
    assert len(set(found)) == 3


def test_a_file_that_a_parameter_names_is_part_of_what_decides(world: Path) -> None:
    weights = world / "weights.safetensors"
    pipeline = {"rasters": ["a.tif"], "label": {"points": "p.csv", "parameter": {"weights": str(weights)}}}
    found = []
    for text in ("one", "another"):
        weights.write_text(text)
        found.append(stage_of("label", pipeline, {}, world / "out").digest)
    assert found[0] != found[1]


def test_a_variant_that_leaves_a_step_out_wins_over_an_axis_in_it(world: Path) -> None:
    grid = read_grid(write_experiment(world, GRID), {})
    by_masks = [cell for cell in grid.cells if cell.values["supervision"] == "masks"]
    assert all(cell.pipeline["sample"] is False for cell in by_masks)
    assert len({cell.name for cell in grid.cells}) == 8
