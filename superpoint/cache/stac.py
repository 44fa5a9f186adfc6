"""STAC as input: items, their collections, catalogues; each item is one source, of the assets that are asked for."""

from __future__ import annotations

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pystac

from superpoint.cache.addresses import is_remote, joined, shown
from superpoint.cache.headers import IF_POINTS
from superpoint.cache.inputs import RASTER_SUFFIXES, Source
from superpoint.cache.objects import read_document
from superpoint.errors import InputError, SuperpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

N_READERS = 16  # items on a server that are asked for at a time
NOT_DATA = {"thumbnail", "overview", "metadata"}  # roles

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AssetChoice:
    """Which assets of an item are wanted."""

    assets: tuple[str, ...] = ()
    """By name; several are stacked as bands. None if an item has but one raster."""
    mask: str | None = None
    """Name of the asset that says which pixels are not valid."""


def read_stac(place: str, choice: AssetChoice) -> Iterator[Source]:
    """Make a source of each item of a STAC document.

    Parameters
    ----------
    place : str
        An Item, an ItemCollection, a page of a search, a Collection or Catalog with links; a local path or URL.
    choice : AssetChoice
        The assets wanted. An item without them becomes a source with a problem, so that the others go on.

    Yields
    ------
    Source
        In the order of the document and its links.

    Raises
    ------
    InputError
        If the document cannot be read or is not STAC.
    UnreachableError
        If a server does not answer.
    """
    yield from _of_document(_read_json(place), place, choice, seen={place})


def read_items(places: Iterable[str], choice: AssetChoice) -> Iterator[list[Source]]:
    """Read documents that a list names; one that cannot be read becomes a source with a problem.

    Yields
    ------
    list of Source
        For each place, in order.
    """

    def read(place: str) -> list[Source]:
        try:
            return list(read_stac(place, choice))
        except SuperpointError as error:
            return [_unreadable(place, error)]

    with ThreadPoolExecutor(N_READERS) as readers:
        yield from readers.map(read, places)


def _unreadable(place: str, error: SuperpointError) -> Source:
    name = PurePosixPath(shown(place).partition("?")[0]).stem
    return Source(name=name, paths=(), item=shown(place), problem=str(error))


def _read_json(place: str) -> dict[str, Any]:
    content = read_document(place)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown(place)} is not JSON: {error}; give a STAC Item or ItemCollection") from error
    if not isinstance(document, dict):
        raise InputError(f"{shown(place)} is a JSON list or value; give a STAC Item or ItemCollection")
    return document


def _of_document(document: dict[str, Any], place: str, choice: AssetChoice, *, seen: set[str]) -> Iterator[Source]:
    kind = document.get("type")
    if kind == "Feature":
        yield _source(document, place, choice)
    elif kind == "FeatureCollection":
        yield from _of_pages(document, place, choice)
    elif kind in ("Collection", "Catalog"):
        yield from _of_links(document, place, choice, seen=seen)
    else:
        raise InputError(f"{shown(place)} is no STAC Item, ItemCollection, Collection or Catalog (type {kind!r})")


def _of_pages(document: dict[str, Any], place: str, choice: AssetChoice) -> Iterator[Source]:
    """Make sources of a collection of items, and of the pages that follow it on a server."""
    seen = {place}
    while True:
        items = document.get("features")
        if not isinstance(items, list):
            raise InputError(f"{shown(place)} has no list of features; give a STAC ItemCollection")
        for item in items:
            yield _source(item, _own_place(item, place), choice)
        following = _following(document, place)
        if following is None or following in seen:
            return
        seen.add(following)
        document = _read_json(following)


def _following(document: dict[str, Any], place: str) -> str | None:
    link = next(iter(_links(document, "next")), None)
    if link is None:
        return None
    if not is_remote(place):
        _log.warning("%s is one page of several; only its own items are taken", place)
        return None
    if str(link.get("method", "GET")).upper() != "GET":
        raise InputError(f"{shown(place)} goes on at a page that wants POST; save all items in one file and give that")
    return joined(link["href"], place)


def _of_links(document: dict[str, Any], place: str, choice: AssetChoice, *, seen: set[str]) -> Iterator[Source]:
    """Make sources of the items that a collection or catalogue links to, and of those of its children."""
    items = [joined(link["href"], place) for link in _links(document, "item")]
    for sources in read_items(items, choice):
        yield from sources
    for link in _links(document, "child"):
        child = joined(link["href"], place)
        if child not in seen:
            seen.add(child)
            yield from _of_document(_read_json(child), child, choice, seen=seen)
    if not items and not list(_links(document, "child")):
        raise InputError(f"{shown(place)} links to no items; give the items, or the address that lists them")


def _links(document: dict[str, Any], relation: str) -> Iterator[dict[str, Any]]:
    links = document.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == relation and isinstance(link.get("href"), str):
            yield link


def _own_place(item: object, place: str) -> str:
    """Return where an item of a collection says that it lies itself, or else the collection's place."""
    link = next(_links(item, "self"), None) if isinstance(item, dict) else None
    return joined(link["href"], place) if link else place


# --- one item


def _source(document: Any, place: str, choice: AssetChoice) -> Source:  # noqa: ANN401  # whatever JSON holds
    """Make a source of what should be an item; what is wrong with it becomes the source's problem."""
    try:
        item = pystac.Item.from_dict(document, migrate=True, preserve_dict=False)
        names = choice.assets or _only_raster(item, choice.mask)
        assets = [_asset(item, name) for name in names]
        return Source(
            name=re.sub(r"[\\/:]+", "_", item.id),
            item=item.id,
            datetime=_datetime(item),
            paths=tuple(joined(asset.href, place) for asset in assets),
            band_names=names if len(names) > 1 else (),
            aliases=_aliases(names, assets),
            mask=joined(_asset(item, choice.mask).href, place) if choice.mask else None,
        )
    except Exception as error:  # noqa: BLE001  # pystac raises what it trips over
        words = str(error) if isinstance(error, InputError) else f"it is no STAC Item that pystac can read: {error!r}"
        if isinstance(document, dict) and "stac_version" not in document:  # any GeoJSON
            words += f"; {IF_POINTS}"
        name = str(document.get("id", "without id")) if isinstance(document, dict) else "without id"
        problem = f"item {name} of {shown(place)} cannot be used: {words}"
        return Source(name=re.sub(r"[\\/:]+", "_", name), item=name, paths=(), problem=problem)


def _asset(item: pystac.Item, name: str) -> pystac.Asset:
    if name not in item.assets:
        raise InputError(f"it has no asset {name!r}; assets: {', '.join(item.assets) or 'none'}")
    return item.assets[name]


def _datetime(item: pystac.Item) -> str | None:
    properties = item.properties
    if properties.get("datetime"):
        return str(properties["datetime"])
    span = [properties.get("start_datetime"), properties.get("end_datetime")]
    return "/".join(str(end or "..") for end in span) if any(span) else None


def _only_raster(item: pystac.Item, mask: str | None) -> tuple[str, ...]:
    rasters = [name for name, asset in item.assets.items() if name != mask and _is_raster(asset)]
    data = [name for name in rasters if "data" in (item.assets[name].roles or ())]
    for only in (rasters, data):
        if len(only) == 1:
            return (only[0],)
    raise InputError(
        f"it has {len(rasters)} rasters; choose with --assets, several are stacked as bands; "
        f"assets: {', '.join(item.assets) or 'none'}"
    )


def _is_raster(asset: pystac.Asset) -> bool:
    if NOT_DATA & set(asset.roles or ()):
        return False
    if asset.media_type:
        return asset.media_type.startswith("image/")
    return asset.href.partition("?")[0].lower().endswith(RASTER_SUFFIXES)


def _aliases(names: tuple[str, ...], assets: list[pystac.Asset]) -> tuple[tuple[str, ...], ...]:
    """Return further names of each band of the stack, or of the one file."""
    if len(assets) > 1:
        bands = [_band_names(asset) for asset in assets]
        return tuple(own[0] if len(own) == 1 else () for own in bands)
    own = _band_names(assets[0])
    return ((names[0], *(own[0] if own else ())),) if len(own) <= 1 else own


def _band_names(asset: pystac.Asset) -> tuple[tuple[str, ...], ...]:
    """Return the names and common names of an asset's bands: of STAC 1.1, or of the extension eo before it."""
    fields = asset.extra_fields
    described = fields.get("bands") or fields.get("eo:bands") or [fields]
    names = [(band.get("name"), band.get("eo:common_name") or band.get("common_name")) for band in described]
    return tuple(tuple(str(name) for name in own if name) for own in names)
