"""scikit-image: its SLIC, and the graph-based regions of Felzenszwalb and Huttenlocher.

scikit-image's SLIC stretches whatever array it is given to 0..1 by its least and greatest value, so that a bright
roof changes the superpixels of a whole tile. Only the ratio of the colours to the compactness counts, so
the compactness is divided by the same range here and the stretching has no effect. Its mask is not used: the
seeds that it then draws take memory that is quadratic in the superpixels, and no two tiles agree on them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from superpoint.superpixels import import_package
from superpoint.superpixels.adapters.frames import Frame, superpixelize_framed
from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.parameters import check_counts, joined_halo, merge_size, set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

SCALE = 4.0  # with it and LEAST_SHARE an aerial image has about as many regions as a grid of region_size
LEAST_SHARE = 1 / 6
_TRAITS = Traits(
    draws=False,
    nodata="filled",
    licence="BSD-3-Clause",
    package="skimage",
    install='pip install "superpoint[scikit-image]"',
)


@dataclass(frozen=True, kw_only=True)
class ScikitImageSlic:
    """SLIC by scikit-image, without its stretching of each tile.

    References
    ----------
    Achanta et al. (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
    doi:10.1109/TPAMI.2012.120.
    """

    name: ClassVar[str] = "skimage-slic"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = _TRAITS

    region_size: float = 20.0
    """Grid step in pixels."""
    compactness: float = 10.0
    """Weight of place against colour: a difference of `compactness` percent in every band counts as much as a
    distance of `region_size` pixels."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres."""
    sigma: float = 0.0
    """Width of the Gaussian that smooths the image first, pixels."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, compactness=0, sigma=0)
        check_counts(self, iterations=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact, beyond=4 * self.sigma)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: the image in several copies, and what repairs the labels."""
        return MemoryNeed(bytes_per_px=45 + 11.5 * n_bands, fixed_bytes=16 * 2**20)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; nothing is drawn
    ) -> NDArray[np.uint32]:
        """Superpixelize an image; see `SuperpixelAlgorithm`.

        Raises
        ------
        MissingExtraError
            If scikit-image is not installed.
        """
        import_package(self.name, self.traits)
        from skimage.segmentation import slic

        frame = Frame.around(valid.shape, origin, step=self.region_size)

        def cluster(framed: NDArray[np.float32]) -> NDArray[np.integer]:
            stretch = float(np.ptp(framed)) or 1.0
            clusters: NDArray[np.integer] = slic(
                framed,
                n_segments=(framed.shape[1] // frame.step) * (framed.shape[2] // frame.step),
                compactness=max(math.sqrt(len(framed)) * self.compactness / 100 / stretch, 1e-6),
                max_num_iter=self.iterations,
                sigma=self.sigma,
                convert2lab=False,
                enforce_connectivity=False,  # its way leaves one id on several regions; ours follows
                channel_axis=0,
            )
            return clusters

        return superpixelize_framed(image, valid, cluster, frame=frame, min_size=merge_size(self.region_size))


@dataclass(frozen=True, kw_only=True)
class Felzenszwalb:
    """Graph-based segmentation by scikit-image: regions of any size and shape.

    There is no grid: `region_size` sets how small a region may be and, unless `scale` is given, how readily
    regions merge. An aerial image of R x C pixels then has about `R * C / region_size**2` regions; one of little
    contrast has fewer.

    References
    ----------
    Felzenszwalb and Huttenlocher (2004), "Efficient Graph-Based Image Segmentation",
    doi:10.1023/B:VISI.0000022288.19776.77.
    """

    name: ClassVar[str] = "felzenszwalb"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = _TRAITS

    region_size: float = 20.0
    """Regions have at least `region_size**2 / 6` pixels."""
    scale: float | None = None
    """The constant k of the paper for bands of 0..255: higher gives larger regions. None is `4 * region_size`."""
    sigma: float = 0.8
    """Width of the Gaussian that smooths the image first, pixels."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, sigma=0)
        if self.scale is not None:
            set_numbers(self, scale=0)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact, beyond=4 * self.sigma)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: edges to all eight neighbours, sorted, in float64."""
        return MemoryNeed(bytes_per_px=306 + 12 * n_bands, fixed_bytes=16 * 2**20)

    def __call__(
        self,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # the contract's; nothing is drawn
    ) -> NDArray[np.uint32]:
        """Superpixelize an image; see `SuperpixelAlgorithm`.

        Raises
        ------
        MissingExtraError
            If scikit-image is not installed.
        """
        import_package(self.name, self.traits)
        from skimage.segmentation import felzenszwalb

        _accept_many_bands()
        min_size = merge_size(self.region_size, LEAST_SHARE)
        scale = SCALE * self.region_size if self.scale is None else self.scale

        def segment(framed: NDArray[np.float32]) -> NDArray[np.integer]:
            regions: NDArray[np.integer] = felzenszwalb(
                framed, scale=scale, sigma=self.sigma, min_size=min_size, channel_axis=0
            )
            return regions

        unframed = Frame.around(valid.shape, origin, step=1)
        return superpixelize_framed(image, valid, segment, frame=unframed, min_size=min_size)


def _accept_many_bands() -> None:
    """Keep scikit-image from warning that more than three bands may be a mistake.

    Not for the time of a call only: other threads would take the filters away from each other.
    """
    message = "Got image with third dimension"
    if not any(
        category is RuntimeWarning and str(message) in str(text) for _, text, category, _, _ in warnings.filters
    ):
        warnings.filterwarnings("ignore", message=message, category=RuntimeWarning)
