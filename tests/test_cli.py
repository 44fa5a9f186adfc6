"""The command line: its spellings, its sentences and its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import geopandas as gpd
import pytest
import rasterio
from smallworld import two_fields, write_points, write_raster

from superpoint import __version__
from superpoint.cli import app, main
from superpoint.pipelines import settings

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    "superpixelize", "status", "retry", "report", "algorithms", "compare", "cut", "split", "sample", "suggest",
    "label", "inspect", "train", "train-affinity", "predict", "evaluate", "export", "run", "experiment", "demo",
]  # fmt: skip


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["superpoint", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    image, truth = two_fields((90, 120), seed=0)
    write_points(tmp_path / "points.gpkg", truth, 20, seed=0)
    return write_raster(tmp_path / "scene.tif", image)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, capsys, "--version") == (0, f"superpoint {__version__}\n", "")


def test_there_is_a_command_for_each_step() -> None:
    assert [command.name for command in app.registered_commands] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_its_flag_in_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = call(monkeypatch, capsys, command, "--help")
    form = getattr(settings, f"{command.title().replace('-', '')}Settings")
    assert code == 0
    for name, field in form.model_fields.items():
        positional = any(isinstance(mark, settings.Positional) for mark in field.metadata)
        assert (name.rstrip("s").upper() if positional else f"--{name.replace('_', '-')}") in out


def test_superpixelize_writes_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Path, tmp_path: Path
) -> None:
    words = ("superpixelize", scene, "--algorithm", "slic", "--region-size", "10", "--tile", "64", "--halo", "exact",
             "--workers", "1", "--cache", tmp_path / "cache", "--output", tmp_path / "labels.tif",
             "--parameter", "compactness=5")  # fmt: skip
    code, out, _ = call(monkeypatch, capsys, *words, "--json")
    (result,) = json.loads(out)
    assert (code, result["n_tiles"], result["n_computed"]) == (0, 4, 4)
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        assert dataset.dtypes == ("uint32",)
    code, out, err = call(monkeypatch, capsys, *words, "--region-size", "11")
    assert code == 2
    assert "labels.tif exists already; give --overwrite" in err


def test_label_prints_the_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Path, tmp_path: Path
) -> None:
    words = ("label", scene, "--points", tmp_path / "points.gpkg", "--region-size", 10, "--cache", tmp_path / "cache")
    code, out, _ = call(monkeypatch, capsys, *words)
    assert code == 0
    assert "20 rows of points" in out
    assert "voted, and the vote of its superpixel went to its class" in out
    _, out, _ = call(monkeypatch, capsys, *words, "--json")
    assert sum(json.loads(out)[0]["points"].values()) == 20


def test_a_warning_is_called_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text("row,col,class\n3,3,a\n4,4,b\n")
    words = ("label", scene, "--points", tmp_path / "p.csv", "--n-segments", 4, "--cache", tmp_path / "cache")
    code, _, err = call(monkeypatch, capsys, *words)
    assert code == 0
    assert "\nwarning: no pixel of b: no point of it was used (1 conflicting)\n" in err
    assert "warning: no class table given" not in err


@pytest.mark.parametrize("name", ["p.gpkg", "p.shp", "p.csv", "p.parquet", "p.geojson"])
def test_a_file_of_points_given_as_a_raster_is_answered_with_the_flag_to_repeat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Path, name: str
) -> None:
    table, path = gpd.read_file(scene.parent / "points.gpkg"), scene.parent / name
    if name.endswith("csv"):
        path.write_text("row,col,class\n3,3,a\n")
    else:
        table.to_parquet(path) if name.endswith("parquet") else table.to_file(path)
    words = ("label", path, "--points", scene.parent / "points.gpkg", "--cache", scene.parent / "cache")
    code, _, err = call(monkeypatch, capsys, *words)
    assert code == 2
    assert err.strip().endswith("if it holds points, give it with --points, repeated for several")


def test_lists_after_one_flag_and_repeated_flags_are_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    together = ("train", "--raster", "a.tif", "b.tif", "--labels", "c.tif", "--out", tmp_path / "m")
    apart = ("train", "--raster", "a.tif", "--raster", "b.tif", "--labels", "c.tif", "--out", tmp_path / "m")
    expected = (2, "", "error: 2 rasters and 1 labels; give one mask for each raster\n")
    assert call(monkeypatch, capsys, *together) == call(monkeypatch, capsys, *apart) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("superpixelize", "nowhere.tif"), "nowhere.tif does not exist; check the path"),
        (("superpixelize", "SCENE", "--region-size", "0"), "--region-size: Input should be greater than 0, got 0.0"),
        (("superpixelize", "SCENE", "--halo", "wide"), "--halo"),
        (("superpixelize", "SCENE", "--region-size", "9", "--n-segments", "9"), "region_size or n_segments, not both"),
        (("superpixelize", "SCENE", "--parameter", "compactness"), "--parameter takes NAME=VALUE, got 'compactness'"),
        (("superpixelize", "SCENE", "--cache", "SCENE"), "cannot use the cache folder"),
        (("label", "SCENE", "--points", "no.gpkg"), "points file no.gpkg does not exist"),
        (
            ("label", "SCENE", "--points", "POINTS", "--class-column", "kind"),
            "has no class column 'kind'; columns: class",
        ),
        (("run", "no.toml"), "cannot read the pipeline no.toml"),
    ],
)
def test_a_bad_request_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scene: Path,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.setenv("SUPERPOINT_CACHE", str(scene.parent / "cache"))
    named = {"SCENE": scene, "POINTS": scene.parent / "points.gpkg"}
    code, out, err = call(monkeypatch, capsys, *(named.get(word, word) for word in words))
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
