"""Superpixels of an array in memory, in one call: for notebooks, experiments and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.scaling import measure_scaling
from superpoint.superpixels.algorithm import Origin, ReadsStored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm


def superpixelize_array(
    image: NDArray[Any],
    algorithm: SuperpixelAlgorithm,
    *,
    valid: NDArray[np.bool_] | None = None,
    seed: int = 0,
    threads: int = 1,
) -> NDArray[np.uint32]:
    """Superpixelize an array: measure its scaling, scale it, call the algorithm.

    Parameters
    ----------
    image : array of shape (bands, rows, cols)
        Integers or floats as they are; NaN is taken for the lowest value.
    algorithm : SuperpixelAlgorithm
        An algorithm with its parameters.
    valid : bool array of shape (rows, cols), optional
        False on nodata. By default all is valid.
    seed : int
        Seed of what the algorithm draws.
    threads : int
        Threads, for an algorithm that can share its work (`slic`); the labels do not depend on it.

    Returns
    -------
    uint32 array of shape (rows, cols)
        The same labels as those of a raster of one tile; 0 on nodata.

    Raises
    ------
    ValueError
        If the image is not of shape (bands, rows, cols), or `valid` does not fit it.

    Examples
    --------
    >>> from superpoint.superpixels.slic import Slic
    >>> superpixelize_array(np.zeros((3, 50, 80), np.uint8), Slic(region_size=20)).max()
    np.uint32(6)
    """
    if image.ndim != 3 or 0 in image.shape:  # noqa: PLR2004  # (band, row, col)
        raise ValueError(f"image must be of shape (bands, rows, cols), none of them 0, got {image.shape}")
    shape = (image.shape[1], image.shape[2])
    usable = np.ones(shape, np.bool_) if valid is None else valid
    if usable.shape != shape:
        raise ValueError(f"valid must be of shape {shape}, got {usable.shape}")
    scaling = measure_scaling(lambda: [(image, usable)], n_bands=len(image), dtype=image.dtype.name, threads=threads)
    if scaling is None:
        return np.zeros(shape, np.uint32)
    origin = Origin(raster_shape=shape)
    if isinstance(algorithm, ReadsStored):
        return algorithm.from_stored(image, usable, scaling, origin=origin, threads=threads)
    scaled = scaling.apply(image.astype(np.float32), usable)
    return algorithm(scaled, usable, origin=origin, rng=np.random.default_rng([seed, 0, 0]))
