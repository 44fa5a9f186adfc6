"""Losses of sparsely labelled patches: only labelled pixels count.

Outputs are a network's raw values, labels are class values with an ignore value where nothing is known. Each loss is
exactly 0, with zero gradient, for a batch without a labelled pixel (that of superpixels: without a superpixel), and
what stands at other pixels, even if it is no number, changes neither it nor its gradient. Sums are done in float32
whatever the precision of the outputs, no step depends on how many pixels are labelled, and every kernel has a
deterministic form, so that mixed precision, `torch.compile` and `torch.use_deterministic_algorithms` change nothing.
"""

from superpoint.losses.build import LOSSES, build_loss, parse_losses
from superpoint.losses.consistency import SuperpixelConsistency, superpixel_consistency
from superpoint.losses.entropy import PartialCrossEntropy, PartialFocal, partial_cross_entropy, partial_focal
from superpoint.losses.loss import Loss, LossSum
from superpoint.losses.overlap import Dice, LovaszSoftmax, dice_loss, lovasz_softmax
from superpoint.losses.settings import LossSettings, Normalize, Weighting
from superpoint.losses.squares import WeightedMaskedMSE, weighted_masked_mse

__all__ = [
    "LOSSES",
    "Dice",
    "Loss",
    "LossSettings",
    "LossSum",
    "LovaszSoftmax",
    "Normalize",
    "PartialCrossEntropy",
    "PartialFocal",
    "SuperpixelConsistency",
    "WeightedMaskedMSE",
    "Weighting",
    "build_loss",
    "dice_loss",
    "lovasz_softmax",
    "parse_losses",
    "partial_cross_entropy",
    "partial_focal",
    "superpixel_consistency",
    "weighted_masked_mse",
]
