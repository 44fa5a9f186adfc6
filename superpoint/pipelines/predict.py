"""A network and rasters to maps: overlapping patches, blended, block by block."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.cache.cogs import PROVENANCE_TAG, CogProfile, check_output, cog_writer
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.rasters import Raster, open_raster
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.outputs import outputs_of
from superpoint.pipelines.progress import progress
from superpoint.scaling import Scaling
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.pipelines.settings import PredictSettings
    from superpoint.tiles import Window
    from superpoint.training.module import SegmentationModule

MSE = "weighted-masked-mse"  # whose outputs are near 0 and 1 by themselves
BLOCK = 1024  # side of the blocks predicted at a time, pixels; memory is bounded by it


@dataclass(frozen=True, kw_only=True)
class Map:
    """A map of one raster."""

    raster: str
    output: str
    probabilities: str | None
    """The class probabilities, if they were asked for."""
    class_pixels: dict[str, int]
    """Pixels of each class, by name."""
    seconds: float


def predict(settings: PredictSettings) -> list[Map]:
    """Map rasters with a trained network.

    Parameters
    ----------
    settings : PredictSettings
        See the fields.

    Returns
    -------
    list of Map
        One for each raster, in order.

    Raises
    ------
    InputError
        If an input cannot be used, or an output is there already.
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    from superpoint.training.checkpoint import load_module

    outputs = outputs_of(settings.output, settings.rasters, suffix="map")
    for output in outputs:
        check_output(output, overwrite=settings.overwrite)
        if settings.probabilities:
            check_output(probabilities_of(output), overwrite=settings.overwrite)
    module = load_module(settings.checkpoint)
    if _overlap(module, settings) >= module.recipe.patch_size:
        raise InputError(f"overlap {settings.overlap} must be less than the patch of {module.recipe.patch_size} pixels")
    bands = tuple(settings.bands) or module.recipe.band_numbers
    if len(bands) != module.recipe.bands:
        raise InputError(f"{len(bands)} bands are given with --bands; the network sees {module.recipe.bands}")
    rasters = [open_raster(path, bands=bands) for path in settings.rasters]
    return [_map(raster, output, module, settings) for raster, output in zip(rasters, outputs, strict=True)]


def probabilities_of(output: Path) -> Path:
    """Return the file of class probabilities that goes with a map."""
    return output.with_suffix(".probabilities.tif")


def _map(raster: Raster, output: Path, module: SegmentationModule, settings: PredictSettings) -> Map:
    from superpoint.inference import class_probabilities

    started = time.perf_counter()
    classes = module.recipe.classes
    tags = {
        CLASSES_TAG: classes.to_dict(),
        PROVENANCE_TAG: {
            "source": raster.identity(),
            "recipe": module.recipe.to_dict(),
            "settings": settings.model_dump(mode="json"),
        },
    }
    profile = CogProfile(
        georeference=raster.georeference,
        dtype="uint8",
        nodata=IGNORE,
        band_names=("class",),
        colormap=classes.colormap,
        tags=tags,
    )
    shares = CogProfile(
        georeference=raster.georeference, dtype="float32", nodata=float("nan"), band_names=classes.names, tags=tags
    )
    class_pixels = np.zeros(IGNORE + 1, np.int64)
    megapixels = raster.shape[0] * raster.shape[1] / 1e6
    probabilities = probabilities_of(output) if settings.probabilities else None
    with (
        cog_writer(output, profile, overwrite=settings.overwrite) as write_classes,
        cog_writer(probabilities, shares, overwrite=settings.overwrite)
        if probabilities
        else nullcontext() as write_all,
        progress(f"map of {raster.name}", total=megapixels, unit="Mpx") as advance,
    ):
        for window, outputs, valid in _blocks(raster, module, settings):
            values = np.where(valid, outputs.argmax(axis=0), IGNORE).astype(np.uint8)
            class_pixels += np.bincount(values.ravel(), minlength=IGNORE + 1)
            write_classes(window, values)
            if write_all:
                found = class_probabilities(outputs, are_logits=module.recipe.loss != MSE)
                write_all(window, np.where(valid, found, np.float32(np.nan)))
            advance(values.size / 1e6)
    return Map(
        raster=raster.path,
        output=str(output),
        probabilities=str(probabilities) if probabilities else None,
        class_pixels=dict(zip(classes.names, class_pixels[: len(classes)].tolist(), strict=True)),
        seconds=round(time.perf_counter() - started, 3),
    )


def _blocks(
    raster: Raster, module: SegmentationModule, settings: PredictSettings
) -> Iterator[tuple[Window, NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield blocks of raw outputs (classes, rows, cols), and where the raster has data."""
    from superpoint.inference import predict_window

    recipe = module.recipe
    scaling = Scaling(low=recipe.scaling_low, high=recipe.scaling_high)
    for tile in TileGrid(shape=raster.shape, size=BLOCK):
        outputs = predict_window(
            module,
            lambda window: scaling.apply(*raster.read(window)),
            tile.core,
            shape=raster.shape,
            patch_size=recipe.patch_size,
            overlap=_overlap(module, settings),
            batch_size=settings.batch_size,
            device=_device(settings.device),
        )
        _, valid = raster.read(tile.core)
        yield tile.core, outputs, valid


def _overlap(module: SegmentationModule, settings: PredictSettings) -> int:
    return module.recipe.patch_size // 4 if settings.overlap is None else settings.overlap


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but PyTorch finds no GPU; use --device auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
