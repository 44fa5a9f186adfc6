"""Pseudo-masks to a network."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.cache.tables import read_class_table
from superpoint.errors import InputError
from superpoint.models import require_train_extra
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.progress import progress
from superpoint.pipelines.trainingdata import common_classes, listed, open_pairs, pooled_scaling, sources_of
from superpoint.scaling import Scaling

if TYPE_CHECKING:
    from pathlib import Path

    from superpoint.pipelines.settings import TrainSettings
    from superpoint.training.recipe import Recipe

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
    """One row an epoch: `train_loss`, and with validation `val_loss` and `val_miou`."""
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
    from superpoint.pipelines.trainingrecipe import data_digest, loss_settings, recipe_of, start_of
    from superpoint.training.checkpoint import load_module
    from superpoint.training.criteria import check_loss
    from superpoint.training.dataset import LabelledPatches
    from superpoint.training.fit import check_machine, fit
    from superpoint.training.module import SegmentationModule
    from superpoint.training.patches import count_labels

    started = time.perf_counter()
    needs_superpixels = check_loss(settings.loss, loss_settings(settings))
    accelerator = {"cuda": "gpu"}.get(settings.device, settings.device)
    check_machine(accelerator, settings.precision, devices=settings.devices, tensorboard=settings.tensorboard)
    resume = _resume_from(settings)
    before = load_module(resume).recipe if resume is not None else None
    table = read_class_table(settings.classes) if settings.classes else None
    rasters, masks = open_pairs(settings.raster, settings.labels, settings.bands, table)
    bands, classes = rasters[0].bands, common_classes(masks)
    scaling = _scaling_of(before) if before is not None else pooled_scaling(rasters, settings.cache)
    sources = sources_of(rasters, masks, scaling, superpixels=needs_superpixels)
    checked = open_pairs(settings.validation_raster, settings.validation_labels, bands, table or classes)
    validation = sources_of(*checked, scaling)
    if before is not None and before.band_numbers != bands:
        raise InputError(f"{resume} was trained on the bands {listed(before.band_numbers)}; give --bands alike")
    counts = count_labels(sources, n_classes=len(classes), patch_size=settings.patch)
    if not counts.patches:
        raise InputError(
            f"no pixel of {', '.join(map(str, settings.labels))} is labelled; add points or check --labels"
        )
    held_out = count_labels(validation, n_classes=len(classes), patch_size=settings.patch) if validation else None
    decides = settings.early_stopping is not None or settings.schedule == "plateau"
    data = data_digest(sources, counts, *((validation, held_out) if decides else ((), None)))
    start = start_of(settings, len(bands), before)
    recipe = recipe_of(settings, start, classes=classes, scaling=scaling, bands=bands, counts=counts, data=data)
    module = SegmentationModule(recipe, pretrained=before is None, encoder_file=start.file)
    patches = LabelledPatches(
        sources,
        counts.patches,
        patch_size=settings.patch,
        superpixels=needs_superpixels,
        names=[raster.path for raster in rasters],
    )
    judged = (
        LabelledPatches(validation, held_out.patches, patch_size=settings.patch, cores_only=True) if held_out else None
    )
    n_steps = settings.epochs * -(-len(patches) // (settings.batch_size * settings.devices * settings.accumulate))
    claim_folder(settings.out)
    if before is None:
        _clear(settings.out)
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
            accelerator=accelerator,
            num_workers=settings.loaders,
            by_patch=counts.by_patch,
            early_stopping=settings.early_stopping,
            max_seconds=None if settings.max_time is None else 60 * settings.max_time,
            tensorboard=settings.tensorboard,
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
    judged = f", val_loss {row['val_loss']:.5f}, val_miou {row['val_miou']:.4f}" if "val_miou" in row else ""
    log.info("epoch %d of %d: train_loss %.5f%s", epoch, n_epochs, row["train_loss"], judged)


def _clear(out: Path) -> None:
    """Take away what an earlier training left."""
    for name in ("last.ckpt", "best.ckpt", "metrics.csv"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "tensorboard", ignore_errors=True)


def _scaling_of(recipe: Recipe) -> Scaling:
    return Scaling(low=recipe.scaling_low, high=recipe.scaling_high)


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
