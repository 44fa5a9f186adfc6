"""The division of a data set, from what a user names to the table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from superpoint.cli import app
from superpoint.errors import InputError
from superpoint.pipelines.settings import SplitSettings
from superpoint.pipelines.split import split


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Make two parts of each of five scenes, `scene 3/images/b.tif`, with masks of other names."""
    for scene in range(5):
        for kind, suffix in (("images", "tif"), ("masks", "png")):
            folder = tmp_path / f"scene {scene}" / kind
            folder.mkdir(parents=True)
            for part in "ab":
                (folder / f"{part}.{suffix}").touch()
    return tmp_path


def settings_of(archive: Path, **changes: object) -> SplitSettings:
    values = {
        "rasters": [f"{archive}/*/images/*.tif"],
        "masks": ["{folder}/../masks/{stem}.png"],
        "group": r"scene (\d)",
        "output": archive / "split.csv",
    }
    return SplitSettings(**values | changes)


def test_parts_of_a_scene_stay_together(archive: Path) -> None:
    made = split(settings_of(archive))
    assert [len(part.groups) for part in (made.train, made.validation, made.test)] == [3, 1, 1]
    assert len(made.train.rasters) == 6
    for raster, mask in zip(made.train.rasters, made.train.masks, strict=True):
        assert raster.replace("images", "masks").replace(".tif", ".png") == mask


def test_the_table_says_what_became_of_every_raster(archive: Path) -> None:
    made = split(settings_of(archive, train=["0", "1"], test=["4"]))
    rows = list(csv.DictReader((archive / "split.csv").read_text().splitlines()))
    assert [row["split"] for row in rows] == ["train"] * 4 + [""] * 4 + ["test"] * 2
    assert made.n_left_out == 4
    assert not made.validation.rasters


def test_a_table_is_as_good_as_globs(archive: Path) -> None:
    split(settings_of(archive))
    again = split(
        settings_of(
            archive,
            rasters=[archive / "split.csv"],
            masks=[],
            group=None,
            output=archive / "again.csv",
        )
    )
    assert (archive / "again.csv").read_bytes() == (archive / "split.csv").read_bytes()
    assert len(again.train.masks) == 6


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"masks": ["{folder}/../masks/{stem}.tif"]}, r"scene 0/images/a\.tif has no mask .*a\.tif; look at"),
        ({"masks": ["{parent}/{stem}.png"]}, r"may hold \{folder\}, \{name\} and \{stem\} only"),
        ({"masks": ["a.png", "b.png"]}, "10 rasters and 2 masks"),
        ({"group": "field"}, r"scene 0/images/a\.tif has no group: 'field' is not found"),
        ({"group": "("}, r"--group '\(' is no regular expression"),
        ({"train": ["7"]}, "no group '7' for train; groups are 0, 1, 2, 3, 4"),
    ],
)
def test_what_cannot_be_divided_is_one_sentence(archive: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        split(settings_of(archive, **changes))
    assert not (archive / "split.csv").exists()


def test_a_table_that_is_there_is_not_replaced_unasked(archive: Path) -> None:
    split(settings_of(archive))
    with pytest.raises(InputError, match="give --overwrite"):
        split(settings_of(archive))


# --- tables


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def of_table(folder: Path, text: str, **changes: object) -> SplitSettings:
    touch(folder, *(f"{kind}{number}.{suffix}" for number in range(3) for kind, suffix in (("i", "tif"), ("m", "png"))))
    (folder / "table.csv").write_text(text)
    return SplitSettings(**{"rasters": [folder / "table.csv"], "output": folder / "split.csv"} | changes)


def test_a_table_without_masks_is_read_back_as_it_was_written(archive: Path) -> None:
    split(settings_of(archive, masks=[]))
    settings = settings_of(archive, rasters=[archive / "split.csv"], masks=[], output=archive / "again.csv")
    assert not split(settings).train.masks
    assert (archive / "again.csv").read_bytes() == (archive / "split.csv").read_bytes()


def test_groups_are_called_as_they_are_written(tmp_path: Path) -> None:
    text = "raster,site\ni0.tif,01\ni1.tif,1\ni2.tif,NA\n"
    made = split(of_table(tmp_path, text, group_column="site", train=["01"], validation=["1"], test=["NA"]))
    assert made.train.rasters == [str(tmp_path / "i0.tif")]
    assert made.test.rasters == [str(tmp_path / "i2.tif")]


def test_numbers_of_a_parquet_table_are_groups(tmp_path: Path) -> None:
    settings = of_table(tmp_path, "", group_column="site", train=["1"], validation=["2"], test=["3"])
    table = pd.DataFrame({"raster": [f"i{number}.tif" for number in range(3)], "site": [1, 2, 3], "mask": None})
    table.to_parquet(tmp_path / "table.parquet")
    made = split(settings.model_copy(update={"rasters": [str(tmp_path / "table.parquet")]}))
    assert made.test.rasters == [str(tmp_path / "i2.tif")]
    assert not made.test.masks


def test_what_a_table_names_on_a_server_stays_there(tmp_path: Path) -> None:
    urls = ["s3://bucket/a.tif", "https://example.org/b.tif", "/vsigs/bucket/c.tif"]
    rows = "".join(f"{url},{url.replace('.tif', '.png')}\n" for url in urls)
    made = split(of_table(tmp_path, f"raster,mask\n{rows}"))
    parts = (made.train, made.validation, made.test)
    assert sorted(raster for part in parts for raster in part.rasters) == sorted(urls)
    assert all(mask.startswith(("s3://", "https://", "/vsigs/")) for part in parts for mask in part.masks)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("i0.tif,m0.png,a\ni1.tif,m1.png,b\n./i0.tif,m0.png,c", r"row 3 .*i0\.tif is named a second time"),
        ("i0.tif,m0.png,a\ni9.tif,m1.png,b", r"row 2 of .*table\.csv: raster .*i9\.tif does not exist"),
        ("i0.tif,m0.png,a\ni1.tif,m9.png,b", r"row 2 of .*table\.csv: mask .*m9\.png does not exist"),
        ("i0.tif,m0.png,a\ni1.tif,,b", "row 2 of .*: the column 'mask' is empty; fill it in"),
        ("i0.tif,m0.png,a\ni1.tif,m1.png,", "row 2 of .*: the column 'site' is empty; fill it in"),
        (",m0.png,a", "row 1 of .*: the column 'raster' is empty; fill it in"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        split(of_table(tmp_path, f"raster,mask,site\n{rows}\n", group_column="site"))
    assert not (tmp_path / "split.csv").exists()


def test_a_raster_under_two_names_is_refused_among_globs_too(archive: Path) -> None:
    (archive / "scene 4" / "images" / "c.tif").symlink_to(archive / "scene 0" / "images" / "a.tif")
    with pytest.raises(InputError, match=r"scene 4/images/c\.tif is named a second time"):
        split(settings_of(archive, masks=[]))


def test_what_a_list_names_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.tif\nb.tif\n")
    with pytest.raises(InputError, match=r"raster .*a\.tif does not exist"):
        split(SplitSettings(rasters=[tmp_path / "list.txt"], shares=[1, 0, 1], output=tmp_path / "split.csv"))


# --- masks that are not named by a pattern


def masks_of(folder: Path, rasters: list[str], masks: list[str], named: list[str] | None = None) -> dict[str, str]:
    touch(folder, *(f"images/{name}" for name in rasters), *(f"masks/{name}" for name in masks))
    settings = SplitSettings(
        rasters=[f"{folder}/images/**/*.tif"],
        masks=named or [f"{folder}/masks/**/*.png"],
        shares=[1, 0, 1],
        output=folder / "split.csv",
    )
    split(settings)
    rows = csv.DictReader((folder / "split.csv").read_text().splitlines())
    return {Path(row["raster"]).name: Path(row["mask"]).name for row in rows}


@pytest.mark.parametrize(
    ("rasters", "masks"),
    [
        (["a.tif", "b.tif"], ["a.png", "b.png"]),
        (["a.tif", "b.tif"], ["a_mask.png", "b_mask.png"]),
        (["a_sat.tif", "b_sat.tif"], ["a.png", "b.png"]),
    ],
)
def test_masks_of_globs_belong_to_the_rasters_of_their_names(
    tmp_path: Path, rasters: list[str], masks: list[str]
) -> None:
    assert masks_of(tmp_path, rasters, masks) == dict(zip(rasters, masks, strict=True))


@pytest.mark.parametrize(
    ("rasters", "masks", "sentence"),
    [
        (["0.tif", "1.tif", "2.tif"], ["1.png", "2.png", "7.png"], r"1\.png does not look like the mask of .*/0\.tif"),
        (["a.tif", "b.tif", "c.tif"], ["a.png", "b.png", "d.png"], r"d\.png does not look like the mask of .*/c\.tif"),
        (["1.tif", "10.tif"], ["10_mask.png", "1_mask.png"], r"does not look like the mask of .*; give a pattern"),
        (["a.tif", "ab.tif"], ["x/ab.png", "y/a.png"], r"does not look like the mask of .*; give a pattern"),
        (["a/1.tif", "b/1.tif"], ["b/1.png", "c/1.png"], "2 rasters are called 1, so that masks cannot be told"),
    ],
)
def test_masks_of_globs_that_do_not_fit_are_refused(
    tmp_path: Path, rasters: list[str], masks: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        masks_of(tmp_path, rasters, masks)


def test_masks_that_are_listed_stay_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = ["masks/z [1].png", "masks/y.png"]
    touch(tmp_path, *listed)
    assert masks_of(tmp_path, ["a.tif", "b.tif"], [], listed) == {"a.tif": "z [1].png", "b.tif": "y.png"}
    assert f",{tmp_path}/masks/y.png," in (tmp_path / "split.csv").read_text()


def test_a_listed_mask_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mask .*/z\.png does not exist"):
        masks_of(tmp_path, ["a.tif", "b.tif"], ["y.png"], [f"{tmp_path}/masks/y.png", f"{tmp_path}/masks/z.png"])


# --- settings of which one would go unused


def test_shares_beside_named_groups_are_refused(archive: Path) -> None:
    with pytest.raises(ValidationError, match="give shares or the groups to train on, not both"):
        settings_of(archive, shares=[80, 10, 10], train=["1"])


def test_masks_beside_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="the masks of a table are its column mask; leave masks out"):
        of_table(tmp_path, "raster,mask\ni0.tif,m0.png\n", masks=["m0.png"])


def test_the_command_takes_named_groups_without_shares(archive: Path) -> None:
    flags = ["--group", r"scene (\d)", "--train", "0,1", "--test", "4", "--output", str(archive / "split.csv")]
    done = CliRunner().invoke(app, ["split", f"{archive}/*/images/*.tif", *flags, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["train"]["groups"] == ["0", "1"]
