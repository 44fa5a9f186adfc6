"""Numbers for people, and the ticks of axes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE = "–"  # noqa: RUF001  # a dash as long as a digit
MINUTE, HOUR, DAY = 60, 3600, 86_400
TIME_STEPS = (1, 2, 5, 10, 15, 30, *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)), *(HOUR * n for n in (1, 2, 3, 6, 12)))
"""Seconds between the ticks of a time axis; shorter and longer ones are decimal, of seconds and of days."""


def size_text(n_bytes: float) -> str:
    """Return a size in words.

    Examples
    --------
    >>> size_text(999), size_text(1536), size_text(5 * 2**30)
    ('999 bytes', '1.5 KiB', '5 GiB')
    """
    if n_bytes < 1024:  # noqa: PLR2004  # a KiB
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log2(n_bytes) / 10), 5)
    return f"{number_text(n_bytes / 1024**power)} {('KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power - 1]}"


def number_text(value: float | None) -> str:
    """Return a number with three digits that count, large ones with all of those before the point.

    Examples
    --------
    >>> number_text(12345.6), number_text(12.345), number_text(0.01234), number_text(5), number_text(None)
    ('12,346', '12.3', '0.0123', '5', '–')
    """  # noqa: RUF002  # a dash as long as a digit
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004  # all digits stand before the point
        return f"{value:,.0f}"
    return f"{value:.3g}"


def many_text(value: float) -> str:
    """Return a large number shortly.

    Examples
    --------
    >>> many_text(123_456), many_text(16_896_811), many_text(2.5e9)
    ('123,456', '16.9 million', '2,500 million')
    """
    return number_text(value) if value < 1e6 else f"{number_text(value / 1e6)} million"  # noqa: PLR2004  # a million


def pixels_text(n_pixels: float) -> str:
    """Return a number of pixels.

    Examples
    --------
    >>> pixels_text(12_300_000), pixels_text(13_327e6), pixels_text(4.2e12)
    ('12.3 Mpx', '13.3 Gpx', '4.2 Tpx')
    """
    for unit, name in ((1e12, "Tpx"), (1e9, "Gpx")):
        if n_pixels >= unit:
            return f"{number_text(n_pixels / unit)} {name}"
    return f"{number_text(n_pixels / 1e6)} Mpx"


def duration_text(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> duration_text(0.045), duration_text(12.34), duration_text(200), duration_text(3725), duration_text(200_000)
    ('45 ms', '12.3 s', '3 min 20 s', '1 h 02 min', '2 d 08 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{number_text(seconds)} s"
    if seconds < HOUR:
        minutes, rest = divmod(round(seconds), MINUTE)
        return f"{minutes} min {rest} s"
    if seconds < DAY:
        hours, rest = divmod(round(seconds / MINUTE), 60)
        return f"{hours} h {rest:02d} min"
    days, rest = divmod(round(seconds / HOUR), 24)
    return f"{days} d {rest:02d} h"


def moment_text(seconds: float) -> str:
    """Return a time since 1970 as date and time of day.

    Examples
    --------
    >>> moment_text(1_700_000_000.5)
    '2023-11-14 22:13:20 UTC'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def nice_step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that divides `span` into at most `most` parts.

    Examples
    --------
    >>> nice_step(17, 5), nice_step(0.9, 5)
    (5.0, 0.2)
    """
    wanted = span / most
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(round(power * factor, 12) for factor in (1, 2, 5, 10) if power * factor >= wanted * (1 - 1e-9))


def time_step(span: float, most: int) -> float:
    """Return the smallest time in use on clocks that divides `span` into at most `most` parts, seconds.

    Examples
    --------
    >>> time_step(100, 5), time_step(0.9, 5), time_step(10 * DAY, 5)
    (30.0, 0.2, 172800.0)
    """
    if span / most <= 1:
        return nice_step(span, most)
    return next((float(step) for step in TIME_STEPS if step * most >= span), nice_step(span / DAY, most) * DAY)


def ticks_of(end: float, step: float) -> NDArray[np.float64]:
    """Return the multiples of a step from 0 to `end`, `end` included if it is one.

    Examples
    --------
    >>> ticks_of(17, 5).tolist()
    [0.0, 5.0, 10.0, 15.0]
    """
    return np.arange(math.floor(end / step * (1 + 1e-9)) + 1, dtype=np.float64) * step


def clock_text(seconds: float, step: float) -> str:
    """Return the time since a start for the tick of an axis with such steps.

    Examples
    --------
    >>> clock_text(0.4, 0.2), clock_text(90, 30), clock_text(120, 60), clock_text(5400, 1800), clock_text(2 * DAY, DAY)
    ('0.4 s', '1:30 min', '2 min', '1:30 h', '2 d')
    """
    if seconds == 0:
        return "0"
    if step >= DAY:
        return f"{seconds / DAY:g} d"
    if seconds < MINUTE:
        return f"{round(seconds, 6):g} s"
    name, part = ("min", 1) if seconds < HOUR else ("h", MINUTE)
    whole, rest = divmod(round(seconds / part), 60)
    return f"{whole}:{rest:02d} {name}" if rest else f"{whole} {name}"
