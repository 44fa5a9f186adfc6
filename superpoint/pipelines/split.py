"""Rasters and their true masks, divided into those that train, validate and test."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from superpoint.cache.addresses import absolute, holder, joined, shown
from superpoint.cache.cogs import check_output
from superpoint.cache.inputs import find_sources, name_of
from superpoint.cache.stores import Store
from superpoint.errors import InputError
from superpoint.splits import SPLITS, divide_groups, named_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.cache.inputs import Source
    from superpoint.pipelines.settings import SplitSettings

COLUMNS = ("raster", "mask", "group", "split")
A_PATTERN = "a pattern, as '{folder}/../masks/{stem}.png'"


@dataclass(frozen=True, kw_only=True)
class SplitPart:
    """The rasters of one split."""

    groups: list[str]
    rasters: list[str]
    masks: list[str]
    """True mask of each raster; empty if none were given."""


@dataclass(frozen=True, kw_only=True)
class DatasetSplit:
    """Which rasters train, validate and test."""

    output: str
    """The table, a row a raster."""
    train: SplitPart
    validation: SplitPart
    test: SplitPart
    n_left_out: int
    """Rasters of groups that are in no split."""


@dataclass(frozen=True, kw_only=True)
class _Item:
    raster: str
    mask: str
    group: str
    where: str = ""
    """Its row in a table, as the beginning of a sentence."""


def split(settings: SplitSettings) -> DatasetSplit:
    """Divide rasters into those that train, validate and test: whole groups of them, never patches.

    Parameters
    ----------
    settings : SplitSettings
        See the fields.

    Returns
    -------
    DatasetSplit
        Also written as a table.

    Raises
    ------
    InputError
        If a raster or mask does not exist, a raster is named twice or has no mask or no group, or the groups cannot be
        divided as asked.
    """
    check_output(settings.output, overwrite=settings.overwrite)
    items = _items(settings)
    groups = [item.group for item in items]
    if settings.train:
        lists = {"train": settings.train, "validation": settings.validation, "test": settings.test}
        split_of = named_groups(groups, lists)
    else:
        split_of = divide_groups(groups, settings.shares, np.random.default_rng(settings.seed))
    _write(settings.output, items, split_of)
    return DatasetSplit(
        output=str(settings.output),
        **{name: _part([item for item in items if split_of.get(item.group) == name]) for name in SPLITS},
        n_left_out=sum(item.group not in split_of for item in items),
    )


def _part(items: Sequence[_Item]) -> SplitPart:
    return SplitPart(
        groups=sorted({item.group for item in items}),
        rasters=[item.raster for item in items],
        masks=[item.mask for item in items if item.mask],
    )


def _items(settings: SplitSettings) -> list[_Item]:
    """Return every raster with its mask and group."""
    if settings.table is not None:
        items = _of_table(settings.table, settings)
    elif settings.group_column is not None:
        raise InputError("--group-column names a column of a table; give one table (.csv, .parquet) as the rasters")
    else:
        rasters = [_path_of(source) for source in find_sources(settings.rasters)]
        pairs = zip(rasters, _masks_of(rasters, settings.masks), strict=True)
        items = [_Item(raster=raster, mask=mask, group=_group_of(raster, settings.group)) for raster, mask in pairs]
    _check_files(items)
    return items


def _path_of(source: Source) -> str:
    if source.problem is not None:
        raise InputError(source.problem)
    return source.paths[0]


def _check_files(items: Sequence[_Item]) -> None:
    """Refuse what is not there, and a raster that is there twice: it could be learned from and judged."""
    seen = set()
    for item in items:
        for kind, path in (("raster", item.raster), ("mask", item.mask)):
            if path and not _is_there(path):
                raise InputError(f"{item.where}{kind} {path} does not exist; check the path")
        name = shown(item.raster)
        place = Path(name).resolve()
        if place in seen:
            raise InputError(f"{item.where}raster {name} is named a second time; leave it in one place")
        seen.add(place)


def _is_there(path: str) -> bool:
    """Whether a path is there; servers are not asked."""
    place = holder(path)
    return "://" in place or place.startswith("/vsi") or Path(place).exists()


# --- a table


def _of_table(path: Path, settings: SplitSettings) -> list[_Item]:
    table = _read_table(path)
    column = settings.group_column or ("group" if settings.group is None and "group" in table.columns else None)
    for name in ("raster", *([column] if column else [])):
        if name not in table.columns:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    wheres = [f"row {row} of {path}: " for row in range(1, len(table) + 1)]
    rasters = _cells(table, "raster")
    masks = _cells(table, "mask") if "mask" in table.columns else [""] * len(rasters)
    _refuse_blank("raster", rasters, wheres)
    if any(masks):
        _refuse_blank("mask", masks, wheres)
        masks = [joined(mask, str(path)) for mask in masks]
    rasters = [joined(raster, str(path)) for raster in rasters]
    groups = _cells(table, column) if column else [_group_of(raster, settings.group) for raster in rasters]
    _refuse_blank(column or "group", groups, wheres)
    rows = zip(rasters, masks, groups, wheres, strict=True)
    return [_Item(raster=raster, mask=mask, group=group, where=where) for raster, mask, group, where in rows]


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table as it was written: a group 01 is not the number 1, nor NA a cell that is empty."""
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        return pd.read_parquet(path, dtype_backend="pyarrow")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the table {path}: {str(error).splitlines()[0]}") from error


def _cells(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column as text, empty where there is nothing."""
    cells = zip(table[column], table[column].isna(), strict=True)
    return ["" if is_blank else str(cell).strip() for cell, is_blank in cells]


def _refuse_blank(column: str, cells: Sequence[str], wheres: Sequence[str]) -> None:
    if "" in cells:
        raise InputError(f"{wheres[cells.index('')]}the column {column!r} is empty; fill it in, or leave the row out")


# --- masks


def _masks_of(rasters: Sequence[str], masks: Sequence[str]) -> list[str]:
    """Return the mask of each raster."""
    if not masks:
        return [""] * len(rasters)
    if len(masks) == 1 and "{" in masks[0]:
        return [_by_pattern(Path(raster), masks[0]) for raster in rasters]
    found = [path for mask in masks for path in _named(mask)]
    if len(found) != len(rasters):
        raise InputError(f"there are {len(rasters)} rasters and {len(found)} masks; give one for each, or {A_PATTERN}")
    if len(found) > 1 and any(_is_glob(mask) for mask in masks):
        _check_names(rasters, found)
    return [absolute(mask) for mask in found]


def _is_glob(mask: str) -> bool:
    return has_magic(mask) and not _is_there(mask)


def _named(mask: str) -> list[str]:
    return sorted(glob(mask, recursive=True)) if _is_glob(mask) else [mask]  # noqa: PTH207  # absolute ones too


def _check_names(rasters: Sequence[str], masks: Sequence[str]) -> None:
    """Refuse masks of globs unless they are called as their rasters are, but for one ending that all have."""
    names = [name_of(raster) for raster in rasters]
    pairs = list(zip(names, map(name_of, masks), strict=True))
    [(name, count)] = Counter(names).most_common(1)
    if count > 1:
        raise InputError(f"{count} rasters are called {name}, so that masks cannot be told by name; give {A_PATTERN}")
    misfits = [_first_misfit(pairs), _first_misfit([(mask, raster) for raster, mask in pairs])]
    if None not in misfits:
        place = max(place for place in misfits if place is not None)
        raise InputError(f"{masks[place]} does not look like the mask of {rasters[place]}; give {A_PATTERN}")


def _first_misfit(pairs: Sequence[tuple[str, str]]) -> int | None:
    """Return the first pair in which the second is not the first with the ending that all have."""
    ending = pairs[0][1].removeprefix(pairs[0][0])
    return next((place for place, (short, long) in enumerate(pairs) if short + ending != long), None)


def _by_pattern(raster: Path, pattern: str) -> str:
    try:
        named = pattern.format(folder=raster.parent, name=raster.name, stem=raster.stem)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"the pattern {pattern!r} of masks may hold {{folder}}, {{name}} and {{stem}} only") from error
    mask = Path(named)
    if not mask.exists():
        raise InputError(f"{raster} has no mask {mask}; look at the pattern {pattern!r}")
    return str(mask.resolve())


def _group_of(raster: str, pattern: str | None) -> str:
    if pattern is None:
        return raster
    try:
        found = re.search(pattern, raster)
    except re.error as error:
        raise InputError(f"--group {pattern!r} is no regular expression: {error}") from error
    if found is None:
        raise InputError(f"{raster} has no group: {pattern!r} is not found in its path")
    return found.group(1) if found.re.groups else found.group()


def _write(output: Path, items: Sequence[_Item], split_of: dict[str, str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((item.raster, item.mask, item.group, split_of.get(item.group, "")) for item in items)
    Store(str(output.absolute().parent)).write(output.name, text.getvalue().encode())
