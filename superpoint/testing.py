"""A conformance kit for superpixel algorithms: ours, and those of any other package.

`check_superpixel_algorithm` calls an algorithm on small made-up images and compares what comes back with the
promises of `superpoint.superpixels.algorithm`. In another package's tests it is one line::

    def test_my_superpixels_keep_the_contract():
        check_superpixel_algorithm(MySuperpixels(region_size=8))

`superpixelize_tiles` is the plain loop over tiles that every way of running the tiles must equal.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.superpixels import describe_algorithm
from superpoint.superpixels.algorithm import Origin, SuperpixelAlgorithm
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Case = tuple[str, NDArray[np.float32], NDArray[np.bool_]]
    """What is checked, image (bands, rows, cols) and valid (rows, cols)."""

_BLOCK = 16  # tiles and offsets are multiples of it, as tiles of the cache are


def check_superpixel_algorithm(algorithm: SuperpixelAlgorithm, *, seed: int = 0) -> None:
    """Check that an algorithm keeps the contract of `SuperpixelAlgorithm`.

    Parameters
    ----------
    algorithm : SuperpixelAlgorithm
        The algorithm with its parameters. Small ones are checked faster: the raster on which tiles are compared
        is twice as long as the exact halo.
    seed : int
        Seed of the made-up images, and of what the algorithm draws.

    Raises
    ------
    AssertionError
        If a promise is broken: one sentence that says which, and on what image.

    Examples
    --------
    >>> from superpoint.superpixels.slic import Slic
    >>> check_superpixel_algorithm(Slic(region_size=6, iterations=2))
    """
    _check_description(algorithm)
    _check_halo(algorithm)
    for what, image, valid in _cases(np.random.default_rng(seed)):
        _check_labels(algorithm, what, image, valid, seed)
    _check_tiles(algorithm, seed)


def superpixelize_tiles(
    algorithm: SuperpixelAlgorithm,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    tile_size: int,
    halo: int,
    seed: int = 0,
) -> NDArray[np.uint32]:
    """Superpixelize an image tile by tile: each reads a halo and writes its core.

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
    labels = np.zeros(valid.shape, np.uint32)
    for tile in TileGrid(shape=(valid.shape[0], valid.shape[1]), size=tile_size, halo=halo):
        found = algorithm(
            image[:, *tile.read.slices],
            valid[tile.read.slices],
            origin=Origin(row=tile.read.row, col=tile.read.col, raster_shape=(valid.shape[0], valid.shape[1])),
            rng=np.random.default_rng([seed, *tile.index]),
        )
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
    for halo in (algorithm.halo(), _exact_halo(algorithm)):
        if halo is not None and not (type(halo) is int and halo >= 0):
            raise AssertionError(f"the halo of {algorithm.name} must be an int of 0 or more, got {halo!r}")


def _exact_halo(algorithm: SuperpixelAlgorithm) -> int | None:
    try:
        return algorithm.halo(exact=True)
    except ValueError:  # the contract's way to say that there is none
        return None


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    shape = (47, 62)
    holes = np.ones(shape, bool)
    holes[10:25, 20:45] = False
    holes[12:20, 30:34] = True  # an island
    for n_bands in (1, 2, 3, 5, 13):
        yield f"an image of {n_bands} bands", _picture(rng, (n_bands, *shape)), np.ones(shape, bool)
    yield "an image with a hole and an island in it", _picture(rng, (3, *shape)), holes
    yield "an image with nodata strewn over it", _picture(rng, (3, *shape)), rng.random(shape) < 0.6  # noqa: PLR2004  # near where islands begin to join
    yield "a checkerboard of nodata", _picture(rng, (1, *shape)), np.indices(shape).sum(axis=0) % 2 == 0
    yield "an image of one colour", np.full((3, *shape), 0.5, np.float32), np.ones(shape, bool)
    yield "an image with values beyond 0 and 1", 20 * _picture(rng, (2, *shape)) - 10, np.ones(shape, bool)
    yield "an image that is all nodata", np.zeros((3, *shape), np.float32), np.zeros(shape, bool)
    for rows, cols, what in ((1, 1, "pixel"), (1, 40, "row"), (40, 1, "column")):
        yield f"an image of one {what}", _picture(rng, (2, rows, cols)), np.ones((rows, cols), bool)


def _picture(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Draw patches of colour with some noise, about 0 to 1."""
    smooth = ndimage.gaussian_filter(rng.random(shape), (0, 4, 4), mode="nearest")
    spread = max(float(np.ptp(smooth)), 1e-9)
    patches = np.round((smooth - smooth.min()) / spread * 4) / 4
    return (patches + rng.normal(0, 0.05, shape)).astype(np.float32)


def _check_labels(
    algorithm: SuperpixelAlgorithm, what: str, image: NDArray[np.float32], valid: NDArray[np.bool_], seed: int
) -> None:
    seen_image, seen_valid = image.copy(), valid.copy()

    def once() -> NDArray[np.uint32]:
        origin = Origin(raster_shape=(valid.shape[0], valid.shape[1]))
        return algorithm(image, valid, origin=origin, rng=np.random.default_rng(seed))

    labels = once()
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint32 or labels.shape != valid.shape:
        got = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise AssertionError(f"labels must be a uint32 array of shape {valid.shape}, got {got} for {what}")
    if not (np.array_equal(image, seen_image) and np.array_equal(valid, seen_valid)):
        raise AssertionError(f"the algorithm must leave its input as it is, and changed it for {what}")
    wrong = np.argwhere((labels == 0) == valid)
    if len(wrong):
        row, col = wrong[0]
        found = f"{labels[row, col]} on {'a valid pixel' if valid[row, col] else 'nodata'} at row {row}, col {col}"
        raise AssertionError(f"labels must be 0 exactly where not valid, got {found} of {what}")
    _check_connected(labels, what)
    if not np.array_equal(once(), labels):
        raise AssertionError(f"the same input must give the same labels, and did not for {what}")
    with ThreadPoolExecutor(2) as threads:
        if not all(np.array_equal(task.result(), labels) for task in [threads.submit(once) for _ in range(4)]):
            raise AssertionError(f"threads must give the same labels, and did not for {what}")


def _check_connected(labels: NDArray[np.uint32], what: str) -> None:
    ids, ranks = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(ranks.reshape(labels.shape) + 1)
    for number, box in zip(ids.tolist(), boxes, strict=True):
        n_pieces = ndimage.label(labels[box] == number)[1]
        if number and n_pieces > 1:
            raise AssertionError(f"every id must be one 4-connected region; {number} is {n_pieces} for {what}")


def _check_tiles(algorithm: SuperpixelAlgorithm, seed: int) -> None:
    """Compare tiles with the whole, on a long image of which every tile's window leaves something out."""
    halo = _exact_halo(algorithm)
    if halo is None:
        return
    rng = np.random.default_rng([seed, 1])
    tile_size = _BLOCK * max(1, round(halo / 3 / _BLOCK))
    length, breadth = 2 * halo + 4 * tile_size + 5, 2 * _BLOCK + 5
    for shape in ((length, breadth), (breadth, length)):
        image, valid = _picture(rng, (3, *shape)), rng.random(shape) < 0.95  # noqa: PLR2004  # few holes
        whole = algorithm(image, valid, origin=Origin(raster_shape=shape), rng=np.random.default_rng(seed))
        tiled = superpixelize_tiles(algorithm, image, valid, tile_size=tile_size, halo=halo, seed=seed)
        n_different = np.count_nonzero(whole != tiled)
        if n_different:
            raise AssertionError(
                f"with the exact halo of {halo} pixels tiles must give the labels of the whole raster; "
                f"{n_different} of {whole.size} pixels differ for tiles of {tile_size} on {shape[0]} x {shape[1]}"
            )
