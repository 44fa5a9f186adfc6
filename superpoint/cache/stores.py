"""One store for everything that is kept: bytes under keys, in a local folder or on any object store, by one code.

A write is seen whole or not at all, and nothing is ever appended to or changed in place: a kill at any moment leaves
what was there before, and of two writers the later one wins with bytes of its own, never a mixture.
"""

from __future__ import annotations

import errno
import functools
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore
from zarr.storage import ObjectStore

from superpoint.cache.remote import object_store
from superpoint.errors import DiskFullError, InputError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

READERS = 32  # requests in flight when many objects of a remote store are read
BULK = 1000  # objects deleted with one request
_REFUSED = ("Permission denied", "Read-only file system", "Not a directory", "File exists", "Access Denied")
_FULL = ("No space left on device", "Disk quota exceeded", "StorageFull")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object that is there."""

    key: str
    n_bytes: int
    modified: datetime


@dataclass(frozen=True)
class Store:
    """A folder of objects."""

    url: str
    """Absolute path of a local folder, or `s3://bucket/prefix`, `gs://...`, `az://...`."""

    @property
    def is_local(self) -> bool:
        """Whether this is a folder on this machine."""
        return is_local(self.url)

    @property
    def zarr(self) -> ObjectStore[Any]:
        """The same for zarr to read."""
        return ObjectStore(_open(self.url, writable=False), read_only=True)

    def child(self, name: str) -> Store:
        """Return the store of a folder within this one."""
        return Store(f"{self.url.rstrip('/')}/{name}")

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes; None if it is not there."""
        with _in_words(self.url):
            try:
                return bytes(_open(self.url, writable=False).get(key).bytes())
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""
        with _in_words(self.url):
            try:
                return int(_open(self.url, writable=False).head(key)["size"])
            except (FileNotFoundError, NotADirectoryError):
                return None

    def map[T, R](self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what a function that reads this store makes of items, in order; from afar many are at it at a time."""
        if self.is_local:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(READERS) as pool:
            for some in batched(items, READERS * 32):
                yield from pool.map(function, some)

    def write(self, key: str, data: bytes) -> None:
        """Store an object, in place of an older one."""
        with _in_words(self.url):
            _open(self.url, writable=True).put(key, data)

    def write_new(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one already, and say whether it was stored; of two writers one wins."""
        with _in_words(self.url):
            try:
                _open(self.url, writable=True).put(key, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def list_names(self) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the objects directly in this one, sorted."""
        with _in_words(self.url):
            try:
                found = _open(self.url, writable=False).list_with_delimiter()
            except FileNotFoundError:
                return [], []
            folders = sorted(prefix.rstrip("/") for prefix in found["common_prefixes"])
            return folders, sorted(one["path"] for one in found["objects"])

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield all objects below a folder of this one."""
        with _in_words(self.url):
            try:
                for some in _open(self.url, writable=False).list(prefix or None):
                    for one in some:
                        yield Stored(key=one["path"], n_bytes=one["size"], modified=one["last_modified"])
            except FileNotFoundError:
                return

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, those that are there."""
        with _in_words(self.url):
            try:
                store = _open(self.url, writable=False)
            except FileNotFoundError:
                return
            if not self.is_local:  # a thousand with one request, there or not
                for some in batched(keys, BULK):
                    store.delete(list(some))
                return
            for key in keys:
                with suppress(FileNotFoundError):
                    store.delete(key)

    def delete_all(self) -> None:
        """Delete everything in this folder, and the folder."""
        if self.is_local:
            shutil.rmtree(self.url, ignore_errors=True)
        else:
            self.delete([one.key for one in self.list()])


def as_store(place: Store | Path | str) -> Store:
    """Return the store of a folder or URL.

    Examples
    --------
    >>> as_store("s3://archive/cache/").url
    's3://archive/cache'
    """
    if isinstance(place, Store):
        return place
    if not is_local(str(place)):
        return Store(str(place).rstrip("/"))
    return Store(str(Path(str(place).removeprefix("file://")).expanduser().absolute()))


def is_local(place: str | Path) -> bool:
    """Return whether a folder or URL is on this machine."""
    return "://" not in str(place) or str(place).startswith("file://")


def is_transient(error: BaseException) -> bool:
    """Return whether trying again may help: a store or server did not answer, or the operating system failed to read.

    What is wrong with the data, or with us, is not.
    """
    if isinstance(error, InputError | DiskFullError | FileNotFoundError | PermissionError):
        return False
    return isinstance(error, BaseError | OSError)


@contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Say in one sentence what a store did not do; that an object is not there is for the caller."""
    try:
        yield
    except (AlreadyExistsError, FileNotFoundError):
        raise
    except (BaseError, OSError) as error:
        text = str(error)
        reason = text.partition("\n")[0].strip()
        if any(words in text for words in _FULL) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"no space left in {url}; free some, then run the same command to go on") from error
        if isinstance(error, PermissionError | NotADirectoryError) or any(words in text for words in _REFUSED):
            raise InputError(f"cannot use the cache folder {url}: {reason}; give another with --cache") from error
        raise UnreachableError(
            f"{url} did not answer: {reason}; check the address, the credentials in the environment and the network"
        ) from error


def _open(url: str, *, writable: bool) -> Any:  # noqa: ANN401  # one of obstore's stores
    return _local(url, writable=writable) if is_local(url) else object_store(url)


@functools.lru_cache(maxsize=256)
def _local(url: str, *, writable: bool) -> LocalStore:
    if not writable and not Path(url).is_dir():
        raise FileNotFoundError(url)  # and is not remembered
    return LocalStore(url, mkdir=writable)
