"""`report`: what the cache knows of a run, on one page, whatever became of the rasters since."""

from __future__ import annotations

import io
import re
import shutil
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.ndimage import binary_erosion
from skimage.segmentation import find_boundaries
from smallworld import two_fields, write_raster

from superpoint.boundaries import CASING, LINE
from superpoint.cache.groups import ArraySpec, TiledGroup, open_group
from superpoint.cache.ledger import TileRecord
from superpoint.cache.rasters import open_raster
from superpoint.cache.runs import RasterRow, RunFolder, begin_run, now_text
from superpoint.errors import InputError
from superpoint.pipelines.report import report
from superpoint.pipelines.settings import ReportSettings
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE, TILE = (200, 300), 96


def labels_of(shape: tuple[int, int], side: int = 20) -> NDArray[np.uint32]:
    row, col = np.indices(shape) // side
    return (1 + row * 100 + col).astype(np.uint32)


def write_label_map(cache: Path, raster: Path, run: str, *, failed: tuple[str, ...] = ()) -> TiledGroup:
    """Do what a run does with one raster."""
    opened = open_raster(raster)
    group = open_group(
        cache,
        kind="label-maps",
        name=opened.name,
        georeference=opened.georeference,
        tile_size=TILE,
        arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")},
        provenance={
            "source": opened.identity(),
            "algorithm": {"name": "slic", "version": 2, "parameters": {"region_size": 20.0}},
            "scaling": {"low": [0.0] * 3, "high": [255.0] * 3},
        },
    )
    labels = labels_of(opened.shape)
    for number, tile in enumerate(TileGrid(shape=opened.shape, size=TILE)):
        record = TileRecord(
            tile=tile.name, state="failed", attempts=5, seconds=0.5, finished=1_795_000_000.0 + number, run=run,
            host="node-1", error="cannot read it",
        )  # fmt: skip
        if tile.name not in failed:
            core = np.ascontiguousarray(labels[tile.core.slices])
            record = replace(
                record, state="done", attempts=1, error=None, chunks=group.write_tile(tile, {"labels": core})
            )
        group.ledger.write(record)
    return group


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", two_fields(SHAPE, seed=0)[0])


@pytest.fixture
def run(tmp_path: Path, raster: Path) -> RunFolder:
    """Return a run over a raster with a tile that failed, and one that could not be opened."""
    cache = tmp_path / "cache"
    folder = begin_run(cache, command="superpixelize", settings={"rasters": [str(raster)]}, n_rasters=3)
    group = write_label_map(cache, raster, folder.run, failed=("0.1",))
    row = RasterRow(
        number=0, raster=str(raster), name="scene", state="quarantined", reason="1 of 12 tiles failed", path=group.path,
        rows=SHAPE[0], cols=SHAPE[1], n_bands=3, dtype="uint8", crs=group.georeference.crs, n_tiles=12, n_computed=11,
        n_failed=1, failed_tiles=(("0.1", f"cannot read {raster} at row 0, col 96: cut short"),),
    )  # fmt: skip
    folder.write_row(row)
    folder.write_row(RasterRow(number=1, raster="/in/no.tif", name="no", state="quarantined", reason="does not exist"))
    folder.write_manifest({**folder.manifest(), "state": "quarantined", "ended": now_text()})
    return folder


def page_of(run: RunFolder, **options: object) -> str:
    cache = run.store.url.partition("/runs/")[0]
    written = report(ReportSettings(run=run.run, cache=cache, **options))
    with open(written.output) as file:  # noqa: PTH123  # a string, as users get it
        return file.read()


def pictures_in(page: str) -> list[NDArray[np.uint8]]:
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [np.rint(imread(io.BytesIO(b64decode(data))) * 255).astype(np.uint8) for data in found]


def test_the_page_lies_in_the_runs_folder_and_tells_what_happened(run: RunFolder) -> None:
    page = page_of(run)
    assert run.store.read("report.html") == page.encode()
    for words in (
        "0 rasters of 3 done, 2 quarantined. Exit code 3.", f"superpoint retry {run.run}", "does not exist",
        ", tile 0.1", "cut short", "1 more had not been begun.", "node-1", "EPSG:32633", "11 tiles",
    ):  # fmt: skip
        assert words.replace("11 tiles", "<b>11</b><span>tiles computed") in page


def test_the_latest_run_is_found(run: RunFolder) -> None:
    cache = run.store.url.partition("/runs/")[0]
    written = report(ReportSettings(run="latest", cache=cache))
    assert (written.run, written.state, written.n_rasters, written.n_pictures) == (run.run, "quarantined", 3, 1)


def test_the_close_up_shows_the_boundaries_of_the_label_map_on_the_image(run: RunFolder, raster: Path) -> None:
    page = page_of(run)
    close_up, overview = pictures_in(page)
    row, col = map(int, re.findall(r"128 x 128 pixels from row (\d+), col (\d+)", page)[0])
    window = Window(row=row, col=col, n_rows=128, n_cols=128)
    labels = labels_of(SHAPE)[window.slices].repeat(2, axis=0).repeat(2, axis=1)
    visible = close_up[..., 3] > 0
    lines = [(close_up[..., :3] == tuple(bytes.fromhex(colour[1:]))).all(axis=-1) for colour in (LINE, CASING)]
    expected = find_boundaries(labels, mode="thick", connectivity=1)
    inside = binary_erosion(visible, np.ones((5, 5)))  # the edge of the failed tile is a line of its own
    np.testing.assert_array_equal((lines[0] | lines[1])[inside], expected[inside])
    image, _ = open_raster(raster).read(window)
    shown = image.repeat(2, axis=1).repeat(2, axis=2)[:, inside & ~expected]
    assert np.abs(close_up[inside & ~expected][:, :3].T - shown).max() < 8  # three bits are dropped
    assert overview.shape[:2] == (64, 96)


def test_the_window_shown_is_one_where_tiles_are_done(run: RunFolder) -> None:
    close_up, overview = pictures_in(page_of(run))
    assert (close_up[..., 3] > 0).mean() > 0.7
    assert (overview[:28, 32:60, :3] == (224, 64, 64)).all(axis=-1).mean() > 0.7  # the failed tile


def test_a_raster_that_is_gone_is_shown_in_grey(run: RunFolder, raster: Path) -> None:
    raster.unlink()
    page = page_of(run)
    (close_up,) = pictures_in(page)
    assert "the raster itself is not there any more" in page
    assert len(np.unique(close_up.reshape(-1, 4), axis=0)) <= 4


def test_what_cannot_be_read_of_the_cache_is_left_out(run: RunFolder) -> None:
    (row, _) = run.rows()
    group = TiledGroup(path=row.path, georeference=None, tile_size=TILE, provenance={})  # type: ignore[arg-type]
    for chunk in group.store.list("labels/c"):
        group.store.write(chunk.key, b"broken")
    assert pictures_in(page_of(run)) == []
    shutil.rmtree(row.path)
    assert "does not exist" in page_of(run)


def test_no_pictures_are_made_if_none_are_wanted(run: RunFolder) -> None:
    assert pictures_in(page_of(run, pictures=0)) == []


def test_a_run_that_was_killed_is_told_from_one_that_runs(run: RunFolder) -> None:
    manifest = {key: value for key, value in run.manifest().items() if key != "ended"} | {"state": "running"}
    run.write_manifest(manifest)
    run.write_row(RasterRow(number=2, raster="/in/late.tif", name="late", state="running"))
    assert "Still running when this page was made." in page_of(run)
    long_ago = "2020-01-01T00:00:00.000+00:00"
    run.write_manifest(manifest | {"started": long_ago, "goes": [{"started": long_ago}]})
    page = page_of(run)
    assert "It was killed." in page
    assert "unfinished" in page


def test_the_page_goes_where_it_is_wanted_and_replaces_nothing_but_such_a_page(run: RunFolder, tmp_path: Path) -> None:
    output = tmp_path / "out.html"
    assert page_of(run, output=output).startswith("<!doctype html>")
    page_of(run, output=output)
    output.write_text("my thesis")
    with pytest.raises(InputError, match=r"out.html exists already; give --overwrite"):
        page_of(run, output=output)
    assert output.read_text() == "my thesis"
    assert page_of(run, output=output, overwrite=True)
    with pytest.raises(InputError, match="is a folder"):
        page_of(run, output=tmp_path)


def test_a_run_that_is_not_there_is_refused(run: RunFolder) -> None:
    with pytest.raises(InputError, match=f"no run 'x'.*{run.run}"):
        page_of(replace(run, run="x"))
