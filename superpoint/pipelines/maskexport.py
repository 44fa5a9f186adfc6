"""Pseudo-masks as files: a Cloud-Optimized GeoTIFF with colours, its evidence, and the account of its points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import PROVENANCE_TAG, CogProfile, write_cog
from superpoint.cache.evidence import companion_of
from superpoint.cache.groups import ArraySpec
from superpoint.cache.holdings import ACCOUNT
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.stores import Store
from superpoint.classes import IGNORE, ClassTable
from superpoint.pipelines.outputs import block_windows, is_exported, read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.groups import TiledGroup
    from superpoint.tiles import Window

EVIDENCE = {
    "vote_share": ArraySpec(dtype="float32", fill_value=0, long_name="share of the votes for the class"),
    "votes": ArraySpec(dtype="uint16", fill_value=0, long_name="number of votes in the superpixel"),
    "flags": ArraySpec(
        dtype="uint8",
        fill_value=0,
        long_name="1 votes in conflict, 2 tied, 4 too weak, 8 class of a step, 16 class taken away",
    ),
}


def arrays_of(classes: ClassTable, *, shares: bool) -> dict[str, ArraySpec]:
    """Return the arrays of a pseudo-mask's group."""
    mask = ArraySpec(dtype="uint8", fill_value=IGNORE, long_name="class, 255 is unlabelled")
    found = {"pseudo_mask": mask, **EVIDENCE}
    if shares:
        found |= {
            share_name(one.value): ArraySpec(
                dtype="float32", fill_value=0, long_name=f"share of the votes for {one.name}"
            )
            for one in classes.classes
        }
    return found


def share_name(value: int) -> str:
    """Return the name of the array that holds the share of the votes for a class."""
    return f"class_share_{value}"


def companions_of(output: Path, *, shares: bool = False) -> tuple[Path, ...]:
    """Return the pseudo-mask, its evidence, the account of its points and, if wanted, the shares of all classes."""
    found = output, output.with_suffix(".evidence.tif"), output.with_suffix(".points.parquet")
    return (*found, output.with_suffix(".shares.tif")) if shares else found


def is_exported_whole(output: Path, group: TiledGroup) -> bool:
    """Return whether a pseudo-mask and what belongs beside it are there, made of this very group."""
    _, _, account, *_ = paths = companions_of(output, shares=bool(group.provenance.get("shares")))
    return account.exists() and all(is_exported(path, group) for path in paths if path != account)


def export_pseudo_mask(
    group: TiledGroup, output: Path, *, overwrite: bool, on_pixels: Callable[[int], None] = lambda _: None
) -> Path:
    """Write a pseudo-mask as a COG, with its evidence, its shares and the account of its points beside it.

    What is there already of this very group, as a killed run leaves it, is replaced in any case.
    """
    classes = ClassTable.from_dict(group.provenance["classes"])
    tags = {CLASSES_TAG: classes.to_dict(), PROVENANCE_TAG: group.provenance}
    shares = bool(group.provenance.get("shares"))
    _, evidence, account, *rest = companions_of(output, shares=shares)
    _write_floats(group, evidence, tuple(EVIDENCE), EVIDENCE_BANDS, tags, nodata=None, overwrite=overwrite)
    for path in rest:
        names = tuple(share_name(one.value) for one in classes.classes)
        _write_floats(group, path, names, classes.names, tags, nodata=float("nan"), overwrite=overwrite)
    _copy_account(group, account)
    profile = CogProfile(
        georeference=group.georeference,
        dtype="uint8",
        nodata=IGNORE,
        band_names=("class",),
        colormap=classes.colormap,
        tags=tags,
    )
    blocks = read_blocks(group, "pseudo_mask", on_pixels)
    return write_cog(output, profile, blocks, overwrite=overwrite or is_exported(output, group))


EVIDENCE_BANDS = ("vote share", "votes", "flags")


def _write_floats(
    group: TiledGroup,
    path: Path,
    arrays: Sequence[str],
    bands: Sequence[str],
    tags: dict[str, Any],
    *,
    nodata: float | None,
    overwrite: bool,
) -> None:
    profile = CogProfile(
        georeference=group.georeference, dtype="float32", nodata=nodata, band_names=tuple(bands), tags=tags
    )
    blocks = _stacks(group, arrays, voted_only=nodata is not None)
    write_cog(path, profile, blocks, overwrite=overwrite or is_exported(path, group))


def _stacks(
    group: TiledGroup, arrays: Sequence[str], *, voted_only: bool
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Yield arrays as bands; with `voted_only` NaN where nobody voted, which is no share of 0."""
    for window in block_windows(group):
        bands = np.stack([group.read(name, window).astype(np.float32) for name in arrays])
        yield window, np.where(group.read("votes", window) > 0, bands, np.float32(np.nan)) if voted_only else bands


def _copy_account(group: TiledGroup, account: Path) -> None:
    store, key = companion_of(group.path, ACCOUNT)
    data = store.read(key)
    if data is not None:
        Store(str(account.absolute().parent)).write(account.name, data)
