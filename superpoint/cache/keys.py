"""Cache keys: a digest of everything that decides the bytes. The parameters are the provenance."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def digest(provenance: Mapping[str, Any]) -> str:
    """Return 32 hexadecimal digits of the sorted JSON of `provenance`.

    Examples
    --------
    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(provenance, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """Return 32 hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def checksum(*arrays: NDArray[np.generic]) -> str:
    """Return 32 hexadecimal digits of the arrays' bytes, in C order."""
    state = hashlib.blake2b(digest_size=16)
    for array in arrays:
        state.update(array.tobytes())
    return state.hexdigest()
