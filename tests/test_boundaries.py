"""The picture of a comparison: its lines, its panels, its titles."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpoint.boundaries import boundary_lines, draw_boundaries, grid_of, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 30, 40)).astype(np.uint8)
LABELS = (1 + np.add.outer(np.arange(30) // 10 * 4, np.arange(40) // 10)).astype(np.uint32)


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    figure.savefig(stream, format="rgba")
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    return np.frombuffer(stream.getvalue(), np.uint8).reshape(height, width, 4)


def test_the_lines_around_one_pixel_are_its_four_sides() -> None:
    labels = np.ones((3, 3), np.uint32)
    labels[1, 1] = 2
    assert boundary_lines(labels).tolist() == [
        [[1, 1], [2, 1]],
        [[1, 2], [2, 2]],
        [[1, 1], [1, 2]],
        [[2, 1], [2, 2]],
    ]


def test_there_is_no_line_in_one_superpixel() -> None:
    assert boundary_lines(np.ones((4, 5), np.uint32)).shape == (0, 2, 2)
    assert boundary_lines(np.ones((1, 1), np.uint32)).shape == (0, 2, 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_lines_cover_every_side_between_superpixels_once(seed: int, rows: int, cols: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (rows, cols)).astype(np.uint32)
    sides = []
    for (x1, y1), (x2, y2) in boundary_lines(labels).astype(int).tolist():
        steps = (
            list(zip(range(x1, x2 + 1), [y1] * 99, strict=False)) if y1 == y2 else [(x1, y) for y in range(y1, y2 + 1)]
        )
        sides += list(pairwise(steps))
    across = [((c, r + 1), (c + 1, r + 1)) for r, c in np.argwhere(labels[1:] != labels[:-1]).tolist()]
    down = [((c + 1, r), (c + 1, r + 1)) for r, c in np.argwhere(labels[:, 1:] != labels[:, :-1]).tolist()]
    assert sorted(sides) == sorted(across + down)


def test_there_is_a_panel_for_each_algorithm_and_all_are_of_one_size() -> None:
    names = [f"algorithm-{number}" for number in range(5)]
    figure = draw_boundaries(
        IMAGE, dict.fromkeys(names, LABELS), notes={names[0]: "12 superpixels, ASA 0.900"}, text="40 x 30 pixels"
    )
    assert [axes.get_title().strip() for axes in figure.axes] == names
    pixels_of(figure)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert {(round(box.width), round(box.height)) for box in boxes} == {(round(boxes[0].width), round(boxes[0].height))}
    assert boxes[0].width / boxes[0].height == pytest.approx(40 / 30, rel=0.01)


@pytest.mark.parametrize("n_panels", [1, 2, 4, 10])
def test_nothing_is_cut_off_at_the_edges(n_panels: int) -> None:
    titles = [f"a-rather-long-name-{number}" for number in range(n_panels)]
    notes = dict.fromkeys(titles, "12,345,678 superpixels, ASA 0.900")
    figure = draw_boundaries(IMAGE, dict.fromkeys(titles, LABELS), notes=notes, text="40 x 30 pixels")
    pixels = pixels_of(figure)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()  # white paper all around


def test_boundaries_are_thin_and_seen_on_black_and_on_white() -> None:
    labels = np.repeat([[1, 2]], 20, axis=1).repeat(40, axis=0).astype(np.uint32)
    for ground in (0, 255):
        pixels = pixels_of(draw_boundaries(np.full((3, 40, 40), ground, np.uint8), {"one": labels}, notes={}))
        middle = pixels[len(pixels) // 2, :, :3].astype(int)
        other = np.flatnonzero((middle[:, 0] - middle[:, 2]) > 90)  # yellow: more red than blue
        assert 1 <= len(other) <= 5
        assert abs(other.mean() - len(middle) / 2) < 3


@pytest.mark.parametrize(
    ("n_panels", "grid"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))]
)
def test_panels_stand_in_a_grid(n_panels: int, grid: tuple[int, int]) -> None:
    assert grid_of(n_panels) == grid


def test_the_first_three_bands_are_shown_and_one_band_in_grey() -> None:
    image = np.array([-1, 0.0, 0.5, 1.0, 3], np.float32)[:, None, None]  # five bands of one pixel
    assert to_rgb(image).ravel().tolist() == [0, 0, 128]
    assert to_rgb(image[3:]).ravel().tolist() == [255, 255, 255]


def test_a_label_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label map 'slic' has shape \(30, 39\), the image has \(30, 40\)"):
        draw_boundaries(IMAGE, {"slic": LABELS[:, 1:]}, notes={})
    with pytest.raises(ValueError, match="there is no label map"):
        draw_boundaries(IMAGE, {}, notes={})
