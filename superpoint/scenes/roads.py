"""Roads, streets and farm tracks: constant widths, worn lanes, shoulders, and driveways to the houses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.scenes.crops import VERGE
from superpoint.scenes.curves import distance_to
from superpoint.scenes.legend import ROAD, WATER
from superpoint.scenes.noise import fractal_noise
from superpoint.scenes.surface import edge_coverage, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.layout import Layout
    from superpoint.scenes.surface import Surface

HIGH_ROAD_PX = 6.6
"""Half the width of the high road: 13 pixels are 8 metres."""
SIDE_ROAD_PX = 5.2
STREET_PX = 4.4
TRACK_PX = 2.8
REACH_PX = 62.0
"""How far from roads distances are measured."""
FORGET_PX = 8
"""How far around a track that leads nowhere it is forgotten."""


@dataclass(frozen=True, kw_only=True)
class Roads:
    """The paved ground, as pixels inside each kind's edge: positive on the road, negative beside it."""

    high_road: NDArray[np.float64]
    side_roads: NDArray[np.float64]
    streets: NDArray[np.float64]
    frontages: NDArray[np.float64]
    """Pixels to the middle of the nearest road that houses stand along."""

    @cached_property
    def inside(self) -> NDArray[np.float64]:
        """Pixels inside the edge of the nearest road of any kind, shape (rows, cols)."""
        return np.maximum(np.maximum(self.high_road, self.side_roads), self.streets)


def lay_roads(layout: Layout, shape: tuple[int, int]) -> Roads:
    """Give the layout's curves their widths on a raster of `shape`."""
    return Roads(
        high_road=HIGH_ROAD_PX - distance_to([layout.high_road], shape, reach_px=REACH_PX),
        side_roads=SIDE_ROAD_PX - distance_to(layout.side_roads, shape, reach_px=REACH_PX),
        streets=STREET_PX - distance_to(layout.streets, shape, reach_px=REACH_PX),
        frontages=distance_to(layout.frontages, shape, reach_px=REACH_PX),
    )


def joined_tracks(track: NDArray[np.float64], roads: Roads, land: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return pixels inside the edge of a track, without the tracks that lead to no road.

    Parameters
    ----------
    track : float64 array of shape (rows, cols)
        Pixels to the middle of the nearest track.
    roads : Roads
        What a track must lead to.
    land : bool array of shape (rows, cols)
        Where a track may run.

    Returns
    -------
    float64 array of shape (rows, cols)
        Positive on the tracks, negative elsewhere.
    """
    inside = np.where(land, TRACK_PX - track, -REACH_PX)
    on_road = roads.inside >= 0
    pieces, n_pieces = ndimage.label((inside >= 0) | on_road)
    keeps = np.zeros(n_pieces + 1, np.bool_)
    keeps[pieces[on_road]] = True
    lost = ndimage.binary_dilation((inside >= 0) & ~keeps[pieces], iterations=FORGET_PX)
    return np.where(lost, -REACH_PX, inside)


def paint_roads(surface: Surface, roads: Roads, tracks: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint tracks, streets and roads, the widest last.

    Parameters
    ----------
    surface : Surface
        With its parcels and water.
    roads : Roads
        Where roads run.
    tracks : float64 array of shape (rows, cols)
        Pixels inside the edge of a farm track.
    rng : numpy.random.Generator
        Decides colours and wear.
    """
    wear = fractal_noise(rng, surface.shape, 24, octaves=4)
    gravel, street, asphalt = (
        rgb(color) * rng.normal(1, 0.04) for color in ((166, 150, 124), (140, 136, 128), (124, 121, 116))
    )
    verge = 0.8 * np.clip((roads.inside + 4.5) / 2, 0, 1) * (surface.truth != WATER)
    surface.paint(verge, rgb(VERGE) * (1 + 0.08 * wear), None)
    _pave(surface, tracks, TRACK_PX, gravel * (1 + 0.035 * wear))
    _pave(surface, roads.streets, STREET_PX, street * (1 + 0.02 * wear))
    _pave(surface, roads.side_roads, SIDE_ROAD_PX, asphalt * (1.04 + 0.02 * wear))
    _pave(surface, roads.high_road, HIGH_ROAD_PX, asphalt * (1 + 0.02 * wear))


def _pave(surface: Surface, inside: NDArray[np.float64], half_width: float, tone: NDArray[np.float64]) -> None:
    """Paint one kind of road: a bright shoulder at the edge, lanes darkened by wheels, a brighter middle."""
    shoulder = np.exp(-((inside / 0.9) ** 2))
    wheels = np.exp(-(((inside - 0.45 * half_width) / (0.25 * half_width)) ** 2))
    surface.paint(edge_coverage(inside), tone * (1 + 0.16 * shoulder - 0.05 * wheels), ROAD)
