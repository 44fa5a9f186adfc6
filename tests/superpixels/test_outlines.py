"""Polygons of superpixels: against GDAL's polygons, and pyproj's areas."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaics import mosaic
from numpy.typing import NDArray
from rasterio import features

from superpoint.superpixels.outlines import Outlines, ellipsoid_areas, find_corners, trace

Labels = NDArray[np.uint32]
WGS84 = pyproj.Geod(ellps="WGS84")


def outlines_of(labels: Labels, *, clockwise: bool = False) -> Outlines:
    return trace(find_corners(np.pad(labels, 1), row=-1, col=-1), clockwise=clockwise)


def polygons_of(outlines: Outlines) -> NDArray[np.object_]:
    places = outlines.vertices[:, ::-1].astype(float)  # x = col, y = row
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, places, (outlines.rings, outlines.polygons))


def gdal_polygons(labels: Labels) -> NDArray[np.object_]:
    """GDAL's polygons in ascending order of the ids."""
    ids = np.unique(labels)
    ranks = np.searchsorted(ids, labels).astype(np.int32)
    found = [(rank, shapely.geometry.shape(outline)) for outline, rank in features.shapes(ranks, mask=labels > 0)]
    return np.array([polygon for _, polygon in sorted(found, key=lambda pair: pair[0])])


def drawn(text: str) -> Labels:
    return np.array([[int(letter) for letter in line] for line in text.split()], np.uint32)


@settings(max_examples=60)
@given(seed=st.integers(0, 9999), rows=st.integers(1, 20), cols=st.integers(1, 20), n_values=st.sampled_from([2, 3, 6]))
def test_polygons_are_those_of_gdal_vertex_by_vertex(seed: int, rows: int, cols: int, n_values: int) -> None:
    labels = mosaic((rows, cols), seed, n_values)
    outlines = outlines_of(labels)
    np.testing.assert_array_equal(outlines.ids, np.unique(labels[labels > 0]))
    ours, theirs = shapely.normalize(polygons_of(outlines)), shapely.normalize(gdal_polygons(labels))
    assert shapely.is_valid(ours).all()
    assert shapely.equals_exact(ours, theirs).all()


def test_a_polygon_has_its_corners_and_no_other_vertices() -> None:
    outlines = outlines_of(drawn("000 077 070"), clockwise=True)
    assert outlines.vertices.tolist() == [[1, 1], [1, 3], [2, 3], [2, 2], [3, 2], [3, 1], [1, 1]]
    assert (outlines.rings.tolist(), outlines.polygons.tolist()) == ([0, 7], [0, 1])


def test_holes_that_touch_the_outside_or_one_another_at_a_corner_are_holes() -> None:
    (polygon,) = polygons_of(outlines_of(drawn("01111 10111 11011 11111")))
    assert shapely.is_valid(polygon)
    assert (len(polygon.interiors), polygon.area) == (2, 17)
    assert [hole.area for hole in map(shapely.Polygon, polygon.interiors)] == [1, 1]


def test_a_superpixel_within_another_fills_its_hole() -> None:
    one, other = polygons_of(outlines_of(drawn("1111 1221 1121 1111")))
    assert shapely.Polygon(one.interiors[0]).equals(other)


@pytest.mark.parametrize("clockwise", [True, False])
def test_exteriors_go_one_way_and_holes_the_other(clockwise: bool) -> None:
    for polygon in polygons_of(outlines_of(mosaic((30, 30), 3, 2), clockwise=clockwise)):
        # With rows going down, clockwise to the eye is counterclockwise in (col, row).
        assert polygon.exterior.is_ccw == clockwise
        assert all(hole.is_ccw != clockwise for hole in polygon.interiors)


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), row=st.integers(1, 19), col=st.integers(1, 19))
def test_corners_of_parts_in_any_order_make_the_same_polygons(seed: int, row: int, col: int) -> None:
    labels = mosaic((20, 20), seed)
    framed = np.pad(labels, 1)
    parts = [
        find_corners(framed[first_row:stop_row, first_col:stop_col], row=first_row - 1, col=first_col - 1)
        for first_row, stop_row in ((row, 22), (0, row + 1))
        for first_col, stop_col in ((0, col + 1), (col, 22))
    ]
    for ours, whole in zip(trace(np.concatenate(parts)), outlines_of(labels), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_no_superpixels_make_no_polygons() -> None:
    outlines = outlines_of(np.zeros((3, 3), np.uint32))
    assert [len(part) for part in outlines] == [0, 0, 1, 1]


def test_a_polygon_far_down_a_large_raster_is_where_it_is() -> None:
    corners = find_corners(np.pad(np.ones((1, 1), np.uint32), 1), row=400_000_000, col=500_000_000)
    assert trace(corners).vertices[0].tolist() == [400_000_001, 500_000_001]


@pytest.mark.parametrize("text", ["101", "10 01", "111 101 111 000 111", "2022 2222 0000 1011"])
def test_a_superpixel_in_pieces_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="superpixel 1 is not one 4-connected region"):
        outlines_of(drawn(text))


@pytest.mark.parametrize("lost", range(10))
def test_a_superpixel_without_one_of_its_corners_is_refused(lost: int) -> None:
    corners = find_corners(np.pad(drawn("111 101 110"), 1), row=-1, col=-1)
    assert len(corners) == 10
    with pytest.raises(ValueError, match="superpixel 1 is not one 4-connected region"):
        trace(np.delete(corners, lost, axis=0))


# --- areas on the ellipsoid


def geodesic_areas(outlines: Outlines, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]) -> list[float]:
    """Return areas by pyproj; so many vertices are put on the edges that geodesics do not leave them."""
    places = np.stack([longitudes, latitudes], axis=1)
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, places, (outlines.rings, outlines.polygons))
    return [abs(WGS84.geometry_area_perimeter(one)[0]) for one in shapely.segmentize(polygons, 5e-5)]


def our_areas(
    outlines: Outlines, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    places = np.radians(longitudes), np.radians(latitudes)
    return ellipsoid_areas(outlines, *places, radius=WGS84.a, eccentricity2=WGS84.es)


def test_areas_are_those_of_geodesic_polygons_across_the_antimeridian_too() -> None:
    outlines = outlines_of(mosaic((20, 30), 1))
    rows, cols = outlines.vertices.T
    place = 179.999 + 1e-4 * cols, 60 - 5e-5 * rows
    np.testing.assert_allclose(our_areas(outlines, *place), geodesic_areas(outlines, *place), rtol=1e-6)


def test_areas_on_a_rotated_grid_are_those_of_geodesic_polygons() -> None:
    outlines = outlines_of(mosaic((20, 30), 2))
    rows, cols = outlines.vertices.T
    place = 10 + 1e-4 * cols + 7e-5 * rows, -50 - 9e-5 * rows + 3e-5 * cols
    np.testing.assert_allclose(our_areas(outlines, *place), geodesic_areas(outlines, *place), rtol=1e-6)


def test_areas_of_wide_pixels_add_up_to_the_earth() -> None:
    outlines = outlines_of(np.arange(1, 19, dtype=np.uint32).reshape(3, 6))  # pixels of 60 x 60 degrees
    rows, cols = 60 * outlines.vertices.T
    areas = our_areas(outlines, cols - 180, 90 - rows)
    assert areas.sum() == pytest.approx(510_065_621_724_089, rel=1e-13)  # m2 of the WGS 84 ellipsoid
