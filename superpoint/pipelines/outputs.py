"""Where results go: names of outputs, and the blocks in which arrays are copied out of the cache."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rasterio.errors import RasterioError

from superpoint import __version__
from superpoint.cache.cogs import PROVENANCE_TAG, check_output
from superpoint.cache.groups import beside
from superpoint.cache.inputs import Source
from superpoint.cache.items import OutputAsset, OutputBand, item_of
from superpoint.cache.rasters import open_dataset
from superpoint.cache.runs import now_text
from superpoint.cache.stores import Store, is_local
from superpoint.errors import InputError
from superpoint.tiles import TileGrid, Window

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup

EXPORT_BLOCK = 2048  # side of the blocks copied at a time, pixels


def outputs_of(output: Path | None, rasters: Sequence[Path | Source], *, suffix: str) -> list[Path]:
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
    inputs = {Path(path).resolve() for raster in rasters for path in _paths(raster) if is_local(path)}
    for path in outputs:
        if path.resolve() in inputs:
            raise InputError(f"the output {path} is an input; give another output")
    return outputs


def _paths(raster: Path | Source) -> tuple[str, ...]:
    return raster.paths if isinstance(raster, Source) else (str(raster),)


def _distinct_names(rasters: Sequence[Path | Source]) -> list[str]:
    """Name outputs after their rasters, with as many folders before the name as tell them apart."""
    for depth in range(5):
        names = ["-".join((*_folders(raster)[len(_folders(raster)) - depth :], _name(raster))) for raster in rasters]
        if len(set(names)) == len(names):
            return [name.replace(" ", "-") for name in names]
    raise InputError("rasters of the same name would share an output; give each raster once")


def _name(raster: Path | Source) -> str:
    return raster.name if isinstance(raster, Source) else raster.stem


def _folders(raster: Path | Source) -> tuple[str, ...]:
    path = _paths(raster)[0]
    return Path(path).absolute().parts[1:-1] if is_local(path) else tuple(path.split("/")[2:-1])


def check_exports(outputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, or are there and are no earlier exports of ours.

    Raises
    ------
    InputError
        If so; the message says what to do.
    """
    for output in outputs:
        check_output(output, overwrite=overwrite or _is_ours(output))


def _is_ours(output: Path) -> bool:
    """Return whether a file is an export of ours, or an account of points."""
    if output.suffix != ".parquet":
        return provenance_in(output) is not None
    try:
        return {"state", "reason"} <= set(pq.read_schema(output).names)
    except (OSError, pa.ArrowException):
        return False


def is_exported(output: Path, group: TiledGroup) -> bool:
    """Return whether an output is there and was made of this very group."""
    return provenance_in(output) == group.provenance


def provenance_in(output: Path) -> object:
    """Return what a GeoTIFF of ours says it was made of; None of any other file, or of none."""
    try:
        with open_dataset(str(output)) as dataset:
            return json.loads(dataset.tags()[PROVENANCE_TAG])
    except (RasterioError, KeyError, ValueError):
        return None


def write_item(
    group: TiledGroup, *, array: str, title: str, sources: Sequence[str], taken: str | None, output: Path | None
) -> str:
    """Describe a group, and its export if there is one, by STAC Items beside each; return where the first is."""
    name = group.path.rpartition("/")[2].removesuffix(".zarr")
    spec = group.array(array)
    bands = (OutputBand(name=array, dtype=str(spec.dtype), nodata=float(spec.fill_value)),)
    assets = {"zarr": OutputAsset(path=group.path, title=f"{title} (Zarr)", bands=bands)}
    if output:
        assets["cog"] = OutputAsset(
            path=str(output.absolute()), title=f"{title} (COG)", bands=bands, n_bytes=output.stat().st_size
        )
    places = [beside(group.path, ".json")] + ([str(output.absolute().with_suffix(".stac.json"))] if output else [])
    for place in places:
        folder, _, key = place.rpartition("/")
        item = item_of(
            name,
            path=place,
            georeference=group.georeference,
            provenance=group.provenance,
            sources=sources,
            assets=assets,
            created=now_text(),
            taken=taken,
            software={"superpoint": __version__},
        )
        Store(folder).write(key, (json.dumps(item, indent=1) + "\n").encode())
    return places[0]


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


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep another process of this machine from working in a folder; a kill lets go of it.

    Raises
    ------
    InputError
        If another one does.
    """
    if fcntl is None:  # Windows
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another process is working in {folder}; wait for it, or give another out") from error
        yield


def block_windows(group: TiledGroup) -> Iterator[Window]:
    """Yield the windows in which a group is copied out."""
    for tile in TileGrid(shape=group.georeference.shape, size=EXPORT_BLOCK):
        yield tile.core


def read_blocks(
    group: TiledGroup, array: str, on_pixels: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Yield the blocks in which an array of a group is copied out; `on_pixels` is told the size of each."""
    for window in block_windows(group):
        yield window, group.read(array, window)
        on_pixels(window.n_rows * window.n_cols)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON, in one step."""
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(json.dumps(document, indent=2, default=str) + "\n")
    scratch.replace(path)
