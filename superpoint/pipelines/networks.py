"""A trained network in a process that maps rasters: loaded once, asked for windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from superpoint.cache.keys import file_digest
from superpoint.errors import InputError
from superpoint.scaling import Scaling

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.cache.rasters import Raster
    from superpoint.pipelines.settings import PredictSettings
    from superpoint.tiles import Window
    from superpoint.training.module import SegmentationModule
    from superpoint.training.recipe import Recipe

BLOCKS = (2048, 1024, 512)  # sides of blocks in pixels; patches across their edges are computed twice
BLOCK_BYTES = 2**27  # most that the probabilities of a block take


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A trained network, as it was read from its checkpoint."""

    path: Path
    digest: str
    """Of the checkpoint's content."""
    module: SegmentationModule

    @property
    def recipe(self) -> Recipe:
        """What it was trained with."""
        return self.module.recipe

    def predict(self, raster: Raster, window: Window, settings: PredictSettings) -> NDArray[np.float32]:
        """Return the class probabilities of a window of a raster, float32 (classes, rows, cols)."""
        from superpoint.inference import VIEWS, class_probabilities, predict_window
        from superpoint.training.exports import gives_logits

        recipe = self.recipe
        scaling = Scaling(low=recipe.scaling_low, high=recipe.scaling_high)
        return predict_window(
            self.module,
            lambda window: scaling.apply(*raster.read(window)),
            window,
            shape=raster.shape,
            patch_size=recipe.patch_size,
            overlap=overlap_of(settings, recipe),
            batch_size=settings.batch_size,
            device=device_of(settings.device),
            views=VIEWS[settings.flips],
            activate=partial(class_probabilities, are_logits=gives_logits(recipe)),
        )


def open_network(checkpoint: Path) -> Network:
    """Load a network, once in a process as long as its file does not change.

    Raises
    ------
    InputError
        If the file is not a checkpoint of ours.
    """
    if not checkpoint.is_file():
        raise InputError(f"no checkpoint at {checkpoint}")
    state = checkpoint.stat()
    return _open_network(checkpoint.absolute(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1)
def _open_network(checkpoint: Path, _size: int, _changed: int) -> Network:
    from superpoint.training.checkpoint import load_module

    return Network(path=checkpoint, digest=file_digest(checkpoint), module=load_module(checkpoint))


def block_size(n_classes: int) -> int:
    """Return the side of the blocks that are predicted at a time, in pixels.

    Examples
    --------
    >>> block_size(6), block_size(20), block_size(200)
    (2048, 1024, 512)
    """
    fitting = (size for size in BLOCKS if 4 * n_classes * size**2 <= BLOCK_BYTES)
    return next(fitting, BLOCKS[-1])


def overlap_of(settings: PredictSettings, recipe: Recipe) -> int:
    """Return by how many pixels patches overlap."""
    return recipe.patch_size // 4 if settings.overlap is None else settings.overlap


def check_overlap(settings: PredictSettings, recipe: Recipe) -> None:
    """Refuse patches that overlap whole.

    Raises
    ------
    InputError
        If so.
    """
    if overlap_of(settings, recipe) >= recipe.patch_size:
        raise InputError(f"overlap {settings.overlap} must be less than the patch of {recipe.patch_size} pixels")


def bands_of(settings: PredictSettings, recipe: Recipe) -> tuple[int, ...]:
    """Return the bands that the network sees.

    Raises
    ------
    InputError
        If other than so many are given.
    """
    bands = tuple(settings.bands) or recipe.band_numbers
    if len(bands) != recipe.bands:
        raise InputError(f"{len(bands)} bands are given with --bands; the network sees {recipe.bands}")
    return bands


def device_of(name: str) -> str:
    """Return PyTorch's name of a device.

    Raises
    ------
    InputError
        If a GPU is asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but PyTorch finds no GPU; use --device auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
