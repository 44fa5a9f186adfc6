"""A small georeferenced world on disk for the tests: a scene, its truth, and points on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio

from superpoint.classes import ClassTable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = ClassTable.from_names(["dark", "bright"])
TRANSFORM = rasterio.transform.from_origin(500_000, 4_600_000, 2, 2)
CRS = "EPSG:32633"


@dataclass(frozen=True)
class Files:
    """What a user would have: an image, points, and (here) the truth."""

    folder: Path
    raster: Path
    points: Path
    truth: Path
    classes: Path
    mask: NDArray[np.uint8]


def write_raster(path: Path, image: NDArray[np.generic], **options: object) -> Path:
    profile = {"crs": CRS, "transform": TRANSFORM, **options}
    count, height, width = image.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # some of these are meant not to be
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=image.dtype, **profile
        ) as dataset:
            dataset.write(image)
    return path


def two_fields(shape: tuple[int, int], *, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bright blobs on dark ground, with noise: image (3, rows, cols) and truth (rows, cols)."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    truth = (np.sin(rows / 17 + seed) * np.cos(cols / 23) > 0.1).astype(np.uint8)
    image = 70 + 90 * truth + rng.normal(0, 12, (3, *shape))
    return image.clip(0, 255).astype(np.uint8), truth


def write_points(path: Path, truth: NDArray[np.uint8], n_points: int, *, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(0, truth.shape[0], n_points), rng.integers(0, truth.shape[1], n_points)
    xs, ys = rasterio.transform.xy(TRANSFORM, rows, cols)
    names = [CLASSES.names[value] for value in truth[rows, cols]]
    gpd.GeoDataFrame({"class": names}, geometry=gpd.points_from_xy(xs, ys), crs=CRS).to_file(path)
    return path


def write_classes(path: Path) -> Path:
    rows = (f'[[class]]\nname = "{c.name}"\nvalue = {c.value}\ncolor = "{c.color}"\n' for c in CLASSES.classes)
    path.write_text("\n".join(rows))
    return path


def write_scenes(folder: Path, n_scenes: int) -> Path:
    """Write scenes with their masks as a data set: images/0.tif and masks/0.tif and so on, and classes.toml."""
    for seed in range(n_scenes):
        image, truth = two_fields((64, 80), seed=seed)
        for name, array in (("images", image), ("masks", truth[None])):
            (folder / name).mkdir(exist_ok=True)
            write_raster(folder / name / f"{seed}.tif", array)
    write_classes(folder / "classes.toml")
    return folder
