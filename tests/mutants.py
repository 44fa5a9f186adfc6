"""Rasters that are not what they say: GeoTIFFs whose headers Hypothesis has been at, and files that are none."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as reproducible
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from superpoint.scenes import make_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ABSURD = (0, 1, 2, 3, 5, 7, 9, 255, 256, 65_535, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 11: 4, 12: 8}  # bytes, by TIFF's number of the type
N_TYPES = 20
KINDS: tuple[dict[str, Any], ...] = (
    {"dtype": "uint8", "count": 3, "compress": "deflate"},
    {"dtype": "uint16", "count": 1, "compress": "lzw", "predictor": 2, "tiled": True, "blockxsize": 64,
     "blockysize": 64},
    {"dtype": "float32", "count": 2, "interleave": "band", "compress": "zstd"},
    {"dtype": "uint8", "count": 3, "compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 64,
     "blockysize": 64},
    {"dtype": "uint8", "count": 4, "alpha": "yes"},
    {"dtype": "int16", "count": 1, "compress": "packbits", "endianness": "big"},
    {"dtype": "uint8", "count": 1, "bigtiff": "yes", "compress": "lerc"},
)  # fmt: skip


def whole_files() -> list[bytes]:
    """Return small GeoTIFFs of several makes."""
    scene = make_scene(size=(150, 170), seed=0).image
    return [_written(np.concatenate([scene, scene[:1]])[: kind["count"]], kind) for kind in KINDS]


def _written(bands: Any, kind: dict[str, Any]) -> bytes:  # noqa: ANN401  # an array
    grid = {"height": bands.shape[1], "width": bands.shape[2], "crs": "EPSG:32633"}
    with MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with memory.open(driver="GTiff", **grid, **kind, transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)) as dataset:
            dataset.write(bands.astype(kind["dtype"]))
        return bytes(memory.read())


@st.composite
def mutants(draw: Callable[..., Any], whole: list[bytes]) -> bytes:
    """Draw a GeoTIFF of which something in the header is wrong, or the end is missing."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from((_set_value, _set_value, _set_type, _strew, _cut)))(draw, data)
    return bytes(data)


def _set_value(draw: Callable[..., Any], data: bytearray) -> None:
    """Give a field of the header, or an element of what it points to, another value."""
    fields = list(_fields(data))
    value = draw(st.sampled_from(ABSURD) | st.integers(0, 2**32 - 1))
    if fields:
        order, place, kind, count = draw(st.sampled_from(fields))
        size = TYPE_SIZES.get(kind, 1)
        if count * size > 4:  # it is elsewhere
            elsewhere = struct.unpack_from(order + "I", data, place)[0]
            place = elsewhere + size * draw(st.integers(0, count - 1))
        short = order + ("H" if kind == 3 else "I")
        value %= 2 ** (8 * struct.calcsize(short))
        if place + struct.calcsize(short) <= len(data):
            struct.pack_into(short, data, place, value)


def _set_type(draw: Callable[..., Any], data: bytearray) -> None:
    """Give a field another type and number of values."""
    fields = list(_fields(data))
    kind, count = draw(st.integers(0, N_TYPES)), draw(st.sampled_from(ABSURD))
    if fields:
        order, place, _, _ = draw(st.sampled_from(fields))
        struct.pack_into(order + "HI", data, place - 6, kind, count)


def _strew(draw: Callable[..., Any], data: bytearray) -> None:
    """Strew random bytes over the first of the file."""
    for _ in range(draw(st.integers(1, 8))):
        data[draw(st.integers(0, min(len(data), 600) - 1))] = draw(st.integers(0, 255))


def _cut(draw: Callable[..., Any], data: bytearray) -> None:
    """Cut off the end."""
    del data[draw(st.integers(8, len(data))) :]


def _fields(data: bytearray) -> Iterator[tuple[str, int, int, int]]:
    """Yield byte order, place of the value, type and number of each field of a TIFF's first directory."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] != 42:  # TIFF's own number; 43 is BigTIFF
        return
    start = struct.unpack_from(order + "I", data, 4)[0]
    if start + 2 > len(data):
        return
    for number in range(struct.unpack_from(order + "H", data, start)[0]):
        place = start + 2 + 12 * number
        if place + 12 > len(data):
            return
        kind, count = struct.unpack_from(order + "HI", data, place + 2)
        yield order, place + 8, kind, count


# --- files


def write_mutants(folder: Path, n_files: int, *, seed: int) -> list[Path]:
    """Write GeoTIFFs that Hypothesis has been at, the same ones for a seed."""
    paths: list[Path] = []

    @reproducible(seed)
    @settings(
        max_examples=n_files,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(mutants(whole_files()))
    def write(mutant: bytes) -> None:
        paths.append(folder / f"mutant-{len(paths):04}.tif")
        paths[-1].write_bytes(mutant)

    write()
    return paths


def write_oddities(folder: Path, rng: np.random.Generator) -> list[Path]:
    """Write what is called a raster and is none: garbage, nothing, text, a folder, a link to itself, a name alone."""
    (folder / "garbage.tif").write_bytes(rng.bytes(20_000))
    (folder / "headed-garbage.tif").write_bytes(b"II*\0\x08\0\0\0" + rng.bytes(5_000))
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("x,y,class\n1,2,field\n")
    (folder / "folder.tif").mkdir()
    (folder / "loop.tif").symlink_to(folder / "loop.tif")
    names = ("garbage", "headed-garbage", "empty", "text", "folder", "loop", "absent")
    return [folder / f"{name}.tif" for name in names]
