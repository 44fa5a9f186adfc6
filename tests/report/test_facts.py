"""What follows from the facts of a run: rates that add up, failures of one kind, machines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.report.facts import OTHERS, RasterFacts, TileFacts, failures_of, hosts_of, kinds_of, throughput


def tile(
    *, finished: float, seconds: float = 1.0, host: str = "a", n_pixels: int = 10**6, **other: object
) -> TileFacts:
    facts = {"raster": 0, "tile": "0.0", "is_done": True, "is_ours": True, "attempts": 1} | other
    return TileFacts(finished=finished, seconds=seconds, host=host, n_pixels=n_pixels, **facts)  # type: ignore[arg-type]


def failed(name: str, *reasons: str) -> RasterFacts:
    tiles = tuple((f"0.{place}", reason) for place, reason in enumerate(reasons))
    return RasterFacts(name=name, path=f"/in/{name}.tif", state="quarantined", failed_tiles=tiles)


@given(
    st.lists(
        st.tuples(st.floats(1, 99), st.floats(0.01, 1), st.sampled_from("abcd"), st.integers(1, 10**7)), min_size=1
    ),
    st.integers(1, 50),
)
def test_throughput_adds_up_to_all_pixels(tiles: list[tuple[float, float, str, int]], n_bins: int) -> None:
    facts = [tile(finished=f, seconds=s, host=h, n_pixels=n) for f, s, h, n in tiles]
    found = throughput(facts, np.linspace(0, 100, n_bins + 1), most_hosts=2)
    total = sum((rates * np.diff(found.edges)).sum() for rates in found.rates.values())
    assert total == pytest.approx(sum(fact.n_pixels for fact in facts) / 1e6)


def test_the_pixels_of_a_tile_are_spread_over_its_seconds() -> None:
    found = throughput([tile(finished=3, seconds=2)], np.arange(5.0), most_hosts=1)
    np.testing.assert_allclose(found.rates["a"], [0, 0.5, 0.5, 0])


def test_the_busiest_hosts_are_told_apart_and_the_rest_are_others() -> None:
    tiles = [tile(finished=1, host=host) for host in "aaabbcd"]
    found = throughput(tiles, np.array([0.0, 1.0]), most_hosts=2)
    assert {name: rates.tolist() for name, rates in found.rates.items()} == {"a": [3], "b": [2], OTHERS: [2]}


def test_a_host_did_what_its_tiles_say() -> None:
    tiles = [tile(finished=5, seconds=2), tile(finished=9, seconds=3), tile(finished=4, is_done=False)]
    (host,) = hosts_of(tiles)
    assert (host.n_tiles, host.n_failed, host.n_pixels) == (2, 1, 2 * 10**6)
    assert (host.busy_seconds, host.span_seconds) == (6, 6)


def test_failures_that_differ_in_names_and_places_are_of_one_kind() -> None:
    cut_short = "cannot read /in/{}.tif at row {}, col 0: cut short; get it again"
    rasters = [
        failed("b", cut_short.format("b", 0), cut_short.format("b", 512), "took longer than 600 seconds"),
        failed("scene-7", cut_short.format("scene-7", 1024)),
    ]
    cut, late = kinds_of(failures_of(rasters))
    assert [(one.raster.name, one.tiles) for one in cut] == [("b", ("0.0", "0.1")), ("scene-7", ("0.0",))]
    assert [(one.raster.name, one.tiles) for one in late] == [("b", ("0.2",))]


def test_a_raster_that_was_never_opened_is_a_failure_of_its_own() -> None:
    raster = RasterFacts(name="x", path="/in/x.tif", state="quarantined", reason="does not exist")
    (failure,) = failures_of([raster, RasterFacts(name="y", path="/in/y.tif", state="done")])
    assert (failure.raster, failure.tiles, failure.reason) == (raster, (), "does not exist")
