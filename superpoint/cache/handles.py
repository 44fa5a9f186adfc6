"""Open rasters: one handle for each thread and file, kept for the next window, and why one could not be read.

Opening a raster takes longer than reading a small window of it, and on a server several requests. A thread keeps the
last few it used. Rasters change and servers fail: a handle is only used again while its file is the same, and never
after an error.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio._err import CPLE_BaseError  # what rasterio lets through when it asks for a property
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

from superpoint.cache.addresses import gdal_path, holder, is_remote, shown
from superpoint.cache.objects import object_facts
from superpoint.cache.remote import gdal_environment
from superpoint.errors import InputError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLOCK_CACHE_MIB = 128  # of decoded blocks that GDAL keeps for all threads together, unless the environment says other
os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_MIB))  # heeded at the first read
MAX_HANDLES = 12  # for each thread; a stack of single-band rasters has one for each band
CLOCK_NS = 2_000_000_000  # two machines may see a shared file's time rounded, to two seconds at worst
FAILURES = (RasterioError, CPLE_BaseError, CRSError, UnicodeDecodeError, MemoryError)
SERVER_WORDS = ("HTTP response code", "CURL error", "got 0 bytes")

type Facts = tuple[str, int, int | str]
"""Name, size in bytes, and time of change in nanoseconds or, from a server, the object's version."""


class _Handles(threading.local):
    def __init__(self) -> None:
        self.kept: OrderedDict[str, tuple[Any, Any]] = OrderedDict()


_handles = _Handles()


@contextmanager
def open_dataset(path: str) -> Iterator[Any]:
    """Open a raster with rasterio, quietly: that it is not georeferenced is ours to say."""
    with gdal_environment(path):
        dataset = _open(path)
        try:
            yield dataset
        finally:
            dataset.close()


@contextmanager
def kept_dataset(path: str, version: object, *, on_open: Callable[[Any], None]) -> Iterator[Any]:
    """Use this thread's handle of a raster, as long as its version is the same; open it if there is none.

    Parameters
    ----------
    path : str
        The raster.
    version : object
        What is compared.
    on_open : callable
        Looks at the dataset when it has been opened.

    Yields
    ------
    dataset
        Of rasterio. If anything is raised while it is used, it is closed.
    """
    with gdal_environment(path):
        kept = _handles.kept.pop(path, None)
        if kept and kept[0] != version:
            kept[1].close()
            kept = None
        dataset = kept[1] if kept else _open(path)
        try:
            if not kept:
                on_open(dataset)
            yield dataset
        except BaseException:
            dataset.close()
            raise
        _handles.kept[path] = (version, dataset)
        while len(_handles.kept) > MAX_HANDLES:
            _handles.kept.popitem(last=False)[1][1].close()


def close_handles() -> None:
    """Close what this thread keeps open."""
    while _handles.kept:
        _handles.kept.popitem()[1][1].close()


atexit.register(close_handles)  # before GDAL itself is taken down


def _open(path: str) -> Any:  # noqa: ANN401  # rasterio publishes no types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(gdal_path(path))


def facts_of(path: str) -> Facts | None:
    """Return what tells a file or object from what it was; None for what has no bytes of its own.

    Raises
    ------
    InputError
        If it is not there, or on a file system of GDAL's that says nothing of versions.
    UnreachableError
        If its server does not answer.
    """
    place = holder(path)
    if is_remote(place):
        return (shown(place), *object_facts(place))
    if place.startswith("/vsi"):
        raise InputError(f"nobody can tell when {path} changes; copy it to a folder or to s3://, gs:// or https://")
    file = Path(place)
    if not file.is_file():
        return None
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns


def refuse_changed(path: str, found: Iterable[Facts], expected: tuple[Facts, ...]) -> None:
    """Refuse files that are no longer what they were when the raster was looked at; without expectations, none.

    Raises
    ------
    InputError
        If so: what would be computed would go by the name of what was there before.
    """
    by_name: dict[str, list[Facts]] = {}
    for fact in expected:
        by_name.setdefault(fact[0], []).append(fact)
    for fact in found:
        if expected and not any(_is_same(fact, before) for before in by_name.get(fact[0], ())):
            raise InputError(f"{shown(path)} changed while it was worked on ({fact[0]}); run the same command again")


def _is_same(fact: Facts, before: Facts) -> bool:
    if isinstance(fact[2], int) and isinstance(before[2], int):
        return fact[1] == before[1] and abs(fact[2] - before[2]) <= CLOCK_NS
    return fact == before


def reason(error: BaseException) -> str:
    """Return GDAL's own words: rasterio keeps them in the cause."""
    words = str(error.__cause__ or error).strip().rstrip(".")
    return words.splitlines()[0] if words else type(error).__name__


def _last_words(error: BaseException) -> str:
    """Return what GDAL said first, from which all else followed."""
    while error.__cause__:
        error = error.__cause__
    return str(error)


def twice_if_remote[Result](path: str, attempt: Callable[[], Result], *, reads_remote: bool) -> Result:
    """Do what may fail through no fault of the raster's: where servers take part, look again before it is blamed.

    GDAL says the same of a damaged file and of a server that fell silent. So after a failure the server is asked for
    the object, and the same is tried once more: what fails twice alike, between two good answers, is damaged.

    Parameters
    ----------
    path : str
        The raster.
    attempt : callable
        Without arguments; raises what rasterio raises.
    reads_remote : bool
        Whether any of its bytes come from a server: a local VRT may name what lies there.

    Raises
    ------
    InputError
        If the object is gone.
    UnreachableError
        If its server does not answer, or does not send what was asked for.
    RasterioError, MemoryError
        If the raster is damaged.
    """
    try:
        return attempt()
    except FAILURES as error:
        if not reads_remote:
            raise
        first = _last_words(error)
    if is_remote(path):
        object_facts(holder(path))
    try:
        return attempt()
    except FAILURES as error:
        second = _last_words(error)
        if second != first or any(words in second for words in SERVER_WORDS):
            raise UnreachableError(
                f"{shown(path)} is there, but its server does not send all of it: {second}; try again later"
            ) from error
        raise
