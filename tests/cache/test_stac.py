from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import pytest
from affine import Affine

from superpoint.cache import rasters as rasters_module
from superpoint.cache.inputs import Source, find_sources
from superpoint.cache.rasters import Raster, open_source
from superpoint.errors import InputError
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

JPEG2000 = "image/jp2"
SENTINEL = {
    "B02": {"href": "./B02.tif", "type": JPEG2000, "eo:bands": [{"name": "B02", "common_name": "blue"}]},
    "B04": {"href": "./B04.tif", "type": JPEG2000, "bands": [{"name": "x", "eo:common_name": "red"}]},
    "B11": {"href": "B11.tif", "type": JPEG2000},
    "SCL": {"href": "SCL.tif", "type": JPEG2000},
    "thumbnail": {"href": "t.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
    "metadata": {"href": "m.xml", "type": "application/xml", "roles": ["metadata"]},
}  # fmt: skip


def item(name: str = "S2A/T33", assets: dict[str, Any] | None = None, **fields: object) -> dict[str, Any]:
    properties = {"datetime": "2024-05-06T10:20:30Z"}
    base = {"type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": []}
    return base | {"properties": properties, "assets": SENTINEL if assets is None else assets} | fields


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def collection(*items: object, **fields: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items)} | fields


def whole(raster: Raster) -> Window:
    return Window(row=0, col=0, n_rows=raster.shape[0], n_cols=raster.shape[1])


# --- which files


def test_assets_by_name_are_stacked_as_bands_in_the_order_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "item.json", item())
    assert find_sources([path], assets=["B04", "B02"], mask_asset="SCL") == [
        Source(
            name="S2A_T33",
            item="S2A/T33",
            paths=(f"{tmp_path}/B04.tif", f"{tmp_path}/B02.tif"),
            band_names=("B04", "B02"),
            aliases=(("x", "red"), ("B02", "blue")),
            mask=f"{tmp_path}/SCL.tif",
            datetime="2024-05-06T10:20:30Z",
        )
    ]


def test_the_only_raster_of_an_item_need_not_be_named(tmp_path: Path) -> None:
    preview = {"href": "p.png", "type": "image/png", "roles": ["overview"]}
    for assets in (
        {"image": {"href": "a.tif", "type": "image/tiff; application=geotiff"}, "preview": preview},
        {"image": {"href": "a.TIF?x=1"}, "info": {"href": "a.json"}},
        {"image": {"href": "a.tif", "roles": ["data"]}, "visual": {"href": "v.tif", "roles": ["visual"]}},
        {"image": {"href": "a.tif"}, "SCL": {"href": "scl.tif"}},
    ):
        (source,) = find_sources(
            [write(tmp_path / "item.json", item(assets=assets))], mask_asset="SCL" if "SCL" in assets else None
        )
        assert (source.paths[0].partition("?")[0].lower(), source.band_names) == (f"{tmp_path}/a.tif".lower(), ())


def test_several_rasters_and_no_choice_are_answered_with_the_list(tmp_path: Path) -> None:
    path = write(tmp_path / "item.json", item())
    words = (
        r"item S2A/T33 of .*item.json cannot be used: it has 4 rasters; choose with --assets.*: B02, B04, B11, SCL, t"
    )
    with pytest.raises(InputError, match=words):
        find_sources([path])


def test_an_asset_that_no_item_has_is_answered_with_the_list(tmp_path: Path) -> None:
    path = write(tmp_path / "items.json", collection(item("a"), item("b")))
    with pytest.raises(InputError, match=r"item a of .* has no asset 'B99'; assets: B02, B04, B11, SCL"):
        find_sources([path], assets=["B02", "B99"])
    with pytest.raises(InputError, match="it has no asset 'cloud'"):
        find_sources([path], assets=["B02"], mask_asset="cloud")


def test_an_item_without_the_asset_or_no_item_at_all_leaves_the_others_alone(tmp_path: Path) -> None:
    poor = item("poor", assets={"B02": SENTINEL["B02"]})
    broken: list[object] = [
        {"type": "Feature", "id": "odd"},
        item("odder", assets=[1]),
        "oddest",
        item(assets={"B04": {}}),
    ]
    path = write(tmp_path / "items.json", collection(item("a"), poor, *broken, item("b")))
    sources = find_sources([path], assets=["B04"])
    assert [source.name for source in sources if not source.problem] == ["a", "b"]
    assert [source.name for source in sources if source.problem] == ["poor", "odd", "odder", "without id", "S2A_T33"]
    with pytest.raises(
        InputError, match=r"item poor of .*items.json cannot be used: it has no asset 'B04'; assets: B02"
    ):
        open_source(sources[1])
    with pytest.raises(InputError, match=r"item odd of .* is no STAC Item that pystac can read"):
        open_source(sources[2])


def test_items_of_a_collection_lie_where_they_say_or_else_beside_it(tmp_path: Path) -> None:
    asset = {"image": {"href": "./a.tif"}}
    linked = item("b", asset, links=[{"rel": "self", "href": "https://h.org/items/b.json"}])
    path = write(tmp_path / "items.geojson", collection(item("a", asset), linked))
    assert [source.paths for source in find_sources([path])] == [(f"{tmp_path}/a.tif",), ("https://h.org/items/a.tif",)]


def test_items_of_older_versions_and_spans_of_time_are_understood(tmp_path: Path) -> None:
    span = {"datetime": None, "start_datetime": "2024-01-01T00:00:00Z", "end_datetime": "2024-02-01T00:00:00Z"}
    old = item("a", {"image": {"href": "a.tif"}}, stac_version="0.9.0", properties=span)
    (source,) = find_sources([write(tmp_path / "item.json", old)])
    assert source.datetime == "2024-01-01T00:00:00Z/2024-02-01T00:00:00Z"


def test_a_catalogue_is_followed_to_all_its_items(tmp_path: Path) -> None:
    catalog = pystac.Catalog("root", "all")
    for number, place in enumerate((catalog, pystac.Catalog("child", "some"))):
        if place is not catalog:
            catalog.add_child(place)
        for name in "ab":
            made = pystac.Item.from_dict(item(f"{name}{number}", {"image": {"href": f"/data/{name}{number}.tif"}}))
            place.add_item(made)
    catalog.normalize_and_save(str(tmp_path), pystac.CatalogType.SELF_CONTAINED)
    (tmp_path / "b0" / "b0.json").unlink()
    found = {source.name: source.problem for source in find_sources([tmp_path / "catalog.json"])}
    assert list(found) == ["a0", "b0", "a1", "b1"]
    assert [name for name, problem in found.items() if problem] == ["b0"]
    assert "cannot read" in str(found["b0"])


def test_a_list_may_name_items_among_rasters(tmp_path: Path) -> None:
    write(tmp_path / "item.json", item("a", {"image": {"href": "a.tif"}}))
    (tmp_path / "list.txt").write_text("x.tif\nitem.json\ngone.json\ny.tif\n")
    sources = find_sources([tmp_path / "list.txt"])
    assert [source.name for source in sources] == ["x", "a", "gone", "y"]
    assert [bool(source.problem) for source in sources] == [False, False, True, False]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "is a JSON list or value"),
        ('{"type": "Polygon"}', r"no STAC Item, ItemCollection, Collection or Catalog \(type 'Polygon'\)"),
        ('{"type": "Catalog"}', "links to no items"),
        ('{"type": "FeatureCollection", "features": []}', "the inputs name no raster"),
        ('{"type": "FeatureCollection", "features": 7}', "has no list of features"),
        ('{"type": "FeatureCollection", "features": [{"type": "Feature", "id": 5, "geometry": null}]}', "no STAC Item"),
    ],
)
def test_what_is_not_stac_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=words):
        find_sources([tmp_path / "a.json"])


def test_a_saved_page_of_several_is_taken_alone_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = [{"rel": "next", "href": "https://h.org/search?page=2"}]
    path = write(tmp_path / "page.json", collection(item("a", {"image": {"href": "a.tif"}}), links=more))
    assert [source.name for source in find_sources([path])] == ["a"]
    assert "one page of several" in caplog.text


# --- what is read


@pytest.fixture
def scene(make_raster: Callable[..., Path], tmp_path: Path) -> dict[str, NDArray[Any]]:
    """Write an item with bands of 10, 10 and 20 m and a scene classification of 20 m."""
    fine, rng = Affine(10, 0, 600_000, 0, -10, 5_300_000), np.random.default_rng(3)
    bands = {name: rng.integers(1, 10_000, (1, 40, 60)).astype(np.uint16) for name in ("B02", "B04")}
    bands["B11"] = rng.integers(1, 10_000, (1, 20, 30)).astype(np.uint16)
    bands["B11"][0, 3, 4] = 0
    bands["SCL"] = rng.integers(3, 12, (1, 20, 30)).astype(np.uint8)
    for name, values in bands.items():
        coarse = fine @ Affine.scale(2) if values.shape[1] == 20 else fine
        nodata = 0 if name != "SCL" else None
        make_raster(values, name=f"{name}.tif", transform=coarse, crs="EPSG:32632", nodata=nodata)
    write(tmp_path / "item.json", item())
    return {name: values[0] for name, values in bands.items()}


def test_bands_and_a_mask_of_other_resolutions_come_onto_the_grid_of_the_first(
    scene: dict[str, NDArray[Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rasters_module._say_once.cache_clear()
    (source,) = find_sources([tmp_path / "item.json"], assets=["B04", "B11", "B02"], mask_asset="SCL")
    raster = open_source(source, mask_values=[3, 8, 9, 10])
    twice = {name: scene[name].repeat(2, axis=0).repeat(2, axis=1) for name in ("B11", "SCL")}
    clear = ~np.isin(twice["SCL"], [3, 8, 9, 10])
    image, valid = raster.read(whole(raster))
    np.testing.assert_array_equal(valid, clear)
    expected = np.stack([scene["B04"], twice["B11"], scene["B02"]]).astype(np.float32)
    expected[1][twice["B11"] == 0] = np.nan  # nodata of one band alone
    np.testing.assert_array_equal(image, np.where(clear, expected, 0))
    open_source(source, mask_values=[3])
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == ["B11", "the mask"]


def test_a_window_of_a_stack_is_cut_from_the_whole(scene: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    (source,) = find_sources([tmp_path / "item.json"], assets=["B11", "B04"], mask_asset="SCL")
    raster = open_source(source, mask_values=[4])
    assert raster.shape == scene["B11"].shape
    image, valid = raster.read(whole(raster))
    window = Window(row=3, col=7, n_rows=10, n_cols=5)
    part, part_valid = raster.read(window)
    np.testing.assert_array_equal(part, image[:, *window.slices])
    np.testing.assert_array_equal(part_valid, valid[window.slices])


@pytest.mark.usefixtures("scene")
def test_bands_of_a_stack_go_by_the_names_of_assets_and_their_common_names(tmp_path: Path) -> None:
    (source,) = find_sources([tmp_path / "item.json"], assets=["B04", "B02", "B11"])
    raster = open_source(source, bands=["blue", "b11", 1])
    assert (raster.bands, raster.band_names, raster.name) == ((2, 3, 1), ("B02", "B11", "B04"), "S2A_T33")
    with pytest.raises(InputError, match="item S2A/T33 has no band 'nir'; bands: 1 B04, 2 B02, 3 B11"):
        open_source(source, bands=["nir"])


@pytest.mark.usefixtures("scene")
def test_one_asset_by_name_is_a_raster_with_that_band(tmp_path: Path) -> None:
    (source,) = find_sources([tmp_path / "item.json"], assets=["B04"])
    assert open_source(source, bands=["red"]).bands == open_source(source, bands=["B04"]).bands == (1,)


@pytest.mark.usefixtures("scene")
def test_a_stack_is_told_from_another_and_after_a_change_of_any_part(
    tmp_path: Path, make_raster: Callable[..., Path]
) -> None:
    def identity(*assets: str, mask: str | None = None, values: tuple[int, ...] = ()) -> str:
        (source,) = find_sources([tmp_path / "item.json"], assets=assets, mask_asset=mask)
        return json.dumps(open_source(source, mask_values=values).identity())

    made = {
        identity("B04"), identity("B04", "B02"), identity("B02", "B04"), identity("B04", "B02", mask="SCL"),
        identity("B04", "B02", mask="SCL", values=(3,)),
    }  # fmt: skip
    assert len(made) == 5
    assert identity("B04", "B02", mask="SCL") in made
    make_raster(np.ones((1, 20, 30), np.uint8), name="SCL.tif", transform=Affine(20, 0, 600_000, 0, -20, 5_300_000))
    assert identity("B04") in made
    with pytest.raises(InputError, match=r"SCL.tif is in .*33N and .*B04.tif in .*32N.* gdalwarp -t_srs EPSG:32632"):
        identity("B04", mask="SCL")


@pytest.mark.usefixtures("scene")
def test_an_asset_of_several_bands_is_not_stacked(tmp_path: Path, make_raster: Callable[..., Path]) -> None:
    make_raster(np.ones((3, 40, 60), np.uint8), name="B02.tif")
    (source,) = find_sources([tmp_path / "item.json"], assets=["B04", "B02"])
    with pytest.raises(InputError, match="B02 of item S2A/T33 has 3 bands; only single bands are stacked"):
        open_source(source)
