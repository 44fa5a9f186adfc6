"""The polygons of superpixels, from the corners of their outlines.

Where an outline turns depends on the four pixels around a grid point and on nothing else. So the corners of a raster
are those of its tiles, found with the one row and column of pixels before each tile, in whatever tiles it is cut; and
as an outline of pixels runs along rows and columns, its corners alone say how it goes: along every row and column of
grid points they are joined two by two. Nothing has to be united, and there is no seam to remove.

Where two pixels of a superpixel touch only at a corner, the outline turns around the pixels between them. As a
superpixel is 4-connected, one of those lies in a hole of it, and so every ring is simple and every polygon valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Longs = NDArray[np.int64]

# A corner is two integers: the id, and from the highest bit the row (29 bits), the column (29), and the flags.
_BITS = 29
_MASK = 2**_BITS - 1
_RIGHT, _DOWN, _CONVEX = 4, 2, 1  # the outline goes right, not left, and down, not up; it goes around a pixel of its id
_FLAGS = 3
MAX_SIDE = 2**_BITS - 1
"""Pixels along a side of the largest raster."""


class Outlines(NamedTuple):
    """Polygons in pixels, as ragged arrays."""

    ids: NDArray[np.uint32]
    """Id of each polygon, ascending."""
    vertices: NDArray[np.int64]
    """`(vertices, 2)`: row and column of the pixel whose upper left corner it is; a ring's last is its first."""
    rings: NDArray[np.int64]
    """First vertex of each ring, and the number of vertices."""
    polygons: NDArray[np.int64]
    """First ring of each polygon, its exterior, and the number of rings."""


def find_corners(labels: NDArray[np.uint32], *, row: int, col: int) -> NDArray[np.int64]:
    """Find where the outlines of superpixels turn.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        Superpixel ids, 0 on nodata and outside the raster. The grid points between its pixels are looked at, not
        those on its edges: a tile comes with the row above it and the column to the left of it, and the last of a
        row or column of tiles with one of zeros after it.
    row, col : int
        Of the first pixel in the raster, -1 for the row or column before the raster.

    Returns
    -------
    int64 array of shape (corners, 2)
        The id and the place of each, in raster order. Arrays of several tiles are concatenated before `trace`.

    Examples
    --------
    >>> len(find_corners(np.array([[0, 0, 0, 0], [0, 7, 7, 0], [0, 0, 0, 0]], np.uint32), row=-1, col=-1))
    4
    """
    return _find_corners(labels, row, col)


def trace(corners: NDArray[np.int64], *, clockwise: bool = False) -> Outlines:
    """Make polygons of the corners of whole superpixels.

    Parameters
    ----------
    corners : int64 array of shape (corners, 2)
        All corners of each superpixel, in any order.
    clockwise : bool
        Whether exteriors go clockwise as seen with the first row on top and the first column on the left; holes go
        the other way.

    Returns
    -------
    Outlines
        Without vertices on straight lines. Rings begin at their first corner in raster order and a polygon's holes
        are in the order of those, whatever the order of the corners.

    Raises
    ------
    ValueError
        If a superpixel is not one 4-connected region, or some of its corners are missing.

    Examples
    --------
    >>> labels = np.array([[0, 0, 0, 0], [0, 7, 7, 0], [0, 0, 0, 0]], np.uint32)
    >>> trace(find_corners(labels, row=-1, col=-1), clockwise=True).vertices.tolist()
    [[0, 0], [0, 2], [1, 2], [1, 0], [0, 0]]
    """
    grouped = corners[np.argsort(corners[:, 0], kind="stable")]
    firsts = np.flatnonzero(np.diff(grouped[:, 0], prepend=-1))
    ids = grouped[firsts, 0].astype(np.uint32)
    vertices, rings, polygons = _trace(grouped[:, 1].copy(), np.append(firsts, len(grouped)), clockwise)
    if len(polygons) <= len(ids):
        raise ValueError(f"superpixel {ids[len(polygons) - 1]} is not one 4-connected region")
    return Outlines(ids, vertices, rings, polygons)


def ellipsoid_areas(
    outlines: Outlines,
    longitudes: NDArray[np.float64],
    latitudes: NDArray[np.float64],
    *,
    radius: float,
    eccentricity2: float,
) -> NDArray[np.float64]:
    """Return the areas of polygons whose edges are straight in longitude and latitude.

    The edges of pixels are: a row of them lies between two parallels, which are no geodesics. So the areas of
    superpixels add up to that of the raster, however wide its pixels.

    Parameters
    ----------
    outlines : Outlines
        The polygons.
    longitudes, latitudes : float64 array of shape (vertices,)
        Place of each vertex in radians.
    radius : float
        Equatorial radius of the ellipsoid in metres.
    eccentricity2 : float
        Its eccentricity squared, 0 for a sphere.

    Returns
    -------
    float64 array of shape (polygons,)
        Square metres.

    References
    ----------
    Snyder (1987), "Map projections: a working manual", eq. 3-12, doi:10.3133/pp1395: the area between the equator and
    a parallel.

    Examples
    --------
    >>> world = trace(find_corners(np.pad(np.ones((1, 1), np.uint32), 1), row=-1, col=-1), clockwise=True)
    >>> rows, cols = world.vertices.T
    >>> area = ellipsoid_areas(world, 2 * np.pi * cols, np.pi * (0.5 - rows), radius=1, eccentricity2=0)
    >>> np.round(area / np.pi, 6).tolist()
    [4.0]
    """

    def below(latitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        sine, e = np.sin(latitudes), np.sqrt(eccentricity2)
        part = np.arctanh(e * sine) / e if e else sine
        return radius**2 / 2 * (1 - eccentricity2) * (sine / (1 - eccentricity2 * sine**2) + part)

    # Green's theorem. On an edge that is no parallel the middle counts four times (Simpson).
    heights = below(latitudes)
    mean = (heights[:-1] + heights[1:] + 4 * below((latitudes[:-1] + latitudes[1:]) / 2)) / 6
    strips = np.append(mean * np.diff(longitudes), 0)
    strips[outlines.rings[1:] - 1] = 0  # from a ring's end to the next ring is no edge
    return np.abs(np.add.reduceat(strips, outlines.rings[outlines.polygons[:-1]]))


@njit(cache=True, nogil=True)
def _find_corners(labels: NDArray[np.uint32], first_row: int, first_col: int) -> Longs:
    found = np.empty((4096, 2), np.int64)
    count = 0
    for row in range(1, labels.shape[0]):
        for col in range(1, labels.shape[1]):
            a, b = labels[row - 1, col - 1], labels[row - 1, col]
            c, d = labels[row, col - 1], labels[row, col]
            if (a == b and c == d) or (a == c and b == d):
                continue
            if count + 4 > len(found):
                found = np.concatenate((found, np.empty_like(found)))
            place = ((first_row + row) << (_BITS + _FLAGS)) | ((first_col + col) << _FLAGS)
            count = _turn(found, count, place, a, b, c, d)
            count = _turn(found, count, place | _RIGHT, b, a, d, c)
            count = _turn(found, count, place | _DOWN, c, d, a, b)
            count = _turn(found, count, place | _RIGHT | _DOWN, d, c, b, a)
    return found[:count]


@njit(cache=True, nogil=True)
def _turn(found: Longs, count: int, place: int, label: int, beside: int, over: int, across: int) -> int:
    """Add the corners whose two edges are those of one of the four pixels, and return how many there are then.

    `beside`, `over` and `across` are its neighbours in its row, in its column, and on the diagonal.
    """
    if label != 0 and label != beside and label != over and label != across:  # noqa: PLR1714  # Numba: one type
        found[count, 0], found[count, 1] = label, place | _CONVEX
        count += 1
    if beside == over and beside != 0 and beside != label:  # noqa: PLR1714
        found[count, 0], found[count, 1] = beside, place
        count += 1
    return count


@njit(cache=True, nogil=True)
def _trace(places: Longs, starts: Longs, clockwise: bool) -> tuple[Longs, Longs, Longs]:
    """Return vertices, rings and polygons; up to the first superpixel that makes none."""
    n_polygons = len(starts) - 1
    vertices = np.empty((len(places) + len(places) // 4, 2), np.int64)
    rings, polygons = np.empty(len(places) // 4 + 1, np.int64), np.empty(n_polygons + 1, np.int64)
    n_vertices = n_rings = 0
    for polygon in range(n_polygons):
        polygons[polygon] = n_rings
        here = np.sort(places[starts[polygon] : starts[polygon + 1]])
        partners = _pair(here)
        owners = np.full(len(partners), -1)  # ring of each corner
        for start in range(len(partners)):
            if owners[start] >= 0:
                continue
            along_row, corner = (start == 0) == clockwise, start
            rings[n_rings] = n_vertices
            while owners[corner] < 0:
                owners[corner] = n_rings - polygons[polygon]
                vertices[n_vertices, 0] = here[corner] >> (_BITS + _FLAGS)
                vertices[n_vertices, 1] = (here[corner] >> _FLAGS) & _MASK
                n_vertices += 1
                corner = corner ^ 1 if along_row else partners[corner]
                along_row = not along_row
            vertices[n_vertices] = vertices[rings[n_rings]]
            n_vertices += 1
            n_rings += 1
        if not _is_region(here, owners):
            return vertices[:0], rings[:0], polygons[: polygon + 1]
    rings[n_rings], polygons[n_polygons] = n_vertices, n_rings
    return vertices[:n_vertices], rings[: n_rings + 1], polygons


@njit(cache=True, nogil=True)
def _is_region(places: Longs, owners: Longs) -> bool:
    """Tell whether sorted corners, each with its ring, are those of one 4-connected region."""
    n_rings = 0
    for corner in range(len(owners)):
        if owners[corner] == n_rings:
            # The first corner of a hole goes around a pixel that is not of the superpixel.
            if (places[corner] & _CONVEX != 0) != (n_rings == 0):
                return False
            n_rings += 1
        elif owners[corner] == owners[corner - 1] and places[corner] >> _FLAGS == places[corner - 1] >> _FLAGS:
            return False  # the ring touches itself: it holds parts together that meet at a corner only
    return n_rings > 0


@njit(cache=True, nogil=True)
def _pair(places: Longs) -> Longs:
    """Return the corner that each is joined to along its column, of corners sorted by rows; none if that cannot be.

    Along the rows number 0 is joined to 1, 2 to 3, and so on.
    """
    partners = np.empty(len(places), np.int64)
    keys = ((places >> _FLAGS) & _MASK) << (_BITS + 1) | (places >> (_BITS + _FLAGS)) << 1 | (places & _DOWN) // _DOWN
    by_column = np.argsort(keys)
    if len(places) % 2:
        return partners[:0]
    for first in range(0, len(places), 2):
        left, right, upper, lower = places[first], places[first + 1], by_column[first], by_column[first + 1]
        in_row = (left ^ right) >> (_BITS + _FLAGS) == 0 and left & _RIGHT and not right & _RIGHT
        in_column = (keys[upper] ^ keys[lower]) >> (_BITS + 1) == 0 and keys[upper] & 1 and not keys[lower] & 1
        if not in_row or not in_column:
            return partners[:0]
        partners[upper], partners[lower] = lower, upper
    return partners
