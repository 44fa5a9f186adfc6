"""What an affinity network learns from: pairs of neighbouring pixels, in patches that are cut at random.

A segment is an 8-connected region of one class, so two neighbours lie in one exactly if their classes are equal. A
pair counts where both pixels are labelled. Pairs across a boundary are rare, a few in a hundred: each weighs
`boundary_weight` times one within a segment, constant over the training, so that a flat patch and a busy one are
judged alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from superpoint.classes import IGNORE
from superpoint.superpixels.dal import NEIGHBOURS, clipped
from superpoint.tiles import Window
from superpoint.training.patches import padded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.training.patches import Source

GAIN, OFFSET = 0.4, 0.2  # a band is multiplied by up to 1.4 or divided by it, and moved by up to 0.2


def neighbour_targets(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Say of each pixel and each of its 8 neighbours whether both are of one class.

    Parameters
    ----------
    labels : integer tensor of shape (batch, rows, cols)
        Class values, 255 where unlabelled.

    Returns
    -------
    targets : float32 tensor of shape (batch, 8, rows, cols)
        1 where the classes are equal, else 0; E, SE, S, SW, W, NW, N, NE.
    counted : bool tensor of the same shape
        Where both pixels are labelled; a neighbour outside is not.

    Examples
    --------
    >>> targets, counted = neighbour_targets(torch.tensor([[[3, 3, 7, 255]]]))
    >>> targets[0, 0, 0].tolist(), counted[0, 0, 0].tolist()
    ([1.0, 0.0, 0.0, 0.0], [True, True, False, False])
    """
    rows, cols = labels.shape[1:]
    framed = functional.pad(labels, (1, 1, 1, 1), value=IGNORE)
    others = torch.stack(
        [framed[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + cols] for down, right in NEIGHBOURS], dim=1
    )  # (batch, 8, rows, cols)
    own = labels[:, None]
    counted = (own != IGNORE) & (others != IGNORE)
    return ((own == others) & counted).float(), counted


def affinity_loss(logits: Tensor, labels: Tensor, *, boundary_weight: float) -> Tensor:
    """Return the weighted mean of the binary cross-entropy over all pairs that count.

    Parameters
    ----------
    logits : float tensor of shape (batch, 8, rows, cols)
        Of `Dal.logits`.
    labels : integer tensor of shape (batch, rows, cols)
        Class values, 255 where unlabelled.
    boundary_weight : float
        Weight of a pair of two classes; one of equal classes weighs 1.

    Returns
    -------
    float tensor of shape ()
        0 with zero gradient if no pair counts.
    """
    targets, counted = neighbour_targets(labels)
    weights = torch.where(targets > 0, 1.0, boundary_weight) * counted
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def random_patch(
    source: Source, *, patch_size: int, shrink: float, drawn: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut a patch at a random place and shrink it by a random factor.

    Parameters
    ----------
    source : Source
        A labelled raster; one that is smaller than a patch is mirrored, and unlabelled there.
    patch_size : int
        Side of the result in pixels.
    shrink : float
        Largest factor, 1 or more; a small raster limits it further.
    drawn : numpy.random.Generator
        Chooses factor and place.

    Returns
    -------
    image : float32 tensor of shape (bands, patch_size, patch_size)
        Means of the pixels that became one.
    labels : int64 tensor of shape (patch_size, patch_size)
        By nearest.
    """
    factor = math.exp(drawn.uniform(0, math.log(shrink)))
    side = max(patch_size, min(round(patch_size * factor), *source.shape))
    n_rows, n_cols = (min(side, length) for length in source.shape)
    row, col = (int(drawn.integers(length - n + 1)) for length, n in zip(source.shape, (n_rows, n_cols), strict=True))
    window = Window(row=row, col=col, n_rows=n_rows, n_cols=n_cols)
    image = torch.from_numpy(np.ascontiguousarray(padded(clipped(source.image(window)), side)))
    labels: NDArray[np.uint8] = np.full((side, side), IGNORE, np.uint8)
    labels[:n_rows, :n_cols] = source.labels(window)
    nearest = (torch.arange(patch_size) * 2 + 1) * side // (2 * patch_size)  # the pixel at each new pixel's centre
    shrunk = functional.interpolate(image[None], size=(patch_size, patch_size), mode="area")[0]
    return shrunk, torch.from_numpy(labels).long()[nearest][:, nearest]


def brightened(images: Tensor, drawn: torch.Generator) -> Tensor:
    """Multiply each band of each patch by a random gain and add a random offset.

    Parameters
    ----------
    images : float tensor of shape (batch, bands, rows, cols)
        Scaled to about 0..1.
    drawn : torch.Generator
        On the CPU.
    """
    shape = (*images.shape[:2], 1, 1)
    gains = (1 + GAIN) ** (2 * torch.rand(shape, generator=drawn) - 1)
    return images * gains + OFFSET * (2 * torch.rand(shape, generator=drawn) - 1)
