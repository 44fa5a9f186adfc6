"""Masks of any make as class values: our pseudo-masks and maps, value rasters, colour and palette images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import rasterio.windows
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from superpoint.cache.groups import load_group
from superpoint.cache.rasters import open_dataset, open_raster
from superpoint.classes import IGNORE, ClassTable
from superpoint.errors import InputError
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.tiles import Window

CLASSES_TAG = "SUPERPOINT_CLASSES"


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A mask that can be read as class values."""

    path: str
    kind: Literal["group", "values", "codes", "colors", "palette"]
    """A Zarr group of the cache; one band of class values, or of the table's codes; red, green and blue; or a palette
    image."""
    georeference: Georeference
    classes: ClassTable
    """What the values read belong to."""
    renumbered: tuple[int, ...] | None = None
    """Class value of each of the file's own, where its table has the same classes in another order."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, cols)`."""
        return self.georeference.shape

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Read class values; 255 is unlabelled.

        Raises
        ------
        InputError
            If a value or colour is not in the class table, or the file cannot be decoded.
        """
        values = self._read(window)
        if self.renumbered is None:
            return values
        table = np.full(IGNORE + 1, IGNORE, np.uint8)
        table[: len(self.renumbered)] = self.renumbered
        return np.asarray(table[values], np.uint8)

    def _read(self, window: Window) -> NDArray[np.uint8]:
        if self.kind == "group":
            return load_group(self.path).read("pseudo_mask", window).astype(np.uint8)
        area = rasterio.windows.Window(window.col, window.row, window.n_cols, window.n_rows)
        try:
            with open_dataset(self.path) as dataset:
                return self._values(dataset, area)
        except RasterioError as error:
            raise InputError(f"cannot read the mask {self.path}: {error}; get the file again") from error
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _values(self, dataset: Any, area: rasterio.windows.Window) -> NDArray[np.uint8]:  # noqa: ANN401  # rasterio publishes no types
        if self.kind == "colors":
            return self.classes.from_colors(dataset.read([1, 2, 3], window=area))
        band = dataset.read(1, window=area)
        if self.kind == "palette":
            colors = dataset.colormap(1)
            table = np.array([colors.get(value, (0, 0, 0, 0))[:3] for value in range(256)], np.uint8)
            return self.classes.from_colors(np.moveaxis(table[band], -1, 0))
        labelled = dataset.dataset_mask(window=area) > 0
        if self.kind == "codes":
            return self.classes.from_codes(np.where(labelled, band, IGNORE))
        return self._checked(np.where(labelled & (band != IGNORE), band, IGNORE))

    def _checked(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        found = np.unique(values)
        fractions = found[found != np.floor(found)]
        if fractions.size:
            raise InputError(f"value {fractions[0]:g} is no class; was the mask resampled? Only nearest keeps classes")
        unknown = [v for v in found.tolist() if v != IGNORE and not 0 <= v < len(self.classes)]
        unknown = [v for v in unknown if self.classes.value_of(v) != IGNORE]
        if unknown:
            raise InputError(
                f"value {unknown[0]} is not in the class table of {len(self.classes)} classes; "
                f"add it as a class or to ignore"
            )
        return np.where((values >= 0) & (values < len(self.classes)), values, IGNORE).astype(np.uint8)


def open_mask(path: Path, classes: ClassTable | None = None) -> Mask:
    """Look at a mask and decide how it is read.

    Parameters
    ----------
    path : Path
        A Zarr group of the cache, or a raster: one band of class values, a palette image, or colours.
    classes : ClassTable, optional
        Needed where the file carries none; one that superpoint wrote does.

    Raises
    ------
    InputError
        If it cannot be read, or has no class table.
    """
    if path.suffix == ".zarr":
        group = load_group(path)
        if "classes" not in group.provenance:
            raise InputError(f"{path} is not a pseudo-mask; give a folder of the cache's pseudo-masks")
        own = ClassTable.from_dict(group.provenance["classes"])
        renumbered = _renumbering(path, own, classes)
        grid = TileGrid(shape=group.georeference.shape, size=group.tile_size)
        n_done = sum(1 for _ in group.done(check="sizes"))
        if n_done < len(grid):
            raise InputError(
                f"{path} is not finished, {n_done} of {len(grid)} tiles are done; run the same label command"
            )
        return Mask(
            path=str(path),
            kind="group",
            georeference=group.georeference,
            classes=classes if renumbered and classes else own,
            renumbered=renumbered,
        )
    raster = open_raster(path)
    with open_dataset(raster.path) as dataset:
        tag = dataset.tags().get(CLASSES_TAG)
        is_palette = dataset.colorinterp[0] == ColorInterp.palette
        n_bands = dataset.count
    own_table = ClassTable.from_dict(json.loads(tag)) if tag else None
    table = classes or own_table
    renumbered = _renumbering(path, own_table, classes)
    if table is None:
        raise InputError(f"{path} carries no class table; give one with --classes")
    kind: Literal["values", "codes", "colors", "palette"] = "values"
    if n_bands >= 3:  # noqa: PLR2004  # red, green, blue
        kind = "colors"
        if raster.dtype != "uint8":
            raise InputError(f"{path} has {n_bands} bands of {raster.dtype}; a mask is one band, or colours in uint8")
    elif is_palette and own_table is None:
        kind = "palette"
    if kind == "values" and own_table is None:
        kind = "codes" if table.has_codes else kind
        _refuse_renumbered(path, table)
    return Mask(path=raster.path, kind=kind, georeference=raster.georeference, classes=table, renumbered=renumbered)


def _refuse_renumbered(path: Path, classes: ClassTable) -> None:
    """Refuse to read codes by a table made of other codes: points with 1, 2, 3 became the values 0, 1, 2."""
    codes = [name for name in classes.names if name.lstrip("-").isdigit()]
    if not classes.has_codes and len(codes) == len(classes) and any(int(c.name) != c.value for c in classes.classes):
        raise InputError(
            f"{path} holds class values, and the class table that was made of the points has "
            f"{', '.join(f'{c.value} = {c.name}' for c in classes.classes)}; give both one table with --classes"
        )


def _renumbering(path: Path, own: ClassTable | None, given: ClassTable | None) -> tuple[int, ...] | None:
    """Return the value that a table has for each value of the table that a file was written with; None if the same.

    Raises
    ------
    InputError
        If they are not of the same classes.
    """
    if not own or not given or own.names == given.names:
        return None
    if set(own.names) != set(given.names):
        raise InputError(
            f"{path} was made with the classes {', '.join(own.names)}, and the table given has "
            f"{', '.join(given.names)}; leave --classes out, or make the file anew with that table"
        )
    return tuple(given.names.index(name) for name in own.names)
