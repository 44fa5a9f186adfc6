"""The graph of a label map in the cache: tile by tile what the arrays give at once, whoever computes it."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest
from mosaics import mosaic

from superpoint.cache.groups import open_group
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.pipelines.graphs import GraphJob, superpixel_graph
from superpoint.pipelines.jobs import Conduct
from superpoint.pipelines.rasterjobs import ARRAYS
from superpoint.scaling import Scaling
from superpoint.superpixels.graph import SuperpixelGraph, graph_of_tile, merge_graphs
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from smallworld import Files

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.rasters import Raster


SHAPE = (200, 260)
LABELS = mosaic((50, 65)).repeat(4, axis=0).repeat(4, axis=1)
SCALING = Scaling(low=(44.0, 40.0, 50.0), high=(183.0, 190.0, 180.0))


@pytest.fixture
def made(files: Files) -> tuple[Raster, TiledGroup]:
    """Lay a label map of ragged superpixels over a raster, in tiles of 64."""
    raster = open_raster(files.raster)
    group = open_group(
        files.folder / "cache",
        kind="label-maps",
        name="scene",
        georeference=raster.georeference,
        tile_size=64,
        arrays=ARRAYS,
        provenance={"scaling": {"low": list(SCALING.low), "high": list(SCALING.high)}},
    )
    for tile in TileGrid(shape=SHAPE, size=64):
        group.write_tile(tile, {"labels": LABELS[tile.core.slices]})
    return raster, group


def graph_from(raster: Raster, group: TiledGroup, grid: TileGrid, *, backwards: bool = False) -> SuperpixelGraph:
    """Do the stage in this process; the jobs of a cluster come back in any order."""
    stage = superpixel_graph(raster, group, grid)
    batch = next(stage)
    jobs = list(batch.jobs)
    for job in reversed(jobs) if backwards else jobs:
        batch.collect(batch.call(pickle.loads(pickle.dumps(job)), Conduct()))  # noqa: S301
    with pytest.raises(StopIteration) as stop:
        next(stage)
    graph: SuperpixelGraph = stop.value.value
    return graph


def same(one: SuperpixelGraph, other: SuperpixelGraph) -> None:
    for field in fields(SuperpixelGraph):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_the_tiles_of_a_cache_give_the_graph_of_the_whole_arrays(made: tuple[Raster, TiledGroup]) -> None:
    raster, group = made
    image, _ = raster.read(Window(row=0, col=0, n_rows=SHAPE[0], n_cols=SHAPE[1]))
    graph = graph_from(raster, group, TileGrid(shape=SHAPE, size=64))
    same(graph, merge_graphs([graph_of_tile(LABELS, image)], scaling=SCALING))
    scaled = SCALING.apply(image)[:, graph.ids[7] == LABELS]
    np.testing.assert_allclose(graph.means[7], scaled.mean(axis=1), rtol=1e-5)


def test_neither_the_grid_nor_the_order_of_the_jobs_shows(made: tuple[Raster, TiledGroup]) -> None:
    raster, group = made
    graph = graph_from(raster, group, TileGrid(shape=SHAPE, size=64))
    same(graph_from(raster, group, TileGrid(shape=SHAPE, size=64), backwards=True), graph)
    same(graph_from(raster, group, TileGrid(shape=SHAPE, size=100)), graph)


def test_what_a_tile_sends_back_is_as_small_as_said(made: tuple[Raster, TiledGroup]) -> None:
    raster, group = made
    _, part = GraphJob(raster=raster, label_map=group, tile=TileGrid(shape=SHAPE, size=64).tile(1, 1)).compute()
    n_bytes = sum(getattr(part, field.name).nbytes for field in fields(part))
    assert n_bytes == 28 * len(part.ids) + 16 * part.counts.size + 16 * len(part.pairs)


def test_a_tile_that_cannot_be_read_is_the_stages_error(made: tuple[Raster, TiledGroup], files: Files) -> None:
    raster, group = made
    files.raster.unlink()
    with pytest.raises((InputError, RuntimeError), match=r"scene\.tif"):
        graph_from(raster, group, TileGrid(shape=SHAPE, size=64))
