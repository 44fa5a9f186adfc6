"""A Zarr group of arrays on one raster's grid, written tile by tile.

    <name>-<digest>.zarr/
        zarr.json               attributes: georeference, provenance (what the digest was made of)
        <array>/                one or more arrays of shape (rows, cols), chunks of 512 x 512, zstd
        x/  y/  spatial_ref/    CF coordinates
    <name>-<digest>.ledger/
        <tile>.json             what is known of each tile

One task owns every chunk it writes: two writers in one chunk would lose data silently, so a tile's core must
be made of whole chunks, and that is checked on every write.
"""

from __future__ import annotations

import shutil
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import ZarrUserWarning
from zarr.storage import LocalStore

from superpoint.cache.georeference import Georeference
from superpoint.cache.keys import checksum, digest
from superpoint.cache.ledger import Ledger
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from superpoint.tiles import Tile, Window

CHUNK = 512
SMALLEST_CHUNK = 16  # pixels, the unit of a GeoTIFF's blocks
LAYOUT_VERSION = 1
_MARK = "superpoint"


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """What one array of a group holds."""

    dtype: str
    fill_value: float
    """Also the nodata value readers are told."""
    long_name: str


@dataclass(frozen=True, kw_only=True)
class TiledGroup:
    """A group in the cache."""

    path: str
    """Folder of the group."""
    georeference: Georeference
    tile_size: int
    """Side of a tile in pixels, a multiple of the chunk."""
    provenance: dict[str, Any]
    """What decides the bytes, as JSON."""

    @property
    def chunk(self) -> int:
        """Side of a chunk in pixels."""
        return chunk_of(self.tile_size)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the group's tiles."""
        return Ledger(LocalStore(Path(self.path).with_suffix(".ledger")))

    def array(self, name: str) -> zarr.Array[Any]:
        """Open one of the arrays for reading."""
        found = zarr.open_group(self.path, mode="r").get(name)
        if not isinstance(found, zarr.Array):
            raise InputError(f"{self.path} has no array {name!r}; delete the folder and run again")
        return found

    def read(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of one of the arrays."""
        return np.asarray(self.array(name)[window.slices])

    def write_tile(self, tile: Tile, arrays: Mapping[str, NDArray[Any]]) -> str:
        """Write the core of a tile, each array of its shape, and return the checksum of the bytes."""
        for start, count, size in zip(
            (tile.core.row, tile.core.col), tile.core.shape, self.georeference.shape, strict=True
        ):
            if start % self.chunk or ((start + count) % self.chunk and start + count != size):
                raise ValueError(
                    f"tile {tile.name} does not own whole chunks: pixels {start} to {start + count} of {size}, "
                    f"chunk {self.chunk}"
                )
        group = zarr.open_group(self.path, mode="r+")
        for name, values in arrays.items():
            target = group[name]
            if not isinstance(target, zarr.Array) or values.shape != tile.core.shape or values.dtype != target.dtype:
                raise ValueError(f"{name} of tile {tile.name} is {values.dtype} {values.shape}, not {target}")
            target[tile.core.slices] = values
        return checksum(*(arrays[name] for name in sorted(arrays)))


def chunk_of(tile_size: int) -> int:
    """Return the chunk that tiles of `tile_size` pixels are made of.

    Raises
    ------
    InputError
        If the tile is neither a multiple of 512 nor, below that, of 16.
    """
    if tile_size < SMALLEST_CHUNK or tile_size % (CHUNK if tile_size >= CHUNK else SMALLEST_CHUNK):
        raise InputError(f"tile must be a multiple of {CHUNK} pixels (or of 16 below that), got {tile_size}")
    return min(CHUNK, tile_size)


def open_group(
    cache: Path,
    *,
    kind: str,
    name: str,
    georeference: Georeference,
    tile_size: int,
    arrays: Mapping[str, ArraySpec],
    provenance: Mapping[str, Any],
) -> TiledGroup:
    """Open the group that belongs to `provenance`, making it if it is not there.

    Parameters
    ----------
    cache : Path
        Folder of the cache.
    kind : str
        Subfolder, such as `label-maps`.
    name : str
        A name for people; the digest of `provenance` is appended.
    georeference : Georeference
        The raster's grid; every array has its shape.
    tile_size : int
        Side of a tile in pixels.
    arrays : mapping of str to ArraySpec
        The arrays to hold.
    provenance : mapping
        JSON values that decide the bytes: the same provenance, the same folder.

    Raises
    ------
    InputError
        If the cache folder cannot be written.
    """
    full = {"layout": LAYOUT_VERSION, "kind": kind, "tile": tile_size, **provenance}
    path = cache.absolute() / kind / f"{name}-{digest(full)}.zarr"
    group = TiledGroup(path=str(path), georeference=georeference, tile_size=tile_size, provenance=full)
    try:
        if not _is_laid_out(path):
            _put_in_place(group, arrays, path)
    except OSError as error:
        raise InputError(
            f"cannot write the cache folder {cache}: {error.strerror}; give another with --cache"
        ) from error
    return group


def _is_laid_out(path: Path) -> bool:
    try:
        return _MARK in zarr.open_group(str(path), mode="r").attrs
    except (FileNotFoundError, ValueError):  # not there, or not to be read
        return False


def _put_in_place(group: TiledGroup, arrays: Mapping[str, ArraySpec], path: Path) -> None:
    """Lay the group out elsewhere and rename it: it is whole or not there, and of two clients the first wins."""
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        _lay_out(zarr.open_group(str(scratch), mode="w"), group, arrays)
        if not _is_laid_out(path):
            # What a ledger says of a group that was deleted or damaged is no longer true.
            shutil.rmtree(path.with_suffix(".ledger"), ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)
            scratch.rename(path)
    except OSError:
        if not _is_laid_out(path):  # or another client was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _lay_out(root: zarr.Group, group: TiledGroup, arrays: Mapping[str, ArraySpec]) -> None:
    grid = group.georeference
    for name, spec in arrays.items():
        root.create_array(
            name,
            shape=grid.shape,
            dtype=spec.dtype,
            chunks=(min(group.chunk, grid.shape[0]), min(group.chunk, grid.shape[1])),
            compressors=[ZstdCodec(level=3)],
            fill_value=spec.fill_value,
            dimension_names=("y", "x"),
            attributes={
                "grid_mapping": "spatial_ref",
                "long_name": spec.long_name,
                # Not _FillValue: xarray would turn ids into floats.
                "nodata": spec.fill_value,
                **grid.convention_attributes(),
            },
        )
    for axis, values in grid.coordinates().items():
        root.create_array(
            axis,
            data=values,
            dimension_names=(axis,),
            attributes=grid.coordinate_attributes(axis),
        )
    root.create_array(
        "spatial_ref",
        data=np.array(0),
        dimension_names=(),
        attributes=grid.spatial_ref_attributes(),
    )
    root.attrs.update({**grid.convention_attributes(), _MARK: group.provenance})
    with warnings.catch_warnings():
        # xarray looks for consolidated metadata first; zarr warns that version 3 of the format has no word on it.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(root.store)


def load_group(path: str | Path) -> TiledGroup:
    """Open a group that is there, by its folder.

    Raises
    ------
    InputError
        If the folder is not one of superpoint's groups.
    """
    try:
        attributes: dict[str, Any] = dict(zarr.open_group(str(path), mode="r").attrs)
        provenance = attributes[_MARK]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is not a label map or pseudo-mask of superpoint; give a .zarr folder of its cache"
        ) from error
    return TiledGroup(
        path=str(Path(path).absolute()),
        georeference=Georeference(
            shape=tuple(attributes["spatial:shape"]),
            transform=tuple(attributes["spatial:transform"]),
            crs=attributes.get("proj:wkt2"),
        ),
        tile_size=provenance["tile"],
        provenance=provenance,
    )
