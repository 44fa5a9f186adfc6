"""What happens beside the training steps: progress, the table of epochs, and checkpoints.

Lightning's own checkpoint callback forgets the best score when a folder has moved, and saves the last epoch
only when it is the best; its CSV logger deletes the table on a resume. These keep their state in the
checkpoint.
"""

from __future__ import annotations

import csv
import math
import shutil
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback, Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import lightning.pytorch as pl

    OnStep = Callable[[int, int, float], None]
    OnEpoch = Callable[[dict[str, float]], None]

BEST, LAST, TABLE, EVENTS = "best.ckpt", "last.ckpt", "metrics.csv", "tensorboard"


class Progress(Callback):
    """Calls a function with (steps done, steps in all, loss) after each batch; batches make up steps.

    Parameters
    ----------
    on_step : callable
        The function.
    """

    def __init__(self, on_step: OnStep) -> None:
        self.on_step = on_step

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002  # this and the next: Lightning's
        outputs: Any,  # noqa: ANN401  # what a training step may return
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Report the batch."""
        batches_per_step = trainer.accumulate_grad_batches
        steps_per_epoch = math.ceil(int(trainer.num_training_batches) / batches_per_step)
        # Lightning hands out the loss as it goes into the sum of a step's gradients.
        loss = float(outputs["loss"]) * batches_per_step
        self.on_step(trainer.global_step, steps_per_epoch * (trainer.max_epochs or 0), loss)


class History(Callback):
    """The metrics of every epoch since the first, kept over a resume and written as CSV.

    Parameters
    ----------
    path : Path
        The table, rewritten after each epoch.
    on_epoch : callable, optional
        Called with each epoch's row.
    """

    def __init__(self, path: Path, on_epoch: OnEpoch | None = None) -> None:
        self.path = path
        self.on_epoch = on_epoch
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        pl_module.log("learning_rate", rate, sync_dist=True)  # for TensorBoard
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()} | {"learning_rate": rate}
        place = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        self.rows.append(place | dict(sorted(metrics.items())))
        if not trainer.is_global_zero:
            return
        _replaced(self.path, self._write)
        if self.on_epoch is not None:
            self.on_epoch(self.rows[-1])

    def _write(self, path: Path) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the table of a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class Checkpoints(Checkpoint):
    """Saves each epoch as `last.ckpt`, and as `best.ckpt` when its `val_miou` is above all before.

    Parameters
    ----------
    folder : Path
        Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best_miou = -math.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Save the epoch."""
        miou = float(trainer.callback_metrics.get("val_miou", math.nan))
        is_best = miou > self.best_miou
        self.best_miou = miou if is_best else self.best_miou
        # The best one first: killed in between, a resume does this epoch again and so writes the last one again.
        path = self.folder / (BEST if is_best else LAST)
        if not trainer.is_global_zero:
            trainer.save_checkpoint(_beside(path))  # writes nothing, but the others wait for it
            return
        _replaced(path, trainer.save_checkpoint)
        if is_best:
            _replaced(self.folder / LAST, lambda part: shutil.copyfile(path, part))

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"best_miou": self.best_miou}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint; in a folder without a best one, the next epoch is the best."""
        if (self.folder / BEST).exists():
            self.best_miou = float(state_dict["best_miou"])


def _replaced(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside `path` and move it there, so that a kill leaves the old or the new one whole."""
    part = _beside(path)
    write(part)
    part.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
