"""SimpleITK: the SLIC of the Insight Toolkit."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, kw_only=True)
class SimpleItkSlic:
    """SLIC by SimpleITK.

    References
    ----------
    Achanta et al. (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
    doi:10.1109/TPAMI.2012.120.
    """

    name: ClassVar[str] = "simpleitk-slic"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(
        draws=False,
        nodata="filled",
        licence="Apache-2.0",
        package="SimpleITK",
        install='pip install "superpoint[simpleitk]"',
    )

    region_size: float = 20.0
    """Grid step in pixels, rounded."""
    compactness: float = 10.0
    """Weight of place against colour: a difference of `compactness` percent in every band counts as much as a
    distance of `region_size` pixels."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, compactness=0)
        check_counts(self, iterations=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: copies of the bands, or what repairs the labels; and the toolkit itself."""
        return MemoryNeed(bytes_per_px=max(28 + 8 * n_bands, 12.5 * n_bands), fixed_bytes=110 * 2**20)

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
            If SimpleITK is not installed.
        """
        itk = import_package(self.name, self.traits)
        frame = Frame.around(valid.shape, origin, step=self.region_size)

        def cluster(framed: NDArray[np.float32]) -> NDArray[np.integer]:
            slic = itk.SLICImageFilter()
            slic.SetNumberOfThreads(1)  # sums of centres depend on how the image is shared among threads
            slic.SetSuperGridSize([frame.step, frame.step, 1])
            slic.SetSpatialProximityWeight(math.sqrt(len(framed)) * self.compactness / 100)
            slic.SetMaximumNumberOfIterations(self.iterations)
            slic.SetEnforceConnectivity(False)  # small pieces are merged by colour here
            made = slic.Execute(itk.GetImageFromArray(np.ascontiguousarray(framed.transpose(1, 2, 0)), isVector=True))
            clusters: NDArray[np.integer] = itk.GetArrayFromImage(made)
            return clusters

        return superpixelize_framed(image, valid, cluster, frame=frame, min_size=merge_size(self.region_size))
