"""How the learning rate changes over a training.

`constant` is the recipe's rate throughout. `cosine` rises over the first twentieth of the steps and falls to 0 along a
half cosine: a function of the step alone, so that a resume needs no state. `plateau` divides the rate by 10 when
`val_loss` was not lower for some epochs. Lightning's own schedulers are not used because it steps them after the last
checkpoint of an epoch is written, so that a resume would miss a step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import ReduceLROnPlateau

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch.optim import Optimizer

    from superpoint.training.recipe import Recipe

WARM_UP = 0.05  # share of the steps over which the cosine's rate rises
FACTOR = 0.1  # what a plateau multiplies the rate by


def cosine_rate(step: int, n_steps: int) -> float:
    """Return the share of the highest learning rate at a step, counted from 0.

    Linear warm-up (Goyal et al., 2017, arXiv:1706.02677), then half a cosine without restarts (Loshchilov and Hutter,
    2017, equation 5, arXiv:1608.03983).

    Examples
    --------
    >>> [round(cosine_rate(step, 40), 2) for step in (0, 1, 2, 21, 39)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    n_rising = max(1, math.ceil(WARM_UP * n_steps))
    if step < n_rising:
        return (step + 1) / n_rising
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - n_rising) / max(1, n_steps - n_rising)))


def schedule_of(recipe: Recipe) -> list[Callback]:
    """Return the callbacks that a recipe's schedule needs."""
    if recipe.schedule == "cosine":
        return [Cosine(recipe)]
    return [Plateau(recipe.patience)] if recipe.schedule == "plateau" else []


class Cosine(Callback):
    """Sets the learning rate before each batch, see `cosine_rate`.

    Parameters
    ----------
    recipe : Recipe
        With `learning_rate`, `schedule_epochs` and `accumulate`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002  # this and the next: Lightning's
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Set the rate of the step that the batch belongs to."""
        steps_per_epoch = math.ceil(int(trainer.num_training_batches) / self.recipe.accumulate)
        n_steps = steps_per_epoch * self.recipe.schedule_epochs
        for optimizer in trainer.optimizers:
            _set_rate(optimizer, self.recipe.learning_rate * cosine_rate(trainer.global_step, n_steps))


class Plateau(Callback):
    """Goes down when `val_loss` stays up; PyTorch's `ReduceLROnPlateau` with its state in the checkpoint.

    Parameters
    ----------
    patience : int
        Epochs without a lower `val_loss`.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.stored: dict[str, Any] = {}
        self.scheduler: ReduceLROnPlateau | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Begin, or go on from a checkpoint."""
        self.scheduler = ReduceLROnPlateau(trainer.optimizers[0], factor=FACTOR, patience=self.patience)
        self.scheduler.load_state_dict(self.stored or self.scheduler.state_dict())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Look at the epoch, before it is saved."""
        if self.scheduler is not None:
            self.scheduler.step(float(trainer.callback_metrics["val_loss"]))

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return self.scheduler.state_dict() if self.scheduler is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint says until there is an optimizer."""
        self.stored = state_dict


def _set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
