"""Which superpixels are worth looking at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE
from superpoint.inspection.census import RASTER_BITS
from superpoint.inspection.facts import WorstSuperpixel
from superpoint.inspection.splits import hits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from superpoint.inspection.census import Census
    from superpoint.inspection.splits import Truths

    type Longs = NDArray[np.int64]

UNLABELLED = "unlabelled"


def worst_of(census: Census, truths: Truths | None, names: Sequence[str], *, n: int) -> list[WorstSuperpixel]:
    """Return the superpixels that cost most, the worst first; of equals the one of the lowest id.

    With a truth: labelled ones by wrong pixels, those without any left out. Without: those with points by the pixels
    that their votes disagree over, area x (1 - vote share), then by the pixels that each vote decides over, area /
    votes.

    Parameters
    ----------
    census : Census
        Superpixels with their labels.
    truths : Truths, optional
        Of the same.
    names : sequence of str
        Of the classes, in the order of their values.
    n : int
        How many, at most.
    """
    wrong = None if truths is None else truths.known - hits_of(census, census.classes)
    order = _by_votes(census) if wrong is None else _by_errors(census, wrong)
    return [_facts(census, truths, wrong, names, at) for at in order[:n].tolist()]


def _by_errors(census: Census, wrong: Longs) -> Longs:
    costly = np.flatnonzero((census.classes != IGNORE) & (wrong > 0))
    return costly[np.argsort(-wrong[costly], kind="stable")]


def _by_votes(census: Census) -> Longs:
    voted = np.flatnonzero(census.votes > 0)
    areas, votes = census.areas[voted], census.votes[voted]
    disputed = np.rint(areas * (1 - census.shares[voted].astype(np.float64)))
    return voted[np.lexsort((-areas / votes, -disputed))]


def _facts(
    census: Census, truths: Truths | None, wrong: Longs | None, names: Sequence[str], at: int
) -> WorstSuperpixel:
    number, superpixel = divmod(int(census.superpixels[at]), 1 << RASTER_BITS)
    first_row, first_col, last_row, last_col = census.boxes[at].tolist()
    is_known = truths is not None and truths.known[at] > 0
    return WorstSuperpixel(
        raster=number,
        superpixel=superpixel,
        box=(first_row, first_col, last_row, last_col),
        pixels=int(census.areas[at]),
        label=_name(names, int(census.classes[at])),
        votes=int(census.votes[at]),
        share=round(float(census.shares[at]), 4),
        true_class=_name(names, int(truths.majority[at])) if truths is not None and is_known else None,
        purity=float(truths.purity[at]) if truths is not None and is_known else None,
        wrong_pixels=None if wrong is None else int(wrong[at]),
    )


def _name(names: Sequence[str], value: int) -> str:
    return names[value] if value < len(names) else UNLABELLED
