"""Rasters and their true masks, divided into those that train, validate and test."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from superpoint.cache.cogs import check_output
from superpoint.cache.inputs import find_sources
from superpoint.cache.stores import Store
from superpoint.errors import InputError
from superpoint.splits import SPLITS, divide_groups, named_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from superpoint.pipelines.settings import SplitSettings

COLUMNS = ("raster", "mask", "group", "split")
TABLES = (".csv", ".parquet")


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
        If a raster has no mask or no group, or the groups cannot be divided as asked.
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
    suffix = Path(settings.rasters[0]).suffix
    if len(settings.rasters) == 1 and suffix in TABLES and Path(settings.rasters[0]).exists():
        return _of_table(Path(settings.rasters[0]), settings)
    if settings.group_column is not None:
        raise InputError("--group-column names a column of a table; give one table (.csv, .parquet) as the rasters")
    rasters = [source.paths[0] for source in find_sources(settings.rasters)]
    masks = _masks_of(rasters, settings.masks)
    pairs = zip(rasters, masks, strict=True)
    return [_Item(raster=raster, mask=mask, group=_group_of(raster, settings.group)) for raster, mask in pairs]


def _of_table(path: Path, settings: SplitSettings) -> list[_Item]:
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the table {path}: {str(error).splitlines()[0]}") from error
    column = settings.group_column
    for name in ("raster", *([column] if column else [])):
        if name not in table.columns:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    rasters = [str(path.parent / raster) for raster in table["raster"]]
    masks = [str(path.parent / mask) for mask in table["mask"]] if "mask" in table.columns else [""] * len(rasters)
    groups = [str(group) for group in table[column]] if column else [_group_of(r, settings.group) for r in rasters]
    rows = zip(rasters, masks, groups, strict=True)
    return [_Item(raster=raster, mask=mask, group=group) for raster, mask, group in rows]


def _masks_of(rasters: Sequence[str], masks: Sequence[str]) -> list[str]:
    """Return the mask of each raster."""
    if not masks:
        return [""] * len(rasters)
    if len(masks) == 1 and "{" in masks[0]:
        return [_by_pattern(Path(raster), masks[0]) for raster in rasters]
    found = [path for mask in masks for path in (sorted(glob(mask, recursive=True)) or [mask])]  # noqa: PTH207  # absolute ones too
    if len(found) != len(rasters):
        raise InputError(
            f"there are {len(rasters)} rasters and {len(found)} masks; give one for each in their order, or a pattern, "
            f"as '{{folder}}/../masks/{{stem}}.png'"
        )
    return found


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
