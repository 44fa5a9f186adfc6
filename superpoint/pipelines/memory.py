"""What a worker's memory comes to: so much for being there, and so much for each tile that it is at.

    worker = base + threads x tile
    tile   = 1.15 x the greediest of the steps that a tile goes through

A step holds arrays of the window that is read, a tile with its halo on all sides. In bytes for each of its pixels,
with b bands of s bytes as stored:

    reading      (f + s + 2) b + 3: the image, as GDAL decoded it, what is known of each band, twice
    scaling      16 b + 2: the image, what is valid of it, the scaled one, what of it is not a number
    labelling    (f + 4) b + 1, and what the algorithm says it needs; f b + 1 with one that scales as it reads
    writing      21 where tiles are joined; else 4, and 10 for each pixel of the tile
    joining      4 for each tile that sees a part of the window, 9 as a rule; 40 for each pixel of the tile, and 300
                 for each superpixel

f is 4, float32; but s with an algorithm that scales as it reads, where no band has gaps of its own.

The base is a process that has imported and compiled everything, and the blocks that GDAL keeps. What is measured
against this, and how: `benchmarks/memory.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.handles import BLOCK_CACHE_MIB
from superpoint.superpixels.algorithm import MemoryNeed, ReadsStored, TellsMemory
from superpoint.superpixels.joining import is_joined, region_size_of

if TYPE_CHECKING:
    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

PROCESS_BYTES = 384 * 2**20  # Dask, GDAL, Numba and our kernels, which a machine's first process compiles
BLOCK_CACHE_BYTES = BLOCK_CACHE_MIB * 2**20
FLOAT_BYTES = 4
SPARE = 1.15  # what allocators keep and small arrays take
STRANGERS_NEED = (160.0, 24.0)  # bytes a pixel, and more for each band, of an algorithm that says nothing


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """The most memory that a worker process takes, and what it is made of."""

    base_bytes: int
    """Whatever the tile: code, compiled kernels, the blocks that GDAL keeps."""
    tile_bytes: int
    """For each tile in work, one a thread."""
    steps: dict[str, int]
    """Bytes of each step of a tile; the largest decides."""
    threads: int = 1
    """Tiles in work at a time."""

    @property
    def n_bytes(self) -> int:
        """Of the whole process."""
        return self.base_bytes + self.threads * self.tile_bytes


def worker_bytes(
    *,
    tile: int,
    halo: int,
    n_bands: int,
    dtype: str,
    algorithm: SuperpixelAlgorithm,
    has_gaps: bool = False,
    threads: int = 1,
) -> MemoryEstimate:
    """Estimate the memory of a worker process at its peak.

    Parameters
    ----------
    tile : int
        Side of a tile in pixels.
    halo : int
        Pixels read around it.
    n_bands : int
        Bands that are read.
    dtype : str
        Data type of the raster.
    algorithm : SuperpixelAlgorithm
        With its parameters; `TellsMemory` says what it needs, strangers are taken to need much.
    has_gaps : bool
        Whether a pixel may be nodata in one band and not in another.
    threads : int
        Tiles that the process works on at a time.

    Returns
    -------
    MemoryEstimate
        Of images as they come; one of noise alone takes more (docs/clusters.md).

    Examples
    --------
    >>> from superpoint.superpixels.slic import Slic
    >>> estimate = worker_bytes(tile=2048, halo=164, n_bands=3, dtype="uint8", algorithm=Slic())
    >>> f"{estimate.base_bytes / 2**20:.0f} MiB and {estimate.tile_bytes / 2**20:.0f} MiB for each thread"
    '512 MiB and 117 MiB for each thread'
    """
    need = memory_need_of(algorithm, n_bands)
    window_px, core_px = (tile + 2 * halo) ** 2, tile**2
    scales_itself, stored = isinstance(algorithm, ReadsStored), np.dtype(dtype).itemsize
    image = stored if scales_itself and not has_gaps else FLOAT_BYTES
    steps: dict[str, float] = {
        "reading": window_px * ((image + stored + 2) * n_bands + 3),
        "labelling": window_px * ((image + (0 if scales_itself else FLOAT_BYTES)) * n_bands + 1 + need.bytes_per_px),
        "writing": window_px * 4 + core_px * 10,
    }
    if not scales_itself:
        steps["scaling"] = window_px * (16 * n_bands + 2)
    if is_joined(algorithm):
        n_seen = (1 + 2 * math.ceil(2 * halo / tile)) ** 2
        n_superpixels = core_px / region_size_of(algorithm) ** 2
        joining = window_px * 4 * n_seen + core_px * 40 + n_superpixels * 300
        steps |= {"writing": window_px * 21, "joining": joining}
    spared = {step: round(SPARE * n_bytes) for step, n_bytes in steps.items()}
    return MemoryEstimate(
        base_bytes=PROCESS_BYTES + BLOCK_CACHE_BYTES + need.fixed_bytes,
        tile_bytes=max(spared.values()),
        steps=spared,
        threads=threads,
    )


def memory_need_of(algorithm: SuperpixelAlgorithm, n_bands: int) -> MemoryNeed:
    """Return what a call of an algorithm takes beyond its input: what it says, or much if it says nothing."""
    if isinstance(algorithm, TellsMemory):
        return algorithm.memory_need(n_bands)
    per_px, per_band = STRANGERS_NEED
    return MemoryNeed(bytes_per_px=per_px + per_band * n_bands)
