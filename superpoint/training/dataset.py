"""The labelled patches as PyTorch reads them, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from superpoint.classes import IGNORE
from superpoint.training.patches import padded
from superpoint.training.seeds import Purpose, generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from superpoint.training.patches import Patch, Source, SuperpixelSource


class LabelledPatches(Dataset[tuple[Tensor, ...]]):
    """The patches of labelled rasters as a PyTorch data set.

    An item is the image, float32 (bands, patch_size, patch_size), the labels, int64 (patch_size,
    patch_size) with 255 where unlabelled, and if asked for the superpixels, int64 of the same shape with 0 on nodata.
    A raster smaller than a patch is mirrored at its last row and column, and there unlabelled and in no superpixel.

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
    superpixels : bool
        Bring the superpixels along; all sources are then `SuperpixelSource`.
    names : sequence of str, optional
        What messages call the sources; by default their places in the sequence.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        patches: Sequence[Patch],
        *,
        patch_size: int,
        cores_only: bool = False,
        superpixels: bool = False,
        names: Sequence[str] = (),
    ) -> None:
        self.sources = sources
        self.patches = patches
        self.patch_size = patch_size
        self.cores_only = cores_only
        self.has_superpixels = superpixels
        self.names = tuple(names) or tuple(f"source {index}" for index in range(len(sources)))

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        patch = self.patches[index]
        source = self.sources[patch.source]
        image = padded(source.image(patch.window), self.patch_size)
        kept = (patch.core if self.cores_only else patch.window).within(patch.window)
        # Copied: a source may hand out a read-only view, which PyTorch warns of.
        item = (
            torch.from_numpy(np.array(image, np.float32, order="C")),
            self._framed(source.labels(patch.window), kept, IGNORE),
        )
        if not self.has_superpixels:
            return item
        ids = cast("SuperpixelSource", source).superpixels(patch.window)
        return (*item, self._framed(ids, patch.window.within(patch.window), 0))

    def _framed(self, values: NDArray[np.integer], kept: tuple[slice, slice], outside: int) -> Tensor:
        framed = np.full((self.patch_size, self.patch_size), outside, np.int64)
        framed[kept] = values[kept]
        return torch.from_numpy(framed)

    def place(self, index: int) -> str:
        """Say where a patch lies."""
        patch = self.patches[index]
        return f"{self.names[patch.source]} at row {patch.window.row}, col {patch.window.col}"


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


class BalancedDraw(EpochShuffle):
    """As many items as there are, drawn so that each class is as often the reason as any other.

    For each item a class is drawn, all that occur alike, and then a patch with as much probability as it holds of the
    pixels of that class: patch i has `1/K sum_c n_ic / N_c`. Items come more than once, or not at all.

    Parameters
    ----------
    by_patch : int64 array of shape (patches, classes)
        Labelled pixels of each class in each patch.
    seed : int
        The run's.
    """

    def __init__(self, by_patch: NDArray[np.int64], *, seed: int) -> None:
        super().__init__(len(by_patch), seed=seed)
        totals = by_patch.sum(axis=0)
        shares = by_patch[:, totals > 0] / totals[totals > 0]  # (patches, classes that occur)
        self.probabilities = torch.from_numpy(shares.mean(axis=1))

    def __iter__(self) -> Iterator[int]:
        drawn = generator(self.seed, Purpose.ORDER, self.epoch)
        yield from torch.multinomial(self.probabilities, self.n_items, replacement=True, generator=drawn).tolist()
