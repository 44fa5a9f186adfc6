"""The curves of an experiment's report: means with bands, a dash for each repeat, levels, scales and ticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superpoint.report.experimentfigures import FONT_PT, INK, RULE, SOFT, Key, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BAND_STRENGTH = 0.16
MOST_BANDS = 4
"""Of one chart; of more lines none can be told from the others'."""
MOST_TICKS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnCurve:
    """One curve of a chart."""

    key: Key
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    """Of the interval; NaN where there is one repeat."""
    high: NDArray[np.float64]
    dots: NDArray[np.float64]
    """Each repeat: (x, value), of shape (values, 2)."""
    is_level: bool = False
    """Whether it is drawn across, because x does not matter to it."""
    colour: str | None = None
    """Instead of that of its place among lines; with a dark line below it, however pale it is."""
    ring: float | None = None
    """The x that is marked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveChart:
    """Means over x, with the band of their intervals and a dash for each repeat."""

    curves: Sequence[DrawnCurve]
    x_title: str
    y_title: str
    ticks: Sequence[tuple[float, str]]
    """Of the horizontal axis: place and label."""
    limits: tuple[float, float]
    """Of the vertical axis."""
    title: str = ""
    swatch: str | None = None
    """Colour of a square before the title."""
    target: float | None = None
    """A line that is to be reached."""
    is_log: bool = False
    size: tuple[float, float] = (4.45, 2.75)

    @property
    def cuts(self) -> bool:
        """Whether the band of a curve reaches beyond the vertical axis."""
        few = len(self.curves) <= MOST_BANDS
        shown = [one for one in self.curves if one.is_level or (few and np.isfinite(one.low).sum() > 1)]
        low, high = self.limits  # NaN is neither below nor above
        return any(bool((curve.low < low).any() or (curve.high > high).any()) for curve in shown)

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, inches."""
        return 0.62, 0.14, 0.48, 0.32 if self.title else 0.12

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        if self.is_log:
            axes.set_xscale("log", base=2)
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        has_bands = len(self.curves) <= MOST_BANDS
        for curve in self.curves:
            _draw_level(axes, curve) if curve.is_level else _draw_curve(axes, curve, has_band=has_bands)
        if self.target is not None:
            axes.axhline(self.target, color=SOFT, linewidth=1, linestyle=":")
        axes.set_ylim(self.limits)
        axes.set_xlim(self._reach())
        axes.set_xticks([place for place, _ in self.ticks], [visible(text) for _, text in self.ticks])
        axes.minorticks_off()
        axes.set_xlabel(visible(self.x_title), color=INK)
        axes.set_ylabel(visible(self.y_title), color=INK)
        entitle(axes, self.title, self.swatch)

    def _reach(self) -> tuple[float, float]:
        places = [place for place, _ in self.ticks]
        first, last = min(places), max(places)
        if self.is_log:
            margin = (last / first) ** 0.05
            return first / margin, last * margin
        margin = 0.05 * (last - first) or 1.0
        return first - margin, last + margin


def entitle(axes: Axes, title: str, swatch: str | None = None) -> None:
    """Write a title above axes, after a square of a colour if there is one."""
    if swatch:
        axes.plot(
            [0.02], [1.085], "s", transform=axes.transAxes, clip_on=False, markersize=8, markerfacecolor=swatch,
            markeredgecolor=SOFT, markeredgewidth=0.6,
        )  # fmt: skip
    axes.set_title(
        visible(title), x=0.06 if swatch else 0.0, loc="left", fontsize=FONT_PT, fontweight="bold", color=INK
    )


def _draw_level(axes: Axes, curve: DrawnCurve) -> None:
    if np.isfinite(curve.low[:1]).all():
        axes.axhspan(float(curve.low[0]), float(curve.high[0]), color=SOFT, alpha=0.1, linewidth=0)
    axes.axhline(float(curve.mean[0]), color=curve.key.colour, linestyle=curve.key.dashes, linewidth=1.3)


def _draw_curve(axes: Axes, curve: DrawnCurve, *, has_band: bool) -> None:
    key, colour = curve.key, curve.colour or curve.key.colour
    edge = INK if curve.colour else colour
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    if has_band and known.sum() > 1:
        axes.fill_between(
            curve.x, curve.low, curve.high, where=known.tolist(), color=colour, alpha=BAND_STRENGTH, linewidth=0
        )
    axes.plot(*curve.dots.T, "_", color=edge, markersize=11, alpha=0.7, markeredgewidth=1, clip_on=False)
    if curve.colour:
        axes.plot(curve.x, curve.mean, color=INK, linewidth=3.2, solid_capstyle="round")
    axes.plot(curve.x, curve.mean, color=colour, linestyle=key.dashes, linewidth=1.7, marker=key.marker, markersize=5,
              markerfacecolor=curve.colour or key.face, markeredgecolor=edge, markeredgewidth=0.8,
              clip_on=False)  # fmt: skip  # a mean of 0 lies on the axis
    if curve.ring is not None:
        height = float(curve.mean[np.flatnonzero(curve.x == curve.ring)[0]])
        axes.plot(
            [curve.ring], [height], "o", markersize=11, markerfacecolor="none", markeredgecolor=edge,
            markeredgewidth=1.2, clip_on=False,
        )  # fmt: skip


def limits_of(
    curves: Sequence[DrawnCurve],
    *,
    has_bands: bool = True,
    extra: Sequence[float] = (),
    bounds: tuple[float | None, float | None] = (None, None),
) -> tuple[float, float]:
    """Return the vertical limits that show curves.

    All repeats are shown, and bands as far as the plot is not more than three times as high for it: the interval of
    two repeats may be wider than anything there is to be seen. What no value can be below or above is not shown:
    Student's interval does not know of such bounds.
    """
    shown = np.concatenate([*(curve.dots[:, 1] for curve in curves), *(curve.mean for curve in curves), extra])
    ends = np.concatenate([np.append(curve.low, curve.high) for curve in curves if has_bands] or [np.empty(0)])
    ends = ends[np.isfinite(ends)]
    low, high = float(shown.min()), float(shown.max())
    span = high - low or abs(high) or 1.0
    low = max(low - span, min(low, *ends)) if ends.size else low
    high = min(high + span, max(high, *ends)) if ends.size else high
    margin = 0.06 * (high - low) or 0.05 * (abs(high) or 1.0)
    least, most = bounds
    low, high = low - margin, high + margin
    return (
        low if least is None else min(max(low, least), float(shown.min())),
        high if most is None else max(min(high, most), float(shown.max())),
    )


def ticks_of_values(values: Sequence[float], texts: Sequence[str]) -> list[tuple[float, str]]:
    """Return ticks at values, every second or third of many."""
    step = -(-len(values) // MOST_TICKS)
    return list(zip(values, texts, strict=True))[::step]


def is_geometric(values: Sequence[float]) -> bool:
    """Tell whether values are spaced more evenly on a logarithmic scale.

    Examples
    --------
    >>> is_geometric([50, 100, 200, 400, 800]), is_geometric([5, 15, 25, 35, 45, 55])
    (True, False)
    """
    if min(values) <= 0 or len(values) < 3:  # noqa: PLR2004  # two have one gap
        return False

    def unevenness(steps: NDArray[np.float64]) -> float:
        return float(steps.std() / steps.mean())

    ordered = np.sort(np.array(values, np.float64))
    return unevenness(np.diff(np.log(ordered))) < unevenness(np.diff(ordered))
