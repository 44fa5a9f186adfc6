"""A look at pseudo-masks before anything is trained on them: numbers, and a page that shows them."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from superpoint.cache.masks import open_mask
from superpoint.cache.stores import as_store
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.inspection.counts import pooled
from superpoint.inspection.facts import Inspection, MaskFacts
from superpoint.inspection.findings import inspection_of
from superpoint.pipelines.inspection.counts import count_subject
from superpoint.pipelines.inspection.origins import origins_of, twice_counted
from superpoint.pipelines.inspection.pictures import close_up_of, overviews_of
from superpoint.pipelines.inspection.subjects import find_subject
from superpoint.report.labelpage import TITLE, LabelPage, label_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.masks import Mask
    from superpoint.inspection.counts import Counts
    from superpoint.pipelines.inspection.samples import Samples
    from superpoint.pipelines.inspection.subjects import Subject
    from superpoint.pipelines.settings import InspectSettings

log = logging.getLogger("superpoint")

MOST_OVERVIEWS = 4
"""Pseudo-masks that are shown as a whole."""
N_WORST = 50
"""Superpixels that are listed as the worst, at least."""


def inspect(settings: InspectSettings) -> Inspection:
    """Say what there is to say of pseudo-masks, and write it as a page.

    Parameters
    ----------
    settings : InspectSettings
        See the fields. Several pseudo-masks are pooled as if they were one, and listed each by itself.

    Returns
    -------
    Inspection
        The numbers on the page.

    Raises
    ------
    InputError
        If a pseudo-mask or truth cannot be used, or the page cannot be written.
    """
    table = read_class_table(settings.classes) if settings.classes else None
    subjects = [find_subject(place, settings.cache, table) for place in settings.pseudo_masks]
    _refuse_other_classes(subjects)
    if twice := twice_counted(subjects):
        log.warning("%s", twice)
    output = settings.output or Path(f"{subjects[0].name}.inspect.html")
    _refuse_other_file(output, overwrite=settings.overwrite)
    truths = (open_mask(path, table or subjects[0].classes) for path in settings.truth)
    pairs = list(zip_longest(subjects, truths))
    counted = [count_subject(subject, truth) for subject, truth in pairs]
    parts = [counts for counts, _ in counted]
    found = inspection_of(pooled(parts), n_worst=max(settings.pictures, N_WORST))
    found = replace(
        found,
        pseudo_masks=[_row(subject, truth, counts) for (subject, truth), counts in zip(pairs, parts, strict=True)],
        missing=[*found.missing, *(_no_raster(subject) for subject in subjects if subject.raster() is None)],
        output=str(output),
    )
    page = _page_of(pairs, found, counted, n_pictures=settings.pictures)
    as_store(output.absolute().parent).write(output.name, label_page(page).encode())
    return found


def _page_of(
    pairs: Sequence[tuple[Subject, Mask | None]],
    found: Inspection,
    counted: Sequence[tuple[Counts, Samples]],
    *,
    n_pictures: int,
) -> LabelPage:
    subject, several = pairs[0][0], len(pairs) > 1
    overviews = [
        picture
        for (one, truth), (counts, samples) in list(zip(pairs, counted, strict=True))[:MOST_OVERVIEWS]
        for picture in overviews_of(
            one, samples, counts.census, has_truth=truth is not None, prefix=f"{one.name}: " if several else ""
        )
    ]
    shown_worst = found.worst[:n_pictures]
    return LabelPage(
        inspection=replace(found, worst=shown_worst) if n_pictures else found,
        title=f"{len(pairs)} pseudo-masks" if several else subject.name,
        facts=origins_of(pairs),
        colours={one.name: one.color for one in subject.classes.classes},
        made=time.time(),
        overviews=overviews,
        overview_note=f"The first {MOST_OVERVIEWS} of {len(pairs)}." if len(pairs) > MOST_OVERVIEWS else "",
        close_ups=[close_up_of(*pairs[worst.raster], worst) for worst in shown_worst],
    )


def _row(subject: Subject, truth: Mask | None, counts: Counts) -> MaskFacts:
    own = inspection_of(counts, n_worst=0)
    return MaskFacts(
        name=subject.name,
        path=subject.path,
        truth=truth.path if truth else None,
        coverage=own.coverage,
        labelled_superpixels=own.superpixels.labelled if own.superpixels else None,
        points=sum(own.points.values()),
        accuracy=own.accuracy,
        oracle_miou=own.oracle_miou,
        wrong_vote=own.errors.get("wrong_vote"),
        mixed=own.errors.get("mixed"),
        filled_wrongly=own.errors.get("filled_wrongly"),
    )


def _no_raster(subject: Subject) -> str:
    return f"{subject.name} was made from a raster that is not there any more: pictures are on plain grey."


def _refuse_other_classes(subjects: Sequence[Subject]) -> None:
    for subject in subjects[1:]:
        if subject.classes.names != subjects[0].classes.names:
            raise InputError(
                f"{subject.path} has the classes {', '.join(subject.classes.names)} and {subjects[0].path} "
                f"{', '.join(subjects[0].classes.names)}; inspect them one by one"
            )


def _refuse_other_file(output: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is no page of ours."""
    if output.is_dir():
        raise InputError(f"{output} is a folder; give the name of a file with --output")
    if output.exists() and not overwrite and f"<title>{TITLE} ".encode() not in output.read_bytes()[:2000]:
        raise InputError(f"{output} exists already; give --overwrite to replace it, or another --output")
