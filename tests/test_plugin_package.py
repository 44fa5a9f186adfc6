"""Another package, built and installed as packages are, brings an algorithm that superpoint finds, checks and tiles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from smallworld import two_fields, write_raster

from superpoint.superpixels.quality import seam_ratio

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"

    [project]
    name = "pebbles"
    version = "1.2"
    dependencies = ["superpoint"]

    [project.entry-points."superpoint.superpixels"]
    pebbles = "pebbles:Pebbles"

    [tool.setuptools]
    py-modules = ["pebbles"]
"""

MODULE = """
    from dataclasses import dataclass
    from typing import ClassVar

    import numpy as np

    from superpoint.superpixels.algorithm import Traits


    @dataclass(frozen=True, kw_only=True)
    class Pebbles:
        '''Pixels go to the nearest of seeds that fall anywhere, others in each tile.'''

        name: ClassVar[str] = "pebbles"
        version: ClassVar[str] = "1"
        traits: ClassVar[Traits] = Traits(ids="joined", licence="MIT")

        region_size: float = 20.0

        def halo(self, *, exact=False):
            if exact:
                raise ValueError("pebbles has no exact halo: its seeds fall anywhere")
            return round(3 * self.region_size)

        def __call__(self, image, valid, *, origin, rng):
            from scipy.spatial import KDTree

            pixels = np.argwhere(np.ones(valid.shape, bool))
            n_seeds = max(1, round(valid.size / self.region_size**2))
            nearest = KDTree(rng.random((n_seeds, 2)) * valid.shape).query(pixels)[1].reshape(valid.shape)
            return split_into_pieces(np.where(valid, 1 + nearest, 0))


    def split_into_pieces(labels):
        from scipy import ndimage

        pieces = np.zeros(labels.shape, np.uint32)
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            if box is not None:
                inside, n_inside = ndimage.label(labels[box] == number)
                pieces[box][inside > 0] = inside[inside > 0] + pieces.max()
        return pieces
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as a wheel, without a network, and install it into a folder of its own."""
    pytest.importorskip("setuptools", reason="the package is built with setuptools")
    folder = tmp_path_factory.mktemp("pebbles")
    project, wheels, site = folder / "project", folder / "wheels", folder / "site"
    project.mkdir()
    (project / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    (project / "pebbles.py").write_text(textwrap.dedent(MODULE))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    subprocess.run([*build, "--outdir", str(wheels), str(project)], check=True, capture_output=True)
    (wheel,) = wheels.glob("pebbles-1.2-*.whl")
    zipfile.ZipFile(wheel).extractall(site)  # which is all that installing a wheel of pure Python is
    return site


def with_package(site: Path, *command: str) -> str:
    """Run a command that finds the package, and return what it prints."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_tiles_a_strangers_algorithm_without_seams(site: Path, tmp_path: Path) -> None:
    image, _ = two_fields((300, 420), seed=4)
    image = image.clip(1)
    image[:, 100:140, 150:260] = 0
    raster = write_raster(tmp_path / "scene.tif", image, nodata=0)
    flags = ["--algorithm", "pebbles", "--region-size", "11", "--tile", "96", "--cache", str(tmp_path), "--json"]
    (result,) = json.loads(with_package(site, "-m", "superpoint", "superpixelize", str(raster), *flags))
    group = zarr.open_group(result["path"], mode="r")
    labels = np.asarray(group["labels"])
    assert result["n_tiles"] == 20
    np.testing.assert_array_equal(labels == 0, (image == 0).all(axis=0))
    assert result["n_superpixels"] == labels.max() == len(np.unique(labels[labels > 0]))
    assert 0.9 < labels.max() / (labels > 0).sum() * 11**2 < 1.2
    assert max(seam_ratio(labels, 96)) < 1.5  # more than 8 if tiles were cut at their edges
    assert group.attrs["superpoint"]["algorithm"]["name"] == "pebbles"


def test_it_passes_the_conformance_kit_in_one_line(site: Path) -> None:
    with_package(
        site,
        "-W",
        "error",
        "-c",
        "from pebbles import Pebbles; from superpoint.testing import check_superpixels; "
        "check_superpixels(Pebbles(region_size=9))",
    )
