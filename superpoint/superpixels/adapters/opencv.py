"""OpenCV's extended image processing: SEEDS, LSC and SLICO.

They take 8 bits, crash on images smaller than a superpixel, and lay their seeds from the corner of what they are
given: a frame of repeated pixels settles the last two. LSC's labels change with the number of threads. OpenCV's
threads are shared by the whole process: they are set to one while an algorithm runs.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from superpoint.errors import MissingExtraError
from superpoint.superpixels import import_package
from superpoint.superpixels.adapters.colours import N_COLOURS, three_bands, to_bytes
from superpoint.superpixels.adapters.frames import Frame, superpixelize_framed
from superpoint.superpixels.algorithm import MemoryNeed, Traits
from superpoint.superpixels.parameters import check_counts, joined_halo, merge_size, set_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import Origin

    Cluster = Callable[[Any, NDArray[np.uint8], int], Any]
    """Makes OpenCV's object from its module, the image (rows, cols, bands) and the step of the grid."""

LEAST_STEPS = 3  # SEEDS fails on less
IMPORT_BYTES = 24 * 2**20  # of OpenCV
_TRAITS = Traits(
    draws=False,
    bands="any, of 8 bits",
    nodata="filled",
    licence="Apache-2.0",
    package="cv2",
    install='pip install "superpoint[opencv]"',
)


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """SEEDS by OpenCV: blocks that exchange ever smaller parts so that their colour histograms get purer.

    References
    ----------
    Van den Bergh et al. (2015), "SEEDS: Superpixels Extracted via Energy-Driven Sampling",
    doi:10.1007/s11263-014-0744-2.
    """

    name: ClassVar[str] = "opencv-seeds"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = replace(_TRAITS, bands="1 to 3 of 8 bits; more projected")

    region_size: float = 20.0
    """Grid step in pixels, rounded to a multiple of `2**(levels - 1)`."""
    levels: int = 3
    """Sizes of blocks, each half the one before."""
    bins: int = 8
    """Bins of a band in the histograms."""
    prior: int = 2
    """How strongly outlines are smoothed, 0 to 5."""
    iterations: int = 10
    """Rounds over the pixels at the outlines."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2)
        check_counts(self, levels=2, bins=2, prior=0, iterations=1)
        for name, most in (("levels", 8), ("bins", 32), ("prior", 5)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, got {getattr(self, name)}")

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: the bytes, and a histogram of all bins of its bands for each block of any size."""
        largest = max(2 ** (self.levels - 1), self.region_size)
        bins = self.bins ** min(n_bands, N_COLOURS)
        histograms = sum(4 * bins / (largest / 2**level) ** 2 for level in range(self.levels))
        return MemoryNeed(bytes_per_px=20 + 4 * n_bands + histograms, fixed_bytes=IMPORT_BYTES)

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
            If OpenCV is not installed with its contributed modules.
        """
        few = image if len(image) <= N_COLOURS else three_bands(image)

        def make(ximgproc: Any, framed: NDArray[np.uint8], step: int) -> Any:  # noqa: ANN401  # an untyped module
            rows, cols, n_bands = framed.shape
            # It finds the rows of blocks from their number, rounding down: one more row keeps it from losing one.
            n_blocks = (rows // step + 1) * (cols // step)
            seeds = ximgproc.createSuperpixelSEEDS(
                cols, rows, n_bands, n_blocks, self.levels, self.prior, self.bins, double_step=False
            )
            seeds.iterate(framed, self.iterations)
            return seeds

        return _superpixelize(self, few, valid, make, frame=self._frame(valid, origin))

    def _frame(self, valid: NDArray[np.bool_], origin: Origin) -> Frame:
        multiple = 2 ** (self.levels - 1)
        return Frame.around(valid.shape, origin, step=self.region_size, multiple=multiple, least=LEAST_STEPS)


@dataclass(frozen=True, kw_only=True)
class Lsc:
    """Linear spectral clustering by OpenCV.

    References
    ----------
    Li and Chen (2015), "Superpixel Segmentation using Linear Spectral Clustering",
    doi:10.1109/CVPR.2015.7298741.
    """

    name: ClassVar[str] = "opencv-lsc"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = _TRAITS

    region_size: float = 20.0
    """Grid step in pixels, rounded."""
    ratio: float = 0.075
    """Weight of place against colour: higher gives squarer superpixels."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2, ratio=1e-3)
        check_counts(self, iterations=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: the bytes, ten features of each pixel, and what repairs the labels."""
        return MemoryNeed(bytes_per_px=max(30 + 8 * n_bands, 12.5 * n_bands), fixed_bytes=IMPORT_BYTES)

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
            If OpenCV is not installed with its contributed modules.
        """

        def make(ximgproc: Any, framed: NDArray[np.uint8], step: int) -> Any:  # noqa: ANN401  # an untyped module
            lsc = ximgproc.createSuperpixelLSC(framed, step, self.ratio)
            lsc.iterate(self.iterations)
            return lsc

        frame = Frame.around(valid.shape, origin, step=self.region_size, least=LEAST_STEPS)
        return _superpixelize(self, image, valid, make, frame=frame)


@dataclass(frozen=True, kw_only=True)
class Slico:
    """SLIC without a compactness by OpenCV: each superpixel weighs colour by how much its own colours differ.

    References
    ----------
    Achanta et al. (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
    doi:10.1109/TPAMI.2012.120.
    """

    name: ClassVar[str] = "opencv-slico"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = _TRAITS

    region_size: float = 20.0
    """Grid step in pixels, rounded."""
    iterations: int = 10
    """Rounds of assigning pixels and moving centres."""

    def __post_init__(self) -> None:
        set_numbers(self, region_size=2)
        check_counts(self, iterations=1)

    def halo(self, *, exact: bool = False) -> int:
        """Return the pixels to read around a tile; a `ValueError` if `exact`."""
        return joined_halo(self.name, self.region_size, exact=exact)

    def memory_need(self, n_bands: int) -> MemoryNeed:
        """Return what a call takes: the bytes, distances, and what repairs the labels."""
        return MemoryNeed(bytes_per_px=max(26 + 8 * n_bands, 12.5 * n_bands), fixed_bytes=IMPORT_BYTES)

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
            If OpenCV is not installed with its contributed modules.
        """

        def make(ximgproc: Any, framed: NDArray[np.uint8], step: int) -> Any:  # noqa: ANN401  # an untyped module
            slico = ximgproc.createSuperpixelSLIC(framed, ximgproc.SLICO, step)
            slico.iterate(self.iterations)
            return slico

        frame = Frame.around(valid.shape, origin, step=self.region_size, least=LEAST_STEPS)
        return _superpixelize(self, image, valid, make, frame=frame)


def _superpixelize(
    algorithm: Seeds | Lsc | Slico,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    make: Cluster,
    *,
    frame: Frame,
) -> NDArray[np.uint32]:
    cv2 = import_package(algorithm.name, algorithm.traits)
    if not hasattr(cv2, "ximgproc"):
        raise MissingExtraError(
            f"superpixel algorithm {algorithm.name!r} needs OpenCV with its contributed modules, and the installed one "
            f"has none; replace it: pip uninstall opencv-python, then {algorithm.traits.install}"
        )

    def cluster(framed: NDArray[np.float32]) -> NDArray[np.int32]:
        with _one_thread(cv2):
            clusters: NDArray[np.int32] = make(cv2.ximgproc, to_bytes(framed), frame.step).getLabels()
        return clusters

    return superpixelize_framed(image, valid, cluster, frame=frame, min_size=merge_size(algorithm.region_size))


class _Running:
    """How many calls of this process are in OpenCV, and its number of threads before the first."""

    lock = threading.Lock()
    n_calls = 0
    n_threads = 1


@contextmanager
def _one_thread(cv2: Any) -> Iterator[None]:  # noqa: ANN401  # an untyped module
    """Hold OpenCV to one thread until the last of the calls that run at the same time is done."""
    with _Running.lock:
        if _Running.n_calls == 0:
            _Running.n_threads = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _Running.n_calls += 1
    try:
        yield
    finally:
        with _Running.lock:
            _Running.n_calls -= 1
            if _Running.n_calls == 0:
                cv2.setNumThreads(_Running.n_threads)
