from __future__ import annotations

from pathlib import Path

import pytest

from superpoint.cache.addresses import absolute, gdal_path, holder, is_remote, joined, shown

SAS = "sv=2023-01-03&st=2024-05-01&se=2024-05-02&sr=b&sp=r&sig=ab%2Fc"


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("a/b.tif", "a/b.tif"),
        ("file:///a/b%20c.tif", "/a/b c.tif"),
        ("s3://b/k.tif", "s3://b/k.tif"),
        ("/vsis3/b/k.tif", "s3://b/k.tif"),
        ("/vsis3_streaming/b/k.tif", "s3://b/k.tif"),
        ("/vsigs/b/k.tif", "gs://b/k.tif"),
        ("/vsiaz/c/k.tif", "az://c/k.tif"),
        ("/vsicurl/https://h.org/k.tif?x=1", "https://h.org/k.tif?x=1"),
        ("/vsicurl?max_retry=3&url=https%3A%2F%2Fh.org%2Fk.tif", "https://h.org/k.tif"),
        ("/vsizip/{/vsis3/b/odd name}/k.tif", "s3://b/odd name"),
        ("/vsizip//vsis3/b/a.zip/c/k.tif", "s3://b/a.zip"),
        ("/vsitar//vsicurl/https://h.org/a.tar.gz/k.tif", "https://h.org/a.tar.gz"),
        ("/vsigzip//data/k.tif.gz", "/data/k.tif.gz"),
        ("/vsisubfile/100_200,/data/k.bin", "/data/k.bin"),
        ("zip:///data/a.zip!c/k.tif", "/data/a.zip"),
        ("/vsimem/k.tif", "/vsimem/k.tif"),
    ],
)
def test_a_path_tells_which_file_or_object_holds_its_bytes(path: str, held: str) -> None:
    assert holder(path) == held
    assert is_remote(path) == held.startswith(("s3://", "gs://", "az://", "https://"))


def test_an_archive_on_disk_is_found_whatever_it_is_called(tmp_path: Path) -> None:
    archive = tmp_path / "scene.SAFE.bundle"
    archive.write_bytes(b"PK")
    assert holder(f"/vsizip/{archive}/deep/k.tif") == str(archive)


@pytest.mark.parametrize(
    ("path", "called"),
    [
        ("s3://b/ü %20.tif", "/vsis3/b/ü %20.tif"),
        ("https://h.org/ü b%20c.tif?x=a b", "/vsicurl/https://h.org/%C3%BC%20b%20c.tif?x=a%20b"),
        ("zip:///data/a.zip!c/k.tif", "/vsizip/{/data/a.zip}/c/k.tif"),
        ("file:///a/b%20c.tif", "/a/b c.tif"),
        ("/vsis3/b/k.tif", "/vsis3/b/k.tif"),
    ],
)
def test_gdal_calls_a_url_by_its_own_name(path: str, called: str) -> None:
    assert gdal_path(path) == called


@pytest.mark.parametrize(
    ("path", "public"),
    [
        (f"https://h.org/a.tif?{SAS}", "https://h.org/a.tif"),
        (f"https://h.org/a.tif?st=5&x=%2F&{SAS.partition('&sig')[0]}", None),
        ("https://h.org/a.tif?X-Goog-Signature=1&X-Goog-Date=2&generation=3", "https://h.org/a.tif?generation=3"),
        ("https://me:secret@h.org/a.tif?b=", "https://h.org/a.tif?b="),
        ("/vsicurl/https://h.org/a.tif?api_key=1", "/vsicurl/https://h.org/a.tif"),
        ("/data/http/a.tif?token=1", None),
    ],
)
def test_what_signs_an_address_is_not_shown_and_all_else_is(path: str, public: str | None) -> None:
    assert shown(path) == (public or path)


def test_a_relative_path_is_made_absolute_also_into_an_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.zip").write_bytes(b"PK")
    assert absolute("a/b.tif") == f"{tmp_path}/a/b.tif"
    assert absolute("/vsizip/a.zip/b.tif") == f"/vsizip/{tmp_path}/a.zip/b.tif"
    assert absolute("zip://a.zip!b.tif") == f"zip://{tmp_path}/a.zip!b.tif"


@pytest.mark.parametrize(
    ("href", "base", "meant"),
    [
        ("a.tif", "/d/list.txt", "/d/a.tif"),
        ("../a.tif", "/d/e/list.txt", "/d/a.tif"),
        ("/x/a.tif", "/d/list.txt", "/x/a.tif"),
        ("./a.tif", "s3://b/d/item.json", "s3://b/d/a.tif"),
        ("/x/a.tif", "s3://b/d/item.json", "s3://b/x/a.tif"),
        ("a.tif", "/vsis3/b/d/item.json", "s3://b/d/a.tif"),
        ("a.tif?x=1", "https://h.org/d/item.json?token=1", "https://h.org/d/a.tif?x=1"),
        ("s3://b/a.tif", "https://h.org/d/item.json", "s3://b/a.tif"),
        ("/vsizip//d/a.zip/k.tif", "/e/list.txt", "/vsizip//d/a.zip/k.tif"),
    ],
)
def test_what_a_document_names_is_sought_from_its_own_place(href: str, base: str, meant: str) -> None:
    assert joined(href, base) == meant
