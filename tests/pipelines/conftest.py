"""A small georeferenced scene on disk, and points on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from smallworld import Files, two_fields, write_classes, write_points, write_raster

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _small_networks(one_thread: None) -> None:
    """Every test here may run one."""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    image, truth = two_fields((200, 260), seed=0)
    return Files(
        folder=tmp_path,
        raster=write_raster(tmp_path / "scene.tif", image),
        points=write_points(tmp_path / "points.gpkg", truth, 60, seed=1),
        truth=write_raster(tmp_path / "truth.tif", truth[None], nodata=255),
        classes=write_classes(tmp_path / "classes.toml"),
        mask=truth,
    )
