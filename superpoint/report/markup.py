"""HTML out of Python: text is escaped unless it is known to be HTML."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

VOID = {"br", "img", "meta"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Html:
    r"""Return text as HTML that shows it.

    Control characters, the halves of characters that undecodable file names have, and what turns the direction of
    writing are shown by their numbers.

    Examples
    --------
    >>> escape("<script>"), escape("a" + chr(0) + "b")
    ('&lt;script&gt;', 'a\\x00b')
    """
    if isinstance(text, Html):
        return text
    visible = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return Html(html.escape(visible))


def element(tag: str, /, *children: str | None, **attributes: str | float | bool | None) -> Html:
    """Return an HTML element.

    Parameters
    ----------
    tag : str
        Its name, as `td`.
    *children : str or None
        What it holds; None is nothing.
    **attributes : str, float, bool or None
        `class_` is `class`, `data_value` is `data-value`; True stands alone, None and False are left out.

    Examples
    --------
    >>> element("p", "1 < 2, ", element("b", "true"), class_="note")
    '<p class="note">1 &lt; 2, <b>true</b></p>'
    """
    given = {key: value for key, value in attributes.items() if value is not None and value is not False}
    start = "".join(_attribute(key, value) for key, value in given.items())
    if tag in VOID:
        return Html(f"<{tag}{start}>")
    return Html(f"<{tag}{start}>{join(child for child in children if child is not None)}</{tag}>")


def join(parts: Iterable[str]) -> Html:
    """Return parts one after the other as HTML."""
    return Html("".join(escape(part) for part in parts))


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(f"{value:g}" if isinstance(value, float) else str(value))}"'
