"""The labelled patches as PyTorch reads them, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from superpoint.classes import IGNORE
from superpoint.training.patches import padded
from superpoint.training.seeds import Purpose, generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from superpoint.training.patches import Patch, Source


class LabelledPatches(Dataset[tuple[Tensor, Tensor]]):
    """The patches of labelled rasters as a PyTorch data set.

    An item is the image, float32 (bands, patch_size, patch_size), and the labels, int64 (patch_size,
    patch_size) with 255 where unlabelled. A raster smaller than a patch is mirrored at its last row and
    column, and unlabelled there.

    Parameters
    ----------
    sources : sequence of Source
        Labelled rasters.
    patches : sequence of Patch
        Which patches, as `count_labels` found them.
    patch_size : int
        Side of a patch in pixels.
    cores_only : bool
        Keep labels only in each patch's core, so that no pixel is scored twice. For validation.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        patches: Sequence[Patch],
        *,
        patch_size: int,
        cores_only: bool = False,
    ) -> None:
        self.sources = sources
        self.patches = patches
        self.patch_size = patch_size
        self.cores_only = cores_only

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        patch = self.patches[index]
        image = padded(self.sources[patch.source].image(patch.window), self.patch_size)
        labels = np.full((self.patch_size, self.patch_size), IGNORE, np.int64)
        kept = (patch.core if self.cores_only else patch.window).within(patch.window)
        labels[kept] = self.sources[patch.source].labels(patch.window)[kept]
        # Copied: a source may hand out a read-only view, which PyTorch warns of.
        return torch.from_numpy(np.array(image, np.float32, order="C")), torch.from_numpy(labels)


class EpochShuffle(Sampler[int]):
    """A random order of items that is a function of the seed and the epoch only.

    Parameters
    ----------
    n_items : int
        Length of the data set.
    seed : int
        The run's.
    """

    def __init__(self, n_items: int, *, seed: int) -> None:
        self.n_items = n_items
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_items

    def __iter__(self) -> Iterator[int]:
        drawn = generator(self.seed, Purpose.ORDER, self.epoch)
        yield from torch.randperm(self.n_items, generator=drawn).tolist()
