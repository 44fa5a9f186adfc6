"""The page about a run: what the cache knows of it, brought together and written as one HTML file."""

from __future__ import annotations

import functools
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyproj
from pyproj.exceptions import CRSError

from superpoint.cache.groups import load_group
from superpoint.cache.remote import shown
from superpoint.cache.runs import find_run
from superpoint.cache.stores import as_store
from superpoint.errors import InputError
from superpoint.pipelines.experimentreport import experiment_report
from superpoint.pipelines.experimentresults import is_folder
from superpoint.pipelines.reportpictures import grid_of, thumbnail_of
from superpoint.report.facts import RasterFacts, RunFacts, TileFacts
from superpoint.report.page import page_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from superpoint.cache.ledger import TileRecord
    from superpoint.cache.runs import RasterRow, RunFolder
    from superpoint.pipelines.experimentreport import ExperimentReport
    from superpoint.pipelines.settings import ReportSettings
    from superpoint.tiles import TileGrid

PAGE = "report.html"
READERS = 8  # rasters looked at side by side
MOST_LISTED = 50  # of a long list in the settings


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page about a run."""

    run: str
    output: str
    """The page: a path or URL."""
    state: str
    n_rasters: int
    n_pictures: int
    n_bytes: int


def report(settings: ReportSettings) -> Report | ExperimentReport:
    """Write a page about a run, of which nothing but the cache need be known, or about an experiment.

    Parameters
    ----------
    settings : ReportSettings
        See the fields.

    Returns
    -------
    Report or ExperimentReport
        Where the page is; the second if a folder is given.

    Raises
    ------
    InputError
        If there is no such run or experiment, or the page cannot be written.
    """
    if is_folder(settings.run):
        return experiment_report(Path(settings.run), output=settings.output, overwrite=settings.overwrite)
    folder = find_run(settings.cache, settings.run)
    if settings.output is not None:
        _refuse_other(settings.output, overwrite=settings.overwrite)
    facts = facts_of(folder, most_pictures=settings.pictures)
    page = page_of(facts).encode()
    if settings.output is None:
        folder.store.write(PAGE, page)
    else:
        _write(settings.output, page)
    return Report(
        run=folder.run,
        output=f"{folder.store.url}/{PAGE}" if settings.output is None else str(settings.output),
        state=facts.state,
        n_rasters=facts.n_rasters,
        n_pictures=len(facts.thumbnails),
        n_bytes=len(page),
    )


def facts_of(folder: RunFolder, *, most_pictures: int) -> RunFacts:
    """Bring together what the cache knows of a run.

    Parameters
    ----------
    folder : RunFolder
        The run.
    most_pictures : int
        How many rasters are shown as pictures: those with failures first, then in order.
    """
    now = time.time()
    manifest = folder.manifest()
    state = _state(folder, manifest)
    rows = list(folder.rows())
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(functools.partial(_look_at, run=folder.run, state=state), rows, range(len(rows))))
        rasters = [one.facts for one in found]
        tiles = [tile for one in found for tile in one.tiles]
        wanted = sorted(
            (place for place, row in enumerate(rows) if row.path and row.rows),
            key=lambda place: (not rasters[place].has_failures, place),
        )[:most_pictures]
        drawn = pool.map(thumbnail_of, [rows[at] for at in wanted], [found[at].fullest for at in wanted])
        pictures = dict(zip(wanted, drawn, strict=True))
    goes = list(_goes(manifest, [tile.finished for tile in tiles if tile.is_ours], now if state == "running" else None))
    return RunFacts(
        run=folder.run,
        command=str(manifest.get("command", "run")),
        version=str(manifest.get("superpoint", "")),
        state=state,
        started=_seconds(manifest["started"]),
        finished=_seconds(manifest["ended"]) if state != "running" and "ended" in manifest else None,
        goes=goes,
        made=now,
        cache=folder.store.url.rpartition("/runs/")[0],
        hosts=sorted({*manifest.get("hosts", ()), *(tile.host for tile in tiles if tile.is_ours and tile.host)}),
        n_threads=manifest.get("n_threads"),
        packages=_packages(manifest),
        settings=json.dumps(_shortened(manifest.get("settings", {})), indent=2),
        n_rasters=max(int(manifest.get("n_rasters", 0)), len(rasters)),
        rasters=rasters,
        tiles=tiles,
        thumbnails={place: picture for place, picture in pictures.items() if picture is not None},
    )


def _packages(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of other people's packages."""
    known = {**manifest.get("packages", {}), "Python": str(manifest.get("python", "unknown"))}
    return {name: version for name, version in known.items() if name != "superpoint"}


def _state(folder: RunFolder, manifest: Mapping[str, Any]) -> str:
    state = str(manifest.get("state", "running"))
    return "killed" if state == "running" and not folder.is_running() else state


def _goes(manifest: Mapping[str, Any], finished: Sequence[float], now: float | None) -> Iterator[tuple[float, float]]:
    """Yield start and end of each time a run was worked on; of one that was killed, its last tile is the end."""
    goes = manifest.get("goes", [])
    starts = [_seconds(go["started"]) for go in goes]
    ends = [*starts[1:], float("inf")]
    for go, start, latest in zip(goes, starts, ends, strict=True):
        if "ended" in go:
            yield start, _seconds(go["ended"])
        elif now is not None and go is goes[-1]:
            yield start, now
        else:
            yield start, max((when for when in finished if start < when < latest), default=start)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _shortened(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return settings with the first of many rasters, and no signatures."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        more = [f"... and {len(value) - MOST_LISTED:,} more"] if len(value) > MOST_LISTED else []
        return [_shortened(inner) for inner in value[:MOST_LISTED]] + more
    return shown(value) if isinstance(value, str) else value


# --- rasters and tiles


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A raster of a run, and the ledger of its label map."""

    facts: RasterFacts
    tiles: list[TileFacts]
    fullest: str | None
    """The tile that takes most bytes, so that there is something to be seen in it."""


def _look_at(row: RasterRow, place: int, *, run: str, state: str) -> _Seen:
    grid, records = _ledger_of(row)
    tiles = [_tile_facts(record, place, grid, run) for record in records] if grid else []
    sizes = {one.tile: sum(size for size, _ in one.chunks.values()) for one in records if one.state == "done"}
    facts = RasterFacts(
        name=row.name,
        path=shown(row.raster),
        state="unfinished" if row.state == "running" and state != "running" else row.state,
        reason=row.reason,
        shape=(row.rows, row.cols) if row.rows else None,
        n_bands=row.n_bands,
        dtype=row.dtype,
        crs=_crs_name(row.crs),
        n_tiles=row.n_tiles,
        n_computed=sum(tile.is_ours and tile.is_done for tile in tiles),
        n_failed=max(row.n_failed, len(row.failed_tiles)),
        n_superpixels=row.n_superpixels,
        n_bytes=sum(sizes.values()),
        n_pixels_done=sum(tile.n_pixels for tile in tiles if tile.is_done),
        seconds=row.seconds,
        output=row.output,
        failed_tiles=row.failed_tiles,
    )
    return _Seen(facts=facts, tiles=tiles, fullest=max(sizes, key=sizes.__getitem__, default=None))


def _ledger_of(row: RasterRow) -> tuple[TileGrid | None, list[TileRecord]]:
    """Return what is known of a raster's tiles; nothing if its label map is gone."""
    try:
        group = load_group(row.path or "")
    except InputError:
        return None, []
    return grid_of(group), list(group.ledger.records())


def _tile_facts(record: TileRecord, place: int, grid: TileGrid, run: str) -> TileFacts:
    return TileFacts(
        raster=place,
        tile=record.tile,
        is_done=record.state == "done",
        is_ours=record.run == run,
        attempts=record.attempts,
        seconds=record.seconds,
        finished=record.finished,
        host=record.host,
        n_pixels=math.prod(grid.named(record.tile).core.shape),
    )


@functools.lru_cache(maxsize=256)
def _crs_name(crs: str | None) -> str:
    try:
        known = pyproj.CRS(crs) if crs else None
    except CRSError:
        return crs or ""
    authority = known and known.to_authority()
    return ":".join(authority) if authority else known.name if known else ""


# --- the file


def _refuse_other(output: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is no page of ours."""
    if output.is_dir():
        raise InputError(f"{output} is a folder; give the name of a file")
    if output.exists() and not overwrite and b"<title>superpoint run " not in output.read_bytes()[:2000]:
        raise InputError(f"{output} exists already; give --overwrite to replace it, or another name")


def _write(output: Path, page: bytes) -> None:
    as_store(output.absolute().parent).write(output.name, page)
