"""STAC Items: valid, in the right place, and what they say is what was done."""

from __future__ import annotations

import json
from typing import Any

import antimeridian
import numpy as np
import pyproj
import pystac
import pytest
import shapely
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.validation import JsonSchemaSTACValidator

from superpoint.cache.georeference import Georeference
from superpoint.cache.items import PROCESSING, OutputAsset, OutputBand, footprint, item_of

UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)
ALGORITHM = {"name": "slic", "version": 2, "parameters": {"region_size": 20.0, "compactness": 10.0}}
LABELS = OutputBand(name="labels", dtype="uint32", nodata=0)
CREATED = "2026-11-21T10:00:00Z"


def grid(crs: str | None, transform: tuple[float, ...] = UTM, shape: tuple[int, int] = (1000, 1200)) -> Georeference:
    wkt = None if crs is None else pyproj.CRS(crs).to_wkt()
    return Georeference(shape=shape, transform=transform, crs=wkt)  # type: ignore[arg-type]


def made(georeference: Georeference | None = None, **changed: object) -> dict[str, Any]:
    given: dict[str, Any] = {
        "path": "/cache/label-maps/field-1a2b.json",
        "georeference": georeference or grid("EPSG:32633"),
        "provenance": {"kind": "label-maps", "algorithm": ALGORITHM, "halo": 164, "source": {"path": "/in/field.tif"}},
        "sources": ["/in/field.tif"],
        "assets": {"labels": OutputAsset(path="/cache/label-maps/field-1a2b.zarr", title="Label map", bands=(LABELS,))},
        "created": CREATED,
        "software": {"superpoint": "0.1.0"},
    }
    return item_of("field-1a2b", **given | changed)


def bounds(georeference: Georeference) -> list[float]:
    outline = footprint(georeference)
    assert outline is not None
    assert outline.is_valid
    return list(antimeridian.bbox(outline))


GRIDS = {
    "north-up": grid("EPSG:32633"),
    "south-up": grid("EPSG:32633", (10, 0, 500_000, 0, 10, 4_600_000)),
    "rotated": grid("EPSG:32633", (7, 7, 500_000, 7, -7, 4_600_000)),
    "a zone's end across the antimeridian": grid("EPSG:32660", (10, 0, 700_000, 0, -10, 0), (1000, 20_000)),
    "Fiji": grid("EPSG:3460", (500, 0, 1_800_000, 0, -500, 4_200_000)),
    "around the north pole": grid("EPSG:3413", (4000, 0, -2_000_000, 0, -4000, 2_000_000), (1000, 1000)),
    "around the south pole": grid("EPSG:3031", (4000, 0, -2_000_000, 0, -4000, 2_000_000), (1000, 1000)),
    "beyond 180 degrees": grid("EPSG:4326", (1, 0, 170, 0, -1, 10), (10, 20)),
    "the world from 0 to 360": grid("EPSG:4326", (1, 0, 0, 0, -1, 90), (180, 360)),
    "the world, pixels centred on the poles": grid("EPSG:4326", (1, 0, -180.5, 0, -1, 90.5), (181, 360)),
    "the world in web Mercator": grid(
        "EPSG:3857", (156_543.03, 0, -20_037_508.3, 0, -156_543.03, 20_037_508.3), (256, 256)
    ),
    "no CRS": grid(None),
    "the Moon": grid("ESRI:104903", (1, 0, 0, 0, -1, 0)),
}


@pytest.mark.parametrize("where", GRIDS)
def test_an_item_is_valid_and_survives_pystac(where: str) -> None:
    document = json.loads(json.dumps(made(GRIDS[where])))
    JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, "1.1.0")
    assert pystac.Item.from_dict(document).to_dict(include_self_link=False, transform_hrefs=False) == document


@pytest.mark.parametrize(
    "where",
    ["north-up", "south-up", "rotated", "a zone's end across the antimeridian", "Fiji", "around the north pole"],
)
def test_a_footprint_is_where_proj_says(where: str) -> None:
    georeference = GRIDS[where]
    rows, cols = georeference.shape
    xs, ys = zip(
        *(georeference.affine @ corner for corner in ((0, 0), (cols, 0), (0, rows), (cols, rows))), strict=True
    )
    to_degrees = pyproj.Transformer.from_crs(georeference.crs, "OGC:CRS84", always_xy=True)
    corners = np.stack(to_degrees.transform(xs, ys))
    outline = footprint(georeference)
    assert all(outline.distance(shapely.Point(corner)) < 1e-4 for corner in corners.T)  # a thousandth of a side
    middle = to_degrees.transform(*(georeference.affine @ (cols * 0.45, rows * 0.4)))
    assert outline.contains(shapely.Point(middle))
    if where != "rotated":  # whose bounds in x and y are larger than itself
        expected = to_degrees.transform_bounds(min(xs), min(ys), max(xs), max(ys), densify_pts=99)
        np.testing.assert_allclose(bounds(georeference), expected, atol=1e-3)


def test_a_raster_across_the_antimeridian_is_two_polygons_and_its_west_is_east_of_its_east() -> None:
    document = made(GRIDS["beyond 180 degrees"])
    assert document["geometry"]["type"] == "MultiPolygon"
    assert document["bbox"] == [170, 0, -170, 10]
    parts = shapely.geometry.shape(document["geometry"])
    assert parts.area == pytest.approx(200)
    assert {part.bounds for part in parts.geoms} == {(170, 0, 180, 10), (-180, 0, -170, 10)}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("the world from 0 to 360", [-180, -90, 180, 90]),
        ("the world, pixels centred on the poles", [-180, -90, 180, 90]),
        ("the world in web Mercator", [-180, -85.051129, 180, 85.051129]),
        ("around the south pole", [-180, -90, 180, -64.3862]),
    ],
)
def test_what_goes_around_the_earth_has_all_longitudes(where: str, expected: list[float]) -> None:
    np.testing.assert_allclose(bounds(GRIDS[where]), expected, atol=1e-4)


def test_the_full_disk_seen_from_space_has_the_footprint_of_what_is_on_earth() -> None:
    disk = grid(
        "+proj=geos +h=35786023 +lon_0=-137 +sweep=x", (20_040, 0, -5_434_894, 0, -20_040, 5_434_894), (542, 542)
    )
    west, south, east, north = bounds(disk)
    assert 140 < west < 150
    assert -70 < east < -55
    assert -south == pytest.approx(north, abs=2)  # the disk is looked at through a mesh of points
    assert 70 < north < 80
    assert footprint(disk).contains(shapely.Point(-137, 0))


def test_footprints_run_counter_clockwise_as_geojson_wants() -> None:
    for where, georeference in GRIDS.items():
        outline = footprint(georeference)
        parts = [] if outline is None else getattr(outline, "geoms", [outline])
        assert all(shapely.is_ccw(part.exterior) for part in parts), where


@pytest.mark.parametrize("where", ["no CRS", "the Moon"])
def test_what_lies_nowhere_on_earth_has_no_geometry_and_no_bbox(where: str) -> None:
    document = made(GRIDS[where])
    assert document["geometry"] is None
    assert "bbox" not in document


def test_the_extensions_hold_the_grid_the_bands_and_the_size() -> None:
    cog = OutputAsset(path="/cache/label-maps/field-1a2b.tif", title="COG", bands=(LABELS,), n_bytes=1234)
    item = pystac.Item.from_dict(made(assets={"cog": cog}))
    projection = ProjectionExtension.ext(item)
    assert (projection.code, projection.shape, projection.transform) == ("EPSG:32633", [1000, 1200], list(UTM))
    assert pyproj.CRS(projection.wkt2) == pyproj.CRS("EPSG:32633")
    asset = item.assets["cog"]
    (band,) = RasterExtension.ext(asset).bands
    assert (band.data_type, band.nodata) == ("uint32", 0)
    assert asset.to_dict()["bands"] == [{"name": "labels", "data_type": "uint32", "nodata": 0}]
    assert FileExtension.ext(asset).size == 1234


def test_a_crs_without_a_code_is_told_in_words() -> None:
    properties = made(grid("+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84"))["properties"]
    assert properties["proj:code"] is None
    assert "Lambert Azimuthal Equal Area" in properties["proj:wkt2"]


def test_the_processing_is_told_in_words_and_as_parameters() -> None:
    document = made()
    properties = document["properties"]
    assert PROCESSING in document["stac_extensions"]
    assert properties["processing:software"] == {"superpoint": "0.1.0"}
    assert properties["processing:lineage"] == (
        "superpixels by slic 2 (region_size=20.0, compactness=10.0), halo 164 pixels"
    )
    assert properties["processing:expression"]["expression"]["algorithm"] == ALGORITHM


def test_a_pseudo_mask_names_the_vote_and_the_superpixels_it_was_cast_in() -> None:
    label_map = {
        "kind": "label-maps",
        "algorithm": ALGORITHM,
        "source": {"files": [["a.tif", 9, 1_700_000_000 * 10**9]]},
    }
    properties = made(provenance={"kind": "pseudo-masks", "label_map": label_map, "tie": "lowest"})["properties"]
    assert properties["processing:lineage"].startswith("majority vote of query points in superpixels by slic 2")
    assert properties["datetime"] == "2023-11-14T22:13:20Z"
    assert properties["superpoint:datetime_is"] == "source changed"


def test_the_time_is_the_one_given_else_that_of_processing_and_it_says_which() -> None:
    taken = made(taken="2020-06-01T09:30:00Z")["properties"]
    assert (taken["datetime"], taken["superpoint:datetime_is"]) == ("2020-06-01T09:30:00Z", "taken")
    processed = made()["properties"]
    assert (processed["datetime"], processed["superpoint:datetime_is"]) == (CREATED, "processed")
    assert processed["created"] == processed["processing:datetime"] == CREATED


def test_a_span_of_time_is_its_start_and_end() -> None:
    document = made(taken="2020-06-01T09:30:00Z/2020-06-30T00:00:00Z")
    properties = document["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2020-06-01T09:30:00Z"
    assert properties["end_datetime"] == "2020-06-30T00:00:00Z"
    JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, "1.1.0")


def test_a_time_that_is_none_and_the_version_of_an_object_are_passed_over() -> None:
    source = {"files": [["s3://bucket/a.tif", 9, "etag-1"]]}
    properties = made(taken="last summer", provenance={"kind": "label-maps", "source": source})["properties"]
    assert (properties["datetime"], properties["superpoint:datetime_is"]) == (CREATED, "processed")


def test_what_signs_an_address_is_not_published() -> None:
    (link,) = made(sources=["https://example.org/a.tif?X-Amz-Signature=12ab"])["links"]
    assert link["href"] == "https://example.org/a.tif"


@pytest.mark.parametrize("root", ["/cache/label-maps", "s3://archive/cache/label-maps"])
def test_what_lies_beside_an_item_is_named_relatively_and_all_else_in_full(root: str) -> None:
    document = made(
        path=f"{root}/field-1a2b.json",
        assets={
            "labels": OutputAsset(path=f"{root}/field-1a2b.zarr", title="Label map", bands=(LABELS,)),
            "cog": OutputAsset(path="/out/field.labels.tif", title="COG", bands=(LABELS,)),
            "points": OutputAsset(path=f"{root}-2/points.parquet", title="Points", roles=("metadata",)),
        },
        sources=["https://example.com/items/field.json", "/in/field.tif"],
    )
    assets = document["assets"]
    assert {key: asset["href"] for key, asset in assets.items()} == {
        "labels": "./field-1a2b.zarr",
        "cog": "/out/field.labels.tif",
        "points": f"{root}-2/points.parquet",
    }
    assert [assets[key]["type"] for key in ("labels", "cog", "points")] == [
        "application/vnd.zarr; version=3",
        "image/tiff; application=geotiff; profile=cloud-optimized",
        "application/vnd.apache.parquet",
    ]
    assert [(link["rel"], link["href"], link["type"]) for link in document["links"]] == [
        ("derived_from", "https://example.com/items/field.json", "application/geo+json"),
        ("derived_from", "/in/field.tif", "image/tiff"),
    ]
