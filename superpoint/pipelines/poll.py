"""Who votes and by which rules: the points as they are read, their classes, and the account that is kept of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.keys import file_digest
from superpoint.cache.points.elsewhere import where_instead
from superpoint.cache.points.reading import PlacedPoints, PointColumns, read_point_files
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError, SuperpointError
from superpoint.labels.steps import LabelStep, make_step
from superpoint.labels.vote import VoteRule
from superpoint.pipelines.rasterjobs import open_raster_of
from superpoint.pipelines.settings.points import PointColumnSettings
from superpoint.points.account import Account, State, sums
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
    from superpoint.points.table import OtherColumn, PointTable

log = logging.getLogger("superpoint")

FEW = 5  # rasters named in a sentence
ADVICE = {
    "too_weak": "lower --min-votes or --min-share, or set more points",
    "conflicting": "with --tie lowest a tied superpixel has a class all the same",
    "on_nodata": "check the raster's nodata",
    "unreadable_class": "check --class-column and --classes",
    "outside": "check that points and rasters belong together and the points' CRS",
    "no_place": "check the points' geometries or columns of coordinates",
}
"""What to do where no point was used, by what became of most; not of duplicates, which had an earlier point."""


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
    sources: tuple[Source, ...]
    """The rasters."""
    warned: set[str] = field(default_factory=set)
    """What the run has warned of once."""

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
    if not len(table):
        raise InputError(f"{_files(settings)} has no rows; give points to vote")
    _warn_of_annotators(table, settings)
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
        sources=tuple(source for source, _ in inputs),
    )


def columns_of(settings: PointColumnSettings, *, annotator_column: str | None = None, seed: int = 0) -> PointColumns:
    """Return what is read of the points' files."""
    given = settings.model_dump(include=set(PointColumnSettings.model_fields) - {"points_crs"})
    return PointColumns(**given, crs=settings.points_crs, annotator_column=annotator_column, seed=seed)


def _steps_of(settings: LabelSettings) -> tuple[LabelStep, ...]:
    given: dict[str, dict[str, Any]] = {name: {} for name in settings.improve}
    for key, value in settings.improve_parameter.items():
        name, dot, parameter = key.partition(".")
        if not dot:
            raise InputError(f"--improve-parameter takes STEP.NAME=VALUE, got {key!r}")
        if name not in given:
            asked = ", ".join(settings.improve) or "none"
            raise InputError(f"--improve-parameter {key}: {name} is not among --improve (asked for: {asked})")
        given[name][parameter] = value
    return tuple(make_step(name, given[name]) for name in settings.improve)


def _warn_of_annotators(table: PointTable, settings: LabelSettings) -> None:
    """Warn if who set a point is in the files and is not asked for."""
    for column in table.others:
        if settings.annotator_column is None and column.name.lower() == "annotator" and len(column.values) > 1:
            log.warning(
                "%s has a column %s that is not asked for: points of several annotators in one pixel count as "
                "duplicates; name it with --annotator-column %s",
                column.file, column.name, column.name,
            )  # fmt: skip
            return


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
    instead = ""
    for source, _ in inputs:
        try:
            raster = open_raster_of(source, settings)
            opened.append(raster.path)
            if len(points_on(points, raster, source)):
                return
            instead = instead or where_instead(points, raster.georeference, names=_names_of(source))
        except SuperpointError as error:  # the run quarantines it
            errors.append(error)
    if not opened or len(errors) == len(inputs):
        raise errors[0]
    raise InputError(
        f"none of the {len(points.table):,} points of {_files(settings)} lies on {', '.join(opened[:FEW])}"
        f"{f' or {len(opened) - FEW:,} others' if len(opened) > FEW else ''}; check that they belong together and the "
        f"points' CRS: {instead}"
    )


def points_on(points: PlacedPoints, raster: Raster, source: Source) -> QueryPoints:
    """Return the points on a raster."""
    return points.on(raster.georeference, names=_names_of(source))


def _names_of(source: Source) -> tuple[str, ...]:
    return source.name, source.label, *source.paths


def _files(settings: LabelSettings) -> str:
    return ", ".join(str(path) for path in settings.points)


def warn_of_overlap(poll: Poll, points: QueryPoints) -> None:
    """Warn, once a run, of points that vote on several rasters though a column of their file says which is meant.

    Parameters
    ----------
    poll : Poll
        Its account has the rasters before this one.
    points : QueryPoints
        The points on a raster that is not entered in the account yet.
    """
    if poll.points.table.rasters is not None or "overlap" in poll.warned or points.origins is None:
        return
    n_several = len(np.unique(points.origins[poll.account.states[points.origins] > State.OUTSIDE]))
    column = _naming_column(poll) if n_several else None
    if column is not None:
        poll.warned.add("overlap")
        log.warning(
            "%s of %s on several of the rasters %s there; its column %s names rasters: if each point is of one, give "
            "--raster-column %s",
            "1 point" if n_several == 1 else f"{n_several:,} points", column.file,
            "votes" if n_several == 1 else "vote", column.name, column.name,
        )  # fmt: skip


def _naming_column(poll: Poll) -> OtherColumn | None:
    """Return a column most of whose values are names of the run's rasters."""
    called: dict[str, list[str]] = {}
    for source in poll.sources:
        for name in _names_of(source):
            file = name.rpartition("/")[2]
            for ending in (file, file.rpartition(".")[0] or file):
                called.setdefault(ending, []).append(name)
    for column in poll.points.table.others:
        known = [is_called(text, called.get(text.rpartition("/")[2], ())) for text in column.values]
        if 2 * sum(known) > len(known):
            return column
    return None


def warn_of_absent_classes(poll: Poll, class_pixels: Mapping[str, int]) -> None:
    """Warn of each class that no pixel of any raster has, and say why.

    Parameters
    ----------
    poll : Poll
        Its account has all rasters.
    class_pixels : mapping of str to int
        Labelled pixels of each class on all rasters, by name.
    """
    values = poll.points.match.of(poll.points.table.labels)
    for value, name in enumerate(poll.classes.names):
        if not class_pixels[name]:
            log.warning("no pixel of %s: %s", name, _why_absent(sums(poll.account.states[values == value])))


def _why_absent(states: Mapping[str, int]) -> str:
    became = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in states.items() if count)
    if not became:
        return "no point has this class"
    return "a step after the vote took it away" if states["used"] else f"no point of it was used ({became})"


def refuse_if_none_used(sums: Mapping[str, int], settings: LabelSettings, *, account: str) -> None:
    """Refuse points of which none was used.

    Parameters
    ----------
    sums : mapping of str to int
        Number of rows in each state.
    settings : LabelSettings
        What was asked for.
    account : str
        Where it is told of each row.

    Raises
    ------
    InputError
        If so; the message says what became of them, and what to do about most.
    """
    if not sums["used"]:
        found = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sums.items() if count)
        most = max(ADVICE, key=lambda state: sums.get(state, 0))
        raise InputError(
            f"no point of {_files(settings)} could be used ({found}); {ADVICE[most]}; every row with its reason: "
            f"{account}"
        )
