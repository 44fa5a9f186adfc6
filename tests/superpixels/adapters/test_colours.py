from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from superpoint.superpixels.adapters.colours import fill_nodata, three_bands, to_bytes


def test_nodata_takes_the_colour_of_the_nearest_valid_pixel() -> None:
    rng = np.random.default_rng(0)
    image, valid = rng.random((2, 9, 12), np.float32), rng.random((9, 12)) < 0.3
    filled = fill_nodata(np.where(valid, image, np.float32(np.nan)), valid)
    rows, cols = np.nonzero(valid)
    for row, col in np.argwhere(~valid):
        distances = (rows - row) ** 2 + (cols - col) ** 2
        nearest = distances == distances.min()
        assert filled[:, row, col].tolist() in image[:, rows[nearest], cols[nearest]].T.tolist()
    assert np.array_equal(filled[:, valid], image[:, valid])


def test_an_image_without_nodata_is_not_copied_and_one_of_nodata_is_zero() -> None:
    image = np.full((2, 3, 4), np.nan, np.float32)
    assert fill_nodata(image, np.ones((3, 4), bool)) is image
    assert not fill_nodata(image, np.zeros((3, 4), bool)).any()


def test_bytes_are_clipped_and_have_the_bands_last() -> None:
    image = np.array([-1, 0, 0.5, 1, 2], np.float32).reshape(1, 1, 5).repeat(2, axis=0)
    found = to_bytes(image)
    assert found.flags.c_contiguous
    assert found.tolist() == [[[value] * 2 for value in (0, 0, 128, 255, 255)]]


@pytest.mark.parametrize(("n_bands", "expected"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (3, [0, 1, 2])])
def test_up_to_three_bands_are_themselves_and_the_last_one_again(n_bands: int, expected: list[int]) -> None:
    image = np.arange(n_bands, dtype=np.float32)[:, None, None]
    assert three_bands(image).ravel().tolist() == expected


def test_more_bands_become_the_first_three_of_their_cosine_transform() -> None:
    image = np.random.default_rng(0).random((13, 4, 5), np.float32)
    transformed = fft.dct(image, type=2, norm="ortho", axis=0)[:3] / np.sqrt(13)
    transformed[1:] += 0.5
    np.testing.assert_allclose(three_bands(image), transformed, atol=1e-6)  # float32 sums of 13 terms
    assert three_bands(image).min() >= 0
    assert three_bands(image).max() <= 1


def test_the_projection_of_a_pixel_does_not_depend_on_the_others() -> None:
    image = np.random.default_rng(0).random((6, 20, 20), np.float32)
    assert np.array_equal(three_bands(image)[:, 5:9, 7:], three_bands(image[:, 5:9, 7:]))
