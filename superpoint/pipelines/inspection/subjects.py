"""What an inspection is of: a pseudo-mask, and all that the cache still has of how it came about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from superpoint.cache.cogs import PROVENANCE_TAG
from superpoint.cache.evidence import read_stages, read_tally
from superpoint.cache.groups import load_group
from superpoint.cache.holdings import find_holding
from superpoint.cache.inputs import Source
from superpoint.cache.keys import digest
from superpoint.cache.masks import open_mask
from superpoint.cache.rasters import open_dataset, open_source
from superpoint.cache.stores import Store
from superpoint.classes import ClassTable
from superpoint.errors import InputError, SuperpointError
from superpoint.pipelines.inspection.points import read_points_seen
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from superpoint.cache.georeference import Georeference
    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.holdings import Holding
    from superpoint.cache.masks import Mask
    from superpoint.cache.rasters import Raster
    from superpoint.labels.evidence import PseudoLabels
    from superpoint.labels.vote import Tally
    from superpoint.pipelines.inspection.points import PointsSeen
    from superpoint.tiles import Window

SHOWN_BANDS = 3
FILES = (".tif", ".tiff", ".png", ".jpg", ".vrt", ".zarr")
"""How names end that are meant as paths."""
BLOCK = 1024
"""Side of what is read at a time where nothing is tiled, pixels."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pseudo-mask, and what is found of how it came about."""

    name: str
    path: str
    georeference: Georeference
    classes: ClassTable
    provenance: Mapping[str, Any]
    mask: Mask | None = None
    """The file that holds the classes; None if the group does."""
    group: TiledGroup | None = None
    label_map: TiledGroup | None = None
    tally: Tally | None = None
    stages: Mapping[str, PseudoLabels] = field(default_factory=dict)
    points: PointsSeen | None = None
    missing: tuple[str, ...] = ()
    """What is not found, and what cannot be said for it."""

    @property
    def grid(self) -> TileGrid:
        """In what it is read."""
        tiled = self.label_map or self.group
        return TileGrid(shape=self.georeference.shape, size=tiled.tile_size if tiled else BLOCK)

    def read_classes(self, window: Window) -> NDArray[np.uint8]:
        """Read class values; 255 is unlabelled."""
        if self.mask is not None:
            return self.mask.read(window)
        if self.group is None:
            raise ValueError(f"{self.path} has neither a file nor a group")
        return self.group.read("pseudo_mask", window)

    def raster(self) -> Raster | None:
        """Open what the label map was made from, and a few of its bands; None if it is gone or another one now."""
        label_map = self.provenance.get("label_map")
        source = label_map.get("source") if isinstance(label_map, dict) else None
        if not source:
            return None
        paths = tuple(source.get("parts", ())) or (source["path"],)
        try:
            found = open_source(Source(name=self.name, paths=paths), bands=source["bands"][:SHOWN_BANDS])
        except SuperpointError:
            return None
        return found if found.shape == self.georeference.shape else None


def find_subject(place: str, cache: str, classes: ClassTable | None) -> Subject:
    """Find a pseudo-mask and what belongs to it.

    Parameters
    ----------
    place : str
        Path or URL of a group in a cache, the beginning of its key, or a raster of classes.
    cache : str
        Where keys are looked up, and what a raster was made from.
    classes : ClassTable, optional
        Needed for a raster that carries none.

    Raises
    ------
    InputError
        If there is no such pseudo-mask, or it is not finished.
    """
    path = Path(place)
    if path.is_file():
        return _with_tables(_of_file(path, cache, classes), Store(str(path.absolute().parent)), path.stem)
    if path.is_dir() and path.suffix == ".zarr":
        group, home = load_group(path), str(path.absolute().parents[1])
    else:
        holding = _holding_of(place, cache)
        group, home = load_group(holding.path), holding.cache.url
    if "classes" not in group.provenance:
        raise InputError(f"{place} is not a pseudo-mask; give a result of label, see superpoint cache ls")
    _refuse_unfinished(group)
    own = ClassTable.from_dict(group.provenance["classes"])
    subject = Subject(
        name=_name_of(group), path=group.path, georeference=group.georeference, classes=own,
        provenance=group.provenance, group=group,
    )  # fmt: skip
    return _with_tables(_with_label_map(subject, home), None, "")


def _holding_of(place: str, cache: str) -> Holding:
    try:
        return find_holding(cache, place, kinds=("pseudo-masks",))
    except InputError as error:
        if not place.lower().endswith(FILES):
            raise
        raise InputError(
            f"there is no file {place}, and no pseudo-mask's key in {cache} begins so; see superpoint cache ls"
        ) from error


def _of_file(path: Path, cache: str, classes: ClassTable | None) -> Subject:
    mask = open_mask(path, classes)
    with open_dataset(mask.path) as dataset:
        tag = dataset.tags().get(PROVENANCE_TAG)
    provenance = json.loads(tag) if tag else {}
    subject = Subject(
        name=path.stem, path=str(path), georeference=mask.georeference, classes=mask.classes, provenance=provenance,
        mask=mask,
    )  # fmt: skip
    if not provenance:
        return _without(subject, "was not written by label: of superpixels, votes and points nothing is known")
    group = _group_in(cache, "pseudo-masks", digest(provenance))
    if group is None or group.georeference.shape != mask.shape:
        return _with_label_map(
            _without(subject, f"is not in {cache}, so its votes are not known; {_advice(path, cache)}"), cache
        )
    return _with_label_map(replace(subject, group=group), cache)


def _advice(path: Path, cache: str) -> str:
    """Say which cache to give: the one that the STAC item beside a file names, unless it is the one that was given."""
    home = _home_of(path)
    if home is None:
        return "give the --cache that it was made in"
    if home.resolve() == Path(cache).resolve():
        return "run the same label command"
    return f"it was made in {home}: " + (f"give --cache {home}" if home.is_dir() else "that is gone")


def _home_of(path: Path) -> Path | None:
    """Return the cache that the STAC item beside a file names; None if there is none, or it is no folder."""
    try:
        href: str = json.loads(path.with_suffix(".stac.json").read_text())["assets"]["zarr"]["href"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if "://" in href:
        return None
    return (path.parent / href).absolute().parents[1].resolve()


def _with_label_map(subject: Subject, cache: str) -> Subject:
    found = subject.provenance.get("label_map")
    key = found.get("digest") if isinstance(found, dict) else None
    label_map = _group_in(cache, "label-maps", key) if key else None
    if label_map is None or label_map.georeference.shape != subject.georeference.shape:
        return _without(
            subject,
            f"has no label map in {cache}: nothing can be said of superpixels, nor why pixels are wrong",
        )
    return replace(subject, label_map=label_map)


def _with_tables(subject: Subject, folder: Store | None, stem: str) -> Subject:
    """Add the votes, the stages and the account, from beside the group or, for the account, beside a file."""
    if subject.group is None and folder is None:
        return subject
    path = subject.group.path if subject.group else None
    try:
        tally = read_tally(path) if path else None
        stages = read_stages(path) if path else {}
        points = read_points_seen(path, subject.classes) if path else None
        if points is None and folder is not None:
            points = read_points_seen(f"{folder.url}/{stem}.zarr", subject.classes)
    except pa.ArrowException as error:
        raise InputError(f"a table beside {subject.path} is damaged: {error}; run the same label command") from error
    subject = replace(subject, tally=tally, stages=stages, points=points)
    if points is None and subject.provenance:
        subject = _without(subject, "has no account of its points beside it")
    if path and not stages:
        subject = _without(subject, "has no table of stages beside it: what steps did cannot be told")
    return subject


def _without(subject: Subject, what: str) -> Subject:
    return replace(subject, missing=(*subject.missing, f"{subject.name} {what}."))


def _group_in(cache: str, kind: str, key: str) -> TiledGroup | None:
    try:
        return load_group(find_holding(cache, key, kinds=(kind,)).path)
    except InputError:
        return None


def _refuse_unfinished(group: TiledGroup) -> None:
    n_tiles = len(TileGrid(shape=group.georeference.shape, size=group.tile_size))
    n_done = sum(1 for _ in group.done(check="sizes"))
    if n_done < n_tiles:
        raise InputError(
            f"{group.path} is not finished, {n_done} of {n_tiles} tiles are done; run the same label command"
        )


def _name_of(group: TiledGroup) -> str:
    return group.path.rpartition("/")[2].removesuffix(".zarr").rpartition("-")[0]
