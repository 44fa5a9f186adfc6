"""The class table: which names, values and colours a map may hold, checked against the data.

A table is a TOML file with one `[[class]]` per class and an optional `ignore` list of names, values or
colours that are known and left unlabelled; nothing else is mapped silently::

    ignore = ["Unlabeled", "#9B9B9B"]

    [[class]]
    name = "Building"
    value = 0
    color = "#3C1098"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

IGNORE = 255
"""Unlabelled: the ignore value of uint8 pseudo-masks and class maps, and their nodata value."""

# Distinct on a map and to colour-blind readers: Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002).
PALETTE = (
    "#332288", "#DDCC77", "#117733", "#88CCEE", "#CC6677",
    "#AA4499", "#44AA99", "#999933", "#882255", "#661100",
)  # fmt: skip


def text_of(label: object) -> str:
    """Return a class's name or value as text: 3.0 is 3, and blanks around a name do not count."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label).strip()


@dataclass(frozen=True, kw_only=True)
class LandClass:
    """One class of a map."""

    name: str
    value: int
    """What rasters hold for this class, 0 to 254."""
    color: str
    """`#RRGGBB`, upper case."""

    def __post_init__(self) -> None:
        if not 0 <= self.value < IGNORE:
            raise InputError(f"class {self.name!r} has value {self.value}; values run from 0 to 254")
        if not re.fullmatch(r"#[0-9A-F]{6}", self.color):
            raise InputError(f"class {self.name!r} has color {self.color!r}; write it as #RRGGBB")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as `(red, green, blue)`, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


@dataclass(frozen=True, kw_only=True)
class ClassTable:
    """The classes of a map, in the order of their values, which are 0, 1, 2, ...

    Examples
    --------
    >>> table = ClassTable.from_names(["road", "water"])
    >>> table.value_of("water"), table.value_of("1"), table.names
    (1, 1, ('road', 'water'))
    """

    classes: tuple[LandClass, ...]
    ignore: tuple[str, ...] = ()
    """Names, values or colours that are known and mean unlabelled."""

    def __post_init__(self) -> None:
        if not self.classes:
            raise InputError("a class table needs at least one class")
        values = [land_class.value for land_class in self.classes]
        if values != list(range(len(values))):
            raise InputError(f"class values must be 0, 1, 2, ... in order, got {values}")
        names = [land_class.name for land_class in self.classes]
        if len(set(names)) < len(names):
            raise InputError(f"class names must differ, got {names}")

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> ClassTable:
        """Make a table of `names` in the given order, with values from 0 and distinct colours."""
        return cls(
            classes=tuple(
                LandClass(name=name, value=value, color=PALETTE[value % len(PALETTE)])
                for value, name in enumerate(names)
            )
        )

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> ClassTable:
        """Make a table from parsed TOML or JSON (see the module's text for the form)."""
        rows = table.get("class")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError("a class table has one [[class]] per class, with name, value and color")
        for row in rows:
            unknown = sorted(set(row) - {"name", "value", "color"})
            if unknown or "name" not in row:
                raise InputError(f"a [[class]] has name, value and color, got {row}")
            if not isinstance(row.get("value", 0), int):
                raise InputError(f"class {row['name']!r} has value {row['value']!r}; give a whole number")
        if not isinstance(table.get("ignore", []), list):
            raise InputError(f"ignore is a list of names, values or colors, got {table['ignore']!r}")
        return cls(
            classes=tuple(
                LandClass(
                    name=str(row["name"]),
                    value=row.get("value", index),
                    color=str(row.get("color", PALETTE[index % len(PALETTE)])).upper(),
                )
                for index, row in enumerate(rows)
            ),
            ignore=tuple(str(item) for item in table.get("ignore", [])),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads."""
        rows = [{"name": c.name, "value": c.value, "color": c.color} for c in self.classes]
        return {"class": rows, "ignore": list(self.ignore)}

    @property
    def names(self) -> tuple[str, ...]:
        """The class names in the order of their values."""
        return tuple(land_class.name for land_class in self.classes)

    @property
    def colormap(self) -> dict[int, tuple[int, int, int]]:
        """Value to `(red, green, blue)`, as rasterio's `write_colormap` takes it."""
        return {land_class.value: land_class.rgb for land_class in self.classes}

    def value_of(self, label: object) -> int | None:
        """Return the class value of a name or a number, `IGNORE` if it is listed as ignored, else None."""
        text = text_of(label)
        if text in self.ignore:
            return IGNORE
        # Names first: a table made of the numbers -1, 0, 1 names its values 0, 1, 2.
        by_value = {str(land_class.value): land_class.value for land_class in self.classes}
        by_name = {land_class.name: land_class.value for land_class in self.classes}
        return (by_value | by_name).get(text)

    def from_colors(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a colour mask into class values.

        Parameters
        ----------
        mask : uint8 array of shape (3, rows, cols)
            Red, green, blue.

        Returns
        -------
        uint8 array of shape (rows, cols)
            Class values; `IGNORE` where the colour is listed as ignored.

        Raises
        ------
        InputError
            If a colour is neither a class's nor ignored; the message names it and its number of pixels.
        """
        red, green, blue = mask.astype(np.uint32)
        codes = (red << 16) | (green << 8) | blue  # (rows, cols)
        known = {int(c.color[1:], 16): c.value for c in self.classes}
        known |= {int(i[1:], 16): IGNORE for i in self.ignore if re.fullmatch(r"#[0-9A-Fa-f]{6}", i)}
        colors, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
        for color, count in zip(colors.tolist(), counts.tolist(), strict=True):
            if color not in known:
                raise InputError(
                    f"color #{color:06X} ({count} pixels) is not in the class table; known: "
                    f"{', '.join(f'#{k:06X}' for k in known)}; add it as a class or to ignore"
                )
        return np.array([known[c] for c in colors.tolist()], np.uint8)[inverse].reshape(codes.shape)
