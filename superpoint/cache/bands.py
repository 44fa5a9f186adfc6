"""Bands by name and number: what a file, a stack of files and a STAC item call theirs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from superpoint.cache.inputs import name_of
from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.headers import Header
    from superpoint.cache.inputs import Source

MAX_BANDS = 1024  # of those used: 256 x 256 pixels of them, the least that is read at a time, have 256 MiB
MAX_LISTED = 99

type Names = tuple[str, ...]
"""What a band is called; empty if nobody named it."""


def names_in_stack(source: Source, headers: Sequence[Header]) -> list[Names]:
    """Return what each file of a stack is called: by its list or item, and by itself.

    Raises
    ------
    InputError
        If a file has several bands.
    """
    own = source.band_names or tuple(name_of(path) for path in source.paths)
    for name, header in zip(own, headers, strict=True):
        if header.data_bands != (1,):
            raise InputError(
                f"{name} of {source.label} has {len(header.data_bands)} bands; only single bands are stacked, "
                f"take it alone"
            )
    aliases = source.aliases or ((),) * len(own)
    return [(name, *more, *header.names[0]) for name, more, header in zip(own, aliases, headers, strict=True)]


def names_in_file(source: Source, header: Header) -> list[Names]:
    """Return what each band of a file is called; what an item says counts where it speaks of as many bands."""
    fits = len(source.aliases) == len(header.data_bands) and header.data_bands == tuple(
        range(1, len(header.data_bands) + 1)
    )
    aliases = source.aliases if fits else ()
    padded = (*aliases, *((),) * (header.n_bands - len(aliases)))
    return [(*own, *more) for own, more in zip(header.names, padded, strict=True)]


def choose_bands(label: str, names: Sequence[Names], asked: Sequence[int | str]) -> tuple[int, ...]:
    """Return the numbers of bands, from 1.

    Parameters
    ----------
    label : str
        What the raster is called in messages.
    names : sequence of tuple of str
        What each band is called; the first name counts before all others.
    asked : sequence of int or str
        Numbers, or names whatever their case. Digits are a name if a band has that name.

    Raises
    ------
    InputError
        If there is no such band, or several have the name.
    """
    return tuple(_number(label, names, band) for band in asked)


def _number(label: str, names: Sequence[Names], asked: int | str) -> int:
    wanted = str(asked).strip()
    found = _called(names, wanted) if isinstance(asked, str) else []
    if len(found) > 1:
        raise InputError(f"{label} has several bands called {wanted!r}, {', '.join(map(str, found))}; give the number")
    if not found and not re.fullmatch(r"-?\d+", wanted):
        known = ", ".join(f"{at} {own[0]}" if own else str(at) for at, own in enumerate(names[:MAX_LISTED], start=1))
        raise InputError(f"{label} has no band {wanted!r}; bands: {known}")
    number = found[0] if found else int(wanted)
    if not 1 <= number <= len(names):
        raise InputError(f"{label} has bands 1 to {len(names)}, there is no band {number}")
    return number


def _called(names: Sequence[Names], wanted: str) -> list[int]:
    """Return the bands of which this is the first name, or if there are none, any name."""
    folded = [[name.casefold() for name in own] for own in names]
    first = [at for at, own in enumerate(folded, start=1) if wanted.casefold() in own[:1]]
    return first or [at for at, own in enumerate(folded, start=1) if wanted.casefold() in own]


def refuse_too_many(label: str, bands: Sequence[int]) -> None:
    """Refuse what cannot be read in bounded memory, and what is no image.

    Raises
    ------
    InputError
        If so.
    """
    if not bands:
        raise InputError(f"{label} has no band but alpha; give a raster with an image")
    if len(bands) > MAX_BANDS:
        raise InputError(f"{label} has {len(bands)} bands to be read at once (limit {MAX_BANDS}); choose with --bands")
