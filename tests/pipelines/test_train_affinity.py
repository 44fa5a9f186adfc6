"""Masks to affinity weights, on files as a user has them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from smallworld import write_raster

from superpoint.cli import main
from superpoint.errors import InputError
from superpoint.models.dal_weights import describe_dal
from superpoint.pipelines.settings import TrainAffinitySettings
from superpoint.pipelines.train_affinity import AffinityTraining, train_affinity
from superpoint.superpixels.dal import dal_affinities

if TYPE_CHECKING:
    from smallworld import Files

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 1 / 16, "patch": 32, "patches": 8, "epochs": 2, "device": "cpu"}


def train_files(files: Files, out: str = "dal", **settings: object) -> AffinityTraining:
    values = {"raster": [files.raster], "labels": [files.truth], "classes": files.classes} | SMALL | settings
    return train_affinity(TrainAffinitySettings(out=files.folder / out, cache=files.folder / "cache", **values))


def test_the_weights_are_what_dal_affinities_takes(files: Files) -> None:
    training = train_files(files)
    affinities = dal_affinities(np.zeros((3, 20, 30), np.float32), weights=training.weights)
    assert affinities.shape == (8, 20, 30)
    assert [row["epoch"] for row in training.history] == [1, 2]


def test_the_file_says_how_it_was_made_and_not_where(files: Files) -> None:
    training = train_files(files, seed=5)
    about = describe_dal(Path(training.weights))
    assert (about["width"], about["bands"]) == (1 / 16, 3)
    made = about["provenance"]
    assert (made["settings"]["seed"], made["n_rasters"], made["classes"]) == (5, 1, ["dark", "bright"])
    assert made["epoch"] == training.history[-1]
    assert str(files.folder) not in json.dumps(about)


def test_settings_and_history_are_beside_the_weights(files: Files) -> None:
    training = train_files(files)
    folder = Path(training.weights).parent
    assert TrainAffinitySettings(**json.loads((folder / "settings.json").read_text())).width == 1 / 16
    assert json.loads((folder / "history.json").read_text())["epochs"] == training.history


def test_the_same_settings_give_the_same_file(files: Files) -> None:
    one, other = (Path(train_files(files, out).weights).read_bytes() for out in ("one", "other"))
    assert one == other


def test_each_raster_is_scaled_by_its_own_statistics(files: Files) -> None:
    """A raster in other units, as a later year may bring it, teaches the same."""
    from rasterio import open as open_dataset

    with open_dataset(files.raster) as dataset:
        dimmed = write_raster(files.folder / "dimmed.tif", dataset.read().astype(np.uint16) * 7 + 300)
    one = train_files(files, "plain", raster=[files.raster] * 2, labels=[files.truth] * 2)
    other = train_files(files, "dimmed", raster=[files.raster, dimmed], labels=[files.truth] * 2)
    assert other.history[-1]["train_loss"] == pytest.approx(one.history[-1]["train_loss"], rel=1e-4)


def test_validation_chooses_the_epoch(files: Files) -> None:
    training = train_files(files, validation_raster=[files.raster], validation_labels=[files.truth])
    losses = [row["val_loss"] for row in training.history]
    assert training.epoch == 1 + int(np.argmin(losses))


def test_weights_that_are_there_are_not_replaced_unasked(files: Files) -> None:
    train_files(files)
    with pytest.raises(InputError, match=r"dal holds a training; give --overwrite to replace it, or another --out"):
        train_files(files)
    train_files(files, overwrite=True)


def test_a_raster_of_two_bands_asks_for_three(files: Files) -> None:
    with pytest.raises(InputError, match=r"scene\.tif has 2 bands; an affinity network sees red, green and blue"):
        train_files(files, bands=[1, 2])


def test_masks_without_a_label_are_refused(files: Files) -> None:
    empty = write_raster(files.folder / "none.tif", np.full((1, 200, 260), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"no pixel of .*none\.tif is labelled"):
        train_files(files, labels=[empty])


def test_masks_on_another_grid_are_refused(files: Files) -> None:
    small = write_raster(files.folder / "small.tif", np.zeros((1, 40, 40), np.uint8))
    with pytest.raises(InputError, match=r"small\.tif has 40 x 40 pixels and .*scene\.tif 200 x 260"):
        train_files(files, labels=[small])


def test_a_gpu_that_is_not_there_is_a_sentence(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="PyTorch finds no GPU here; give --device cpu"):
        train_files(files, device="cuda")


def test_each_raster_needs_its_mask(files: Files) -> None:
    with pytest.raises(ValidationError, match="2 rasters and 1 labels; give one mask for each raster"):
        train_files(files, raster=[files.raster] * 2)


def test_the_command_is_spelt_with_a_dash(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--raster", files.raster, "--labels", files.truth, "--classes", files.classes, "--patch", "32",
             "--patches", "4", "--epochs", "1", "--width", "0.0625", "--device", "cpu",
             "--out", files.folder / "out", "--cache", files.folder / "cache"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["superpoint", "train-affinity", *map(str, words), "--json"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    result = json.loads(capsys.readouterr().out)
    assert Path(result["weights"]).is_file()
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "--overwrite"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert f"weights  {files.folder}" in capsys.readouterr().out
