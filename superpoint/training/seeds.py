"""Random numbers that are a function of the run's seed and the place in the run, so that a resume is exact.

Nothing here is a state that has to be saved: what is drawn in epoch 7 or step 500 does not depend on what was
drawn before.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn; each has its own stream. The numbers are part of every result: never renumber."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENTATION = 2
    DROPOUT = 3
    RADIOMETRY = 4
    PLACEMENT = 5


def derived_seed(seed: int, purpose: Purpose, place: int = 0) -> int:
    """Return a 64-bit seed for one purpose at one epoch or step.

    Parameters
    ----------
    seed : int
        The run's, 0 or more.
    purpose : Purpose
        What is drawn.
    place : int
        Epoch or step, from 0.

    Examples
    --------
    >>> derived_seed(0, Purpose.ORDER, 1) == derived_seed(0, Purpose.ORDER, 1)
    True
    """
    return int(np.random.SeedSequence((seed, int(purpose), place)).generate_state(1, np.uint64)[0])


def generator(seed: int, purpose: Purpose, place: int = 0) -> torch.Generator:
    """Return a generator on the CPU with `derived_seed`."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, place))
