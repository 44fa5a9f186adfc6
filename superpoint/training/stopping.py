"""When a training ends before its last epoch: always between epochs, so that a resume is exact."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from superpoint.errors import SuperpointError
from superpoint.training.ranks import summed

if TYPE_CHECKING:
    from collections.abc import Callable

    import lightning.pytorch as pl

FEW = 3  # places that a sentence lists


class EarlyStopping(Callback):
    """Ends the training when `val_loss` was not lower for some epochs.

    Parameters
    ----------
    patience : int
        How many.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.lowest = math.inf
        self.n_waited = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Leave a training that ended early as it is."""
        trainer.should_stop |= self.n_waited >= self.patience

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Look at the epoch, before it is saved."""
        loss = float(trainer.callback_metrics["val_loss"])
        self.n_waited = 0 if loss < self.lowest else self.n_waited + 1
        self.lowest = min(self.lowest, loss)
        trainer.should_stop |= self.n_waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"lowest": self.lowest, "n_waited": self.n_waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.lowest, self.n_waited = float(state_dict["lowest"]), int(state_dict["n_waited"])


class TimeLimit(Callback):
    """Ends the training where another epoch as long as the longest would pass the limit; one is always done.

    Parameters
    ----------
    seconds : float
        From the start of this run, earlier ones before a resume not counted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = self.epoch_started = time.monotonic()
        self.longest = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Note the time."""
        self.epoch_started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Judge whether there is time for another."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self.epoch_started)
        is_late = now - self.started + self.longest > self.seconds
        trainer.should_stop |= trainer.strategy.reduce_boolean_decision(is_late, all=False)


class OnlyNumbers(Callback):
    """Ends the run with an error at the first batch whose loss is no number.

    Parameters
    ----------
    places : callable
        Takes the number of a batch in its epoch and the rank of a process, and says where its patches lie.
    """

    def __init__(self, places: Callable[[int, int], list[str]]) -> None:
        self.places = places

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401  # what a training step may return
        batch: object,  # noqa: ARG002  # Lightning's
        batch_idx: int,
    ) -> None:
        """Look at the batch of each process.

        Raises
        ------
        SuperpointError
            With the batch and its patches.
        """
        losses = np.zeros(trainer.world_size)
        losses[trainer.global_rank] = float(outputs["loss"])
        losses = summed(losses, pl_module.device)
        if np.isfinite(losses).all():
            return
        rank = int(np.flatnonzero(~np.isfinite(losses))[0])
        loss, places = losses[rank], self.places(batch_idx, rank)
        more = f" and {len(places) - FEW} more" if len(places) > FEW else ""
        raise SuperpointError(
            f"the training loss is {loss} in batch {batch_idx + 1} of epoch {trainer.current_epoch + 1} "
            f"({'; '.join(places[:FEW])}{more}); check the rasters there for values that are no numbers, or lower the "
            f"learning rate"
        )
