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
from lightning.fabric.loggers.tensorboard import _TENSORBOARD_AVAILABLE, _TENSORBOARDX_AVAILABLE
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from superpoint.errors import InputError, MissingExtraError
from superpoint.training.callbacks import BEST, EVENTS, LAST, TABLE, Checkpoints, History, Progress
from superpoint.training.checkpoint import read_checkpoint
from superpoint.training.dataset import BalancedDraw, EpochShuffle
from superpoint.training.process import stops_passed_on, undisturbed
from superpoint.training.recipe import Recipe
from superpoint.training.schedules import schedule_of
from superpoint.training.stopping import EarlyStopping, OnlyNumbers, TimeLimit

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
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
    """One row an epoch since the first: `epoch` from 1, `step`, `train_loss`; validated `val_loss`, `val_miou`."""


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
    by_patch: NDArray[np.int64] | None = None,
    early_stopping: int | None = None,
    max_seconds: float | None = None,
    tensorboard: bool = False,
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
    by_patch : int64 array of shape (patches, classes), optional
        Labelled pixels of each class in each patch, which balanced sampling needs.
    early_stopping : int, optional
        End when `val_loss` was not lower for so many epochs.
    max_seconds : float, optional
        End where another epoch would take longer than that since the start of this run.
    tensorboard : bool
        Also write what TensorBoard shows into `out_dir`.
    on_step : callable, optional
        Called with (steps done, steps in all, loss) after each batch.
    on_epoch : callable, optional
        Called with each epoch's row of the history.

    Raises
    ------
    InputError
        If there are no patches, the checkpoint does not fit the recipe or is past `epochs`, or `out_dir`
        holds another run, or something needs validation data that is not there.
    MissingExtraError
        If TensorBoard is asked for and not installed.
    ValueError
        If the patches have another size than the recipe says.
    SuperpointError
        If the loss is no longer a number.
    """
    check_machine(accelerator, module.recipe.precision, tensorboard=tensorboard)
    _check(training, validation, epochs=epochs, out_dir=out_dir, resume=resume)
    if training.patch_size != module.recipe.patch_size:
        raise ValueError(f"the recipe says patches of {module.recipe.patch_size} pixels, got {training.patch_size}")
    recipe = module.recipe
    if validation is None and (early_stopping is not None or recipe.schedule == "plateau"):
        what = "early stopping" if early_stopping is not None else "the plateau schedule"
        raise InputError(f"{what} looks at the validation loss: give validation data")
    order = _order(recipe, len(training), by_patch)
    if resume is not None:
        # Worker processes draw their first batches before Lightning sets the epoch.
        order.set_epoch(_epochs_done(resume, recipe, epochs))
    out_dir.mkdir(parents=True, exist_ok=True)
    history = History(out_dir / TABLE, on_epoch)
    callbacks = [
        history,
        OnlyNumbers(lambda batch: _places(training, order, recipe.batch_size, batch)),
        *schedule_of(recipe),
        *([EarlyStopping(early_stopping)] if early_stopping is not None else []),
        *([TimeLimit(max_seconds)] if max_seconds is not None else []),
        Checkpoints(out_dir),
        *([Progress(on_step)] if on_step else []),
    ]
    with undisturbed(), stops_passed_on():
        _trainer(epochs, out_dir, accelerator, recipe, callbacks, tensorboard=tensorboard).fit(
            module,
            _loader(training, recipe.batch_size, num_workers, order),
            _loader(validation, recipe.batch_size, num_workers) if validation is not None else None,
            ckpt_path=resume,
            weights_only=True,
        )
    last, best = out_dir / LAST, out_dir / BEST
    return FitResult(last=last, best=best if best.exists() else last, history=tuple(history.rows))


def check_machine(accelerator: str, precision: str, *, tensorboard: bool = False) -> None:
    """Refuse what this machine cannot do, before anything is read or replaced.

    Raises
    ------
    InputError
        If half precision is asked for without a GPU.
    MissingExtraError
        If TensorBoard is asked for and not installed.
    """
    if precision == "16-mixed" and (accelerator == "cpu" or not torch.cuda.is_available()):
        raise InputError("precision 16-mixed needs a GPU; on a CPU take 32 or bf16-mixed")
    if tensorboard and not (_TENSORBOARD_AVAILABLE or _TENSORBOARDX_AVAILABLE):
        raise MissingExtraError("--tensorboard needs tensorboard; install it with: pip install tensorboard")


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


def _order(recipe: Recipe, n_patches: int, by_patch: NDArray[np.int64] | None) -> EpochShuffle:
    if recipe.sampling == "all":
        return EpochShuffle(n_patches, seed=recipe.seed)
    if by_patch is None or len(by_patch) != n_patches:
        raise ValueError(f"balanced sampling needs the classes in each of the {n_patches} patches (by_patch)")
    return BalancedDraw(by_patch, seed=recipe.seed)


def _places(patches: LabelledPatches, order: EpochShuffle, batch_size: int, batch: int) -> list[str]:
    return [patches.place(index) for index in list(order)[batch * batch_size : (batch + 1) * batch_size]]


def _epochs_done(resume: Path, recipe: Recipe, epochs: int) -> int:
    checkpoint = read_checkpoint(resume)
    before = Recipe.from_dict(checkpoint["hyper_parameters"]["recipe"])
    if recipe.data and before.data and recipe.data != before.data:
        raise InputError(
            f"{resume} was trained on other rasters or labels, or they changed since; give those it was trained on, or "
            f"train anew in another folder"
        )
    differing = recipe.differences(before)
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
) -> DataLoader[tuple[Tensor, ...]]:
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


def _trainer(
    epochs: int,
    out_dir: Path,
    accelerator: str,
    recipe: Recipe,
    callbacks: list[pl.Callback],
    *,
    tensorboard: bool,
) -> pl.Trainer:
    try:
        return pl.Trainer(
            max_epochs=epochs,
            accelerator=accelerator,
            devices=1,
            # One process wherever it runs: under a batch scheduler Lightning would look for others.
            plugins=[LightningEnvironment()],
            precision="32-true" if recipe.precision == "32" else recipe.precision,
            accumulate_grad_batches=recipe.accumulate,
            deterministic=True,
            callbacks=callbacks,
            default_root_dir=out_dir,
            logger=TensorBoardLogger(out_dir, name=EVENTS, version="", default_hp_metric=False)
            if tensorboard
            else False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise InputError(f"accelerator {accelerator!r} cannot be used here: {error}") from error
