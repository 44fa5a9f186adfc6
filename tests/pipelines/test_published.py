"""Every file in pipelines/ asks for what there is, proposes what is allowed, and runs from rasters to a judged map."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from smallworld import two_fields

from superpoint.cache.tables import read_class_table
from superpoint.errors import MissingExtraError
from superpoint.pipelines.experiment import report_of
from superpoint.pipelines.experiments.grid import read_grid
from superpoint.pipelines.pipelinefile import changed, check_pipeline, read_toml
from superpoint.pipelines.rasterjobs import check_request
from superpoint.pipelines.run import Run, run
from superpoint.pipelines.settings import LabelSettings, RunSettings, SampleSettings, Settings, TrainSettings
from superpoint.pipelines.settings.experiment import check_report
from superpoint.pipelines.steps import resolve, steps_of
from superpoint.pipelines.trainingrecipe import loss_settings
from superpoint.points.strategies import STRATEGIES
from superpoint.training.criteria import check_loss

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PIPELINES = sorted((ROOT / "pipelines").glob("*.toml"))
EXPERIMENTS = sorted((ROOT / "pipelines" / "experiments").glob("*.toml"))
CLASSES = ROOT / "examples" / "dubai-classes.toml"

PARTS = {name: {"rasters": [f"{name}.tif"], "masks": [f"{name}.png"]} for name in ("train", "validation", "test")}
RESULTS: dict[str, Any] = {
    "split": PARTS,
    "sample": {"output": "points.csv"},
    "label": [{"path": "train.zarr"}],
    "train": {"checkpoint": "best.ckpt"},
    "predict": [{"output": "test.map.tif"}],
}
PLACES: dict[str, dict[str, Path]] = {
    "train": {"out": Path("model")},
    "split": {"output": Path("split.csv")},
    "sample": {"output": Path("points.csv")},
    "predict": {"output": Path("maps")},
}

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)


def settings_of(pipeline: dict[str, Any]) -> dict[str, Settings]:
    """Return the settings of each step of a pipeline, as if the steps before it had been done."""
    steps = steps_of(pipeline)
    results = {step: RESULTS[step] for step in steps if step in RESULTS}
    return {step: resolve(step, pipeline, results, PLACES.get(step, {})) for step in steps}


def check_names(forms: dict[str, Settings]) -> None:
    """Look up what settings name and no form knows."""
    for form in forms.values():
        if isinstance(form, SampleSettings):
            assert form.strategy in STRATEGIES
        if isinstance(form, LabelSettings):
            with contextlib.suppress(MissingExtraError):  # of a package that need not be there
                check_request(form)
        if isinstance(form, TrainSettings):
            check_loss(form.loss, loss_settings(form))


def proposals(path: Path) -> dict[str, Any]:
    """Return the settings that a file's comments propose to replace; of several for one the last."""
    comments = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    found = re.findall(r"--set ([\w.-]+)=('[^']*'|\S+)", comments)
    return {name: tomllib.loads(f"value = {value.strip("'").rstrip(':')}")["value"] for name, value in found}


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_pipeline_asks_for_steps_and_settings_that_there_are(path: Path) -> None:
    pipeline = read_toml(path)
    check_pipeline(pipeline, where=path.name)
    forms = settings_of(pipeline)
    check_names(forms)
    assert "rasters" in {**pipeline, **pipeline.get("split", {})}


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_what_a_pipelines_comments_propose_can_be_set(path: Path) -> None:
    changes = proposals(path)
    pipeline = changed(read_toml(path), changes, where=path.name)
    check_pipeline(pipeline, where=path.name)
    check_names(settings_of(pipeline))
    assert any("rasters" in name for name in changes)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("as_proposed", [False, True], ids=["whole", "shrunk"])
def test_every_cell_of_a_grid_asks_for_what_there_is(path: Path, as_proposed: bool) -> None:
    changes = proposals(path) if as_proposed else {}
    grid = read_grid(path, changes)
    check_report(report_of(grid), {axis.name: axis.values for axis in grid.axes})
    for cell in grid.cells:
        check_names(settings_of(cell.pipeline))
    assert len({cell.name for cell in grid.cells}) == len(grid.cells) == np.prod([len(a.values) for a in grid.axes])
    for name, value in changes.items():
        axis = name.removeprefix("grid.")
        assert axis == name or list(value) in [one.values for one in grid.axes if one.name == axis]


@pytest.mark.parametrize("path", [*PIPELINES, *EXPERIMENTS], ids=lambda path: path.stem)
def test_a_file_opens_with_the_command_that_runs_it(path: Path) -> None:
    command = "experiment" if path in EXPERIMENTS else "run"
    assert f"superpoint {command} {path.relative_to(ROOT).as_posix()}" in path.read_text().split("out = ")[0]


def test_networks_losses_and_budgets_are_those_that_were_published() -> None:
    files = {path.stem: tomllib.loads(path.read_text()) for path in PIPELINES}
    main, focal, stratified = (files[name] for name in ("points-superpixels", "partial-focal", "stratified-points"))
    assert (main["label"]["n_segments"], main["split"]["shares"]) == (300, [0.6, 0.2, 0.2])
    recipe = main["train"]
    assert (recipe["model"], recipe["encoder"], recipe["learning_rate"]) == ("deeplabv3", "resnet50", 1e-4)
    assert (recipe["loss"], recipe["schedule"]) == ("weighted-masked-mse", "plateau")
    assert (focal["sample"]["n_points"], focal["train"]["patch"], focal["train"]["epochs"]) == (100, 256, 5)
    assert (focal["train"]["encoder"], focal["train"]["learning_rate"]) == ("resnet34", 1e-3)
    assert (stratified["sample"]["fraction"], stratified["train"]["model"]) == (0.01, "deeplabv3")
    grid = read_grid(ROOT / "pipelines" / "experiments" / "points-superpixels.toml", {})
    budgets, networks = (
        {axis.name: axis.values for axis in grid.axes}[name] for name in ("sample.n_points", "train.model")
    )
    assert (budgets, networks) == ([10, 20, 30, 40, 50], ["deeplabv3", "unet", "fcn"])


# --- from rasters to a judged map


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Three tiles of one part each, in the folders and colours of the data set."""
    colors = np.array([c.rgb for c in read_class_table(CLASSES).classes[:2]], np.uint8)
    for tile in (1, 2, 3):
        image, truth = two_fields((64, 120), seed=tile)
        folder = tmp_path / "dubai" / f"Tile {tile}"
        for kind, name, driver, values in (
            ("images", "image_part_001.jpg", "JPEG", image),
            ("masks", "image_part_001.png", "PNG", np.moveaxis(colors[truth], -1, 0)),
        ):
            (folder / kind).mkdir(parents=True)
            grid = {"count": 3, "height": 64, "width": 120, "dtype": "uint8"}
            with rasterio.open(folder / kind / name, "w", driver=driver, **grid) as dataset:
                dataset.write(values)
    return tmp_path


def run_small(name: str, folder: Path, **changes: object) -> Run:
    small = {
        "out": str(folder / "out"), "cache": str(folder / "cache"), "device": "cpu", "train.encoder": "tu-lcnet_035",
        "train.epochs": 1, "train.patch": 64,
    }  # fmt: skip
    return run(RunSettings.model_validate({"pipeline": ROOT / "pipelines" / f"{name}.toml", "set": small | changes}))


def of_tiles(folder: Path) -> dict[str, object]:
    return {"split.rasters": [f"{folder}/dubai/*/images/*.jpg"], "classes": str(CLASSES)}


def test_points_in_superpixels_of_some_tiles_make_a_map_of_another(tiles: Path) -> None:
    changes = {"sample.n_points": 10, "label.n_segments": 40, "train.model": "unet"}
    made = run_small("points-superpixels", tiles, **of_tiles(tiles), **changes)
    assert made.split is not None
    assert made.label is not None
    assert made.train is not None
    assert made.evaluate is not None
    assert len({*made.split.train.groups, *made.split.validation.groups, *made.split.test.groups}) == 3
    assert made.label[0].points["used"] == 10
    assert 0.1 < made.label[0].coverage < 0.9
    assert "val_miou" in made.train.history[0]
    assert made.evaluate.n_pixels == 64 * 120


def test_points_alone_label_as_many_pixels_as_there_are_points(tiles: Path) -> None:
    made = run_small("partial-focal", tiles, **of_tiles(tiles), **{"sample.patch": 64, "sample.n_points": 30})
    assert made.label is not None
    assert made.evaluate is not None
    assert sum(made.label[0].class_pixels.values()) == made.label[0].points["used"] == 60
    assert made.evaluate.n_pixels == 64 * 120


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_landsat_learns_from_half_of_the_polygons_and_is_judged_by_the_others(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = shared / "data" / "sparse", tmp_path / "polygons"
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["landsat_polygons.py", str(data), "--out", str(out)])
    load_example("landsat_polygons").main()
    ours, theirs = (gpd.read_file(out / f"half-{half}.gpkg") for half in (1, 2))
    assert len(ours) + len(theirs) == 30
    assert set(ours["class"]) == set(theirs["class"]) == {"forest", "water", "herbaceous", "barren", "urban"}
    changes = {
        "rasters": [str(data / "LE70220491999322EDC01_stack.gtif")],
        "classes": str(ROOT / "examples" / "landsat-classes.toml"),
        "label.points": [str(out / "half-1.gpkg")], "evaluate.truth": [str(out / "half-2-truth.tif")],
    }  # fmt: skip
    made = run_small("landsat", tmp_path, **changes)
    assert made.label is not None
    assert made.evaluate is not None
    with rasterio.open(out / "half-1-truth.tif") as learned, rasterio.open(out / "half-2-truth.tif") as judged:
        is_learned, is_judged = learned.read(1) != 255, judged.read(1) != 255
    assert not (is_learned & is_judged).any()
    assert is_learned.sum() + is_judged.sum() == 718
    assert made.label[0].points["used"] == len(ours)
    assert made.evaluate.n_pixels == is_judged.sum()
