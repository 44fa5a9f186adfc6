"""Label maps that keep the contract and are as ragged as can be: holes, pixels that touch at corners, nodata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.superpixels.pieces import label_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mosaic(shape: tuple[int, int], seed: int = 0, n_values: int = 3) -> NDArray[np.uint32]:
    """Return the 4-connected pieces of random values under ids in no order; one value in `n_values` is nodata."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, n_values, shape)
    pieces, sizes, _ = label_pieces(values, values > 0)
    ids = rng.choice(2**32 - 1, len(sizes), replace=False).astype(np.uint32) + np.uint32(1)
    return np.append(ids, np.uint32(0))[pieces]
