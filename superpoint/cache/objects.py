"""What a server or disk says of an object, and lists and items read whole."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException, IncompleteRead, InvalidURL
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

from superpoint.cache.addresses import holder, is_remote, quoted, shown
from superpoint.cache.remote import N_RETRIES, REQUEST_SECONDS, object_store
from superpoint.errors import InputError, SuperpointError, UnreachableError

if TYPE_CHECKING:
    from email.message import Message

MAX_DOCUMENT_BYTES = 2**28  # of a list or an item, which is read whole
PAUSE_SECONDS = 0.2  # before a request is repeated for the first time
TRANSIENT = (408, 429)  # the server asks to come again later
CLIENT_ERRORS = range(300, 500)


def object_facts(url: str) -> tuple[int, str]:
    """Ask how large an object is and which version of it there is.

    Returns
    -------
    n_bytes : int
    version : str
        The ETag, or the time of change; empty where the server tells neither.

    Raises
    ------
    InputError
        If there is no such object, or it may not be read.
    UnreachableError
        If the server does not answer.
    """
    if url.startswith(("http://", "https://")):
        # A signed address is often good for GET alone, so one byte is asked for where HEAD would do.
        headers, _ = _fetch(url, {"Range": "bytes=0-0"}, n_bytes=0)
        n_bytes = headers.get("Content-Range", "").rpartition("/")[2]
        n_bytes = n_bytes if n_bytes.isdigit() else headers.get("Content-Length", "0")
        return int(n_bytes), headers.get("ETag") or headers.get("Last-Modified") or ""
    root, key = _split(url)
    try:
        facts = obstore.head(object_store(root), key)
    except (BaseError, OSError, ValueError) as error:
        raise explained(url, error) from error
    return int(facts["size"]), facts["e_tag"] or facts["last_modified"].isoformat()


def read_document(path: str | Path) -> bytes:
    """Read a list or an item whole, from a local file or a URL.

    Raises
    ------
    InputError
        If it is not there, may not be read, or has more than 256 MiB.
    UnreachableError
        If the server does not answer.
    """
    place = holder(path)
    if not is_remote(place):
        return _read_local(Path(place))
    if place.startswith(("http://", "https://")):
        _, content = _fetch(place, {}, MAX_DOCUMENT_BYTES + 1)
        _refuse_large(place, len(content))
        return content
    _refuse_large(place, object_facts(place)[0])
    root, key = _split(place)
    try:
        return bytes(obstore.get(object_store(root), key).bytes())
    except (BaseError, OSError, ValueError) as error:
        raise explained(place, error) from error


def list_objects(pattern: str) -> list[str]:
    """List the objects of a bucket that a URL with wildcards names.

    Parameters
    ----------
    pattern : str
        `*` stands for anything but `/`, `**/` for any folders; `s3://bucket/folder/` names what lies in the folder.

    Returns
    -------
    list of str
        URLs, sorted.

    Raises
    ------
    InputError
        If the bucket is not there or may not be listed.
    UnreachableError
        If the server does not answer.
    """
    root, key = _split(pattern + "*" if pattern.endswith("/") else pattern)
    folder = key.partition("*")[0].rpartition("/")[0]
    wanted = re.compile(
        "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(word, re.escape(word)) for word in re.split(r"(\*\*/|\*)", key))
    )
    try:
        chunks = obstore.list(object_store(root), prefix=folder or None)
        names = [each["path"] for chunk in chunks for each in chunk if wanted.fullmatch(each["path"])]
    except (BaseError, OSError, ValueError) as error:
        raise explained(pattern, error) from error
    return [f"{root}/{name}" for name in sorted(names)]


def _read_local(path: Path) -> bytes:
    try:
        _refuse_large(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error


def _refuse_large(place: str, n_bytes: int) -> None:
    if n_bytes > MAX_DOCUMENT_BYTES:
        raise InputError(
            f"{shown(place)} has more than {MAX_DOCUMENT_BYTES // 2**20} MiB, too much for a list; split it"
        )


def _split(url: str) -> tuple[str, str]:
    """Return the root of the store and the object's key."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _fetch(url: str, headers: dict[str, str], n_bytes: int) -> tuple[Message, bytes]:
    """GET a web address: the answer's headers, and at most `n_bytes` of its body."""
    request = urllib.request.Request(quoted(url), headers={"User-Agent": "superpoint"} | headers)  # noqa: S310  # http(s) only
    for attempt in range(N_RETRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310  # http(s) only
                content = response.read(n_bytes)
                expected = int(response.headers.get("Content-Length", 0))
                if len(content) < min(expected, n_bytes):  # which reading a part does not notice
                    raise IncompleteRead(content, expected - len(content))
                return response.headers, content
        except (OSError, ValueError, HTTPException) as error:
            explanation = explained(url, error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if attempt == N_RETRIES or not isinstance(explanation, UnreachableError):
                raise explanation from error
            time.sleep(PAUSE_SECONDS * 2**attempt)
    raise AssertionError  # the last attempt returned or raised


# --- what went wrong


def explained(url: str, error: BaseException) -> SuperpointError:
    """Return the error to raise for what obstore or urllib raised: whether trying again may help, and what does."""
    place, words = shown(url), _first_line(error)
    status = error.code if isinstance(error, urllib.error.HTTPError) else _status_in(words)
    if "169.254." in words or "metadata" in words:
        return InputError(
            f"{place} needs credentials and there are none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Google: "
            f"GOOGLE_APPLICATION_CREDENTIALS), or AWS_NO_SIGN_REQUEST=YES (GS_NO_SIGN_REQUEST=YES) if it is public"
        )
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return InputError(f"{place} does not exist; check the address")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403):
        return InputError(f"{place} may not be read: access denied; check the credentials in the environment")
    is_ours = status in CLIENT_ERRORS and status not in TRANSIENT
    if is_ours or isinstance(error, ValueError | InvalidURL | InvalidPathError):
        return InputError(f"{place} cannot be read: {words}; check the address and, for S3, AWS_REGION")
    return UnreachableError(f"{place} does not answer: {words}; try again later")


def _status_in(words: str) -> int | None:
    found = re.search(r"non-2xx status code: (\d{3})", words)
    return int(found[1]) if found else None


def _first_line(error: BaseException) -> str:
    words = str(getattr(error, "reason", "") or error).strip()
    return words.splitlines()[0].rstrip(".") if words else type(error).__name__
