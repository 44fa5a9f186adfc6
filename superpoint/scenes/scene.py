"""Paint a site from the ground up, let the sun cast its shadows and take the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.scenes.crops import paint_parcels
from superpoint.scenes.legend import CLASSES, ROAD
from superpoint.scenes.roads import paint_roads
from superpoint.scenes.sensor import expose
from superpoint.scenes.site import choose_site
from superpoint.scenes.surface import Sun, Surface, cast_shadows
from superpoint.scenes.trees import paint_floor, paint_trees, plant
from superpoint.scenes.village import paint_access, paint_homesteads
from superpoint.scenes.water import paint_water

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable
    from superpoint.scenes.site import Site

MIN_SIDE_PX = 128
"""A village does not fit into less."""
LONE_TREE_PX = 7.0
"""Distance of the trees of a hedge."""
HEDGE_PX = 2.2
"""Half the width of a hedge."""
BANK_PX = 15.0
"""How far from the water the trees of a bank stand."""
TREE_TO_WATER_PX = 5.0
TREE_TO_ROAD_PX = 6.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A made-up aerial picture of which every pixel's class is known."""

    image: NDArray[np.uint8]
    """Red, green, blue, shape (3, rows, cols); a pixel stands for about 0.6 m."""
    truth: NDArray[np.uint8]
    """Class values, shape (rows, cols); what is in shadow keeps its class."""
    classes: ClassTable = CLASSES
    """What the values mean: field, bare soil, trees, road, building, water."""


def make_scene(*, size: tuple[int, int] = (768, 768), seed: int) -> Scene:
    """Make an aerial picture of a village among fields, woods and water, together with its truth.

    Colours tell the classes apart only in part: dry soil is as bright as a gravel track, stony soil as grey as a
    street, some roofs are as brown as a field, and dark water looks like shadow.

    Parameters
    ----------
    size : (rows, cols)
        Shape of the scene in pixels, at least 128 x 128; from 256 x 256 on every class occurs.
    seed : int
        Not negative. The same seed and size give the same bytes.

    Returns
    -------
    Scene
        Image, truth and class table.

    Raises
    ------
    ValueError
        If a side is shorter than 128 pixels.

    Examples
    --------
    >>> scene = make_scene(size=(256, 320), seed=0)
    >>> scene.image.shape, scene.truth.shape
    ((3, 256, 320), (256, 320))
    >>> scene.classes.names
    ('field', 'bare soil', 'trees', 'road', 'building', 'water')
    """
    if min(size) < MIN_SIDE_PX:
        raise ValueError(f"a scene has at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels, got {size[0]} x {size[1]}")
    site_rng, sun_rng, paint_rng, camera_rng = np.random.default_rng(seed).spawn(4)
    site = choose_site(size, site_rng)
    sun = Sun(azimuth=math.radians(sun_rng.uniform(125, 235)), elevation=math.radians(sun_rng.uniform(38, 52)))
    surface = _painted(site, size, sun, paint_rng)
    cast_shadows(surface, sun)
    return Scene(image=expose(surface.tone, camera_rng), truth=surface.truth)


def _painted(site: Site, size: tuple[int, int], sun: Sun, rng: np.random.Generator) -> Surface:
    """Paint the site, from what lies lowest to what stands highest."""
    land_rng, water_rng, road_rng, house_rng, tree_rng = rng.spawn(5)
    surface = Surface.empty(size)
    paint_parcels(surface, site.parcels, site.is_soil, land_rng)
    paint_floor(surface, site.woods, tree_rng)
    paint_water(surface, site.shore, water_rng)
    paint_access(surface, site.homesteads, road_rng)
    paint_roads(surface, site.roads, site.tracks, road_rng)
    paint_homesteads(surface, site.homesteads, sun, house_rng)
    paint_trees(surface, plant(site.woods.astype(np.float64), tree_rng), sun, tree_rng)
    lone = plant(_lone_tree_density(site, surface), tree_rng, spacing_px=LONE_TREE_PX)
    paint_trees(surface, lone, sun, tree_rng)
    return surface


def _lone_tree_density(site: Site, surface: Surface) -> NDArray[np.float64]:
    """Return how likely a tree stands outside the woods: in hedges, on banks, in gardens, beside no road."""
    roadside = np.maximum(site.roads.inside, site.tracks) > -TREE_TO_ROAD_PX
    open_ground = (surface.height == 0) & (surface.truth != ROAD) & ~site.woods & ~roadside
    on_land = site.shore < -TREE_TO_WATER_PX
    on_bank = on_land & (site.shore > -BANK_PX)
    in_hedge = site.parcels.hedge < HEDGE_PX
    wanted = 0.85 * in_hedge + 0.35 * on_bank + 0.15 * site.gardens
    density: NDArray[np.float64] = wanted * (open_ground & on_land)
    return density
