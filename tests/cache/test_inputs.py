from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from superpoint.cache.inputs import Source, find_sources
from superpoint.cache.rasters import open_source
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a folder of files without content: what they are is read from their names."""
    names = ["b.tif", "a.TIF", "c.jp2", "c.jp2.aux.xml", "a.tif.ovr", ".hidden.tif", "notes.md", "deep/d.tif",
             "deep/deeper/e.vrt", "deep/deeper/f.dat", "x[1].tif"]  # fmt: skip
    for name in names:
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / name).touch()
    return tmp_path / "archive"


def names_in(archive: Path, *inputs: str) -> list[str]:
    sources = find_sources([f"{archive}/{name}" if name else archive for name in inputs])
    return [source.paths[0].removeprefix(f"{archive}/") for source in sources]


def test_a_folder_names_the_rasters_directly_in_it_in_order(archive: Path) -> None:
    assert names_in(archive, "") == ["a.TIF", "b.tif", "c.jp2", "x[1].tif"]


def test_a_glob_names_what_it_matches_and_rasters_only_where_it_names_no_suffix(archive: Path) -> None:
    assert names_in(archive, "*.tif") == ["b.tif", "x[1].tif"]
    assert names_in(archive, "[ab].*") == ["a.TIF", "b.tif"]
    assert names_in(archive, "**/*.tif") == ["b.tif", "deep/d.tif", "x[1].tif"]
    assert names_in(archive, "deep/**") == ["deep/d.tif", "deep/deeper/e.vrt"]
    assert names_in(archive, "**/*.dat") == ["deep/deeper/f.dat"]
    assert names_in(archive, "x[1].tif") == ["x[1].tif"]  # it is there: no glob


def test_what_is_named_twice_is_worked_on_once_in_its_first_place(archive: Path) -> None:
    assert names_in(archive, "c.jp2", "*.tif", "", "b.tif") == ["c.jp2", "b.tif", "x[1].tif", "a.TIF"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.tif", "raster .*/archive/missing.tif does not exist; check the path"),
        ("*.png", r".*/archive/\*.png names no raster; give files, or a folder that holds some"),
        ("notes", "raster .*/archive/notes does not exist"),
        ("empty.v2", "names no raster"),
        ("missing/list.txt", "does not exist"),
    ],
)
def test_a_path_that_is_not_there_and_a_glob_or_folder_of_nothing_are_refused(
    archive: Path, name: str, words: str
) -> None:
    (archive / "empty.v2").mkdir()
    (archive / "empty.v2" / "notes.md").touch()
    with pytest.raises(InputError, match=words):
        find_sources([archive / name])


def test_no_input_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="the inputs name no raster"):
        find_sources([])


def test_relative_paths_become_absolute(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive)
    assert find_sources(["deep/d.tif"]) == [Source(name="d", paths=(str(archive / "deep/d.tif"),))]
    assert find_sources([(archive / "deep/d.tif").as_uri()]) == find_sources(["deep/d.tif"])


def test_addresses_of_servers_and_archives_are_taken_as_they_are() -> None:
    given = ["s3://b/a.tif", "gs://b/b.tif", "https://h.org/c.tif?x=1", "/vsis3/b/d.tif", "/vsicurl/https://h.org/e"]
    sources = find_sources(given)
    assert [source.paths for source in sources] == [(place,) for place in given]
    assert [source.name for source in sources] == ["a", "b", "c", "d", "e"]


# --- lists


def test_a_text_list_names_rasters_beside_it_and_anywhere_and_is_not_checked(archive: Path) -> None:
    text = "\ufeff# scenes of May\nb.tif\n\n  deep/../missing #1.tif  \ns3://bucket/c.tif\n/abs/d.tif\r\nb.tif\n"
    (archive / "list.txt").write_text(text)
    expected = [f"{archive}/b.tif", f"{archive}/missing #1.tif", "s3://bucket/c.tif", "/abs/d.tif"]
    assert [source.paths[0] for source in find_sources([archive / "list.txt"])] == expected


@pytest.mark.parametrize("column", ["path", "raster", "href", "url"])
def test_a_parquet_list_names_rasters_and_their_masks(tmp_path: Path, column: str) -> None:
    table = {"cloud": [1, 2], column: ["a.tif", "s3://bucket/b.tif"], "mask": ["a_mask.tif", None]}
    pd.DataFrame(table).to_parquet(tmp_path / "list.parquet")
    assert find_sources([tmp_path / "list.parquet"]) == [
        Source(name="a", paths=(f"{tmp_path}/a.tif",), mask=f"{tmp_path}/a_mask.tif"),
        Source(name="b", paths=("s3://bucket/b.tif",)),
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"file": ["a.tif"]}, "none of the columns path, raster, href, url; columns: file"),
        ({"path": ["a.tif", None]}, "row 1 of .* has None"),
        ({"path": [1, 2]}, "row 0 of .* has 1 "),
        ({"path": ["a.tif"], "mask": [3]}, "row 0 of .* and the mask 3"),
        ({"path": []}, "names no raster"),
    ],
)
def test_a_parquet_list_that_names_no_rasters_is_refused(
    tmp_path: Path, table: dict[str, list[object]], words: str
) -> None:
    pd.DataFrame(table).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(InputError, match=words):
        find_sources([tmp_path / "list.parquet"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"# nothing\n\n", "a.txt names no raster"),
        ("a.txt", b"\xff\xfe\x00a", "a.txt is not text in UTF-8"),
        ("a.parquet", b"PAR1 not really", "cannot read .*a.parquet as a Parquet table"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        find_sources([tmp_path / name])


def test_assets_without_an_item_are_refused(archive: Path) -> None:
    with pytest.raises(InputError, match="no item is among the inputs; leave --assets out"):
        find_sources([archive], assets=["B04"])


def test_a_source_is_pickled_and_found_again(archive: Path) -> None:
    sources = find_sources([archive])
    assert pickle.loads(pickle.dumps(sources)) == sources  # noqa: S301  # our own


@pytest.mark.shared
def test_every_good_raster_of_the_shared_folder_is_found_and_opened(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = find_sources([shared / "data" / "rasters", shared / "data" / "sparse" / "*stack.gtif"])
    assert len(sources) == 16
    with caplog.at_level(logging.WARNING):
        opened = [open_source(source) for source in sources if source.name != "cog_gcps"]
    assert [raster.name for raster in opened] == [source.name for source in sources if source.name != "cog_gcps"]
    assert not caplog.records


def test_a_raster_and_its_mask_of_a_list_are_read_together(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    import numpy as np

    from superpoint.tiles import Window

    make_raster(np.full((2, 6, 8), 7, np.uint8), name="a.tif")
    mask = np.ones((1, 6, 8), np.uint8)
    mask[0, 2, 3] = 0
    make_raster(mask, name="m.tif")
    pd.DataFrame({"path": ["a.tif"], "mask": ["m.tif"]}).to_parquet(tmp_path / "list.parquet")
    raster = open_source(*find_sources([tmp_path / "list.parquet"]))
    _, valid = raster.read(Window(row=0, col=0, n_rows=6, n_cols=8))
    assert np.argwhere(~valid).tolist() == [[2, 3]]
