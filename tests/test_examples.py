"""The examples run as their first lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from smallworld import two_fields, write_points, write_raster

from superpoint.cache.tables import read_class_table

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *words: object, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout


def test_points_to_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path / "cache"))
    image, truth = two_fields((150, 200), seed=0)
    write_raster(tmp_path / "ortho.tif", image)
    write_points(tmp_path / "points.gpkg", truth, 40, seed=0)
    small = ("--encoder", "tu-lcnet_035", "--epochs", "1", "--patch", "64")
    printed = run_example("points_to_map.py", "ortho.tif", "points.gpkg", "--out", "out", *small, folder=tmp_path)
    assert "40 used" in printed
    with rasterio.open(tmp_path / "out" / "map.tif") as dataset:
        assert (dataset.shape, dataset.crs.to_epsg()) == ((150, 200), 32633)


@pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}")
def test_dubai_on_a_data_set_of_the_same_form(tmp_path: Path) -> None:
    """A tile to learn from and one to judge by, two parts each, in the folders and colours of the data set."""
    classes = read_class_table(EXAMPLES / "dubai-classes.toml")
    colors = np.array([c.rgb for c in classes.classes[:2]], np.uint8)
    for tile in (1, 2):
        for part in (1, 2):
            image, truth = two_fields((96, 110), seed=10 * tile + part)
            folder = tmp_path / "data" / f"Tile {tile}"
            for kind, name, driver, values in (
                ("images", f"image_part_00{part}.jpg", "JPEG", image),
                ("masks", f"image_part_00{part}.png", "PNG", np.moveaxis(colors[truth], -1, 0)),
            ):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                grid = {"count": 3, "height": values.shape[1], "width": values.shape[2], "dtype": "uint8"}
                with rasterio.open(folder / kind / name, "w", driver=driver, **grid) as dataset:
                    dataset.write(values)
    small = ("--encoder", "tu-lcnet_035", "--epochs", "1", "--patch", "96", "--n-segments", "40")
    words = ("data", "--out", "out", "--train-tiles", "1", "--test-tiles", "2", "--n-points", "12", *small)
    printed = run_example("dubai.py", *words, folder=tmp_path)
    assert "24 points on 2 parts label" in printed
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(scores) == {"weak", "full"}
    assert scores["weak"]["n_pixels"] == scores["full"]["n_pixels"] == 2 * 96 * 110


def test_landsat_on_the_stacks_and_polygons_it_is_about(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(tmp_path / "cache"))
    data = shared / "data" / "sparse"
    printed = run_example("landsat.py", data, "--out", "out", folder=tmp_path)
    assert "cloud shadow (2) 6.6%, cloud (4) 20.3%" in printed
    assert "id names the class, but id 5 is urban in 1 row, barren in 1 row" in printed
    assert "polygons: 21 used, 9 on_nodata" in printed
    # The raster has the ids, and no other pixels differ than those of the two rows that contradict the others: 8 + 11.
    assert "training pixels labelled: 718 of 718, 97.4% of them with their own class" in printed
    with rasterio.open(data / "LE70220492002106EDC00_stack.gtif") as scene:
        fmask = scene.read(8)
    for choice in ("all-reflective", "red-nir-swir"):
        with rasterio.open(tmp_path / "out" / choice / "LE70220492002106EDC00_stack.pseudo-mask.tif") as made:
            mask = made.read(1)
        assert (mask[fmask > 0] == 255).all()
        assert 0.02 < (mask != 255).mean() < 0.04  # of all pixels: 3.9 % of the clear ones
