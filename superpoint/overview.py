"""One picture of a whole run: the image, its superpixels, the points, what they painted, the map and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from superpoint.classes import ClassTable

    type Points = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]

UNLABELLED = "#DDDDDD"
"""Light grey."""
BOUNDARY_RGB = (255, 230, 60)
"""Yellow, as it is rare in aerial images."""
CLOSE_UP_PX = 256
"""Side of the window in which boundaries are shown; those of a whole scene would drown it."""
ENLARGEMENT = 3
"""Boundaries are drawn on an image this many times as large, which makes them thinner than its pixels."""
WIDTH_IN = 12.0
"""At `DPI`, 1800 pixels."""
DPI = 150


def draw_overview(
    *,
    image: NDArray[np.uint8],
    label_map: NDArray[np.uint32],
    points: Points,
    pseudo_mask: NDArray[np.uint8],
    prediction: NDArray[np.uint8] | None,
    truth: NDArray[np.uint8] | None,
    classes: ClassTable,
) -> Figure:
    """Draw up to six panels, three in a row, above one legend of the classes.

    The panels are the image, its superpixels in a window of at most 256 x 256 pixels around the centre, the query
    points, the pseudo-mask, the prediction and the truth. All arrays have the same rows and cols and are small
    enough to be shown.

    Parameters
    ----------
    image : uint8 array of shape (3, rows, cols)
        Red, green, blue.
    label_map : uint32 array of shape (rows, cols)
        Superpixel ids; 0 is nodata.
    points : (rows, cols, values), integer arrays of shape (points,)
        Pixels and class values of the query points.
    pseudo_mask : uint8 array of shape (rows, cols)
        Class values; 255 is unlabelled and drawn light grey.
    prediction : uint8 array of shape (rows, cols) or None
        Class values; None leaves the panel out.
    truth : uint8 array of shape (rows, cols) or None
        The same.
    classes : ClassTable
        Names and colours.

    Returns
    -------
    matplotlib.figure.Figure
        1800 pixels wide when saved. It does not belong to `matplotlib.pyplot`, so nothing needs closing.

    Raises
    ------
    ValueError
        If a label map or mask has not the rows and cols of the image, or a mask a value that is no class.
    """
    from matplotlib.figure import Figure

    masks = {"Pseudo-mask": pseudo_mask, "Prediction": prediction, "Truth": truth}
    _check_shapes(image, {"Label map": label_map} | masks)
    picture = np.moveaxis(image, 0, -1)  # (rows, cols, 3)
    panels = {"Image": picture, _superpixels_title(label_map): _close_up(picture, label_map)}
    points_title = f"{len(points[2]):,} query points"
    panels[points_title] = _faded(picture)
    panels |= {_mask_title(name, mask): paint_mask(mask, classes) for name, mask in masks.items() if mask is not None}

    n_rows = -(-len(panels) // 3)
    panel_in = WIDTH_IN / 3 * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(WIDTH_IN, n_rows * (panel_in + 0.3) + 0.5), dpi=DPI, layout="constrained")
    for number, (title, panel) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(n_rows, 3, number)
        axes.imshow(panel)
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        if title == points_title:
            _mark_points(axes, points, classes)
    _add_legend(figure, classes)
    return figure


def find_boundaries(label_map: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Mark the pixels that have a neighbour above, below, left or right in another superpixel.

    Parameters
    ----------
    label_map : uint32 array of shape (rows, cols)
        Superpixel ids.

    Returns
    -------
    bool array of shape (rows, cols)
        True on both sides of each boundary.

    Examples
    --------
    >>> find_boundaries(np.array([[1, 1, 1, 2, 2]], np.uint32)).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    boundaries = np.zeros(label_map.shape, np.bool_)
    differs = label_map[1:] != label_map[:-1]
    boundaries[1:] |= differs
    boundaries[:-1] |= differs
    differs = label_map[:, 1:] != label_map[:, :-1]
    boundaries[:, 1:] |= differs
    boundaries[:, :-1] |= differs
    return boundaries


def paint_mask(mask: NDArray[np.uint8], classes: ClassTable) -> NDArray[np.uint8]:
    """Give each class value its colour, and light grey to 255.

    Parameters
    ----------
    mask : uint8 array of shape (rows, cols)
        Class values.
    classes : ClassTable
        Their colours.

    Returns
    -------
    uint8 array of shape (rows, cols, 3)
        Red, green, blue.

    Raises
    ------
    ValueError
        If a value is neither a class nor 255.
    """
    unknown = np.setdiff1d(mask, [*classes.colormap, IGNORE])
    if unknown.size:
        raise ValueError(f"a mask holds the value {unknown[0]}; classes have 0 to {len(classes) - 1}, unlabelled 255")
    palette = np.zeros((IGNORE + 1, 3), np.uint8)
    palette[IGNORE] = tuple(bytes.fromhex(UNLABELLED[1:]))
    palette[: len(classes)] = list(classes.colormap.values())
    return palette[mask]


def _check_shapes(image: NDArray[np.uint8], layers: dict[str, NDArray[np.uint8] | NDArray[np.uint32] | None]) -> None:
    """Refuse layers that do not lie on the image."""
    for name, layer in layers.items():
        if layer is not None and layer.shape != image.shape[1:]:
            raise ValueError(f"{name.lower()} has shape {layer.shape}, the image has rows and cols {image.shape[1:]}")


def _center(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the window around the centre that the close-up shows."""
    rows, cols = (slice(max(0, (n - CLOSE_UP_PX) // 2), (n + CLOSE_UP_PX) // 2) for n in shape)
    return rows, cols


def _close_up(picture: NDArray[np.uint8], label_map: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Enlarge the centre of the picture and draw the boundaries of superpixels on it."""
    window = _center(label_map.shape)
    enlarged = _enlarge(picture[window])
    enlarged[find_boundaries(_enlarge(label_map[window]))] = BOUNDARY_RGB
    return enlarged


def _enlarge[Pixels: (NDArray[np.uint8], NDArray[np.uint32])](pixels: Pixels) -> Pixels:
    """Repeat rows and cols."""
    return pixels.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)


def _faded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture in pale grey, so that coloured points stand out."""
    grey = 0.55 * picture.mean(axis=-1, keepdims=True) + 95
    return np.broadcast_to(grey.astype(np.uint8), picture.shape)


def _superpixels_title(label_map: NDArray[np.uint32]) -> str:
    """Say how many superpixels there are and which part is shown."""
    n_superpixels = np.count_nonzero(np.unique(label_map))
    cropped = max(label_map.shape) > CLOSE_UP_PX
    return f"{n_superpixels:,} superpixels" + (f" (central {CLOSE_UP_PX} pixels, enlarged)" if cropped else "")


def _mask_title(name: str, mask: NDArray[np.uint8]) -> str:
    """Say how much of a mask is labelled, unless all of it is."""
    labelled = float((mask != IGNORE).mean())
    return name if labelled == 1 else f"{name} ({labelled:.0%} of the pixels labelled)"


def _mark_points(axes: Axes, points: Points, classes: ClassTable) -> None:
    """Draw each point as a dot in the colour of its class, unlabelled ones in light grey."""
    rows, cols, values = points
    colors = {land_class.value: land_class.color for land_class in classes.classes}
    axes.scatter(
        cols,
        rows,
        s=26,
        c=[colors.get(value, UNLABELLED) for value in values.tolist()],
        linewidths=0.7,
        edgecolors="white",
    )


def _add_legend(figure: Figure, classes: ClassTable) -> None:
    """Put the names and colours of all classes below the panels, unlabelled last."""
    from matplotlib.patches import Patch

    entries = [(land_class.name, land_class.color) for land_class in classes.classes] + [("unlabelled", UNLABELLED)]
    handles = [Patch(facecolor=color, edgecolor="#777777", linewidth=0.5, label=name) for name, color in entries]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False, fontsize=11)
