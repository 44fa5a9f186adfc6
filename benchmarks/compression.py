"""Compression of label maps: bits per pixel, and how fast chunks are encoded and decoded, by codec.

    python benchmarks/compression.py tile5.tif

Seconds of one core, runs interleaved, medians. Times are of the codec alone, on whole chunks; "as stored" is what
the cache writes, with Zarr, its files and digests. `--side 66000` numbers superpixels as in a raster of that many
pixels a side, whose ids need more bytes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs.blosc
import numpy as np
import rasterio
from numcodecs import Blosc, Delta, GZip, Zstd

from superpoint.cache.georeference import Georeference
from superpoint.cache.groups import ArraySpec, open_group
from superpoint.frames import encode_frame
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.lattice import Lattice
from superpoint.superpixels.slic import SPREAD, Slic
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Labels = NDArray[np.uint32]
    Prepare = Callable[[Labels], NDArray[Any]]

TILE = 1024


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A way to store chunks."""

    codec: Any
    """With `encode` and `decode`."""
    prepare: Prepare = np.ascontiguousarray
    """What is done to a chunk first; not timed, since most is not the codec's work."""
    readers: str = "zarr, GDAL"
    """Who reads it without further packages, or why nobody does."""


class Frames:
    """Frames of Zstandard by the encoder that knows label maps, decoded by the library."""

    encode = staticmethod(encode_frame)
    decode = Zstd().decode


def main() -> None:
    """Superpixelize the rasters and print one row for each codec."""
    parser = argparse.ArgumentParser(description="Compression of label maps.")
    parser.add_argument("rasters", type=Path, nargs="+")
    parser.add_argument("--region-size", type=float, default=20)
    parser.add_argument("--side", type=int, help="ids as in a raster of so many pixels a side")
    parser.add_argument("--chunk", type=int, default=512)
    parser.add_argument("--sample", type=int, default=12, help="chunks that are timed, of each raster")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", help="codecs whose name holds this")
    arguments = parser.parse_args()
    numcodecs.blosc.use_threads = False
    maps = [superpixels_of(path, arguments.region_size, arguments.side) for path in arguments.rasters]
    chunks = [chunk for labels in maps for chunk in whole_chunks(labels, arguments.chunk, arguments.sample)]
    chains = {name: chain for name, chain in make_chains().items() if not arguments.only or arguments.only in name}
    print(f"{sum(labels.size for labels in maps) / 1e6:.1f} Mpx, {len(chunks)} chunks of {arguments.chunk} timed")
    print(f"{'codec':30} {'bits/px':>8} {'encode':>7} {'decode':>7} Mpx/s   read by")
    for name, (bits, encode, decode) in measure(chains, chunks, arguments.repeats).items():
        print(f"{name:30} {bits:8.3f} {encode:7.0f} {decode:7.0f}         {chains[name].readers}")
    for path, labels in zip(arguments.rasters, maps, strict=True):
        bits, speed = as_stored(labels)
        print(f"{'as stored: ' + path.stem:30} {bits:8.3f} {speed:7.0f}")


def make_chains() -> dict[str, Chain]:
    """Return the ways to store chunks, by name."""
    chains = {f"zstd {level}": Chain(codec=Zstd(level)) for level in (-5, 1, 3, 5, 7, 9, 12, 15)}
    for compressor, level in (("lz4", 5), ("zstd", 3), ("zstd", 5)):
        for shuffle, name in ((Blosc.NOSHUFFLE, "plain"), (Blosc.SHUFFLE, "shuffle"), (Blosc.BITSHUFFLE, "bits")):
            chains[f"blosc {compressor} {level}, {name}"] = Chain(codec=Blosc(compressor, level, shuffle))
    return chains | {
        "zstd, by our encoder": Chain(codec=Frames()),
        "gzip 6": Chain(codec=GZip(6)),
        "zstd 3, big-endian": Chain(codec=Zstd(3), prepare=lambda labels: labels.astype(">u4")),
        "zstd 3, columns first": Chain(codec=Zstd(3), prepare=lambda labels: np.ascontiguousarray(labels.T)),
        "zstd 3, differences": Chain(codec=Zstd(3), prepare=differences, readers="zarr with numcodecs' delta"),
        "zstd 3, ids from 0 in a chunk": Chain(codec=Zstd(3), prepare=renumbered, readers="nobody: ids are lost"),
    }


def differences(labels: Labels) -> Labels:
    """Return the differences from pixel to pixel."""
    return np.asarray(Delta(dtype="u4").encode(labels))


def renumbered(labels: Labels) -> Labels:
    """Give the ids of a chunk numbers from 0: the most that any numbering of ids could save."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.uint32)


def superpixels_of(path: Path, region_size: float, side: int | None) -> Labels:
    """Superpixelize a raster by SLIC; with `side`, in the middle of a larger raster's lattice."""
    with rasterio.open(path) as dataset:
        labels = superpixelize_array(dataset.read(), Slic(region_size=region_size))
    if side is None:
        return labels
    small = Lattice.over(labels.shape, region_size=SPREAD * region_size)
    large = Lattice.over((side, side), region_size=SPREAD * region_size)
    piece, place = np.divmod(labels.astype(np.int64) - 1, len(small))
    row, col = np.divmod(place, small.n_cols)
    moved = piece * len(large) + (row + large.n_rows // 2) * large.n_cols + col + large.n_cols // 2 + 1
    return np.where(labels > 0, moved, 0).astype(np.uint32)


def whole_chunks(labels: Labels, side: int, n_chunks: int) -> list[Labels]:
    """Return a sample of the chunks that lie in the raster whole, spread evenly."""
    rows, cols = labels.shape[0] // side, labels.shape[1] // side
    places = np.linspace(0, rows * cols - 1, min(n_chunks, rows * cols)).round().astype(int)
    starts = [(place // cols * side, place % cols * side) for place in places]
    return [labels[row : row + side, col : col + side] for row, col in starts]


def measure(chains: dict[str, Chain], chunks: list[Labels], repeats: int) -> dict[str, tuple[float, float, float]]:
    """Return bits per pixel, and Mpx/s of encoding and decoding, of each codec."""
    prepared = {name: [chain.prepare(chunk) for chunk in chunks] for name, chain in chains.items()}
    n_px = sum(chunk.size for chunk in chunks)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in chains}
    n_bytes = {}
    for _ in range(repeats):
        for name, chain in chains.items():
            start = time.process_time()
            encoded = [chain.codec.encode(chunk) for chunk in prepared[name]]
            middle = time.process_time()
            decoded = [chain.codec.decode(data) for data in encoded]
            seconds[name].append((middle - start, time.process_time() - middle))
            n_bytes[name] = sum(map(len, encoded))
            if any(bytes(data) != chunk.tobytes() for data, chunk in zip(decoded, prepared[name], strict=True)):
                raise ValueError(f"{name} does not give back what it was given")
    speeds = {
        name: [n_px / 1e6 / statistics.median(each) for each in zip(*of, strict=True)] for name, of in seconds.items()
    }
    return {name: (n_bytes[name] * 8 / n_px, *speeds[name]) for name in chains}


def as_stored(labels: Labels) -> tuple[float, float]:
    """Write a label map to a cache; return bits per pixel and Mpx/s."""
    with tempfile.TemporaryDirectory() as folder:
        group = open_group(
            Path(folder),
            kind="label-maps",
            name="benchmark",
            georeference=Georeference(shape=labels.shape, transform=(1, 0, 0, 0, -1, 0), crs=None),
            tile_size=TILE,
            arrays={"labels": ArraySpec(dtype="uint32", fill_value=0, long_name="superpixel id")},
            provenance={},
        )
        start = time.process_time()
        for tile in TileGrid(shape=labels.shape, size=TILE):
            group.write_tile(tile, {"labels": labels[tile.core.slices]})
        seconds = time.process_time() - start
        n_bytes = sum(path.stat().st_size for path in Path(group.path, "labels", "c").rglob("*") if path.is_file())
    return n_bytes * 8 / labels.size, labels.size / 1e6 / seconds


if __name__ == "__main__":
    main()
