"""fast-slic: SLIC in C++ with integer arithmetic.

It takes three bands of 8 bits: fewer are repeated, more are projected (`colours.three_bands`). Its distance is
Achanta's (doi:10.1109/TPAMI.2012.120) with absolute differences instead of squares. Its rows of seeds are the
square root of their number, whatever the image's sides: only in a square frame do they stand on a regular grid.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from superpoint.errors import InputError
from superpoint.superpixels import import_package
from superpoint.superpixels.adapters.colours import N_COLOURS, three_bands, to_bytes
from superpoint.superpixels.adapters.frames import Frame, superpixelize_framed
from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.parameters import check_counts, joined_halo, merge_size, set_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

MAX_CLUSTERS = 65_533  # its labels are int16 that wrap around; beyond this they repeat


@dataclass(frozen=True, kw_only=True)
class FastSlic:
    """SLIC by the package fast-slic."""

    name: ClassVar[str] = "fast-slic"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(
        draws=False,
        bands="3 of 8 bits; fewer repeated, more projected",
        nodata="filled",
        licence="MIT",
        package="fast_slic",
        install="pip install -U setuptools wheel cython numpy, then "
        'pip install --no-build-isolation "fast-slic==0.4.0" (needs a C++ compiler)',
    )

    region_size: float = 20.0
    """Grid step in pixels."""
    compactness: float = 10.0
    """Weight of place against colour: a difference of `compactness` percent in every band counts as much as a
    distance of `region_size` pixels."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres."""

    stride: int = 1
    """Centres are moved by every `stride`-th row only: 3 is the package's own default and about twice as fast, but
    which rows are taken depends on where the window starts."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, compactness=0)
        check_counts(self, iterations=1, stride=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: three bands of the frame, and what repairs the labels."""
        return MemoryNeed(bytes_per_px=37 + 4.4 * n_bands)

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
        InputError
            If the window needs more superpixels than the package can count.
        MissingExtraError
            If fast-slic is not installed.
        """
        package = import_package(self.name, self.traits)
        frame = Frame.around(valid.shape, origin, step=self.region_size, square=True)
        return superpixelize_framed(
            image,
            valid,
            lambda framed: self._cluster(package, to_bytes(three_bands(framed)), frame.step),
            frame=frame,
            min_size=merge_size(self.region_size),
        )

    def _cluster(self, package: Any, framed: NDArray[np.uint8], step: int) -> NDArray[np.int32]:  # noqa: ANN401  # an untyped module
        n_clusters = (framed.shape[0] // step) * (framed.shape[1] // step)
        if n_clusters > MAX_CLUSTERS:
            raise InputError(
                f"fast-slic counts {MAX_CLUSTERS:,} superpixels in one window and {n_clusters:,} are asked for; "
                "use a larger region_size or smaller tiles"
            )
        model = _fastest(package)(
            num_components=n_clusters,
            compactness=N_COLOURS * self.compactness / 100 * 255,  # its distance adds the bands' differences
            min_size_factor=0,  # small pieces are merged by colour here
            convert_to_lab=False,  # bands need not be red, green and blue
            subsample_stride=self.stride,
            num_threads=1,
        )
        labels: NDArray[np.int16] = model.iterate(framed, max_iter=self.iterations)
        clusters = labels.view(np.uint16).astype(np.int32)
        clusters[clusters >= n_clusters] = -1  # what it could not assign
        return clusters


def _fastest(package: Any) -> Any:  # noqa: ANN401  # an untyped module
    """Return its AVX2 class where the processor has AVX2: the labels are the same."""
    if "x64/avx2" in package.supported_archs:
        return importlib.import_module("fast_slic.avx2").SlicAvx2
    return package.Slic
