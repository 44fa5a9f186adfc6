"""What grows or lies on the parcels: crops in rows, bare soil, lawns, and rough grass along their margins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.scenes.legend import FIELD, SOIL
from superpoint.scenes.noise import fractal_noise, smooth_noise
from superpoint.scenes.surface import rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.parcels import Parcels
    from superpoint.scenes.surface import Surface

TRAMLINE_PX = 40.0
"""Distance of the wheel tracks a sprayer leaves."""
GRAIN = 0.07
"""Contrast of single plants and clods."""
VERGE = (106, 118, 74)
"""Rough grass along boundaries and roads."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """What grows or lies on a parcel."""

    color: tuple[int, int, int]
    row_contrast: float
    """Brightness of the rows relative to the parcel's."""
    patchiness: float
    """Unevenness within the parcel, the same."""


CROPS = (
    Cover(color=(80, 112, 60), row_contrast=0.05, patchiness=0.06),  # winter wheat
    Cover(color=(66, 92, 50), row_contrast=0.09, patchiness=0.07),  # maize
    Cover(color=(136, 138, 82), row_contrast=0.05, patchiness=0.07),  # ripening rape
    Cover(color=(176, 158, 106), row_contrast=0.05, patchiness=0.05),  # ripe barley
    Cover(color=(104, 126, 72), row_contrast=0.02, patchiness=0.10),  # meadow
    Cover(color=(124, 130, 86), row_contrast=0.03, patchiness=0.12),  # dry pasture
    Cover(color=(94, 120, 72), row_contrast=0.06, patchiness=0.05),  # sugar beet
)
SOILS = (
    Cover(color=(140, 114, 88), row_contrast=0.06, patchiness=0.08),
    Cover(color=(116, 94, 74), row_contrast=0.08, patchiness=0.09),  # freshly ploughed
    Cover(color=(168, 148, 118), row_contrast=0.04, patchiness=0.06),  # dry, as bright as a track
    Cover(color=(142, 132, 118), row_contrast=0.04, patchiness=0.06),  # stony, as grey as a road
)
LAWNS = (
    Cover(color=(98, 122, 70), row_contrast=0.0, patchiness=0.12),
    Cover(color=(116, 128, 82), row_contrast=0.0, patchiness=0.14),
    Cover(color=(84, 106, 62), row_contrast=0.0, patchiness=0.14),
)


def paint_parcels(surface: Surface, parcels: Parcels, is_soil: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Paint every parcel: its colour, its rows, its wheel tracks and its margins.

    Parameters
    ----------
    surface : Surface
        Still bare.
    parcels : Parcels
        What to paint.
    is_soil : bool array of shape (parcels + 1,)
        Which parcels are bare soil.
    rng : numpy.random.Generator
        Decides crops, directions and unevenness.
    """
    covers = [_choose_cover(s, g, rng) for s, g in zip(is_soil.tolist(), parcels.is_garden.tolist(), strict=True)]
    ids = parcels.ids
    color = np.array([cover.color for cover in covers]).T * rng.normal(1, 0.05, len(covers))
    contrast = np.array([cover.row_contrast for cover in covers])[ids]
    patchiness = np.array([cover.patchiness for cover in covers])[ids]
    unevenness = 0.5 * fractal_noise(rng, surface.shape, 56, octaves=4)
    grain = ndimage.gaussian_filter(rng.standard_normal(surface.shape), 0.6)
    light = 1 + contrast * _rows(parcels, rng) + patchiness * unevenness + GRAIN * grain
    surface.tone[:] = color[:, ids] * light
    surface.truth[:] = np.where(is_soil, SOIL, FIELD)[ids]
    margin = np.exp(-((_distance_to_boundary(parcels) / 1.6) ** 2))
    surface.paint(0.45 * margin, rgb(VERGE) * (1 + 0.15 * unevenness), None)


def _choose_cover(is_soil: bool, is_garden: bool, rng: np.random.Generator) -> Cover:
    """Draw what covers one parcel."""
    choices = SOILS if is_soil else LAWNS if is_garden else CROPS
    return choices[int(rng.integers(len(choices)))]


def _rows(parcels: Parcels, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the light and dark of rows and wheel tracks, about -2 to 1, each parcel in its own direction."""
    rows, cols = parcels.ids.shape
    n_ids = len(parcels.is_garden)
    angle, period, shift = (
        values[parcels.ids]
        for values in (rng.uniform(0, np.pi, n_ids), rng.uniform(3.2, 6.5, n_ids), rng.uniform(0, 40, n_ids))
    )
    row, col = np.mgrid[:rows, :cols]
    across = col * np.cos(angle) + row * np.sin(angle) + shift + 0.6 * smooth_noise(rng, (rows, cols), 45)
    wheel = np.abs(np.mod(across, TRAMLINE_PX) - TRAMLINE_PX / 2)
    tracks = np.exp(-(((wheel - 1.8) / 0.8) ** 2))
    pattern: NDArray[np.float64] = np.sin(2 * np.pi * across / period) - 2 * tracks
    return pattern


def _distance_to_boundary(parcels: Parcels) -> NDArray[np.float64]:
    """Return the pixels to the nearest neighbouring parcel."""
    ids = parcels.ids
    inner = np.ones(ids.shape, np.bool_)
    inner[1:] &= ids[1:] == ids[:-1]
    inner[:, 1:] &= ids[:, 1:] == ids[:, :-1]
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(inner)
    return distance
