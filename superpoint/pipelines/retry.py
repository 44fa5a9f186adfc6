"""A run again, for the rasters that were put aside or never begun."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from superpoint.cache.runs import find_run
from superpoint.errors import InputError
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import LabelSettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from superpoint.pipelines.settings import RetrySettings

log = logging.getLogger("superpoint")


def retry(settings: RetrySettings) -> list[Any]:
    """Try a run's rasters again that are not done, under the run's own id and settings.

    Parameters
    ----------
    settings : RetrySettings
        See the fields.

    Returns
    -------
    list of LabelMap or PseudoMask
        As the run's command returns.

    Raises
    ------
    InputError
        If there is no such run, or it is running.
    TilesFailedError
        If some are put aside again.
    """
    folder = find_run(settings.cache, settings.run)
    manifest = folder.manifest()
    if folder.is_running():
        raise InputError(f"run {folder.run} is running; wait for its end: superpoint status {folder.run}")
    changes = {name: getattr(settings, name) for name in ("scheduler", "workers", "timeout") if getattr(settings, name)}
    asked = manifest["settings"] | {"cache": settings.cache} | changes
    done = {row.number for row in folder.rows() if row.state == "done"}
    again = [number for number in range(manifest["n_rasters"]) if number not in done]
    if not again:
        log.info("all %d rasters of run %s are done", manifest["n_rasters"], folder.run)
        return []
    if manifest["command"] == "label":  # what is done is found in the cache
        return label(LabelSettings(**asked), run=folder.run)
    return superpixelize(SuperpixelizeSettings(**asked), run=folder.run, only=again)
