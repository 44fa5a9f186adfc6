"""Train an affinity network on masks: whether two neighbouring pixels lie in one segment.

Every patch is cut at random, shrunk by a random factor, turned, mirrored, and brightened band by band (`pairs.py`), all
drawn from the seed and the step. The state is one file at the end and there is no resume: that, and one loop, is
why this does without Lightning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from superpoint.errors import InputError, SuperpointError
from superpoint.models.dal import ALIGNMENT, Dal
from superpoint.training.module import augmented
from superpoint.training.pairs import affinity_loss, brightened, random_patch
from superpoint.training.seeds import Purpose, derived_seed, generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from superpoint.training.patches import Source

    Batch = tuple[Tensor, Tensor]

GRADIENT_NORM = 1.0
RISE = 0.1  # share of the training in which the learning rate rises
VALIDATION_PLACE = 2**32  # no training patch is drawn here


@dataclass(frozen=True, kw_only=True)
class AffinityRecipe:
    """The settings of a training."""

    width: float = 0.25
    """Multiplies the channels of the published network."""
    epochs: int = 30
    patches_per_epoch: int
    patch_size: int = 256
    """Side of what the network sees in pixels, a multiple of 16."""
    batch_size: int = 4
    """Patches a step."""
    shrink: float = 1.0
    """Patches are shrunk by up to this factor; each factor from 1 is as likely by its logarithm."""
    boundary_weight: float = 10.0
    """What a pair across a boundary weighs beside one within a segment."""
    sharpness: float = 4.0
    """The power to which the trained network raises its affinities; this and the next: not part of the loss."""
    sigma: float = 0.08
    """Difference of colour at which they fade as well; 0 leaves colour out."""
    learning_rate: float = 2e-3
    """Adam's highest step size; it rises over the first tenth and falls to 0 as a cosine."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patch_size < ALIGNMENT or self.patch_size % ALIGNMENT:
            raise InputError(f"patch_size must be a multiple of {ALIGNMENT}, got {self.patch_size}")
        if min(self.epochs, self.patches_per_epoch, self.batch_size) < 1:
            raise InputError(
                f"epochs, patches and batch_size must be at least 1, got {self.epochs}, {self.patches_per_epoch} and "
                f"{self.batch_size}"
            )
        for name, least in (("shrink", 1.0), ("boundary_weight", 0.0), ("learning_rate", 0.0)):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= least):
                raise InputError(f"{name} must be at least {least:g}, got {getattr(self, name)}")

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass."""
        return math.ceil(self.patches_per_epoch / self.batch_size)


@dataclass(frozen=True, kw_only=True)
class AffinityFit:
    """A trained network and how it came about."""

    network: Dal
    """In evaluation mode, on the CPU: the epoch with the lowest `val_loss`, without validation the last one."""
    epoch: int
    """Which one that is, from 1."""
    history: tuple[dict[str, float], ...] = field(default=())
    """One row an epoch: `epoch`, `train_loss`, and `val_loss` with validation."""


def fit_affinity(
    training: Sequence[Source],
    recipe: AffinityRecipe,
    *,
    validation: Sequence[Source] = (),
    device: str = "cpu",
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> AffinityFit:
    """Train an affinity network; the same seed, data and device give the same weights.

    Parameters
    ----------
    training : sequence of Source
        Labelled rasters of three bands, each scaled by its own statistics.
    recipe : AffinityRecipe
        The settings.
    validation : sequence of Source
        Judged after each epoch, on a quarter as many patches that are always the same; the best epoch is kept.
    device : str
        `cpu` or `cuda`.
    on_step : callable
        Called after each step.
    on_epoch : callable
        Called with each epoch's row of the history.

    Raises
    ------
    SuperpointError
        If the loss is no longer a number.
    """
    network = _new_network(recipe).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs lack it
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate)
    n_steps = recipe.epochs * recipe.steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / n_steps))
    judged = _held_out(validation, recipe)
    best, best_loss, history = {}, math.inf, []
    for epoch in range(recipe.epochs):
        network.train()
        losses = []
        for step in range(epoch * recipe.steps_per_epoch, (epoch + 1) * recipe.steps_per_epoch):
            losses.append(_train_step(network, _training_batch(training, recipe, step), optimizer, recipe))
            schedule.step()
            on_step()
        row = {"epoch": epoch + 1, "train_loss": float(np.mean(losses))}
        if judged:
            row["val_loss"] = _validate(network, judged, recipe)
        if not all(map(math.isfinite, row.values())):
            raise SuperpointError(f"the loss is no number after epoch {epoch + 1}; lower the learning rate")
        history.append(row)
        on_epoch(row)
        if row.get("val_loss", -epoch) < best_loss:
            best_loss, best_epoch = row.get("val_loss", -epoch), epoch + 1
            best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    network.cpu().load_state_dict(best)
    return AffinityFit(network=network.eval(), epoch=best_epoch, history=tuple(history))


def _new_network(recipe: AffinityRecipe) -> Dal:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(recipe.seed, Purpose.WEIGHTS))
        return Dal(width=recipe.width, norm="batch", sharpness=recipe.sharpness, sigma=recipe.sigma)


def _rate(progress: float) -> float:
    """Return the share of the highest learning rate at a share of the training (one cycle, Smith (2018))."""
    if progress < RISE:
        return max(0.01, progress / RISE)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - RISE) / (1 - RISE))


def _training_batch(sources: Sequence[Source], recipe: AffinityRecipe, step: int) -> Batch:
    """Draw the patches of a step: a raster is as likely as it is large."""
    place = generator(recipe.seed, Purpose.AUGMENTATION, step)
    images, labels = augmented(*_drawn(sources, recipe, recipe.batch_size, (Purpose.ORDER, step)), place)
    return brightened(images, place), labels


def _held_out(sources: Sequence[Source], recipe: AffinityRecipe) -> list[Batch]:
    """Draw the patches of the validation, all batches of it."""
    n_batches = math.ceil(recipe.steps_per_epoch / 4) if sources else 0
    return [
        _drawn(sources, recipe, recipe.batch_size, (Purpose.ORDER, VALIDATION_PLACE + index))
        for index in range(n_batches)
    ]


def _drawn(sources: Sequence[Source], recipe: AffinityRecipe, n_patches: int, place: tuple[Purpose, int]) -> Batch:
    drawn = np.random.default_rng(derived_seed(recipe.seed, *place))
    areas = np.array([math.prod(source.shape) for source in sources], np.float64)
    chosen = drawn.choice(len(sources), size=n_patches, p=areas / areas.sum())
    patches = [
        random_patch(sources[index], patch_size=recipe.patch_size, shrink=recipe.shrink, drawn=drawn)
        for index in chosen
    ]
    return torch.stack([image for image, _ in patches]), torch.stack([labels for _, labels in patches])


def _train_step(network: Dal, batch: Batch, optimizer: torch.optim.Optimizer, recipe: AffinityRecipe) -> float:
    loss = _loss(network, batch, recipe)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's
    nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
    optimizer.step()
    return float(loss.detach())


def _validate(network: Dal, batches: Sequence[Batch], recipe: AffinityRecipe) -> float:
    network.eval()
    with torch.inference_mode():
        return float(np.mean([float(_loss(network, batch, recipe)) for batch in batches]))


def _loss(network: Dal, batch: Batch, recipe: AffinityRecipe) -> Tensor:
    device = network.fuse.weight.device
    images = batch[0].to(device, memory_format=torch.channels_last)
    return affinity_loss(network.logits(images), batch[1].to(device), boundary_weight=recipe.boundary_weight)
