"""The maps on the page about an experiment: a few test rasters with their truth, and what two networks made of them.

Which rasters is not picked by hand: the first ones, in the order of their names. Of the repeats of a combination the
one whose score is nearest to their mean is shown.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.boundaries import to_rgb
from superpoint.cache.glimpses import read_glimpse
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.views import View, read_mask_view
from superpoint.classes import ClassTable
from superpoint.errors import SuperpointError
from superpoint.experiments.scores import share_text
from superpoint.overview import paint_mask
from superpoint.report.experimentpage import Example, Shown
from superpoint.report.labelpictures import without_nodata
from superpoint.scaling import PERCENTILES, Scaling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.experiments.findings import Findings
    from superpoint.experiments.results import Combination, GridCell
    from superpoint.pipelines.experimentresults import Kept

log = logging.getLogger("superpoint")

LONG_SIDE = 320
"""Of a picture, pixels."""
MOST_PIXELS = 2**27
"""Of a mask that is read for a picture: all of it is."""


@dataclass(frozen=True, kw_only=True)
class JudgedMap:
    """A map of a test raster, as its cell's document has it."""

    raster: str
    output: str
    truth: str | None
    miou: float | None


def examples_of(kept: Kept, findings: Findings, *, most: int) -> tuple[list[Example], str]:
    """Return the maps of the first test rasters, and what is said above them; nothing where no maps are kept.

    Parameters
    ----------
    kept : Kept
        The experiment.
    findings : Findings
        What is best in it.
    most : int
        How many rasters.
    """
    chosen = {title: (one, _typical(one, findings)) for title, one in _combinations(findings).items()}
    maps = {title: _maps(kept, cell) for title, (_, cell) in chosen.items()}
    rasters = sorted({raster for own in maps.values() for raster in own})
    if not rasters or not most:
        return [], ""
    names = {title: f"{title}: {_named(findings, one, cell)}" for title, (one, cell) in chosen.items()}
    titles = distinct_names(rasters)
    found = [
        _example(kept, raster, titles[raster], {names[title]: own.get(raster) for title, own in maps.items()})
        for raster in rasters[:most]
    ]
    which = f"the first {len(found)} of {len(rasters)} test rasters" if len(rasters) > most else "all test rasters"
    note = f"Shown are {which}, in the order of their names; of the repeats, the one nearest to the mean."
    return found, note


def distinct_names(rasters: Sequence[str]) -> dict[str, str]:
    """Return the name of each raster, with as many folders before it as tell them apart.

    Examples
    --------
    >>> distinct_names(["in/tile 1/a.png", "in/tile 2/a.png"])
    {'in/tile 1/a.png': 'tile 1/a.png', 'in/tile 2/a.png': 'tile 2/a.png'}
    """
    parts = [PurePosixPath(raster).parts for raster in rasters]
    deepest = max(map(len, parts), default=1)
    by_depth = (["/".join(own[-depth:]) for own in parts] for depth in range(1, deepest))
    names = next((names for names in by_depth if len(set(names)) == len(set(rasters))), rasters)
    return dict(zip(rasters, names, strict=True))


def _combinations(findings: Findings) -> dict[str, Combination]:
    """Return what is compared: the best against the reference, or without one against the worst."""
    own = [one.combination for one in findings.ranking if not findings.is_reference(one.combination)]
    references = [one.combination for one in findings.ranking if findings.is_reference(one.combination)]
    if not own:
        return {"reference": references[0]} if references else {}
    against = findings.results.reference_of(own[0], findings.question.reference) if references else None
    if references:
        return {"best": own[0], "reference": against if against in references else references[0]}
    return {"best": own[0]} | ({"worst": own[-1]} if len(own) > 1 else {})


def _typical(combination: Combination, findings: Findings) -> GridCell | None:
    values = combination.values(findings.metric.name)
    far = np.abs(values - np.nanmean(values))
    return combination.cells[int(np.nanargmin(far))]


def _named(findings: Findings, combination: Combination, cell: GridCell | None) -> str:
    repeats = findings.results.repeats
    again = f", {repeats.with_name(cell.at[repeats.name])}" if repeats and cell else ""
    return findings.name_of(combination) + again


def _maps(kept: Kept, cell: GridCell | None) -> dict[str, JudgedMap]:
    """Return the maps of a cell by their rasters."""
    results = kept.cell(cell.name).get("results", {}) if cell else {}
    judged = results.get("evaluate") or {}
    rows = {row["map"]: row for row in judged.get("rasters", ())}
    truths = dict(zip(judged.get("maps", ()), judged.get("truths", ()), strict=False))
    return {
        made["raster"]: JudgedMap(
            raster=made["raster"],
            output=made["output"],
            truth=rows.get(made["output"], {}).get("truth") or truths.get(made["output"]),
            miou=rows.get(made["output"], {}).get("miou"),
        )
        for made in results.get("predict") or ()
    }


def _example(kept: Kept, raster: str, name: str, maps: Mapping[str, JudgedMap | None]) -> Example:
    pictures, notes = [], []
    for title, draw in _drawings(kept, raster, maps):
        try:
            pictures.append(draw())
        except (SuperpointError, OSError, ValueError) as error:
            log.debug("no picture of %s", title, exc_info=True)
            notes.append(f"{title} cannot be shown: {error}.")
    return Example(title=name, pictures=pictures, note=" ".join(notes))


def _drawings(kept: Kept, raster: str, maps: Mapping[str, JudgedMap | None]) -> Iterator[tuple[str, Any]]:
    """Yield the title of each picture, and what draws it."""
    yield "image", lambda: _photograph(_found(kept, raster))
    known = [one for one in maps.values() if one is not None]
    truth = next((one for one in known if one.truth), None)
    if truth is not None:
        yield "truth", lambda: _class_map("truth", _found(kept, truth.truth or ""), _table(kept, truth))
    for title, one in maps.items():
        if one is not None:
            miou = "" if one.miou is None else f", mIoU {share_text(one.miou)} here"
            place = _found(kept, one.output)
            yield title, lambda title=f"{title}{miou}", place=place: _class_map(title, place, None)


def _found(kept: Kept, place: str) -> Path:
    """Return where a file is: as it was written, or where the folder of the experiment has been moved to."""
    path = Path(place)
    if path.exists() or "stages" not in path.parts:
        return path if path.is_absolute() or path.exists() else kept.folder / path
    return kept.folder.joinpath(*path.parts[path.parts.index("stages") :])


def _table(kept: Kept, one: JudgedMap) -> ClassTable:
    """Return the classes of a map, which say what the truth leaves out; without it those of the experiment."""
    try:
        return open_mask(_found(kept, one.output)).classes
    except SuperpointError:
        rows = enumerate(kept.results.class_colours.items())
        return ClassTable.from_dict({"class": [{"name": n, "value": v, "color": c} for v, (n, c) in rows]})


def _photograph(path: Path) -> Shown:
    raster = open_raster(path)
    glimpse = read_glimpse(raster, LONG_SIDE)
    if glimpse is None:
        raise ValueError("it is large and has no overviews")
    image, valid = glimpse
    pixels = without_nodata(to_rgb(_scaling(image, valid, raster.dtype).apply(image, valid)), valid)
    return Shown(title="image", pixels=pixels, is_photograph=True)


def _scaling(image: NDArray[np.float32], valid: NDArray[np.bool_], dtype: str) -> Scaling:
    """Return what shows an image: bytes as they are, all else between its percentiles."""
    if dtype == "uint8" or not valid.any():
        return Scaling(low=(0.0,) * len(image), high=(255.0,) * len(image))
    low, high = np.percentile(image[:, valid], PERCENTILES, axis=1)
    return Scaling(low=tuple(low.tolist()), high=tuple(high.tolist()))


def _class_map(title: str, path: Path, classes: ClassTable | None) -> Shown:
    mask = open_mask(path, classes)
    if mask.shape[0] * mask.shape[1] > MOST_PIXELS:
        raise ValueError("it is too large to be read for a picture")
    values = read_mask_view(mask, View.of(mask.shape, long_side=LONG_SIDE))
    return Shown(title=title, pixels=paint_mask(values, mask.classes))
