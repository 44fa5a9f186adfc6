"""From geometries to places: points as they are, multipoints part by part, polygons and lines as is chosen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pyarrow as pa
import shapely

from superpoint.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.points.columns import PointColumns

    Floats = NDArray[np.float64]
    Longs = NDArray[np.int64]
    Shapes = NDArray[np.object_]

POINT_WKB = np.dtype([("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
"""A point in 21 bytes, little-endian."""

_POINT, _LINE, _RING, _POLYGON = 0, 1, 2, 3  # shapely's type ids; those above are of several parts


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the rows of a batch lie."""

    xs: Floats
    ys: Floats
    owners: Longs | None
    """Row of each place, ascending; None where row i has place i and no other."""
    geometries: Shapes
    """To be burned in."""
    geometry_rows: Longs


def places_of(path: Path, geometry: pa.Array | Shapes, columns: PointColumns) -> Places:
    """Return where geometries lie; a row without any has a place that is no number.

    Raises
    ------
    InputError
        If there are polygons or lines, and nobody said what becomes of them.
    """
    if isinstance(geometry, np.ndarray):
        xs, ys = np.full(len(geometry), np.nan), np.full(len(geometry), np.nan)
        rest, shapes = np.arange(len(geometry)), geometry
    else:
        xs, ys, rest = read_points_of_wkb(geometry)
        wkb = geometry.take(pa.array(rest)).to_numpy(zero_copy_only=False)
        shapes = shapely.from_wkb(wkb, on_invalid="ignore") if len(rest) else np.zeros(0, object)
    parts, owners = _parts(np.asarray(shapes, object), rest)
    kinds = shapely.get_type_id(parts)
    is_point = kinds == _POINT
    others, other_rows = parts[~is_point], owners[~is_point]
    if len(others) and columns.geometries is None:
        _refuse(path, others)
    points, point_rows = parts[is_point], owners[is_point]
    part_xs, part_ys = shapely.get_x(points), shapely.get_y(points)
    if columns.geometries == "sample" and len(others):
        sample_xs, sample_ys, sample_rows = _sample(others, other_rows, columns)
        part_xs, part_ys = np.concatenate([part_xs, sample_xs]), np.concatenate([part_ys, sample_ys])
        point_rows = np.concatenate([point_rows, sample_rows])
        others, other_rows = others[:0], other_rows[:0]
    return _joined(xs, ys, part_xs, part_ys, point_rows, others, other_rows)


def read_points_of_wkb(geometry: pa.Array) -> tuple[Floats, Floats, Longs]:
    """Read the points among geometries straight from their bytes.

    Parameters
    ----------
    geometry : array of WKB
        Binary or large binary.

    Returns
    -------
    xs, ys : float64 array of shape (rows,)
        NaN where there is no geometry, it is empty or it is no such point.
    rest : int64 array
        The rows that hold something else.
    """
    if not pa.types.is_large_binary(geometry.type):
        geometry = geometry.cast(pa.large_binary())
    n = len(geometry)
    xs, ys = np.full(n, np.nan), np.full(n, np.nan)
    _, offset_bytes, data = geometry.buffers()
    if n == 0 or data is None:
        return xs, ys, np.zeros(0, np.int64)
    offsets = np.frombuffer(offset_bytes, np.int64)[geometry.offset : geometry.offset + n + 1]
    lengths = np.diff(offsets)
    sized = np.flatnonzero(lengths == POINT_WKB.itemsize)
    if len(sized) == n:
        found = np.frombuffer(data, POINT_WKB, count=n, offset=int(offsets[0]))
    else:
        letters = np.frombuffer(data, np.uint8)[offsets[sized, None] + np.arange(POINT_WKB.itemsize)]
        found = letters.view(POINT_WKB).reshape(-1)
    plain = (found["order"] == 1) & (found["kind"] == 1)
    xs[sized[plain]], ys[sized[plain]] = found["x"][plain], found["y"][plain]
    is_rest = lengths > 0
    is_rest[sized[plain]] = False
    return xs, ys, np.flatnonzero(is_rest)


def _parts(shapes: Shapes, rows: Longs) -> tuple[Shapes, Longs]:
    """Take apart what has several parts, but polygons and lines that belong together."""
    kept = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes, rows = shapes[kept], rows[kept]
    while True:
        kinds = shapely.get_type_id(shapes)
        collected = np.isin(kinds, [4, 7])  # multipoints and collections
        if not collected.any():
            return shapes, rows
        parts, owners = shapely.get_parts(shapes[collected], return_index=True)
        shapes = np.concatenate([shapes[~collected], parts[~shapely.is_empty(parts)]])
        rows = np.concatenate([rows[~collected], rows[collected][owners[~shapely.is_empty(parts)]]])
        order = np.argsort(rows, kind="stable")
        shapes, rows = shapes[order], rows[order]


def _refuse(path: Path, shapes: Shapes) -> None:
    kinds = ", ".join(sorted({shape.geom_type for shape in shapes}))
    raise InputError(
        f"{path} holds {kinds}; choose whether all their pixels vote, with --geometries burn, or some points in each, "
        f"with --geometries sample"
    )


def _sample(shapes: Shapes, rows: Longs, columns: PointColumns) -> tuple[Floats, Floats, Longs]:
    """Draw points in polygons and on lines; those of one depend on the seed and its own shape, not on other rows."""
    places, owners = [np.zeros((0, 2))], [rows[:0]]
    for shape, row in zip(shapes, rows, strict=True):
        if shape.area == 0 and shape.length == 0:
            continue
        content = int.from_bytes(hashlib.sha256(shape.wkb).digest()[:8])
        rng = np.random.default_rng([columns.seed, content])
        # Uniform over a polygon by rejection, which would never end where there is no area.
        inside = shape if shape.area > 0 or shape.geom_type.endswith("LineString") else shape.boundary
        drawn = gpd.GeoSeries([inside]).sample_points(columns.points_per_geometry, rng=rng).to_numpy()
        places.append(shapely.get_coordinates(drawn))
        owners.append(np.full(len(places[-1]), row))
    xs, ys = np.concatenate(places).T
    return xs, ys, np.concatenate(owners)


def _joined(
    xs: Floats, ys: Floats, part_xs: Floats, part_ys: Floats, part_rows: Longs, shapes: Shapes, shape_rows: Longs
) -> Places:
    """Put single points and the parts of other rows together, in the order of rows."""
    counts = np.bincount(part_rows, minlength=len(xs))
    if counts.max(initial=0) <= 1:
        xs[part_rows], ys[part_rows] = part_xs, part_ys
        return Places(xs=xs, ys=ys, owners=None, geometries=shapes, geometry_rows=shape_rows)
    single = np.flatnonzero(counts == 0)
    owners = np.concatenate([single, part_rows])
    order = np.argsort(owners, kind="stable")
    return Places(
        xs=np.concatenate([xs[single], part_xs])[order],
        ys=np.concatenate([ys[single], part_ys])[order],
        owners=owners[order],
        geometries=shapes,
        geometry_rows=shape_rows,
    )
