"""Pictures of a pseudo-mask: the whole, in few pixels, and single superpixels with their points and their truth."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.boundaries import CASING, LINE
from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    type Image = NDArray[np.uint8]

    type Colours = Mapping[int, tuple[int, int, int]]

STRENGTH = 0.62
"""Of a class's colour over the image."""
NO_DATA_RGB = (128, 128, 128)
ERROR_RGB = {
    "correct": (60, 160, 90), "mixed": (217, 127, 38), "wrong_vote": (194, 52, 52), "filled_wrongly": (47, 111, 176),
}  # fmt: skip
ERROR_KINDS = ("not_covered", "correct", "mixed", "wrong_vote", "filled_wrongly")
"""What the numbers of a picture of errors mean."""
SHOWN_PX = 240
"""Longer side of a close-up, about."""
DOT = 1 / 44
"""Radius of a point on a close-up, of the longer side."""
RING_RGB = ((16, 16, 16), (255, 255, 255))
"""Of the rings around a point: no ground hides both."""
JPEG_QUALITY = 82


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a page."""

    title: str
    data: bytes
    kind: str
    """Its media type."""
    size: tuple[int, int]
    """`(rows, cols)` in pixels."""


def photograph(title: str, image: Image) -> Picture:
    """Return an image (rows, cols, 3) as it is, compressed as photographs are."""
    return Picture(title=title, data=_encoded(image, "jpeg"), kind="image/jpeg", size=image.shape[:2])


def drawing(title: str, image: Image) -> Picture:
    """Return an image (rows, cols, 3) to the pixel."""
    return Picture(title=title, data=_encoded(image, "png"), kind="image/png", size=image.shape[:2])


def tinted(image: Image, values: NDArray[np.uint8], colours: Colours) -> Image:
    """Return an image with classes over it in their colours.

    Parameters
    ----------
    image : uint8 array of shape (rows, cols, 3)
        What lies below; made grey.
    values : uint8 array of shape (rows, cols)
        A class value for each pixel; the image stays, paler, where it has no colour.
    colours : mapping of int to (int, int, int)
        Red, green, blue of each class.
    """
    table = np.zeros((IGNORE + 1, 3), np.float32)
    known = np.zeros(IGNORE + 1, np.bool_)
    for value, colour in colours.items():
        table[value], known[value] = colour, True
    grey = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    strength = np.where(known[values], STRENGTH, 0.0)[..., None]
    pale = np.where(known[values][..., None], grey, 0.5 * grey + 110)
    return np.rint((1 - strength) * pale + strength * table[values]).astype(np.uint8)


def error_picture(image: Image, kinds: NDArray[np.uint8]) -> Image:
    """Return an image with what is right and wrong over it; `kinds` holds places in `ERROR_KINDS`."""
    colours = {ERROR_KINDS.index(kind): colour for kind, colour in ERROR_RGB.items()}
    return tinted(image, np.where(kinds == 0, IGNORE, kinds).astype(np.uint8), colours)


def without_nodata(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Image:
    """Return an image (3, rows, cols) as (rows, cols, 3), plain grey where it has no data."""
    picture = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    picture[~valid] = NO_DATA_RGB
    return picture


def enlargement_of(shape: tuple[int, int]) -> int:
    """Return how many times a close-up of some rows and cols is enlarged."""
    return max(1, round(SHOWN_PX / max(shape)))


def outlined(picture: Image, inside: NDArray[np.bool_], times: int) -> Image:
    """Enlarge a picture, and draw the outline of a superpixel in it: yellow, with a dark line around it.

    Parameters
    ----------
    picture : uint8 array of shape (rows, cols, 3)
        The picture.
    inside : bool array of shape (rows, cols)
        Pixels of the superpixel.
    times : int
        Pixels drawn for each pixel, along a side.
    """
    from scipy.ndimage import binary_dilation

    large = picture.repeat(times, axis=0).repeat(times, axis=1)
    within = inside.repeat(times, axis=0).repeat(times, axis=1)
    line = binary_dilation(within, iterations=1) & ~within
    casing = binary_dilation(within, iterations=3) & ~within & ~line
    large[casing] = _rgb(CASING)
    large[line | (binary_dilation(line) & within)] = _rgb(LINE)
    return large


def dotted(picture: Image, rows: NDArray[np.integer], cols: NDArray[np.integer], colours: NDArray[np.uint8]) -> Image:
    """Draw points as dots with a white and a dark ring.

    Parameters
    ----------
    picture : uint8 array of shape (rows, cols, 3)
        The picture; a copy is drawn on.
    rows, cols : integer arrays of shape (points,)
        Pixels of it.
    colours : uint8 array of shape (points, 3)
        Red, green, blue of each.
    """
    drawn = picture.copy()
    n_rows, n_cols = drawn.shape[:2]
    radius = max(3, round(DOT * max(n_rows, n_cols)))
    rings = ((radius + 2, RING_RGB[0]), (radius + 1, RING_RGB[1]))
    down, across = np.mgrid[-radius - 2 : radius + 3, -radius - 2 : radius + 3]
    far = np.hypot(down, across)
    for row, col, colour in zip(rows.tolist(), cols.tolist(), colours.tolist(), strict=True):
        for reach, ring in (*rings, (radius - 0.5, colour)):
            places = (down[far <= reach] + row, across[far <= reach] + col)
            seen = (places[0] >= 0) & (places[0] < n_rows) & (places[1] >= 0) & (places[1] < n_cols)
            drawn[places[0][seen], places[1][seen]] = ring
    return drawn


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _encoded(image: Image, form: str) -> bytes:
    from matplotlib.image import imsave

    file = io.BytesIO()
    quality = {"quality": JPEG_QUALITY} if form == "jpeg" else None
    imsave(file, np.ascontiguousarray(image), format=form, pil_kwargs=quality)
    return file.getvalue()
