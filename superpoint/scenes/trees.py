"""Trees: woods of many crowns, hedges, banks and gardens, each crown a dome in the sun."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from superpoint.scenes.legend import TREES
from superpoint.scenes.noise import fractal_noise, smooth_noise
from superpoint.scenes.surface import HALF, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from superpoint.scenes.surface import Sun, Surface

SPACING_PX = 8.0
"""Distance of the crowns in a wood."""
FLOOR = (44, 56, 36)
"""What is seen between the crowns."""
BROADLEAF = (76, 100, 54)
CONIFER = (50, 74, 52)
CONIFER_FROM = 0.7
"""Conifers grow where a field of standard deviation 1 exceeds this: one tree in four, in stands."""
LOBES = 1.2
"""How far a crown's lobes reach, in radii."""
BATCH = 4096
"""Crowns painted at once; bounds the memory of a large wood to about 100 MB."""


@dataclass(frozen=True, kw_only=True)
class Trees:
    """Crowns, each attribute an array of shape (trees,), in pixels."""

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    radius: NDArray[np.float64]
    trunk: NDArray[np.float64]
    """Height of the crown's widest part."""
    conifer: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, chosen: slice | NDArray[np.bool_]) -> Trees:
        return Trees(
            row=self.row[chosen],
            col=self.col[chosen],
            radius=self.radius[chosen],
            trunk=self.trunk[chosen],
            conifer=self.conifer[chosen],
        )


def wood_outline(wooded: NDArray[np.bool_], allowed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Turn wooded parcels into woods with uneven edges and clearings.

    Parameters
    ----------
    wooded : bool array of shape (rows, cols)
        Parcels chosen to be woods.
    allowed : bool array of shape (rows, cols)
        Where trees may grow.
    rng : numpy.random.Generator
        Decides the edges.

    Returns
    -------
    bool array of shape (rows, cols)
        The woods.
    """
    shape = wooded.shape[0], wooded.shape[1]
    soft = ndimage.gaussian_filter(wooded.astype(np.float64), 7) + 0.11 * fractal_noise(rng, shape, 34)
    woods: NDArray[np.bool_] = (soft > HALF) & allowed
    return woods


def plant(density: NDArray[np.float64], rng: np.random.Generator, *, spacing_px: float = SPACING_PX) -> Trees:
    """Plant trees on a shaken lattice.

    Parameters
    ----------
    density : float64 array of shape (rows, cols)
        Chance that a place of the lattice gets a tree, 0 to 1.
    rng : numpy.random.Generator
        Decides everything.
    spacing_px : float
        Step of the lattice; crowns grow with it.

    Returns
    -------
    Trees
        Those whose trunk stands in the scene.
    """
    rows, cols = density.shape
    places = np.mgrid[0 : rows + spacing_px : spacing_px, 0 : cols + spacing_px : spacing_px]
    row, col = (places + rng.uniform(-0.45, 0.45, places.shape) * spacing_px).reshape(2, -1)
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    chance = rng.random(len(row))
    stands = inside & (chance < density[np.where(inside, row, 0).astype(int), np.where(inside, col, 0).astype(int)])
    row, col = row[stands], col[stands]
    is_coniferous = smooth_noise(rng, (rows, cols), 90)[row.astype(int), col.astype(int)] > CONIFER_FROM
    radius = spacing_px * np.where(is_coniferous, 0.58, 0.72) * rng.uniform(0.75, 1.25, len(row))
    return Trees(row=row, col=col, radius=radius, trunk=rng.uniform(0.9, 1.9, len(row)) * radius, conifer=is_coniferous)


def paint_floor(surface: Surface, woods: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Paint the ground of the woods; it counts as trees."""
    tone = rgb(FLOOR) * (1 + 0.1 * fractal_noise(rng, surface.shape, 10))
    surface.paint(woods.astype(np.float64), tone, TREES)


def paint_trees(surface: Surface, trees: Trees, sun: Sun, rng: np.random.Generator) -> None:
    """Paint crowns, the higher over the lower, and raise the surface to them."""
    for start in range(0, len(trees), BATCH):
        _paint_batch(surface, trees[start : start + BATCH], sun, rng)


def _paint_batch(surface: Surface, trees: Trees, sun: Sun, rng: np.random.Generator) -> None:
    """Paint crowns at once: each is a dome on its own small window, and the highest dome wins a pixel."""
    widest = math.ceil(LOBES * float(trees.radius.max()))
    reach = np.arange(-widest, widest + 1)
    row = np.rint(trees.row).astype(int)[:, None, None] + reach[None, :, None]
    col = np.rint(trees.col).astype(int)[:, None, None] + reach[None, None, :]
    d_row = (row - trees.row[:, None, None]) / trees.radius[:, None, None]
    d_col = (col - trees.col[:, None, None]) / trees.radius[:, None, None]
    d_row, d_col = np.broadcast_arrays(d_row, d_col)
    off_center = _lobed(d_row, d_col, rng)
    rows, cols = surface.shape
    seen = (off_center < 1) & (row >= 0) & (row < rows) & (col >= 0) & (col < cols)  # (trees, window, window)
    tree, *_ = np.nonzero(seen)
    dome = np.sqrt(1 - off_center[seen])
    top = trees.trunk[tree] + trees.radius[tree] * np.where(trees.conifer[tree], 1.3, 0.8) * dome
    pixel = (row * cols + col)[seen]
    order = np.argsort(top, kind="stable")
    order = order[top[order] > surface.height.ravel()[pixel[order]]]
    color = np.where(trees.conifer[:, None], CONIFER, BROADLEAF) * rng.normal(1, (0.10, 0.08, 0.09), (len(trees), 3))
    light = _crown_light(d_row[seen], d_col[seen], dome, sun) * rng.normal(1, 0.07, len(tree))
    pixel, tree, light = pixel[order], tree[order], light[order]
    # Of repeated indices the last assignment stays: the highest crown.
    surface.tone.reshape(3, -1)[:, pixel] = (color[tree] * light[:, None]).T
    surface.truth.reshape(-1)[pixel] = TREES
    surface.height.reshape(-1)[pixel] = top[order]


def _lobed(d_row: NDArray[np.float64], d_col: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the squared distance from the trunk in crown radii, uneven around the crown."""
    phase = rng.uniform(0, 2 * np.pi, (2, len(d_row), 1, 1))
    bearing = np.arctan2(d_row, d_col)
    uneven = 1 + 0.12 * np.sin(3 * bearing + phase[0]) + 0.08 * np.sin(5 * bearing + phase[1])
    squared: NDArray[np.float64] = (d_row**2 + d_col**2) / uneven**2
    return squared


def _crown_light(
    d_row: NDArray[np.float64], d_col: NDArray[np.float64], dome: NDArray[np.float64], sun: Sun
) -> NDArray[np.float64]:
    """Light a dome: its side to the sun is bright, its rim is dark with gaps between the leaves."""
    toward = d_row * sun.direction[0] + d_col * sun.direction[1]
    return np.clip((0.62 + 0.42 * dome) * (1 + 0.38 * toward / sun.slope), 0.4, 1.45)
