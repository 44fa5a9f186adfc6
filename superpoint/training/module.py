"""The network in training: one step, one validation, and the recipe that goes into its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.models import build_model
from superpoint.training.criteria import loss_of, validation_loss_of
from superpoint.training.radiometry import recoloured
from superpoint.training.ranks import summed
from superpoint.training.recipe import Recipe
from superpoint.training.seeds import Purpose, derived_seed, generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class SegmentationModule(pl.LightningModule):
    """A network, its loss and its recipe. A checkpoint of it alone rebuilds it.

    Parameters
    ----------
    recipe : Recipe or mapping
        A recipe, or what its `to_dict` returned, as a checkpoint holds it.
    pretrained : bool
        Start from the recipe's pretrained encoder weights, if it names any. A checkpoint sets False: it
        brings the weights itself, so that nothing is downloaded or read.
    encoder_file : Path, optional
        The file whose name and digest the recipe holds, as the recipe does not know where it is.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(
        self, recipe: Recipe | Mapping[str, Any], *, pretrained: bool = True, encoder_file: Path | None = None
    ) -> None:
        super().__init__()
        self.recipe = recipe if isinstance(recipe, Recipe) else Recipe.from_dict(recipe)
        self.save_hyperparameters({"recipe": self.recipe.to_dict(), "pretrained": False})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.recipe.seed, Purpose.WEIGHTS))
            self.model = build_model(
                self.recipe.model,
                encoder=self.recipe.encoder,
                bands=self.recipe.bands,
                n_classes=len(self.recipe.classes),
                weights=_weights_of(self.recipe, encoder_file) if pretrained else None,
            ).to(memory_format=torch.channels_last)
        self.loss = loss_of(self.recipe)
        self.judge = validation_loss_of(self.recipe)
        # Not in the state dict: the recipe holds them, and one place is enough.
        self.register_buffer("input_mean", _per_band(self.recipe.input_mean), persistent=False)
        self.register_buffer("input_std", _per_band(self.recipe.input_std), persistent=False)
        self.confusion = self._no_confusion()
        self.loss_sum, self.n_judged = 0.0, 0

    def _no_confusion(self) -> NDArray[np.int64]:
        return np.zeros((len(self.recipe.classes), len(self.recipe.classes) + 1), np.int64)

    def forward(self, images: Tensor) -> Tensor:
        """Return raw outputs (batch, classes, rows, cols) for images (batch, bands, rows, cols)."""
        if self.recipe.input_mean:
            images = (images - self.input_mean) / self.input_std
        # Convolutions are faster where the channels of a pixel lie side by side; losses want them apart.
        outputs: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        return outputs.contiguous()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the recipe's optimizer."""
        kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        return kinds[self.recipe.optimizer](
            self.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay, fused=True
        )

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the loss of one batch of images, labels and perhaps superpixels, changed at random.

        Raises
        ------
        InputError
            If the network cannot normalise a batch this small.
        """
        seed, batches = self.recipe.seed, self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        place = batches * self.trainer.world_size + self.trainer.global_rank
        images, *targets = moved_alike(batch, generator(seed, Purpose.AUGMENTATION, place))
        if self.recipe.radiometric:
            images = recoloured(images, self.recipe.radiometric, generator(seed, Purpose.RADIOMETRY, place))
        # Dropout draws from the default generator, whose state no checkpoint holds.
        torch.manual_seed(derived_seed(seed, Purpose.DROPOUT, place))
        try:
            loss: Tensor = self.loss(self(images), *targets)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # raised by PyTorch's batch norm
                raise
            raise InputError(
                f"{self.recipe.model} cannot be trained on batches of {len(images)} patch of "
                f"{self.recipe.patch_size} pixels: batch norm needs more; set batch_size to 2 or more and "
                f"label at least 2 patches"
            ) from error
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's confusion matrix and losses."""
        self.confusion = self._no_confusion()
        self.loss_sum, self.n_judged = 0.0, 0

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002  # Lightning's
        """Add one batch to the epoch's confusion matrix and losses."""
        images, labels = batch
        outputs = self(images)
        predicted = outputs.argmax(dim=1)  # (batch, rows, cols)
        self.confusion += confusion_matrix(labels.cpu().numpy(), predicted.cpu().numpy(), len(self.recipe.classes))
        n_labelled = int((labels != IGNORE).sum())
        self.loss_sum += float(self.judge(outputs, labels)) * n_labelled
        self.n_judged += n_labelled

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of the whole validation set as `val_miou`, and its mean loss as `val_loss`."""
        self.confusion = summed(self.confusion, self.device)
        loss_sum, n_judged = summed(np.array([self.loss_sum, self.n_judged]), self.device)
        self.log("val_miou", SegmentationScores(confusion=self.confusion).miou, sync_dist=True)
        self.log("val_loss", float(loss_sum / max(1, n_judged)), sync_dist=True)


def _weights_of(recipe: Recipe, encoder_file: Path | None) -> str | None:
    """Return what the encoder starts from."""
    if recipe.encoder_digest is None:
        return recipe.encoder_weights
    if encoder_file is None:
        raise InputError(f"the recipe starts from the file {recipe.encoder_weights}; say where it is")
    return str(encoder_file.absolute())


def _per_band(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]  # (band, 1, 1)


def augmented(images: Tensor, labels: Tensor, drawn: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn each patch by a multiple of 90 degrees and mirror half of them; labels go along.

    Parameters
    ----------
    images : float tensor of shape (batch, bands, size, size)
        Square patches.
    labels : integer tensor of shape (batch, size, size)
        Their labels.
    drawn : torch.Generator
        On the CPU, so that every device sees the same.

    Returns
    -------
    tuple of tensors
        Of the same shapes.
    """
    moved_images, moved_labels = moved_alike((images, labels), drawn)
    return moved_images, moved_labels


def moved_alike(tensors: Sequence[Tensor], drawn: torch.Generator) -> tuple[Tensor, ...]:
    """Turn and mirror as `augmented` does any number of tensors of shape (batch, ..., size, size), all alike."""
    n_patches = len(tensors[0])
    turns = torch.randint(4, (n_patches,), generator=drawn).tolist()
    flips = torch.randint(2, (n_patches,), generator=drawn).tolist()
    return tuple(
        torch.stack(
            [_moved(item, n_turns=turn, flip=bool(flip)) for item, turn, flip in zip(tensor, turns, flips, strict=True)]
        )
        for tensor in tensors
    )


def _moved(patch: Tensor, *, n_turns: int, flip: bool) -> Tensor:
    turned = patch.rot90(n_turns, (-2, -1))  # (..., rows, cols)
    return turned.flip(-1) if flip else turned
