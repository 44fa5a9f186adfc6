"""What planning and bookkeeping cost a tile: a run with an algorithm that does nothing, over ever more tiles.

    python benchmarks/bookkeeping.py --tiles 100 1000 10000 100000

Everything but the superpixels is real: windows of a GeoTIFF are read, labels written as Zarr, each tile entered in the
ledger. Tiles are 16 pixels wide, so that hardly any of the time is spent on pixels. The same command again then finds
everything done. A last line plans a raster of 66,000 x 66,000 pixels that does not exist but for its header.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import rasterio

from superpoint.pipelines.forecast import forecast
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.superpixels.algorithm import Traits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

TILE = 16


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """One superpixel a tile, whatever the image."""

    name: ClassVar[str] = "nothing"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(ids="lattice")
    region_size: float = 16.0

    def halo(self, *, exact: bool = False) -> int:
        """Return that nothing around a tile matters."""
        return 0 * exact

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's
    ) -> NDArray[np.uint32]:
        """Return the place of the window."""
        number = origin.row // TILE * math.ceil(origin.raster_shape[1] / TILE) + origin.col // TILE + 1
        return np.full(image.shape[1:], number, np.uint32) * valid


def main() -> None:
    """Time runs over more and more tiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, nargs="+", default=[100, 1000, 10_000])
    logging.getLogger("superpoint").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        _install(Path(folder))
        run(Path(folder), 25)  # imports, compiles
        print("    tiles  ms a tile  again, ms a tile  peak MiB of the process")
        for n_tiles in parser.parse_args().tiles:
            first, again = run(Path(folder), n_tiles)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{n_tiles:9,}  {first:9.3f}  {again:16.3f}  {peak:23.0f}", flush=True)
        _plan_large(Path(folder))


def run(folder: Path, n_tiles: int) -> tuple[float, float]:
    """Return the milliseconds a tile of a first and of a second run."""
    side = TILE * round(math.sqrt(n_tiles))
    raster = folder / f"{n_tiles}.tif"
    image = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    with _raster(raster, side) as dataset:
        dataset.write(image, 1)
    settings = SuperpixelizeSettings(rasters=[raster], cache=folder / "cache", algorithm="nothing", tile=TILE)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        (made,) = superpixelize(settings)
        seconds.append(time.perf_counter() - started)
    if made.n_superpixels != made.n_tiles:
        raise SystemExit(json.dumps({"superpixels": made.n_superpixels, "tiles": made.n_tiles}))
    return seconds[0] / made.n_tiles * 1000, seconds[1] / made.n_tiles * 1000


def _raster(path: Path, side: int) -> rasterio.io.DatasetWriter:
    return rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8", crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0), tiled=True, blockxsize=256, blockysize=256, sparse_ok=True,
        bigtiff="YES", compress="zstd",
    )  # fmt: skip


def _plan_large(folder: Path) -> None:
    """Plan a raster of 66,000 x 66,000 pixels, of which a corner is stored."""
    raster, side = folder / "large.tif", 66_000
    noise = np.random.default_rng(1).integers(0, 256, (4096, 4096), dtype=np.uint8)
    with _raster(raster, side) as dataset:
        for row in range(0, side - 4096, 4096):
            dataset.write(noise, 1, window=rasterio.windows.Window(row, row, 4096, 4096))
    started = time.perf_counter()
    found = forecast(SuperpixelizeSettings(rasters=[raster], cache=folder / "cache"))
    seconds = time.perf_counter() - started
    print(f"66,000 x 66,000 pixels, {found.n_tiles:,} tiles: planned in {seconds:.2f} s, a tile computed among it")


def _install(folder: Path) -> None:
    """Make the algorithm known as a package would."""
    metadata = folder / "site" / "nothing-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[superpoint.superpixels]\nnothing = bookkeeping:Nothing\n")
    sys.path[:0] = [str(folder / "site"), str(Path(__file__).parent)]


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
