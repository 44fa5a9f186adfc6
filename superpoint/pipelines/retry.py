"""A run again, for the rasters that were quarantined or never begun."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from superpoint.cache.runs import find_run
from superpoint.errors import InputError, TilesFailedError
from superpoint.pipelines.label import PseudoMask, pseudo_masks_of
from superpoint.pipelines.settings import LabelSettings, SuperpixelizeSettings
from superpoint.pipelines.superpixelize import LabelMap, label_maps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from superpoint.cache.inputs import Source
    from superpoint.pipelines.settings import RetrySettings

    type Inputs = Sequence[tuple[Source, Path | None]]

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
    inputs = folder.inputs()
    done = {row.number for row in folder.rows() if row.state == "done"}
    again = [number for number in range(len(inputs)) if number not in done]
    if not again:
        log.info("all %d rasters of run %s are done", len(inputs), folder.run)
        return Retried(run=folder.run)
    changes = {name: getattr(settings, name) for name in ("scheduler", "workers", "timeout") if getattr(settings, name)}
    asked = manifest["settings"] | {"cache": settings.cache} | changes
    go_on = _label if manifest["command"] == "label" else _superpixelize
    try:
        return go_on(folder.run, inputs, again, asked)
    except TilesFailedError as error:
        raise TilesFailedError(str(error), results=_retried(folder.run, error.results)) from error


def _superpixelize(run: str, inputs: Inputs, again: Sequence[int], asked: Mapping[str, Any]) -> Retried:
    form = SuperpixelizeSettings(**asked)
    return _retried(run, label_maps_of(inputs, form, command="superpixelize", run=run, only=again))


def _label(run: str, inputs: Inputs, again: Sequence[int], asked: Mapping[str, Any]) -> Retried:
    return _retried(run, pseudo_masks_of(inputs, LabelSettings(**asked), run=run, only=again))


def _retried(run: str, results: Sequence[LabelMap | PseudoMask]) -> Retried:
    return Retried(
        run=run,
        label_maps=[made for made in results if isinstance(made, LabelMap)],
        pseudo_masks=[made for made in results if isinstance(made, PseudoMask)],
    )
