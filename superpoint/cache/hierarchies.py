"""Hierarchies of superpixels in the cache: computed once a raster, cut whenever.

    hierarchies/<name>-<digest>.zarr/
        zarr.json           attributes: georeference, provenance, checksum of the arrays
        absorbed/ into/     uint32 (merges,), in order: superpixels by the index of their smallest pixel
        valid/              bool (rows, cols)

A group is laid out elsewhere and renamed: it is whole or not there. What was damaged since fails its checksum and
counts as not there.
"""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from superpoint.cache.groups import CHUNK
from superpoint.cache.keys import checksum, digest
from superpoint.errors import InputError
from superpoint.superpixels.hierarchy import Hierarchy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from superpoint.cache.georeference import Georeference

KIND = "hierarchies"
LAYOUT_VERSION = 1
MERGES_PER_CHUNK = 2**20
_ARRAYS = ("absorbed", "into", "valid")


def hierarchy_path(cache: Path, *, name: str, provenance: Mapping[str, Any]) -> Path:
    """Return the folder of the hierarchy that belongs to `provenance`.

    Parameters
    ----------
    cache : Path
        Folder of the cache.
    name : str
        A name for people.
    provenance : mapping
        JSON values that decide the hierarchy.
    """
    full = {"layout": LAYOUT_VERSION, "kind": KIND, **provenance}
    return cache.absolute() / KIND / f"{name}-{digest(full)}.zarr"


def read_hierarchy(path: Path) -> Hierarchy | None:
    """Return the hierarchy kept in a folder; None if there is none, or it is damaged."""
    try:
        group = zarr.open_group(str(path), mode="r")
        arrays = {name: np.asarray(group[name]) for name in _ARRAYS}
        kept = group.attrs["checksum"]
    except (OSError, KeyError, ValueError, RuntimeError):  # not there, or not to be read
        return None
    return Hierarchy(**arrays) if checksum(*arrays.values()) == kept else None


def write_hierarchy(
    path: Path, hierarchy: Hierarchy, *, georeference: Georeference, provenance: Mapping[str, Any]
) -> None:
    """Keep a hierarchy, in place of a damaged one.

    Parameters
    ----------
    path : Path
        From `hierarchy_path`.
    hierarchy : Hierarchy
        What to keep.
    georeference : Georeference
        The grid of its raster.
    provenance : mapping
        As given to `hierarchy_path`; kept for people.

    Raises
    ------
    InputError
        If the cache folder cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        _lay_out(zarr.open_group(str(scratch), mode="w"), hierarchy, georeference, provenance)
        shutil.rmtree(path, ignore_errors=True)
        scratch.rename(path)
    except OSError as error:
        if read_hierarchy(path) is None:  # or another process was faster
            raise InputError(
                f"cannot write the cache folder {path.parent}: {error.strerror}; give another with --cache"
            ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
