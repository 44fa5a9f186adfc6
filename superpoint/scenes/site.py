"""What lies where: the plan of a scene turned into land, water, parcels, woods and buildings, not painted yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.scenes.layout import plan_layout
from superpoint.scenes.noise import smooth_noise
from superpoint.scenes.parcels import divide_land, pick_parcels
from superpoint.scenes.roads import joined_tracks, lay_roads
from superpoint.scenes.trees import wood_outline
from superpoint.scenes.village import settle
from superpoint.scenes.water import shore_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.parcels import Parcels
    from superpoint.scenes.roads import Roads
    from superpoint.scenes.village import Homestead

GARDENS_PX = 52.0
"""Gardens reach about this far from the middle of a street."""
WOOD_SHARE = 0.12
"""Share of the scene that is wooded parcels."""
SOIL_SHARE = 0.15
"""Share of the scene that is bare soil."""
FRINGE_PX = 8.0
"""By how much that varies."""
GARDEN_TO_WATER_PX = 8.0
WOOD_TO_WATER_PX = 3.0
WOOD_TO_ROAD_PX = 6.0
BUILDING_TO_WATER_PX = 14.0
BUILDING_TO_ROAD_PX = 6.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where everything is; every array is of shape (rows, cols), every distance in pixels."""

    roads: Roads
    shore: NDArray[np.float64]
    """Inside the water; negative on land."""
    gardens: NDArray[np.bool_]
    """The village's ground."""
    parcels: Parcels
    is_soil: NDArray[np.bool_]
    """Which parcels are bare soil, shape (parcels + 1,)."""
    woods: NDArray[np.bool_]
    tracks: NDArray[np.float64]
    """Inside the edge of a farm track; negative beside it."""
    homesteads: tuple[Homestead, ...]


def choose_site(size: tuple[int, int], rng: np.random.Generator) -> Site:
    """Decide where everything in a scene of `size` pixels is.

    Parameters
    ----------
    size : (rows, cols)
        Shape of the scene.
    rng : numpy.random.Generator
        Decides everything; each kind of thing draws from a stream of its own.

    Returns
    -------
    Site
        Nothing in it is in another's way: houses stand beside roads and away from water.
    """
    plan_rng, water_rng, land_rng, wood_rng, village_rng = rng.spawn(5)
    layout = plan_layout(size, plan_rng)
    roads = lay_roads(layout, size)
    shore = shore_distance(layout, ndimage.distance_transform_edt(roads.inside < 0), water_rng)
    land = (roads.inside < 0) & (shore < 0)
    fringe = FRINGE_PX * np.clip(smooth_noise(plan_rng, size, 30), -1, 1)
    gardens = (roads.frontages + fringe < GARDENS_PX) & (shore < -GARDEN_TO_WATER_PX)
    parcels = divide_land(land, gardens, layout.roads, land_rng)
    is_wood, is_soil = _choose_uses(parcels, land_rng)
    tracks = joined_tracks(parcels.track, roads, land)
    clear = (roads.inside < -WOOD_TO_ROAD_PX) & (tracks < -WOOD_TO_ROAD_PX) & (shore < -WOOD_TO_WATER_PX) & ~gardens
    woods = wood_outline(is_wood[parcels.ids], clear, wood_rng)
    buildable = (
        (roads.inside < -BUILDING_TO_ROAD_PX) & (tracks < -BUILDING_TO_ROAD_PX) & (shore < -BUILDING_TO_WATER_PX)
    )
    homesteads = settle(layout.frontages, (layout.high_road, *layout.side_roads), buildable & ~woods, village_rng)
    return Site(
        roads=roads,
        shore=shore,
        gardens=gardens,
        parcels=parcels,
        is_soil=is_soil,
        woods=woods,
        tracks=tracks,
        homesteads=tuple(homesteads),
    )


def _choose_uses(parcels: Parcels, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose the parcels that are woods, which lie close together, and those that are bare soil."""
    rows, cols = parcels.ids.shape
    n_parcels = len(parcels.is_garden)
    hills = smooth_noise(rng, (rows, cols), min(rows, cols) / 5)
    mean = np.bincount(parcels.ids.ravel(), hills.ravel(), n_parcels) / np.maximum(parcels.sizes, 1)
    is_wood = pick_parcels(parcels, mean, WOOD_SHARE, np.zeros(n_parcels, np.bool_))
    return is_wood, pick_parcels(parcels, rng.random(n_parcels), SOIL_SHARE, is_wood)
