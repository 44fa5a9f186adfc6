"""A pipeline file does what its steps do one by one, and goes on where it stopped."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from superpoint.errors import InputError
from superpoint.pipelines.label import label
from superpoint.pipelines.run import run
from superpoint.pipelines.settings import LabelSettings, RunSettings
from superpoint.pipelines.steps import FORMS

if TYPE_CHECKING:
    from smallworld import Files

PIPELINES = Path(__file__).parents[2] / "pipelines"


def write_pipeline(files: Files, text: str) -> Path:
    path = files.folder / "pipeline.toml"
    path.write_text(
        f'out = "{files.folder / "out"}"\nrasters = ["{files.raster}"]\ncache = "{files.folder}/cache"\n{text}'
    )
    return path


def test_all_steps_run_and_are_recorded(files: Files) -> None:
    pipeline = write_pipeline(
        files,
        f"""
device = "cpu"
classes = "{files.classes}"
[superpixelize]
region_size = 12
[sample]
masks = ["{files.truth}"]
n_points = 60
[label]
region_size = 12
[inspect]
truth = ["{files.truth}"]
[train]
encoder = "tu-lcnet_035"
patch = 64
epochs = 1
[predict]
overlap = 16
[evaluate]
truth = ["{files.truth}"]
""",
    )
    result = run(RunSettings(pipeline=pipeline))
    record = json.loads((files.folder / "out" / "run.json").read_text())
    assert list(record["settings"]) == [step for step in FORMS if step != "split"]
    assert record["settings"]["label"]["region_size"] == 12
    assert record["settings"]["train"]["learning_rate"] == 0.001
    assert result.evaluate is not None
    assert record["results"]["evaluate"]["miou"] == result.evaluate.miou
    assert result.predict is not None
    assert Path(result.predict[0].output).exists()
    assert result.inspect is not None
    assert result.inspect.accuracy == pytest.approx(1, abs=0.1)
    assert (files.folder / "out" / "inspect.html").exists()
    assert result.label is not None
    assert result.label[0].points["used"] > 50
    again = run(RunSettings(pipeline=pipeline))
    assert again.superpixelize is not None
    assert again.superpixelize[0].n_computed == 0
    assert again.evaluate == result.evaluate


def test_a_step_in_a_file_is_the_step_in_python(files: Files) -> None:
    pipeline = write_pipeline(files, f'[label]\npoints = "{files.points}"\nregion_size = 10\n')
    from_file = run(RunSettings(pipeline=pipeline)).label
    settings = LabelSettings(rasters=[files.raster], points=files.points, region_size=10, cache=files.folder / "cache")
    assert from_file is not None
    assert from_file[0].path == label(settings)[0].path


def test_set_replaces_a_setting(files: Files) -> None:
    pipeline = write_pipeline(files, "[superpixelize]\nregion_size = 10\n")
    run(RunSettings(pipeline=pipeline, set={"superpixelize.region_size": 15}))
    record = json.loads((files.folder / "out" / "run.json").read_text())
    assert record["settings"]["superpixelize"]["region_size"] == 15


def test_a_folder_with_another_run_is_not_replaced_unasked(files: Files) -> None:
    pipeline = write_pipeline(files, "[superpixelize]\nregion_size = 10\n")
    run(RunSettings(pipeline=pipeline))
    changed = {"superpixelize.region_size": 15}
    with pytest.raises(InputError, match=r"out holds a run with other settings; give --overwrite"):
        run(RunSettings(pipeline=pipeline, set=changed))
    assert run(RunSettings(pipeline=pipeline, set=changed, overwrite=True)).superpixelize


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("oops", "is not TOML"),
        ("[[label]]\n", r"\[label\] must be a table"),
        ('rastres = ["a.tif"]\n[label]\n', "unknown setting 'rastres'"),
        ("", "asks for no step"),
        ("[predict]\noverlp = 3\n", r"pipeline\.toml: \[predict\] has no setting 'overlp'; known: cache"),
    ],
)
def test_a_bad_file_is_one_sentence(files: Files, text: str, sentence: str) -> None:
    pipeline = files.folder / "pipeline.toml"
    pipeline.write_text(f'out = "{files.folder / "out"}"\n{text}')
    with pytest.raises(InputError, match=sentence):
        run(RunSettings(pipeline=pipeline))
    assert not (files.folder / "out").exists()


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_pipeline_of_the_repository_has_valid_settings(path: Path) -> None:
    pipeline = tomllib.loads(path.read_text())
    steps = set(pipeline) & set(FORMS)
    assert steps
    for step in steps:
        assert set(pipeline[step]) <= set(FORMS[step].model_fields)
    assert set(pipeline) - set(FORMS) <= {name for form in FORMS.values() for name in form.model_fields} | {"out"}
