"""Query points to pseudo-masks: superpixels, the vote, and one painting job a tile."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import CogProfile, check_output, write_cog
from superpoint.cache.groups import ArraySpec, TiledGroup, beside, open_group
from superpoint.cache.keys import checksum, digest, file_digest
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.stores import Store
from superpoint.cache.tables import account_bytes, place_points, read_class_table, read_points
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.jobs import tiles_of
from superpoint.pipelines.outputs import PROVENANCE_TAG, block_windows, outputs_of, read_blocks, write_item
from superpoint.pipelines.rasterjobs import open_raster_of, sources_of
from superpoint.pipelines.superpixelize import LabelMap, label_maps_of
from superpoint.points.account import settle, sums
from superpoint.tiles import Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import geopandas as gpd
    import pandas as pd
    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.cache.inputs import Source
    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.rasters import Raster
    from superpoint.labels.vote import Votes
    from superpoint.pipelines.archive import Entry
    from superpoint.pipelines.jobs import Stage, Work
    from superpoint.pipelines.rasterjobs import Ready
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


def label(settings: LabelSettings, *, client: Client | None = None) -> list[PseudoMask]:
    """Turn query points into pseudo-masks by majority vote in superpixels.

    Parameters
    ----------
    settings : LabelSettings
        See the fields. One points file may serve many rasters: each takes the points that lie on it.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.

    Returns
    -------
    list of PseudoMask
        One for each raster, in order.

    Raises
    ------
    InputError
        If an input cannot be used, or no point lies on a raster with data.
    TilesFailedError
        If some rasters were quarantined; its `results` are those of the others, and the same call tries again.
    """
    sources = sources_of(settings)
    outputs = outputs_of(settings.output, sources, suffix="pseudo-mask")
    for output in outputs:
        for path in companions_of(output):
            check_output(path, overwrite=settings.overwrite)
    exports: Sequence[Path | None] = outputs or [None] * len(sources)
    inputs = list(zip(sources, exports, strict=True))
    return pseudo_masks_of(inputs, settings, client=client)


def pseudo_masks_of(
    inputs: Sequence[tuple[Source, Path | None]],
    settings: LabelSettings,
    *,
    client: Client | None = None,
    run: str | None = None,
    only: Collection[int] | None = None,
) -> list[PseudoMask]:
    """Return the pseudo-masks of sources.

    Parameters
    ----------
    inputs : sequence of (Source, Path or None)
        The rasters, and the COG of each, if wanted.
    settings : LabelSettings
        The points, how they vote, and where the work is done.
    client, run, only
        As in `label_maps_of`.

    Raises
    ------
    InputError, TilesFailedError
        As in `label`.
    """
    voters = _voters_on(inputs, settings)
    painted: dict[str, Painted] = {}

    def paint(number: int, ready: Ready, entry: Entry) -> Work:
        source, output = inputs[number]
        made = yield from _paint(voters, number, ready, entry, settings)
        if output:
            export_pseudo_mask(made.group, output, overwrite=settings.overwrite)
        write_item(
            made.group, array="pseudo_mask", title="pseudo-mask", sources=source.paths, taken=source.datetime,
            output=output,
        )  # fmt: skip
        painted[ready.group.path] = replace(made, output=str(output) if output else None)

    try:
        label_maps = label_maps_of(
            inputs,
            settings,
            command="label",
            client=client,
            run=run,
            only=only,
            then=paint,
        )
    except TilesFailedError as error:
        masks = [_mask_of(painted[made.path], made, voters.classes) for made in error.results or ()]
        raise TilesFailedError(str(error), results=masks) from error
    masks = [_mask_of(painted[made.path], made, voters.classes) for made in label_maps]
    _refuse_if_none_used(masks, settings.points)
    return masks


@dataclass(frozen=True, kw_only=True)
class Voters:
    """The points, where they lie, and what their classes are."""

    table: gpd.GeoDataFrame | pd.DataFrame
    placed: dict[int, QueryPoints]
    """By the number of the raster; one that cannot be opened has none."""
    classes: ClassTable


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What came of painting one raster."""

    group: TiledGroup
    points: dict[str, int]
    records: list[TileRecord]
    n_computed: int
    seconds: float
    output: str | None = None


def _voters_on(inputs: Sequence[tuple[Source, Path | None]], settings: LabelSettings) -> Voters:
    """Place the points on each raster that can be opened; the others are the run's to quarantine.

    Raises
    ------
    InputError
        If the points or classes cannot be used, no raster can be opened, or no point lies on one.
    """
    classes = read_class_table(settings.classes) if settings.classes else None
    rasters = _rasters_of(inputs, settings)
    table = read_points(
        settings.points, class_column=settings.class_column, crs=settings.points_crs, layer=settings.layer
    )
    placed = {number: _place(table, raster, classes, settings) for number, raster in rasters.items()}
    found = next(iter(placed.values()))[1]
    if classes is None:
        log.info("no class table given, made one: %s", ", ".join(f"{c.value} = {c.name}" for c in found.classes))
    _refuse_if_none_inside(list(placed.values()), list(rasters.values()), settings.points)
    return Voters(table=table, placed={number: points for number, (points, _) in placed.items()}, classes=found)


def _rasters_of(inputs: Sequence[tuple[Source, Path | None]], settings: LabelSettings) -> dict[int, Raster]:
    rasters: dict[int, Raster] = {}
    errors: list[InputError] = []
    for number, (source, _) in enumerate(inputs):
        try:
            rasters[number] = open_raster_of(source, settings)
        except InputError as error:
            errors.append(error)
    if not rasters:
        raise errors[0]
    return rasters


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


def _paint(voters: Voters, number: int, ready: Ready, entry: Entry, settings: LabelSettings) -> Stage[Painted]:
    """Yield the batch that paints the tiles which are not done."""
    started = time.perf_counter()
    if number not in voters.placed:  # it could not be opened when the points were placed
        raise InputError(f"{entry.row.raster} could not be opened at first; run the same command again")
    points, raster, source = voters.placed[number], ready.plan.raster, ready.group
    votes, states = settle(points, _superpixels_at(points, source), raster.shape, tie=settings.tie)
    group = _group_of(raster, source, points, voters.classes, settings)
    store, key = account_of(group)
    store.write(key, account_bytes(voters.table, points, states))
    records = list(group.done(check=settings.check))
    done = {record.tile for record in records}

    def collect(record: TileRecord) -> None:
        (entry.failed if record.state == "failed" else records).append(record)

    todo = (tile for tile in ready.plan.grid if tile.name not in done)
    yield tiles_of((PaintJob(label_map=source, group=group, tile=tile, votes=votes) for tile in todo), collect)
    entry.refuse_failed(len(ready.plan.grid), group.path)
    return Painted(
        group=group,
        points=sums(states),
        records=records,
        n_computed=len(records) - len(done),
        seconds=time.perf_counter() - started,
    )


def _group_of(
    raster: Raster, label_map: TiledGroup, points: QueryPoints, classes: ClassTable, settings: LabelSettings
) -> TiledGroup:
    return open_group(
        settings.cache,
        kind="pseudo-masks",
        name=raster.name,
        georeference=raster.georeference,
        tile_size=settings.tile,
        arrays=ARRAYS,
        provenance={
            "label_map": {"digest": digest(label_map.provenance), **label_map.provenance},
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


def _mask_of(painted: Painted, label_map: LabelMap, classes: ClassTable) -> PseudoMask:
    facts = [record.facts for record in painted.records]
    class_pixels = _sum_counts([fact["class_pixels"] for fact in facts], len(classes))
    n_data = sum(fact["n_data"] for fact in facts)
    return PseudoMask(
        raster=label_map.raster,
        path=painted.group.path,
        label_map=label_map,
        classes=classes,
        points=painted.points,
        coverage=sum(class_pixels) / n_data if n_data else 0.0,
        class_pixels=dict(zip(classes.names, class_pixels, strict=True)),
        n_tiles=label_map.n_tiles,
        n_computed=painted.n_computed,
        seconds=label_map.seconds,
        output=painted.output,
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
