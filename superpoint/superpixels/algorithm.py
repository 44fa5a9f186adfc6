"""What a superpixel algorithm is: the plug-in point.

Another package adds one by naming a class with these promises in the entry-point group
`superpoint.superpixels`; `superpoint.testing` checks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from superpoint.scaling import Scaling


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The place of an array in its raster.

    Ids that stand on a lattice over the whole raster need the raster's size as well as the offset.
    """

    row: int = 0
    """First row of the array, pixels from the top edge of the raster."""
    col: int = 0
    """First column of the array, pixels from the left edge of the raster."""
    raster_shape: tuple[int, int]
    """`(rows, cols)` of the whole raster."""

    def __post_init__(self) -> None:
        rows, cols = self.raster_shape
        if not (0 <= self.row < rows and 0 <= self.col < cols):
            raise ValueError(f"origin ({self.row}, {self.col}) is outside a raster of {rows} x {cols}")


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a user wants to know of an algorithm before choosing it; `superpoint algorithms` lists it."""

    bands: str = "any"
    """Which numbers of bands it takes, and what becomes of others."""
    nodata: str = "native"
    """How it minds nodata: native, or what is done for it."""
    ids: str = "joined"
    """`lattice` if tiles agree on ids by themselves, `joined` if superpixels of neighbouring tiles are joined."""
    draws: bool = True
    """Whether labels depend on `rng`; if not, a label map serves all seeds."""
    licence: str = "unknown"
    """SPDX name of the licence of the code that does the work."""
    package: str | None = None
    """The module that must be importable; None if nothing beyond superpoint is needed."""
    install: str | None = None
    """The command that installs `package`."""


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """What one call of an algorithm takes at its peak, beyond the image and the mask that it is given."""

    bytes_per_px: float
    """For each pixel, the labels included."""
    fixed_bytes: int = 0
    """Whatever the image: what is imported for the call, and what it works in."""


@runtime_checkable
class SuperpixelAlgorithm(Protocol):
    """A frozen dataclass of an algorithm's parameters that can be called on an image.

    The parameters are JSON values: they are part of the cache key and rebuild the object. The first one is
    `region_size`, the grid step in pixels.
    """

    name: ClassVar[str]
    """The name it is found by."""
    version: ClassVar[str]
    """Changes whenever the labels may change for the same input; part of the cache key."""
    traits: ClassVar[Traits]
    """What a user wants to know before choosing it."""

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile.

        With `exact` the labels of the tile's core are the very ones of the untiled raster; a `ValueError`
        says so where an algorithm cannot promise that: its tiles are joined (`joining.py`).
        """
        ...

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,
    ) -> NDArray[np.uint32]:
        """Superpixelize an image.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            Scaled with whole-raster statistics, most values in [0, 1].
        valid : bool array of shape (rows, cols)
            False on nodata.
        origin : Origin
            The array's place in the raster.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        uint32 array of shape (rows, cols)
            0 exactly where not valid; every id one 4-connected region; the same for the same input on every machine
            and thread count. Where there is an exact halo, ids are unique over the whole raster, not over the array.
        """
        ...


@runtime_checkable
class ChecksBands(Protocol):
    """What an algorithm may offer beyond the contract: to refuse a raster before any tile is computed."""

    def check_bands(self, n_bands: int) -> None:
        """Raise `InputError` with one sentence if rasters of so many bands cannot be superpixelized."""
        ...


@runtime_checkable
class TellsMemory(Protocol):
    """What an algorithm may offer beyond the contract: to say what it needs, so that workers can be given enough."""

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call on an image of so many bands takes: the most of images as they come."""
        ...


@runtime_checkable
class ReadsStored(Protocol):
    """What an algorithm may offer beyond the contract: to scale as it reads, which spares a float copy."""

    def from_stored(
        self,
        image: NDArray[Any],
        valid: NDArray[np.bool_],
        scaling: Scaling,
        *,
        origin: Origin,
        threads: int = 1,
    ) -> NDArray[np.uint32]:
        """Return the labels that a call gives for `scaling.apply(image, valid)`, bit for bit.

        Parameters
        ----------
        image : array of shape (bands, rows, cols)
            As stored, any number type.
        valid : bool array of shape (rows, cols)
            False on nodata.
        scaling : Scaling
            Of the whole raster.
        origin : Origin
            The array's place in the raster.
        threads : int
            Threads that share the work; the labels do not depend on it.

        Returns
        -------
        uint32 array of shape (rows, cols)
            As the contract has it.
        """
        ...
