"""Masks to affinity weights: what HERS with `affinity=dal` can be given."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import superpoint
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_raster
from superpoint.cache.scalings import n_reads, scaling_of
from superpoint.cache.sources import LabelledRaster
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from superpoint.pipelines.settings import TrainAffinitySettings

log = logging.getLogger("superpoint")

WEIGHTS, SETTINGS, HISTORY = "affinity.safetensors", "settings.json", "history.json"
N_BANDS = 3  # what the network sees: red, green, blue


@dataclass(frozen=True, kw_only=True)
class AffinityTraining:
    """Affinity weights."""

    weights: str
    """The file: the last epoch, or with validation the one with the lowest `val_loss`."""
    epoch: int
    """Which one that is, from 1."""
    n_parameters: int
    n_patches: int
    """Patches an epoch."""
    history: list[dict[str, float]]
    """One row an epoch: `train_loss`, and `val_loss` with validation."""
    seconds: float


def train_affinity(settings: TrainAffinitySettings) -> AffinityTraining:
    """Train an affinity network on masks.

    Every raster is scaled by its own statistics, as `superpixelize` does.

    Parameters
    ----------
    settings : TrainAffinitySettings
        See the fields.

    Returns
    -------
    AffinityTraining
        With the file of the weights.

    Raises
    ------
    InputError
        If an input cannot be used, or `out` holds another training.
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    from superpoint.models.dal_weights import save_dal
    from superpoint.training.affinity import AffinityRecipe, fit_affinity
    from superpoint.training.patches import count_labels

    started = time.perf_counter()
    weights = settings.out / WEIGHTS
    if weights.exists() and not settings.overwrite:
        raise InputError(f"{settings.out} holds a training; give --overwrite to replace it, or another --out")
    sources = _sources(settings, settings.raster, settings.labels)
    validation = _sources(settings, settings.validation_raster, settings.validation_labels)
    n_classes = max(len(source.mask.classes) for source in sources)
    counts = count_labels(sources, n_classes=n_classes, patch_size=settings.patch)
    if not counts.patches:
        raise InputError(f"no pixel of {', '.join(map(str, settings.labels))} is labelled; check --labels")
    shared = {field.name for field in dataclasses.fields(AffinityRecipe)}
    recipe = AffinityRecipe(
        patches_per_epoch=settings.patches or len(counts.patches),
        patch_size=settings.patch,
        **settings.model_dump(include=shared),
    )
    device = _device(settings.device)
    claim_folder(settings.out)
    with progress("training dal", total=recipe.epochs * recipe.steps_per_epoch, unit="steps") as advance:
        result = fit_affinity(
            sources, recipe, validation=validation, device=device, on_step=lambda: advance(1), on_epoch=_tell
        )
    history = list(result.history)
    write_document(settings.out / SETTINGS, settings.model_dump(mode="json"))
    write_document(settings.out / HISTORY, {"epochs": history})
    provenance = {
        "superpoint": superpoint.__version__,
        "settings": settings.model_dump(mode="json", exclude=_PLACES),
        "classes": list(sources[0].mask.classes.names),
        "n_rasters": len(sources),
        "epoch": history[result.epoch - 1],
    }
    save_dal(result.network, weights, provenance=provenance)
    return AffinityTraining(
        weights=str(weights),
        epoch=result.epoch,
        n_parameters=sum(parameter.numel() for parameter in result.network.parameters()),
        n_patches=recipe.patches_per_epoch,
        history=history,
        seconds=round(time.perf_counter() - started, 3),
    )


# Where things lie on one machine says nothing about the weights.
_PLACES = {"raster", "labels", "validation_raster", "validation_labels", "classes", "out", "cache", "overwrite"}


def _device(choice: str) -> str:
    """Return where to train."""
    import torch

    if choice == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no GPU here; give --device cpu")
    return "cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu"


def _tell(row: dict[str, float]) -> None:
    judged = f", val_loss {row['val_loss']:.5f}" if "val_loss" in row else ""
    log.info("epoch %d: train_loss %.5f%s", row["epoch"], row["train_loss"], judged)


def _sources(settings: TrainAffinitySettings, rasters: Sequence[Path], labels: Sequence[Path]) -> list[LabelledRaster]:
    """Open rasters with their masks."""
    table = read_class_table(settings.classes) if settings.classes else None
    opened = [open_raster(path, bands=tuple(settings.bands)) for path in rasters]
    masks = [open_mask(path, table) for path in labels]
    megapixels = sum(raster.shape[0] * raster.shape[1] * n_reads(raster.dtype) for raster in opened) / 1e6
    sources = []
    with progress("statistics", total=megapixels, unit="Mpx") as advance:
        for raster, mask in zip(opened, masks, strict=True):
            if len(raster.bands) != N_BANDS:
                raise InputError(
                    f"{raster.path} has {len(raster.bands)} bands; an affinity network sees red, green and blue: "
                    f"choose them with --bands"
                )
            scaling = scaling_of([raster], settings.cache, on_pixels=lambda n_pixels: advance(n_pixels / 1e6))
            if scaling is None:
                raise InputError(f"{raster.path} holds nothing but nodata")
            sources.append(LabelledRaster(raster=raster, mask=mask, scaling=scaling))
    return sources
