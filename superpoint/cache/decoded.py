"""Small rasters and masks kept decoded, for who reads them window by window in random order.

A JPEG or PNG is decoded from its first row whatever is asked for, a colour mask is turned into classes anew, and GDAL
keeps neither for long: a training that draws 256-pixel patches from some dozen photographs decoded each of them whole
for each patch. What is kept is bounded in bytes for the process, and what was used longest ago goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

type Arrays = tuple[NDArray[Any], ...]

KEPT_BYTES = 256 * 2**20  # in each process
LARGEST_PIXELS = 2**24  # a raster of more is read window by window: keeping few of them would keep none


class RecentlyUsed:
    """Arrays by key, as many as fit; those used longest ago make room.

    Parameters
    ----------
    limit_bytes : int
        What all arrays together may take. Larger ones are handed out and not kept.

    Examples
    --------
    >>> import numpy as np
    >>> kept = RecentlyUsed(limit_bytes=16)
    >>> for key in ("a", "b", "a", "c"):
    ...     _ = kept.get(key, lambda: (np.zeros(8, np.uint8),))
    >>> list(kept.arrays), kept.n_bytes
    (['a', 'c'], 16)
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.arrays: OrderedDict[Hashable, Arrays] = OrderedDict()
        self.n_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a key, read now if they are not kept; they are not to be written to."""
        with self._lock:
            if key in self.arrays:
                self.arrays.move_to_end(key)
                return self.arrays[key]
        arrays = read()
        for array in arrays:
            array.flags.writeable = False
        with self._lock:
            self._keep(key, arrays)
        return arrays

    def _keep(self, key: Hashable, arrays: Arrays) -> None:
        if key in self.arrays or _size(arrays) > self.limit_bytes:
            return
        self.arrays[key] = arrays
        self.n_bytes += _size(arrays)
        while self.n_bytes > self.limit_bytes:
            self.n_bytes -= _size(self.arrays.popitem(last=False)[1])


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)


KEPT = RecentlyUsed(KEPT_BYTES)
"""What this process keeps."""


def is_small(shape: tuple[int, int]) -> bool:
    """Say whether a raster of `(rows, cols)` is kept whole."""
    return shape[0] * shape[1] <= LARGEST_PIXELS
