"""Parcels: the land between roads and water, divided into fields and gardens.

Every block of land is cut in two across its longer side, and the halves again, until the parcels are small enough:
large in the fields, garden-sized in the village. The first cuts through the open land become farm tracks, which
therefore always meet roads or each other; some later cuts become hedges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from superpoint.scenes.curves import tangents
from superpoint.scenes.noise import smooth_noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


FAR_PX = 1e3
"""Stands for "no such line here" in distances."""
FIELD_PX = 24_000.0
"""Size of a field in pixels: 0.9 hectares; smaller in a small scene, so that it has several."""
GARDEN_PX = 1500.0
"""Size of a garden in pixels."""
HEDGE_SHARE = 0.3
"""Share of field boundaries that are hedges."""


@dataclass(frozen=True, kw_only=True)
class Parcels:
    """Land divided."""

    ids: NDArray[np.int64]
    """Parcel of each pixel, shape (rows, cols), from 1; 0 under roads and water."""
    is_garden: NDArray[np.bool_]
    """Whether a parcel is a garden, shape (parcels + 1,)."""
    track: NDArray[np.float64]
    """Pixels to the nearest farm track, shape (rows, cols); `FAR_PX` where there is none."""
    hedge: NDArray[np.float64]
    """Pixels to the nearest hedge, the same."""

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each parcel, shape (parcels + 1,)."""
        return np.bincount(self.ids.ravel(), minlength=len(self.is_garden))


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A piece of land on its way to becoming a parcel."""

    pixels: NDArray[np.int64]
    """Flat indices of its pixels."""
    angle: float
    """Direction it is worked in, radians from the column axis towards the row axis."""
    depth: int
    """How many cuts lie between it and its block."""


def divide_land(
    land: NDArray[np.bool_],
    village: NDArray[np.bool_],
    roads: tuple[NDArray[np.float64], ...],
    rng: np.random.Generator,
) -> Parcels:
    """Divide the land into parcels that line up with the nearest road.

    Parameters
    ----------
    land : bool array of shape (rows, cols)
        What is neither road nor water.
    village : bool array of shape (rows, cols)
        Where parcels are gardens.
    roads : tuple of float64 arrays of shape (points, 2)
        The curves to line up with.
    rng : numpy.random.Generator
        Decides where to cut.

    Returns
    -------
    Parcels
        Ids, and the distances to tracks and hedges.
    """
    rows, cols = land.shape
    # Cuts are straight on warped ground, hence gently curved on the real one.
    warped = np.stack([4.0 * smooth_noise(rng, (rows, cols), 75) for _ in range(2)])
    warped += np.mgrid[:rows, :cols]
    ground = warped.reshape(2, -1)
    lines = np.full((2, land.size), FAR_PX)
    field_px = min(max(land.size / 26, GARDEN_PX), FIELD_PX)
    fields = list(_divide(_blocks(land & ~village, roads), field_px, ground, lines, rng))
    gardens = list(_divide(_blocks(land & village, roads), GARDEN_PX, ground, None, rng))
    # What is left between roads and gardens is too small to plough.
    gardens += [pixels for pixels in fields if len(pixels) < field_px / 6]
    fields = [pixels for pixels in fields if len(pixels) >= field_px / 6]
    ids = np.zeros(land.size, np.int64)
    for number, pixels in enumerate(fields + gardens, start=1):
        ids[pixels] = number
    return Parcels(
        ids=ids.reshape(rows, cols),
        is_garden=np.arange(len(fields) + len(gardens) + 1) > len(fields),
        track=lines[0].reshape(rows, cols),
        hedge=lines[1].reshape(rows, cols),
    )


def _blocks(land: NDArray[np.bool_], roads: tuple[NDArray[np.float64], ...]) -> Iterator[_Piece]:
    """Yield each connected piece of land with the direction of the road nearest to its middle."""
    directions = np.concatenate([tangents(road) for road in roads])
    nearest = cKDTree(np.concatenate(roads))
    labels, n_blocks = ndimage.label(land)
    order = np.argsort(labels, axis=None, kind="stable")
    bounds = np.searchsorted(labels.ravel()[order], np.arange(1, n_blocks + 2))
    for start, stop in pairwise(bounds.tolist()):
        pixels = order[start:stop]
        middle = [axis.mean() for axis in np.unravel_index(pixels, land.shape)]
        d_row, d_col = directions[nearest.query(middle)[1]]
        yield _Piece(pixels=pixels, angle=math.atan2(d_row, d_col), depth=0)


def _divide(
    blocks: Iterable[_Piece],
    parcel_px: float,
    ground: NDArray[np.float64],
    lines: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Cut blocks until they are parcels of about `parcel_px` pixels; keep some cuts as tracks and hedges."""
    pieces = list(blocks)
    while pieces:
        piece = pieces.pop()
        if len(piece.pixels) < parcel_px * rng.uniform(0.7, 1.5):
            yield piece.pixels
            continue
        distance = _distance_to_cut(piece, ground, rng)
        if lines is not None and (kind := _kind_of_cut(piece, parcel_px, rng)) is not None:
            lines[kind, piece.pixels] = np.minimum(lines[kind, piece.pixels], np.abs(distance))
        angle = piece.angle + rng.normal(0, 0.05)
        pieces += [
            _Piece(pixels=piece.pixels[half], angle=angle, depth=piece.depth + 1)
            for half in (distance < 0, distance >= 0)
        ]


def _distance_to_cut(piece: _Piece, ground: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose a cut across the longer side and return each pixel's signed distance to it."""
    row, col = ground[:, piece.pixels]
    sides = [col * math.cos(angle) + row * math.sin(angle) for angle in (piece.angle, piece.angle + math.pi / 2)]
    longer = max(sides, key=np.ptp)
    cut: NDArray[np.float64] = longer - np.quantile(longer, rng.uniform(0.36, 0.64))
    return cut


def _kind_of_cut(piece: _Piece, parcel_px: float, rng: np.random.Generator) -> int | None:
    """Return 0 for a track, 1 for a hedge, None for a plain boundary."""
    if piece.depth == 0 and len(piece.pixels) > 3 * parcel_px:
        return 0
    return 1 if rng.random() < HEDGE_SHARE else None


def pick_parcels(
    parcels: Parcels, order: NDArray[np.float64], share: float, taken: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Pick fields in ascending `order` until they cover a share of the scene.

    Parameters
    ----------
    parcels : Parcels
        Gardens are never picked.
    order : float64 array of shape (parcels + 1,)
        The lowest goes first.
    share : float
        Share of all pixels to reach; a field that would overshoot it by more than half is passed over.
    taken : bool array of shape (parcels + 1,)
        Fields that are something else already.

    Returns
    -------
    bool array of shape (parcels + 1,)
        True for what is picked.
    """
    picked = np.zeros(len(order), np.bool_)
    wanted, area = share * parcels.ids.size, 0
    for number in np.argsort(order, kind="stable").tolist():
        free = number > 0 and not parcels.is_garden[number] and not taken[number]
        size = int(parcels.sizes[number])
        if free and area < wanted and area + size < 1.5 * wanted:
            picked[number] = True
            area += size
    return picked
