"""Query points to pseudo-masks: superpixels, the vote, and one painting job a tile."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.groups import ArraySpec, TiledGroup, beside, load_group, open_group
from superpoint.cache.keys import checksum, digest, file_digest
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.stores import Store
from superpoint.cache.tables import account_bytes, place_points, read_class_table, read_points
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.jobs import Conduct, drive, open_client, tiles_of
from superpoint.pipelines.outputs import PROVENANCE_TAG, block_windows, outputs_of, read_blocks, write_item
from superpoint.pipelines.progress import progress
from superpoint.pipelines.rasterjobs import open_raster_of, sources_of
from superpoint.pipelines.superpixelize import LabelMap, label_maps_of
from superpoint.points.account import settle, sums
from superpoint.tiles import Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import geopandas as gpd
    import pandas as pd
    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.rasters import Raster
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


def label(settings: LabelSettings, *, client: Client | None = None, run: str | None = None) -> list[PseudoMask]:
    """Turn query points into pseudo-masks by majority vote in superpixels.

    Parameters
    ----------
    settings : LabelSettings
        See the fields. One points file may serve many rasters: each takes the points that lie on it.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.
    run : str, optional
        Id of a run to go on with, instead of a new one.

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
    sources = sources_of(settings)
    outputs = outputs_of(settings.output, sources, suffix="pseudo-mask")
    for output in outputs:
        for path in companions_of(output):
            check_output(path, overwrite=settings.overwrite)
    classes = read_class_table(settings.classes) if settings.classes else None
    rasters = [open_raster_of(source, settings) for source in sources]
    table = read_points(
        settings.points, class_column=settings.class_column, crs=settings.points_crs, layer=settings.layer
    )
    placed = [_place(table, raster, classes, settings) for raster in rasters]
    if classes is None:
        found = placed[0][1]
        log.info("no class table given, made one: %s", ", ".join(f"{c.value} = {c.name}" for c in found.classes))
    _refuse_if_none_inside(placed, rasters, settings.points)
    with open_client(settings.cluster, client=client) as own:
        label_maps = label_maps_of(sources, settings, command="label", client=own, run=run)
        masks = [
            _label_raster(raster, label_map, points, table, found, settings, own)
            for raster, label_map, (points, found) in zip(rasters, label_maps, placed, strict=True)
        ]
    _refuse_if_none_used(masks, settings.points)
    for number, (mask, source) in enumerate(zip(masks, sources, strict=True)):
        group = load_group(mask.path)
        written = export_pseudo_mask(group, outputs[number], overwrite=settings.overwrite) if outputs else None
        write_item(
            group, array="pseudo_mask", title="pseudo-mask", sources=source.paths,
            taken=source.datetime, output=written,
        )  # fmt: skip
    if not outputs:
        return masks
    return [replace(mask, output=str(output)) for mask, output in zip(masks, outputs, strict=True)]


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
    label_map: LabelMap,
    points: QueryPoints,
    table: gpd.GeoDataFrame | pd.DataFrame,
    classes: ClassTable,
    settings: LabelSettings,
    client: Client | None,
) -> PseudoMask:
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
    store, key = account_of(group)
    store.write(key, account_bytes(table, points, states))
    grid = TileGrid(shape=raster.shape, size=settings.tile)
    done = list(group.done(check=settings.check))
    painted = _paint(group, source, votes, grid, {record.tile for record in done}, settings, client)
    _refuse_failed(painted, grid, raster, group)
    records = [*done, *painted]
    facts = [record.facts for record in records]
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
        n_computed=len(painted),
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


def _paint(
    group: TiledGroup,
    label_map: TiledGroup,
    votes: Votes,
    grid: TileGrid,
    done: set[str],
    settings: LabelSettings,
    client: Client | None,
) -> list[TileRecord]:
    """Paint the tiles that are not done."""
    records: list[TileRecord] = []
    todo = (tile for tile in grid if tile.name not in done)
    jobs = (PaintJob(label_map=label_map, group=group, tile=tile, votes=votes) for tile in todo)
    with progress(f"pseudo-mask of {Path(group.path).stem}", total=len(grid) - len(done), unit="tiles") as advance:

        def collect(record: TileRecord) -> None:
            records.append(record)
            advance(1)

        conduct = Conduct(retries=settings.retries, timeout=settings.timeout)
        drive([iter([tiles_of(jobs, collect)])], client=client, conduct=conduct)
    return records


def _refuse_failed(records: list[TileRecord], grid: TileGrid, raster: Raster, group: TiledGroup) -> None:
    failed = [record for record in records if record.state == "failed"]
    for record in failed:
        log.warning("tile %s of %s failed: %s", record.tile, raster.name, record.error)
    if failed:
        raise TilesFailedError(
            f"{len(failed)} of {len(grid)} tiles of {raster.path} failed (reasons above and in the ledger beside "
            f"{group.path}); the others are done, run the same command to try again"
        )


def account_of(group: TiledGroup) -> tuple[Store, str]:
    """Return the store and the key of the account of the points of a pseudo-mask."""
    folder, _, name = beside(group.path, ".points.parquet").rpartition("/")
    return Store(folder), name


def companions_of(output: Path) -> tuple[Path, Path, Path]:
    """Return the pseudo-mask, its evidence and its account."""
    return output, output.with_suffix(".evidence.tif"), output.with_suffix(".points.parquet")


def export_pseudo_mask(
    group: TiledGroup, output: Path, *, overwrite: bool, on_pixels: Callable[[int], None] = lambda _: None
) -> Path:
    """Write a pseudo-mask as a Cloud-Optimized GeoTIFF with colours, and its evidence and account beside it."""
    _, evidence, account = companions_of(output)
    classes = ClassTable.from_dict(group.provenance["classes"])
    tags = {CLASSES_TAG: classes.to_dict(), PROVENANCE_TAG: group.provenance}
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
    store, key = account_of(group)
    Store(str(account.absolute().parent)).write(account.name, store.read(key) or b"")
    profile = CogProfile(
        georeference=group.georeference,
        dtype="uint8",
        nodata=IGNORE,
        band_names=("class",),
        colormap=classes.colormap,
        tags=tags,
    )
    return write_cog(output, profile, read_blocks(group, "pseudo_mask", on_pixels), overwrite=overwrite)
