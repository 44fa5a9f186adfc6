"""The overview picture: its panels, its legend, its boundaries and its colours."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from skimage.segmentation import find_boundaries as skimage_boundaries

from superpoint.classes import IGNORE, ClassTable
from superpoint.overview import draw_overview, find_boundaries, paint_mask

CLASSES = ClassTable.from_names(["field", "road", "water"])


def blocks(rows: int, cols: int, side: int) -> np.ndarray:
    """Square superpixels, numbered from 1."""
    row, col = np.mgrid[:rows, :cols] // side
    return (1 + row * -(-cols // side) + col).astype(np.uint32)


def material(rows: int = 60, cols: int = 80) -> dict:
    rng = np.random.default_rng(0)
    truth = (blocks(rows, cols, 20) % 3).astype(np.uint8)
    return {
        "image": rng.integers(0, 256, (3, rows, cols), dtype=np.uint8),
        "label_map": blocks(rows, cols, 10),
        "points": (np.array([3, 30]), np.array([5, 40]), np.array([1, 2])),
        "pseudo_mask": np.where(rng.random((rows, cols)) < 0.5, truth, IGNORE).astype(np.uint8),
        "prediction": truth,
        "truth": truth,
        "classes": CLASSES,
    }


def test_there_are_six_panels_with_titles() -> None:
    figure = draw_overview(**material())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["Image", "48 superpixels", "2 query points"]
    assert titles[3].startswith("Pseudo-mask (")
    assert titles[4:] == ["Prediction", "Truth"]


@pytest.mark.parametrize(("missing", "left"), [(("truth",), 5), (("prediction",), 5), (("prediction", "truth"), 4)])
def test_a_panel_without_data_is_left_out(missing: tuple[str, ...], left: int) -> None:
    figure = draw_overview(**material() | dict.fromkeys(missing))
    assert len(figure.axes) == left
    assert {name.capitalize() for name in missing}.isdisjoint(axes.get_title() for axes in figure.axes)


def test_one_legend_names_every_class_and_unlabelled() -> None:
    (legend,) = draw_overview(**material()).legends
    assert [text.get_text() for text in legend.get_texts()] == ["field", "road", "water", "unlabelled"]
    colors = [
        "#{:02X}{:02X}{:02X}".format(*tuple(round(255 * c) for c in p.get_facecolor()[:3]))
        for p in legend.get_patches()
    ]
    assert colors[:3] == [land_class.color for land_class in CLASSES.classes]


def test_the_picture_is_1800_pixels_wide_and_nothing_overlaps() -> None:
    figure = draw_overview(**material())
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    assert width == 1800
    boxes = [axes.get_tightbbox() for axes in figure.axes] + [figure.legends[0].get_window_extent()]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_points_are_drawn_at_column_and_row_in_the_colour_of_their_class() -> None:
    axes = draw_overview(**material()).axes[2]
    (dots,) = axes.collections
    np.testing.assert_array_equal(dots.get_offsets(), [[5, 3], [40, 30]])
    expected = [[c / 255 for c in CLASSES.classes[value].rgb] for value in (1, 2)]
    np.testing.assert_allclose(dots.get_facecolors()[:, :3], expected)


def test_boundaries_are_those_of_skimage() -> None:
    label_map = np.random.default_rng(1).integers(1, 4, (17, 23)).repeat(2, axis=0).astype(np.uint32)
    np.testing.assert_array_equal(find_boundaries(label_map), skimage_boundaries(label_map, mode="thick"))


def test_a_large_scene_shows_the_boundaries_of_its_centre_and_says_so() -> None:
    axes = draw_overview(**material(400, 300)).axes[1]
    assert axes.get_title() == "1,200 superpixels (central 256 pixels, enlarged)"
    assert axes.images[0].get_array().shape == (768, 768, 3)


def test_the_image_is_not_changed() -> None:
    given = material()
    before = given["image"].copy()
    draw_overview(**given)
    np.testing.assert_array_equal(given["image"], before)


def test_a_mask_is_painted_in_the_colours_of_its_classes_and_unlabelled_light_grey() -> None:
    painted = paint_mask(np.array([[0, 2, IGNORE]], np.uint8), CLASSES)
    np.testing.assert_array_equal(painted[0], [CLASSES.classes[0].rgb, CLASSES.classes[2].rgb, (221, 221, 221)])


def test_a_value_that_is_no_class_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="holds the value 7; classes have 0 to 2"):
        paint_mask(np.array([[0, 7]], np.uint8), CLASSES)


def test_a_layer_of_another_shape_is_an_error_that_names_it() -> None:
    given = material() | {"truth": np.zeros((5, 5), np.uint8)}
    with pytest.raises(ValueError, match=r"truth has shape \(5, 5\), the image has rows and cols \(60, 80\)"):
        draw_overview(**given)


def test_pyplot_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    draw_overview(**material())
