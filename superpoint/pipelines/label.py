"""Query points to pseudo-masks: superpixels, the vote, what improves it, and one painting job a tile.

Points are read once and placed on a raster when its label map is whole. Their superpixels are looked up by jobs, the
vote is held here, over the whole raster, and its result lies beside the pseudo-mask for the workers that paint.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.evidence import EMPTY, FIRST_STAGE, companion_of, evidence_digest, write_evidence
from superpoint.cache.groups import TiledGroup, open_group
from superpoint.cache.holdings import ACCOUNT
from superpoint.cache.keys import checksum, digest
from superpoint.cache.points.accounts import account_parquet, state_sums, with_earlier
from superpoint.cache.stores import Store, as_store
from superpoint.classes import IGNORE
from superpoint.errors import TilesFailedError
from superpoint.labels.steps import identify_step
from superpoint.pipelines.graphs import superpixel_graph
from superpoint.pipelines.jobs import Batch, Conduct, tiles_of
from superpoint.pipelines.labeljobs import MaskExportJob, PaintJob, look_up
from superpoint.pipelines.maskexport import arrays_of, companions_of
from superpoint.pipelines.outputs import check_exports, outputs_of
from superpoint.pipelines.poll import (
    Poll,
    open_poll,
    points_on,
    refuse_if_none_used,
    warn_of_absent_classes,
    warn_of_overlap,
)
from superpoint.pipelines.rasterjobs import compute, lost, sources_of, value_of
from superpoint.pipelines.superpixelize import LabelMap, label_maps_of
from superpoint.points.account import Account, settle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from distributed import Client
    from numpy.typing import NDArray

    from superpoint.cache.inputs import Source
    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.rasters import Raster
    from superpoint.cache.runs import RunFolder
    from superpoint.classes import ClassTable
    from superpoint.labels.evidence import PseudoLabels
    from superpoint.labels.steps import LabelStep
    from superpoint.pipelines.archive import Entry
    from superpoint.pipelines.jobs import Outcome, Stage, Work
    from superpoint.pipelines.rasterjobs import Ready
    from superpoint.pipelines.settings import LabelSettings
    from superpoint.points.query import QueryPoints

log = logging.getLogger("superpoint")

RUN_ACCOUNT = "points.parquet"


@dataclass(frozen=True, kw_only=True)
class StepSums:
    """How many superpixels the vote, or a step after it, labelled."""

    name: str
    """`vote`, or the step's name."""
    n_labelled: int
    """Superpixels with a class now."""
    n_gained: int
    """Those that had none before."""
    n_lost: int
    """Superpixels that had a class before and have none now."""
    n_changed: int
    """Superpixels that had another class before."""


@dataclass(frozen=True, kw_only=True)
class PseudoMask:
    """The pseudo-mask of one raster, in the cache."""

    raster: str
    path: str
    """Zarr group with the arrays `pseudo_mask`, `vote_share`, `votes` and `flags`."""
    label_map: LabelMap
    classes: ClassTable
    points: dict[str, int]
    """Number of rows of the points in each state on this raster; their sum is the number of all rows."""
    all_points: dict[str, int]
    """The same for all rasters of the run together: what each row came to where it came furthest."""
    account: str
    """Parquet file of the run that tells it of each row, with the reason."""
    coverage: float
    """Labelled pixels over all pixels of the raster with data."""
    class_pixels: dict[str, int]
    """Labelled pixels of each class, by name."""
    steps: list[StepSums]
    """What the vote and each step after it came to, in superpixels."""
    n_tiles: int
    n_computed: int
    """Tiles painted by this call."""
    seconds: float
    output: str | None = None
    """The COG, if one was asked for; its evidence and account lie beside it."""


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
    check_exports(_files_of(outputs, shares=settings.shares), overwrite=settings.overwrite)
    exports: Sequence[Path | None] = outputs or [None] * len(sources)
    inputs = list(zip(sources, exports, strict=True))
    return pseudo_masks_of(inputs, settings, client=client)


def _files_of(outputs: Sequence[Path], *, shares: bool) -> list[Path]:
    """Return all files that are written."""
    several = [outputs[0].parent / RUN_ACCOUNT] if len(outputs) > 1 else []
    return [path for output in outputs for path in companions_of(output, shares=shares)] + several


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
    poll = open_poll(inputs, settings)
    painted: dict[str, Painted] = {}

    def paint(number: int, ready: Ready, entry: Entry) -> Work:
        painted[ready.group.path] = yield from _paint(poll, number, *inputs[number], ready, entry)

    asked: dict[str, Any] = {"command": "label", "client": client, "run": run, "only": only, "then": paint}
    try:
        label_maps = label_maps_of(inputs, settings, **asked)
    except TilesFailedError as error:
        raise TilesFailedError(str(error), results=_close(poll, painted, error.results or [], inputs)) from error
    masks = _close(poll, painted, label_maps, inputs)
    if masks:
        refuse_if_none_used(masks[0].all_points, settings, account=masks[0].account)
    return masks


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What came of painting one raster."""

    group: TiledGroup
    points: dict[str, int]
    steps: list[StepSums]
    records: list[TileRecord]
    n_computed: int
    output: str | None
    folder: RunFolder
    """Of the run."""


# --- one raster


def _paint(poll: Poll, number: int, source: Source, output: Path | None, ready: Ready, entry: Entry) -> Stage[Painted]:
    """Yield the batches that look up the points, and paint the tiles which are not done."""
    raster, grid, settings = ready.plan.raster, ready.plan.grid, poll.settings
    points = points_on(poll.points, raster, source)
    superpixels = yield from look_up(points, ready.group, grid)
    tally, voted, states = settle(points, superpixels, raster.shape, poll.rule)
    stages = yield from _improve(poll.steps, voted, ready)
    group = _group_of(poll, raster, ready.group, points)
    write_evidence(group.path, tally, stages)
    warn_of_overlap(poll, points)
    poll.account.enter(points, states, raster=number, superpixels=superpixels, labels=voted)
    sums = _keep_account(poll, group, number, points, states, superpixels, voted)
    records = list(group.done(check=settings.check))
    done = {record.tile for record in records}

    def collect(record: TileRecord) -> None:
        (entry.failed if record.state == "failed" else records).append(record)

    n_shares = len(poll.classes) if settings.shares else 0
    final = evidence_digest(tally, stages[next(reversed(stages))])
    jobs = (
        PaintJob(label_map=ready.group, group=group, tile=tile, digest=final, n_shares=n_shares)
        for tile in grid
        if tile.name not in done
    )
    yield tiles_of(jobs, collect)
    entry.refuse_failed(len(grid), group.path)
    yield from _export(group, source, output, settings)
    return Painted(
        group=group,
        points=sums,
        steps=_sums_of(stages),
        records=records,
        n_computed=len(records) - len(done),
        output=str(output) if output else None,
        folder=entry.archive.folder,
    )


def _improve(steps: Sequence[LabelStep], voted: PseudoLabels, ready: Ready) -> Stage[dict[str, PseudoLabels]]:
    """Yield the batch that measures the superpixels, if a step needs it; return the labels after each step."""
    stages = {FIRST_STAGE: voted}
    if not steps:
        return stages
    graph = yield from superpixel_graph(ready.plan.raster, ready.group, ready.plan.grid)
    labels = voted
    for number, step in enumerate(steps):
        labels = step(labels, graph)
        n_before = [one.name for one in steps[:number]].count(step.name)
        stages[f"{step.name} {n_before + 1}" if n_before else step.name] = labels
    return stages


def _sums_of(stages: Mapping[str, PseudoLabels]) -> list[StepSums]:
    before, found = EMPTY, []
    for name, labels in stages.items():
        ids = np.union1d(before.superpixels, labels.superpixels)
        old, new = before.class_of(ids), labels.class_of(ids)
        had, has = old != IGNORE, new != IGNORE
        counts = (has, has & ~had, had & ~has, has & had & (old != new))
        n_labelled, n_gained, n_lost, n_changed = (int(np.count_nonzero(one)) for one in counts)
        found.append(StepSums(name=name, n_labelled=n_labelled, n_gained=n_gained, n_lost=n_lost, n_changed=n_changed))
        before = labels
    return found


def _group_of(poll: Poll, raster: Raster, label_map: TiledGroup, points: QueryPoints) -> TiledGroup:
    settings = poll.settings
    placed: list[NDArray[Any]] = [points.rows, points.cols, points.values]
    if points.annotators is not None:  # who also decide what repeats an earlier point
        placed.append(points.annotators)
    provenance: dict[str, Any] = {
        "label_map": {"digest": digest(label_map.provenance), **label_map.provenance},
        # What votes is in the key as it was read and placed: a file's bytes may lie in several files.
        "points": {"files": [list(file) for file in poll.files], "placed": checksum(*placed)},
        "classes": poll.classes.to_dict(),
        "rule": {
            "tie": settings.tie,
            "min_votes": settings.min_votes,
            "min_share": settings.min_share,
            "balance_annotators": settings.balance_annotators,
        },
        "steps": [identify_step(step) for step in poll.steps],
    }
    if settings.shares:
        provenance["shares"] = True
    return open_group(
        settings.cache,
        kind="pseudo-masks",
        name=raster.name,
        georeference=raster.georeference,
        tile_size=settings.tile,
        arrays=arrays_of(poll.classes, shares=settings.shares),
        provenance=provenance,
    )


def _keep_account(
    poll: Poll,
    group: TiledGroup,
    number: int,
    points: QueryPoints,
    states: NDArray[np.int8],
    superpixels: NDArray[np.uint32],
    voted: PseudoLabels,
) -> dict[str, int]:
    """Write the account of the rows on one raster beside its pseudo-mask; return the sums of all rows."""
    table, match = poll.points.table, poll.points.match
    rows = np.arange(len(table)) if points.origins is None else np.unique(points.origins)
    own = Account.open(table, poll.account.rasters, rows=rows)
    own.enter(points, states, raster=number, superpixels=superpixels, labels=voted)
    sums = own.sums()
    n_lost = int(np.count_nonzero(~table.has_place())) - sums["no_place"]
    sums["outside"] += len(table) - len(own) - n_lost
    sums["no_place"] += n_lost
    is_single = len(poll.account.rasters) == 1  # else a row outside may lie on another raster
    store, key = companion_of(group.path, ACCOUNT)
    store.write(key, account_parquet(table, match, own, all_rows=sums if is_single else None))
    return sums


def _export(group: TiledGroup, source: Source, output: Path | None, settings: LabelSettings) -> Work:
    """Yield the job that describes a pseudo-mask and writes it out."""
    job = MaskExportJob(
        group=group, sources=source.paths, taken=source.datetime, output=output, overwrite=settings.overwrite
    )
    outcomes: list[Outcome[Any]] = []
    if as_store(settings.cache).is_local:  # workers that share the cache's file system share that of the outputs
        yield Batch(jobs=[job], call=compute, lost=lost, collect=outcomes.append)
    else:
        outcomes.append(compute(job, Conduct(retries=settings.retries)))
    value_of(outcomes[0])


# --- all of them


def _close(
    poll: Poll,
    painted: Mapping[str, Painted],
    label_maps: Sequence[LabelMap],
    inputs: Sequence[tuple[Source, Path | None]],
) -> list[PseudoMask]:
    """Write the account of all rasters, and return what was made."""
    if not painted:
        return []
    folder = next(iter(painted.values())).folder
    data = account_parquet(poll.points.table, poll.points.match, poll.account)
    earlier = folder.store.read(RUN_ACCOUNT)  # of a run that is tried again
    data = with_earlier(data, earlier, poll.account.rasters) if earlier else data
    folder.store.write(RUN_ACCOUNT, data)
    outputs = [output for _, output in inputs if output]
    for place in outputs[:1]:
        name = RUN_ACCOUNT if len(outputs) > 1 else companions_of(place)[2].name
        Store(str(place.absolute().parent)).write(name, data)
    account, sums = f"{folder.store.url}/{RUN_ACCOUNT}", state_sums(data)
    masks = [_mask_of(poll, painted[made.path], made, account, sums) for made in label_maps]
    if len(masks) == len(inputs):
        totals = {name: sum(mask.class_pixels[name] for mask in masks) for name in poll.classes.names}
        warn_of_absent_classes(poll, totals)
    return masks


def _mask_of(poll: Poll, painted: Painted, label_map: LabelMap, account: str, sums: dict[str, int]) -> PseudoMask:
    facts = [record.facts for record in painted.records]
    class_pixels = _sum_counts([fact["class_pixels"] for fact in facts], len(poll.classes))
    n_data = sum(fact["n_data"] for fact in facts)
    return PseudoMask(
        raster=label_map.raster,
        path=painted.group.path,
        label_map=label_map,
        classes=poll.classes,
        points=painted.points,
        all_points=sums,
        account=account,
        coverage=sum(class_pixels) / n_data if n_data else 0.0,
        class_pixels=dict(zip(poll.classes.names, class_pixels, strict=True)),
        steps=painted.steps,
        n_tiles=label_map.n_tiles,
        n_computed=painted.n_computed,
        seconds=label_map.seconds,
        output=painted.output,
    )


def _sum_counts(counts: list[list[int]], n_classes: int) -> list[int]:
    total = np.zeros(n_classes, np.int64)
    for tile_counts in counts:
        total[: len(tile_counts)] += np.array(tile_counts, np.int64)
    return [int(count) for count in total]
