"""The pictures on the page about a pseudo-mask: the whole in few pixels, and the superpixels that cost most."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from superpoint.boundaries import to_rgb
from superpoint.cache.glimpses import read_glimpse
from superpoint.classes import IGNORE
from superpoint.errors import SuperpointError
from superpoint.inspection.splits import hits_of, truths_of
from superpoint.labels.evidence import Flag
from superpoint.report.labelpictures import (
    ERROR_KINDS,
    NO_DATA_RGB,
    dotted,
    drawing,
    enlargement_of,
    error_picture,
    outlined,
    photograph,
    tinted,
    without_nodata,
)
from superpoint.scaling import Scaling
from superpoint.tiles import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.inspection.census import Census
    from superpoint.inspection.facts import WorstSuperpixel
    from superpoint.pipelines.inspection.samples import Samples
    from superpoint.pipelines.inspection.subjects import Subject
    from superpoint.report.labelpictures import Picture

    type Image = NDArray[np.uint8]

log = logging.getLogger("superpoint")

MARGIN = 0.35
"""Of a superpixel's longer side, shown around it."""
LEAST_PX, MOST_PX = 32, 1024
"""Longer side of what a close-up shows; of larger superpixels only the middle is shown."""
MOST_SEEN = 160
"""Pixels of a close-up along a side, before it is enlarged."""


def overviews_of(
    subject: Subject, samples: Samples, census: Census | None, *, has_truth: bool, prefix: str = ""
) -> list[Picture]:
    """Draw the whole of a pseudo-mask: the image, the labels over it, the truth, and what is right and wrong.

    Parameters
    ----------
    subject : Subject
        The pseudo-mask.
    samples : Samples
        Of it.
    census : Census, optional
        Of its superpixels; without, it cannot be said why pixels are wrong.
    has_truth : bool
        Whether the truth is known.
    prefix : str
        What titles begin with.
    """
    whole = _whole_image(subject, samples)
    image = np.full((*samples.classes.shape, 3), NO_DATA_RGB, np.uint8) if whole is None else whole
    colours = subject.classes.colormap
    found = [] if whole is None else [photograph(f"{prefix}image", whole)]
    found.append(photograph(f"{prefix}pseudo-mask", tinted(image, samples.classes, colours)))
    if has_truth:
        found.append(photograph(f"{prefix}truth", tinted(image, samples.truth, colours)))
        kinds = _kinds(samples, census)
        filled = ", blue filled wrongly" if (kinds == ERROR_KINDS.index("filled_wrongly")).any() else ""
        reasons = f"orange mixed, red wrong vote{filled}" if census else "red wrong"
        found.append(photograph(f"{prefix}green right, {reasons}", error_picture(image, kinds)))
    return found


def _kinds(samples: Samples, census: Census | None) -> NDArray[np.uint8]:
    """Return the kind of each pixel, as places in `ERROR_KINDS`."""
    known = (samples.truth != IGNORE) & (samples.classes != IGNORE)
    wrong = known & (samples.truth != samples.classes)
    kinds = np.zeros(samples.classes.shape, np.uint8)
    kinds[known] = ERROR_KINDS.index("correct")
    kinds[wrong] = ERROR_KINDS.index("wrong_vote")
    if census is not None and wrong.any():
        kinds[wrong] = _reasons(census)[census.places_of(samples.labels[wrong])]
    return kinds


def _reasons(census: Census) -> NDArray[np.uint8]:
    """Return why what is wrong in each superpixel is wrong, as places in `ERROR_KINDS`."""
    is_best = hits_of(census, census.classes) == truths_of(census).most
    given = np.where(
        census.flags & Flag.FILLED > 0, ERROR_KINDS.index("filled_wrongly"), ERROR_KINDS.index("wrong_vote")
    )
    return np.where(is_best, ERROR_KINDS.index("mixed"), given).astype(np.uint8)


def _whole_image(subject: Subject, samples: Samples) -> Image | None:
    """Return the image in the pixels of the samples; None where it cannot be had cheaply."""
    shape, raster = samples.classes.shape, subject.raster()
    glimpse = raster and read_glimpse(raster, max(shape))
    if not glimpse:
        return None
    picture = without_nodata(_colours(subject, glimpse[0], glimpse[1]), glimpse[1])
    if picture.shape[:2] == shape:
        return picture
    rows, cols = (np.arange(n) * there // n for n, there in zip(shape, picture.shape[:2], strict=True))
    return picture[np.ix_(rows, cols)]


def close_up_of(subject: Subject, truth: Mask | None, worst: WorstSuperpixel) -> list[Picture]:
    """Draw a superpixel: the image with the points, the labels, and the truth; nothing if that cannot be read.

    Parameters
    ----------
    subject : Subject
        The pseudo-mask.
    truth : Mask, optional
        What is true.
    worst : WorstSuperpixel
        The superpixel.
    """
    try:
        return _draw(subject, truth, worst)
    except Exception:  # of a damaged chunk, what its codec raises; a page does without a picture
        log.debug("no picture of superpixel %d of %s", worst.superpixel, subject.name, exc_info=True)
        return []


def _draw(subject: Subject, truth: Mask | None, worst: WorstSuperpixel) -> list[Picture]:
    window = _window_around(worst, subject.georeference.shape)
    step = -(-max(window.shape) // MOST_SEEN)
    every = np.s_[::step, ::step]
    if subject.label_map is None:
        return []
    inside = subject.label_map.read("labels", window)[every] == worst.superpixel
    image = _image_in(subject, subject.raster(), window)[every]
    times, colours = enlargement_of(inside.shape), subject.classes.colormap
    plain = outlined(image, inside, times)
    if subject.points is not None:
        rows, cols, values = subject.points.within(window)
        table = np.array([colours[value] for value in range(len(colours))], np.uint8)
        middle = times // 2
        plain = dotted(plain, rows // step * times + middle, cols // step * times + middle, table[values])
    found = [drawing(f"image around superpixel {worst.superpixel}, with the points", plain)]
    masks = {"pseudo-mask": subject.read_classes(window)} | ({"truth": truth.read(window)} if truth else {})
    for title, mask in masks.items():
        over = outlined(tinted(image, mask[every], colours), inside, times)
        found.append(drawing(f"{title} around superpixel {worst.superpixel}", over))
    return found


def _window_around(worst: WorstSuperpixel, whole: tuple[int, int]) -> Window:
    first_row, first_col, last_row, last_col = worst.box
    sides = last_row - first_row + 1, last_col - first_col + 1
    side = int(np.clip(max(sides) * (1 + 2 * MARGIN), LEAST_PX, MOST_PX))
    starts, extents = [], []
    for first, last, n in zip((first_row, first_col), (last_row, last_col), whole, strict=True):
        extents.append(min(side, n))
        starts.append(int(np.clip((first + last + 1 - extents[-1]) // 2, 0, n - extents[-1])))
    return Window(row=starts[0], col=starts[1], n_rows=extents[0], n_cols=extents[1])


def _image_in(subject: Subject, raster: Raster | None, window: Window) -> Image:
    """Read a window of the image; plain grey if that cannot be done."""
    if raster is not None:
        try:
            image, valid = raster.read(window)
        except SuperpointError:
            pass
        else:
            return without_nodata(_colours(subject, image, valid), valid)
    return np.full((*window.shape, 3), NO_DATA_RGB, np.uint8)


def _colours(subject: Subject, image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    scaling = subject.provenance["label_map"]["scaling"]
    low, high = (tuple(scaling[end][: len(image)]) for end in ("low", "high"))
    return to_rgb(Scaling(low=low, high=high).apply(image, valid))
