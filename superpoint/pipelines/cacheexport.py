"""A result of a cache as a file: a COG, or polygons with statistics, streamed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.cache.groups import load_group
from superpoint.cache.holdings import GROUPS, ZARR_KINDS, find_holding
from superpoint.cache.labelmaps import StoredLabels, open_origin
from superpoint.cache.polygons import write_polygons
from superpoint.errors import InputError
from superpoint.pipelines.care import check_all
from superpoint.pipelines.maskexport import companions_of, export_pseudo_mask
from superpoint.pipelines.progress import progress
from superpoint.pipelines.superpixelize import export_labels

if TYPE_CHECKING:
    from pathlib import Path

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.holdings import Holding
    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.settings import CacheExportSettings

COGS = (".tif", ".tiff")
POLYGONS = (".parquet", ".gpkg")


@dataclass(frozen=True, kw_only=True)
class Export:
    """A result as a file."""

    key: str
    output: str
    n_polygons: int | None
    """Rows of a table of polygons."""
    n_bytes: int
    seconds: float


def cache_export(settings: CacheExportSettings) -> Export:
    """Write a label map or a pseudo-mask as a COG, or a label map as polygons with statistics.

    Parameters
    ----------
    settings : CacheExportSettings
        See the fields.

    Raises
    ------
    InputError
        If no result has the key, or it is not whole and intact, or it cannot be written as such a file; or the source
        of the statistics is gone or has changed.
    """
    started = time.perf_counter()
    suffix = settings.output.suffix.lower()
    if suffix not in (*COGS, *POLYGONS):
        known = ", ".join((*COGS[:1], *POLYGONS))
        raise InputError(f"cannot tell a format from the name of {settings.output}; known suffixes: {known}")
    holding = find_holding(settings.cache, settings.key, kinds=ZARR_KINDS)
    group = _whole_group(holding)
    if suffix in POLYGONS:
        n_polygons = _export_polygons(holding, group, settings)
    else:
        n_polygons = None
        _export_cog(holding, group, settings)
    return Export(
        key=holding.key,
        output=str(settings.output),
        n_polygons=n_polygons,
        n_bytes=settings.output.stat().st_size,
        seconds=round(time.perf_counter() - started, 3),
    )


def _whole_group(holding: Holding) -> TiledGroup:
    """Return a group of which every tile is done and intact."""
    if holding.kind not in GROUPS:
        raise InputError(f"{holding.path} is a hierarchy; write cuts of it with: superpoint cut RASTER --output")
    (checked,) = check_all([holding])
    if checked.damages:
        raise InputError(
            f"{holding.path} is damaged ({checked.damages[0]}); run the command that made it again, then export"
        )
    if checked.n_done < checked.n_tiles:
        raise InputError(
            f"{holding.path} is not finished, {checked.n_done} of {checked.n_tiles} tiles are done; run the command "
            f"that made it again, then export"
        )
    return load_group(holding.path)


def _export_cog(holding: Holding, group: TiledGroup, settings: CacheExportSettings) -> None:
    is_mask = holding.kind == "pseudo-masks"
    if is_mask:
        for path in companions_of(settings.output, shares=bool(group.provenance.get("shares"))):
            _refuse_existing(path, overwrite=settings.overwrite)
    export = export_pseudo_mask if is_mask else export_labels
    with progress(f"export of {holding.name}", total=_megapixels(group), unit="Mpx") as advance:
        export(
            group,
            settings.output,
            overwrite=settings.overwrite,
            on_pixels=lambda n_pixels: advance(n_pixels / 1e6),
        )


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; give --overwrite to replace it, or another name")


def _export_polygons(holding: Holding, group: TiledGroup, settings: CacheExportSettings) -> int:
    if holding.kind != "label-maps":
        label_map = group.provenance.get("label_map", {}).get("digest", "")
        raise InputError(
            f"{holding.path} is a pseudo-mask, and polygons are made of superpixels; export its label map instead: "
            f"label-maps/{holding.name}-{label_map}"
        )
    raster = None if settings.no_statistics else _source_of(group, settings)
    with progress(f"export of {holding.name}", total=_megapixels(group), unit="Mpx") as advance:
        return write_polygons(
            settings.output,
            group,
            raster,
            overwrite=settings.overwrite,
            on_tile=lambda n_pixels: advance(n_pixels / 1e6),
        )


def _megapixels(group: TiledGroup) -> float:
    rows, cols = group.georeference.shape
    return rows * cols / 1e6


def _source_of(group: TiledGroup, settings: CacheExportSettings) -> Raster:
    """Open the raster that a label map was made of, with the same bands and mask.

    Raises
    ------
    InputError
        If it is not there, or no longer what it was: statistics of another image would be taken for its own.
    """
    labels = StoredLabels(path=group.path, source=group, provenance=group.provenance)
    try:
        return open_origin(labels, settings.raster)
    except InputError as error:
        raise InputError(f"{error}, or give --no-statistics for polygons without") from error
