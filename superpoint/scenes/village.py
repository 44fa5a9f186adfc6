"""The village and its farms: which buildings stand on which plots, and the driveways and yards that lead there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from superpoint.scenes.buildings import Building, paint_building
from superpoint.scenes.legend import ROAD, SOIL
from superpoint.scenes.plots import Plot, plots_along
from superpoint.scenes.rectangles import Rectangle
from superpoint.scenes.surface import edge_coverage, rgb

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.scenes.surface import Sun, Surface

TILES = ((164, 92, 70), (184, 116, 88), (142, 84, 68), (122, 88, 74), (98, 98, 106), (84, 82, 86), (160, 138, 110))
"""House roofs: clay, brown and slate, and one as pale as soil."""
SHEETS = ((176, 178, 176), (132, 136, 138), (150, 104, 88), (116, 128, 120))
"""Roofs of halls and barns: metal and fibre cement."""
PAVING = (150, 142, 132)
"""Driveways."""
YARD = (156, 142, 120)
"""The gravel around a barn."""
PITCH = 0.6
"""Slope of a house's roof in radians."""
HALL_SHARE = 0.35
"""Share of the plots along the roads where a barn is wanted."""
HOUSE_SHARE = 0.85
"""Share of the plots along the streets where a house is wanted."""
GAP_PX = 4.0
"""What stays free around a building."""


def house_on(plot: Plot, rng: np.random.Generator) -> list[Building]:
    """Build a house on a plot, one in four with a wing."""
    length, width = rng.uniform(8.5, 13.0), rng.uniform(6.0, 8.5)
    gable_to_street = _chance(rng, 0.3)
    depth = length if gable_to_street else width
    row, col = plot.at(plot.setback + depth)
    turn = rng.normal(0, 0.03) + (math.pi / 2 if gable_to_street else 0)
    house = Building(
        walls=Rectangle(row=row, col=col, angle=plot.angle + turn, half_length=length, half_width=width),
        eaves=rng.uniform(6, 10),
        pitch=PITCH * rng.uniform(0.8, 1.15),
        hipped=_chance(rng, 0.3),
        color=TILES[int(rng.integers(len(TILES)))],
        panels=_chance(rng, 0.12),
    )
    return [house, _wing(house, rng)] if _chance(rng, 0.25) else [house]


def _chance(rng: np.random.Generator, share: float) -> bool:
    """Say yes to a share of all questions."""
    return bool(rng.random() < share)


def _wing(house: Building, rng: np.random.Generator) -> Building:
    """Return a lower wing at a right angle to one end of a house."""
    walls = house.walls
    row, col = walls.point(
        float(rng.choice((-0.55, 0.55))) * walls.half_length, float(rng.choice((-1, 1))) * walls.half_width
    )
    wing = Rectangle(
        row=row,
        col=col,
        angle=walls.angle + math.pi / 2,
        half_length=0.85 * walls.half_width,
        half_width=0.5 * walls.half_width,
    )
    return replace(house, walls=wing, eaves=0.7 * house.eaves, panels=False)


def hall_on(plot: Plot, rng: np.random.Generator) -> list[Building]:
    """Build a barn or a hall on a plot."""
    length, width = rng.uniform(20, 34), rng.uniform(10, 15)
    row, col = plot.at(plot.setback + width)
    return [
        Building(
            walls=Rectangle(
                row=row,
                col=col,
                angle=plot.angle + rng.normal(0, 0.03),
                half_length=length,
                half_width=width,
            ),
            eaves=rng.uniform(9, 13),
            pitch=float(rng.choice((0.0, 0.2, 0.3))),
            hipped=False,
            color=SHEETS[int(rng.integers(len(SHEETS)))],
            panels=_chance(rng, 0.2),
        )
    ]


@dataclass(frozen=True, kw_only=True)
class Homestead:
    """A plot and what stands on it."""

    plot: Plot
    buildings: tuple[Building, ...]
    is_farm: bool


def settle(
    streets: Iterable[NDArray[np.float64]],
    roads: Iterable[NDArray[np.float64]],
    free: NDArray[np.bool_],
    rng: np.random.Generator,
) -> list[Homestead]:
    """Build houses along the streets and a few farms along the roads, where there is room.

    Parameters
    ----------
    streets : iterable of float64 arrays of shape (points, 2)
        Where houses stand.
    roads : iterable of float64 arrays of shape (points, 2)
        Where barns and halls may stand.
    free : bool array of shape (rows, cols)
        Where anything may be built; what is built on is taken from it, in place.
    rng : numpy.random.Generator
        Decides what stands where.

    Returns
    -------
    list of Homestead
        None touches another.
    """
    halls = plots_along(roads, every=5, setback=30, rng=rng)
    houses = plots_along(streets, every=1, setback=17, rng=rng)
    wanted = [(plot, True) for plot in halls if _chance(rng, HALL_SHARE)]
    wanted += [(plot, False) for plot in houses if _chance(rng, HOUSE_SHARE)]
    homesteads = [
        Homestead(plot=plot, buildings=tuple((hall_on if farm else house_on)(plot, rng)), is_farm=farm)
        for plot, farm in wanted
    ]
    return [homestead for homestead in homesteads if _claim(homestead, free)]


def _claim(homestead: Homestead, free: NDArray[np.bool_]) -> bool:
    """Take the ground of a homestead from `free`, unless some of it is not free."""
    rows, cols = free.shape
    spots = []
    for building in homestead.buildings:
        at = building.walls.window((rows, cols), GAP_PX)
        spots.append((at, building.walls.inside(at) > -GAP_PX))
    if not all(spot.any() and free[at][spot].all() for at, spot in spots):
        return False
    for at, spot in spots:
        free[at][spot] = False
    return True


def paint_access(surface: Surface, homesteads: Iterable[Homestead], rng: np.random.Generator) -> None:
    """Paint what leads to the buildings: a driveway to most houses, a gravel yard around a barn."""
    for homestead in homesteads:
        wear = 1 + rng.normal(0, 0.05)
        if homestead.is_farm:
            _paint_strip(surface, _yard(homestead), rgb(YARD) * wear, SOIL)
        elif _chance(rng, 0.7):
            _paint_strip(surface, _driveway(homestead.plot), rgb(PAVING) * wear, ROAD)


def _driveway(plot: Plot) -> Rectangle:
    """Return the strip from the middle of the road to the wall."""
    row, col = plot.at(plot.setback / 2)
    return Rectangle(
        row=row,
        col=col,
        angle=math.atan2(plot.out_row, plot.out_col),
        half_length=plot.setback / 2 + 2,
        half_width=2.4,
    )


def _yard(homestead: Homestead) -> Rectangle:
    """Return the ground around a barn, as far as the road."""
    walls = homestead.buildings[0].walls
    half_width = (homestead.plot.setback + 2 * walls.half_width + 6) / 2
    row, col = homestead.plot.at(half_width)
    return replace(walls, row=row, col=col, half_length=walls.half_length + 8, half_width=half_width)


def _paint_strip(surface: Surface, strip: Rectangle, tone: NDArray[np.float64], value: int) -> None:
    """Paint a rectangle of one colour."""
    at = strip.window(surface.shape)
    surface.paint(edge_coverage(strip.inside(at)), tone, value, at=at)


def paint_homesteads(surface: Surface, homesteads: Iterable[Homestead], sun: Sun, rng: np.random.Generator) -> None:
    """Paint every building."""
    for homestead in homesteads:
        for building in homestead.buildings:
            paint_building(surface, building, sun, rng)
