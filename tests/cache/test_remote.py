from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from servers import CUT, SILENT, FileServer, file_server, make_bucket, publish, s3_server, use_s3

from superpoint.cache import objects
from superpoint.cache.handles import close_handles
from superpoint.cache.inputs import Source, find_sources
from superpoint.cache.objects import list_objects, object_facts, read_document
from superpoint.cache.rasters import Raster, open_raster, open_source
from superpoint.cache.remote import gdal_options, object_store
from superpoint.errors import InputError, UnreachableError
from superpoint.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 300
KEY = "a folder/scène %20.tif"


def whole(raster: Raster) -> Window:
    return Window(row=0, col=0, n_rows=raster.shape[0], n_cols=raster.shape[1])


def noise(n_bands: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(n_bands).integers(1, 255, (n_bands, SIDE, SIDE)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _own_handles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.001)
    close_handles()
    yield
    close_handles()


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the name of an empty bucket, the environment being set."""
    use_s3(monkeypatch, s3_endpoint)
    bucket = f"b{abs(hash(request.node.name))}"
    make_bucket(s3_endpoint, bucket)
    return bucket


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def web(files: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    files.fail(None)
    files.asked()
    return files


@pytest.fixture
def tif(make_raster: Callable[..., Path]) -> bytes:
    return make_raster(noise(), tiled=True, blockxsize=128, blockysize=128).read_bytes()


def put(bucket: str, key: str, content: bytes) -> str:
    object_store(f"s3://{bucket}").put(key, content)
    return f"s3://{bucket}/{key}"


# --- S3


@pytest.mark.parametrize("form", ["s3://{}/{}", "/vsis3/{}/{}"])
def test_a_raster_in_a_bucket_is_read_with_the_usual_variables_and_named_by_its_etag(
    s3: str, tif: bytes, form: str
) -> None:
    put(s3, KEY, tif)
    raster = open_raster(form.format(s3, KEY))
    image, valid = raster.read(whole(raster))
    np.testing.assert_array_equal(image, noise())
    assert valid.all()
    ((place, n_bytes, version),) = raster.files
    assert (place, n_bytes, raster.name) == (f"s3://{s3}/{KEY}", len(tif), "scène %20")
    assert version == object_store(f"s3://{s3}").head(KEY)["e_tag"]


def test_an_object_that_was_replaced_is_told_from_what_it_was_and_not_read_under_its_name(
    s3: str, make_raster: Callable[..., Path]
) -> None:
    url = put(s3, "a.tif", make_raster(noise()).read_bytes())
    before = open_raster(url)
    put(s3, "a.tif", make_raster(noise() // 2).read_bytes())
    after = open_raster(url)
    assert before.identity() != after.identity()
    np.testing.assert_array_equal(after.read(whole(after))[0], noise() // 2)
    close_handles()
    with pytest.raises(InputError, match=r"a.tif changed while it was worked on .* run the same command again"):
        before.read(whole(before))


def test_a_raster_of_a_bucket_is_pickled_without_credentials(s3: str, tif: bytes) -> None:
    raster = open_raster(put(s3, "a.tif", tif))
    assert b"secret" not in pickle.dumps(raster)
    assert "secret" not in json.dumps(raster.identity())


@pytest.mark.parametrize(("bucket", "key"), [("{}", "no.tif"), ("nobody-has-this", "a.tif")])
def test_an_object_or_bucket_that_is_not_there_is_bad_input(s3: str, bucket: str, key: str) -> None:
    with pytest.raises(InputError, match=rf"{key} does not exist; check the address"):
        open_raster(f"s3://{bucket.format(s3)}/{key}")


def test_an_object_that_is_no_raster_is_bad_input(s3: str) -> None:
    url = put(s3, "a.tif", b"not a raster" * 1000)
    with pytest.raises(InputError, match=r"cannot open s3://.*a.tif as a raster: .* give a raster that gdalinfo reads"):
        open_raster(url)


def test_the_size_of_an_object_is_held_against_what_its_header_declares(s3: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    grid: dict[str, Any] = {"width": 300_000, "height": 300_000, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    place = rasterio.Affine(10, 0, 0, 0, -10, 0)
    tiles = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", transform=place, **grid, **tiles):
        pass
    with pytest.raises(InputError, match=r"declares 300000 x 300000 x 1 values \(83.8 GiB\) in an object of \d+ bytes"):
        open_raster(put(s3, "bomb.tif", path.read_bytes()))


def test_folders_and_wildcards_of_a_bucket_name_its_rasters(s3: str, tif: bytes) -> None:
    for key in ("y/b.tif", "y/a.TIF", "y/notes.md", "y/deep/c.tif", "x.tif", "yy/d.tif"):
        put(s3, key, tif)

    def found(pattern: str) -> list[str]:
        return [source.paths[0].removeprefix(f"s3://{s3}/") for source in find_sources([f"s3://{s3}/{pattern}"])]

    assert found("y/") == ["y/a.TIF", "y/b.tif"]
    assert found("y/*.tif") == ["y/b.tif"]
    assert found("**/*.tif") == ["x.tif", "y/b.tif", "y/deep/c.tif", "yy/d.tif"]
    assert found("y/**/c*") == ["y/deep/c.tif"]
    with pytest.raises(InputError, match="names no raster"):
        find_sources([f"s3://{s3}/z/"])
    with pytest.raises(InputError, match="does not exist"):
        list_objects("s3://nobody-has-this/*.tif")


def test_an_item_in_a_bucket_names_what_lies_beside_it(s3: str, make_raster: Callable[..., Path]) -> None:
    for name in ("B04", "B03"):
        put(s3, f"t/{name}.tif", make_raster(np.full((1, 8, 8), int(name[-1]), np.uint8), name=name).read_bytes())
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2A", "geometry": None, "links": [],
        "properties": {"datetime": "2024-05-06T10:00:00Z"},
        "assets": {name: {"href": f"./{name}.tif", "type": "image/tiff"} for name in ("B03", "B04")},
    }  # fmt: skip
    url = put(s3, "t/item.json", json.dumps(item).encode())
    (source,) = find_sources([url], assets=["B04", "B03"])
    raster = open_source(source)
    assert (raster.band_names, raster.name) == (("B04", "B03"), "S2A")
    assert raster.read(whole(raster))[0][:, 0, 0].tolist() == [4, 3]


# --- what both libraries are told


def test_an_endpoint_and_public_buckets_are_said_in_the_words_of_gdal_and_of_obstore(
    monkeypatch: pytest.MonkeyPatch, s3_endpoint: str, s3: str, tif: bytes
) -> None:
    url = publish(s3_endpoint, s3, "a.tif", tif)
    assert gdal_options(url)["AWS_HTTPS"] == "NO"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    raster = open_raster(url)
    np.testing.assert_array_equal(raster.read(whole(raster))[0], noise())
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.org:9000/")
    options = gdal_options("s3://b/a.tif")
    assert (options["AWS_S3_ENDPOINT"], options["AWS_HTTPS"]) == ("s3.example.org:9000", "YES")
    assert options["AWS_VIRTUAL_HOSTING"] == "FALSE"
    assert object_store("s3://b").config["endpoint"] == "https://s3.example.org:9000/"


def test_settings_in_gdals_own_words_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "7")
    assert "GDAL_HTTP_MAX_RETRY" not in gdal_options("s3://b/a.tif")
    assert gdal_options("s3://b/a.tif")["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"
    assert "GDAL_DISABLE_READDIR_ON_OPEN" not in gdal_options("/data/a.tif")


READ_WITHOUT_BOTO3 = """
import sys
sys.modules["boto3"] = None
from superpoint.cache.rasters import open_raster
from superpoint.tiles import Window
print(open_raster(sys.argv[1]).read(Window(row=0, col=0, n_rows=2, n_cols=2))[0].sum())
"""


def test_a_bucket_is_read_where_boto3_is_not_installed(s3: str, tif: bytes) -> None:
    command = [sys.executable, "-c", READ_WITHOUT_BOTO3, put(s3, "a.tif", tif)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == noise()[:, :2, :2].sum()


def test_a_store_is_the_same_while_the_environment_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert object_store("s3://b/folder") is object_store("s3://b/folder")
    before = object_store("s3://b")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert object_store("s3://b") is not before
    with pytest.raises(InputError, match="'ftp://b' is no address of a store"):
        object_store("ftp://b")


def test_google_and_azure_are_reached_by_the_variables_that_gdal_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GS_NO_SIGN_REQUEST", "YES")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    google = object_store("gs://bucket/folder/")
    assert (google.prefix, google.config["bucket"], google.config["skip_signature"]) == ("folder", "bucket", "true")
    with pytest.raises(InputError, match=r"cannot set up az://container/folder: .*[Aa]ccount"):
        object_store("az://container/folder")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "somebody")
    azure = object_store("az://container/folder")
    assert (azure.prefix, azure.config["account_name"]) == ("folder", "somebody")


# --- the web


def test_a_raster_on_a_web_server_is_read_and_named_by_its_etag(web: FileServer, tif: bytes) -> None:
    raster = open_raster(web.put("/a b.tif", tif))
    np.testing.assert_array_equal(raster.read(whole(raster))[0], noise())
    assert object_facts(f"{web.url}/a b.tif") == raster.files[0][1:]
    web.put("/a b.tif", tif + b"more")
    assert open_raster(f"{web.url}/a b.tif").identity() != raster.identity()


def test_a_signature_in_an_address_is_used_and_kept_from_keys_and_messages(web: FileServer, tif: bytes) -> None:
    web.put("/a.tif", tif)
    signed = [f"{web.url}/a.tif?versionId=3&X-Amz-Signature={name}&X-Amz-Expires=60" for name in ("one", "other")]
    first, second = (open_raster(url) for url in signed)
    assert first.identity() == second.identity()
    assert first.identity()["path"] == f"{web.url}/a.tif?versionId=3"
    assert all("X-Amz-Signature" in path for path in web.asked())
    web.fail(SILENT)
    with pytest.raises(UnreachableError) as caught:
        first.read(whole(first))
    assert "Signature" not in str(caught.value)


def test_open_handles_spare_requests(web: FileServer, tif: bytes) -> None:
    raster = open_raster(web.put("/a.tif", tif))
    window = Window(row=0, col=0, n_rows=9, n_cols=9)
    raster.read(window)
    assert web.asked()
    raster.read(window)
    raster.read(Window(row=20, col=20, n_rows=9, n_cols=9))  # of the same block
    assert not web.asked()


@pytest.mark.parametrize("failure", [503, 429, SILENT])
def test_a_server_that_does_not_answer_is_no_fault_of_the_raster(
    web: FileServer, tif: bytes, failure: str | int
) -> None:
    raster = open_raster(web.put("/a.tif", tif))
    raster.read(Window(row=0, col=0, n_rows=9, n_cols=9))
    web.fail(failure)
    with pytest.raises(UnreachableError, match=r"/a.tif does not answer: .*; try again later"):
        raster.read(whole(raster))
    with pytest.raises(UnreachableError, match="does not answer"):
        open_raster(f"{web.url}/a.tif")
    web.fail(None)
    np.testing.assert_array_equal(raster.read(whole(raster))[0], noise())


def test_a_server_that_is_gone_is_no_fault_of_the_raster(tif: bytes) -> None:
    with file_server() as server:
        raster = open_raster(server.put("/a.tif", tif))
        server.stop()
        with pytest.raises(UnreachableError, match=r"does not answer: .*refused"):
            raster.read(whole(raster))


def test_a_server_that_comes_back_at_once_is_not_even_noticed(web: FileServer, tif: bytes) -> None:
    raster = open_raster(web.put("/a.tif", tif))
    raster.read(Window(row=0, col=0, n_rows=9, n_cols=9))
    web.fail(SILENT, times=1)
    np.testing.assert_array_equal(raster.read(whole(raster))[0], noise())


@pytest.mark.parametrize(("status", "words"), [(404, "does not exist"), (403, "access denied")])
def test_an_object_that_went_away_is_bad_input(web: FileServer, tif: bytes, status: int, words: str) -> None:
    raster = open_raster(web.put("/a.tif", tif))
    web.fail(status)
    with pytest.raises(InputError, match=f"/a.tif .*{words}"):
        raster.read(whole(raster))


@pytest.mark.parametrize("damage", ["cut short", "altered"])
def test_a_damaged_object_is_told_from_a_silent_server(
    web: FileServer, make_raster: Callable[..., Path], damage: str
) -> None:
    content = make_raster(noise(), compress="deflate", tiled=True, blockxsize=128, blockysize=128).read_bytes()
    middle = len(content) // 2
    cut, altered = content[: len(content) - 9000], content[:middle] + bytes(100) + content[middle + 100 :]
    web.put("/a.tif", cut if damage == "cut short" else altered)
    raster = open_raster(f"{web.url}/a.tif")
    with pytest.raises(InputError, match=r"cannot read .*/a.tif at row 0, col 0: .* damaged or cut short"):
        raster.read(whole(raster))


def test_a_vrt_here_may_name_what_lies_on_a_server(web: FileServer, tif: bytes, tmp_path: Path) -> None:
    web.put("/a.tif", tif)
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>/vsicurl/{web.url}/a.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        f"</VRTRasterBand></VRTDataset>"
    )
    raster = open_raster(tmp_path / "a.vrt")
    np.testing.assert_array_equal(raster.read(whole(raster))[0], noise())
    assert [name for name, *_ in raster.files] == ["a.vrt", f"{web.url}/a.tif"]
    close_handles()
    web.fail(SILENT)
    with pytest.raises(UnreachableError):
        raster.read(whole(raster))


# --- lists and items


def test_lists_are_read_from_servers_and_name_what_lies_beside_them(web: FileServer, tif: bytes) -> None:
    web.put("/lists/a.tif", tif)
    sources = find_sources([web.put("/lists/rasters.txt", b"a.tif\n../b.tif\n# c.tif\n/d.tif\n") + "?x=1"])
    assert [source.paths[0].removeprefix(web.url) for source in sources] == ["/lists/a.tif", "/b.tif", "/d.tif"]
    assert open_source(sources[0]).shape == (SIDE, SIDE)
    with pytest.raises(InputError, match=r"/b.tif does not exist"):
        open_source(sources[1])


def test_a_document_that_ends_too_soon_is_asked_for_again_and_then_is_the_servers_fault(web: FileServer) -> None:
    content = b"a.tif\n" * 1000
    assert read_document(web.put("/a.txt", content)) == content
    web.fail(CUT)
    with pytest.raises(UnreachableError, match=r"a.txt does not answer"):
        read_document(f"{web.url}/a.txt")


def test_a_document_too_large_to_be_a_list_is_refused(
    web: FileServer, s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects, "MAX_DOCUMENT_BYTES", 100)
    (tmp_path / "a.txt").write_bytes(bytes(101))
    web.put("/a.txt", bytes(101))
    for place in (str(tmp_path / "a.txt"), f"{web.url}/a.txt", put(s3, "a.txt", bytes(101))):
        with pytest.raises(InputError, match=r"a.txt has more than .* too much for a list"):
            read_document(place)


def test_a_search_is_followed_to_its_last_page(web: FileServer) -> None:
    def page(name: str, following: str | None) -> bytes:
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": [],
            "properties": {"datetime": "2024-05-06T10:00:00Z"}, "assets": {"image": {"href": f"../{name}.tif"}},
        }  # fmt: skip
        links = [{"rel": "next", "href": following}] if following else []
        return json.dumps({"type": "FeatureCollection", "features": [item], "links": links}).encode()

    web.put("/collections/c/items", page("a", "/collections/c/page2"))
    web.put("/collections/c/page2", page("b", f"{web.url}/collections/c/page3"))
    web.put("/collections/c/page3", page("c", "/collections/c/items"))
    sources = find_sources([f"{web.url}/collections/c/items?limit=1"])
    assert [source.name for source in sources] == ["a", "b", "c"]


def test_what_a_list_names_on_a_server_that_fails_is_a_problem_of_its_own(
    web: FileServer, tif: bytes, tmp_path: Path
) -> None:
    web.put("/a.tif", tif)
    (tmp_path / "list.txt").write_text(f"{web.url}/a.tif\n{web.url}/collections/c/items/gone\n")
    good, bad = find_sources([tmp_path / "list.txt"])
    assert (good, bad.name) == (Source(name="a", paths=(f"{web.url}/a.tif",)), "gone")
    with pytest.raises(InputError, match="/items/gone does not exist"):
        open_source(bad)
