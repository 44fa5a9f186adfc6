"""What pages are put together from: the document, sections, lists, tables that sort, numbers and images."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from superpoint.report.look import SCRIPT, STYLE
from superpoint.report.markup import Html, element, join
from superpoint.report.wording import number_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table that holds a number."""

    text: str
    value: float | None
    """What it is sorted by; None comes last."""


def document(title: str, *parts: Html, style: str = "") -> str:
    """Return a page that needs nothing else and asks for nothing.

    Parameters
    ----------
    title : str
        Of the browser's window.
    *parts : Html
        What is on it.
    style : str
        CSS of its own.
    """
    body = element("body", *parts, element("script", Html(SCRIPT)))
    return f"<!doctype html>\n{element('html', _head(title, style), body, lang='en')}\n"


def _head(title: str, style: str) -> Html:
    # Whatever a raster is called, nothing but our own script runs, and nothing is fetched.
    ours = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{ours}'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE + style)),
    )


def section(title: str, *parts: Html | None) -> Html:
    """Return a part of a page under a heading."""
    return element("section", element("h2", title), *parts)


def soft(text: str) -> Html:
    """Return a note in a softer colour."""
    return element("p", text, class_="soft")


def boxes(facts: Mapping[str, str]) -> Html:
    """Return a few numbers, large, each with its name below."""
    return element(
        "div",
        *(element("div", element("b", text), element("span", name)) for name, text in facts.items()),
        class_="facts",
    )


def facts_list(facts: Mapping[str, str]) -> Html:
    """Return names and what they stand for, a line each."""
    return element("dl", *(join((element("dt", name), element("dd", text))) for name, text in facts.items()))


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> Html:
    """Return a table that a click on a heading sorts."""
    numeric = [bool(rows) and isinstance(cell, Cell) for cell in rows[0]] if rows else [False] * len(columns)
    headings = (
        element("th", element("button", name, type="button"), class_="n" if is_number else None, scope="col")
        for name, is_number in zip(columns, numeric, strict=True)
    )
    body = (element("tr", *map(_cell, row)) for row in rows)
    table = element("table", element("thead", element("tr", *headings)), element("tbody", *body))
    return element("div", table, class_="scroll", tabindex=0)


def _cell(cell: str | Cell) -> Html:
    if isinstance(cell, Cell):
        return element("td", cell.text, class_="n", data_v=None if cell.value is None else f"{cell.value:.6g}")
    return element("td", cell)


def number_cell(value: float | None) -> Cell:
    """Return a cell of a number in three digits."""
    return Cell(text=number_text(value), value=value)


def count_text(number: int, what: str) -> str:
    """Return how many there are of something, as in 1 tile, 2 tiles."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def png_image(png: bytes, description: str, longer_side: int) -> Html:
    """Return a PNG as an image of a page, shown with a longer side of so many pixels."""
    n_cols, n_rows = (int.from_bytes(png[at : at + 4]) for at in (16, 20))  # of a PNG's header
    width = max(1, round(longer_side * n_cols / max(n_cols, n_rows, 1)))
    return element("img", src=data_url(png, "image/png"), alt=description, width=width)


def data_url(data: bytes, kind: str) -> Html:
    """Return bytes as an address that holds them."""
    return Html(f"data:{kind};base64,{base64.b64encode(data).decode()}")
