"""Sampling strategies: how many points of which stratum, by name.

A strategy divides the pixels of a mask into *strata* (its classes, its patches, the superpixels of a label map, or all
of it), and says of their sizes alone how many points each gives. Which pixels these are is drawn by `sample.py`, the
same way for all. Only labelled pixels are ever drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from superpoint.errors import InputError
from superpoint.points.budgets import equal_shares, even_parts, proportional_shares, rounded_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Short = Literal["share", "leave"]
Kind = Literal["pixels", "classes", "superpixels", "patches"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """Some full rows of a mask."""

    row: int
    """First row, pixels from the top edge of the raster."""
    values: NDArray[np.uint8]
    """Class values of shape (rows, cols); 255 is unlabelled."""
    labels: NDArray[np.uint32] | None = None
    """Superpixel ids of the same pixels, 0 on nodata; None if there is no label map."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strata:
    """The strata of a mask, in ascending order of their numbers."""

    ids: NDArray[np.int64]
    """Numbers, each once, of shape (strata,)."""
    sizes: NDArray[np.int64]
    """Pixels of each."""
    counts: NDArray[np.int64]
    """Labelled pixels of each: what can be drawn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """How many points are drawn of which strata, in the order in which they come out."""

    places: NDArray[np.int64]
    """Places in `Strata` of those that are drawn from, each once."""
    quotas: NDArray[np.int64]
    """Points drawn of each."""
    asked: NDArray[np.int64]
    """Points that each would give if it had enough pixels."""
    n_asked: int
    """Points asked for in all."""


class SamplingStrategy(Protocol):
    """A frozen dataclass of its parameters; same pixels, same plan."""

    name: ClassVar[str]
    """What it is called in settings."""
    strata: ClassVar[Kind]
    """What it divides the pixels into; superpixels need a label map."""

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the stratum of each pixel of a strip, whether labelled or not; below 0 is none."""

    def plan(self, strata: Strata) -> Plan:
        """Return how many points are drawn of which strata."""


def _everything(strip: Strip) -> NDArray[np.int64]:
    return np.zeros(strip.values.shape, np.int64)


def _classes(strip: Strip) -> NDArray[np.int64]:
    return strip.values.astype(np.int64)


def _all_of(strata: Strata, quotas: NDArray[np.int64], asked: NDArray[np.int64], n_asked: int) -> Plan:
    return Plan(places=np.arange(len(strata.ids)), quotas=quotas, asked=asked, n_asked=n_asked)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise InputError(f"fraction must be above 0 and at most 1, got {fraction}")


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{name} must be a whole number from 0, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class _Budget:
    """A number of points on each mask."""

    n_points: int
    """Points on each mask, exactly."""

    def __post_init__(self) -> None:
        _check_count("n_points", self.n_points)


@dataclass(frozen=True, kw_only=True)
class _SharedBudget(_Budget):
    """A number of points on each mask, of which some may be left over."""

    short: Short = "share"
    """What a stratum with too few pixels leaves over: `share` it among the others, which the pipeline refuses where
    they have too few as well, or `leave` it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.short not in ("share", "leave"):
            raise InputError(f"short must be share or leave, got {self.short!r}")


@dataclass(frozen=True, kw_only=True)
class Random(_SharedBudget):
    """Uniform over all labelled pixels: a rare class may get no point."""

    name: ClassVar[str] = "random"
    strata: ClassVar[Kind] = "pixels"

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return 0 for every pixel: there is one stratum."""
        return _everything(strip)

    def plan(self, strata: Strata) -> Plan:
        """Return the whole budget."""
        quotas = np.minimum(strata.counts, self.n_points)
        return _all_of(strata, quotas, np.full_like(quotas, self.n_points), self.n_points)


@dataclass(frozen=True, kw_only=True)
class Proportional(_Budget):
    """Each class by its share of the labelled pixels, by the largest remainder; a rare class may get no point.

    No class has too few pixels for its share.
    """

    name: ClassVar[str] = "proportional"
    strata: ClassVar[Kind] = "classes"

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the class of each pixel."""
        return _classes(strip)

    def plan(self, strata: Strata) -> Plan:
        """Return shares that add up to the budget."""
        quotas = proportional_shares(strata.counts, self.n_points)
        return _all_of(strata, quotas, quotas, self.n_points)


@dataclass(frozen=True, kw_only=True)
class Balanced(_SharedBudget):
    """The same number of points for each class present; what does not divide evenly goes to the lowest classes.

    What a class with too few pixels leaves over goes to the others in equal parts (`short="share"`), so that the
    budget is met while there are pixels; or to none (`short="leave"`), so that no class has more than an equal part.
    """

    name: ClassVar[str] = "balanced"
    strata: ClassVar[Kind] = "classes"

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the class of each pixel."""
        return _classes(strip)

    def plan(self, strata: Strata) -> Plan:
        """Return equal shares of the classes that have labelled pixels."""
        places = np.flatnonzero(strata.counts)
        counts = strata.counts[places]
        asked = even_parts(len(places), self.n_points)
        shared = self.short == "share"
        quotas = equal_shares(counts, self.n_points) if shared else np.minimum(counts, asked)
        return Plan(places=places, quotas=quotas, asked=asked, n_asked=self.n_points)


@dataclass(frozen=True, kw_only=True)
class Superpixel(_SharedBudget):
    """One point in each superpixel, the largest first, at a random labelled pixel of it; ties go to the lowest id.

    A superpixel without a labelled pixel is passed over: the next one takes its turn.
    """

    name: ClassVar[str] = "superpixel"
    strata: ClassVar[Kind] = "superpixels"

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the superpixel of each pixel."""
        if strip.labels is None:
            raise ValueError("strategy 'superpixel' needs a label map")
        return np.where(strip.labels > 0, strip.labels.astype(np.int64), -1)

    def plan(self, strata: Strata) -> Plan:
        """Return one point of each of the largest."""
        having = np.flatnonzero(strata.counts)
        largest = having[np.argsort(-strata.sizes[having], kind="stable")][: self.n_points]
        ones = np.ones(len(largest), np.int64)
        return Plan(places=largest, quotas=ones, asked=ones, n_asked=self.n_points)


@dataclass(frozen=True, kw_only=True)
class PerPatch:
    """A fixed number of uniform random labelled pixels in each square patch.

    The protocol of the published report on point labels with a partial focal loss (pfCE): 100 pixels for each patch of
    256 x 256. Patches are laid from the raster's top left corner. One that is cut by the right or bottom edge
    gives as many points as a whole one; one with fewer labelled pixels gives all of them, and the rest goes to none.
    """

    name: ClassVar[str] = "per-patch"
    strata: ClassVar[Kind] = "patches"
    n_points: int = 100
    """Points in each patch."""
    patch: int = 256
    """Side of a patch in pixels."""

    def __post_init__(self) -> None:
        _check_count("n_points", self.n_points)
        if isinstance(self.patch, bool) or not isinstance(self.patch, int) or self.patch < 1:
            raise InputError(f"patch must be a whole number of pixels from 1, got {self.patch!r}")

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the patch of each pixel, counted in raster order."""
        n_rows, n_cols = strip.values.shape
        rows = (strip.row + np.arange(n_rows, dtype=np.int64)) // self.patch
        cols = np.arange(n_cols, dtype=np.int64) // self.patch
        return np.asarray(rows[:, None] * -(-n_cols // self.patch) + cols)

    def plan(self, strata: Strata) -> Plan:
        """Return as many points of each patch as it has, up to the number."""
        asked = np.full(len(strata.ids), self.n_points, np.int64)
        return _all_of(strata, np.minimum(asked, strata.counts), asked, int(asked.sum()))


@dataclass(frozen=True, kw_only=True)
class Fraction:
    """A fraction of the labelled pixels, uniform over all of them: rounded half up, at least one.

    With 1 % the random protocol of the published report that compares random with stratified points.
    """

    name: ClassVar[str] = "fraction"
    strata: ClassVar[Kind] = "pixels"
    fraction: float = 0.01
    """Share of the labelled pixels, (0, 1]."""

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return 0 for every pixel: there is one stratum."""
        return _everything(strip)

    def plan(self, strata: Strata) -> Plan:
        """Return the fraction of all."""
        quotas = rounded_shares(strata.counts, self.fraction)
        return _all_of(strata, quotas, quotas, int(quotas.sum()))


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """A fraction of the pixels of each class present: rounded half up, at least one.

    With 1 % the stratified protocol of the published report that compares random with stratified points.
    """

    name: ClassVar[str] = "stratified"
    strata: ClassVar[Kind] = "classes"
    fraction: float = 0.01
    """Share of the pixels of each class, (0, 1]."""

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    def strata_of(self, strip: Strip) -> NDArray[np.int64]:
        """Return the class of each pixel."""
        return _classes(strip)

    def plan(self, strata: Strata) -> Plan:
        """Return the fraction of each."""
        quotas = rounded_shares(strata.counts, self.fraction)
        return _all_of(strata, quotas, quotas, int(quotas.sum()))


STRATEGIES: Mapping[str, type[Any]] = {
    strategy.name: strategy for strategy in (Random, Proportional, Balanced, Superpixel, PerPatch, Fraction, Stratified)
}
"""The sampling strategies by name."""


def make_strategy(name: str, parameters: Mapping[str, object]) -> SamplingStrategy:
    """Build a sampling strategy from its name and parameters.

    Parameters
    ----------
    name : str
        One of `STRATEGIES`.
    parameters : mapping of str to value
        Its fields.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or one is missing or not allowed.

    Examples
    --------
    >>> make_strategy("per-patch", {"patch": 128})
    PerPatch(n_points=100, patch=128)
    """
    if name not in STRATEGIES:
        raise InputError(f"unknown strategy {name!r}; known: {', '.join(sorted(STRATEGIES))}")
    strategy = STRATEGIES[name]
    known = [field.name for field in fields(strategy)]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InputError(f"strategy {name!r} has no parameter {unknown[0]!r}; it takes {', '.join(known)}")
    if "n_points" in known and name != PerPatch.name and "n_points" not in parameters:
        raise InputError(f"strategy {name!r} needs a number of points; give it with --n-points")
    made: SamplingStrategy = strategy(**parameters)
    return made
