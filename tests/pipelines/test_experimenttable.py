"""What the table of an experiment holds and calls its columns, what its report refuses, and what an estimate counts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError
from smallworld import write_scenes
from torch.nn.modules.module import register_module_forward_hook

from superpoint.errors import InputError
from superpoint.pipelines.experiment import estimate
from superpoint.pipelines.experiments.cells import Course
from superpoint.pipelines.experiments.grid import Cell
from superpoint.pipelines.experiments.table import RESULT_COLUMNS, is_result, row_of
from superpoint.pipelines.settings import ExperimentSettings, PredictSettings
from superpoint.pipelines.settings.experiment import ExperimentReportSettings, check_report
from superpoint.pipelines.steps import resolve, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = {"rasters": ["a.tif"], "masks": ["a.png"]}
RESULTS: dict[str, Any] = {
    "split": {"output": "split.csv", "train": PART, "validation": PART, "test": PART},
    "sample": {"output": "points.csv", "n_points": 60},
    "label": [{"path": "label.zarr"}],
    "train": {
        "checkpoint": "best.ckpt",
        "n_patches": 7,
        "history": [{"epoch": 1, "train_loss": 0.5, "val_miou": 0.4}, {"epoch": 2, "train_loss": 0.25}],
    },
    "predict": [{"output": "map.tif"}],
    "evaluate": {
        "classes": {"water": {"iou": 0.5}},
        **dict.fromkeys(
            ["miou", "micro_iou", "mean_f1", "frequency_weighted_iou", "kappa", "pixel_accuracy", "boundary_miou"], 0.5
        ),
    },
}


def row_with(pipeline: dict[str, Any], results: dict[str, Any] = RESULTS, **axes: Any) -> dict[str, Any]:  # noqa: ANN401  # values of any kind
    """Return the row of a cell of which all is done."""
    places = {"split": {"output": Path("s.csv")}, "sample": {"output": Path("p.csv")}, "train": {"out": Path("model")}}
    course = Course(cell=Cell(values=axes, pipeline=pipeline), results=results, status="done", seconds=1.0)
    course.settings = {
        step: resolve(step, pipeline, results, places.get(step, {"output": Path("maps")})).model_dump(mode="json")
        for step in steps_of(pipeline)
    }
    return row_of(course)


WHOLE: dict[str, dict[str, Any]] = {
    "split": {"rasters": ["*.tif"], "masks": ["{stem}.png"]},
    "sample": {},
    "label": {},
    "train": {},
    "predict": {},
    "evaluate": {},
}


def test_a_row_has_the_settings_that_name_files_of_the_user_and_none_of_what_earlier_steps_made() -> None:
    row = row_with(
        {"classes": "classes.toml"}
        | WHOLE
        | {"label": {"points": "mine.csv"}, "train": {"labels": ["drawn.png"]}, "evaluate": {"truth": ["judge.png"]}}
    )
    assert row["split.rasters"] == '["*.tif"]'
    assert row["label.points"] == '["mine.csv"]'
    assert row["train.labels"] == '["drawn.png"]'
    assert row["evaluate.truth"] == '["judge.png"]'
    assert not {"sample.masks", "label.rasters", "train.raster", "predict.checkpoint", "evaluate.maps"} & set(row)
    assert not {"label.points", "train.labels", "evaluate.truth"} & set(row_with({"classes": "classes.toml"} | WHOLE))


def test_without_a_split_a_row_has_the_rasters_that_the_file_names() -> None:
    pipeline = {"rasters": ["a.tif"], "classes": "classes.toml", "label": {"points": "p.csv"}, "train": {}}
    row = row_with(pipeline, {"label": [{"path": "label.zarr"}], "train": RESULTS["train"]})
    assert (row["label.rasters"], row["train.raster"]) == ('["a.tif"]', '["a.tif"]')
    assert "train.labels" not in row


def test_whatever_is_no_setting_and_no_axis_is_a_result() -> None:
    row = row_with({"classes": "classes.toml"} | WHOLE, budget=30)
    others = {name for name in row if "." not in name} - {"budget"}
    assert others == RESULT_COLUMNS | {"iou_water"}
    assert all(is_result(name) for name in others)
    assert not any(is_result(name) for name in ("seed", "supervision", "train.epochs", "sample.n_points"))
    assert (row["budget"], row["epochs"], row["val_miou"], row["train_loss"]) == (30, 2, 0.4, 0.25)


@pytest.mark.parametrize(
    ("axes", "repeats"), [(("seed",), "sed"), (("sample.seed", "train.seed"), "seed"), (("train.loss",), "seed")]
)
def test_repeats_that_are_asked_for_must_be_one_axis(axes: tuple[str, ...], repeats: str) -> None:
    grid = {axis: [0, 1] for axis in axes}
    words = f"report.repeats = {repeats!r} is no axis of the grid, nor the end of just one; its axes are {axes[0]}"
    with pytest.raises(InputError, match=re.escape(words)):
        check_report(ExperimentReportSettings(repeats=repeats), grid)


@pytest.mark.parametrize("table", [{}, {"repeats": "fold"}, {"repeats": "seed"}, {"repeats": ""}])
def test_repeats_may_be_left_out_or_be_the_end_of_one_axis(table: dict[str, Any]) -> None:
    grid = {"fold": [1, 2], "train.seed": [0, 1]}
    check_report(ExperimentReportSettings(**table), grid)
    check_report(ExperimentReportSettings(), {"train.loss": ["focal"]})


def test_an_experiment_is_told_where_to_work_as_other_commands_are_and_has_no_cache_of_its_own() -> None:
    common: dict[str, Any] = {"experiment": "grid.toml"}
    mapping: dict[str, Any] = {"checkpoint": "best.ckpt", "rasters": ["a.tif"], "output": "map.tif"}
    for form, needed in ((ExperimentSettings, common), (PredictSettings, mapping)):
        assert form(**needed, workers=3).cluster == form(**needed, scheduler="local:3").cluster == "local:3"
        with pytest.raises(ValidationError, match="give workers or scheduler, not both"):
            form(**needed, workers=3, scheduler="local:3")
        with pytest.raises(ValidationError, match="scheduler"):
            form(**needed, scheduler="elsewhere")
    assert "cache" not in ExperimentSettings.model_fields


FULL = """
out = "{folder}/out"
classes = "{folder}/classes.toml"
device = "cpu"
[split]
rasters = ["{folder}/images/*.tif"]
masks = ["{{folder}}/../masks/{{name}}"]
train = ["{folder}/images/0.tif"]
test = ["{folder}/images/1.tif"]
[train]
encoder = "tu-lcnet_035"
patch = 64
batch_size = 2
epochs = 3
[predict]
overlap = 16
flips = "{flips}"
[grid]
seed = [0]
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return write_scenes(tmp_path, 2)


@pytest.mark.parametrize(("flips", "n_views"), [("none", 1), ("mirrors", 4), ("all", 8)])
def test_an_estimate_counts_every_view_of_a_patch(world: Path, flips: str, n_views: int) -> None:
    (world / "grid.toml").write_text(FULL.format(folder=world, flips=flips))
    found = estimate(ExperimentSettings(experiment=world / "grid.toml"))
    (network,) = found.networks
    n_patches = 2  # 64 of 80 columns, then 48 further
    expected = n_patches * n_views * network["batch_seconds"] / 2
    assert found.predict_seconds == pytest.approx(expected, abs=n_patches * n_views * 0.00005 / 2)  # rounded there


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_estimate_times_networks_with_the_threads_that_a_worker_will_have(world: Path, workers: int) -> None:
    (world / "grid.toml").write_text(FULL.format(folder=world, flips="none"))
    seen: set[int] = set()
    hook = register_module_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    found = estimate(ExperimentSettings(experiment=world / "grid.toml", workers=workers))
    hook.remove()
    assert found.seconds > 0
    assert seen == {3 if workers == 1 else max(1, (os.cpu_count() or 1) // 2)}
    assert torch.get_num_threads() == 3
