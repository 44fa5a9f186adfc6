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
    if output.is_dir() or len(rasters) > 1:
        if output.suffix and not output.is_dir():
            raise InputError(f"there are {len(rasters)} rasters and one output file {output}; give a folder")
        outputs = [output / f"{name}.{suffix}.tif" for name in _distinct_names(rasters)]
    else:
        outputs = [output]
    inputs = {raster.resolve() for raster in rasters}
    for path in outputs:
        if path.resolve() in inputs:
            raise InputError(f"the output {path} is an input; give another output")
    return outputs


def _distinct_names(rasters: Sequence[Path]) -> list[str]:
    """Name outputs after their rasters, with as many folders before the name as tell them apart."""
    for depth in range(1, 5):
        names = [
            "-".join((*raster.absolute().parts[1:-1][-depth + 1 :], raster.stem) if depth > 1 else (raster.stem,))
            for raster in rasters
        ]
        if len(set(names)) == len(names):
            return [name.replace(" ", "-") for name in names]
    raise InputError("rasters of the same name would share an output; give each raster once")


def claim_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises
    ------
    InputError
        If that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; give another --out") from error


def block_windows(group: TiledGroup) -> Iterator[Window]:
    """Yield the windows in which a group is copied out."""
    for tile in TileGrid(shape=group.georeference.shape, size=EXPORT_BLOCK):
        yield tile.core


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON, in one step."""
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(json.dumps(document, indent=2, default=str) + "\n")
    scratch.replace(path)
