"""Affinities of neighbouring pixels, learned: the network of `superpoint.models.dal`, over images of any size.

Without weights of your own the ones that come with superpoint are used, a small network trained on aerial images
(`models/dal-aerial.md`). It is computed in blocks on one lattice over the array, each with as many pixels around
it as an affinity looks at, so that memory does not grow with the network times the image.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.errors import InputError, MissingExtraError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""`(row, col)` steps to the neighbours of a pixel, in the order of the channels: E, SE, S, SW, W, NW, N, NE."""
BLOCK = 1024  # side of the blocks computed at a time, pixels; a multiple of the network's alignment
HALO = 128  # pixels around a block: how far an affinity looks (122), in multiples of 16
CLIP = (-0.5, 1.5)  # the range of what the network sees; few values of a scaled image lie beyond
SHIPPED = "dal-aerial.safetensors"


def dal_affinities(image: NDArray[np.float32], *, weights: str | Path | None = None) -> NDArray[np.float32]:
    """Return how likely each pixel and each of its neighbours lie in one segment.

    Computed on the CPU in one thread: the same image gives the same bits on the same machine, wherever it is
    computed in a Dask cluster. Between machines the last digits of floats may differ.

    Parameters
    ----------
    image : float32 array of shape (3, rows, cols)
        Red, green, blue, scaled with whole-raster statistics to about 0..1; clipped to [-0.5, 1.5]. NaN counts as 0, as
        nodata does.
    weights : str or Path, optional
        A `.safetensors` file of `superpoint train-affinity`, or a published checkpoint (`models.dal_weights.load_dal`).
        Those that come with superpoint if None.

    Returns
    -------
    float32 array of shape (8, rows, cols)
        Channels E, SE, S, SW, W, NW, N, NE; 0..1. Of an image at a multiple of 16 from its raster's first row
        and column, pixels at least 128 from an edge inside the raster have the affinities of the whole raster. Not
        with a published checkpoint: its instance norm takes the statistics of the array it is given.

    Raises
    ------
    InputError
        If the image has not three bands, or the weights cannot be read.
    MissingExtraError
        If PyTorch is not installed.

    References
    ----------
    Peng, Aviles-Rivero and Schönlieb (2022), doi:10.1109/WACV51458.2022.00014.

    Examples
    --------
    >>> image = np.zeros((3, 40, 60), np.float32)
    >>> image[:, :, 30:] = 1
    >>> east = dal_affinities(image)[0]  # from each pixel to the next in its row
    >>> bool(east[20, 29] < east[20, 10])
    True
    """
    if image.ndim != 3 or image.shape[0] != 3:  # noqa: PLR2004  # red, green, blue
        raise InputError(f"learned affinities need three bands (red, green, blue), got an array of shape {image.shape}")
    torch = _imported("torch")
    models = _imported("superpoint.models.dal")
    files = _imported("superpoint.models.dal_weights")
    seen = _aligned(np.nan_to_num(clipped(image)), models.ALIGNMENT)
    affinities = np.empty((len(NEIGHBOURS), *image.shape[1:]), np.float32)
    with _one_thread(torch), torch.inference_mode():
        network = files.load_dal(Path(weights) if weights is not None else shipped_weights())
        network = network.to(memory_format=torch.channels_last)
        whole = torch.from_numpy(seen)[None]  # (1, 3, rows, cols)
        with models.frozen_statistics(network, whole):
            for tile in TileGrid(shape=seen.shape[1:], size=BLOCK, halo=HALO):
                block = whole[:, :, *tile.read.slices].contiguous(memory_format=torch.channels_last)
                core = network(block)[0][:, *tile.core.within(tile.read)]  # (8, rows, cols)
                kept = affinities[:, *tile.core.slices]  # the alignment's margin falls away
                kept[:] = core[:, : kept.shape[1], : kept.shape[2]].numpy()
    return affinities


def shipped_weights() -> Path:
    """Return the file of the weights that come with superpoint; `dal-aerial.md` beside it says what they are."""
    return Path(str(resources.files("superpoint.models") / SHIPPED))


def clipped(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image clipped to what the network is shown, here and in its training."""
    return np.clip(np.asarray(image, np.float32), *CLIP)


def _aligned(image: NDArray[np.float32], alignment: int) -> NDArray[np.float32]:
    """Repeat the last row and column until both lengths are multiples of `alignment`."""
    missing = [(0, -length % alignment) for length in image.shape[1:]]
    return np.pad(image, [(0, 0), *missing], mode="edge")


def _imported(module: str) -> Any:  # noqa: ANN401  # a module
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'learned affinities (dal) need {error.name}; install it with: pip install "superpoint[train]", or use '
            f"gaussian affinities"
        ) from error


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:  # noqa: ANN401  # a module
    """Compute in one thread: sums do not depend on their number, nor do tiles side by side fight for cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
