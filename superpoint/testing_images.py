"""The images on which `superpoint.testing` tries superpixel algorithms: hand-made ones, and ones that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Case = tuple[str, NDArray[np.float32], NDArray[np.bool_]]
    """What it is, image (bands, rows, cols) and valid (rows, cols)."""

KINDS = ("patches", "noise", "one colour", "a ramp", "two colours")


def made_images(rng: np.random.Generator) -> Iterator[Case]:
    """Yield images of which each has something that algorithms stumble over."""
    shape = (47, 62)
    holes = np.ones(shape, bool)
    holes[10:25, 20:45] = False
    holes[12:20, 30:34] = True  # an island
    for n_bands in (1, 2, 3, 5, 13):
        yield f"an image of {n_bands} bands", picture(rng, (n_bands, *shape)), np.ones(shape, bool)
    yield "an image with a hole and an island in it", picture(rng, (3, *shape)), holes
    yield "an image with nodata strewn over it", picture(rng, (3, *shape)), rng.random(shape) < 0.6  # noqa: PLR2004  # near where islands begin to join
    yield "a checkerboard of nodata", picture(rng, (1, *shape)), np.indices(shape).sum(axis=0) % 2 == 0
    yield "an image of one colour", np.full((3, *shape), 0.5, np.float32), np.ones(shape, bool)
    yield "an image with values beyond 0 and 1", 20 * picture(rng, (2, *shape)) - 10, np.ones(shape, bool)
    yield "an image that is all nodata", np.zeros((3, *shape), np.float32), np.zeros(shape, bool)
    for rows, cols, what in ((1, 1, "pixel"), (1, 40, "row"), (40, 1, "column")):
        yield f"an image of one {what}", picture(rng, (2, rows, cols)), np.ones((rows, cols), bool)


def picture(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Draw patches of colour with some noise, about 0 to 1, as (bands, rows, cols)."""
    smooth = ndimage.gaussian_filter(rng.random(shape), (0, 4, 4), mode="nearest")
    spread = max(float(np.ptp(smooth)), 1e-9)
    patches = np.round((smooth - smooth.min()) / spread * 4) / 4
    return (patches + rng.normal(0, 0.05, shape)).astype(np.float32)


def try_drawn_images(check: Callable[[Case], object], *, n_images: int) -> None:
    """Let Hypothesis draw images of odd shapes and masks; a failure is raised for the smallest it finds.

    Raises
    ------
    MissingExtraError
        If Hypothesis is not installed.
    AssertionError
        What `check` raises, or that it did so for an image only once.
    """
    try:
        import hypothesis
        from hypothesis import strategies as st
    except ImportError as error:
        raise MissingExtraError(
            "checking superpixels draws images with Hypothesis, which is not installed; install it: "
            "pip install hypothesis"
        ) from error
    cases = st.builds(
        _draw,
        shape=st.tuples(st.integers(1, 33), st.integers(1, 33)),
        n_bands=st.sampled_from([3, 1, 2, 4, 7]),
        kind=st.sampled_from(KINDS),
        valid_percent=st.sampled_from([100, 95, 60, 30, 0]),
        seed=st.integers(0, 2**32 - 1),
    )
    # The same images in every run, and nothing left on disk: what is checked is the algorithm, not luck.
    options = hypothesis.settings(
        max_examples=n_images, derandomize=True, deadline=None, database=None, report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip

    @options
    @hypothesis.given(cases)
    def check_each(case: Case) -> None:
        check(case)

    try:
        check_each()
    except hypothesis.errors.Flaky as error:
        raise AssertionError("the same input must give the same labels, and did not for a drawn image") from error


def _draw(*, shape: tuple[int, int], n_bands: int, kind: str, valid_percent: int, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    everywhere = (n_bands, *shape)
    image: NDArray[np.floating]
    if kind == "patches":
        image = picture(rng, everywhere)
    elif kind == "noise":
        image = rng.random(everywhere)
    elif kind == "one colour":
        image = np.full(everywhere, rng.random())
    elif kind == "a ramp":
        image = np.cumsum(np.full(everywhere, 1 / shape[1]), axis=2)
    else:
        image = np.round(rng.random(everywhere))
    what = f"an image of {kind}, {n_bands} bands, {shape[0]} x {shape[1]} pixels, {valid_percent} % of them valid"
    return what, image.astype(np.float32), rng.random(shape) < valid_percent / 100
