"""A small georeferenced scene on disk, and points on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from smallworld import Files, two_fields, write_classes, write_points, write_raster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads, the more so on a shared machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
