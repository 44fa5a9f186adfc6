"""What a training reads: rasters, their labels, and where a loss needs them their superpixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from superpoint.cache.groups import load_group
from superpoint.cache.labelmaps import KIND, open_labels
from superpoint.cache.masks import Mask, open_mask
from superpoint.cache.rasters import Raster, open_raster
from superpoint.cache.scalings import n_reads, scaling_of
from superpoint.cache.sources import LabelledRaster
from superpoint.errors import InputError
from superpoint.pipelines.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable
    from superpoint.scaling import Scaling
    from superpoint.tiles import Window


@dataclass(frozen=True, kw_only=True)
class SuperpixelRaster(LabelledRaster):
    """A raster, its pseudo-mask and the label map of that; `superpoint.training.patches.SuperpixelSource`."""

    label_map: str
    """Path of the label map's group."""

    def superpixels(self, window: Window) -> NDArray[np.uint32]:
        """Read a window of the label map; 0 is nodata."""
        ids: NDArray[np.uint32] = load_group(self.label_map).read("labels", window)
        return ids


def open_pairs(
    rasters: Sequence[Path], labels: Sequence[Path], bands: Sequence[int], table: ClassTable | None
) -> tuple[list[Raster], list[Mask]]:
    """Open rasters and their masks.

    Raises
    ------
    InputError
        If one cannot be used, or the rasters have other bands than the first.
    """
    opened = [open_raster(path, bands=tuple(bands)) for path in rasters]
    for raster in opened[1:]:
        if raster.bands != opened[0].bands:
            raise InputError(
                f"{raster.path} has the bands {listed(raster.bands)} and {opened[0].path} {listed(opened[0].bands)}; "
                f"choose the same with --bands"
            )
    return opened, [open_mask(path, table) for path in labels]


def sources_of(
    rasters: Sequence[Raster], masks: Sequence[Mask], scaling: Scaling, *, superpixels: bool = False
) -> list[LabelledRaster]:
    """Join rasters and masks, with their label maps if superpixels are asked for."""
    pairs = zip(rasters, masks, strict=True)
    if superpixels:
        return [
            SuperpixelRaster(raster=raster, mask=mask, scaling=scaling, label_map=label_map_of(mask))
            for raster, mask in pairs
        ]
    return [LabelledRaster(raster=raster, mask=mask, scaling=scaling) for raster, mask in pairs]


def label_map_of(mask: Mask) -> str:
    """Return the path of the label map that a pseudo-mask was made of, in the same cache.

    Raises
    ------
    InputError
        If the mask is no pseudo-mask of a cache, or its label map is not there or not finished.
    """
    made_of = load_group(mask.path).provenance.get("label_map", {}) if mask.kind == "group" else {}
    if "digest" not in made_of:
        raise InputError(
            f"{mask.path} does not say which superpixels it was made of, and superpixel-consistency needs them; give "
            f"--labels the pseudo-mask's folder in the cache (.zarr), or leave that term out of --loss"
        )
    cache = Path(mask.path).absolute().parent.parent
    found = sorted((cache / KIND).glob(f"*-{made_of['digest']}.zarr"))
    if not found:
        raise InputError(
            f"the label map of {mask.path}, digest {made_of['digest']}, is not in {cache / KIND}; run the same "
            f"label command again"
        )
    return open_labels(str(cache), str(found[0])).path


def common_classes(masks: Sequence[Mask]) -> ClassTable:
    """Return the class table of all masks.

    Raises
    ------
    InputError
        If they have not the same.
    """
    first = masks[0].classes
    for mask in masks[1:]:
        if mask.classes.names != first.names:
            raise InputError(
                f"{mask.path} has classes {', '.join(mask.classes.names)}; {masks[0].path} {', '.join(first.names)}; "
                f"make them with one class table (--classes)"
            )
    return first


def pooled_scaling(rasters: Sequence[Raster], cache: str) -> Scaling:
    """Return the scaling of all rasters together.

    Raises
    ------
    InputError
        If no pixel is valid.
    """
    megapixels = sum(raster.shape[0] * raster.shape[1] * n_reads(raster.dtype) for raster in rasters) / 1e6
    with progress("statistics", total=megapixels, unit="Mpx") as advance:
        scaling = scaling_of(rasters, cache, on_pixels=lambda n_pixels: advance(n_pixels / 1e6))
    if scaling is None:
        raise InputError("the training rasters hold nothing but nodata")
    return scaling


def listed(bands: Sequence[int]) -> str:
    """Return band numbers as a flag takes them."""
    return ",".join(map(str, bands))
