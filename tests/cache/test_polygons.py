"""Polygons on disk: against GDAL's polygons dissolved by geopandas, scikit-image's measures, and pyproj's areas."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from mosaics import mosaic
from rasterio import features
from skimage.measure import regionprops_table

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, open_group
from superpoint.cache.polygons import write_polygons
from superpoint.cache.rasters import open_raster
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (50, 70)
LABELS = mosaic(SHAPE, 4)
IDS = np.unique(LABELS[LABELS > 0])
IMAGE = np.random.default_rng(2).normal(1000, 100, (2, *SHAPE)).astype(np.float32)
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
FORMATS = pytest.mark.parametrize("name", ["map.parquet", "map.gpkg"])


def grid_of(transform: Affine = NORTH_UP, crs: str | None = "EPSG:32633") -> Georeference:
    return Georeference(shape=SHAPE, transform=tuple(transform)[:6], crs=crs and pyproj.CRS(crs).to_wkt("WKT2_2019"))


@dataclass
class LabelMap:
    """A label map in memory."""

    labels: NDArray[np.uint32] = field(default_factory=lambda: LABELS)
    georeference: Georeference = field(default_factory=grid_of)
    tile_size: int = 16
    path: str = "labels.zarr"
    provenance: dict[str, Any] = field(default_factory=lambda: {"algorithm": "slic"})

    def read(self, name: str, window: Window) -> NDArray[np.uint32]:
        assert name == "labels"
        return self.labels[window.slices]


@dataclass
class Image:
    """A raster in memory."""

    values: NDArray[np.float32] = field(default_factory=lambda: IMAGE)
    valid: NDArray[np.bool_] = field(default_factory=lambda: np.ones(SHAPE, bool))
    georeference: Georeference = field(default_factory=grid_of)
    bands: tuple[int, ...] = (4, 1)
    band_names: tuple[str, ...] = ()
    path: str = "scene.tif"

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return self.values[:, *window.slices].copy(), self.valid[window.slices]


def write(path: Path, group: Any = None, raster: Any = None, **options: Any) -> int:  # noqa: ANN401  # twins
    return write_polygons(path, group or LabelMap(), raster, **{"overwrite": False} | options)


def read(path: Path) -> gpd.GeoDataFrame:
    """Read a file in ascending order of the ids."""
    table = gpd.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path)
    return table.sort_values("id", ignore_index=True)


def dissolved(transform: Affine = NORTH_UP) -> NDArray[np.object_]:
    """Return GDAL's polygons of the whole map, dissolved by id, in ascending order."""
    ranks = np.searchsorted(IDS, LABELS).astype(np.int32)
    found = features.shapes(ranks, mask=LABELS > 0, connectivity=4, transform=transform)
    outlines, numbers = zip(*found, strict=True)
    table = gpd.GeoDataFrame({"id": IDS[np.array(numbers, int)]}, geometry=list(map(shapely.geometry.shape, outlines)))
    return table.dissolve("id").sort_index().geometry.to_numpy()


# --- polygons


@FORMATS
@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        Affine(10, 0, 500_000, 0, 10, 5_000_000),  # south-up
        NORTH_UP @ Affine.rotation(30) @ Affine.shear(5),
        Affine(0, 4, 500_000, -4, 0, 5_000_000),  # on its side
    ],
    ids=["north-up", "south-up", "rotated", "on its side"],
)
def test_polygons_are_those_of_gdal_wherever_the_raster_lies(tmp_path: Path, name: str, transform: Affine) -> None:
    grid = grid_of(transform)
    assert write(tmp_path / name, LabelMap(georeference=grid)) == len(IDS)
    table = read(tmp_path / name)
    assert table.id.tolist() == IDS.tolist()
    assert table.crs == pyproj.CRS("EPSG:32633")
    polygons = table.geometry.to_numpy()
    assert set(table.geom_type) == {"Polygon"}
    assert shapely.is_valid(polygons).all()
    ours, theirs = shapely.normalize(polygons), shapely.normalize(dissolved(transform))
    assert shapely.equals_exact(ours, theirs, tolerance=1e-8).all()  # m; the order of two additions
    assert all(polygon.exterior.is_ccw and not any(hole.is_ccw for hole in polygon.interiors) for polygon in polygons)


@FORMATS
def test_every_tile_size_makes_the_same_polygons(tmp_path: Path, name: str) -> None:
    tables = []
    for size in (1024, 16, 7):
        write(tmp_path / name, LabelMap(tile_size=size), Image(), overwrite=True)
        tables.append(read(tmp_path / name))
    assert len(tables[0]) == len(IDS)
    for table in tables[1:]:
        assert table.geometry.to_wkb().equals(tables[0].geometry.to_wkb())
        columns = [name for name in table.columns if name != "geometry"]
        np.testing.assert_allclose(table[columns], tables[0][columns], rtol=1e-11)


@FORMATS
def test_a_raster_without_a_crs_has_polygons_without_one(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, LabelMap(georeference=grid_of(Affine.identity(), None)))
    table = read(tmp_path / name)
    assert table.crs is None
    assert "area_m2" not in table.columns
    np.testing.assert_array_equal(table.area, table.area_px)
    np.testing.assert_array_equal(table.bounds.miny, table.row_min)
    np.testing.assert_array_equal(table.bounds.maxx, table.col_max + 1)


@FORMATS
def test_a_raster_across_the_antimeridian_keeps_its_coordinates(tmp_path: Path, name: str) -> None:
    place = Affine(1e-2, 0, 179.7, 0, -1e-2, 10)
    write(tmp_path / name, LabelMap(georeference=grid_of(place, "EPSG:4326")))
    assert read(tmp_path / name).total_bounds == pytest.approx([179.7, 9.5, 180.4, 10])


@FORMATS
def test_a_map_of_nodata_alone_is_an_empty_table(tmp_path: Path, name: str) -> None:
    empty = LabelMap(labels=LABELS * np.uint32(0), georeference=grid_of(NORTH_UP, "EPSG:4326"))
    assert write(tmp_path / name, empty, Image(georeference=empty.georeference)) == 0
    table = read(tmp_path / name)
    assert (len(table), table.crs) == (0, pyproj.CRS("EPSG:4326"))
    assert {"id", "area_m2", "mean_4", "geometry"} <= set(table.columns)


# --- columns


@FORMATS
def test_columns_are_what_scikit_image_measures(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, raster=Image(band_names=("nir", "B04")))
    table = read(tmp_path / name)
    ranks = np.where(LABELS > 0, np.searchsorted(IDS, LABELS) + 1, 0)
    measured = ("area", "bbox", "intensity_mean", "intensity_std")
    truth = regionprops_table(ranks, np.moveaxis(IMAGE.astype(float), 0, -1), properties=measured)
    assert table.area_px.tolist() == truth["area"].tolist()
    assert (table.row_min.tolist(), table.col_min.tolist()) == (truth["bbox-0"].tolist(), truth["bbox-1"].tolist())
    assert (table.row_max + 1).tolist() == truth["bbox-2"].tolist()
    assert (table.col_max + 1).tolist() == truth["bbox-3"].tolist()
    for band, of_band in enumerate(("nir", "B04")):
        np.testing.assert_allclose(table[f"mean_{of_band}"], truth[f"intensity_mean-{band}"], rtol=1e-12)
        np.testing.assert_allclose(table[f"std_{of_band}"], truth[f"intensity_std-{band}"], atol=1e-9)


@FORMATS
def test_types_are_the_same_in_both_formats(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, raster=Image())
    table = read(tmp_path / name)
    kinds = {column: str(kind) for column, kind in table.dtypes.items() if column not in ("geometry", "id")}
    boxes = {} if name == "map.parquet" else dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), "float64")
    numbers = dict.fromkeys(("area_m2", "mean_4", "std_4", "mean_1", "std_1"), "float64") | boxes
    pixels = dict.fromkeys(("row_min", "row_max", "col_min", "col_max"), "int32")
    assert kinds == {"area_px": "int64"} | numbers | pixels
    assert table.id.max() > 2**31


@FORMATS
def test_without_a_raster_there_are_no_columns_of_bands(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert not [column for column in read(tmp_path / name).columns if column.startswith(("mean", "std"))]


@pytest.mark.parametrize(
    ("names", "columns"),
    [((), {"mean_4", "mean_1"}), (("red", ""), {"mean_red", "mean_1"}), (("b", "B"), {"mean_4", "mean_1"})],
)
def test_bands_go_by_number_where_they_have_no_names_of_their_own(
    tmp_path: Path, names: tuple[str, ...], columns: set[str]
) -> None:
    write(tmp_path / "map.gpkg", raster=Image(band_names=names))
    assert {name for name in read(tmp_path / "map.gpkg").columns if name.startswith("mean")} == columns


@FORMATS
def test_pixels_without_data_do_not_count_and_a_band_without_any_is_null(tmp_path: Path, name: str) -> None:
    values, valid = IMAGE.copy(), np.ones(SHAPE, bool)
    masked, unknown = IDS[np.argsort([np.count_nonzero(label == LABELS) for label in IDS])[-2:]]
    where = np.argwhere(masked == LABELS)
    valid[tuple(where[0])] = False
    values[1, unknown == LABELS] = np.nan
    write(tmp_path / name, raster=Image(values=values, valid=valid))
    table = read(tmp_path / name).set_index("id")
    assert table.mean_4[masked] == pytest.approx(IMAGE[0][tuple(where[1:].T)].mean(dtype=float), rel=1e-12)
    assert table.area_px[masked] == len(where)
    assert np.isnan(table.loc[unknown, ["mean_1", "std_1"]].astype(float)).all()
    assert table.mean_4[unknown] == pytest.approx(IMAGE[0][unknown == LABELS].mean(dtype=float), rel=1e-12)
    assert table.mean_1.isna().sum() == 1


def test_areas_add_up_to_the_area_with_data_exactly(tmp_path: Path) -> None:
    write(tmp_path / "map.parquet")
    table = read(tmp_path / "map.parquet")
    assert table.area_px.sum() == np.count_nonzero(LABELS)
    assert table.area_m2.sum() == 100 * np.count_nonzero(LABELS)
    np.testing.assert_array_equal(table.area_m2, table.area)


def test_areas_in_feet_are_told_in_square_metres(tmp_path: Path) -> None:
    write(tmp_path / "map.parquet", LabelMap(georeference=grid_of(NORTH_UP, "EPSG:2263")))  # US survey feet
    table = read(tmp_path / "map.parquet")
    np.testing.assert_allclose(table.area_m2, table.area_px * 100 * (1200 / 3937) ** 2, rtol=1e-14)


def test_areas_in_degrees_are_those_on_the_ellipsoid(tmp_path: Path) -> None:
    grid = grid_of(Affine(1e-4, 0, 20, 0, -1e-4, 40), "EPSG:4258")
    write(tmp_path / "map.parquet", LabelMap(georeference=grid))
    table = read(tmp_path / "map.parquet").iloc[::20]
    geod = pyproj.CRS("EPSG:4258").get_geod()
    assert geod is not None
    geodesic = [abs(geod.geometry_area_perimeter(polygon)[0]) for polygon in table.geometry.segmentize(5e-5)]
    np.testing.assert_allclose(table.area_m2, geodesic, rtol=1e-6)


def test_areas_in_a_crs_that_is_not_of_the_earth_are_not_told(tmp_path: Path) -> None:
    local = 'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    write(tmp_path / "map.parquet", LabelMap(georeference=grid_of(NORTH_UP, local)))
    assert "area_m2" not in read(tmp_path / "map.parquet").columns


# --- files


def test_parquet_tells_everything_geoparquet_wants(tmp_path: Path) -> None:
    write(tmp_path / "map.parquet")
    metadata = pq.read_metadata(tmp_path / "map.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert (geo["version"], column["encoding"], column["geometry_types"]) == ("1.1.0", "WKB", ["Polygon"])
    assert column["bbox"] == read(tmp_path / "map.parquet").total_bounds.tolist()
    assert pyproj.CRS.from_json_dict(column["crs"]) == pyproj.CRS("EPSG:32633")
    assert json.loads(metadata[b"superpoint"]) == {"algorithm": "slic"}


def test_parquet_can_be_read_by_bounding_box(tmp_path: Path) -> None:
    write(tmp_path / "map.parquet")
    box = (500_100, 4_999_800, 500_200, 4_999_900)
    found = gpd.read_parquet(tmp_path / "map.parquet", bbox=box)  # by the covering column
    table = read(tmp_path / "map.parquet")
    near = (table.bounds.minx <= box[2]) & (table.bounds.maxx >= box[0])
    near &= (table.bounds.miny <= box[3]) & (table.bounds.maxy >= box[1])
    assert sorted(found.id) == table.id[near].tolist()


def test_a_geopackage_has_one_indexed_layer_that_tells_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path / "map.gpkg")
    assert pyogrio.list_layers(tmp_path / "map.gpkg").tolist() == [["map", "Polygon"]]
    facts = pyogrio.read_info(tmp_path / "map.gpkg")
    assert facts["capabilities"]["fast_spatial_filter"]
    assert json.loads(facts["layer_metadata"]["superpoint"]) == {"algorithm": "slic"}
    table = read(tmp_path / "map.gpkg")
    np.testing.assert_array_equal(table[["xmin", "ymin", "xmax", "ymax"]], table.bounds)


def test_the_same_map_gives_the_same_bytes_of_parquet(tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet"):
        write(tmp_path / name, raster=Image())
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@FORMATS
def test_a_map_of_the_cache_is_written_with_its_raster(
    tmp_path: Path, make_raster: Callable[..., Path], name: str
) -> None:
    raster = open_raster(make_raster(IMAGE))
    spec = ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")
    group = open_group(
        tmp_path, kind="label-maps", name="scene", georeference=raster.georeference, tile_size=32,
        arrays={"labels": spec}, provenance={"seed": 0},
    )  # fmt: skip
    for tile in TileGrid(shape=SHAPE, size=32):
        group.write_tile(tile, {"labels": LABELS[tile.core.slices]})
    swept: list[int] = []
    assert write(tmp_path / "out" / name, group, raster, on_tile=swept.append) == len(IDS)
    assert (len(swept), sum(swept)) == (6, LABELS.size)
    table = read(tmp_path / "out" / name)
    assert table.crs == pyproj.CRS("EPSG:32633")
    means = table[[column for column in table.columns if column.startswith("mean_")]].to_numpy()
    shares = table.area_px.to_numpy() / np.count_nonzero(LABELS)
    np.testing.assert_allclose(shares @ means, IMAGE[:, LABELS > 0].mean(axis=1, dtype=float), rtol=1e-12)


# --- refusals and failures


@pytest.mark.parametrize("name", ["map.geojson", "map", "map.shp"])
def test_another_format_is_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}; give a name that ends in .parquet \(GeoParquet\) or .gpkg"):
        write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@FORMATS
def test_a_file_that_is_there_is_kept_unless_it_may_be_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match=rf"{name} exists already; give --overwrite to replace it"):
        write(tmp_path / name)
    assert (tmp_path / name).read_text() == "precious"
    write(tmp_path / name, overwrite=True)
    assert len(read(tmp_path / name)) == len(IDS)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_raster_on_another_grid_is_refused(tmp_path: Path) -> None:
    moved = Image(georeference=grid_of(NORTH_UP @ Affine.translation(1, 0)))
    with pytest.raises(InputError, match=r"labels.zarr and scene.tif lie on different grids"):
        write(tmp_path / "map.parquet", raster=moved)


@FORMATS
def test_labels_that_are_not_regions_are_refused(tmp_path: Path, name: str) -> None:
    labels = LABELS.copy()
    labels[[1, 3], 5] = 17
    labels[2, 5] = 0
    with pytest.raises(
        InputError, match=r"labels.zarr cannot be written as polygons: superpixel 17 is not one 4-connected region, as"
    ):
        write(tmp_path / name, LabelMap(labels=labels))
    assert list(tmp_path.iterdir()) == []


class Interrupted(BaseException):
    """Like a KeyboardInterrupt, which pytest keeps for itself."""


@FORMATS
@pytest.mark.parametrize("failure", [OSError, RuntimeError, InputError, Interrupted])
def test_a_failure_on_the_way_is_told_as_it_is_and_leaves_the_older_file(
    tmp_path: Path, name: str, failure: type[BaseException]
) -> None:
    (tmp_path / name).write_text("precious")

    def fail(_: int) -> None:
        raise failure("in the middle")

    with pytest.raises(failure, match=r"^in the middle$"):
        write(tmp_path / name, on_tile=fail, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """Let no file grow further, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@FORMATS
def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with files_of_at_most(20_000), pytest.raises(InputError, match=rf"cannot write .*{name}: .*; check the space"):
        write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
