"""A package of superpixel algorithms that is not ours, installed for one test, in this process and those it starts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SOURCE = '''
import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from superpoint.superpixels.algorithm import Traits


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Stripes of columns, each array numbered from 1."""

    name: ClassVar[str] = "columns"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits()
    region_size: float = 20.0

    def halo(self, *, exact=False):
        if exact:
            raise ValueError("columns has no exact halo")
        return 8

    def __call__(self, image, valid, *, origin, rng):
        stripes = 1 + np.arange(valid.shape[1], dtype=np.uint32) // np.uint32(self.region_size)
        return np.where(valid, stripes, 0).astype(np.uint32)


class Hungry(Columns):
    """Takes 160 bytes a pixel while it runs, and no more when it is done."""

    name = "hungry"

    def __call__(self, image, valid, *, origin, rng):
        np.ones((20, *valid.shape))
        return super().__call__(image, valid, origin=origin, rng=rng)


class Threads(Columns):
    """One superpixel, whose id is the number of threads that OpenMP may start."""

    name = "threads"

    def __call__(self, image, valid, *, origin, rng):
        return np.full(valid.shape, int(os.environ["OMP_NUM_THREADS"]), np.uint32)


class Picky(Columns):
    name = "picky"

    def __call__(self, image, valid, *, origin, rng):
        raise ValueError(f"picky takes one band, got {len(image)}")


class Dying(Columns):
    name = "dying"

    def __call__(self, image, valid, *, origin, rng):
        os.kill(os.getpid(), 9)


class Absent(Columns):
    name = "absent"
    traits = Traits(package="not_to_be_found", install="pip install not-to-be-found")
'''


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the package and its entry points to a folder that Python looks in."""
    facts = folder / "strange_superpixels-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-superpixels\nVersion: 1.0\n")
    names = ("Columns", "Hungry", "Threads", "Picky", "Dying", "Absent")
    lines = [f"{name.lower()} = strange_superpixels:{name}" for name in names]
    (facts / "entry_points.txt").write_text("\n".join(["[superpoint.superpixels]", *lines, ""]))
    (folder / "strange_superpixels.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "strange_superpixels", raising=False)
