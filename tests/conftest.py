"""What the tests of several rooms need: the shared data folder, and small rasters to read."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rasterio
from hypothesis import settings
from rasterio.errors import NotGeoreferencedWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray

# A first call compiles kernels: an example's time says nothing. With CI in the environment Hypothesis repeats itself.
settings.register_profile("superpoint", settings(deadline=None))
settings.load_profile("superpoint")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the shared data folder."""
    folder = Path(os.environ.get("SUPERPOINT_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}; set SUPERPOINT_SHARED to the folder that holds data/")
    return folder


@pytest.fixture
def make_raster(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an array (bands, rows, cols) as a GeoTIFF and returns its path."""

    def write(
        values: NDArray[Any],
        *,
        name: str = "scene.tif",
        crs: str | None = "EPSG:32633",
        transform: Affine | None = None,
        valid: NDArray[np.bool_] | None = None,
        **profile: object,
    ) -> Path:
        place = transform or rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
        grid = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
        path = tmp_path / name
        with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            placed = {"crs": crs, "transform": place} if crs else {}
            with rasterio.open(path, "w", driver="GTiff", **grid, **placed, **profile) as dataset:
                dataset.write(values)
                if valid is not None:
                    dataset.write_mask(valid)
        return path

    return write


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Small networks only wait for each other's threads, the more so on a shared machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
