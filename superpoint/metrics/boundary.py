"""Boundary IoU: how well a map follows the outlines of each class.

Cheng, Girshick, Dollár, Berg and Kirillov (2021), "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", doi:10.1109/CVPR46437.2021.01508: of each class, only the pixels within `width` of its outline count, in
the truth as in the map, and the score is the IoU of the two bands. A band keeps its width however large the object is,
so a blurred outline of a large field costs as much as it does of a small one.

Distance is that of the authors' code, steps to any of the eight neighbours: the pixels that `width` erosions by a
square of 3 x 3 take away. Two things are decided here. Where the truth is unlabelled nobody knows of an outline:
neither a pixel there nor the border to it counts, whatever the map says. And the edge of the raster is none: classes
go on beyond it (the authors' code takes it for one, as an object of a photograph ends there).

A pixel is in its class's band exactly if the window of `2 width + 1` around it holds another class, so the highest
and the lowest value in the window tell it for all classes at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from superpoint.classes import IGNORE
from superpoint.metrics.counts import ClassCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE_OF_DIAGONAL = 0.02
"""Width of the band over the diagonal of the raster (Cheng et al. 2021, their choice for photographs)."""
MOST_DEFAULT_PX = 256
"""The default width of large rasters: what is read around a block and held in memory is bounded by it."""


def default_width(shape: tuple[int, int]) -> int:
    """Return the width of the band: 2 % of the diagonal, at least 1 and at most 256 pixels.

    Parameters
    ----------
    shape : (int, int)
        Rows and cols of the raster.

    Examples
    --------
    >>> default_width((300, 400)), default_width((100_000, 100_000))
    (10, 256)
    """
    return min(max(1, round(SHARE_OF_DIAGONAL * math.hypot(*shape))), MOST_DEFAULT_PX)


def boundary_counts(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    n_classes: int,
    *,
    width: int,
    core: tuple[slice, slice] = (slice(None), slice(None)),
    ignore: int = IGNORE,
) -> ClassCounts:
    """Count the pixels along the outlines of each class: in the truth, in the map, and in both.

    `iou` of the result is the boundary IoU of each class, and `miou` their mean. Counts of tiles that read `width`
    pixels around their cores add up to those of the whole raster.

    Parameters
    ----------
    truth : integer array of shape (rows, cols)
        Class values from 0; pixels with `ignore` are left out.
    predicted : integer array of shape (rows, cols)
        Class values; anything else, `ignore` included, is no class, and an outline to those that are one.
    n_classes : int
        Number of classes.
    width : int
        How far from an outline pixels count, at least 1.
    core : (slice, slice)
        The pixels that are counted; those around them only tell where outlines are.
    ignore : int
        The value of an unlabelled pixel.

    Raises
    ------
    ValueError
        If the shapes differ, or the width is less than 1.

    Examples
    --------
    >>> truth, predicted = np.array([[0, 0, 0, 0, 1, 1, 1]]), np.array([[0, 0, 0, 1, 1, 1, 1]])
    >>> boundary_counts(truth, predicted, 2, width=2).iou
    array([0.33333333, 0.33333333])
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth and prediction differ in shape: {truth.shape} and {predicted.shape}")
    if width < 1:
        raise ValueError(f"a band along an outline is at least 1 pixel wide, got {width}")
    is_known, is_class = truth != ignore, (predicted >= 0) & (predicted < n_classes)
    true = _counted_from_1(truth, is_known, n_classes)
    guess = _counted_from_1(np.where(is_class, predicted, n_classes), is_known, n_classes)
    true_band, guess_band = (_band(values, width)[core] for values in (true, guess))
    true, guess = true[core], guess[core]
    return ClassCounts(
        both=_of_each(true[true_band & guess_band & (true == guess)], n_classes),
        true=_of_each(true[true_band], n_classes),
        predicted=_of_each(guess[guess_band], n_classes),
    )


def _counted_from_1(values: NDArray[np.integer], is_known: NDArray[np.bool_], n_classes: int) -> NDArray[np.integer]:
    """Return 0 where the truth is unlabelled, else 1 for the first class, and so on to "none of the classes"."""
    small = values.astype(np.min_scalar_type(n_classes + 1))
    counted: NDArray[np.integer] = np.where(is_known, small + small.dtype.type(1), small.dtype.type(0))
    return counted


def _band(values: NDArray[np.integer], width: int) -> NDArray[np.bool_]:
    """Return which pixels, 0 aside, have a value other than theirs and 0 within the width."""
    # "nearest" repeats pixels that the window holds already: nothing comes from beyond the edge.
    size = 2 * width + 1
    highest = maximum_filter(values, size, mode="nearest")
    lowest = minimum_filter(np.where(values == 0, np.iinfo(values.dtype).max, values), size, mode="nearest")
    band: NDArray[np.bool_] = (values != 0) & ((highest != values) | (lowest != values))
    return band


def _of_each(values: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Count each class of values that begin with 1; "none of the classes" is not counted."""
    return np.bincount(values, minlength=n_classes + 2)[1 : n_classes + 1]
