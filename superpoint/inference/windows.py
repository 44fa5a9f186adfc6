"""Predict a raster window by window, so that nobody can find the windows, nor the patches, in the result.

Patches stand on one lattice over the whole raster, whatever window is asked for, and where they overlap the
weighted mean of their outputs is taken, with weights that fall smoothly towards a patch's edge: a pixel's
outputs depend on the raster only. What cannot be avoided: patches that straddle two windows are computed
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from superpoint.inference.views import VIEWS, View
from superpoint.tiles import Window
from superpoint.training.patches import lattice, padded
from superpoint.training.recipe import STRIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class _Span:
    """One patch along one axis: where it starts, and its share of each pixel's mean."""

    start: int
    shares: NDArray[np.float32]  # (patch_size,)


def predict_window(
    model: nn.Module,
    read_image: Callable[[Window], NDArray[np.float32]],
    window: Window,
    *,
    shape: tuple[int, int],
    patch_size: int,
    overlap: int,
    batch_size: int = 8,
    device: str | torch.device = "cpu",
    views: Sequence[View] = VIEWS["none"],
    activate: Callable[[Tensor], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Return a network's outputs for one window of a raster: of each pixel the mean over patches and views.

    The outputs of a pixel do not depend on the window it is asked for in, but for the last digits of floats:
    a network's arithmetic may differ between batches.

    Parameters
    ----------
    model : torch.nn.Module
        From (batch, bands, rows, cols) to (batch, classes, rows, cols). Moved to `device`; run in evaluation
        mode and left in the mode it was in.
    read_image : callable
        Called once, with a window of the raster at most a patch larger on each side; returns float32 (bands,
        rows, cols), scaled as in training, 0 on nodata.
    window : Window
        What to predict. Memory grows with it and not with the raster.
    shape : tuple of int
        `(rows, cols)` of the raster. One smaller than a patch is mirrored at its last row and column.
    patch_size : int
        Side of a patch in pixels, a multiple of 32.
    overlap : int
        Pixels by which neighbouring patches overlap, less than `patch_size`; a quarter to a half of it hides
        the patches best, and half of it costs four times the time of none.
    batch_size : int
        Patches computed at once.
    device : str or torch.device
        Where.
    views : sequence of View
        Ways to look at each patch; so many times the time.
    activate : callable, optional
        Makes of the raw outputs of a batch, (batch, classes, rows, cols), what the mean is taken of: probabilities,
        as a rule. The raw outputs themselves by default.

    Returns
    -------
    float32 array of shape (classes, window rows, window cols)

    Raises
    ------
    ValueError
        If a size is not allowed, the window leaves the raster, or what was read or predicted has another
        shape than asked for.
    """
    _check(window, shape, patch_size, overlap, batch_size)
    if not views:
        raise ValueError("views must name at least one view of a patch, got none")
    step = patch_size - overlap
    rows = _spans(window.row, window.n_rows, shape[0], patch_size, step)
    cols = _spans(window.col, window.n_cols, shape[1], patch_size, step)
    read = _bounds(rows, cols, shape, patch_size)
    image = padded(_checked(read_image(read), read), patch_size)  # (band, rows, cols)
    places = [(row, col) for row in rows for col in cols]
    mean: NDArray[np.float32] | None = None
    for batch in batched(places, batch_size):
        cut = [
            image[:, row.start - read.row :, col.start - read.col :][:, :patch_size, :patch_size] for row, col in batch
        ]
        outputs = _outputs(model, np.stack(cut), device, views, activate)  # (batch, class, rows, cols)
        if mean is None:
            mean = np.zeros((outputs.shape[1], *window.shape), np.float32)
        for (row, col), output in zip(batch, outputs, strict=True):
            _add(mean, window, row, col, output)
    assert mean is not None  # noqa: S101  # for the type checker: there is at least one place
    return mean


def _add(mean: NDArray[np.float32], window: Window, row: _Span, col: _Span, output: NDArray[np.float32]) -> None:
    """Add the part of a patch's output that lies in the window, weighted, to the window's mean."""
    size = len(row.shares)
    top, left = max(row.start, window.row), max(col.start, window.col)
    bottom = min(row.start + size, window.row + window.n_rows)
    right = min(col.start + size, window.col + window.n_cols)
    rows, cols = slice(top - row.start, bottom - row.start), slice(left - col.start, right - col.start)
    shares = row.shares[rows, None] * col.shares[None, cols]  # (rows, cols)
    seen = Window(row=top, col=left, n_rows=bottom - top, n_cols=right - left).within(window)
    mean[:, *seen] += output[:, rows, cols] * shares


def _outputs(
    model: nn.Module,
    images: NDArray[np.float32],
    device: str | torch.device,
    views: Sequence[View],
    activate: Callable[[Tensor], Tensor] | None,
) -> NDArray[np.float32]:
    """Return the mean outputs of some patches over views of them."""
    was_training = model.training
    model.to(device).eval()
    try:
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(device)  # (batch, band, rows, cols)
            seen = (view.undo(_look(model, view.see(batch), activate)) for view in views)
            total = next(seen)
            for outputs in seen:
                total = total + outputs
    finally:
        model.train(was_training)
    mean: NDArray[np.float32] = (total / len(views)).float().cpu().numpy()
    return mean


def _look(model: nn.Module, batch: Tensor, activate: Callable[[Tensor], Tensor] | None) -> Tensor:
    outputs: Tensor = model(batch)  # (batch, class, rows, cols)
    if outputs.ndim != batch.ndim or outputs.shape[2:] != batch.shape[2:]:
        raise ValueError(f"a model keeps rows and cols, got {tuple(outputs.shape)} for {tuple(batch.shape)}")
    return activate(outputs) if activate else outputs


def _spans(first: int, n_pixels: int, length: int, size: int, step: int) -> list[_Span]:
    """Return the patches along one axis that touch the pixels from `first`, with their shares."""
    starts = lattice(length, size, step)
    # A Hann window moved by half a pixel: no weight is 0, so that every pixel has a mean.
    taper = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    totals = np.zeros(max(length, size))
    for start in starts:
        totals[start : start + size] += taper
    return [
        _Span(start=start, shares=(taper / totals[start : start + size]).astype(np.float32))
        for start in starts
        if start < first + n_pixels and start + size > first
    ]


def _bounds(rows: Sequence[_Span], cols: Sequence[_Span], shape: tuple[int, int], size: int) -> Window:
    """Return the part of the raster that the patches cover together."""
    row, col = rows[0].start, cols[0].start
    bottom, right = min(shape[0], rows[-1].start + size), min(shape[1], cols[-1].start + size)
    return Window(row=row, col=col, n_rows=bottom - row, n_cols=right - col)


def _check(window: Window, shape: tuple[int, int], patch_size: int, overlap: int, batch_size: int) -> None:
    if patch_size < STRIDE or patch_size % STRIDE:
        raise ValueError(f"patch_size must be a multiple of {STRIDE}, got {patch_size}")
    if not 0 <= overlap < patch_size:
        raise ValueError(f"overlap must be 0 or more and less than patch_size {patch_size}, got {overlap}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if (
        min(window.row, window.col) < 0
        or window.row + window.n_rows > shape[0]
        or window.col + window.n_cols > shape[1]
    ):
        raise ValueError(f"{window} leaves a raster of {shape[0]} x {shape[1]}")


def _checked(image: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    if image.ndim != 3 or image.shape[1:] != window.shape:  # noqa: PLR2004  # (band, row, col)
        raise ValueError(f"read_image returned shape {image.shape} for {window.n_rows} x {window.n_cols} pixels")
    return np.asarray(image, np.float32)
