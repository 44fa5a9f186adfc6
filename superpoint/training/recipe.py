"""What a network was trained with: all that a checkpoint must hold to rebuild and use it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from superpoint.classes import ClassTable
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.losses import Normalize, Weighting

STRIDE = 32  # by how much the encoders shrink a patch

Optimizer = Literal["adam", "adamw"]
Precision = Literal["32", "bf16-mixed", "16-mixed"]
Sampling = Literal["all", "balanced"]
Placement = Literal["grid", "random"]
Schedule = Literal["constant", "plateau", "cosine"]
CHOICES = {
    "optimizer": Optimizer,
    "precision": Precision,
    "sampling": Sampling,
    "placement": Placement,
    "schedule": Schedule,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a training run, as JSON values round trip."""

    model: str
    """Name of the network, one of `superpoint.models.MODELS`."""
    encoder: str
    encoder_weights: str | None = None
    """Name of the pretrained weights that the encoder started from, or of the file; random if None."""
    encoder_digest: str | None = None
    """Digest of that file's content; None if the weights are pretrained or random."""
    input_mean: tuple[float, ...] = ()
    """Taken from each band once it is scaled; nothing is if empty."""
    input_std: tuple[float, ...] = ()
    """What each band is then divided by."""
    classes: ClassTable
    frequencies: tuple[float, ...]
    """Share of each class among the labelled training pixels."""
    loss: str = "weighted-masked-mse"
    """One of `superpoint.losses.LOSSES`, or a sum of them."""
    normalize: Normalize = "all"
    """What the weighted masked MSE is divided by."""
    weighting: Weighting | None = None
    """What the class frequencies divide; as in `superpoint.losses.LossSettings`, like the next three."""
    class_weights: tuple[float, ...] | None = None
    gamma: float = 2.0
    smoothing: float = 0.0
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    """Share of the weights, times the learning rate, that each step takes away (AdamW), or L2 penalty (Adam)."""
    schedule: Schedule = "constant"
    """How the learning rate changes, see `superpoint.training.schedules`."""
    schedule_epochs: int = 0
    """Passes after which the cosine is at its end; 0 for the other schedules."""
    patience: int = 10
    """Epochs without a lower `val_loss` after which the plateau schedule goes down."""
    batch_size: int = 8
    """Patches in a batch, of each device."""
    devices: int = 1
    """Devices that train together."""
    accumulate: int = 1
    """Batches a step."""
    precision: Precision = "32"
    sampling: Sampling = "all"
    """Every patch once an epoch, or patches drawn so that each class is as often the reason."""
    placement: Placement = "grid"
    """Where patches lie: on a grid, or each epoch elsewhere, by up to half a patch."""
    radiometric: float = 0.0
    """How far brightness, contrast and noise of a patch are changed, 0 to 1."""
    patch_size: int = 256
    """Side of a patch in pixels, a multiple of 32."""
    scaling_low: tuple[float, ...]
    """What was scaled to 0, one value a band; there are as many bands as values."""
    scaling_high: tuple[float, ...]
    """What was scaled to 1, one value a band."""
    band_numbers: tuple[int, ...] = ()
    """The bands of a raster, from 1, that the network sees, in order."""
    seed: int = 0
    data: str = ""
    """Digest of what it learned from; empty if that was not taken."""

    def __post_init__(self) -> None:
        if len(self.frequencies) != len(self.classes):
            raise InputError(f"{len(self.classes)} classes need as many frequencies, got {len(self.frequencies)}")
        if not self.scaling_low or len(self.scaling_low) != len(self.scaling_high):
            raise InputError(
                f"scaling has a low and a high value for each band, got {len(self.scaling_low)} and "
                f"{len(self.scaling_high)}"
            )
        if len(self.input_mean) not in (0, self.bands) or len(self.input_mean) != len(self.input_std):
            raise InputError(
                f"{self.bands} bands need as many input means and deviations, got {len(self.input_mean)} and "
                f"{len(self.input_std)}"
            )
        if self.patch_size < STRIDE or self.patch_size % STRIDE:
            raise InputError(f"patch_size must be a multiple of {STRIDE}, got {self.patch_size}")
        self._check_numbers()
        for name, choice in CHOICES.items():
            if getattr(self, name) not in get_args(choice):
                raise InputError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(get_args(choice))}")
        if (self.schedule == "cosine") != (self.schedule_epochs > 0):
            raise InputError(f"schedule_epochs is above 0 for the cosine schedule alone, got {self.schedule_epochs}")

    def _check_numbers(self) -> None:
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("batch_size", "devices", "accumulate", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "weight_decay", "schedule_epochs"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.radiometric <= 1:
            raise InputError(f"radiometric must be from 0 to 1, got {self.radiometric}")

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
        """Return the names of the settings in which two recipes differ, sorted; `data` is none."""
        mine, others = self.to_dict(), other.to_dict()
        return sorted(name for name in mine if mine[name] != others[name] and name != "data")
