"""The network in training: one step, one validation, and the recipe that goes into its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from superpoint.errors import InputError
from superpoint.losses import build_loss
from superpoint.metrics import SegmentationScores, confusion_matrix
from superpoint.models import build_model
from superpoint.training.recipe import Recipe
from superpoint.training.seeds import Purpose, derived_seed, generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class SegmentationModule(pl.LightningModule):
    """A network, its loss and its recipe. A checkpoint of it alone rebuilds it.

    Parameters
    ----------
    recipe : Recipe or mapping
        A recipe, or what its `to_dict` returned, as a checkpoint holds it.
    pretrained : bool
        Start from the recipe's pretrained encoder weights, if it names any. A checkpoint sets False: it
        brings the weights itself, so that nothing is downloaded.
    """

    def __init__(self, recipe: Recipe | Mapping[str, Any], *, pretrained: bool = True) -> None:
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
                weights=self.recipe.encoder_weights if pretrained else None,
            )
        self.loss = build_loss(self.recipe.loss, frequencies=self.recipe.frequencies, normalize=self.recipe.normalize)
        self.confusion = self._no_confusion()

    def _no_confusion(self) -> NDArray[np.int64]:
        return np.zeros((len(self.recipe.classes), len(self.recipe.classes) + 1), np.int64)

    def forward(self, images: Tensor) -> Tensor:
        """Return raw outputs (batch, classes, rows, cols) for images (batch, bands, rows, cols)."""
        outputs: Tensor = self.model(images)
        return outputs

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with the recipe's learning rate."""
        return torch.optim.Adam(self.parameters(), lr=self.recipe.learning_rate)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002  # Lightning's
        """Return the loss of one batch, turned and mirrored at random.

        Raises
        ------
        InputError
            If the network cannot normalise a batch this small.
        """
        images, labels = augmented(*batch, generator(self.recipe.seed, Purpose.AUGMENTATION, self.global_step))
        # Dropout draws from the default generator, whose state no checkpoint holds.
        torch.manual_seed(derived_seed(self.recipe.seed, Purpose.DROPOUT, self.global_step))
        try:
            loss: Tensor = self.loss(self(images), labels)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # raised by PyTorch's batch norm
                raise
            raise InputError(
                f"{self.recipe.model} cannot be trained on batches of {len(images)} patch of "
                f"{self.recipe.patch_size} pixels: batch norm needs more; set batch_size to 2 or more and "
                f"label at least 2 patches"
            ) from error
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's confusion matrix."""
        self.confusion = self._no_confusion()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002  # Lightning's
        """Add one batch to the epoch's confusion matrix."""
        images, labels = batch
        predicted = self(images).argmax(dim=1)  # (batch, rows, cols)
        self.confusion += confusion_matrix(labels.cpu().numpy(), predicted.cpu().numpy(), len(self.recipe.classes))

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of the whole validation set as `val_miou`."""
        self.log("val_miou", SegmentationScores(confusion=self.confusion).miou)


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
    turns = torch.randint(4, (len(images),), generator=drawn).tolist()
    flips = torch.randint(2, (len(images),), generator=drawn).tolist()
    moved = [
        tuple(_moved(item, n_turns=turn, flip=bool(flip)) for item in (image, label))
        for image, label, turn, flip in zip(images, labels, turns, flips, strict=True)
    ]
    return torch.stack([image for image, _ in moved]), torch.stack([label for _, label in moved])


def _moved(patch: Tensor, *, n_turns: int, flip: bool) -> Tensor:
    turned = patch.rot90(n_turns, (-2, -1))  # (..., rows, cols)
    return turned.flip(-1) if flip else turned
