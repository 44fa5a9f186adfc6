"""The page: one file that asks for nothing, shows any text as text, and says what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Page

from superpoint.report import page
from superpoint.report.facts import RasterFacts, RunFacts, Thumbnail, TileFacts
from superpoint.report.look import SCRIPT
from superpoint.report.page import page_of

START = 1_795_000_000.0


def raster(name: str, **changed: Any) -> RasterFacts:  # noqa: ANN401  # any field
    facts = {
        "path": f"/in/{name}.tif", "state": "done", "shape": (1000, 2000), "n_bands": 4, "dtype": "uint16",
        "crs": "EPSG:32633", "n_tiles": 2, "n_computed": 2, "n_superpixels": 5000, "n_bytes": 250_000,
        "n_pixels_done": 2_000_000, "seconds": 2.0,
    }  # fmt: skip
    return RasterFacts(name=name, **facts | changed)


def tiles_of(n_rasters: int, n_tiles: int = 2, *, n_hosts: int = 2) -> list[TileFacts]:
    return [
        TileFacts(
            raster=at, tile=f"0.{number}", is_done=True, is_ours=True, attempts=1, seconds=0.5 + number,
            finished=START + 1 + at + number, host=f"node-{number % n_hosts}", n_pixels=1_000_000,
        )
        for at in range(n_rasters)
        for number in range(n_tiles)
    ]  # fmt: skip


def run_of(rasters: list[RasterFacts], tiles: list[TileFacts] | None = None, **changed: Any) -> RunFacts:  # noqa: ANN401
    facts = {
        "run": "20261121T101500-a1b2c3", "command": "superpixelize", "version": "0.1.0", "state": "done",
        "started": START, "finished": START + 60, "goes": [(START, START + 60)], "made": START + 90,
        "cache": "s3://archive/cache", "hosts": ["node-0", "node-1"], "n_threads": 8, "packages": {"zarr": "3.4"},
        "settings": '{"region_size": 20}', "n_rasters": len(rasters),
    }  # fmt: skip
    return RunFacts(rasters=rasters, tiles=tiles_of(len(rasters)) if tiles is None else tiles, **facts | changed)


def outcome(run: RunFacts) -> str:
    return Page(page_of(run)).texts["p"][0]


def test_the_page_says_what_when_where_and_with_which_versions() -> None:
    text = Page(page_of(run_of([raster("a"), raster("b")]))).text
    for fact in (
        "superpixelize 20261121T101500-a1b2c3", "2026-11-18 11:06:40 UTC", "1 min 0 s", "node-0, node-1 (8 threads)",
        "s3://archive/cache", "superpoint 0.1.0, zarr 3.4", '"region_size": 20',
    ):  # fmt: skip
        assert fact in text


@pytest.mark.parametrize(
    ("state", "rasters", "expected"),
    [
        ("done", ["done", "done"], "2 rasters of 2 done. Exit code 0."),
        ("quarantined", ["done", "quarantined"], "1 raster of 2 done, 1 quarantined. Exit code 3. To try the"),
        ("running", ["done", "running"], "1 raster of 2 done. Still running when this page was made."),
        ("stopped", ["done", "unfinished"], "1 raster of 2 done. It was stopped. The same command goes on"),
        ("killed", ["unfinished"], "0 rasters of 1 done. It was killed. The same command goes on"),
        ("failed", ["unfinished"], "0 rasters of 1 done. It ended early. The same command goes on"),
    ],
)
def test_the_first_sentence_says_how_it_ended(state: str, rasters: list[str], expected: str) -> None:
    run = run_of([raster(f"r{at}", state=one) for at, one in enumerate(rasters)], state=state)
    assert outcome(run).strip().startswith(expected)


def test_the_numbers_are_those_of_the_tiles_and_rasters() -> None:
    parsed = Page(
        page_of(
            run_of([raster("a"), raster("b", n_failed=3)], [*tiles_of(2, 3), replace(tiles_of(1)[0], is_ours=False)])
        )
    )
    text = " ".join(parsed.text.split())
    for shown in ("6tiles computed", "1tiles that were in the cache", "3tiles failed", "6 Mpxcomputed", "0.1Mpx/s"):
        assert shown in text
    assert "488 KiB hold 4 Mpx: 1 bits per pixel" in text


def test_failures_are_grouped_by_reason_with_where_they_were() -> None:
    cut = "cannot read /in/{}.tif at row {}, col 0: cut short"
    rasters = [
        raster(
            "a",
            state="quarantined",
            n_failed=2,
            failed_tiles=(("0.0", cut.format("a", 0)), ("1.0", cut.format("a", 9))),
        ),
        raster("b", state="quarantined", n_failed=1, failed_tiles=(("0.1", cut.format("b", 0)),)),
        RasterFacts(name="c", path="/in/c.tif", state="quarantined", reason="cannot open it"),
    ]
    parsed = Page(page_of(run_of(rasters)))
    tiles, opening = parsed.texts["details"][:2]
    assert tiles.startswith("3 tiles of 2 rasters: cannot read /in/a.tif at row 0, col 0: cut short")
    assert "/in/a.tif, tiles 0.0, 1.0" in tiles
    assert "/in/b.tif, tile 0.1" in tiles
    assert opening.startswith("1 raster: cannot open it/in/c.tif")


def test_the_slowest_tiles_come_first() -> None:
    rows = [row for row in Page(page_of(run_of([raster("a")], tiles_of(1, 30)))).texts["tr"] if row.startswith("a0.")]
    assert [row[:4] for row in rows[:3]] == ["a0.2", "a0.2", "a0.2"]
    assert len(rows) == 20
    assert "29.5" in rows[0]


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\x00\udcff\u202e"


def test_no_text_becomes_html() -> None:
    bad = raster(
        HOSTILE, path=HOSTILE, crs=HOSTILE, dtype=HOSTILE, state="quarantined", reason=HOSTILE,
        failed_tiles=(("0.0", HOSTILE),),
    )  # fmt: skip
    tiles = [replace(tile, host=HOSTILE) for tile in tiles_of(2)]
    thumbnail = Thumbnail(close_up=b"x", overview=b"y", note=HOSTILE)
    html = page_of(
        run_of([bad, bad], tiles, hosts=[HOSTILE], cache=HOSTILE, settings=HOSTILE, thumbnails={0: thumbnail})
    )
    html.encode()
    parsed = Page(html)
    assert parsed.texts["script"] == [SCRIPT]
    assert len(parsed.texts["img"]) == 0
    assert [tag for tag, name, _ in parsed.attributes if name == "src"] == ["img", "img"]
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") > 10


@given(st.text(max_size=30))
@settings(max_examples=20)
def test_any_name_is_shown_and_leaves_the_page_whole(name: str) -> None:
    html = page_of(run_of([raster(name)]))
    assert html.encode()
    Page(html)


def test_the_page_asks_for_nothing_and_runs_nothing_but_its_own_script() -> None:
    html = page_of(run_of([raster("a")], thumbnails={0: Thumbnail(close_up=b"x", overview=None, note="")}))
    parsed = Page(html)
    asked = [value for tag, name, value in parsed.attributes if name in {"src", "href", "action", "data", "poster"}]
    assert asked
    assert all(value and value.startswith("data:image/png;base64,") for value in asked)
    assert "url(" not in html
    assert "@import" not in html
    policy = next(value for _, name, value in parsed.attributes if name == "content" and value and "src" in value)
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_a_run_that_found_everything_in_the_cache_says_so() -> None:
    tiles = [replace(tile, is_ours=False) for tile in tiles_of(1)]
    assert "This run computed no tile." in Page(page_of(run_of([raster("a")], tiles))).text


def test_a_run_without_rasters_or_tiles_has_a_page() -> None:
    text = Page(page_of(run_of([], [], n_rasters=7, finished=None, state="killed", goes=[]))).text
    assert "7 more had not been begun." in text


def test_each_go_of_a_run_has_a_chart_of_its_own() -> None:
    later = START + 10 * 86_400
    tiles = [*tiles_of(1), *(replace(tile, finished=later + 5) for tile in tiles_of(1))]
    parsed = Page(page_of(run_of([raster("a")], tiles, goes=[(START, START + 60), (later, later + 60)])))
    assert [title for title in parsed.texts["h3"] if title.startswith("From")] == [
        "From 2026-11-18 11:06:40 UTC",
        "From 2026-11-28 11:06:43 UTC",
    ]
    assert "2 min 0 s, in 2 goes" in parsed.text


def test_rasters_of_one_name_are_told_apart_by_their_paths() -> None:
    both = [raster("scene", path="/a/scene.tif"), raster("scene", path="/b/scene.tif")]
    rows = [row for row in Page(page_of(run_of(both))).texts["tr"] if "node-" in row]
    assert any(row.startswith("/a/scene.tif") for row in rows)
    assert any(row.startswith("/b/scene.tif") for row in rows)


def test_pictures_keep_their_shape() -> None:
    def png(n_cols: int, n_rows: int) -> bytes:
        return bytes(16) + n_cols.to_bytes(4) + n_rows.to_bytes(4)

    parsed = Page(
        page_of(run_of([raster("a")], thumbnails={0: Thumbnail(close_up=png(50, 200), overview=png(9, 3), note="")}))
    )
    assert [value for _, name, value in parsed.attributes if name == "width" and value in {"64", "96"}] == ["64", "96"]


def test_a_thousand_rasters_with_pictures_stay_below_10_megabytes() -> None:
    rng = np.random.default_rng(0)
    thumbnails = {at: Thumbnail(close_up=rng.bytes(60_000), overview=rng.bytes(25_000), note="x") for at in range(60)}
    rasters = [
        raster(f"S2B_MSIL2A_20261121T101419_{at}", failed_tiles=tuple((f"{n}.0", f"reason {n}") for n in range(10)))
        for at in range(1000)
    ]
    html = page_of(run_of(rasters, tiles_of(1000, 4), thumbnails=thumbnails))
    assert len(html.encode()) < 10e6
    assert "60 of 1,000 rasters are shown" in html


def test_of_very_many_rasters_those_with_failures_are_listed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "N_ROWS", 3)
    rasters = [raster(f"r{at}") for at in range(4)] + [raster("bad", state="quarantined", reason="no")]
    parsed = Page(page_of(run_of(rasters, [])))
    assert "3 of 5 are listed, those with failures first." in parsed.text
    assert [row.partition("quarantined")[0].partition("done")[0] for row in parsed.texts["tr"][-3:]] == [
        "bad",
        "r0",
        "r1",
    ]
