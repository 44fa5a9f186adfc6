"""Run the training: epochs, checkpoints, and an exact resume.

A checkpoint is written after each epoch, and every random number is a function of the seed and the epoch or
step, so an interrupted run that is resumed ends with the weights of one that was not. What cannot be avoided:
the steps since the last full epoch are done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from superpoint.errors import InputError
from superpoint.training.callbacks import BEST, LAST, TABLE, Checkpoints, History, Progress
from superpoint.training.checkpoint import read_checkpoint
from superpoint.training.dataset import EpochShuffle
from superpoint.training.process import stops_passed_on, undisturbed
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from superpoint.training.callbacks import OnEpoch, OnStep
    from superpoint.training.dataset import LabelledPatches
    from superpoint.training.module import SegmentationModule


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training run left behind."""

    last: Path
    """Checkpoint of the last epoch."""
    best: Path
    """Checkpoint of the epoch with the highest `val_miou`; the last one without validation."""
    history: tuple[dict[str, float], ...]
    """One row an epoch since the first: `epoch` from 1, `step`, `train_loss`, `val_miou`."""


def fit(
    module: SegmentationModule,
    training: LabelledPatches,
    *,
    validation: LabelledPatches | None = None,
    epochs: int,
    out_dir: Path,
    resume: Path | None = None,
    accelerator: str = "auto",
    num_workers: int = 0,
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Train a network; the same seed, data and device give the same weights.

    Parameters
    ----------
    module : SegmentationModule
        The network and its recipe; trained in place.
    training : LabelledPatches
        What it learns from. A last batch of a single patch is left out of its epoch, since batch norm cannot
        learn from one.
    validation : LabelledPatches, optional
        What it is scored on after each epoch; made with `cores_only=True`, no pixel counts twice.
    epochs : int
        Passes over `training` in all, those before a resume included.
    out_dir : Path
        Gets `last.ckpt`, `best.ckpt` and `metrics.csv` after each epoch.
    resume : Path, optional
        Checkpoint to continue from.
    accelerator : str
        `auto`, `cpu` or `gpu`.
    num_workers : int
        Processes that read patches.
    on_step : callable, optional
        Called with (steps done, steps in all, loss) after each step.
    on_epoch : callable, optional
        Called with each epoch's row of the history.

    Raises
    ------
    InputError
        If there are no patches, the checkpoint does not fit the recipe or is past `epochs`, or `out_dir`
        holds another run.
    ValueError
        If the patches have another size than the recipe says.
    SuperpointError
        If the loss is no longer a number.
    """
    _check(training, validation, epochs=epochs, out_dir=out_dir, resume=resume)
    if training.patch_size != module.recipe.patch_size:
        raise ValueError(f"the recipe says patches of {module.recipe.patch_size} pixels, got {training.patch_size}")
    order = EpochShuffle(len(training), seed=module.recipe.seed)
    if resume is not None:
        # Worker processes draw their first batches before Lightning sets the epoch.
        order.set_epoch(_epochs_done(resume, module.recipe, epochs))
    out_dir.mkdir(parents=True, exist_ok=True)
    history = History(out_dir / TABLE, on_epoch)
    callbacks = [history, Checkpoints(out_dir), *([Progress(on_step)] if on_step else [])]
    with undisturbed(), stops_passed_on():
        _trainer(epochs, out_dir, accelerator, callbacks).fit(
            module,
            _loader(training, module.recipe.batch_size, num_workers, order),
            _loader(validation, module.recipe.batch_size, num_workers) if validation is not None else None,
            ckpt_path=resume,
            weights_only=True,
        )
    last, best = out_dir / LAST, out_dir / BEST
    return FitResult(last=last, best=best if best.exists() else last, history=tuple(history.rows))


def _check(
    training: LabelledPatches,
    validation: LabelledPatches | None,
    *,
    epochs: int,
    out_dir: Path,
    resume: Path | None,
) -> None:
    if epochs < 1:
        raise InputError(f"epochs must be at least 1, got {epochs}")
    if len(training) == 0:
        raise InputError("no training patch holds a labelled pixel")
    if validation is not None and len(validation) == 0:
        raise InputError("no validation patch holds a labelled pixel")
    if resume is None and (out_dir / LAST).exists():
        raise InputError(f"{out_dir} holds a trained network; resume from its {LAST} or choose another folder")


def _epochs_done(resume: Path, recipe: Recipe, epochs: int) -> int:
    checkpoint = read_checkpoint(resume)
    differing = recipe.differences(Recipe.from_dict(checkpoint["hyper_parameters"]["recipe"]))
    if differing:
        raise InputError(
            f"{resume} was trained with other settings ({', '.join(differing)}); resume with the same ones, "
            f"or train anew in another folder"
        )
    done = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    if done > epochs:
        raise InputError(f"{resume} has {done} epochs, more than the {epochs} asked for")
    return done


def _loader(
    patches: LabelledPatches, batch_size: int, num_workers: int, order: EpochShuffle | None = None
) -> DataLoader[tuple[Tensor, Tensor]]:
    single_left = len(patches) > batch_size and len(patches) % batch_size == 1
    return DataLoader(
        patches,
        batch_size=batch_size,
        sampler=order,
        drop_last=order is not None and single_left,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _trainer(epochs: int, out_dir: Path, accelerator: str, callbacks: list[pl.Callback]) -> pl.Trainer:
    try:
        return pl.Trainer(
            max_epochs=epochs,
            accelerator=accelerator,
            devices=1,
            # One process wherever it runs: under a batch scheduler Lightning would look for others.
            plugins=[LightningEnvironment()],
            precision="32-true",
            deterministic=True,
            callbacks=callbacks,
            default_root_dir=out_dir,
            logger=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise InputError(f"accelerator {accelerator!r} cannot be used here: {error}") from error
