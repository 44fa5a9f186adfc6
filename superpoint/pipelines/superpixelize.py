"""Rasters to label maps, tile by tile, into the cache.

What is to be done with one raster is `_label_map`; many are done side by side. Where tiles agree on ids by themselves
a tile is one job; `joined.py` is about all other algorithms.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.cache.cogs import PROVENANCE_TAG, CogProfile, write_cog
from superpoint.cache.stores import as_store
from superpoint.cache.turns import turn_at
from superpoint.errors import DiskFullError, TilesFailedError
from superpoint.pipelines.archive import archive_run
from superpoint.pipelines.jobs import Batch, Conduct, drive, open_client, tiles_of
from superpoint.pipelines.joined import delete_parts, rounds_of
from superpoint.pipelines.outputs import (
    check_exports,
    is_exported,
    outputs_of,
    read_blocks,
    write_item,
)
from superpoint.pipelines.rasterjobs import Ready, check_request, compute, lost, make_ready, sources_of, value_of
from superpoint.pipelines.settings import wherever
from superpoint.pipelines.superpixeljobs import Round, SuperpixelJob

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from distributed import Client

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.inputs import Source
    from superpoint.cache.ledger import TileRecord
    from superpoint.pipelines.archive import Archive, Entry
    from superpoint.pipelines.jobs import Outcome, Work
    from superpoint.pipelines.settings import SuperpixelizeSettings, SuperpixelSettings

log = logging.getLogger("superpoint")


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """The superpixels of one raster, in the cache."""

    raster: str
    path: str
    """Zarr group with the array `labels`."""
    shape: tuple[int, int]
    n_superpixels: int
    n_tiles: int
    n_computed: int
    """Tiles computed by this call; the others were done already."""
    seconds: float
    item: str
    """The STAC Item that describes it."""
    output: str | None = None
    """The COG, if one was asked for."""


def superpixelize(settings: SuperpixelizeSettings, *, client: Client | None = None) -> list[LabelMap]:
    """Superpixelize rasters, tile by tile, into the cache; what is there already is not computed again.

    Parameters
    ----------
    settings : SuperpixelizeSettings
        See the fields.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.

    Returns
    -------
    list of LabelMap
        One for each raster, in order.

    Raises
    ------
    InputError
        If a setting cannot be used, or the only raster.
    TilesFailedError
        If some rasters were quarantined; its `results` are those of the others, and the same call tries again.
    """
    sources = sources_of(settings)
    outputs = outputs_of(settings.output, sources, suffix="labels")
    check_exports(outputs, overwrite=settings.overwrite)
    exports: Sequence[Path | None] = outputs or [None] * len(sources)
    inputs = list(zip(sources, exports, strict=True))
    return label_maps_of(inputs, settings, command="superpixelize", client=client)


def label_maps_of(
    inputs: Sequence[tuple[Source, Path | None]],
    settings: SuperpixelSettings,
    *,
    command: str,
    client: Client | None = None,
    run: str | None = None,
    only: Collection[int] | None = None,
    then: Callable[[int, Ready, Entry], Work] | None = None,
) -> list[LabelMap]:
    """Return the label maps of sources, computing what is not in the cache.

    Parameters
    ----------
    inputs : sequence of (Source, Path or None)
        The rasters, and the COG of each, if wanted; of what `then` makes, if that is given.
    settings : SuperpixelSettings
        How they are superpixelized, and where that is done.
    command : str
        Name of the command, for the run.
    client : distributed.Client, optional
        Of a cluster to use, instead of what the settings say.
    run : str, optional
        Id of a run to go on with, instead of a new one.
    only : collection of int, optional
        Places among the inputs, from 0, of those to do.
    then : callable, optional
        What else is done with each raster when its label map is whole, as batches of jobs.

    Raises
    ------
    InputError, TilesFailedError
        As in `superpixelize`.
    """
    check_request(settings)
    found: dict[int, LabelMap] = {}
    numbers = range(len(inputs)) if only is None else sorted(only)
    small = settings.model_copy(update={"rasters": []})  # goes along with every job
    with (
        open_client(settings.cluster, client=client) as own,
        archive_run(
            settings.cache,
            command=command,
            settings=wherever(settings),
            inputs=inputs,
            n_todo=len(numbers),
            client=own,
            run=run,
        ) as archive,
    ):
        works = (_label_map(number, *inputs[number], small, archive, found, then) for number in numbers)
        conduct = Conduct(run=archive.folder.run, retries=settings.retries, timeout=settings.timeout)
        drive(works, client=own, conduct=conduct)
    results = [found[number] for number in sorted(found)]
    archive.refuse_failures(results)
    return results


def _label_map(
    number: int,
    source: Source,
    output: Path | None,
    settings: SuperpixelSettings,
    archive: Archive,
    found: dict[int, LabelMap],
    then: Callable[[int, Ready, Entry], Work] | None,
) -> Work:
    """Yield the batches of jobs that make one raster's label map; what fails is its own failure."""
    entry = archive.begin(number, raster=source.label, name=source.name)
    try:
        ready = yield from make_ready(source, settings)
        yield from _tiles(ready, entry)
        if then:
            yield from then(number, ready, entry)
        yield from _finish(ready, entry, source, settings, None if then else output)
        found[number] = _label_map_of(entry)
    except DiskFullError:
        raise
    except Exception as error:  # whatever one raster comes to, the others go on
        log.debug("%s", source.name, exc_info=True)
        entry.quarantine(error)


def _tiles(ready: Ready, entry: Entry) -> Work:
    """Yield the batches of a raster's tiles, and take them into what is ready."""
    _introduce(ready, entry)
    try:
        for stage in rounds_of(ready) if ready.plan.is_joined else [_only_round(ready)]:
            yield from _round(stage, ready, entry)
            entry.refuse_failed(len(ready.plan.grid), ready.group.path)
    except (TilesFailedError, FileNotFoundError):
        # Another run may have made the label map whole meanwhile, and deleted what was kept on the way.
        if not (ready.plan.is_joined and _tally_anew(ready)):
            raise
        entry.forget_failed()
        delete_parts(ready)


def _introduce(ready: Ready, entry: Entry) -> None:
    plan, grid = ready.plan, ready.plan.grid
    for warning in plan.warnings:
        entry.archive.warn(warning, plan.raster.path)
    entry.update(
        path=ready.group.path,
        rows=grid.shape[0],
        cols=grid.shape[1],
        n_bands=len(plan.raster.bands),
        dtype=plan.raster.dtype,
        crs=plan.raster.georeference.crs,
        n_tiles=len(grid),
    )
    megapixels = grid.shape[0] * grid.shape[1] / 1e6 * (1 - len(ready.done) / len(grid))
    entry.archive.expect(n_tiles=len(grid), n_tiles_done=len(ready.done), megapixels=megapixels)


def _only_round(ready: Ready) -> Round:
    """Return the round of tiles that agree on ids by themselves."""
    return Round(
        what="superpixels",
        group=ready.group,
        job_of=lambda tile: SuperpixelJob(recipe=ready.recipe, group=ready.group, tile=tile),
    )


def _round(stage: Round, ready: Ready, entry: Entry) -> Work:
    """Yield the batch of one round's jobs, of the tiles that are not done."""
    grid, is_last = ready.plan.grid, stage.group is ready.group
    done = ready.done if is_last else frozenset(record.tile for record in stage.group.done())
    what = f"{stage.what} of {entry.row.name}"
    if done and len(done) < len(grid):
        log.info("%s: %d of %d tiles are in the cache, computing %d", what, len(done), len(grid), len(grid) - len(done))

    def collect(record: TileRecord) -> None:
        tile = grid.named(record.tile)
        megapixels = tile.core.n_rows * tile.core.n_cols / 1e6 * stage.weight
        entry.add(record, megapixels=megapixels, is_label=is_last)
        if is_last and record.state == "done":
            ready.tally.add(record)

    if len(done) == len(grid):
        return
    with turn_at(stage.group) as turn:
        jobs = (stage.job_of(tile) for tile in grid.in_order(turn) if tile.name not in done)
        yield tiles_of(jobs, collect)


def _tally_anew(ready: Ready) -> bool:
    """Tally the label map anew, whoever made it; return whether it is whole."""
    ready.tally.clear()
    for record in ready.group.done():
        ready.tally.add(record)
    return ready.tally.n_done == len(ready.plan.grid)


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """Describe a label map that is whole, and write it as a COG if one is wanted."""

    group: TiledGroup
    sources: tuple[str, ...]
    taken: str | None
    output: Path | None
    overwrite: bool

    def compute(self) -> str:
        """Return where the STAC Item is."""
        if self.output and not is_exported(self.output, self.group):
            export_labels(self.group, self.output, overwrite=self.overwrite)
        return write_item(
            self.group,
            array="labels",
            title="superpixels",
            sources=self.sources,
            taken=self.taken,
            output=self.output,
        )


def _finish(ready: Ready, entry: Entry, source: Source, settings: SuperpixelSettings, output: Path | None) -> Work:
    """Yield the job that exports a label map, and say that the raster is done."""
    job = ExportJob(
        group=ready.group,
        sources=source.paths,
        taken=source.datetime,
        output=output,
        overwrite=settings.overwrite,
    )
    outcomes: list[Outcome[Any]] = []
    if as_store(settings.cache).is_local:  # workers that share the cache's file system share that of the outputs
        yield Batch(jobs=[job], call=compute, lost=lost, collect=outcomes.append)
    else:
        outcomes.append(compute(job, Conduct(retries=settings.retries)))
    item = value_of(outcomes[0])
    entry.finish(
        n_superpixels=ready.tally.n_superpixels,
        n_bytes_written=ready.tally.n_bytes,
        output=str(output) if output else None,
        item=item,
    )


def _label_map_of(entry: Entry) -> LabelMap:
    row = entry.row
    return LabelMap(
        raster=row.raster,
        path=row.path or "",
        shape=(row.rows, row.cols),
        n_superpixels=row.n_superpixels,
        n_tiles=row.n_tiles,
        n_computed=row.n_computed,
        seconds=row.seconds,
        item=row.item or "",
        output=row.output,
    )


def export_labels(
    group: TiledGroup, output: Path, *, overwrite: bool, on_pixels: Callable[[int], None] = lambda _: None
) -> Path:
    """Write a label map as a Cloud-Optimized GeoTIFF, uint32 with nodata 0."""
    profile = CogProfile(
        georeference=group.georeference,
        dtype="uint32",
        nodata=0,
        band_names=("superpixel id",),
        tags={PROVENANCE_TAG: group.provenance},
    )
    return write_cog(output, profile, read_blocks(group, "labels", on_pixels), overwrite=overwrite)
