"""What is known of each superpixel's class, and why: the evidence that a pseudo-mask carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Flag(IntFlag):
    """What there is to say of a superpixel's label."""

    CONFLICT = 1
    """Its votes are for more than one class."""
    TIED = 2
    """Its leading classes have equal votes."""
    TOO_WEAK = 4
    """It has fewer votes, or a smaller share of them for one class, than was asked for: unlabelled."""
    FILLED = 8
    """It has its class of a step that followed the vote."""
    REMOVED = 16
    """It had a class, and a step took it away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudoLabels:
    """The classes of superpixels, in ascending order of their ids; those of which nothing is known are left out."""

    superpixels: NDArray[np.uint32]
    """Ids, ascending, each once, of shape (superpixels,)."""
    classes: NDArray[np.uint8]
    """Class value; 255 is unlabelled."""
    shares: NDArray[np.float32]
    """Share of the votes that their leading class has, (0, 1], whatever steps made of it; 0 where nobody voted."""
    votes: NDArray[np.uint32]
    """Number of votes."""
    flags: NDArray[np.uint8]
    """Bits of `Flag`."""

    def __post_init__(self) -> None:
        sizes = {len(self.superpixels), len(self.classes), len(self.shares), len(self.votes), len(self.flags)}
        if len(sizes) > 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")
        if np.any(self.superpixels[1:] <= self.superpixels[:-1]):
            raise ValueError("ids must ascend, each once")

    def __len__(self) -> int:
        return len(self.superpixels)

    def class_of(self, superpixels: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the class of each of some superpixels; 255 where none is known."""
        if not len(self):
            return np.full(len(superpixels), IGNORE, np.uint8)
        places = np.minimum(np.searchsorted(self.superpixels, superpixels), len(self) - 1)
        return np.where(self.superpixels[places] == superpixels, self.classes[places], np.uint8(IGNORE))
