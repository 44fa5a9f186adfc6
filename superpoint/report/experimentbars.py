"""The other charts of an experiment's report: bars with whiskers, heat maps, and pictures under their titles."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from superpoint.report.experimentcharts import entitle
from superpoint.report.experimentfigures import FONT_PT, INK, PAPER, REFERENCE_DASHES, RULE, SOFT, Key, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MOST_REACH = 1.6
"""Of the longest bar, how far a chart reaches for whiskers: that of two repeats may be longer than all bars."""
NAME_CHARACTERS = 26
"""Of a bar's name in a line."""
_IN_A_CHARACTER = 0.075


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar, its whisker and its repeats."""

    name: str
    key: Key
    mean: float
    low: float | None
    high: float | None
    dots: tuple[float, ...]
    text: str
    """Said of it, at the right of the chart."""
    is_best: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class BarChart:
    """Bars from 0, so that their lengths can be compared, with whiskers and a dot for each repeat."""

    bars: Sequence[Bar]
    x_title: str
    title: str = ""
    reference: float | None = None
    """A line that all are compared with."""
    most: float | None = None
    """That a value can be; None for no bound."""
    names: Sequence[Sequence[str]] = field(init=False)
    """Of the bars, in lines."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", [textwrap.wrap(bar.name, NAME_CHARACTERS) or [""] for bar in self.bars])

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the axes, inches."""
        return 5.2 - self.margins[0] - self.margins[1], 0.2 + sum(
            max(0.34, 0.17 * len(lines) + 0.14) for lines in self.names
        )

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, inches."""
        longest = max(len(line) for lines in self.names for line in lines)
        written = 0.2 + _IN_A_CHARACTER * max(len(bar.text) for bar in self.bars)
        return 0.2 + _IN_A_CHARACTER * longest, written, 0.46, 0.32 if self.title else 0.12

    @property
    def reach(self) -> float:
        """Where the axis ends."""
        shown = max(max((bar.mean, *bar.dots)) for bar in self.bars)
        longest = max(shown, *(bar.mean if bar.high is None else bar.high for bar in self.bars))
        end = max(shown, 1.04 * min(longest, MOST_REACH * max(bar.mean for bar in self.bars))) or 1.0
        return end if self.most is None else min(end, self.most)

    @property
    def cuts(self) -> bool:
        """Whether a whisker is longer than there is room."""
        return any(bar.high is not None and (bar.high > self.reach or (bar.low or 0) < 0) for bar in self.bars)

    def draw(self, axes: Axes) -> None:
        """Draw it, the first bar at the top."""
        axes.grid(axis="x", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        for place, bar in enumerate(self.bars):
            _draw_bar(axes, -place, bar)
        if self.reference is not None:
            axes.axvline(self.reference, color=INK, linewidth=1.2, linestyle=REFERENCE_DASHES)
        axes.set_xlim(0, self.reach)
        axes.set_ylim(0.6 - len(self.bars), 0.6)
        axes.set_yticks([-place for place in range(len(self.bars))], [visible("\n".join(n)) for n in self.names])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(visible(self.x_title), color=INK)
        entitle(axes, self.title)


def _draw_bar(axes: Axes, place: float, bar: Bar) -> None:
    for colour, strength in ((PAPER, 1.0), (bar.key.colour, 0.55)):  # no grid shines through
        axes.barh(place, bar.mean, height=0.56, color=colour, alpha=strength, linewidth=0)
    beside = np.full(len(bar.dots), place - 0.18)
    axes.plot(bar.dots, beside, ".", color=INK, markersize=4, alpha=0.6, markeredgewidth=0)
    if bar.low is not None and bar.high is not None:
        axes.plot([max(bar.low, 0), bar.high], [place, place], color=INK, linewidth=1.3)
        for side in (max(bar.low, 0), bar.high):
            axes.plot([side, side], [place - 0.12, place + 0.12], color=INK, linewidth=1.3)
    weight = "bold" if bar.is_best else "normal"
    axes.annotate(bar.text, (1, place), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                  va="center", color=INK, fontsize=FONT_PT - 1, fontweight=weight)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatChart:
    """Means over two axes of numbers."""

    means: NDArray[np.float64]
    """Of shape (rows, cols), the first row at the bottom; NaN where there is none."""
    texts: Sequence[Sequence[str]]
    """Written into each."""
    rows: Sequence[str]
    cols: Sequence[str]
    y_title: str
    x_title: str
    limits: tuple[float, float]
    """Values of the darkest and the brightest colour."""
    best: tuple[int, int] | None = None
    """Row and column whose number is in bold."""
    title: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the axes, inches."""
        return max(2.4, min(0.62 * len(self.cols), 4.4)), max(1.2, 0.42 * len(self.rows))

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, inches."""
        return 0.5 + _IN_A_CHARACTER * max(map(len, self.rows)), 0.14, 0.48, 0.32 if self.title else 0.12

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        from matplotlib import colormaps

        low, high = self.limits
        shares = np.clip((self.means - low) / (high - low or 1.0), 0, 1)
        for row, col in np.ndindex(*self.means.shape):
            known = bool(np.isfinite(self.means[row, col]))
            colour = colormaps["cividis"](float(shares[row, col])) if known else PAPER
            axes.fill([col, col + 1, col + 1, col], [row, row, row + 1, row + 1], color=colour, edgecolor=PAPER)
            axes.text(
                col + 0.5, row + 0.5, self.texts[row][col], ha="center", va="center", fontsize=FONT_PT - 1,
                color=SOFT if not known else "#000000" if shares[row, col] > 0.5 else "#fefefe",  # noqa: PLR2004  # half
                fontweight="bold" if (row, col) == self.best else "normal",
            )  # fmt: skip
        axes.set(xlim=(0, len(self.cols)), ylim=(0, len(self.rows)))
        axes.set_xticks(np.arange(len(self.cols)) + 0.5, [visible(text) for text in self.cols])
        axes.set_yticks(np.arange(len(self.rows)) + 0.5, [visible(text) for text in self.rows])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel(visible(self.x_title), color=INK)
        axes.set_ylabel(visible(self.y_title), color=INK)
        entitle(axes, self.title)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureChart:
    """A picture under its title."""

    pixels: NDArray[np.uint8]
    """Of shape (rows, cols, 3)."""
    title: str
    margins: tuple[float, float, float, float] = (0.06, 0.06, 0.06, 0.42)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the axes, inches."""
        rows, cols = self.pixels.shape[:2]
        return 2.2, 2.2 * rows / cols

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        axes.imshow(self.pixels, interpolation="nearest")
        axes.set_axis_off()
        lines = textwrap.wrap(visible(self.title), 38)
        axes.set_title("\n".join(lines[:2]), loc="left", fontsize=FONT_PT - 2, color=INK)
