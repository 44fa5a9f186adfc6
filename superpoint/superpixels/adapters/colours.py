"""Bands as other packages want them: without holes, of 8 bits, few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_COLOURS = 3


def fill_nodata(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give each pixel of nodata the colour of the valid pixel nearest to it.

    For algorithms that know no mask: an edge of nodata then draws no superpixels of its own.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        Anything on nodata.
    valid : bool array of shape (rows, cols)
        False on nodata.

    Returns
    -------
    float32 array of shape (bands, rows, cols)
        The image itself where nothing is to be filled; zeros where nothing is valid.
    """
    if valid.all():
        return image
    if not valid.any():
        return np.zeros_like(image)
    rows, cols = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(image[:, rows, cols])


def to_bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn bands from 0..1 into 0..255, clipped, with the bands last, as image libraries want them.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        Scaled to about [0, 1].

    Returns
    -------
    uint8 array of shape (rows, cols, bands)
        Contiguous.
    """
    return np.ascontiguousarray(np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8).transpose(1, 2, 0))


def three_bands(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make three bands of any number: the last one repeated, or all of them projected.

    The projection is the same whatever the image: onto mean, slope and curvature across the bands, the first three
    vectors of the cosine transform. They are close to the principal components of spectra whose neighbouring
    bands are alike, and unlike principal components of a tile they are the same in its neighbour, so that
    superpixels meet at its edge. What the other directions hold is lost.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        Scaled to about [0, 1].

    Returns
    -------
    float32 array of shape (3, rows, cols)
        About [0, 1]; slope and curvature have 0.5 for 0.

    References
    ----------
    Ahmed, Natarajan and Rao (1974), "Discrete Cosine Transform", doi:10.1109/T-C.1974.223784.

    Examples
    --------
    >>> three_bands(np.array([0.2, 0.4], np.float32)[:, None, None]).ravel().tolist()
    [0.20000000298023224, 0.4000000059604645, 0.4000000059604645]
    >>> three_bands(np.full((4, 1, 1), 0.25, np.float32)).ravel().tolist()
    [0.25, 0.5, 0.5]
    """
    n_bands = len(image)
    if n_bands <= N_COLOURS:
        return np.ascontiguousarray(image[np.minimum(np.arange(N_COLOURS), n_bands - 1)])
    # (3, band): divided by the number of bands, so that the mean keeps its range and the others fit half of it
    place = (np.arange(n_bands) + 0.5) / n_bands
    basis = np.cos(np.pi * np.arange(N_COLOURS)[:, None] * place) / n_bands
    basis[1:] *= np.sqrt(2)
    projected = np.zeros((N_COLOURS, *image.shape[1:]), np.float32)
    for band, weights in zip(image, basis.astype(np.float32).T, strict=True):  # a fixed order: the same sum everywhere
        for colour in range(N_COLOURS):
            projected[colour] += weights[colour] * band
    projected[1:] += np.float32(0.5)
    return projected
