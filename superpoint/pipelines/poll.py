"""Who votes and by which rules: the points as they are read, their classes, and the account that is kept of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.keys import file_digest
from superpoint.cache.points.reading import PlacedPoints, PointColumns, read_point_files
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError, SuperpointError
from superpoint.labels.steps import LabelStep, make_step
from superpoint.labels.vote import VoteRule
from superpoint.pipelines.rasterjobs import open_raster_of
from superpoint.pipelines.settings.points import PointColumnSettings
from superpoint.points.account import Account
from superpoint.points.matching import match_classes
from superpoint.points.naming import is_called
from superpoint.points.query import UNREADABLE
from superpoint.points.table import PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from superpoint.cache.inputs import Source
    from superpoint.cache.rasters import Raster
    from superpoint.classes import ClassTable
    from superpoint.pipelines.settings import LabelSettings
    from superpoint.points.query import QueryPoints

log = logging.getLogger("superpoint")

FEW = 5  # rasters named in a sentence


@dataclass(frozen=True, kw_only=True)
class Poll:
    """Who votes, by which rules, and what came of it so far."""

    settings: LabelSettings
    points: PlacedPoints
    rule: VoteRule
    steps: tuple[LabelStep, ...]
    files: tuple[tuple[str, str | None], ...]
    """Name and digest of each file of points."""
    account: Account

    @property
    def classes(self) -> ClassTable:
        """The classes voted for."""
        return self.points.match.classes


def open_poll(inputs: Sequence[tuple[Source, Path | None]], settings: LabelSettings) -> Poll:
    """Read the points and find their classes.

    Raises
    ------
    InputError
        If they, the classes or the steps cannot be used, or no point lies on any of the rasters.
    """
    steps = _steps_of(settings)
    classes = read_class_table(settings.classes) if settings.classes else None
    table = read_point_files(
        settings.points, columns_of(settings, annotator_column=settings.annotator_column, seed=settings.seed)
    )
    if classes is None:
        classes = table.class_table()
        log.info("no class table given, made one: %s", ", ".join(f"{c.value} = {c.name}" for c in classes.classes))
    points = PlacedPoints(table=table, match=match_classes(table, classes))
    _refuse_ambiguous(points, [source for source, _ in inputs])
    _refuse_if_unreadable(points, settings)
    _refuse_if_none_inside(points, inputs, settings)
    return Poll(
        settings=settings,
        points=points,
        rule=VoteRule(
            tie=settings.tie,
            min_votes=settings.min_votes,
            min_share=settings.min_share,
            balance_annotators=settings.balance_annotators,
        ),
        steps=steps,
        files=tuple((path.name, file_digest(path) if path.is_file() else None) for path in settings.points),
        account=Account.open(table, [source.name for source, _ in inputs]),
    )


def columns_of(settings: PointColumnSettings, *, annotator_column: str | None = None, seed: int = 0) -> PointColumns:
    """Return what is read of the points' files."""
    given = settings.model_dump(include=set(PointColumnSettings.model_fields) - {"points_crs"})
    return PointColumns(**given, crs=settings.points_crs, annotator_column=annotator_column, seed=seed)


def _steps_of(settings: LabelSettings) -> tuple[LabelStep, ...]:
    given: dict[str, dict[str, Any]] = {name: {} for name in settings.improve}
    for key, value in settings.improve_parameter.items():
        name, dot, parameter = key.partition(".")
        if not dot or name not in given:
            asked = ", ".join(settings.improve) or "none"
            raise InputError(f"--improve-parameter takes STEP.NAME=VALUE, got {key!r}; the steps asked for: {asked}")
        given[name][parameter] = value
    return tuple(make_step(name, given[name]) for name in settings.improve)


def _refuse_ambiguous(points: PlacedPoints, sources: Sequence[Source]) -> None:
    """Refuse rows that would vote on several rasters though they mean one."""
    table = points.table
    if len(sources) > 1 and table.rasters is None and any(file.system == PIXELS for file in table.files):
        pixels = next(file.name for file in table.files if file.system == PIXELS)
        raise InputError(
            f"{pixels} has pixel rows and columns, which lie on each of the {len(sources)} rasters; name the column "
            f"that says which is meant with --raster-column"
        )
    for name in table.raster_names:
        meant = [source.label for source in sources if is_called(name, _names_of(source))]
        if len(meant) > 1:
            raise InputError(
                f"rows of {table.files[0].name} name the raster {name!r}, and {len(meant)} are called so: "
                f"{', '.join(meant[:FEW])}; give more of the path in that column"
            )


def _refuse_if_unreadable(points: PlacedPoints, settings: LabelSettings) -> None:
    if np.all(points.match.of(points.table.labels) == UNREADABLE):
        raise InputError(
            f"no row of {_files(settings)} has a class that is in the class table; "
            f"known: {', '.join(points.match.classes.names)}; check --class-column and --classes"
        )


def _refuse_if_none_inside(
    points: PlacedPoints, inputs: Sequence[tuple[Source, Path | None]], settings: LabelSettings
) -> None:
    """Look for a raster with a point on it, before anything is computed: mostly it is the first."""
    errors: list[SuperpointError] = []
    opened: list[str] = []
    for source, _ in inputs:
        try:
            raster = open_raster_of(source, settings)
            opened.append(raster.path)
            if len(points_on(points, raster, source)):
                return
        except SuperpointError as error:  # the run quarantines it
            errors.append(error)
    if not opened or len(errors) == len(inputs):
        raise errors[0]
    raise InputError(
        f"none of the {len(points.table):,} points of {_files(settings)} lies on {', '.join(opened[:FEW])}"
        f"{f' or {len(opened) - FEW:,} others' if len(opened) > FEW else ''}; check that they belong together and the "
        f"points' CRS"
    )


def points_on(points: PlacedPoints, raster: Raster, source: Source) -> QueryPoints:
    """Return the points on a raster."""
    return points.on(raster.georeference, names=_names_of(source))


def _names_of(source: Source) -> tuple[str, ...]:
    return source.name, source.label, *source.paths


def _files(settings: LabelSettings) -> str:
    return ", ".join(str(path) for path in settings.points)


def refuse_if_none_used(sums: Mapping[str, int], settings: LabelSettings) -> None:
    """Refuse points of which none was used.

    Raises
    ------
    InputError
        If so; the message says what became of them.
    """
    if not sums["used"]:
        found = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sums.items() if count)
        raise InputError(
            f"no point of {_files(settings)} could be used ({found}); check the points and the raster's nodata"
        )
