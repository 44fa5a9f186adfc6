"""Buildings: walls, roofs, and how the sun falls on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.scenes.legend import BUILDING
from superpoint.scenes.surface import HALF, edge_coverage, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.rectangles import Rectangle
    from superpoint.scenes.surface import Index, Sun, Surface

PANEL = (44, 54, 78)
"""Solar panels."""


@dataclass(frozen=True, kw_only=True)
class Building:
    """Four walls and a roof."""

    walls: Rectangle
    """The ridge of the roof runs along its length."""
    eaves: float
    """Height of the walls in pixels."""
    pitch: float
    """Slope of the roof in radians; 0 for a flat roof."""
    hipped: bool
    """Whether the roof also slopes at the ends of the ridge."""
    color: tuple[int, int, int]
    panels: bool = False
    """Whether solar panels lie on one side."""


def paint_building(surface: Surface, building: Building, sun: Sun, rng: np.random.Generator) -> None:
    """Paint a building, raise the surface to its roof and mark it in the truth."""
    walls = building.walls
    at = walls.window(surface.shape)
    along, across = walls.frame(at)
    inside = walls.inside(at)
    on_end = building.hipped & (np.abs(along) - walls.half_length > np.abs(across) - walls.half_width)
    height = building.eaves + _drop(building, along, across) * math.tan(building.pitch)
    higher = height > surface.height[at]
    coverage = edge_coverage(inside) * higher
    courses = 0.03 * np.sin(2 * np.pi * across / 3.1) + rng.normal(0, 0.03, inside.shape)
    light = _roof_light(building, along, across, on_end, sun) * (1 + courses + _ridge_and_rim(building, inside, across))
    surface.paint(coverage, rgb(building.color) * light, BUILDING, at=at)
    if building.panels:
        _paint_panels(surface, building, at)
    built = coverage >= HALF
    surface.height[at][built] = height[built]


def _drop(building: Building, along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels from each point of the roof down to the eaves it drains to."""
    side = building.walls.half_width - np.abs(across)
    return np.minimum(side, building.walls.half_length - np.abs(along)) if building.hipped else side


def _roof_light(
    building: Building,
    along: NDArray[np.float64],
    across: NDArray[np.float64],
    on_end: NDArray[np.bool_],
    sun: Sun,
) -> NDArray[np.float64]:
    """Light each facet of the roof by the way it faces; two tones for a gable, four for a hip."""
    cos, sin = math.cos(building.walls.angle), math.sin(building.walls.angle)
    d_row = np.where(on_end, np.sign(along) * sin, np.sign(across) * cos)
    d_col = np.where(on_end, np.sign(along) * cos, -np.sign(across) * sin)
    return np.clip(sun.facet_light(d_row, d_col, building.pitch), 0.5, 1.22)


def _ridge_and_rim(building: Building, inside: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the brighter ridge of a pitched roof, or the bright rim of a flat one."""
    line = np.abs(across) if building.pitch > 0 else np.abs(inside - 0.5)
    return 0.12 * np.exp(-(line**2))


def _paint_panels(surface: Surface, building: Building, at: Index) -> None:
    """Lay solar panels on the sunny half of a roof; the truth stays a building."""
    walls = building.walls
    along, across = walls.frame(at)
    sunny = 0.5 * walls.half_width * (1 if math.cos(walls.angle) > 0 else -1)
    panel = np.minimum(0.7 * walls.half_length - np.abs(along), 0.32 * walls.half_width - np.abs(across - sunny))
    surface.paint(edge_coverage(panel), rgb(PANEL), None, at=at)
