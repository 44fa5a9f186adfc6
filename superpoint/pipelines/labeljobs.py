"""The jobs of one pseudo-mask: look up the superpixels of points, paint a tile, write it out.

None of them takes the votes along: these lie beside the pseudo-mask, and a worker reads them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.evidence import final_evidence
from superpoint.classes import IGNORE
from superpoint.labels.paint import paint, paint_shares
from superpoint.pipelines.jobs import Batch
from superpoint.pipelines.maskexport import export_pseudo_mask, is_exported_whole, share_name
from superpoint.pipelines.outputs import write_item
from superpoint.pipelines.rasterjobs import compute, lost, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.pipelines.jobs import Outcome, Stage
    from superpoint.points.query import QueryPoints
    from superpoint.tiles import Tile, TileGrid


@dataclass(frozen=True, kw_only=True)
class LookUpJob:
    """Look up the superpixels of the points in one tile."""

    label_map: TiledGroup
    tile: Tile
    rows: NDArray[np.int64]
    """Pixel row of each point, from the tile's first."""
    cols: NDArray[np.int64]
    """Pixel column of each point, from the tile's first."""

    def compute(self) -> tuple[str, NDArray[np.uint32]]:
        """Return the name of the tile and the id of each point's superpixel."""
        labels = self.label_map.read("labels", self.tile.core)
        return self.tile.name, labels[self.rows, self.cols]


def look_up(points: QueryPoints, label_map: TiledGroup, grid: TileGrid) -> Stage[NDArray[np.uint32]]:
    """Yield the jobs that look up the superpixel of each point, and return the ids; 0 on nodata.

    Parameters
    ----------
    points : QueryPoints
        All of them on the raster.
    label_map : TiledGroup
        Whole.
    grid : TileGrid
        Its tiles.
    """
    places = {tile.name: here for tile, here in grid.split(points.rows, points.cols)}
    found = np.zeros(len(points), np.uint32)
    outcomes: list[Outcome[Any]] = []

    def take(outcome: Outcome[tuple[str, NDArray[np.uint32]]]) -> None:
        if outcome.value is None:
            outcomes.append(outcome)
            return
        name, ids = outcome.value
        found[places[name]] = ids

    yield Batch(jobs=_look_ups(points, places, label_map, grid), call=compute, lost=lost, collect=take)
    for failed in outcomes:
        value_of(failed)
    return found


def _look_ups(
    points: QueryPoints, places: Mapping[str, NDArray[np.int64]], label_map: TiledGroup, grid: TileGrid
) -> Iterator[LookUpJob]:
    for name, here in places.items():
        tile = grid.named(name)
        rows, cols = points.rows[here] - tile.core.row, points.cols[here] - tile.core.col
        yield LookUpJob(label_map=label_map, tile=tile, rows=rows, cols=cols)


@dataclass(frozen=True, kw_only=True)
class PaintJob:
    """Paint one tile."""

    label_map: TiledGroup
    group: TiledGroup
    tile: Tile
    digest: str
    """Of the votes and labels beside the group."""
    n_shares: int = 0
    """Classes of which the shares of the votes are painted as well."""

    def compute(self) -> tuple[Mapping[str, NDArray[np.generic]], dict[str, Any]]:
        """Return the pseudo-mask of the core and its evidence; the facts count pixels."""
        labels = self.label_map.read("labels", self.tile.core)
        tally, pseudo_labels = final_evidence(self.group.path, self.digest)
        mask, share, votes, flags = paint(labels, pseudo_labels)
        arrays: dict[str, NDArray[np.generic]] = {
            "pseudo_mask": mask, "vote_share": share, "votes": votes, "flags": flags
        }  # fmt: skip
        if self.n_shares:
            shares = paint_shares(labels, tally, self.n_shares)
            arrays |= {share_name(value): of_class for value, of_class in enumerate(shares)}
        class_pixels = np.bincount(mask[mask != IGNORE], minlength=1)
        return arrays, {"n_data": int(np.count_nonzero(labels)), "class_pixels": class_pixels.tolist()}


@dataclass(frozen=True, kw_only=True)
class MaskExportJob:
    """Describe a pseudo-mask that is whole, and write it as a COG if one is wanted."""

    group: TiledGroup
    sources: tuple[str, ...]
    taken: str | None
    output: Path | None
    overwrite: bool

    def compute(self) -> str:
        """Return where the STAC Item is."""
        if self.output and not is_exported_whole(self.output, self.group):
            export_pseudo_mask(self.group, self.output, overwrite=self.overwrite)
        return write_item(
            self.group, array="pseudo_mask", title="pseudo-mask", sources=self.sources, taken=self.taken,
            output=self.output,
        )  # fmt: skip
