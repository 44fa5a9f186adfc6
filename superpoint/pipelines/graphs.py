"""The graph of a label map's superpixels: one job a tile, small parts that come back, one merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.pipelines.jobs import Batch, Conduct, Outcome, attempt
from superpoint.pipelines.rasterjobs import lost, value_of
from superpoint.scaling import Scaling
from superpoint.superpixels.graph import graph_of_tile, merge_graphs
from superpoint.tiles import Window

if TYPE_CHECKING:
    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.jobs import Stage
    from superpoint.superpixels.graph import GraphPart, SuperpixelGraph
    from superpoint.tiles import Tile, TileGrid


@dataclass(frozen=True, kw_only=True)
class GraphJob:
    """Measure the part of the graph that one tile knows."""

    raster: Raster
    label_map: TiledGroup
    tile: Tile

    def compute(self) -> tuple[tuple[int, int], GraphPart]:
        """Return the tile's index and its part."""
        core = self.tile.core
        image, _ = self.raster.read(core)  # what is not valid has no superpixel
        labels = self.label_map.read("labels", beyond(core, self.raster.shape))
        return self.tile.index, graph_of_tile(labels, image, row=core.row, col=core.col)


def superpixel_graph(raster: Raster, label_map: TiledGroup, grid: TileGrid) -> Stage[SuperpixelGraph]:
    """Yield the batch of jobs that measure the graph of a label map, and return it.

    What a job sends back is about 130 bytes a superpixel of its tile at three bands, and the merge holds three times
    that at once.

    Parameters
    ----------
    raster : Raster
        What the label map was made of.
    label_map : TiledGroup
        All of its tiles done.
    grid : TileGrid
        Any grid over the raster; that of the label map reads the least.

    Returns
    -------
    SuperpixelGraph
        Its means are scaled as the image was that the superpixels were made of.

    Raises
    ------
    Exception
        Whatever the first job failed with that did.
    """
    parts: dict[tuple[int, int], GraphPart] = {}
    failed: list[Outcome[Any]] = []

    def collect(outcome: Outcome[Any]) -> None:
        if outcome.error is not None:
            failed.append(outcome)
            return
        index, part = value_of(outcome)
        parts[index] = part

    jobs = (GraphJob(raster=raster, label_map=label_map, tile=tile) for tile in grid)
    yield Batch(jobs=jobs, call=compute, lost=lost, collect=collect)
    for outcome in failed:
        value_of(outcome)
    return merge_graphs((parts[index] for index in sorted(parts)), scaling=scaling_of(label_map))


def compute(job: GraphJob, conduct: Conduct) -> Outcome[tuple[tuple[int, int], GraphPart]]:
    """Compute a job; this is what a worker runs."""
    return attempt(job.compute, conduct)


def beyond(core: Window, shape: tuple[int, int]) -> Window:
    """Return a core with one more row and one more col, where a raster of `shape` goes on."""
    n_rows, n_cols = min(core.n_rows + 1, shape[0] - core.row), min(core.n_cols + 1, shape[1] - core.col)
    return Window(row=core.row, col=core.col, n_rows=n_rows, n_cols=n_cols)


def scaling_of(label_map: TiledGroup) -> Scaling:
    """Return the scaling of the image that a label map was made of."""
    scaling = label_map.provenance["scaling"]
    return Scaling(low=tuple(scaling["low"]), high=tuple(scaling["high"]))
