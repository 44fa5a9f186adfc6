"""A conformance kit for superpixel algorithms: ours, and those of any other package.

`check_superpixels` calls an algorithm on small made-up images and compares what comes back with the promises of
`superpoint.superpixels.algorithm`. In another package's tests it is one line::

    def test_my_superpixels_keep_the_contract():
        check_superpixels(MySuperpixels(region_size=8))

`superpixelize_tiles` is the plain loop over tiles that every way of running the tiles must equal.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.superpixels import describe_algorithm, traits_of
from superpoint.superpixels.algorithm import Origin, SuperpixelAlgorithm, Traits
from superpoint.superpixels.joining import is_joined, join_tiles, region_size_of, smallest_halo
from superpoint.superpixels.quality import seam_ratio
from superpoint.testing_images import made_images, picture, try_drawn_images
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.testing_images import Case

_BLOCK = 16  # tiles and offsets are multiples of it, as tiles of the cache are
_MOST_SEAMS = 2.0  # how much oftener labels may change across tile edges than in the untiled map, if tiles are joined


def check_superpixels(algorithm: SuperpixelAlgorithm, *, seed: int = 0, n_images: int = 25) -> None:
    """Check that an algorithm keeps the contract of `SuperpixelAlgorithm`.

    Parameters
    ----------
    algorithm : SuperpixelAlgorithm
        The algorithm with its parameters. Small ones are checked faster: the raster on which tiles are compared
        grows with the halo.
    seed : int
        Seed of the made-up images, and of what the algorithm draws.
    n_images : int
        Images that Hypothesis draws besides.

    Raises
    ------
    AssertionError
        If a promise is broken: one sentence that says which, and on what image.
    MissingExtraError
        If Hypothesis is not installed.

    Examples
    --------
    >>> from superpoint.superpixels.slic import Slic
    >>> check_superpixels(Slic(region_size=6, iterations=2))
    """
    _check_description(algorithm)
    _check_halo(algorithm)
    for case in made_images(np.random.default_rng(seed)):
        _check_threads(algorithm, case, _check_labels(algorithm, case, seed), seed)
    try_drawn_images(lambda case: _check_labels(algorithm, case, seed), n_images=n_images)
    if is_joined(algorithm):
        _check_joined_tiles(algorithm, seed)
    else:
        _check_exact_tiles(algorithm, seed)


def superpixelize_tiles(
    algorithm: SuperpixelAlgorithm,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    tile_size: int,
    halo: int,
    seed: int = 0,
) -> NDArray[np.uint32]:
    """Superpixelize an image tile by tile: each reads a halo and writes its core, or is joined to the others.

    Tiles are joined where the algorithm promises no exact halo, and there is more than one.

    Parameters
    ----------
    algorithm : SuperpixelAlgorithm
        The algorithm.
    image : float32 array of shape (bands, rows, cols)
        The whole raster, scaled.
    valid : bool array of shape (rows, cols)
        False on nodata.
    tile_size : int
        Side of a tile in pixels.
    halo : int
        Pixels read around a tile.
    seed : int
        Seed of what the algorithm draws; each tile draws its own.

    Returns
    -------
    uint32 array of shape (rows, cols)
        0 on nodata.
    """
    grid = TileGrid(shape=(valid.shape[0], valid.shape[1]), size=tile_size, halo=halo)
    windows = [
        algorithm(
            image[:, *tile.read.slices],
            valid[tile.read.slices],
            origin=Origin(row=tile.read.row, col=tile.read.col, raster_shape=grid.shape),
            rng=np.random.default_rng([seed, *tile.index]),
        )
        for tile in grid
    ]
    if len(grid) > 1 and is_joined(algorithm):
        return join_tiles(grid, windows, region_size=region_size_of(algorithm))
    labels = np.zeros(valid.shape, np.uint32)
    for tile, found in zip(grid, windows, strict=True):
        labels[tile.core.slices] = found[tile.core.within(tile.read)]
    return labels


def _check_description(algorithm: SuperpixelAlgorithm) -> None:
    kind = type(algorithm)
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise AssertionError(f"{kind.__name__} must be a frozen dataclass of its parameters")
    for word in ("name", "version"):
        if not (isinstance(getattr(kind, word, None), str) and getattr(kind, word)):
            raise AssertionError(f"{kind.__name__}.{word} must be a class variable, a str that is not empty")
    if type(getattr(kind, "traits", None)) is not Traits:
        raise AssertionError(f"{kind.__name__}.traits must be a class variable, an object of {Traits.__qualname__}")
    names = [field.name for field in dataclasses.fields(algorithm)]  # type: ignore[arg-type]  # seen to be a dataclass above
    if names[:1] != ["region_size"]:
        raise AssertionError(f"the first parameter of {kind.__name__} must be region_size, got {names}")
    described = describe_algorithm(algorithm)["parameters"]
    try:
        rebuilt = kind(**json.loads(json.dumps(described, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the parameters {described} do not survive JSON: {error}") from error
    if rebuilt != algorithm:
        raise AssertionError(f"the parameters come back from JSON as {rebuilt}, not {algorithm}")


def _check_halo(algorithm: SuperpixelAlgorithm) -> None:
    joined = is_joined(algorithm)
    for halo in [algorithm.halo()] if joined else [algorithm.halo(), algorithm.halo(exact=True)]:
        if not (type(halo) is int and halo >= 0):
            raise AssertionError(f"the halo of {algorithm.name} must be an int of 0 or more, got {halo!r}")
    if joined and algorithm.halo() < smallest_halo(algorithm):
        raise AssertionError(
            f"tiles of {algorithm.name} are joined where they overlap: its halo must be at least its region size, "
            f"{smallest_halo(algorithm)} pixels, got {algorithm.halo()}"
        )
    promised = "joined" if joined else "lattice"
    if algorithm.traits.ids != promised:
        raise AssertionError(
            f"the traits of {algorithm.name} must say ids={promised!r}, as it has {'no' if joined else 'an'} exact "
            f"halo, got {algorithm.traits.ids!r}"
        )


def _call(
    algorithm: SuperpixelAlgorithm, image: NDArray[np.float32], valid: NDArray[np.bool_], seed: int
) -> NDArray[np.uint32]:
    origin = Origin(raster_shape=(valid.shape[0], valid.shape[1]))
    return algorithm(image, valid, origin=origin, rng=np.random.default_rng(seed))


def _check_labels(algorithm: SuperpixelAlgorithm, case: Case, seed: int) -> NDArray[np.uint32]:
    what, image, valid = case
    seen_image, seen_valid = image.copy(), valid.copy()
    labels = _call(algorithm, image, valid, seed)
    _check_array(labels, valid, what)
    if not (np.array_equal(image, seen_image) and np.array_equal(valid, seen_valid)):
        raise AssertionError(f"the algorithm must leave its input as it is, and changed it for {what}")
    _check_connected(labels, what)
    if not np.array_equal(_call(algorithm, image, valid, seed), labels):
        raise AssertionError(f"the same input must give the same labels, and did not for {what}")
    traits = traits_of(type(algorithm))
    if traits and not traits.draws and not np.array_equal(_call(algorithm, image, valid, seed + 1), labels):
        raise AssertionError(f"traits say that nothing is drawn, and another rng gave other labels for {what}")
    for value in () if valid.all() else (np.nan, 7.0):
        other = np.where(valid, image, np.float32(value))
        if not np.array_equal(_call(algorithm, other, valid, seed), labels):
            raise AssertionError(f"what stands on nodata must not matter, and {value} there did for {what}")
    return labels


def _check_array(labels: NDArray[np.uint32], valid: NDArray[np.bool_], what: str) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint32 or labels.shape != valid.shape:
        got = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise AssertionError(f"labels must be a uint32 array of shape {valid.shape}, got {got} for {what}")
    wrong = np.argwhere((labels == 0) == valid)
    if len(wrong):
        row, col = wrong[0]
        found = f"{labels[row, col]} on {'a valid pixel' if valid[row, col] else 'nodata'} at row {row}, col {col}"
        raise AssertionError(f"labels must be 0 exactly where not valid, got {found} of {what}")


def _check_threads(algorithm: SuperpixelAlgorithm, case: Case, labels: NDArray[np.uint32], seed: int) -> None:
    what, image, valid = case
    with ThreadPoolExecutor(2) as threads:
        tasks = [threads.submit(_call, algorithm, image, valid, seed) for _ in range(4)]
        if not all(np.array_equal(task.result(), labels) for task in tasks):
            raise AssertionError(f"threads must give the same labels, and did not for {what}")


def _check_connected(labels: NDArray[np.uint32], what: str) -> None:
    ids, ranks = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(ranks.reshape(labels.shape) + 1)
    for number, box in zip(ids.tolist(), boxes, strict=True):
        n_pieces = ndimage.label(labels[box] == number)[1]
        if number and n_pieces > 1:
            raise AssertionError(f"every id must be one 4-connected region; {number} is {n_pieces} for {what}")


def _check_exact_tiles(algorithm: SuperpixelAlgorithm, seed: int) -> None:
    """Compare tiles with the whole, on a long image of which every tile's window leaves something out."""
    halo = algorithm.halo(exact=True)
    rng = np.random.default_rng([seed, 1])
    tile_size = _BLOCK * max(1, round(halo / 3 / _BLOCK))
    length, breadth = 2 * halo + 4 * tile_size + 5, 2 * _BLOCK + 5
    for shape in ((length, breadth), (breadth, length)):
        image, valid = picture(rng, (3, *shape)), rng.random(shape) < 0.95  # noqa: PLR2004  # few holes
        whole = _call(algorithm, image, valid, seed)
        tiled = superpixelize_tiles(algorithm, image, valid, tile_size=tile_size, halo=halo, seed=seed)
        n_different = np.count_nonzero(whole != tiled)
        if n_different:
            raise AssertionError(
                f"with the exact halo of {halo} pixels tiles must give the labels of the whole raster; "
                f"{n_different} of {whole.size} pixels differ for tiles of {tile_size} on {shape[0]} x {shape[1]}"
            )


def _check_joined_tiles(algorithm: SuperpixelAlgorithm, seed: int) -> None:
    """Look for the tile grid in a label map of three by three tiles, beside the untiled one."""
    halo = algorithm.halo()
    tile_size = _BLOCK * max(4, round(1.5 * halo / _BLOCK))
    shape = (3 * tile_size, 3 * tile_size - 5)
    rng = np.random.default_rng([seed, 2])
    image, valid = picture(rng, (3, *shape)), ndimage.gaussian_filter(rng.random(shape), 5) < 0.52  # noqa: PLR2004  # lakes of nodata
    what = f"tiles of {tile_size} pixels with a halo of {halo} on {shape[0]} x {shape[1]}"

    def once() -> NDArray[np.uint32]:
        return superpixelize_tiles(algorithm, image, valid, tile_size=tile_size, halo=halo, seed=seed)

    tiled = once()
    _check_array(tiled, valid, what)
    _check_connected(tiled, what)
    if not np.array_equal(once(), tiled):
        raise AssertionError(f"the same input must give the same labels, and did not for {what}")
    ours, theirs = (seam_ratio(labels, tile_size) for labels in (tiled, _call(algorithm, image, valid, seed)))
    for direction, ratio, untiled in zip(("down", "across"), ours, theirs, strict=True):
        if ratio > _MOST_SEAMS * max(1.0, untiled):
            raise AssertionError(
                f"the tile grid must not be found in joined tiles; labels change {ratio:.2f} times as often "
                f"{direction} tile edges as elsewhere, {untiled:.2f} times if untiled, for {what}"
            )
