from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from superpoint.superpixels.adapters.frames import LONGEST_STEP, Frame, superpixelize_framed
from superpoint.superpixels.algorithm import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray


@given(
    raster=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    place=st.tuples(st.integers(0, 89), st.integers(0, 89)),
    step=st.floats(2, 200),
    multiple=st.sampled_from([1, 4]),
    least=st.integers(1, 3),
    square=st.booleans(),
)
def test_a_frame_goes_to_whole_steps_of_the_rasters_grid_and_comes_off_again(
    *, raster: tuple[int, int], place: tuple[int, int], step: float, multiple: int, least: int, square: bool
) -> None:
    origin = Origin(row=place[0] % raster[0], col=place[1] % raster[1], raster_shape=raster)
    shape = (raster[0] - origin.row, raster[1] - origin.col)
    frame = Frame.around(shape, origin, step=step, multiple=multiple, least=least, square=square)
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(1, *shape)
    framed = frame.put(image)
    rows, cols = framed.shape[1:]
    assert frame.step % multiple == 0
    assert (origin.row - frame.top) % frame.step == (origin.col - frame.left) % frame.step == 0
    assert rows % frame.step == cols % frame.step == 0
    assert min(rows, cols) >= least * frame.step
    assert rows == cols or not square
    assert np.array_equal(frame.take_off(framed[0].astype(np.int64)), image[0])


def test_what_is_around_the_window_repeats_its_edge() -> None:
    frame = Frame.around((1, 2), Origin(row=1, col=1, raster_shape=(3, 4)), step=2)
    assert frame.put(np.array([[[1, 2]]], np.float32)).tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2]]]


def test_a_step_is_no_longer_than_the_raster_nor_huge_on_a_strip() -> None:
    assert Frame.around((30, 50), Origin(raster_shape=(30, 50)), step=1e9).step == 50
    assert Frame.around((3, 900), Origin(raster_shape=(3, 10**6)), step=1e9).step == LONGEST_STEP


def test_where_nothing_is_valid_nothing_is_called() -> None:
    def cluster(framed: NDArray[np.float32]) -> NDArray[np.integer]:
        raise AssertionError(f"called with {framed.shape}")

    frame = Frame.around((3, 4), Origin(raster_shape=(3, 4)), step=2)
    labels = superpixelize_framed(
        np.zeros((1, 3, 4), np.float32), np.zeros((3, 4), bool), cluster, frame=frame, min_size=1
    )
    assert labels.tolist() == [[0] * 4] * 3


def test_what_a_package_sees_has_no_holes_and_what_comes_back_has_the_windows_shape() -> None:
    seen = []

    def cluster(framed: NDArray[np.float32]) -> NDArray[np.integer]:
        seen.append(framed)
        return np.zeros(framed.shape[1:], np.int64)

    image = np.array([[[0.25, np.nan, np.nan], [0.25, np.nan, 0.75]]], np.float32)
    valid = np.isfinite(image[0])
    frame = Frame.around((2, 3), Origin(raster_shape=(2, 3)), step=2)
    labels = superpixelize_framed(image, valid, cluster, frame=frame, min_size=1)
    assert labels.tolist() == [[1, 0, 0], [1, 0, 2]]
    assert seen[0].shape == (1, 2, 4)
    assert np.isfinite(seen[0]).all()
