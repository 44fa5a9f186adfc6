"""Charts as figures: SVG and PNG for papers, and the same SVG inside a page, where it takes the page's colours.

Same charts, same bytes: nobody's matplotlibrc counts, ids are digests, and nothing says when a file was made.
"""

from __future__ import annotations

import html
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from superpoint.report.markup import Html, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    type Dashes = Literal["-", "--", ":"] | tuple[float, tuple[float, ...]]

INK, SOFT, RULE, PAPER = "#1b1f24", "#57606a", "#d5dbe1", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito (2008), "Color Universal Design": told apart by colour-blind readers; without black and yellow."""
MARKERS = ("o", "s", "^", "D", "v", "P")
GLYPHS = ("●", "■", "▲", "◆", "▼", "✚")
"""The markers as characters."""
HOLLOW_GLYPHS = ("○", "□", "△", "◇", "▽", "✛")
"""The same of markers that are not filled: those of the seventh to the twelfth line."""
DASHES: tuple[Dashes, ...] = ("-", "--", ":")
"""Of the first six lines, the next six, and all others."""
REFERENCE_DASHES: Dashes = (0, (5, 2))
DPI = 200
FONT_PT = 9.5
_VARIABLES = {INK: "--fg", SOFT: "--soft", RULE: "--line", PAPER: "--bg"} | {
    colour: f"--s{place}" for place, colour in enumerate(SERIES)
}
_LEGEND_ROW_IN = 0.24
_LEGEND_PT_A_CHARACTER = 6.0


class Chart(Protocol):
    """What is drawn into one set of axes."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the axes alone, inches."""

    @property
    def margins(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the axes, inches."""

    def draw(self, axes: Axes) -> None:
        """Draw it."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a legend."""

    name: str
    place: int
    """Among the lines."""
    is_reference: bool = False
    swatch: str | None = None
    """Colour of what is an area, as a class of a map, and no line."""

    @property
    def colour(self) -> str:
        """Of the line."""
        if self.swatch:
            return self.swatch
        return INK if self.is_reference else SERIES[self.place % len(SERIES)]

    @property
    def marker(self) -> str:
        """Of its points."""
        if self.swatch:
            return "s"
        return "x" if self.is_reference else MARKERS[self.place % len(MARKERS)]

    @property
    def glyph(self) -> str:
        """The marker as a character."""
        return "✕" if self.is_reference else (HOLLOW_GLYPHS if self.is_hollow else GLYPHS)[self.place % len(GLYPHS)]

    @property
    def is_hollow(self) -> bool:
        """Whether the marker is not filled."""
        return not self.is_reference and self.place // len(SERIES) % 2 == 1

    @property
    def face(self) -> str:
        """Colour within the marker."""
        return PAPER if self.is_hollow else self.colour

    @property
    def dashes(self) -> Dashes:
        """Of the line, as matplotlib takes them."""
        return REFERENCE_DASHES if self.is_reference else DASHES[min(self.place // len(SERIES), len(DASHES) - 1)]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One section of charts, and one figure."""

    name: str
    """Of its files."""
    title: str
    note: str
    charts: Sequence[Chart]
    descriptions: Sequence[str]
    """What each chart shows, for those who do not see it."""
    keys: Sequence[Key] = ()
    """Of the legend; none if nothing has to be told apart."""
    n_cols: int = 2


def svg_of(charts: Sequence[Chart], *, salt: str, n_cols: int = 1, keys: Sequence[Key] = ()) -> str:
    """Return charts side by side as SVG.

    Parameters
    ----------
    charts : sequence of Chart
        All drawn at the size of the largest.
    salt : str
        What ids are made different by from those of other figures.
    n_cols : int
        Charts in a row.
    keys : sequence of Key
        Of the legend above them; none for no legend.
    """
    file = io.BytesIO()
    with _style(salt):
        plain = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure_of(charts, n_cols=n_cols, keys=keys).savefig(file, format="svg", metadata=plain)
    return file.getvalue().decode()


def png_of(charts: Sequence[Chart], *, n_cols: int = 1, keys: Sequence[Key] = ()) -> bytes:
    """Return charts side by side as a PNG; see `svg_of`."""
    file = io.BytesIO()
    with _style("png"):
        figure_of(charts, n_cols=n_cols, keys=keys).savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def inline_svg(chart: Chart, description: str, *, salt: str) -> Html:
    """Return a chart as SVG for a page, as wide as there is room and in the page's colours.

    Parameters
    ----------
    chart : Chart
        The chart.
    description : str
        What it shows, for those who do not see it.
    salt : str
        See `svg_of`.
    """
    text = svg_of([chart], salt=salt)
    text = text[text.index("<svg ") :].strip()
    text = re.sub(r"<style type=.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s+", " ", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(f": {colour}", f": var({variable})")
    shape = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg role="img" aria-label="{escape(description)}" {shape[0] if shape else ""}>'
    return Html(head + text[text.index(">") + 1 :])


def figure_of(charts: Sequence[Chart], *, n_cols: int = 1, keys: Sequence[Key] = ()) -> Figure:
    """Return charts side by side, under one legend, as a figure that is no part of `matplotlib.pyplot`."""
    from matplotlib.figure import Figure

    n_cols = min(n_cols, len(charts))
    n_rows = -(-len(charts) // n_cols)
    left, right, bottom, top = (max(chart.margins[side] for chart in charts) for side in range(4))
    across, up = (max(chart.size[side] for chart in charts) for side in range(2))
    width, row = left + across + right, bottom + up + top
    above = _LEGEND_ROW_IN * _legend_rows(keys, n_cols * width) + 0.08 if keys else 0.0
    height = n_rows * row + above
    figure = Figure(figsize=(n_cols * width, height))
    for number, chart in enumerate(charts):
        at_row, at_col = divmod(number, n_cols)
        x, y = at_col * width + left, height - above - (at_row + 1) * row + bottom
        axes = figure.add_axes((x / (n_cols * width), y / height, across / (n_cols * width), up / height))
        _frame(axes)
        chart.draw(axes)
    if keys:
        _draw_legend(figure, keys, n_cols * width)
    return figure


def visible(text: str) -> str:
    """Return text without what no file of XML may hold."""
    return html.unescape(escape(text))


def _frame(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=FONT_PT - 1, length=3)


def _legend_cols(keys: Sequence[Key], width: float) -> int:
    longest = max(len(key.name) for key in keys)
    return max(1, min(len(keys), int(width * 72 / (_LEGEND_PT_A_CHARACTER * longest + 40))))


def _legend_rows(keys: Sequence[Key], width: float) -> int:
    return -(-len(keys) // _legend_cols(keys, width))


def _draw_legend(figure: Figure, keys: Sequence[Key], width: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=key.colour, marker=key.marker, linestyle=key.dashes, markersize=4.5, label=visible(key.name)
        )
        for key in keys
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="upper left", ncols=_legend_cols(keys, width), frameon=False, fontsize=FONT_PT - 0.5,
        labelcolor=INK, borderaxespad=0.2,
    )  # fmt: skip


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Draw as we do, whatever the user's own style is."""
    from matplotlib import style

    ours = {
        "svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"], "font.size": FONT_PT, "axes.unicode_minus": False,
    }  # fmt: skip
    with style.context(["default", ours]):
        yield
