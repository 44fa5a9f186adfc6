"""HERS: superpixels as cuts of a hierarchy that grows by entropy rate and colour.

Peng, Aviles-Rivero and Schönlieb (2022), "HERS Superpixels: Deep Affinity Learning for Hierarchical Entropy Rate
Segmentation", doi:10.1109/WACV51458.2022.00014. Three things differ:

- The graph of pixels is 4-connected, so that every superpixel of every cut is: a cut of the published 8-connected
  graph falls into about a dozen pieces a superpixel where pixels touch at corners only. It costs no accuracy
  (`benchmarks/hers.py`). `hierarchy.py` builds the 8-connected one as well.
- No absolute threshold ends the merging: the gains of a large raster all lie below any.
- Affinities are Gaussian in colour unless learned ones are asked for.

Unlike SLIC's, a superpixel depends on the whole image: tiles are joined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from superpoint.superpixels import IS_FILE, file_digests
from superpoint.superpixels.affinity import gaussian_weights, mean_weights
from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.hierarchy import Hierarchy, build_hierarchy
from superpoint.superpixels.parameters import check_shapes, set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

AFFINITIES = ("gaussian", "dal")
CONNECTIVITY = 4  # the contract's
HALO_CELLS = 4
HALO_BLOCK = 16  # the learned affinities' alignment
DAL_HALO = 128  # as far as a learned affinity sees, pixels
DAL_BYTES = 1000 * 2**20  # PyTorch, and the network's layers over a block


@dataclass(frozen=True, kw_only=True)
class Hers:
    """Hierarchical entropy rate segmentation, 4-connected.

    Examples
    --------
    >>> import numpy as np
    >>> from superpoint.superpixels.algorithm import Origin
    >>> image = np.zeros((1, 4, 6), np.float32)
    >>> image[:, :, 4:] = 1
    >>> Hers(region_size=3)(
    ...     image, np.ones((4, 6), bool), origin=Origin(raster_shape=(4, 6)), rng=np.random.default_rng(0)
    ... )[0, 2:].tolist()
    [1, 1, 2, 2]
    """

    name: ClassVar[str] = "hers"
    version: ClassVar[str] = "1"  # counts the weights that come with superpoint, too
    traits: ClassVar[Traits] = Traits(
        draws=False, bands="any (affinity 'dal': 3)", nodata="native", ids="joined", licence="Apache-2.0"
    )

    region_size: float = 20.0
    """Grid step in pixels: there is one superpixel for each `region_size**2` valid pixels."""
    affinity: str = "gaussian"
    """How like neighbouring pixels are: `gaussian`, by their colours, or `dal`, learned."""
    sigma: float = 0.05
    """Difference in colour at which Gaussian affinity fades, in parts of a band's range, the root mean square
    over the bands: lower heeds fainter edges, and more of the noise."""
    weights: str | None = field(default=None, metadata={IS_FILE: True})
    """File of learned affinities that `superpoint train-affinity` wrote; by default those that come with
    superpoint. A published checkpoint is for rasters of one tile: its normalization takes the statistics of
    each tile."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=1, sigma=1e-6)
        if self.affinity not in AFFINITIES:
            raise ValueError(f"affinity must be one of {', '.join(AFFINITIES)}, got {self.affinity!r}")
        if self.weights is not None:
            if self.affinity != "dal":
                raise ValueError(f"weights belong to affinity 'dal', got affinity {self.affinity!r}")
            if not isinstance(self.weights, str | Path):
                raise TypeError(f"weights must be the path of a file, got {self.weights!r}")
            if not Path(self.weights).is_file():
                raise ValueError(f"weights must be a file, there is none at {str(self.weights)!r}")
            object.__setattr__(self, "weights", str(Path(self.weights).resolve()))  # workers may stand elsewhere

    def check_bands(self, n_bands: int) -> None:
        """Refuse, before anything is computed, what learned affinities cannot do.

        Raises
        ------
        InputError
            If affinities are learned and there are not three bands, or the weights cannot be read.
        MissingExtraError
            If PyTorch is not installed.
        """
        if self.affinity == "dal":
            from superpoint.superpixels.dal import dal_affinities

            dal_affinities(np.zeros((n_bands, 16, 16), np.float32), weights=self.weights)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile.

        Raises
        ------
        ValueError
            If the exact halo is asked for: a superpixel depends on the whole image.
        """
        if exact:
            raise ValueError("hers has no exact halo: a superpixel depends on the whole image, and tiles are joined")
        pixels = math.ceil(HALO_CELLS * self.region_size)
        if self.affinity == "dal":
            pixels = max(pixels, DAL_HALO)
        return -(-pixels // HALO_BLOCK) * HALO_BLOCK

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: the graph and its trees; learned affinities also PyTorch and a block's layers."""
        fixed_bytes = DAL_BYTES if self.affinity == "dal" else 0
        return MemoryNeed(bytes_per_px=46 + 6 * n_bands, fixed_bytes=fixed_bytes)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,  # noqa: ARG002  # the contract's; a cut has no place
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; HERS draws nothing
    ) -> NDArray[np.uint32]:
        """Superpixelize an image; see `SuperpixelAlgorithm`.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            Scaled to about [0, 1], finite.
        valid : bool array of shape (rows, cols)
            False on nodata.
        origin : Origin
            Not used.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        uint32 array of shape (rows, cols)
            From 1 in raster order of first pixels, 0 on nodata.

        Raises
        ------
        ValueError
            If the shapes do not agree, a valid pixel is not finite, or learned affinities are asked for and there
            are not three bands.
        MissingExtraError
            If learned affinities are asked for and PyTorch is not installed.
        """
        return self.hierarchy(image, valid).cut(region_size=self.region_size)

    def hierarchy(self, image: NDArray[np.float32], valid: NDArray[np.bool_]) -> Hierarchy:
        """Return the hierarchy of which a call returns a cut.

        Parameters
        ----------
        image : float32 array of shape (bands, rows, cols)
            Scaled to about [0, 1], finite.
        valid : bool array of shape (rows, cols)
            False on nodata.
        """
        check_shapes(image.shape, valid.shape)
        if self.affinity == "dal":
            from superpoint.superpixels.dal import dal_affinities

            affinities = dal_affinities(np.where(valid, image, np.float32(0)), weights=self.weights)
            weights = mean_weights(affinities, valid, connectivity=CONNECTIVITY)
            del affinities
        else:
            weights = gaussian_weights(image, valid, sigma=self.sigma, connectivity=CONNECTIVITY)
        return build_hierarchy(image, valid, weights)

    def describe_hierarchy(self) -> dict[str, Any]:
        """Return what decides the hierarchy, as JSON: every parameter but the region size, which is a cut's."""
        return {
            "name": self.name,
            "version": self.version,
            "affinity": self.affinity,
            "sigma": self.sigma if self.affinity == "gaussian" else None,
            "connectivity": CONNECTIVITY,
            "files": file_digests(self),
        }
