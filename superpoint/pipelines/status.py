"""How far a run is, or how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.cache.runs import find_run

if TYPE_CHECKING:
    from superpoint.cache.runs import Progress, RasterRow
    from superpoint.pipelines.settings import StatusSettings

SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is known of a run."""

    run: str
    command: str
    state: str
    """running, done, quarantined (some rasters were quarantined), stopped, failed, or silent: killed, most likely."""
    started: str
    ended: str | None
    progress: Progress | None
    n_rasters: int
    done: int
    quarantined: list[RasterRow]
    """The rasters that were quarantined, with reasons."""
    running: list[RasterRow]
    """Those that were begun and have not ended."""
    folder: str


def status(settings: StatusSettings) -> Status:
    """Return how far a run is, or how it ended.

    Parameters
    ----------
    settings : StatusSettings
        See the fields.

    Raises
    ------
    InputError
        If there is no such run.
    """
    folder = find_run(settings.cache, settings.run)
    manifest: dict[str, Any] = folder.manifest()
    rows = list(folder.rows())
    state = manifest["state"]
    if state == "running" and not folder.is_running():
        state = SILENT
    return Status(
        run=folder.run,
        command=manifest["command"],
        state=state,
        started=manifest["started"],
        ended=manifest.get("ended"),
        progress=folder.progress(),
        n_rasters=manifest["n_rasters"],
        done=sum(row.state == "done" for row in rows),
        quarantined=[row for row in rows if row.state == "quarantined"],
        running=[row for row in rows if row.state == "running"],
        folder=folder.store.url,
    )
