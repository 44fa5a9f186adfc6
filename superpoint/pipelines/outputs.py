"""Where results go: names of outputs, and the blocks in which arrays are copied out of the cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from superpoint.cache.groups import TiledGroup

EXPORT_BLOCK = 2048  # side of the blocks copied at a time, pixels


def outputs_of(output: Path | None, rasters: Sequence[Path], *, suffix: str) -> list[Path]:
    """Return the output of each raster; none if none is asked for.

    For several rasters, or a folder that is there, `output` is a folder that gets `NAME.suffix.tif` for each.

    Raises
    ------
    InputError
        If several rasters would share one file.
    """
    if output is None:
        return []
    if len(rasters) == 1 and not output.is_dir():
        return [output]
    if output.suffix:
        raise InputError(f"there are {len(rasters)} rasters and one output file {output}; give a folder")
    outputs = [output / f"{raster.stem}.{suffix}.tif" for raster in rasters]
    if len(set(outputs)) < len(outputs):
        raise InputError(
            f"rasters of the same name would share an output in {output}; rename them or run them one by one"
        )
    return outputs


def block_windows(group: TiledGroup) -> Iterator[Window]:
    """Yield the windows in which a group is copied out."""
    for tile in TileGrid(shape=group.georeference.shape, size=EXPORT_BLOCK):
        yield tile.core


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON, in one step."""
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(json.dumps(document, indent=2, default=str) + "\n")
    scratch.replace(path)
