"""What a page about a run is made of, and what follows from it: sums, rates, groups."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

OTHERS = "others"
"""Name of all hosts but the busiest."""
_PATH = re.compile(r"(?:\w+://|/)[^\s;,'\"]+")
_PLACE = re.compile(r"\b(?:row|col)s? \d+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TileFacts:
    """One tile."""

    raster: int
    """Place of its raster in the list of rasters."""
    tile: str
    """`row.col`."""
    is_done: bool
    is_ours: bool
    """Whether this run computed it; otherwise it was in the cache."""
    attempts: int
    seconds: float
    """Of the last attempt."""
    finished: float
    """Seconds since 1970."""
    host: str
    n_pixels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RasterFacts:
    """One raster of a run."""

    name: str
    path: str
    """As it was given."""
    state: str
    """running, done, quarantined, or unfinished if the run ended before."""
    reason: str | None = None
    """Why it is quarantined."""
    shape: tuple[int, int] | None = None
    """`(rows, cols)`; None if it could not be opened."""
    n_bands: int = 0
    dtype: str = ""
    crs: str = ""
    n_tiles: int = 0
    n_computed: int = 0
    """Tiles computed by this run."""
    n_failed: int = 0
    n_superpixels: int = 0
    n_bytes: int = 0
    """Of the result, as stored."""
    n_pixels_done: int = 0
    """Pixels of the tiles that are done."""
    seconds: float = 0.0
    output: str | None = None
    failed_tiles: tuple[tuple[str, str], ...] = ()
    """`(tile, reason)`."""

    @property
    def bits_per_pixel(self) -> float | None:
        """Size of what is done of the result; None if nothing is."""
        return 8 * self.n_bytes / self.n_pixels_done if self.n_pixels_done else None

    @property
    def has_failures(self) -> bool:
        """Whether something of it could not be done."""
        return self.state == "quarantined" or bool(self.failed_tiles) or self.n_failed > 0


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """Two small pictures of a raster."""

    close_up: bytes
    """PNG of a few superpixels."""
    overview: bytes | None
    """PNG of all of the raster; None where it would have to be read whole for that."""
    note: str
    """What the close-up shows."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """The run."""

    run: str
    """Its id."""
    command: str
    version: str
    """Of superpoint."""
    state: str
    """running, done, quarantined, stopped, killed or failed."""
    started: float
    """Seconds since 1970."""
    finished: float | None
    """None while it runs, or if it was killed."""
    goes: Sequence[tuple[float, float]]
    """Start and end of each time it was worked on, seconds since 1970."""
    made: float
    """When the page was made."""
    cache: str
    hosts: Sequence[str]
    """Machines that computed tiles."""
    n_threads: int | None
    """Of all of them, where that is known."""
    packages: Mapping[str, str]
    settings: str
    """As JSON."""
    n_rasters: int
    """That were asked for."""
    rasters: Sequence[RasterFacts]
    """Those that were begun."""
    tiles: Sequence[TileFacts]
    thumbnails: Mapping[int, Thumbnail] = field(default_factory=dict)
    """By the place of the raster in the list."""

    @property
    def seconds(self) -> float:
        """Time it took, all goes together."""
        return sum(max(end - start, 0.0) for start, end in self.goes)

    @cached_property
    def titles(self) -> list[str]:
        """What each raster is called: its name, or its path where several go by the same name."""
        known = Counter(raster.name for raster in self.rasters)
        return [raster.name if known[raster.name] == 1 else raster.path for raster in self.rasters]

    @cached_property
    def ours(self) -> list[TileFacts]:
        """Tiles that this run computed, those that failed included."""
        return [tile for tile in self.tiles if tile.is_ours]


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Pixels a second over time."""

    edges: NDArray[np.float64]
    """Of the bins, seconds since 1970; shape (bins + 1,)."""
    rates: dict[str, NDArray[np.float64]]
    """Megapixels a second of each host, shape (bins,)."""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What one machine did."""

    host: str
    n_tiles: int
    n_failed: int
    n_pixels: int
    busy_seconds: float
    """Of all its threads together."""
    span_seconds: float
    """From its first tile's start to its last one's end."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What could not be done of one raster for one reason."""

    raster: RasterFacts
    tiles: tuple[str, ...]
    """Empty if it was the raster as a whole."""
    reason: str
    """Of the first of them; those of the others differ in the place only."""


def throughput(tiles: Sequence[TileFacts], edges: NDArray[np.float64], *, most_hosts: int) -> Throughput:
    """Return how fast pixels were done over time.

    The pixels of a tile are spread evenly over the seconds it took: counted at its end, a few large tiles would look
    like bursts.

    Parameters
    ----------
    tiles : sequence of TileFacts
        Those that are done.
    edges : float64 array of shape (bins + 1,)
        Of the bins, seconds since 1970, ascending.
    most_hosts : int
        How many hosts are told apart: the busiest; the rest are `others`.
    """
    busiest = [host.host for host in hosts_of(tiles)[:most_hosts]]
    rates = {}
    for name in [*busiest, OTHERS]:
        those = [tile for tile in tiles if (tile.host if tile.host in busiest else OTHERS) == name]
        if those:
            rates[name] = np.diff(_done_by(edges, those)) / np.diff(edges) / 1e6
    return Throughput(edges=edges, rates=rates)


def _done_by(times: NDArray[np.float64], tiles: Sequence[TileFacts]) -> NDArray[np.float64]:
    """Return the pixels done by each of some times."""
    seconds = np.array([max(tile.seconds, 1e-6) for tile in tiles])
    starts = np.array([tile.finished for tile in tiles]) - seconds
    pixels = np.array([tile.n_pixels for tile in tiles], np.float64)
    return np.array([pixels @ ((time - starts) / seconds).clip(0, 1) for time in times])


def hosts_of(tiles: Iterable[TileFacts]) -> list[HostFacts]:
    """Return what each machine did, the busiest first."""
    by_host: dict[str, list[TileFacts]] = {}
    for tile in tiles:
        by_host.setdefault(tile.host, []).append(tile)
    found = [
        HostFacts(
            host=host,
            n_tiles=sum(tile.is_done for tile in those),
            n_failed=sum(not tile.is_done for tile in those),
            n_pixels=sum(tile.n_pixels for tile in those if tile.is_done),
            busy_seconds=sum(tile.seconds for tile in those),
            span_seconds=max(tile.finished for tile in those) - min(tile.finished - tile.seconds for tile in those),
        )
        for host, those in by_host.items()
    ]
    return sorted(found, key=lambda host: (-host.n_pixels, host.host))


def failures_of(rasters: Iterable[RasterFacts]) -> list[Failure]:
    """Return what could not be done, in the order of the rasters."""
    found = []
    for raster in rasters:
        by_reason: dict[str, list[tuple[str, str]]] = {}
        for tile, reason in raster.failed_tiles:
            by_reason.setdefault(_PLACE.sub("", reason), []).append((tile, reason))
        found += [
            Failure(raster=raster, tiles=tuple(tile for tile, _ in those), reason=those[0][1])
            for those in by_reason.values()
        ]
        if raster.state == "quarantined" and not raster.failed_tiles:
            found.append(Failure(raster=raster, tiles=(), reason=raster.reason or "no reason is known"))
    return found


def kinds_of(failures: Iterable[Failure]) -> list[list[Failure]]:
    """Group failures whose reasons differ in names and numbers only; the largest group first."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(_NUMBER.sub("#", general_reason(failure)), []).append(failure)
    return sorted(groups.values(), key=lambda group: -sum(len(failure.tiles) or 1 for failure in group))


def general_reason(failure: Failure) -> str:
    """Return a reason without the names and places in it."""
    text = _PATH.sub("*", _PLACE.sub("", failure.reason.replace(failure.raster.path, "*")))
    return re.sub(rf"(?<!\w){re.escape(failure.raster.name)}(?!\w)", "*", text) if failure.raster.name else text
