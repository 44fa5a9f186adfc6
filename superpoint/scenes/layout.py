"""The plan of a scene: where the village, its roads and its streets lie, and where a river runs past it.

The plan is drawn in a unit square with the village on the left and the river on the right, so that
houses and river cannot meet; then the square is turned and mirrored at random and stretched to the raster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.scenes.curves import STEP_PX, normals, smooth_curve, tangents

if TYPE_CHECKING:
    from numpy.typing import NDArray

VILLAGE_RADIUS = 0.25
"""Reach of the streets around the village's centre, as a share of the raster's shorter side."""
STREET_SPACING_PX = 98.0
"""Distance of parallel streets: two rows of houses with their gardens."""
SNAP_PX = 38.0
"""A street that ends this close to a parallel street ends on it."""
RIVER_SHARE = 0.6
"""Share of the scenes with a river; the others have a lake if there is room for one."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The curves that everything else is arranged around, each of shape (points, 2), `(row, col)` in pixels."""

    high_road: NDArray[np.float64]
    """The widest road, from edge to edge through the village."""
    side_roads: tuple[NDArray[np.float64], ...]
    """Roads that leave the high road in the village."""
    streets: tuple[NDArray[np.float64], ...]
    """The village's other streets."""
    frontages: tuple[NDArray[np.float64], ...]
    """Where houses stand: the streets, and the roads as far as they lie in the village."""
    river: NDArray[np.float64]
    """The river's middle; not followed where a lake lies instead."""
    prefers_lake: bool

    @property
    def roads(self) -> tuple[NDArray[np.float64], ...]:
        """Every road and street, the high road first."""
        return (self.high_road, *self.side_roads, *self.streets)


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """The streets' own coordinates: along the high road, and across it to either side."""

    points: NDArray[np.float64]
    """Where streets leave the high road, shape (stations, 2)."""
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    lengths: NDArray[np.float64]
    """Length of each street to either side in pixels, shape (2, stations)."""
    bends: NDArray[np.float64]
    """Sideways drift of a street over `radius`, in pixels, shape (2, stations)."""
    radius: float
    """The village's radius in pixels."""

    def at(self, station: int, side: int, offset: float) -> NDArray[np.float64]:
        """Return the point `offset` pixels up the street of `station`, on side 0 or 1."""
        sign = 1 - 2 * side
        drift = self.bends[side, station] * (offset / self.radius) ** 2
        point: NDArray[np.float64] = (
            self.points[station] + sign * offset * self.across[station] + drift * self.along[station]
        )
        return point

    def street(self, station: int, side: int) -> NDArray[np.float64]:
        """Return the curve of one street, away from the high road."""
        length = float(self.lengths[side, station])
        return smooth_curve([self.at(station, side, share * length) for share in (0, 0.5, 1)])

    def lanes(self, side: int) -> list[NDArray[np.float64]]:
        """Return the curves that join the streets of one side, parallel to the high road."""
        offsets = np.arange(STREET_SPACING_PX, self.radius, STREET_SPACING_PX).tolist()
        reached = [[s for s in range(len(self.points)) if self.lengths[side, s] >= o] for o in offsets]
        return [
            smooth_curve([self.at(s, side, o) for s in stations])
            for o, stations in zip(offsets, reached, strict=True)
            if len(stations) > 1
        ]


def plan_layout(size: tuple[int, int], rng: np.random.Generator) -> Layout:
    """Plan a village on a high road, with streets, side roads and a river.

    Parameters
    ----------
    size : (rows, cols)
        Shape of the scene.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    Layout
        The curves in pixels.
    """
    pose = int(rng.integers(8))
    village = np.array([rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.4)])
    high_road = smooth_curve(_posed(_high_road_knots(village, rng), pose, size))
    river = smooth_curve(_posed(_river_knots(rng), pose, size))
    center = int(((high_road - _posed(village[None], pose, size)) ** 2).sum(axis=1).argmin())
    grid = _plan_grid(high_road, center, VILLAGE_RADIUS * min(size), rng)
    away = high_road[center] - river.mean(axis=0)
    exits = [int(rng.integers(len(grid.points))) for _ in range(2)]
    side_roads = [_side_road(grid, exits[side], side, away, size, rng) for side in range(2)]
    streets = [grid.street(s, side) for side in range(2) for s in range(len(grid.points)) if s != exits[side]] + [
        lane for side in range(2) for lane in grid.lanes(side)
    ]
    reach = round(grid.radius / STEP_PX)
    return Layout(
        high_road=high_road,
        side_roads=tuple(side_roads),
        streets=tuple(streets),
        frontages=(
            high_road[max(0, center - reach) : center + reach],
            *(road[: max(2, reach)] for road in side_roads),
            *streets,
        ),
        river=river,
        prefers_lake=bool(rng.random() >= RIVER_SHARE),
    )


def _posed(unit: NDArray[np.float64], pose: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Turn and mirror points of the unit square in one of eight ways and stretch them to pixels."""
    flips = np.array([pose & 1, pose >> 1 & 1])
    mirrored = flips + (1 - 2 * flips) * unit
    return (mirrored[:, ::-1] if pose >> 2 else mirrored) * np.asarray(size, np.float64)


def _high_road_knots(village: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Lead the high road from the left edge through the village to the right edge."""
    rows = village[0] + np.array([rng.uniform(-0.25, 0.25), 0.0, rng.uniform(-0.12, 0.12), rng.uniform(-0.25, 0.25)])
    return np.stack([rows, [-0.05, village[1], 0.72, 1.05]], axis=1)


def _river_knots(rng: np.random.Generator) -> NDArray[np.float64]:
    """Let the river wind from the top edge to the bottom edge, right of the village."""
    middle = rng.uniform(0.77, 0.84)
    cols = np.clip(middle + rng.uniform(-0.09, 0.09, 6), 0.72, None)
    return np.stack([np.linspace(-0.08, 1.08, 6), cols], axis=1)


def _plan_grid(high_road: NDArray[np.float64], center: int, radius: float, rng: np.random.Generator) -> _Grid:
    """Set out the stations along the high road and how far each street reaches from it."""
    n_each_way = int(0.9 * radius / STREET_SPACING_PX)
    arc = STREET_SPACING_PX * np.arange(-n_each_way, n_each_way + 1.0)
    arc += rng.uniform(-22, 22, len(arc))
    stations = np.clip(center + np.round(arc / STEP_PX).astype(int), 1, len(high_road) - 2)
    lengths = np.sqrt(np.maximum(radius**2 - arc**2, 0)) * rng.uniform(0.85, 1.1, (2, len(arc)))
    on_lane = STREET_SPACING_PX * np.round(lengths / STREET_SPACING_PX)
    lengths = np.where((np.abs(lengths - on_lane) < SNAP_PX) & (on_lane > 0), on_lane, lengths)
    return _Grid(
        points=high_road[stations],
        along=tangents(high_road)[stations],
        across=normals(high_road)[stations],
        lengths=np.maximum(lengths, 50.0),
        bends=(rng.uniform(-0.3, 0.3, (2, 1)) + rng.uniform(-0.08, 0.08, (2, len(arc)))) * radius,
        radius=radius,
    )


def _side_road(
    grid: _Grid, station: int, side: int, away: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Lead a street on, out of the village and out of the scene, turning towards `away`."""
    ahead = grid.at(station, side, grid.radius) - grid.at(station, side, 0.7 * grid.radius)
    ahead /= math.hypot(*ahead)
    aside = ahead[::-1] * (-1, 1)
    aside *= math.copysign(1, float(aside @ away))
    length = float(max(size))
    beyond = [
        grid.at(station, side, grid.radius) + length * (share * ahead + turn * aside)
        for share, turn in ((0.25, rng.uniform(-0.03, 0.07)), (0.6, rng.uniform(0, 0.2)), (1.2, rng.uniform(0.1, 0.5)))
    ]
    inner = [grid.at(station, side, share * grid.radius) for share in (0, 0.5, 1)]
    return smooth_curve([*inner, *beyond])
