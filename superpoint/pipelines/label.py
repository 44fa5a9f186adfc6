"""Query points to pseudo-masks: superpixels, the vote, and one painting job a tile."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.groups import ArraySpec, TiledGroup, load_group, open_group
from superpoint.cache.keys import checksum, digest, file_digest
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.rasters import Raster, open_raster
from superpoint.cache.tables import place_points, read_class_table, read_points, write_account
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.pipelines.jobs import open_client, track_tiles
from superpoint.pipelines.outputs import block_windows, outputs_of
from superpoint.pipelines.superpixelize import LabelMap, refuse_failed, superpixelize_raster
from superpoint.points.account import settle, sums
from superpoint.tiles import Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import geopandas as gpd
    import pandas as pd
    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.labels.vote import Votes
    from superpoint.pipelines.settings import LabelSettings
    from superpoint.points.query import QueryPoints

log = logging.getLogger("superpoint")

ARRAYS = {
    "pseudo_mask": ArraySpec(dtype="uint8", fill_value=IGNORE, long_name="class, 255 is unlabelled"),
    "vote_share": ArraySpec(dtype="float32", fill_value=0, long_name="share of the votes for the class"),
    "votes": ArraySpec(dtype="uint16", fill_value=0, long_name="number of votes in the superpixel"),
}


@dataclass(frozen=True, kw_only=True)
class PseudoMask:
    """The pseudo-mask of one raster, in the cache."""

    raster: str
    path: str
    """Zarr group with the arrays `pseudo_mask`, `vote_share` and `votes`."""
    label_map: LabelMap
    classes: ClassTable
    points: dict[str, int]
    """Number of points in each state of the account; their sum is the number of rows of the points file."""
    coverage: float
    """Labelled pixels over all pixels of the raster with data."""
    class_pixels: dict[str, int]
    """Labelled pixels of each class, by name."""
    n_tiles: int
    n_computed: int
    """Tiles painted by this call."""
    n_failed: int
    seconds: float
    output: str | None = None
    """The COG, if one was asked for; its evidence and account lie beside it."""


@dataclass(frozen=True, kw_only=True)
class PaintJob:
    """Paint one tile."""

    label_map: TiledGroup
    group: TiledGroup
    tile: Tile
    votes: Votes

    def compute(self) -> tuple[Mapping[str, NDArray[np.generic]], dict[str, Any]]:
        """Return the pseudo-mask of the core and its evidence; the facts count pixels."""
        labels = self.label_map.read("labels", self.tile.core)
        mask, share, votes = self.votes.paint(labels)
        class_pixels = np.bincount(mask[mask != IGNORE], minlength=1)
        facts = {"n_data": int(np.count_nonzero(labels)), "class_pixels": class_pixels.tolist()}
        return {"pseudo_mask": mask, "vote_share": share, "votes": votes}, facts


def label(settings: LabelSettings) -> list[PseudoMask]:
    """Turn query points into pseudo-masks by majority vote in superpixels.

    Parameters
    ----------
    settings : LabelSettings
        See the fields. One points file may serve many rasters: each takes the points that lie on it.

    Returns
    -------
    list of PseudoMask
        One for each raster, in order.

    Raises
    ------
    InputError
        If an input cannot be used, or no point lies on a raster with data.
    TilesFailedError
        If tiles failed; the others are in the cache, and the same call tries only those again.
    """
    outputs = outputs_of(settings.output, settings.rasters, suffix="pseudo-mask")
    for output in outputs:
        for path in _companions(output):
            check_output(path, overwrite=settings.overwrite)
    classes = read_class_table(settings.classes) if settings.classes else None
    rasters = [open_raster(path, bands=tuple(settings.bands)) for path in settings.rasters]
    table = read_points(
        settings.points, class_column=settings.class_column, crs=settings.points_crs, layer=settings.layer
    )
    placed = [_place(table, raster, classes, settings) for raster in rasters]
    if classes is None:
        found = placed[0][1]
        log.info("no class table given, made one: %s", ", ".join(f"{c.value} = {c.name}" for c in found.classes))
    _refuse_if_none_inside(placed, rasters, settings.points)
    with open_client(workers=settings.workers, scheduler=settings.scheduler) as client:
        masks = [
            _label_raster(raster, points, table, found, settings, client)
            for raster, (points, found) in zip(rasters, placed, strict=True)
        ]
    refuse_failed(masks)
    _refuse_if_none_used(masks, settings.points)
    if not outputs:
        return masks
    return [
        replace(mask, output=str(_export(mask, output, overwrite=settings.overwrite)))
        for mask, output in zip(masks, outputs, strict=True)
    ]


def _place(
    table: gpd.GeoDataFrame | pd.DataFrame,
    raster: Raster,
    classes: ClassTable | None,
    settings: LabelSettings,
) -> tuple[QueryPoints, ClassTable]:
    return place_points(
        table,
        raster.georeference,
        class_column=settings.class_column,
        classes=classes,
        source=settings.points,
        raster=raster.path,
    )


def _refuse_if_none_inside(placed: list[tuple[QueryPoints, ClassTable]], rasters: list[Raster], source: Path) -> None:
    if not any(points.inside(raster.shape).any() for (points, _), raster in zip(placed, rasters, strict=True)):
        raise InputError(
            f"none of the {len(placed[0][0])} points of {source} lies on "
            f"{', '.join(raster.path for raster in rasters)}; check that they belong together and the points' CRS"
        )


def _refuse_if_none_used(masks: list[PseudoMask], source: Path) -> None:
    if not any(mask.points["used"] for mask in masks):
        account = ", ".join(f"{n} {state.replace('_', ' ')}" for mask in masks for state, n in mask.points.items() if n)
        raise InputError(f"no point of {source} could be used ({account}); check the points and the raster's nodata")


def _label_raster(
    raster: Raster,
    points: QueryPoints,
    table: gpd.GeoDataFrame | pd.DataFrame,
    classes: ClassTable,
    settings: LabelSettings,
    client: Client | None,
) -> PseudoMask:
    label_map = superpixelize_raster(raster, settings, client)
    refuse_failed([label_map])
    started = time.perf_counter()
    source = load_group(label_map.path)
    votes, states = settle(points, _superpixels_at(points, source), raster.shape, tie=settings.tie)
    group = open_group(
        settings.cache,
        kind="pseudo-masks",
        name=raster.name,
        georeference=raster.georeference,
        tile_size=settings.tile,
        arrays=ARRAYS,
        provenance={
            "label_map": {"digest": digest(source.provenance), **source.provenance},
            # What votes is in the key as it was read and placed: a file's bytes may lie in several files.
            "points": {
                "name": settings.points.name,
                "digest": file_digest(settings.points) if settings.points.is_file() else None,
                "placed": checksum(points.rows, points.cols, points.values),
            },
            "classes": classes.to_dict(),
            "tie": settings.tie,
        },
    )
    write_account(account_path(group), table, points, states)
    grid = TileGrid(shape=raster.shape, size=settings.tile)
    done = group.ledger.done(grid)
    jobs = [PaintJob(label_map=source, group=group, tile=tile, votes=votes) for tile in grid if tile.name not in done]
    records = track_tiles(f"pseudo-mask of {raster.name}", jobs, client=client, retries=settings.retries)
    facts = [record.facts for record in (*done.values(), *records) if record.state == "done"]
    n_failed = sum(record.state == "failed" for record in records)
    class_pixels = _sum_counts([fact["class_pixels"] for fact in facts], len(classes))
    n_data = sum(fact["n_data"] for fact in facts)
    return PseudoMask(
        raster=raster.path,
        path=group.path,
        label_map=label_map,
        classes=classes,
        points=sums(states),
        coverage=sum(class_pixels) / n_data if n_data else 0.0,
        class_pixels=dict(zip(classes.names, class_pixels, strict=True)),
        n_tiles=len(grid),
        n_computed=len(records) - n_failed,
        n_failed=n_failed,
        seconds=round(label_map.seconds + time.perf_counter() - started, 3),
    )


def _superpixels_at(points: QueryPoints, label_map: TiledGroup) -> NDArray[np.uint32]:
    """Look up the superpixel of each point, tile by tile; 0 outside the raster."""
    found = np.zeros(len(points), np.uint32)
    inside = np.flatnonzero(points.inside(label_map.georeference.shape))
    rows, cols = points.rows[inside], points.cols[inside]
    n_tile_cols = TileGrid(shape=label_map.georeference.shape, size=label_map.tile_size).n_tiles[1]
    tiles = rows // label_map.tile_size * n_tile_cols + cols // label_map.tile_size
    for number in np.unique(tiles).tolist():
        here = tiles == number
        tile = TileGrid(shape=label_map.georeference.shape, size=label_map.tile_size).tile(*divmod(number, n_tile_cols))
        labels = label_map.read("labels", tile.core)
        found[inside[here]] = labels[rows[here] - tile.core.row, cols[here] - tile.core.col]
    return found


def _sum_counts(counts: list[list[int]], n_classes: int) -> list[int]:
    total = np.zeros(n_classes, np.int64)
    for tile_counts in counts:
        total[: len(tile_counts)] += np.array(tile_counts, np.int64)
    return [int(count) for count in total]


def account_path(group: TiledGroup) -> Path:
    """Return where the account of the points of a pseudo-mask is kept."""
    return Path(group.path).with_suffix(".points.parquet")


def _companions(output: Path) -> tuple[Path, Path, Path]:
    """Return the pseudo-mask, its evidence and its account."""
    return output, output.with_suffix(".evidence.tif"), output.with_suffix(".points.parquet")


def _export(mask: PseudoMask, output: Path, *, overwrite: bool) -> Path:
    group = load_group(mask.path)
    _, evidence, account = _companions(output)
    tags = {CLASSES_TAG: mask.classes.to_dict(), "SUPERPOINT_PROVENANCE": group.provenance}
    windows = list(block_windows(group))
    write_cog(
        evidence,
        CogProfile(
            georeference=group.georeference,
            dtype="float32",
            nodata=0,
            band_names=("vote share", "votes"),
            tags=tags,
        ),
        (
            (
                window,
                np.stack([group.read("vote_share", window), group.read("votes", window).astype(np.float32)]),
            )
            for window in windows
        ),
        overwrite=overwrite,
    )
    scratch = account.with_name(f".{account.name}.{os.getpid()}")
    shutil.copyfile(account_path(group), scratch)
    scratch.replace(account)
    profile = CogProfile(
        georeference=group.georeference,
        dtype="uint8",
        nodata=IGNORE,
        band_names=("class",),
        colormap=mask.classes.colormap,
        tags=tags,
    )
    return write_cog(output, profile, ((w, group.read("pseudo_mask", w)) for w in windows), overwrite=overwrite)
