"""A Zarr group of arrays on one raster's grid, written tile by tile.

    <name>-<digest>.zarr/
        zarr.json               attributes: georeference, provenance (what the digest was made of)
        <array>/                one or more arrays of shape (rows, cols), chunks of 512 x 512, zstd
        x/  y/  spatial_ref/    CF coordinates
    <name>-<digest>.ledger/
        <tile>.json             what is known of each tile

One task owns every chunk it writes: two writers in one chunk would lose data silently, so a tile's core must
be made of whole chunks, and that is checked on every write. Everything is a function of the provenance and the
tile: whoever writes a key writes the same bytes, so that writers need not know of one another, and what is
missing or damaged is written again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from superpoint.cache.codecs import LEVEL, LabelCodec, encode_chunk
from superpoint.cache.georeference import Georeference
from superpoint.cache.keys import digest
from superpoint.cache.ledger import Ledger, TileRecord
from superpoint.cache.stores import Store, as_store
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.tiles import Tile, Window

Check = Literal["bytes", "sizes"]

CHUNK = 512
SMALLEST_CHUNK = 16  # pixels, the unit of a GeoTIFF's blocks
LAYOUT_VERSION = 2
_MARK = "superpoint"
_ROOT = "zarr.json"


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
    def store(self) -> Store:
        """Where it is."""
        return Store(self.path)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the group's tiles."""
        return Ledger(Store(beside(self.path, ".ledger")))

    def array(self, name: str) -> zarr.Array[Any]:
        """Open one of the arrays for reading."""
        found = zarr.open_group(self.store.zarr, mode="r").get(name)
        if not isinstance(found, zarr.Array):
            raise InputError(f"{self.path} has no array {name!r}; delete the folder and run again")
        return found

    def read(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of one of the arrays."""
        return np.asarray(self.array(name)[window.slices])

    def write_tile(self, tile: Tile, arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, str]]:
        """Write the core of a tile, each array of its shape, and return size and digest of each chunk by its key."""
        for start, count, size in zip(
            (tile.core.row, tile.core.col), tile.core.shape, self.georeference.shape, strict=True
        ):
            if start % self.chunk or ((start + count) % self.chunk and start + count != size):
                raise ValueError(
                    f"tile {tile.name} does not own whole chunks: pixels {start} to {start + count} of {size}, "
                    f"chunk {self.chunk}"
                )
        chunks: dict[str, bytes] = {}
        for name, values in arrays.items():
            encoder = _encoder(self.path, name)
            if values.shape != tile.core.shape or values.dtype != encoder.array.dtype:
                raise ValueError(f"{name} of tile {tile.name} is {values.dtype} {values.shape}, not {encoder.array}")
            chunks |= {f"{name}/{key}": data for key, data in encoder.encode(tile.core, values).items()}
        self.store.delete(key for key, data in chunks.items() if not data)
        return write_objects(self.store, {key: data for key, data in chunks.items() if data})

    def damage(self, record: TileRecord, *, check: Check = "bytes") -> list[str]:
        """Return what is wrong with the chunks of a tile that is done, a sentence each; nothing if it is intact."""
        wrong = (_damage(self.store, key, *expected, check) for key, expected in record.chunks.items())
        return [sentence for sentence in wrong if sentence]

    def done(self, *, check: Check = "bytes") -> Iterator[TileRecord]:
        """Yield the records of the tiles that are done and intact.

        Parameters
        ----------
        check : {"bytes", "sizes"}
            Whether each chunk is read and its digest compared, or only its size is asked for.
        """
        done = (record for record in self.ledger.records() if record.state == "done")
        for record, sentences in self.store.map(lambda record: (record, self.damage(record, check=check)), done):
            if not sentences:
                yield record


def beside(path: str, suffix: str) -> str:
    """Return the path of a group with another suffix."""
    return path.removesuffix(".zarr") + suffix


def write_objects(store: Store, objects: Mapping[str, bytes]) -> dict[str, tuple[int, str]]:
    """Write objects and return size and digest of each by its key."""
    for key, data in objects.items():
        store.write(key, data)
    return {key: (len(data), _digest(data)) for key, data in objects.items()}


def _damage(store: Store, key: str, n_bytes: int, expected: str, check: Check) -> str | None:
    data = store.read(key) if check == "bytes" else None
    size = store.size(key) if check == "sizes" else None if data is None else len(data)
    if size is None:
        return f"{key} is missing"
    if size != n_bytes:
        return f"{key} has {size} bytes instead of {n_bytes}"
    return f"{key} differs from what was written" if data is not None and _digest(data) != expected else None


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class _Encoder:
    """Makes the chunks of an array, as its metadata says."""

    def __init__(self, metadata: bytes) -> None:
        buffer = default_buffer_prototype().buffer
        self._objects: dict[str, Any] = {}
        self.array = zarr.open_array(MemoryStore({_ROOT: buffer.from_bytes(metadata)}), mode="r")
        self._shards = zarr.create_array(
            MemoryStore(self._objects),
            shape=self.array.shape,
            dtype=self.array.dtype,
            chunks=self.array.chunks,
            shards=self.array.shards,
            compressors=[LabelCodec(level=LEVEL)],
            fill_value=self.array.fill_value,
        )

    def encode(self, window: Window, values: NDArray[Any]) -> dict[str, bytes]:
        """Return the bytes of the chunks of a window, by key; none for a chunk that is all fill value."""
        if self.array.shards:
            self._shards[window.slices] = values
            found = {key: self._objects.pop(key, None) for key, _ in self._parts(window, self.array.shards)}
            return {key: b"" if buffer is None else buffer.to_bytes() for key, buffer in found.items()}
        # Without shards a chunk is a compressed block of values: Zarr's own way there takes half as long again.
        return {key: self._encode_chunk(values[part]) for key, part in self._parts(window, self.array.chunks)}

    def _parts(self, window: Window, unit: tuple[int, ...]) -> Iterator[tuple[str, tuple[slice, slice]]]:
        """Yield the key of each unit of a window, and where it lies in the window."""
        for row in range(window.row // unit[0], -(-(window.row + window.n_rows) // unit[0])):
            for col in range(window.col // unit[1], -(-(window.col + window.n_cols) // unit[1])):
                top, left = row * unit[0] - window.row, col * unit[1] - window.col
                key = self.array.metadata.encode_chunk_key((row, col))
                yield key, (slice(top, top + unit[0]), slice(left, left + unit[1]))

    def _encode_chunk(self, values: NDArray[Any]) -> bytes:
        fill = self.array.fill_value
        if (values == fill).all():
            return b""
        if values.shape != self.array.chunks:  # at the raster's edge; a chunk is always whole
            whole = np.full(self.array.chunks, fill, values.dtype)
            whole[: values.shape[0], : values.shape[1]] = values
            values = whole
        return encode_chunk(values)


@functools.lru_cache(maxsize=256)
def _encoder(path: str, name: str) -> _Encoder:
    metadata = Store(path).read(f"{name}/{_ROOT}")
    if metadata is None:
        raise ValueError(f"{path} has no array {name!r}")  # and this is not remembered
    return _Encoder(metadata)


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


def group_of(
    cache: Store | Path | str,
    *,
    kind: str,
    name: str,
    georeference: Georeference,
    tile_size: int,
    provenance: Mapping[str, Any],
    sharding: bool = False,
) -> TiledGroup:
    """Return the group that belongs to `provenance`, whether it is there or not.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    kind : str
        Subfolder, such as `label-maps`.
    name : str
        A name for people; the digest of `provenance` is appended.
    georeference : Georeference
        The raster's grid; every array has its shape.
    tile_size : int
        Side of a tile in pixels.
    provenance : mapping
        JSON values that decide the bytes: the same provenance, the same folder.
    sharding : bool
        Whether the chunks of a tile are stored as one object, a shard.
    """
    full = {"layout": LAYOUT_VERSION, "kind": kind, "tile": tile_size, **provenance}
    if sharding:
        full["sharding"] = True
    place = as_store(cache).child(kind).child(f"{name}-{digest(full)}.zarr")
    return TiledGroup(path=place.url, georeference=georeference, tile_size=tile_size, provenance=full)


def open_group(cache: Store | Path | str, *, arrays: Mapping[str, ArraySpec], **of: Any) -> TiledGroup:  # noqa: ANN401  # as group_of
    """Open the group that belongs to a provenance, making it if it is not there, mending it if it is damaged.

    Parameters
    ----------
    cache : Store or path or str
        Folder or URL of the cache.
    arrays : mapping of str to ArraySpec
        The arrays to hold.
    **of
        As `group_of` takes.

    Raises
    ------
    InputError
        If the cache folder cannot be written.
    """
    group = group_of(cache, **of)
    layout = _lay_out(group, arrays)
    # The root comes last: a group that has one is whole.
    for key in sorted(layout, key=lambda key: (key == _ROOT, key)):
        if group.store.read(key) != layout[key]:
            group.store.write(key, layout[key])
    return group


def stored_bytes(
    group: TiledGroup, arrays: Mapping[str, ArraySpec], tile: Tile, values: Mapping[str, NDArray[Any]]
) -> int:
    """Return how many bytes the chunks of a tile would take."""
    layout = _lay_out(group, arrays)
    chunks = (_Encoder(layout[f"{name}/{_ROOT}"]).encode(tile.core, values[name]) for name in arrays)
    return sum(len(data) for some in chunks for data in some.values())


def _lay_out(group: TiledGroup, arrays: Mapping[str, ArraySpec]) -> dict[str, bytes]:
    """Return all objects of a group without tiles; the same bytes for the same group."""
    objects: dict[str, Any] = {}
    root = zarr.open_group(MemoryStore(objects), mode="w")
    grid = group.georeference
    side = (group.tile_size, group.tile_size)
    chunks = (group.chunk, group.chunk)
    sharding = bool(group.provenance.get("sharding"))
    for name, spec in arrays.items():
        root.create_array(
            name,
            shape=grid.shape,
            dtype=spec.dtype,
            chunks=chunks if sharding else (min(group.chunk, grid.shape[0]), min(group.chunk, grid.shape[1])),
            shards=side if sharding else None,
            compressors=[ZstdCodec(level=LEVEL)],  # to all readers, so that they need no code of ours
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
    layout = {key: value.to_bytes() for key, value in objects.items()}
    layout[_ROOT] = _consolidated(layout)
    return layout


def _consolidated(layout: Mapping[str, bytes]) -> bytes:
    """Return the root with the metadata of all arrays in it, where xarray looks first.

    As `zarr.consolidate_metadata` does, which warns, and warnings cannot be held back in one thread alone.
    """
    arrays = {key.removesuffix(f"/{_ROOT}"): json.loads(layout[key]) for key in layout if key.endswith(f"/{_ROOT}")}
    root = json.loads(layout[_ROOT])
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    return json.dumps(root, indent=2).encode()


def load_group(path: str | Path) -> TiledGroup:
    """Open a group that is there, by its folder or URL.

    Raises
    ------
    InputError
        If it is not one of superpoint's groups.
    """
    place = as_store(path)
    try:
        attributes = json.loads(place.read(_ROOT) or b"")["attributes"]
        provenance = attributes[_MARK]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is not a label map or pseudo-mask of superpoint; give a .zarr folder of its cache"
        ) from error
    return TiledGroup(
        path=place.url,
        georeference=Georeference(
            shape=tuple(attributes["spatial:shape"]),
            transform=tuple(attributes["spatial:transform"]),
            crs=attributes.get("proj:wkt2"),
        ),
        tile_size=provenance["tile"],
        provenance=provenance,
    )
