"""Algorithms side by side: what is measured of each, the picture, the table, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import strangers
from pydantic import ValidationError
from rich.console import Console
from smallworld import two_fields, write_raster

import superpoint as sp
from superpoint.cli import main
from superpoint.errors import InputError, MissingExtraError
from superpoint.pipelines import compare as job
from superpoint.pipelines import summaries
from superpoint.scaling import measure_scaling
from superpoint.superpixels import quality
from superpoint.superpixels.algorithm import Origin
from superpoint.superpixels.slic import SPREAD, Slic

if TYPE_CHECKING:
    from smallworld import Files

AGAINST_TRUTH = ("asa", "boundary_recall", "undersegmentation", "undersegmentation_levin")


@pytest.fixture(autouse=True)
def _strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers.install(tmp_path / "site", monkeypatch)
    monkeypatch.chdir(tmp_path)


def settings_of(files: Files, **given: Any) -> sp.CompareSettings:  # noqa: ANN401  # any setting
    defaults = {"raster": files.raster, "algorithms": ["columns"], "repeats": 1, "cache": files.folder / "cache"}
    return sp.CompareSettings.model_validate(defaults | given)


def test_each_algorithm_is_judged_by_the_labels_it_gives_to_the_scaled_image(files: Files) -> None:
    compared = sp.compare(
        settings_of(
            files, algorithms=["slic", "columns"], region_size=10, truth=files.truth, classes=files.classes, tile=512,
            parameter={"slic.compactness": 3},
        )
    )  # fmt: skip
    with rasterio.open(files.raster) as dataset:
        image = dataset.read().astype(np.float32)
    valid = np.ones(image.shape[1:], bool)
    scaling = measure_scaling(lambda: [(image, valid)], n_bands=3, dtype="uint8")
    assert scaling is not None
    scaled = scaling.apply(image)
    labels = Slic(region_size=10, compactness=3)(
        scaled, valid, origin=Origin(raster_shape=(200, 260)), rng=np.random.default_rng(0)
    )
    slic = compared["slic"]
    assert list(compared) == ["slic", "columns"]
    assert slic.n_superpixels == len(np.unique(labels))
    assert slic.asa == quality.achievable_segmentation_accuracy(labels, files.mask)
    assert slic.boundary_recall == quality.boundary_recall(labels, files.mask)
    assert slic.undersegmentation == quality.undersegmentation_error(labels, files.mask)
    assert slic.undersegmentation_levin == quality.undersegmentation_error_levin(labels, files.mask)
    assert slic.explained_variation == quality.explained_variation(labels, scaled)
    assert slic.compactness == quality.compactness(labels)
    assert slic.parameters == dataclasses.asdict(Slic(region_size=10, compactness=3))
    assert compared["columns"].n_superpixels == 26
    assert slic.asa > (compared["columns"].asa or 0)


def test_without_a_truth_only_the_image_judges(files: Files) -> None:
    (columns,) = sp.compare(settings_of(files)).values()
    assert [getattr(columns, name) for name in AGAINST_TRUTH] == [None] * 4
    assert columns.explained_variation is not None


def test_tiles_are_compared_with_the_whole_on_the_same_lines(files: Files) -> None:
    compared = sp.compare(settings_of(files, algorithms=["slic", "columns"], tile=64, region_size=6))
    slic, columns = compared["slic"], compared["columns"]
    assert slic.identical == pytest.approx(1, abs=1e-3)
    assert slic.seam_ratio is not None
    assert slic.seam_ratio["tiled"] == pytest.approx(slic.seam_ratio["untiled"], abs=0.01)
    assert columns.identical is None  # its ids say nothing from one array to the next
    assert columns.seam_ratio is not None
    assert columns.seam_ratio["untiled"]["down"] is None  # no label ever changes from a row to the next


def test_an_image_of_one_tile_has_no_seams(files: Files) -> None:
    (columns,) = sp.compare(settings_of(files, tile=260)).values()
    assert columns.seam_ratio is None
    assert columns.identical is None


def test_the_centre_of_a_smaller_image_is_compared(files: Files) -> None:
    (slic,) = sp.compare(
        settings_of(
            files,
            algorithms=["slic"],
            long_side=130,
            crop="60x80",
            n_segments=48,
            truth=files.truth,
            classes=files.classes,
        )
    ).values()
    assert slic.shape == (60, 80)
    assert slic.region_size == pytest.approx(10)
    assert 48 / SPREAD**2 <= slic.n_superpixels <= 48  # seeds stand wider; large second pieces make up for some
    assert slic.asa is not None
    assert slic.asa > 0.85


def test_the_picture_is_written_beside_the_call_and_never_replaced_unasked(files: Files) -> None:
    (columns,) = sp.compare(settings_of(files)).values()
    assert columns.picture == "scene.compare.png"
    picture = Path(columns.picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"scene\.compare\.png exists already; give --overwrite"):
        sp.compare(settings_of(files))
    sp.compare(settings_of(files, overwrite=True, output="again.svg"))
    assert Path("again.svg").read_text().startswith("<?xml")
    assert not list(Path().glob(".*partial"))


def test_an_input_is_never_drawn_over(files: Files) -> None:
    photograph = files.folder / "scene.png"
    photograph.write_bytes(files.raster.read_bytes())
    with pytest.raises(InputError, match=r"the picture .*scene\.png is an input"):
        sp.compare(settings_of(files, raster=photograph, output=photograph, overwrite=True))
    with pytest.raises(InputError, match=r"cannot draw map\.tif; a picture ends in one of \.png"):
        sp.compare(settings_of(files, output="map.tif"))


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"algorithms": ["slic", "slik"]}, InputError, r"unknown superpixel algorithm 'slik'; known: .*slic"),
        (
            {"algorithms": ["slic", "absent"]},
            MissingExtraError,
            r"'absent' needs not_to_be_found, which is not installed; .*pip install not-to-be-found",
        ),
        ({"parameter": {"compactness": 3}}, InputError, r"--parameter compactness: write ALGORITHM\.NAME=VALUE"),
        ({"parameter": {"hers.sigma": 3}}, InputError, r"one of the algorithms compared: columns"),
        ({"parameter": {"columns.sigma": 3}}, InputError, r"columns has no parameter 'sigma'; known: region_size"),
        ({"parameter": {"columns.region_size": 3}}, InputError, r"give --region-size or --n-segments"),
        ({"bands": [7]}, InputError, r"has bands 1 to 3, there is no band 7"),
        ({"truth": "nowhere.tif"}, InputError, r"nowhere\.tif does not exist"),
    ],
)
def test_a_bad_request_is_one_sentence_before_anything_is_computed(
    files: Files, given: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as refused:
        sp.compare(settings_of(files, **given))
    assert "\n" not in str(refused.value)
    assert not (files.folder / "cache").exists()
    assert not list(Path().glob("*.png"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"algorithms": "slic,slic"}, "slic is listed twice"),
        ({"algorithms": ","}, "at least 1 item"),
        ({"crop": "10"}, "write ROWxCOL in pixels"),
        ({"crop": "0x10"}, "at least one row and one column, got 0x10"),
        ({"region_size": 5, "n_segments": 5}, "give region_size or n_segments, not both"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(files: Files, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        settings_of(files, **given)


def test_a_truth_of_another_grid_is_refused(files: Files) -> None:
    small = write_raster(files.folder / "small.tif", files.mask[None, :100], nodata=255)
    with pytest.raises(InputError, match=r"small\.tif has 100 x 260 pixels and .*scene\.tif 200 x 260"):
        sp.compare(settings_of(files, truth=small, classes=files.classes))


def test_a_raster_without_data_is_refused(files: Files) -> None:
    empty = write_raster(files.folder / "empty.tif", np.zeros((1, 50, 60), np.uint8), nodata=0)
    with pytest.raises(InputError, match=r"empty\.tif has nothing but nodata there"):
        sp.compare(settings_of(files, raster=empty))


def test_a_raster_that_does_not_fit_memory_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MAX_PIXELS", 100 * 100)
    with pytest.raises(
        InputError, match=r"has 260 x 200 pixels, more than are compared at once in memory; give --crop"
    ):
        sp.compare(settings_of(files))
    assert sp.compare(settings_of(files, crop="100x100"))


def test_nodata_and_one_band_are_compared_as_well(files: Files) -> None:
    image, _ = two_fields((120, 140), seed=1)
    image[:, :30, :40] = 0
    raster = write_raster(files.folder / "band.tif", image[:1], nodata=0)
    (slic,) = sp.compare(settings_of(files, algorithms=["slic"], raster=raster, region_size=12, tile=64)).values()
    assert slic.disconnected == 0
    assert 0 < (slic.explained_variation or 0) <= 1


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["superpoint", "compare", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code


def test_json_is_an_object_of_algorithms(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(
        monkeypatch, files.raster, "--algorithms", "slic,columns", "--truth", files.truth, "--classes", files.classes,
        "--crop", "100x120", "--tile", 64, "--repeats", 1, "--cache", files.folder / "cache",
        "--parameter", "slic.iterations=3", "--region-size", 10, "--output", "both.png", "--json",
    )  # fmt: skip
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["slic", "columns"]
    slic = answer["slic"]
    numbers = ("mpx_per_s", "compile_s", "n_superpixels", "disconnected", "identical", "explained_variation")
    assert all(isinstance(slic[name], int | float) for name in (*numbers, "compactness", *AGAINST_TRUTH))
    assert slic["peak_bytes_per_px"] is None or slic["peak_bytes_per_px"] > 0
    assert {name: set(ratio) for name, ratio in slic["seam_ratio"].items()} == {
        "tiled": {"down", "across"},
        "untiled": {"down", "across"},
    }
    assert slic["shape"] == [100, 120]
    assert answer["columns"]["identical"] is None
    assert answer["columns"]["picture"] == "both.png"


def test_the_table_has_a_column_for_each_algorithm_and_no_row_of_nothing(files: Files) -> None:
    compared = sp.compare(settings_of(files, algorithms=["threads", "columns"]))
    stream = io.StringIO()
    console = Console(width=20, file=stream)  # narrower than the table: a file has no edge
    console.print(summaries.of_comparison(compared), soft_wrap=True)
    text = stream.getvalue()
    assert ["threads", "columns"] in [line.split() for line in text.splitlines()]
    assert "Mpx/s, one core" in text
    assert "ASA" not in text  # there is no truth
    assert "identical" not in text  # there is one tile
    assert "the boundaries are drawn in scene.compare.png" in text
