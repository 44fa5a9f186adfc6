"""One picture of several label maps: their boundaries over the same window of an image, side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

LINE = "#FFE21F"
"""Yellow, as it is rare in aerial images."""
CASING = "#101010"
"""A wider dark line below the yellow one: no ground, however bright, hides the boundary."""
PANEL_IN = 5.2
"""Width of a panel; at `DPI`, 780 pixels."""
DPI = 150


def draw_boundaries(
    image: NDArray[np.uint8], label_maps: Mapping[str, NDArray[np.uint32]], *, notes: Mapping[str, str], text: str = ""
) -> Figure:
    """Draw one panel for each label map: the image with thin lines between superpixels.

    Parameters
    ----------
    image : uint8 array of shape (3, rows, cols)
        Red, green, blue; see `to_rgb`.
    label_maps : mapping of str to uint32 array of shape (rows, cols)
        By their titles.
    notes : mapping of str to str
        A second line of a title, where there is one.
    text : str
        A line below all panels.

    Returns
    -------
    matplotlib.figure.Figure
        All panels alike in size. It does not belong to `matplotlib.pyplot`, so nothing needs closing.

    Raises
    ------
    ValueError
        If there is no label map, or one has not the rows and cols of the image.
    """
    from matplotlib.figure import Figure

    _check_shapes(image, label_maps)
    n_rows, n_cols = grid_of(len(label_maps))
    # Titles stand over their panels, and the text below all of them, in inches that do not depend on the panels.
    height = n_rows * (PANEL_IN * image.shape[1] / image.shape[2] + 0.6) + 0.3
    figure = Figure(figsize=(n_cols * PANEL_IN, height), dpi=DPI, layout="compressed")
    for number, (title, labels) in enumerate(label_maps.items(), start=1):
        _draw_panel(figure.add_subplot(n_rows, n_cols, number), image, labels, title, notes.get(title, ""))
    if text:
        figure.supxlabel(text, fontsize=10, color="#555555")
    return figure


def grid_of(n_panels: int) -> tuple[int, int]:
    """Return the rows and columns of panels: one row of up to three, else as square as can be.

    Examples
    --------
    >>> grid_of(3), grid_of(4), grid_of(10)
    ((1, 3), (2, 2), (3, 4))
    """
    n_cols = n_panels if n_panels <= 3 else math.ceil(math.sqrt(n_panels))  # noqa: PLR2004  # a row of them
    return -(-n_panels // n_cols), n_cols


def boundary_lines(labels: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the lines between pixels of different superpixels, each as long as it is straight.

    Parameters
    ----------
    labels : uint32 array of shape (rows, cols)
        A label map.

    Returns
    -------
    float64 array of shape (lines, 2, 2)
        `(x, y)` of both ends in pixels from the upper left corner of the array; first the horizontal lines.

    Examples
    --------
    >>> boundary_lines(np.array([[1, 1, 2], [1, 1, 2]], np.uint32)).tolist()
    [[[2.0, 0.0], [2.0, 2.0]]]
    """
    horizontal = _runs(labels[1:] != labels[:-1])
    vertical = _runs((labels[:, 1:] != labels[:, :-1]).T)[:, :, ::-1]
    return np.concatenate((horizontal, vertical))


def to_rgb(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Show a scaled image: the first three bands, or the first one in grey where there are fewer.

    Parameters
    ----------
    image : float32 array of shape (bands, rows, cols)
        0 is black and 1 is white; values beyond are clipped.

    Returns
    -------
    uint8 array of shape (3, rows, cols)
        Red, green, blue.
    """
    shown = image[:3] if len(image) >= 3 else image[:1].repeat(3, axis=0)  # noqa: PLR2004  # red, green, blue
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def _check_shapes(image: NDArray[np.uint8], label_maps: Mapping[str, NDArray[np.uint32]]) -> None:
    if not label_maps:
        raise ValueError("there is no label map to draw")
    for title, labels in label_maps.items():
        if labels.shape != image.shape[1:]:
            raise ValueError(f"label map {title!r} has shape {labels.shape}, the image has {image.shape[1:]}")


def _draw_panel(axes: Axes, image: NDArray[np.uint8], labels: NDArray[np.uint32], title: str, note: str) -> None:
    from matplotlib.collections import LineCollection

    n_rows, n_cols = labels.shape
    axes.imshow(np.moveaxis(image, 0, -1), extent=(0, n_cols, n_rows, 0), interpolation="nearest")
    lines = list(boundary_lines(labels))
    axes.add_collection(LineCollection(lines, colors=CASING, linewidths=1.5, alpha=0.6, capstyle="projecting"))
    axes.add_collection(LineCollection(lines, colors=LINE, linewidths=0.7, capstyle="projecting"))
    axes.set(xlim=(0, n_cols), ylim=(n_rows, 0))
    axes.set_axis_off()
    axes.set_title(f"{title}\n", fontsize=13, fontweight="bold")
    axes.annotate(
        note, (0.5, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", ha="center", fontsize=10.5,
        color="#333333",
    )  # fmt: skip


def _runs(changes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return both ends of each horizontal run of changes; those of row r lie at y = r + 1."""
    padded = np.pad(changes, ((0, 0), (1, 1))).astype(np.int8)
    turns = np.diff(padded, axis=1)
    (rows, starts), (_, stops) = np.nonzero(turns == 1), np.nonzero(turns == -1)  # both in raster order
    heights = rows + 1
    return np.stack((starts, heights, stops, heights), axis=-1).reshape(-1, 2, 2).astype(np.float64)
