"""What a network was trained with: all that a checkpoint must hold to rebuild and use it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.classes import ClassTable
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.losses import Normalize

STRIDE = 32  # by how much the encoders shrink a patch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a training run, as JSON values round trip."""

    model: str
    """Name of the network, one of `superpoint.models.MODELS`."""
    encoder: str
    encoder_weights: str | None = None
    """Name of the pretrained weights that the encoder started from; random if None."""
    classes: ClassTable
    frequencies: tuple[float, ...]
    """Share of each class among the labelled training pixels."""
    loss: str = "weighted-masked-mse"
    """Name of the loss, one of `superpoint.losses.LOSSES`."""
    normalize: Normalize = "all"
    """What the weighted masked MSE is divided by."""
    learning_rate: float = 1e-3
    batch_size: int = 8
    """Patches a step."""
    patch_size: int = 256
    """Side of a patch in pixels, a multiple of 32."""
    scaling_low: tuple[float, ...]
    """What was scaled to 0, one value a band; there are as many bands as values."""
    scaling_high: tuple[float, ...]
    """What was scaled to 1, one value a band."""
    band_numbers: tuple[int, ...] = ()
    """The bands of a raster, from 1, that the network sees, in order."""
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.frequencies) != len(self.classes):
            raise InputError(f"{len(self.classes)} classes need as many frequencies, got {len(self.frequencies)}")
        if not self.scaling_low or len(self.scaling_low) != len(self.scaling_high):
            raise InputError(
                f"scaling has a low and a high value for each band, got {len(self.scaling_low)} and "
                f"{len(self.scaling_high)}"
            )
        if self.patch_size < STRIDE or self.patch_size % STRIDE:
            raise InputError(f"patch_size must be a multiple of {STRIDE}, got {self.patch_size}")
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.seed < 0:
            raise InputError(f"seed must be 0 or more, got {self.seed}")

    @property
    def bands(self) -> int:
        """Number of bands of the input."""
        return len(self.scaling_low)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values, what `from_dict` reads."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        # NumPy's floats would bar the checkpoint from being read without running code.
        lists = {name: [float(v) for v in value] for name, value in values.items() if isinstance(value, tuple)}
        return values | lists | {"classes": self.classes.to_dict(), "band_numbers": list(self.band_numbers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make the recipe that `to_dict` returned.

        Raises
        ------
        InputError
            If a setting is missing or unknown, or its value is not allowed.
        """
        fields = dataclasses.fields(cls)
        known = {field.name for field in fields}
        required = {field.name for field in fields if field.default is dataclasses.MISSING}
        wrong = sorted((set(values) - known) | (required - set(values)))
        if wrong:
            raise InputError(f"unknown or missing settings in a recipe: {', '.join(wrong)}")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain | {"classes": ClassTable.from_dict(values["classes"])})

    def differences(self, other: Recipe) -> list[str]:
        """Return the names of the settings in which two recipes differ, sorted."""
        mine, others = self.to_dict(), other.to_dict()
        return sorted(name for name in mine if mine[name] != others[name])
