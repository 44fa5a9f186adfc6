"""Run the training: epochs, checkpoints, and an exact resume.

A checkpoint is written after each epoch, and every random number is a function of the seed and the epoch or
step, so an interrupted run that is resumed ends with the weights of one that was not. What cannot be avoided:
the steps since the last full epoch are done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import lightning.pytorch as pl
import torch
from lightning.fabric.loggers.tensorboard import _TENSORBOARD_AVAILABLE, _TENSORBOARDX_AVAILABLE
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from superpoint.errors import InputError, MissingExtraError
from superpoint.training.callbacks import BEST, EVENTS, LAST, TABLE, Checkpoints, History, Progress
from superpoint.training.checkpoint import read_checkpoint
from superpoint.training.dataset import BalancedDraw, EpochShuffle, InTurn
from superpoint.training.process import stops_passed_on, undisturbed
from superpoint.training.ranks import Rank, together
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
    """One row an epoch since the first: `epoch` from 1, `step`, `learning_rate` of the last step, `train_loss`;
    validated `val_loss`, `val_miou`."""


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
    """Train a network; the same seed, data and devices give the same weights.

    Where the recipe says several devices, a process is started for each but the first; it gets the module and the
    patches, pickled, see `superpoint.training.ranks`.

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
        Processes that read patches, for each device.
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
    recipe = module.recipe
    check_machine(accelerator, recipe.precision, devices=recipe.devices, tensorboard=tensorboard)
    _check(training, validation, epochs=epochs, out_dir=out_dir, resume=resume)
    if training.patch_size != recipe.patch_size:
        raise ValueError(f"the recipe says patches of {recipe.patch_size} pixels, got {training.patch_size}")
    if validation is None and (early_stopping is not None or recipe.schedule == "plateau"):
        what = "early stopping" if early_stopping is not None else "the plateau schedule"
        raise InputError(f"{what} looks at the validation loss: give validation data")
    order = _order(recipe, len(training), by_patch)
    if resume is not None:
        # Worker processes draw their first batches before Lightning sets the epoch.
        order.set_epoch(_epochs_done(resume, recipe, epochs))
    out_dir.mkdir(parents=True, exist_ok=True)
    job = _Job(
        module=module,
        training=training,
        validation=validation,
        order=order,
        epochs=epochs,
        out_dir=out_dir,
        resume=resume,
        accelerator=accelerator,
        num_workers=num_workers,
        early_stopping=early_stopping,
        max_seconds=max_seconds,
    )
    with undisturbed(), stops_passed_on(), together(recipe.devices, partial(_run, job)) as rank:
        rows = _run(job, rank, tensorboard=tensorboard, on_step=on_step, on_epoch=on_epoch)
    last, best = out_dir / LAST, out_dir / BEST
    return FitResult(last=last, best=best if best.exists() else last, history=tuple(rows))


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What each process of a training knows; as of `fit`."""

    module: SegmentationModule
    training: LabelledPatches
    validation: LabelledPatches | None
    order: EpochShuffle
    epochs: int
    out_dir: Path
    resume: Path | None
    accelerator: str
    num_workers: int
    early_stopping: int | None
    max_seconds: float | None


def _run(
    job: _Job,
    rank: Rank,
    *,
    tensorboard: bool = False,
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[dict[str, float]]:
    """Train as one of the processes, and return the rows of the history."""
    recipe, order = job.module.recipe, job.order
    order.rank, order.n_ranks = rank.rank, rank.n_ranks
    history = History(job.out_dir / TABLE, on_epoch)
    callbacks = [
        history,
        OnlyNumbers(partial(_places, job.training, order, recipe.batch_size)),
        *schedule_of(recipe),
        *([EarlyStopping(job.early_stopping)] if job.early_stopping is not None else []),
        *([TimeLimit(job.max_seconds)] if job.max_seconds is not None else []),
        Checkpoints(job.out_dir),
        *([Progress(on_step)] if on_step else []),
    ]
    with undisturbed():
        _trainer(job, rank, callbacks, tensorboard=tensorboard).fit(
            job.module,
            _loader(job, job.training, order),
            _loader(job, job.validation, InTurn(len(job.validation), rank=rank.rank, n_ranks=rank.n_ranks))
            if job.validation is not None
            else None,
            ckpt_path=job.resume,
            weights_only=True,
        )
    return history.rows


def check_machine(accelerator: str, precision: str, *, devices: int = 1, tensorboard: bool = False) -> None:
    """Refuse what this machine cannot do, before anything is read or replaced.

    Raises
    ------
    InputError
        If half precision is asked for without a GPU, or more GPUs than there are.
    MissingExtraError
        If TensorBoard is asked for and not installed.
    """
    if precision == "16-mixed" and (accelerator == "cpu" or not torch.cuda.is_available()):
        raise InputError("precision 16-mixed needs a GPU; on a CPU take 32 or bf16-mixed")
    n_gpus = torch.cuda.device_count()
    if devices > max(1, n_gpus) and (accelerator == "gpu" or (accelerator == "auto" and n_gpus)):
        raise InputError(f"{devices} devices are asked for and there are {n_gpus} GPUs; give fewer --devices")
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
    reach_px = recipe.patch_size // 2 if recipe.placement == "random" else 0
    if recipe.sampling == "all":
        return EpochShuffle(n_patches, seed=recipe.seed, reach_px=reach_px)
    if by_patch is None or len(by_patch) != n_patches:
        raise ValueError(f"balanced sampling needs the classes in each of the {n_patches} patches (by_patch)")
    return BalancedDraw(by_patch, seed=recipe.seed, reach_px=reach_px)


def _places(patches: LabelledPatches, order: EpochShuffle, batch_size: int, batch: int, rank: int) -> list[str]:
    return [patches.place(item) for item in order.share(rank)[batch * batch_size : (batch + 1) * batch_size]]


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


def _loader(job: _Job, patches: LabelledPatches, order: EpochShuffle | InTurn) -> DataLoader[tuple[Tensor, ...]]:
    batch_size = job.module.recipe.batch_size
    single_left = len(order) > batch_size and len(order) % batch_size == 1
    return DataLoader(
        patches,
        batch_size=batch_size,
        sampler=order,
        drop_last=order is job.order and single_left,
        num_workers=job.num_workers,
        persistent_workers=job.num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _trainer(job: _Job, rank: Rank, callbacks: list[pl.Callback], *, tensorboard: bool) -> pl.Trainer:
    recipe = job.module.recipe
    try:
        return pl.Trainer(
            max_epochs=job.epochs,
            accelerator=job.accelerator,
            devices=rank.n_ranks,
            strategy=DDPStrategy() if rank.n_ranks > 1 else "auto",
            # Only the processes that we start: under a batch scheduler Lightning would look for others.
            plugins=[rank],
            use_distributed_sampler=False,
            precision="32-true" if recipe.precision == "32" else recipe.precision,
            accumulate_grad_batches=recipe.accumulate,
            deterministic=True,
            callbacks=callbacks,
            default_root_dir=job.out_dir,
            logger=TensorBoardLogger(job.out_dir, name=EVENTS, version="", default_hp_metric=False)
            if tensorboard
            else False,
            log_every_n_steps=1,  # it warns of epochs with fewer; what is logged is of whole epochs
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise InputError(f"accelerator {job.accelerator!r} cannot be used here: {error}") from error
