"""A run again, for the rasters that were quarantined or never begun."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from superpoint.cache.runs import find_run
from superpoint.errors import InputError
from superpoint.pipelines.label import label
from superpoint.pipelines.settings import LabelSettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize

if TYPE_CHECKING:
    from superpoint.pipelines.label import PseudoMask
    from superpoint.pipelines.settings import RetrySettings
    from superpoint.pipelines.superpixelize import LabelMap

log = logging.getLogger("superpoint")


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What came of the rasters that were tried again."""

    run: str
    label_maps: list[LabelMap] = field(default_factory=list)
    pseudo_masks: list[PseudoMask] = field(default_factory=list)


def retry(settings: RetrySettings) -> Retried:
    """Try a run's rasters again that are not done, under the run's own id and settings.

    Parameters
    ----------
    settings : RetrySettings
        See the fields.

    Returns
    -------
    Retried
        What the run's command returns of them.

    Raises
    ------
    InputError
        If there is no such run, or it is running.
    TilesFailedError
        If some are quarantined again.
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
        return Retried(run=folder.run)
    if manifest["command"] == "label":  # what is done is found in the cache
        return Retried(run=folder.run, pseudo_masks=label(LabelSettings(**asked), run=folder.run))
    label_maps = superpixelize(SuperpixelizeSettings(**asked), run=folder.run, only=again)
    return Retried(run=folder.run, label_maps=label_maps)
