"""Small pictures: boundaries where labels change, transparent where nothing is, never many bytes."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.image import imread
from skimage.segmentation import find_boundaries

from superpoint.boundaries import CASING, LINE
from superpoint.report.pictures import CLOSE_UP, FAILED_RGB, MOST_BYTES, close_up, overview
from superpoint.tiles import Window


def decoded(png: bytes) -> np.ndarray:
    """Return a picture as uint8 (row, col, rgba)."""
    return np.rint(imread(io.BytesIO(png)) * 255).astype(np.uint8)


def is_colour(picture: np.ndarray, colour: str) -> np.ndarray:
    return (picture[..., :3] == tuple(bytes.fromhex(colour[1:]))).all(axis=-1)


def blocks(rows: int, cols: int, side: int) -> np.ndarray:
    row, col = np.indices((rows, cols)) // side
    return (1 + row * 100 + col).astype(np.uint32)


def test_lines_are_where_labels_change_and_nowhere_else() -> None:
    labels = blocks(20, 30, 7)
    picture = decoded(close_up(np.full((3, 20, 30), 96, np.uint8), labels))
    assert picture.shape == (40, 60, 4)
    expected = find_boundaries(labels.repeat(2, axis=0).repeat(2, axis=1), mode="thick", connectivity=1)
    np.testing.assert_array_equal(is_colour(picture, LINE) | is_colour(picture, CASING), expected)
    assert (picture[~expected] == (96, 96, 96, 255)).all()


def test_where_there_is_no_label_the_picture_is_transparent() -> None:
    labels = blocks(20, 20, 10)
    labels[:10, :10] = 0
    picture = decoded(close_up(np.full((3, 20, 20), 200, np.uint8), labels))
    assert (picture[:18, :18, 3] == 0).all()
    assert (picture[22:, :, 3] == 255).all()


def test_an_overview_frames_the_close_up_and_paints_failed_tiles_red() -> None:
    image, valid = np.full((3, 50, 60), 80, np.uint8), np.ones((50, 60), np.bool_)
    valid[:, 55:] = False
    shown, lost = Window(row=20, col=20, n_rows=10, n_cols=8), Window(row=0, col=0, n_rows=5, n_cols=6)
    picture = decoded(overview(image, valid, shown=shown, failed=[lost]))
    assert is_colour(picture, LINE).sum() == 2 * 10 + 2 * 6
    assert is_colour(picture, LINE)[20, 20:28].all()
    assert (picture[:5, :6, :3] == FAILED_RGB).all()
    assert (picture[:, 55:, 3] == 0).all()


def test_even_noise_takes_few_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, CLOSE_UP, CLOSE_UP), dtype=np.uint8)
    assert len(close_up(noise, blocks(CLOSE_UP, CLOSE_UP, 9))) <= MOST_BYTES
