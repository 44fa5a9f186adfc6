"""Reaching object stores and web servers: credentials and settings from the environment.

Two libraries go there, GDAL for pixels and obstore for everything else, and each has its own words for the same
settings. Users set the usual environment variables once; this module tells both. boto3 is never needed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import rasterio
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store
from rasterio.session import DummySession

from superpoint.cache.addresses import GDAL_PREFIXES, is_remote, shown
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore.store import ObjectStore

__all__ = ["gdal_environment", "gdal_options", "is_remote", "object_store", "shown"]

N_RETRIES = 3
REQUEST_SECONDS = 60
CONNECT_SECONDS = 10


def gdal_options(path: str | Path) -> dict[str, str]:
    """Return the GDAL settings under which a path is opened and read.

    Credentials are not among them: GDAL finds `AWS_ACCESS_KEY_ID` and its like in the environment by itself, and
    what is set there under GDAL's own names stays as it is.
    """
    options = {
        "GDAL_HTTP_MAX_RETRY": str(N_RETRIES),
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        "GDAL_HTTP_TIMEOUT": str(REQUEST_SECONDS),
        "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_SECONDS),
        # GDAL remembers an object, and that there was none, for as long as the process lives, unless told not to.
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/:/vsigs/:/vsiaz/:/vsicurl/",
    }
    if is_remote(path):
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
    if endpoint := _s3_endpoint():
        options |= {
            "AWS_S3_ENDPOINT": endpoint.partition("://")[2].rstrip("/"),
            "AWS_HTTPS": "NO" if endpoint.startswith("http://") else "YES",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }
    if _is_set("AWS_SKIP_SIGNATURE"):
        options["AWS_NO_SIGN_REQUEST"] = "YES"
    if account := os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
        options["AZURE_STORAGE_ACCOUNT"] = account
    return {name: value for name, value in options.items() if name not in os.environ}


@contextmanager
def gdal_environment(path: str | Path) -> Iterator[None]:
    """Open and read `path` inside this: GDAL's settings for it, and no boto3."""
    with rasterio.Env(session=DummySession(), **gdal_options(path)):
        yield


def _s3_endpoint() -> str | None:
    """Return the URL of the S3 server, if it is not that of AWS."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        if value := os.environ.get(name):
            return value if "://" in value else f"https://{value}"
    if value := os.environ.get("AWS_S3_ENDPOINT"):
        plain = os.environ.get("AWS_HTTPS", "YES").upper() in ("NO", "FALSE", "OFF", "0")
        return f"{'http' if plain else 'https'}://{value}"
    return None


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("YES", "TRUE", "ON", "1")


# --- obstore


def object_store(url: str, *, n_retries: int = N_RETRIES) -> ObjectStore:
    """Return the store below a URL.

    Parameters
    ----------
    url : str
        `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `https://host/prefix`.
    n_retries : int, optional
        How often a request is repeated, with growing pauses, when the server does not answer or says that it cannot.

    Returns
    -------
    ObjectStore
        Of obstore; its keys are relative to the prefix. One for each URL and each state of the environment.

    Raises
    ------
    InputError
        If the URL is none of these, or its store cannot be set up from the environment.
    """
    names = ("AWS_", "GOOGLE_", "GS_", "AZURE_")
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith(names)))
    return _object_store(url, n_retries, environment)


@lru_cache(maxsize=64)
def _object_store(url: str, n_retries: int, _environment: tuple[tuple[str, str], ...]) -> ObjectStore:
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in GDAL_PREFIXES or not bucket:
        raise InputError(f"{shown(url)!r} is no address of a store; write it as s3://bucket/folder")
    options: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "allow_http": scheme == "http" or (scheme == "s3" and (_s3_endpoint() or "").startswith("http://")),
        },
        "retry_config": {"max_retries": n_retries, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
    }
    try:
        if scheme in ("http", "https"):
            made: ObjectStore = HTTPStore(url, **options)
        else:
            kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
            made = kind(bucket, prefix=prefix.strip("/") or None, config=_store_config(scheme), **options)
    except (BaseError, ValueError) as error:
        raise InputError(f"cannot set up {shown(url)}: {error}; see the environment variables") from error
    return made


def _store_config(scheme: str) -> dict[str, Any]:
    """Return what obstore does not find in the environment by itself."""
    if scheme == "s3":
        endpoint = _s3_endpoint()
        unsigned = {"skip_signature": True} if _is_set("AWS_NO_SIGN_REQUEST") else {}
        return unsigned | ({"endpoint": endpoint} if endpoint else {})
    if scheme == "gs":
        return {"skip_signature": True} if _is_set("GS_NO_SIGN_REQUEST") else {}
    account = os.environ.get("AZURE_STORAGE_ACCOUNT")
    return {"account_name": account} if account else {}
