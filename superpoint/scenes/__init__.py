"""Made-up aerial scenes whose truth is known: for demonstrations, tests and benchmarks without any data.

A scene is decided before it is painted. `layout` plans roads and a river as curves; `site` turns them into land,
water, parcels, woods and buildings that keep out of each other's way; `scene` paints these onto one surface that has
colour, class and height, lets a sun cast shadows from the heights, and photographs it.
"""

from superpoint.scenes.legend import CLASSES
from superpoint.scenes.scene import Scene, make_scene

__all__ = ["CLASSES", "Scene", "make_scene"]
