"""Hierarchies of superpixels in the cache: computed once a raster, cut whenever.

    hierarchies/<name>-<digest>.zarr/
        zarr.json           attributes: georeference, provenance, checksum of the arrays
        absorbed/ into/     uint32 (merges,), in order: superpixels by the index of their smallest pixel
        valid/              bool (rows, cols)

The root is written last: a group that has one is whole. What was damaged since fails its checksum and counts as not
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from superpoint.cache.groups import CHUNK, write_objects
from superpoint.cache.keys import checksum, digest
from superpoint.cache.stores import Store, as_store
from superpoint.superpixels.hierarchy import Hierarchy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from superpoint.cache.georeference import Georeference

KIND = "hierarchies"
LAYOUT_VERSION = 1
MERGES_PER_CHUNK = 2**20
_ARRAYS = ("absorbed", "into", "valid")


def hierarchy_store(cache: Store | Path | str, *, name: str, provenance: Mapping[str, Any]) -> Store:
    """Return the place of the hierarchy that belongs to `provenance`.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    name : str
        A name for people.
    provenance : mapping
        JSON values that decide the hierarchy.
    """
    full = {"layout": LAYOUT_VERSION, "kind": KIND, **provenance}
    return as_store(cache).child(KIND).child(f"{name}-{digest(full)}.zarr")


def read_hierarchy(store: Store) -> Hierarchy | None:
    """Return the hierarchy kept in a place; None if there is none, or it is damaged."""
    try:
        group = zarr.open_group(store.zarr, mode="r")
        arrays = {name: np.asarray(group[name]) for name in _ARRAYS}
        kept = group.attrs["checksum"]
    except (OSError, KeyError, ValueError, RuntimeError):  # not there, or not to be read
        return None
    return Hierarchy(**arrays) if checksum(*arrays.values()) == kept else None


def write_hierarchy(
    store: Store, hierarchy: Hierarchy, *, georeference: Georeference, provenance: Mapping[str, Any]
) -> None:
    """Keep a hierarchy, in place of a damaged one.

    Parameters
    ----------
    store : Store
        From `hierarchy_store`.
    hierarchy : Hierarchy
        What to keep.
    georeference : Georeference
        The grid of its raster.
    provenance : mapping
        As given to `hierarchy_store`; kept for people.

    Raises
    ------
    InputError
        If the cache folder cannot be written.
    """
    objects: dict[str, Any] = {}
    _lay_out(zarr.open_group(MemoryStore(objects), mode="w"), hierarchy, georeference, provenance)
    write_objects(store, {key: objects[key].to_bytes() for key in sorted(objects, key=lambda key: key == "zarr.json")})


def _lay_out(root: zarr.Group, hierarchy: Hierarchy, georeference: Georeference, provenance: Mapping[str, Any]) -> None:
    arrays = {name: getattr(hierarchy, name) for name in _ARRAYS}
    for name, values in arrays.items():
        longest = MERGES_PER_CHUNK if values.ndim == 1 else CHUNK
        root.create_array(
            name,
            data=values,
            chunks=tuple(max(1, min(longest, length)) for length in values.shape),
            compressors=[ZstdCodec(level=1)],  # the order of merges has hardly a pattern
        )
    root.attrs.update(
        {
            **georeference.convention_attributes(),
            "superpoint": {"layout": LAYOUT_VERSION, "kind": KIND, **provenance},
            "checksum": checksum(*arrays.values()),
        }
    )
