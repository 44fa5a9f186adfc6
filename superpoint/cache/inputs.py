"""What a user names, as a list of sources: paths, globs, folders, lists, STAC items."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from superpoint.cache.addresses import absolute, holder, is_remote, shown
from superpoint.cache.objects import list_objects
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from superpoint.cache.lists import Entry
    from superpoint.cache.stac import AssetChoice

# What GDAL's formats of rasters are usually called. A folder is not searched for others; a file named may have any.
SUFFIXES = "tif tiff gtif gtiff vrt jp2 j2k img png jpg jpeg jxl webp bmp bil bip bsq dem hgt dt0 dt1 dt2 ntf nitf asc"
RASTER_SUFFIXES = tuple(f".{name}" for name in f"{SUFFIXES} rst grd pix kea ecw sid ers".split())
TEXT_LISTS = (".txt",)
PARQUET_LISTS = (".parquet", ".pq")
STAC_SUFFIXES = (".json", ".geojson")
STAC_API = re.compile(r"https?://.*/(?:search|collections/[^/?]+/items(?:/[^/?]+)?)(?:\?.*)?")
LISTED = ("s3://", "gs://", "az://")  # whose objects can be listed


@dataclass(frozen=True, kw_only=True)
class Source:
    """One raster to work on: a file, or single-band files stacked as bands, and what belongs to it."""

    name: str
    """For the names of results: the file's without its suffix, or the item's id."""
    paths: tuple[str, ...]
    """One raster, or several of a single band in the order of the bands."""
    band_names: tuple[str, ...] = ()
    """Name of each band where several files are stacked: of STAC, the asset's."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """Further names of each band, as `red`."""
    mask: str | None = None
    """A raster that says where the pixels are not to be used."""
    datetime: str | None = None
    """When the image was taken, as STAC writes it; `start/end` for a span."""
    item: str | None = None
    """Id of the STAC item it is of."""
    problem: str | None = None
    """Why it cannot be opened, where this is known already; opening says so."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Source:
        """Return what was written as JSON."""
        lists = {"paths": tuple(document["paths"]), "band_names": tuple(document["band_names"])}
        return cls(**{**document, **lists, "aliases": tuple(tuple(names) for names in document["aliases"])})

    @property
    def label(self) -> str:
        """What the source is called in messages."""
        if self.item is not None:
            return f"item {self.item}"
        return shown(self.paths[0]) if self.paths else self.name


def name_of(path: str) -> str:
    """Return a name for the results of a raster: that of its file without the suffix.

    Examples
    --------
    >>> name_of("/data/a scene.v2.tif"), name_of("https://example.org/b.tif?token=c.d")
    ('a scene.v2', 'b')
    """
    place = shown(path)
    if "://" in holder(path):
        place = place.partition("?")[0]
    return PurePosixPath(place).stem


# --- what a user names


def find_sources(
    inputs: Sequence[str | Path], *, assets: Sequence[str] = (), mask_asset: str | None = None
) -> list[Source]:
    """Find the rasters that inputs name.

    Parameters
    ----------
    inputs : sequence of str or Path
        Rasters by path or URL; folders, for the rasters that lie in them; globs, `**` for any folders; text lists
        with one a line; Parquet lists; STAC Items, ItemCollections, Collections and Catalogs.
    assets : sequence of str, optional
        Assets of STAC items by name; several are stacked as bands in this order.
    mask_asset : str, optional
        Asset that says which pixels are not valid.

    Returns
    -------
    list of Source
        In the order of the inputs; a folder's and a glob's by name, a list's as it stands there. What is named twice
        is there once, in its first place.

    Raises
    ------
    InputError
        If a local path does not exist, a glob or folder holds no raster, a list or STAC document cannot be read, or
        no item has the assets. That what a list or an item names is there is not looked at here.
    UnreachableError
        If a server does not answer.
    """
    from superpoint.cache.stac import AssetChoice  # pystac, only if there is need

    choice = AssetChoice(assets=tuple(assets), mask=mask_asset)
    found = [source for place in inputs for source in _sources(str(place), choice)]
    if (assets or mask_asset) and all(source.item is None for source in found):
        raise InputError("assets are parts of STAC items, and no item is among the inputs; leave --assets out")
    if all(source.problem for source in found):
        raise InputError(str(found[0].problem) if found else "the inputs name no raster")
    unique: dict[Hashable, Source] = {}
    for source in found:
        unique.setdefault((source.item, source.paths or source.problem, source.mask), source)
    return list(unique.values())


def _sources(place: str, choice: AssetChoice) -> list[Source]:
    return [source for each in _places(place) for source in _of_place(each, choice)]


def _places(place: str) -> list[str]:
    """Return the files, documents and URLs that an input names."""
    if is_remote(place):
        if place.startswith(LISTED) and ("*" in place or place.endswith("/")):
            return _rasters_of(place, list_objects(place))
        return [place]
    path = Path(absolute(place))
    if path.is_dir():
        return _rasters_of(place, [str(each) for each in path.iterdir() if each.is_file() and each.name[0] != "."])
    if Path(holder(place)).exists():
        return [absolute(place)]
    if glob.has_magic(place):
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207  # a pattern may be absolute
        return _rasters_of(place, [each for each in found if Path(each).is_file()])
    raise InputError(f"raster {path} does not exist; check the path")


def _rasters_of(place: str, found: list[str]) -> list[str]:
    """Sort what was found, and leave out what is no raster unless the glob names a suffix."""
    is_named = PurePosixPath(place).suffix.strip(".*?") and "*" in place and not place.endswith("/")
    kept = sorted(each for each in found if is_named or each.lower().endswith(RASTER_SUFFIXES))
    if not kept:
        raise InputError(f"{shown(place)} names no raster; give files, or a folder that holds some as .tif or .jp2")
    return kept


def _of_place(place: str, choice: AssetChoice) -> Iterable[Source]:
    from superpoint.cache.lists import read_parquet_list, read_text_list
    from superpoint.cache.stac import read_stac

    suffix = _suffix(place)
    if suffix in TEXT_LISTS:
        return _of_entries(read_text_list(place), choice)
    if suffix in PARQUET_LISTS:
        return _of_entries(read_parquet_list(place), choice)
    if _is_stac(place):
        return read_stac(place, choice)
    return [Source(name=name_of(place), paths=(place,))]


def _of_entries(entries: list[Entry], choice: AssetChoice) -> Iterator[Source]:
    from superpoint.cache.stac import read_items

    items = read_items((path for path, _ in entries if _is_stac(path)), choice)
    for path, mask in entries:
        if _is_stac(path):
            yield from next(items)
        else:
            yield Source(name=name_of(path), paths=(path,), mask=mask)


def _is_stac(place: str) -> bool:
    return _suffix(place) in STAC_SUFFIXES or bool(STAC_API.fullmatch(place))


def _suffix(place: str) -> str:
    return PurePosixPath(shown(place).partition("?")[0] if is_remote(place) else place).suffix.lower()
