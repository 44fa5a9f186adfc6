"""Which raster a row means that names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_called(text: str, names: Sequence[str]) -> bool:
    """Tell whether a row that says `text` means the raster with some names.

    Parameters
    ----------
    text : str
        A name; or a path, in whole or its end, with or without the suffix.
    names : sequence of str
        The raster's path or URL, its label, its name.

    Examples
    --------
    >>> raster = ["/archive/north/scene.tif", "scene-1"]
    >>> [is_called(text, raster) for text in ("scene", "scene.tif", "north/scene", "scene-1", "cene", "south/scene")]
    [True, True, True, True, False, False]
    """
    for name in names:
        folder, _, file = name.rpartition("/")
        stem = file.rpartition(".")[0] or file
        for known in (name, f"{folder}/{stem}"):
            if f"/{known}".endswith(f"/{text}"):
                return True
    return False
