"""The conformance kit passes what keeps the contract and names what each broken algorithm breaks."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from superpoint.errors import MissingExtraError
from superpoint.superpixels.algorithm import Origin, Traits
from superpoint.superpixels.joining import join_tiles, number_ids
from superpoint.superpixels.slic import Slic
from superpoint.testing import check_superpixels, superpixelize_tiles
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

Labels = NDArray[np.uint32]
counter = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Squares:
    """The lattice, and each piece of a square that nodata cuts off by its first pixel: right, if dull."""

    name: ClassVar[str] = "squares"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits(ids="lattice")
    region_size: int = 8

    def halo(self, *, exact: bool = False) -> int:  # noqa: ARG002  # always exact
        return self.region_size

    def __call__(
        self,
        image: NDArray[np.float32],  # noqa: ARG002  # dull
        valid: NDArray[np.bool_],
        *,
        origin: Origin,
        rng: np.random.Generator,  # noqa: ARG002  # nothing is drawn
    ) -> Labels:
        rows, cols = np.indices(valid.shape)
        rows, cols = rows + origin.row, cols + origin.col
        squares = rows // self.region_size * 10_000 + cols // self.region_size
        labels = np.zeros(valid.shape, np.uint32)
        for square in np.unique(squares):
            pieces, n_pieces = ndimage.label(valid & (squares == square))
            for piece in range(1, n_pieces + 1):
                inside = pieces == piece
                labels[inside] = rows[inside][0] * origin.raster_shape[1] + cols[inside][0] + 1
        return labels


@dataclass(frozen=True)
class Call:
    """What an algorithm was called with."""

    image: NDArray[np.float32]
    valid: NDArray[np.bool_]
    origin: Origin
    rng: np.random.Generator

    def shifted(self, labels: Labels, shift: int) -> Labels:
        """Add to every id, which keeps all but determinism."""
        return np.where(self.valid, labels + np.uint32(shift), 0).astype(np.uint32)


def spoilt(spoil: Callable[[Labels, Call], object]) -> Squares:
    """Squares that spoil what they return."""

    class Spoilt(Squares):
        def __call__(  # type: ignore[override]  # that is the point
            self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
        ) -> object:
            return spoil(super().__call__(image, valid, origin=origin, rng=rng), Call(image, valid, origin, rng))

    return Spoilt()


@dataclass(frozen=True, kw_only=True)
class OwnSquares(Squares):
    """Squares that stand on the window's corner and not on the raster's: tiles must be joined."""

    name: ClassVar[str] = "own-squares"
    traits: ClassVar[Traits] = Traits(ids="joined")
    region_size: int = 9

    def halo(self, *, exact: bool = False) -> int:
        if exact:
            raise ValueError("tiles do not agree on their squares")
        return 3 * self.region_size

    def __call__(
        self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
    ) -> Labels:
        here = replace(origin, row=0, col=0)
        return super().__call__(image, valid, origin=here, rng=rng)


class Framed(OwnSquares):
    """Squares that end where the tile's core does."""

    def __call__(
        self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
    ) -> Labels:
        labels = super().__call__(image, valid, origin=origin, rng=rng)
        halo = self.halo()
        rows, cols = (
            (np.arange(size) >= halo).astype(int) + (np.arange(size) >= size - halo).astype(int) for size in valid.shape
        )
        return number_ids(np.where(valid, 9 * labels + 3 * rows[:, None] + cols, 0)).astype(np.uint32)


class ShortSighted(OwnSquares):
    def halo(self, *, exact: bool = False) -> int:
        return min(8, super().halo(exact=exact))


class Boastful(OwnSquares):
    traits: ClassVar[Traits] = Traits(ids="lattice")


class Traitless(Squares):
    traits: ClassVar[str] = "lattice"  # type: ignore[assignment]


def meddling(labels: Labels, call: Call) -> object:
    call.image[0, 0, 0] += 1
    return labels


def picky(labels: Labels, call: Call) -> object:
    if len(call.image) > 4:
        raise ValueError("only four bands")
    return labels


def stretching(labels: Labels, call: Call) -> object:
    """Depend on the largest value of whatever is given, as scikit-image's SLIC does."""
    return call.shifted(labels, int(1e3 * np.abs(call.image[:, call.valid]).max(initial=0)))


def touchy(labels: Labels, call: Call) -> object:
    """Let what stands on nodata have a say."""
    return call.shifted(labels, int(np.isnan(call.image).any()))


def superstitious(labels: Labels, call: Call) -> object:
    """Fear an image that only Hypothesis draws."""
    return labels.astype(np.int64) if len(call.image) == 7 else labels


def fickle(labels: Labels, call: Call) -> object:
    """Think again about an image that only Hypothesis draws."""
    return call.shifted(labels, next(counter) if len(call.image) == 7 else 0)


class HalfHalo(Squares):
    def halo(self, *, exact: bool = False) -> int:
        return self.region_size / 2 if exact else self.region_size  # type: ignore[return-value]


class NegativeHalo(Squares):
    def halo(self, *, exact: bool = False) -> int:
        return 0 if exact else -1


class Nameless(Squares):
    name: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Paired(Squares):
    """JSON turns its tuple into a list."""

    weights: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class Infinite(Squares):
    limit: float = math.inf


@dataclass(kw_only=True)
class Thawed:
    name: ClassVar[str] = "thawed"
    version: ClassVar[str] = "1"
    region_size: int = 8


@dataclass(frozen=True, kw_only=True)
class Backwards:
    name: ClassVar[str] = "backwards"
    version: ClassVar[str] = "1"
    traits: ClassVar[Traits] = Traits()
    step: int = 1
    region_size: int = 8


@pytest.mark.parametrize(
    "algorithm",
    [
        Slic(region_size=6, iterations=2),
        Slic(region_size=3.7, iterations=1, compactness=0),
        Slic(),
        Squares(),
        OwnSquares(),
        OwnSquares(region_size=5),
    ],
)
def test_algorithms_that_keep_the_contract_pass(algorithm: SuperpixelAlgorithm) -> None:
    check_superpixels(algorithm)
    check_superpixels(algorithm, seed=7)


def test_an_algorithm_that_says_it_draws_nothing_must_not() -> None:
    class Drawing(Squares):
        traits: ClassVar[Traits] = Traits(ids="lattice", draws=False)

        def __call__(
            self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
        ) -> Labels:
            labels = super().__call__(image, valid, origin=origin, rng=rng)
            return Call(image, valid, origin, rng).shifted(labels, int(rng.integers(1000)))

    with pytest.raises(AssertionError, match="traits say that nothing is drawn, and another rng gave other labels"):
        check_superpixels(Drawing())


def test_an_algorithm_that_promises_no_exact_halo_is_not_held_to_one() -> None:
    class Frank(OwnSquares):
        def __call__(
            self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
        ) -> Labels:
            labels = super().__call__(image, valid, origin=origin, rng=rng)
            return Call(image, valid, origin, rng).shifted(labels, int(1e3 * image[:, valid].max(initial=0)))

    check_superpixels(Frank())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda labels, _: labels.astype(np.int32),
            r"uint32 array of shape \(47, 62\), got int32 \(47, 62\) for an im",
        ),
        (lambda labels, _: labels[:-1], r"uint32 array of shape \(47, 62\), got uint32 \(46, 62\)"),
        (lambda labels, _: labels.tolist(), "got list"),
        (lambda labels, _: np.maximum(labels, 1), "got 1 on nodata at row 10, col 20 of an image with a hole"),
        (lambda labels, _: labels - (labels > 0), "0 exactly where not valid, got 0 on a valid pixel at row 0, col 0"),
        (
            lambda labels, _: (labels > 0).astype(np.uint32),
            "4-connected region; 1 is 2 for an image with a hole and an",
        ),
        (lambda _, call: ndimage.label(call.valid, np.ones((3, 3)))[0].astype(np.uint32), "one 4-connected region"),
        (meddling, "leave its input as it is"),
        (lambda labels, call: call.shifted(labels, next(counter)), "the same input must give the same labels"),
        (
            lambda labels, call: call.shifted(labels, threading.current_thread() is not threading.main_thread()),
            "threads must give the same labels",
        ),
        (
            lambda labels, call: call.shifted(labels, call.origin.row),
            r"exact halo of 8 pixels tiles must give the labels of the whole raster; \d+ of \d+ pixels differ",
        ),
        (stretching, "tiles must give the labels of the whole raster"),
        (
            lambda labels, call: call.shifted(labels, call.rng.integers(10**6)),
            "tiles must give the labels of the whole",
        ),
        (touchy, "what stands on nodata must not matter, and nan there did for an image with a hole"),
        (superstitious, r"got int64 \(.*\) for an image of .*, 7 bands, \d+ x \d+ pixels, \d+ % of them valid"),
        (fickle, "the same input must give the same labels, and did not for an? .*image"),
    ],
)
def test_labels_that_break_a_promise_are_named(spoil: Callable[[Labels, Call], object], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_superpixels(spoilt(spoil))


@pytest.mark.parametrize(
    ("algorithm", "sentence"),
    [
        (HalfHalo(), "halo of squares must be an int of 0 or more, got 4.0"),
        (NegativeHalo(), "halo of squares must be an int of 0 or more, got -1"),
        (Nameless(), "Nameless.name must be a class variable"),
        (Paired(), r"come back from JSON as Paired\(.*\[1.0, 2.0\]\)"),
        (Infinite(), "do not survive JSON"),
        (Traitless(), "Traitless.traits must be a class variable, an object of Traits"),
        (Boastful(), "traits of own-squares must say ids='joined', as it has no exact halo, got 'lattice'"),
        (ShortSighted(), "its halo must be at least its region size, 9 pixels, got 8"),
        (Thawed(), "Thawed must be a frozen dataclass"),
        (Backwards(), r"first parameter of Backwards must be region_size, got \['step', 'region_size'\]"),
    ],
)
def test_parameters_that_break_a_promise_are_named(algorithm: SuperpixelAlgorithm, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_superpixels(algorithm)


def test_an_algorithm_that_cannot_take_the_bands_shows_its_own_error() -> None:
    with pytest.raises(ValueError, match="only four bands"):
        check_superpixels(spoilt(picky))


def test_tiles_that_can_be_found_after_joining_are_named() -> None:
    sentence = r"the tile grid must not be found .* change \d.\d\d times as often down .*, [01].\d\d times if untiled"
    with pytest.raises(AssertionError, match=sentence):
        check_superpixels(Framed())


def test_without_hypothesis_the_kit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError, match="Hypothesis, which is not installed; install it: pip install hyp"):
        check_superpixels(Squares())


def test_importing_the_kit_needs_no_hypothesis() -> None:
    code = "import superpoint.testing, sys; print('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_the_kit_draws_the_same_images_every_time() -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        images: list[bytes] = []
        seen.append(images)

        class Watching(Squares):
            def __call__(
                self, image: NDArray[np.float32], valid: NDArray[np.bool_], *, origin: Origin, rng: np.random.Generator
            ) -> Labels:
                images.append(image.tobytes())  # noqa: B023  # called before the next round
                return super().__call__(image, valid, origin=origin, rng=rng)

        check_superpixels(Watching(), n_images=10)
    assert sorted(seen[0]) == sorted(seen[1])


def test_tiles_are_joined_if_there_are_several_and_no_exact_halo() -> None:
    rng = np.random.default_rng(0)
    image, valid = rng.random((2, 70, 90)).astype(np.float32), np.ones((70, 90), bool)
    algorithm = OwnSquares()
    grid = TileGrid(shape=(70, 90), size=48, halo=27)
    windows = [
        algorithm(image[:, *tile.read.slices], valid[tile.read.slices], origin=Origin(raster_shape=(70, 90)), rng=rng)
        for tile in grid
    ]
    tiled = superpixelize_tiles(algorithm, image, valid, tile_size=48, halo=27)
    np.testing.assert_array_equal(tiled, join_tiles(grid, windows, region_size=9))
    alone = superpixelize_tiles(algorithm, image, valid, tile_size=90, halo=27)
    np.testing.assert_array_equal(alone, algorithm(image, valid, origin=Origin(raster_shape=(70, 90)), rng=rng))


@pytest.mark.parametrize("tile_size", [1, 5, 16, 100])
def test_tiles_put_together_cover_the_image(tile_size: int) -> None:
    rng = np.random.default_rng(0)
    image, valid = rng.random((2, 33, 41)).astype(np.float32), rng.random((33, 41)) < 0.9
    labels = superpixelize_tiles(Squares(region_size=4), image, valid, tile_size=tile_size, halo=4)
    np.testing.assert_array_equal(labels > 0, valid)
