"""Measures of label maps: against a true segmentation, against the image, of their shapes, and of tile seams.

Label 0 is nodata and never counts. Measures against a truth leave out the pixels that the truth ignores as well.
A *segment* of the truth is all pixels of one value, connected or not; who wants connected segments numbers them
first (`scipy.ndimage.label`). A measure of nothing is NaN.

All but the seam ratio are surveyed, in these forms, by Stutz, Hermans and Leibe (2018), "Superpixels: An evaluation
of the state-of-the-art", doi:10.1016/j.cviu.2017.03.007.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage, sparse

from superpoint.classes import IGNORE
from superpoint.superpixels.pieces import label_pieces

if TYPE_CHECKING:
    from typing import SupportsFloat

    from numpy.typing import NDArray

    type Index = tuple[slice, slice]

SPARSE_IDS = 4  # ids up to this many times the number of pixels are counted in a table, larger ones are sorted


class SeamRatio(NamedTuple):
    """How much oftener labels change across tile edges than elsewhere, by the direction of the step."""

    down: float
    """Steps from a row to the next, across the edges between rows of tiles."""
    across: float
    """Steps from a column to the next, across the edges between columns of tiles."""


def achievable_segmentation_accuracy(
    labels: NDArray[np.uint32], truth: NDArray[np.integer], *, ignore: int = IGNORE
) -> float:
    """Return the accuracy of giving each superpixel the class that most of its pixels have.

    The best that any classifier of whole superpixels can reach: the sum over superpixels S of
    max over segments G of |S and G|, divided by the number of pixels.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    truth : integer array of shape (rows, cols)
        The true segmentation.
    ignore : int
        Value of pixels that have no truth.

    Returns
    -------
    float
        0 to 1, higher is better; NaN if no pixel counts.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Liu, Tuzel, Ramalingam and Chellappa (2011), "Entropy rate superpixel segmentation", section 5,
    doi:10.1109/CVPR.2011.5995323.

    Examples
    --------
    >>> achievable_segmentation_accuracy(np.array([[1, 1, 1, 2]], np.uint32), np.array([[0, 0, 7, 7]]))
    0.75
    """
    overlaps = _overlaps(labels, truth, ignore)
    return _share(_maxima(overlaps).sum(), overlaps.sum())


def undersegmentation_error(labels: NDArray[np.uint32], truth: NDArray[np.integer], *, ignore: int = IGNORE) -> float:
    """Return the share of pixels that superpixels spill over true boundaries, by Neubert and Protzel.

    The sum over segments G and superpixels S that meet G of min(|S and G|, |S without G|), divided by the number of
    pixels: a superpixel that only just crosses a boundary costs little, from whichever side it comes.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    truth : integer array of shape (rows, cols)
        The true segmentation.
    ignore : int
        Value of pixels that have no truth.

    Returns
    -------
    float
        0 or more, lower is better; each pixel is counted once for each segment it is spilt over. NaN if no pixel
        counts.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Neubert and Protzel (2012), "Superpixel benchmark and comparison", Forum Bildverarbeitung (without a DOI);
    Stutz et al. (2018), section 4, doi:10.1016/j.cviu.2017.03.007.

    Examples
    --------
    >>> undersegmentation_error(np.array([[1, 1, 1, 2]], np.uint32), np.array([[0, 0, 7, 7]]))
    0.5
    """
    inside, outside, _ = _spills(_overlaps(labels, truth, ignore))
    return _share(np.minimum(inside, outside).sum(), inside.sum())


def undersegmentation_error_levin(
    labels: NDArray[np.uint32], truth: NDArray[np.integer], *, ignore: int = IGNORE
) -> float:
    """Return how much larger than a segment the superpixels are that cover it, by Levinshtein et al.

    The mean over segments G of (sum of |S| over the superpixels S that meet G, less |G|) / |G|: a superpixel that
    only just touches a segment costs all its area.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    truth : integer array of shape (rows, cols)
        The true segmentation.
    ignore : int
        Value of pixels that have no truth.

    Returns
    -------
    float
        0 or more, lower is better; small segments weigh as much as large ones. NaN if no pixel counts.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Levinshtein, Stere, Kutulakos, Fleet, Dickinson and Siddiqi (2009), "TurboPixels: Fast superpixels using
    geometric flows", section 4.1, doi:10.1109/TPAMI.2009.96; averaged over segments as in Stutz et al. (2018).

    Examples
    --------
    >>> undersegmentation_error_levin(np.array([[1, 1, 1, 2]], np.uint32), np.array([[0, 0, 7, 7]]))
    0.75
    """
    overlaps = _overlaps(labels, truth, ignore)
    _, outside, segments = _spills(overlaps)
    sizes = np.asarray(overlaps.sum(axis=0), np.float64)
    spilt = np.bincount(segments, weights=outside, minlength=len(sizes))
    return float(np.mean(spilt / sizes)) if len(sizes) else math.nan


def boundary_recall(
    labels: NDArray[np.uint32], truth: NDArray[np.integer], *, tolerance: int = 2, ignore: int = IGNORE
) -> float:
    """Return the share of true boundary pixels with a superpixel boundary near.

    A pixel is a boundary pixel if one of its four neighbours has another value, so a boundary is two pixels wide,
    one on each side. Near is within the window of (2 tolerance + 1) x (2 tolerance + 1) pixels around it, a
    Chebyshev distance of at most `tolerance`. Steps to or from an ignored pixel are no true boundary, steps to or
    from nodata are a boundary neither of superpixels nor of segments, and the edge of the array is none.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    truth : integer array of shape (rows, cols)
        The true segmentation.
    tolerance : int
        Pixels. Stutz et al. take 0.0025 of the image's diagonal.
    ignore : int
        Value of pixels that have no truth.

    Returns
    -------
    float
        0 to 1, higher is better, and easily raised by ragged superpixels; NaN without a true boundary.

    Raises
    ------
    ValueError
        If the shapes differ or the tolerance is negative.

    References
    ----------
    Martin, Fowlkes and Malik (2004), "Learning to detect natural image boundaries using local brightness, color,
    and texture cues", doi:10.1109/TPAMI.2004.1273918; with the window of Stutz et al. (2018), section 4,
    doi:10.1016/j.cviu.2017.03.007.

    Examples
    --------
    >>> labels, truth = np.array([[1, 1, 1, 1, 2, 2]], np.uint32), np.array([[0, 7, 7, 7, 7, 9]])
    >>> boundary_recall(labels, truth, tolerance=0), boundary_recall(labels, truth, tolerance=2)
    (0.25, 0.75)
    """
    _check_shapes(labels, truth, "truth")
    if tolerance < 0:
        raise ValueError(f"tolerance must be 0 pixels or more, got {tolerance}")
    with_data = labels != 0
    true_boundary = _boundary(truth, with_data & (truth != ignore))
    found = _boundary(labels, with_data).view(np.uint8)
    near = ndimage.maximum_filter(found, 2 * tolerance + 1, mode="constant").view(np.bool_)
    return _share(np.count_nonzero(true_boundary & near), np.count_nonzero(true_boundary))


def explained_variation(labels: NDArray[np.uint32], image: NDArray[np.floating]) -> float:
    """Return the share of the image's variance that the means of superpixels keep.

    The sum over superpixels S of |S| (mean of S - mean of the image)^2, divided by the sum over pixels of
    (value - mean of the image)^2, both summed over the bands.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    image : float array of shape (bands, rows, cols)
        Finite wherever a pixel has a label.

    Returns
    -------
    float
        0 to 1, higher is better; NaN for a constant image.

    Raises
    ------
    ValueError
        If the rows and cols differ.

    References
    ----------
    Moore, Prince, Warrell, Mohammed and Jones (2008), "Superpixel lattices", section 4,
    doi:10.1109/CVPR.2008.4587471.

    Examples
    --------
    >>> explained_variation(np.array([[1, 1, 2, 2]], np.uint32), np.array([[[0.0, 2.0, 4.0, 6.0]]]))
    0.8
    """
    _check_shapes(labels, image[0], "image")
    with_data = labels != 0
    ranks, sizes = _numbered(labels[with_data])
    explained = total = 0.0
    for band in image:
        values = band[with_data].astype(np.float64)
        values -= values.mean() if values.size else 0
        explained += float((np.bincount(ranks, weights=values, minlength=len(sizes)) ** 2 / sizes).sum())
        total += float(values @ values)
    return _share(explained, total)


def compactness(labels: NDArray[np.uint32]) -> float:
    """Return how compact superpixels are: the mean isoperimetric quotient, weighted by size.

    The sum over superpixels S of |S| / N * 4 pi |S| / P(S)^2, with N the number of pixels. The perimeter P is the
    number of pixel sides on which S ends, at another superpixel, at nodata or at the edge of the array: a square has
    pi / 4, the most there is, and a disc of many pixels pi^2 / 16, as its sides are steps.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.

    Returns
    -------
    float
        0 to pi / 4, higher is more compact; NaN without superpixels.

    References
    ----------
    Schick, Fischer and Stiefelhagen (2014), "An evaluation of the compactness of superpixels",
    doi:10.1016/j.patrec.2013.09.013 (first at ICPR 2012, without a DOI).

    Examples
    --------
    >>> compactness(np.repeat([[1, 2]], 3, axis=1).repeat(3, axis=0).astype(np.uint32)) == np.pi / 4
    True
    """
    sides = np.full(labels.shape, 4, np.int64)
    for here, there in _steps():
        same = labels[here] == labels[there]
        sides[here] -= same
        sides[there] -= same
    with_data = labels != 0
    ranks, sizes = _numbered(labels[with_data])
    perimeters = np.bincount(ranks, weights=sides[with_data], minlength=len(sizes))
    return _share((4 * np.pi * (sizes / perimeters) ** 2).sum(), sizes.sum())


def region_sizes(labels: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Count the pixels of each superpixel.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.

    Returns
    -------
    int64 array of shape (superpixels,)
        In ascending order of the ids that occur, without 0.

    Examples
    --------
    >>> region_sizes(np.array([[0, 7, 7, 2]], np.uint32))
    array([1, 2])
    """
    return _numbered(labels[labels != 0])[1]


def n_superpixels(labels: NDArray[np.uint32]) -> int:
    """Count the ids that occur, without 0.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.

    Examples
    --------
    >>> n_superpixels(np.array([[0, 7, 7, 2]], np.uint32))
    2
    """
    return len(region_sizes(labels))


def disconnected_ids(labels: NDArray[np.uint32]) -> int:
    """Count the ids whose pixels are not one 4-connected region.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.

    Examples
    --------
    >>> disconnected_ids(np.array([[1, 2, 1], [3, 2, 0]], np.uint32))
    1
    """
    with_data = labels != 0
    ranks, sizes = _numbered(labels[with_data])
    pieces, piece_sizes, _ = label_pieces(labels.astype(np.int64), with_data)
    owners = np.empty(len(piece_sizes), np.int64)
    owners[pieces[with_data]] = ranks
    return int(np.count_nonzero(np.bincount(owners, minlength=len(sizes)) > 1))


def seam_ratio(labels: NDArray[np.uint32], tile_size: int) -> SeamRatio:
    """Compare how often labels change across tile edges with all other pixel edges of the same direction.

    The ratio is compared with that of the untiled label map on the same lines, which need not be 1: the lines
    may run along the lattice of seeds or not.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.
    tile_size : int
        Side of a tile in pixels.

    Returns
    -------
    SeamRatio
        NaN in a direction without tile edges.

    Examples
    --------
    >>> seam_ratio(np.repeat([[1, 2]], 3, axis=1).repeat(4, axis=0).astype(np.uint32), 3).across
    inf
    """
    return SeamRatio(
        _ratio(labels[1:] != labels[:-1], tile_size), _ratio((labels[:, 1:] != labels[:, :-1]).T, tile_size)
    )


def _ratio(changes: NDArray[np.bool_], tile_size: int) -> float:
    """Return the ratio for changes of shape (steps, lines)."""
    on_edge = np.arange(1, len(changes) + 1) % tile_size == 0
    if not on_edge.any() or on_edge.all():
        return float("nan")
    elsewhere = float(changes[~on_edge].mean())
    at_edges = float(changes[on_edge].mean())
    return at_edges / elsewhere if elsewhere else float("inf") if at_edges else float("nan")


def _check_shapes(labels: NDArray[np.uint32], other: NDArray[np.generic], name: str) -> None:
    if labels.shape != other.shape:
        raise ValueError(f"labels have rows and cols {labels.shape}, the {name} has {other.shape}")


def _share(part: SupportsFloat, whole: SupportsFloat) -> float:
    return float(part) / float(whole) if float(whole) else math.nan


def _numbered(ids: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the ids that occur numbers from 0, in ascending order, and count the pixels of each.

    Parameters
    ----------
    ids : integer array of shape (pixels,)
        Any values.

    Returns
    -------
    ranks : int64 array of shape (pixels,)
        The number of each pixel's id.
    sizes : int64 array of shape (ids,)
        Pixels of each id.
    """
    if ids.size and ids.min() >= 0 and ids.max() < SPARSE_IDS * ids.size:  # several times faster than sorting
        counts = np.bincount(ids)
        return (np.cumsum(counts > 0) - 1)[ids], counts[counts > 0]
    _, ranks, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    return ranks, sizes


def _overlaps(labels: NDArray[np.uint32], truth: NDArray[np.integer], ignore: int) -> sparse.csr_array:
    """Return the pixels that each superpixel (row) and segment (column) have in common, int64."""
    _check_shapes(labels, truth, "truth")
    counted = (labels != 0) & (truth != ignore)
    (rows, row_sizes), (cols, col_sizes) = _numbered(labels[counted]), _numbered(truth[counted])
    pairs = sparse.coo_array((np.ones(len(rows), np.int64), (rows, cols)), shape=(len(row_sizes), len(col_sizes)))
    return pairs.tocsr()


def _maxima(overlaps: sparse.csr_array) -> NDArray[np.int64]:
    """Return the largest overlap of each superpixel; each has one."""
    return np.maximum.reduceat(overlaps.data, overlaps.indptr[:-1]) if overlaps.nnz else overlaps.data


def _spills(overlaps: sparse.csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return |S and G|, |S without G| and the number of G for each pair of S and G that meet."""
    inside: NDArray[np.int64] = overlaps.data
    sizes: NDArray[np.int64] = np.repeat(np.asarray(overlaps.sum(axis=1)), np.diff(overlaps.indptr))
    return inside, sizes - inside, overlaps.indices


def _boundary(values: NDArray[np.integer], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark both pixels of each step between different values, where both count."""
    boundary = np.zeros(values.shape, np.bool_)
    for here, there in _steps():
        changes = (values[here] != values[there]) & counted[here] & counted[there]
        boundary[here] |= changes
        boundary[there] |= changes
    return boundary


def _steps() -> tuple[tuple[Index, Index], tuple[Index, Index]]:
    """Return the indices of the pixels before and after each step down, and each step across."""
    everything, but_last, but_first = slice(None), slice(None, -1), slice(1, None)
    return ((but_last, everything), (but_first, everything)), ((everything, but_last), (everything, but_first))
