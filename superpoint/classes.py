"""The class table: which names, values and colours a map may hold, checked against the data.

A table is a TOML file with one `[[class]]` per class and an optional `ignore` list of names, values or
colours that are known and left unlabelled; nothing else is mapped silently::

    ignore = ["Unlabeled", "#9B9B9B"]

    [[class]]
    name = "Building"
    value = 0
    color = "#3C1098"
    code = 21

A `code` is what points and masks call the class where that is neither its name nor its value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    code: int | str | None = None
    """What points and masks call the class, if neither by name nor by value."""

    def __post_init__(self) -> None:
        if not 0 <= self.value < IGNORE:
            raise InputError(
                f"class {self.name!r} has value {self.value}; values run from 0 to 254, at most 255 classes"
            )
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
        codes = [text_of(land_class.code) for land_class in self.classes if land_class.code is not None]
        if len(set(codes)) < len(codes):
            raise InputError(f"class codes must differ, got {codes}")

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def from_names(cls, names: Iterable[str], *, codes: Sequence[int | str] | None = None) -> ClassTable:
        """Make a table of `names`, and `codes`, in the given order, with values from 0 and distinct colours."""
        return cls(
            classes=tuple(
                LandClass(
                    name=name,
                    value=value,
                    color=PALETTE[value % len(PALETTE)],
                    code=None if codes is None else codes[value],
                )
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
            unknown = sorted(set(row) - {"name", "value", "color", "code"})
            if unknown or "name" not in row:
                raise InputError(f"a [[class]] has name, value and color, got {row}; and code, if it is called by one")
            if not isinstance(row.get("value", 0), int):
                raise InputError(f"class {row['name']!r} has value {row['value']!r}; give a whole number")
            if not isinstance(row.get("code", 0), int | str) or isinstance(row.get("code"), bool):
                raise InputError(f"class {row['name']!r} has code {row['code']!r}; give a whole number or a text")
        if not isinstance(table.get("ignore", []), list):
            raise InputError(f"ignore is a list of names, values or colors, got {table['ignore']!r}")
        return cls(
            classes=tuple(
                LandClass(
                    name=str(row["name"]),
                    value=row.get("value", index),
                    color=str(row.get("color", PALETTE[index % len(PALETTE)])).upper(),
                    code=row.get("code"),
                )
                for index, row in enumerate(rows)
            ),
            ignore=tuple(str(item) for item in table.get("ignore", [])),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads; a class without a code has none here either."""
        rows = [
            {"name": c.name, "value": c.value, "color": c.color} | ({} if c.code is None else {"code": c.code})
            for c in self.classes
        ]
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
        """Return the class value of a name, a code or a value, `IGNORE` if it is listed as ignored, else None."""
        text = text_of(label)
        if text in self.ignore:
            return IGNORE
        # Names first, then codes: a table made of the numbers -1, 0, 1 names its values 0, 1, 2.
        by_value = {str(land_class.value): land_class.value for land_class in self.classes}
        by_name = {land_class.name: land_class.value for land_class in self.classes}
        return (by_value | self._by_code | by_name).get(text)

    @property
    def _by_code(self) -> dict[str, int]:
        return {text_of(c.code): c.value for c in self.classes if c.code is not None}

    @property
    def has_codes(self) -> bool:
        """Whether a class has a code: masks then hold codes, see `from_codes`."""
        return any(land_class.code is not None for land_class in self.classes)

    def from_codes(self, mask: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn a mask of codes into class values; a class without a code is called by its value.

        Parameters
        ----------
        mask : integer array of shape (rows, cols)
            Codes.

        Returns
        -------
        uint8 array of shape (rows, cols)
            Class values; `IGNORE` where the code is 255 and no class's, or is listed as ignored.

        Raises
        ------
        InputError
            If a value is neither; the message names it and its number of pixels.

        Examples
        --------
        >>> table = ClassTable.from_names(["road", "water"], codes=[21, 7])
        >>> table.from_codes(np.array([[7, 21, 255]])).tolist()
        [[1, 0, 255]]
        """
        called = {str(c.value): c.value for c in self.classes if c.code is None} | self._by_code
        called = {str(IGNORE): IGNORE} | called | dict.fromkeys(self.ignore, IGNORE)
        codes, inverse, counts = np.unique(mask, return_inverse=True, return_counts=True)
        texts = [text_of(code) for code in codes.tolist()]
        for text, count in zip(texts, counts.tolist(), strict=True):
            if text not in called:
                raise InputError(
                    f"value {text} ({count} pixels) is no class's code; known: "
                    f"{', '.join(code for code in called if code != str(IGNORE))}; add it as a code or to ignore"
                )
        return np.array([called[text] for text in texts], np.uint8)[inverse].reshape(mask.shape)

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
