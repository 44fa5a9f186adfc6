"""Pseudo-masks to a network."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.cache.masks import Mask, open_mask
from superpoint.cache.rasters import Raster, open_raster
from superpoint.cache.scalings import n_reads, scaling_of
from superpoint.cache.sources import LabelledRaster
from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.progress import progress
from superpoint.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from superpoint.classes import ClassTable
    from superpoint.pipelines.settings import TrainSettings

log = logging.getLogger("superpoint")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A trained network."""

    out: str
    checkpoint: str
    """The last epoch, or with validation the best one."""
    last: str
    """Checkpoint of the last epoch, from which --resume goes on."""
    n_patches: int
    class_frequencies: dict[str, float]
    """Share of each class among the labelled training pixels."""
    history: list[dict[str, float]]
    """One row an epoch: `train_loss`, and `val_miou` with validation."""
    seconds: float


def train(settings: TrainSettings) -> Training:
    """Train a segmentation network on the labelled pixels of pseudo-masks.

    Parameters
    ----------
    settings : TrainSettings
        See the fields.

    Returns
    -------
    Training
        With the checkpoint, which holds all that `predict` needs.

    Raises
    ------
    InputError
        If an input cannot be used, or `out` holds another training.
    MissingExtraError
        If PyTorch is not installed.
    """
    require_train_extra()
    from superpoint.training.checkpoint import load_module
    from superpoint.training.dataset import LabelledPatches
    from superpoint.training.fit import fit
    from superpoint.training.module import SegmentationModule
    from superpoint.training.patches import count_labels
    from superpoint.training.recipe import Recipe

    started = time.perf_counter()
    resume = _resume_from(settings)
    table = read_class_table(settings.classes) if settings.classes else None
    rasters, masks = _open(settings.raster, settings.labels, settings.bands, table)
    bands = rasters[0].bands
    classes = _common_classes(masks)
    if resume is None:
        scaling = _pooled_scaling(rasters, settings.cache)
    else:
        recipe = load_module(resume).recipe
        scaling = Scaling(low=recipe.scaling_low, high=recipe.scaling_high)
    sources = [LabelledRaster(raster=r, mask=m, scaling=scaling) for r, m in zip(rasters, masks, strict=True)]
    checked = _open(settings.validation_raster, settings.validation_labels, bands, table or classes)
    validation = [LabelledRaster(raster=r, mask=m, scaling=scaling) for r, m in zip(*checked, strict=True)]
    if resume is not None and recipe.band_numbers != bands:
        raise InputError(f"{resume} was trained on the bands {_listed(recipe.band_numbers)}; give --bands alike")
    counts = count_labels(sources, n_classes=len(classes), patch_size=settings.patch)
    if not counts.patches:
        raise InputError(
            f"no pixel of {', '.join(map(str, settings.labels))} is labelled; add points or check --labels"
        )
    recipe = Recipe(
        model=settings.model,
        encoder=settings.encoder,
        classes=classes,
        frequencies=tuple(counts.frequencies.tolist()),
        loss=settings.loss,
        normalize=settings.normalize,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        patch_size=settings.patch,
        scaling_low=scaling.low,
        scaling_high=scaling.high,
        band_numbers=bands,
        seed=settings.seed,
    )
    module = SegmentationModule(recipe)
    patches = LabelledPatches(sources, counts.patches, patch_size=settings.patch)
    judged = None
    if validation:
        held_out = count_labels(validation, n_classes=len(classes), patch_size=settings.patch)
        judged = LabelledPatches(validation, held_out.patches, patch_size=settings.patch, cores_only=True)
    n_steps = settings.epochs * -(-len(patches) // settings.batch_size)
    claim_folder(settings.out)
    if resume is None:
        for name in ("last.ckpt", "best.ckpt", "metrics.csv"):
            (settings.out / name).unlink(missing_ok=True)
        write_document(settings.out / "settings.json", settings.model_dump(mode="json"))
    seen = 0
    with progress(f"training {settings.model}", total=n_steps, unit="steps") as advance:

        def on_step(done: int, _total: int, _loss: float) -> None:
            nonlocal seen  # a resumed training starts above 0
            advance(done - seen)
            seen = done

        result = fit(
            module,
            patches,
            validation=judged,
            epochs=settings.epochs,
            out_dir=settings.out,
            resume=resume,
            accelerator={"cuda": "gpu"}.get(settings.device, settings.device),
            num_workers=settings.loaders,
            on_step=on_step,
            on_epoch=lambda row: _tell(row, settings.epochs),
        )
    return Training(
        out=str(settings.out),
        checkpoint=str(result.best),
        last=str(result.last),
        n_patches=len(patches),
        class_frequencies=dict(zip(classes.names, recipe.frequencies, strict=True)),
        history=list(result.history),
        seconds=round(time.perf_counter() - started, 3),
    )


def _tell(row: dict[str, float], n_epochs: int) -> None:
    """Log about ten epochs of a training, the last one among them."""
    epoch = int(row["epoch"])
    if epoch % max(1, n_epochs // 10) and epoch != n_epochs:
        return
    miou = f", val_miou {row['val_miou']:.4f}" if row.get("val_miou") is not None else ""
    log.info("epoch %d of %d: train_loss %.5f%s", epoch, n_epochs, row["train_loss"], miou)


def _resume_from(settings: TrainSettings) -> Path | None:
    """Return the checkpoint to go on from; refuse a folder that holds another training."""
    last = settings.out / "last.ckpt"
    if settings.resume:
        if not last.exists():
            raise InputError(f"there is no {last} to resume from; leave --resume out to start anew")
        return last
    if last.exists() and not settings.overwrite:
        raise InputError(
            f"{settings.out} holds a training; give --resume to go on, --overwrite to replace it, or another --out"
        )
    return None


def _open(
    rasters: Sequence[Path], labels: Sequence[Path], bands: Sequence[int], table: ClassTable | None
) -> tuple[list[Raster], list[Mask]]:
    opened = [open_raster(path, bands=tuple(bands)) for path in rasters]
    for raster in opened[1:]:
        if raster.bands != opened[0].bands:
            raise InputError(
                f"{raster.path} has the bands {_listed(raster.bands)} and {opened[0].path} {_listed(opened[0].bands)}; "
                f"choose the same with --bands"
            )
    return opened, [open_mask(path, table) for path in labels]


def _listed(bands: Sequence[int]) -> str:
    return ",".join(map(str, bands))


def _common_classes(masks: Sequence[Mask]) -> ClassTable:
    first = masks[0].classes
    for mask in masks[1:]:
        if mask.classes.names != first.names:
            raise InputError(
                f"{mask.path} has classes {', '.join(mask.classes.names)}; {masks[0].path} {', '.join(first.names)}; "
                f"make them with one class table (--classes)"
            )
    return first


def _pooled_scaling(rasters: Sequence[Raster], cache: str) -> Scaling:
    megapixels = sum(raster.shape[0] * raster.shape[1] * n_reads(raster.dtype) for raster in rasters) / 1e6
    with progress("statistics", total=megapixels, unit="Mpx") as advance:
        scaling = scaling_of(rasters, cache, on_pixels=lambda n_pixels: advance(n_pixels / 1e6))
    if scaling is None:
        raise InputError("the training rasters hold nothing but nodata")
    return scaling
