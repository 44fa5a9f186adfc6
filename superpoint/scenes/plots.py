"""Plots: the places along roads where something could be built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.scenes.curves import normals, tangents

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A place where a building could stand."""

    row: float
    col: float
    """On the middle of the road."""
    angle: float
    """Direction of the road."""
    out_row: float
    out_col: float
    """The unit direction away from the road."""
    setback: float
    """Pixels from the middle of the road to the wall."""

    def at(self, offset: float) -> tuple[float, float]:
        """Return the point `offset` pixels away from the middle of the road."""
        return self.row + offset * self.out_row, self.col + offset * self.out_col


def plots_along(
    curves: Iterable[NDArray[np.float64]], *, every: int, setback: float, rng: np.random.Generator
) -> list[Plot]:
    """Set out plots on both sides of curves.

    Parameters
    ----------
    curves : iterable of float64 arrays of shape (points, 2)
        The roads.
    every : int
        A plot at every so many points of a curve, on each side.
    setback : float
        Pixels from the middle of the road to the wall of a house, on average.
    rng : numpy.random.Generator
        Decides how unevenly the plots are set out.

    Returns
    -------
    list of Plot
        In the order of the curves; plots may overlap and lie outside the scene.
    """
    return [
        Plot(
            row=point[0] + tangent[0] * slide,
            col=point[1] + tangent[1] * slide,
            angle=math.atan2(tangent[0], tangent[1]),
            out_row=side * normal[0],
            out_col=side * normal[1],
            setback=setback + rng.uniform(-2, 5),
        )
        for curve in curves
        for point, tangent, normal in zip(
            curve[::every].tolist(), tangents(curve)[::every].tolist(), normals(curve)[::every].tolist(), strict=True
        )
        for side, slide in ((-1, rng.uniform(-4, 4)), (1, rng.uniform(-4, 4)))
    ]
