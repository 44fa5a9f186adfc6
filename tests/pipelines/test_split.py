"""The division of a data set, from what a user names to the table."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from superpoint.errors import InputError
from superpoint.pipelines.settings import SplitSettings
from superpoint.pipelines.split import split

if TYPE_CHECKING:
    from pathlib import Path


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
            group_column="group",
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
