"""Water: a river along its curve or a lake where there is room, with smooth banks, ripples and glint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.scenes.curves import distance_to
from superpoint.scenes.legend import FIELD, WATER
from superpoint.scenes.noise import fractal_noise, smooth_noise
from superpoint.scenes.surface import edge_coverage, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.layout import Layout
    from superpoint.scenes.surface import Surface

RIVER_HALF_WIDTH = 0.032
"""As a share of the scene's shorter side."""
LAKE_RADIUS = 0.15
"""The same, for a lake."""
LEAST_LAKE_RADIUS = 0.09
"""The same; where roads leave less room than this, the scene has a river."""
OVERHANG = 0.1
"""How much of a lake may lie outside the scene, in the same measure."""
SHORE_PX = 30.0
"""A lake keeps this far from every road."""
REACH_PX = 40.0
"""How far from a river's bank distances are measured."""


def shore_distance(layout: Layout, road_distance: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Measure how far each pixel lies inside the water.

    Parameters
    ----------
    layout : Layout
        Its river is followed, unless it prefers a lake and there is room for one.
    road_distance : float64 array of shape (rows, cols)
        Distance to the nearest road in pixels.
    rng : numpy.random.Generator
        Decides the outline.

    Returns
    -------
    float64 array of shape (rows, cols)
        Pixels from the bank: positive in the water, negative on land.
    """
    room = _room_for_lake(road_distance)
    if layout.prefers_lake and room.max() > LEAST_LAKE_RADIUS * min(room.shape):
        return _lake(room, road_distance, rng)
    return _river(layout.river, road_distance.shape, rng)


def _river(middle: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Widen a curve to a river whose width varies along its way."""
    rows, cols = shape
    half_width = RIVER_HALF_WIDTH * min(shape) * rng.uniform(0.85, 1.25)
    swell = 1 + 0.11 * smooth_noise(rng, (rows, cols), 60) + 0.03 * smooth_noise(rng, (rows, cols), 15)
    return half_width * swell - distance_to([middle], (rows, cols), reach_px=half_width + REACH_PX)


def _room_for_lake(road_distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radius a lake could have around each pixel; negative near roads."""
    rows, cols = road_distance.shape
    row, col = np.ogrid[:rows, :cols]
    to_edge = np.minimum(np.minimum(row, rows - 1 - row), np.minimum(col, cols - 1 - col))
    room: NDArray[np.float64] = np.minimum(road_distance - SHORE_PX, to_edge + OVERHANG * min(rows, cols))
    return room


def _lake(
    room: NDArray[np.float64], road_distance: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Put an oval with an uneven shore where the roads leave the widest gap."""
    shape = rows, cols = road_distance.shape
    row, col = np.ogrid[:rows, :cols]
    center_row, center_col = np.unravel_index(int(room.argmax()), shape)
    radius = min(float(room.max()), LAKE_RADIUS * min(shape))
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
    along = (row - center_row) * np.sin(turn) + (col - center_col) * np.cos(turn)
    across = (row - center_row) * np.cos(turn) - (col - center_col) * np.sin(turn)
    oval: NDArray[np.float64] = radius - np.sqrt((along / stretch) ** 2 + (across * stretch) ** 2)
    uneven: NDArray[np.float64] = oval + radius * (
        0.15 * smooth_noise(rng, shape, radius / 1.5) + 0.04 * smooth_noise(rng, shape, 18)
    )
    return np.minimum(uneven, road_distance - SHORE_PX)


def paint_water(surface: Surface, shore: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint the banks and the water where `shore` is positive."""
    _paint_banks(surface, shore, rng)
    shape = surface.shape
    base = rgb(rng.uniform((44, 62, 58), (66, 88, 84)))
    # Shallow water shows its bed: it is browner and brighter towards the bank.
    shallow = np.exp(-np.maximum(shore, 0) / 5.0) + 0.08 * fractal_noise(rng, shape, 50)
    ripples = ndimage.gaussian_filter(rng.standard_normal(shape), (0.6, 2.2))
    glint = np.clip(smooth_noise(rng, shape, 36) - 1.3, 0, 1) * np.clip(ripples * 4 - 0.6, 0, 1)
    tone = base + shallow * rgb((34, 28, 14)) + (5.0 * ripples + 70.0 * glint)
    surface.paint(edge_coverage(shore), tone, WATER)


def _paint_banks(surface: Surface, shore: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint rough grass along the water, which counts as field, and a thin strip of mud at its edge."""
    rough = fractal_noise(rng, surface.shape, 14)
    grass = np.clip((shore + 9 + 2 * rough) / 4, 0, 1) * 0.85
    surface.paint(grass, rgb((98, 112, 66)) * (1 + 0.08 * rough), FIELD)
    mud = np.clip((shore + 2.2 + 0.7 * rough) / 1.5, 0, 1) * 0.7
    surface.paint(mud, rgb((112, 100, 78)), None)
