"""From settings and data to the recipe of a training. Needs the extra `train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.cache.keys import digest, file_digest
from superpoint.errors import InputError
from superpoint.pipelines.trainingdata import SuperpixelRaster
from superpoint.training.normalization import imagenet_statistics, input_statistics
from superpoint.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.sources import LabelledRaster
    from superpoint.classes import ClassTable
    from superpoint.losses import LossSettings
    from superpoint.pipelines.settings import TrainSettings
    from superpoint.scaling import Scaling
    from superpoint.training.patches import LabelCounts


@dataclass(frozen=True, kw_only=True)
class Start:
    """What an encoder starts from."""

    weights: str | None = None
    """Name of pretrained weights, or of a file."""
    digest: str | None = None
    """Of the file's content."""
    file: Path | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def loss_settings(settings: TrainSettings) -> LossSettings:
    """Return the settings of the loss for two classes, enough to tell whether they are allowed."""
    from superpoint.losses import LossSettings

    return LossSettings(
        normalize=settings.normalize,
        weighting=settings.weighting,
        class_weights=(1.0, 1.0) if settings.class_weights else None,
        gamma=settings.gamma,
        smoothing=settings.smoothing,
    )


def start_of(settings: TrainSettings, n_bands: int, before: Recipe | None) -> Start:
    """Look up the encoder's weights and what they expect of their input; on a resume the recipe knows.

    Raises
    ------
    InputError
        If a file is not there, or what pretrained weights expect cannot be looked up.
    """
    from superpoint.models.encoder_weights import is_file

    weights = settings.encoder_weights
    if weights is None or not is_file(weights):
        mean, std = _statistics(settings, n_bands, before)
        return Start(weights=weights, mean=mean, std=std)
    file = Path(weights)
    mean, std = imagenet_statistics(n_bands) if settings.input_statistics == "imagenet" else ((), ())
    if file.is_file():
        return Start(weights=file.name, digest=file_digest(file), file=file, mean=mean, std=std)
    if before is None or before.encoder_weights != file.name:
        raise InputError(f"--encoder-weights {file} does not exist")
    return Start(weights=file.name, digest=before.encoder_digest, mean=mean, std=std)


def recipe_of(
    settings: TrainSettings,
    start: Start,
    *,
    classes: ClassTable,
    scaling: Scaling,
    bands: tuple[int, ...],
    counts: LabelCounts,
    data: str,
) -> Recipe:
    """Make the recipe of a training."""
    from superpoint.training.criteria import balanced_weights

    frequencies = tuple(counts.frequencies.tolist())
    return Recipe(
        model=settings.model,
        encoder=settings.encoder,
        encoder_weights=start.weights,
        encoder_digest=start.digest,
        input_mean=start.mean,
        input_std=start.std,
        classes=classes,
        frequencies=frequencies,
        loss=settings.loss,
        normalize=settings.normalize,
        weighting=settings.weighting,
        class_weights=balanced_weights(frequencies) if settings.class_weights else None,
        gamma=settings.gamma,
        smoothing=settings.smoothing,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        schedule_epochs=settings.epochs if settings.schedule == "cosine" else 0,
        patience=settings.plateau_patience,
        batch_size=settings.batch_size,
        devices=settings.devices,
        accumulate=settings.accumulate,
        precision=settings.precision,
        sampling=settings.sampling,
        placement=settings.placement,
        radiometric=settings.radiometric,
        patch_size=settings.patch,
        scaling_low=scaling.low,
        scaling_high=scaling.high,
        band_numbers=bands,
        seed=settings.seed,
        data=data,
    )


def data_digest(
    training: Sequence[LabelledRaster],
    counts: LabelCounts,
    validation: Sequence[LabelledRaster],
    held_out: LabelCounts | None,
) -> str:
    """Return a digest of rasters and labels: the identities of the rasters but for where they lie, and all labels.

    Validation is part of it where it decides about the training; otherwise give none.
    """
    return digest(
        {
            "rasters": [_identity(source) for source in [*training, *validation]],
            "labels": [counts.digest, held_out.digest if held_out is not None else None],
        }
    )


def _identity(source: LabelledRaster) -> dict[str, Any]:
    identity = {name: value for name, value in source.raster.identity().items() if name not in ("path", "parts")}
    # The key of a label map is the digest of all it was made of.
    return identity | ({"label_map": Path(source.label_map).stem} if isinstance(source, SuperpixelRaster) else {})


def _statistics(
    settings: TrainSettings, n_bands: int, before: Recipe | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if settings.input_statistics == "imagenet":
        return imagenet_statistics(n_bands)
    if settings.input_statistics == "none" or settings.encoder_weights is None:
        return (), ()
    if before is not None and before.encoder_weights == settings.encoder_weights and before.encoder == settings.encoder:
        return before.input_mean, before.input_std
    return input_statistics(settings.encoder, settings.encoder_weights, n_bands)
