"""The classes of a scene and their values."""

from __future__ import annotations

from superpoint.classes import ClassTable, LandClass

FIELD, SOIL, TREES, ROAD, BUILDING, WATER = range(6)

CLASSES = ClassTable(
    classes=(
        LandClass(name="field", value=FIELD, color="#B8D078"),
        LandClass(name="bare soil", value=SOIL, color="#B98B5E"),
        LandClass(name="trees", value=TREES, color="#1F7A3A"),
        LandClass(name="road", value=ROAD, color="#5F6368"),
        LandClass(name="building", value=BUILDING, color="#D1372C"),
        LandClass(name="water", value=WATER, color="#2B83BA"),
    )
)
"""What a scene shows; meadows, verges and lawns count as field, farm tracks and driveways as road."""
