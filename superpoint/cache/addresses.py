"""Paths and URLs: what holds the bytes, what GDAL calls it, what a document means by it, what may be shown of it."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

GDAL_PREFIXES = {
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
}
URL_STARTS = tuple(f"{scheme}://" for scheme in GDAL_PREFIXES)
FILE_SYSTEM = re.compile(r"/vsi(s3|gs|az|curl)(?:_streaming)?/(.*)", re.DOTALL)
ARCHIVE = re.compile(r"/vsi(?:(?:zip|tar|7z|rar|gzip)/|subfile/[^,]*,)(.*)", re.DOTALL)
ARCHIVE_URL = re.compile(r"(zip|tar|gzip)://([^!]+)(?:!/?(.*))?", re.DOTALL)
ARCHIVE_SUFFIX = re.compile(r"\.(?:zip|kmz|tar|tgz|tar\.gz|7z|rar|gz)(?=/|$)", re.IGNORECASE)

SECRETS = re.compile(
    r"x-(amz|goog)-.*|(aws|google)access(key)?id|signature|expires|policy|key-pair-id|(access_)?token|api_?key",
    re.IGNORECASE,
)
SHARED_ACCESS = re.compile(
    r"s([vsprtei]|rt|pr|ip|ig|kt|ke|ks|kv|koid|ktid)", re.IGNORECASE
)  # Azure's, if `sig` is there


def holder(path: str | Path) -> str:
    """Return the local file or the URL that holds the bytes of a path.

    Examples
    --------
    >>> holder("/vsis3/bucket/a.tif"), holder("/vsizip//vsicurl/https://example.org/b.zip/c.tif")
    ('s3://bucket/a.tif', 'https://example.org/b.zip')
    """
    text = str(path)
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    if found := ARCHIVE_URL.fullmatch(text):
        return holder(found[2])
    if found := ARCHIVE.fullmatch(text):
        return holder(_archive_of(found[1]))
    if text.startswith("/vsicurl?"):
        return dict(parse_qsl(text.partition("?")[2])).get("url", text)
    if found := FILE_SYSTEM.fullmatch(text):
        return found[2] if found[1] == "curl" else f"{found[1]}://{found[2]}"
    return text


def _archive_of(inside: str) -> str:
    """Return the archive's own path of a path into it."""
    if inside.startswith("{"):
        return inside[1:].partition("}")[0]
    if not is_remote(inside):
        for parent in (Path(inside), *Path(inside).parents):
            if parent.is_file():
                return str(parent)
    ends = [found.end() for found in ARCHIVE_SUFFIX.finditer(inside)]
    return inside[: ends[-1]] if ends else inside


def is_remote(path: str | Path) -> bool:
    """Whether reading a path means asking a server.

    Examples
    --------
    >>> [is_remote(path) for path in ("s3://bucket/a.tif", "/vsizip/data/b.zip/c.tif", "/data/a.tif")]
    [True, False, False]
    """
    return holder(path).startswith(URL_STARTS)


def gdal_path(path: str | Path) -> str:
    """Return how GDAL calls a path or URL.

    Examples
    --------
    >>> gdal_path("s3://bucket/a.tif"), gdal_path("https://example.org/a.tif"), gdal_path("/data/a.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://example.org/a.tif', '/data/a.tif')
    """
    text = holder(path) if str(path).startswith("file://") else str(path)
    if found := ARCHIVE_URL.fullmatch(text):
        return f"/vsi{found[1]}/{{{gdal_path(found[2])}}}/{found[3] or ''}".rstrip("/")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in GDAL_PREFIXES:
        return text
    return GDAL_PREFIXES[scheme] + (quoted(rest) if scheme.startswith("http") else rest)


def quoted(address: str) -> str:
    """Return a web address as it was written, but for spaces and letters beyond ASCII."""
    return quote(address, safe="%/:=&?~#+!$,;'@()*[]")


def absolute(path: str | Path) -> str:
    """Return a path that means the same from any folder; URLs and `/vsi` paths as they are.

    Examples
    --------
    >>> absolute("s3://bucket/a.tif"), absolute("file:///data/a%20b.tif"), absolute("/data/a.tif")
    ('s3://bucket/a.tif', '/data/a b.tif', '/data/a.tif')
    """
    text, place = str(path), holder(path)
    if is_remote(place) or place.startswith("/vsi") or "://" in place:
        return text
    # Of a path into an archive, only the archive's own path is a matter of folders.
    return (
        str(Path(place).absolute())
        if place == text or text.startswith("file://")
        else text.replace(place, str(Path(place).absolute()), 1)
    )


def joined(href: str, base: str) -> str:
    """Return what a path or URL written in a document means, from the place of the document.

    Examples
    --------
    >>> joined("../b.tif", "s3://bucket/folder/list.txt"), joined("b.tif", "https://example.org/a/item.json?x=1")
    ('s3://bucket/b.tif', 'https://example.org/a/b.tif')
    >>> joined("./b.tif", "/data/list.txt"), joined("https://example.org/b.tif", "/data/list.txt")
    ('/data/b.tif', 'https://example.org/b.tif')
    """
    if "://" in href or href.startswith("/vsi"):
        return absolute(href)
    place = holder(base)
    if place.startswith(("http://", "https://")):
        return urljoin(place, href)
    scheme, separator, rest = place.partition("://")
    if not separator:
        return os.path.normpath(Path(absolute(place)).parent / href)
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}{posixpath.normpath(posixpath.join('/', posixpath.dirname(key), href))}"


def shown(path: str | Path) -> str:
    """Return a path or URL without what signs it: that changes with every signing, and is a secret.

    Examples
    --------
    >>> shown("https://example.org/a.tif?band=1&X-Amz-Signature=12ab")
    'https://example.org/a.tif?band=1'
    """
    start, separator, _ = str(path).partition("http")
    if not separator or not is_remote(path):
        return str(path)
    parts = urlsplit(str(path)[len(start) :])
    query = parse_qsl(parts.query, keep_blank_values=True)
    is_azure = any(name.lower() == "sig" for name, _ in query)
    kept = [
        (name, value)
        for name, value in query
        if not SECRETS.fullmatch(name) and not (is_azure and SHARED_ACCESS.fullmatch(name))
    ]
    words = parts.query if len(kept) == len(query) else urlencode(kept)
    return start + urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, words, ""))
