"""The demo goes the whole way and leaves files that open elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from superpoint.errors import InputError
from superpoint.pipelines.demo import Demo, demo
from superpoint.pipelines.settings import DemoSettings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    out = tmp_path_factory.mktemp("demo") / "out"
    return demo(DemoSettings(out=out, size=256, n_points=60, epochs=1, device="cpu"))


def test_every_file_it_names_is_there(made: Demo) -> None:
    assert all(Path(path).stat().st_size > 0 for path in made.files.values())
    assert Path(made.files["overview"]).read_bytes().startswith(b"\x89PNG")


def test_it_measures_what_it_made(made: Demo) -> None:
    with rasterio.open(made.files["pseudo_mask"]) as dataset, rasterio.open(made.files["scene_truth"]) as truth:
        mask, true = dataset.read(1), truth.read(1)
    labelled = mask != 255
    assert made.coverage == pytest.approx(labelled.mean())
    assert made.accuracy == pytest.approx(np.mean(mask[labelled] == true[labelled]))
    assert sum(made.points.values()) == made.n_points == 60
    assert 0 <= made.miou_weak <= 1
    assert 0 <= made.miou_full <= 1


def test_all_maps_are_georeferenced_alike(made: Demo) -> None:
    for name in ("scene", "scene_truth", "pseudo_mask", "label_map", "map"):
        with rasterio.open(made.files[name]) as dataset:
            assert (dataset.crs.to_epsg(), dataset.transform.a, dataset.shape) == (32631, 0.6, (256, 256))


def test_the_record_holds_settings_and_result(made: Demo) -> None:
    record = json.loads((Path(made.out) / "demo.json").read_text())
    assert record["settings"]["n_points"] == 60
    assert record["result"]["miou_weak"] == made.miou_weak


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    (tmp_path / "classes.toml").write_text("also precious")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="another --out"):
            demo(DemoSettings(out=tmp_path, overwrite=overwrite))
    assert precious.read_text() == "years of work"
    assert (tmp_path / "classes.toml").read_text() == "also precious"
