"""The labelled patches as PyTorch reads them, and in which order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from superpoint.classes import IGNORE
from superpoint.tiles import Window
from superpoint.training.patches import padded
from superpoint.training.seeds import Purpose, generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from superpoint.training.patches import Patch, Source, SuperpixelSource


class Item(NamedTuple):
    """What is asked of a data set: a patch, and how it is seen this time."""

    patch: int
    """Place of the patch in the data set."""
    down: int = 0
    """Pixels by which its window is moved down; negative, up."""
    right: int = 0
    """Pixels by which its window is moved to the right; negative, to the left."""
    labelled: bool = True
    """False leaves all its labels out."""


class LabelledPatches(Dataset[tuple[Tensor, ...]]):
    """The patches of labelled rasters as a PyTorch data set.

    An item is the image, float32 (bands, patch_size, patch_size), the labels, int64 (patch_size,
    patch_size) with 255 where unlabelled, and if asked for the superpixels, int64 of the same shape with 0 on nodata.
    A raster smaller than a patch is mirrored at its last row and column, and there unlabelled and in no superpixel.
    It is asked for by its place or by an `Item`, whose window is moved as far as the raster goes; where it then holds
    no label, half as far, and so on.

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

    def __getitem__(self, asked: int | Item) -> tuple[Tensor, ...]:
        item = asked if isinstance(asked, Item) else Item(asked)
        patch = self.patches[item.patch]
        source = self.sources[patch.source]
        window, labels = self._seen(item)
        image = padded(source.image(window), self.patch_size)
        whole = window.within(window)
        kept = patch.core.within(window) if self.cores_only else whole
        # Copied: a source may hand out a read-only view, which PyTorch warns of.
        pair = (
            torch.from_numpy(np.array(image, np.float32, order="C")),
            self._framed(labels if item.labelled else np.full_like(labels, IGNORE), kept, IGNORE),
        )
        if not self.has_superpixels:
            return pair
        ids = cast("SuperpixelSource", source).superpixels(window)
        return (*pair, self._framed(ids, whole, 0))

    def _seen(self, item: Item) -> tuple[Window, NDArray[np.uint8]]:
        """Return the window of an item, and the labels in it."""
        patch = self.patches[item.patch]
        source = self.sources[patch.source]
        down, right = item.down, item.right
        while True:
            window = moved(patch.window, down, right, source.shape)
            labels = source.labels(window)
            if window == patch.window or (labels != IGNORE).any():
                return window, labels
            down, right = int(down / 2), int(right / 2)  # towards 0, where the patch does hold a label

    def _framed(self, values: NDArray[np.integer], kept: tuple[slice, slice], outside: int) -> Tensor:
        framed = np.full((self.patch_size, self.patch_size), outside, np.int64)
        framed[kept] = values[kept]
        return torch.from_numpy(framed)

    def place(self, asked: int | Item) -> str:
        """Say where a patch lies."""
        item = asked if isinstance(asked, Item) else Item(asked)
        window, _ = self._seen(item)
        return f"{self.names[self.patches[item.patch].source]} at row {window.row}, col {window.col}"


def moved(window: Window, down: int, right: int, shape: tuple[int, int]) -> Window:
    """Return a window moved by so many pixels, but not out of a raster of `shape`.

    Examples
    --------
    >>> moved(Window(row=0, col=256, n_rows=256, n_cols=256), -9, 100, (600, 600)).slices
    (slice(0, 256, None), slice(344, 600, None))
    """
    row = min(max(0, window.row + down), shape[0] - window.n_rows)
    col = min(max(0, window.col + right), shape[1] - window.n_cols)
    return Window(row=row, col=col, n_rows=window.n_rows, n_cols=window.n_cols)


class EpochShuffle(Sampler[Item]):
    """A random order of items that is a function of the seed and the epoch only.

    Parameters
    ----------
    n_items : int
        Length of the data set.
    seed : int
        The run's.
    reach_px : int
        Each item's window is moved by up to so many pixels, up or down and to the left or right, evenly.
    rank, n_ranks : int
        Which share of the epoch this is: every `n_ranks`-th item from the one at `rank`. All shares are equally long;
        where the items do not divide, the first ones come again.
    """

    def __init__(self, n_items: int, *, seed: int, reach_px: int = 0, rank: int = 0, n_ranks: int = 1) -> None:
        self.n_items = n_items
        self.seed = seed
        self.reach_px = reach_px
        self.rank = rank
        self.n_ranks = n_ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.n_items / self.n_ranks)

    def __iter__(self) -> Iterator[Item]:
        yield from self.share(self.rank)

    def share(self, rank: int) -> list[Item]:
        """Return the items of a share."""
        items = self._epoch()
        return [items[place % self.n_items] for place in range(rank, len(self) * self.n_ranks, self.n_ranks)]

    def _epoch(self) -> list[Item]:
        places = self._places(generator(self.seed, Purpose.ORDER, self.epoch)).tolist()
        drawn = generator(self.seed, Purpose.PLACEMENT, self.epoch)
        moves = torch.randint(-self.reach_px, self.reach_px + 1, (self.n_items, 2), generator=drawn).tolist()
        return [Item(index, down, right) for index, (down, right) in zip(places, moves, strict=True)]

    def _places(self, drawn: torch.Generator) -> Tensor:
        return torch.randperm(self.n_items, generator=drawn)


class BalancedDraw(EpochShuffle):
    """As many items as there are, drawn so that each class is as often the reason as any other.

    For each item a class is drawn, all that occur alike, and then a patch with as much probability as it holds of the
    pixels of that class: patch i has `1/K sum_c n_ic / N_c`. Items come more than once, or not at all.

    Parameters
    ----------
    by_patch : int64 array of shape (patches, classes)
        Labelled pixels of each class in each patch.
    seed, reach_px, rank, n_ranks : int
        As of `EpochShuffle`.
    """

    def __init__(
        self, by_patch: NDArray[np.int64], *, seed: int, reach_px: int = 0, rank: int = 0, n_ranks: int = 1
    ) -> None:
        super().__init__(len(by_patch), seed=seed, reach_px=reach_px, rank=rank, n_ranks=n_ranks)
        totals = by_patch.sum(axis=0)
        shares = by_patch[:, totals > 0] / totals[totals > 0]  # (patches, classes that occur)
        self.probabilities = torch.from_numpy(shares.mean(axis=1))

    def _places(self, drawn: torch.Generator) -> Tensor:
        return torch.multinomial(self.probabilities, self.n_items, replacement=True, generator=drawn)


class InTurn(Sampler[Item]):
    """A share of all items in their order, each once among the shares; shares are filled up with unlabelled patches.

    Parameters
    ----------
    n_items : int
        Length of the data set.
    rank, n_ranks : int
        Which share: every `n_ranks`-th item from the one at `rank`.
    """

    def __init__(self, n_items: int, *, rank: int = 0, n_ranks: int = 1) -> None:
        self.n_items = n_items
        self.rank = rank
        self.n_ranks = n_ranks

    def __len__(self) -> int:
        return math.ceil(self.n_items / self.n_ranks)

    def __iter__(self) -> Iterator[Item]:
        for place in range(self.rank, len(self) * self.n_ranks, self.n_ranks):
            yield Item(place) if place < self.n_items else Item(0, labelled=False)
