"""What numcodecs, with the library of Zstandard itself, decodes from our frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numcodecs import Zstd

from superpoint.frames import encode_frame

SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def areas(shape: tuple[int, int], *, seed: int = 0, cell: int = 20) -> np.ndarray:
    """Ids of the nearest of scattered seeds, in order of distance along slanted axes: outlines of every slope."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    warped = rows + 4 * np.sin(cols / 9 + rng.random()), cols + 4 * np.cos(rows / 7)
    row, col = (np.floor(each / cell + 1).astype(np.uint32) for each in warped)
    return row * np.uint32(2750) + col


def decoded(labels: np.ndarray) -> np.ndarray:
    return np.frombuffer(Zstd().decode(encode_frame(labels)), labels.dtype).reshape(labels.shape)


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint32, shape, elements=st.integers(0, 3))))
def test_small_maps_come_back(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(decoded(labels), labels)


@given(
    SHAPES.flatmap(lambda shape: arrays.arrays(np.uint32, shape, elements=st.integers(0, 2**32 - 1))),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_maps_of_rectangles_come_back(labels: np.ndarray, high: int, wide: int) -> None:
    rectangles = labels.repeat(high, axis=0).repeat(wide, axis=1)
    np.testing.assert_array_equal(decoded(rectangles), rectangles)


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (300, 700), (1, 100_000), (100_000, 1), (3, 50_000)])
def test_maps_of_any_shape_come_back(shape: tuple[int, int]) -> None:
    ids = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    for labels in (areas(shape), np.zeros(shape, np.uint32), ids):
        np.testing.assert_array_equal(decoded(labels), labels)


def test_blocks_of_noise_are_stored_as_they_are_and_those_around_them_come_back() -> None:
    labels = areas((512, 512))
    noise = np.random.default_rng(1).integers(0, 2**32, (512, 512), dtype=np.uint32)
    labels[128:192], labels[300:400] = noise[128:192], noise[300:400]
    np.testing.assert_array_equal(decoded(labels), labels)
    assert len(encode_frame(noise)) == noise.nbytes + 8 * 3 + 9  # blocks of 128 KiB, and the frame's header


def test_a_block_of_more_sequences_than_two_bytes_count_comes_back() -> None:
    """Every second pixel is what is above, those between what is to the left, or above to the right."""
    labels = np.tile(np.arange(256, dtype=np.uint32).repeat(2), (512, 1))
    labels[::2, 1:-1:2] = labels[::2, 2::2]
    np.testing.assert_array_equal(decoded(labels), labels)
    assert len(encode_frame(labels)) < labels.nbytes


def test_frames_of_label_maps_are_a_quarter_smaller_than_the_librarys() -> None:
    labels = areas((512, 512))
    assert len(encode_frame(labels)) < 0.75 * len(Zstd(level=3).encode(labels))


def test_large_ids_take_no_more_room() -> None:
    labels = areas((512, 512))
    assert len(encode_frame(labels)) == len(encode_frame(labels * np.uint32(2**32 - 5)))


def test_other_types_of_four_bytes_are_encoded_too() -> None:
    shares = (areas((100, 100)) / 7).astype(np.float32)
    np.testing.assert_array_equal(decoded(shares), shares)
    np.testing.assert_array_equal(decoded(shares[::2, ::-1]), shares[::2, ::-1])


def test_every_thread_makes_the_same_bytes() -> None:
    maps = [areas((64 * (seed % 3 + 1), 512), seed=seed, cell=5 + seed) for seed in range(12)]
    expected = [encode_frame(each) for each in maps]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            assert list(pool.map(encode_frame, maps)) == expected


@pytest.mark.parametrize("labels", [np.zeros((2, 2), np.uint8), np.zeros(4, np.uint32), np.zeros((0, 3), np.uint32)])
def test_what_is_no_label_map_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="labels must be of shape"):
        encode_frame(labels)
