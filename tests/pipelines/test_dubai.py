"""A real large aerial image: nobody can find the tile grid in its label map."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from superpoint.cache.groups import load_group
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.superpixels.quality import seam_ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.shared

STITCH = Path(__file__).parents[2] / "benchmarks" / "stitch.py"


@pytest.fixture(scope="module")
def tile_5(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dubai") / "tile5.tif"
    subprocess.run([sys.executable, str(STITCH), str(shared / "data" / "dubai"), "5", str(output)], check=True)
    return output


@pytest.fixture(scope="module")
def untiled(tile_5: Path) -> NDArray[np.uint32]:
    return labels_of(tile_5, tile=4096, halo=0)


def labels_of(raster: Path, **settings: object) -> NDArray[np.uint32]:
    values = {"rasters": [raster], "cache": raster.parent / "cache", "region_size": 20} | settings
    (label_map,) = superpixelize(SuperpixelizeSettings(**values))
    return np.asarray(load_group(label_map.path).array("labels")[:])


@pytest.mark.parametrize("tile", [512, 1024])
def test_the_default_halo_leaves_no_seam(tile_5: Path, untiled: NDArray[np.uint32], tile: int) -> None:
    labels = labels_of(tile_5, tile=tile)
    assert labels.shape == (3174, 3378)
    assert (labels == untiled).mean() >= 0.999
    assert seam_ratio(labels, tile) == pytest.approx(seam_ratio(untiled, tile), abs=0.02)


def test_the_seam_ratio_would_find_a_seam(tile_5: Path, untiled: NDArray[np.uint32]) -> None:
    assert seam_ratio(labels_of(tile_5, tile=512, halo=0), 512).down > seam_ratio(untiled, 512).down + 1


@pytest.mark.parametrize("tile", [512, 1024])
def test_the_exact_halo_is_exact(tile_5: Path, untiled: NDArray[np.uint32], tile: int) -> None:
    np.testing.assert_array_equal(labels_of(tile_5, tile=tile, halo="exact", workers=2), untiled)


def test_two_workers_write_the_bytes_of_one(tile_5: Path) -> None:
    settings = {"rasters": [tile_5], "tile": 512, "region_size": 20}
    groups = [
        Path(superpixelize(SuperpixelizeSettings(**settings, cache=tile_5.parent / name, workers=workers))[0].path)
        for name, workers in (("cache", 1), ("together", 2))
    ]
    alone, together = ({p.relative_to(g): p.read_bytes() for p in g.rglob("*") if p.is_file()} for g in groups)
    assert alone == together
