"""Small pictures of a raster and its superpixels, as PNG: a close-up of a few, and an overview of the whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from superpoint.boundaries import CASING, LINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from superpoint.tiles import Window

    type Picture = NDArray[np.uint8]

CLOSE_UP = 128
"""Side of the pixels that a close-up shows."""
ENLARGEMENT = 2
OVERVIEW = 96
"""Longer side of an overview."""
FRAME = ((1, CASING), (0, LINE))
"""Colour of a frame, by how far it lies outside what it frames."""
FAILED_RGB = (224, 64, 64)
MOST_BYTES = 60_000
_KEPT_BITS = (0xF8, 0xF0, 0xE0)  # noise in the lowest bits is hardly seen, and takes half of a PNG's bytes


def close_up(image: NDArray[np.uint8], labels: NDArray[np.integer]) -> bytes:
    """Draw superpixels of a small window, enlarged twice.

    Each boundary is a yellow line with a dark one beside it: no ground hides both.

    Parameters
    ----------
    image : uint8 array of shape (3, rows, cols)
        Red, green, blue.
    labels : integer array of shape (rows, cols)
        Superpixel ids; where 0, the picture is transparent.

    Returns
    -------
    bytes
        A PNG.
    """
    large = labels.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
    picture = _with_alpha(image, labels != 0)
    picture = picture.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
    below, right = large[1:] != large[:-1], large[:, 1:] != large[:, :-1]
    dark, bright = np.zeros(large.shape, np.bool_), np.zeros(large.shape, np.bool_)
    dark[1:] |= below
    dark[:, 1:] |= right
    bright[:-1] |= below
    bright[:, :-1] |= right
    return _thrifty_png(picture, {CASING: dark, LINE: bright})


def overview(image: NDArray[np.uint8], valid: NDArray[np.bool_], *, shown: Window, failed: Iterable[Window]) -> bytes:
    """Draw a whole raster: where the close-up lies, and which tiles failed.

    Parameters
    ----------
    image : uint8 array of shape (3, rows, cols)
        Red, green, blue.
    valid : bool array of shape (rows, cols)
        Where False, the picture is transparent.
    shown : Window
        What the close-up shows, in pixels of the image.
    failed : iterable of Window
        Tiles that failed, in the same pixels.

    Returns
    -------
    bytes
        A PNG.
    """
    picture = _with_alpha(image, valid)
    for window in failed:
        picture[window.slices] = (*FAILED_RGB, 255)
    frames = {colour: _frame(shown.grown(margin, valid.shape), valid.shape) for margin, colour in FRAME}
    return _thrifty_png(picture, frames)


def busiest_place(usable: NDArray[np.bool_], side: tuple[int, int]) -> tuple[int, int]:
    """Return the centre of the window that holds the most usable pixels; of several, the nearest to the middle.

    Parameters
    ----------
    usable : bool array of shape (rows, cols)
        Pixels that are worth being seen.
    side : tuple of int
        `(rows, cols)` of the window.

    Examples
    --------
    >>> usable = np.zeros((9, 9), bool)
    >>> usable[:4, 5:] = True
    >>> busiest_place(usable, (3, 3))
    (2, 6)
    """
    from scipy.ndimage import uniform_filter

    share = uniform_filter(usable.astype(np.float32), size=side, mode="constant")
    middle = (np.array(usable.shape) - 1)[:, None, None] / 2
    far = np.hypot(*(np.indices(usable.shape) - middle)) / np.hypot(*usable.shape)
    row, col = np.unravel_index(np.argmax(share.round(2) - far / 1000), usable.shape)
    return int(row), int(col)


def _with_alpha(image: NDArray[np.uint8], visible: NDArray[np.bool_]) -> Picture:
    alpha = np.where(visible, 255, 0).astype(np.uint8)[None]
    picture = np.concatenate((image * (alpha > 0), alpha))
    return np.ascontiguousarray(np.moveaxis(picture, 0, -1))  # (row, col, rgba)


def _frame(window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the outermost pixels of a window."""
    inside = np.zeros(shape, np.bool_)
    inside[window.slices] = True
    rows, cols = window.slices
    inside[rows.start + 1 : rows.stop - 1, cols.start + 1 : cols.stop - 1] = False
    return inside


def _rgba(colour: str) -> tuple[int, ...]:
    return (*bytes.fromhex(colour[1:]), 255)


def _thrifty_png(picture: Picture, lines: Mapping[str, NDArray[np.bool_]]) -> bytes:
    """Return a picture with lines on it as a PNG of bounded size."""
    for bits in _KEPT_BITS:
        kept = np.bitwise_and(picture, np.array([bits, bits, bits, 255], np.uint8))
        for colour, where in lines.items():
            kept[where] = _rgba(colour)
        data = _png(kept)
        if len(data) <= MOST_BYTES:
            break
    return data


def _png(picture: Picture) -> bytes:
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, picture, format="png")
    return file.getvalue()
