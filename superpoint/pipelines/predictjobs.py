"""The job of mapping one raster: all that a worker needs to know for it, and how it is done, block by block.

A map has one writer, so a raster is one job. Memory is bounded by the block: its probabilities, and the pixels around
it that the patches see.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from superpoint.cache.cogs import PROVENANCE_TAG, CogProfile, cog_writer
from superpoint.cache.georeference import refuse_other_grid
from superpoint.cache.labelmaps import open_labels
from superpoint.cache.masks import CLASSES_TAG
from superpoint.cache.rasters import Raster, open_dataset, open_source
from superpoint.classes import IGNORE
from superpoint.errors import InputError
from superpoint.pipelines.crispedges import Block, crisp_blocks
from superpoint.pipelines.mapitems import write_map_item
from superpoint.pipelines.networks import Network, bands_of, block_size, open_network, overlap_of
from superpoint.pipelines.outputs import provenance_in
from superpoint.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from superpoint.cache.inputs import Source
    from superpoint.cache.labelmaps import StoredLabels
    from superpoint.pipelines.settings import PredictSettings
    from superpoint.tiles import Window

COUNTED_AT_ONCE = 2048  # side of the blocks in which a map that is kept is counted, pixels


@dataclass(frozen=True, kw_only=True)
class Map:
    """A map of one raster."""

    raster: str
    output: str
    probabilities: str | None
    """The class probabilities, if they were asked for."""
    item: str
    """The STAC Item that describes it."""
    label_map: str | None = None
    """The superpixels that have one class each, if edges were to be crisp."""
    class_pixels: dict[str, int]
    """Pixels of each class, by name."""
    seconds: float
    kept: bool = False
    """Whether it was there already, made of the very same."""


@dataclass(frozen=True, kw_only=True)
class MapJob:
    """Map one raster; small, and picklable."""

    source: Source
    output: Path
    label_map: str | None
    """Where the superpixels are that get one class each."""
    settings: PredictSettings
    n_threads: int | None = None
    """Threads of the network; None for as many as PyTorch takes."""

    def compute(self, advance: Callable[[float], None] = lambda _: None) -> Map:
        """Write the map, unless it is there; `advance` is told what share of the raster is done.

        Raises
        ------
        InputError
            If the raster or its label map cannot be used, or another map is there.
        """
        started = time.perf_counter()
        if self.n_threads is not None:
            import torch

            torch.set_num_threads(self.n_threads)
        plan = self._plan()
        stands = plan.stands(overwrite=self.settings.overwrite)
        class_pixels = _counted(self.output) if stands else plan.write(advance)
        if stands:
            advance(1.0)
        names = plan.network.recipe.classes.names
        return Map(
            raster=plan.raster.path,
            output=str(self.output),
            probabilities=str(plan.probabilities) if plan.probabilities else None,
            item=plan.describe(self.source),
            label_map=plan.labels.path if plan.labels else None,
            class_pixels=dict(zip(names, class_pixels[: len(names)].tolist(), strict=True)),
            seconds=round(time.perf_counter() - started, 3),
            kept=stands,
        )

    def _plan(self) -> Plan:
        network = open_network(self.settings.checkpoint)
        raster = open_source(self.source, bands=bands_of(self.settings, network.recipe))
        labels = open_labels(self.settings.cache, self.label_map) if self.label_map else None
        if labels:
            refuse_other_grid(labels.path, labels.georeference, raster.path, raster.georeference)
        return Plan(raster=raster, network=network, labels=labels, settings=self.settings, output=self.output)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one raster is mapped, all that belongs to it opened."""

    raster: Raster
    network: Network
    labels: StoredLabels | None
    settings: PredictSettings
    output: Path

    @property
    def probabilities(self) -> Path | None:
        """Where the class probabilities go, if they are wanted."""
        return probabilities_of(self.output) if self.settings.probabilities else None

    @property
    def provenance(self) -> dict[str, Any]:
        """All that decides the map, as JSON; batches and threads may move the last digits of probabilities."""
        recipe, labels = self.network.recipe, self.labels
        provenance: dict[str, Any] = {
            "kind": "maps",
            "source": self.raster.identity(),
            "checkpoint": {"name": self.network.path.name, "digest": self.network.digest},
            "recipe": recipe.to_dict(),
            "overlap": overlap_of(self.settings, recipe),
            "flips": self.settings.flips,
        }
        if labels:
            provenance["label_map"] = labels.provenance
            if isinstance(labels.source, Raster) and not labels.provenance:
                provenance["label_map"] = {"source": labels.source.identity()}
        plain: dict[str, Any] = json.loads(json.dumps(provenance))
        return plain

    @property
    def leftover(self) -> Path | None:
        """Probabilities of another map beside this one, which has none; no file but one of ours."""
        found = probabilities_of(self.output)
        if self.settings.probabilities or not found.exists() or provenance_in(found) in (None, self.provenance):
            return None
        return found

    def stands(self, *, overwrite: bool) -> bool:
        """Return whether all files are there, made of the very same.

        Raises
        ------
        InputError
            If one is there that was made otherwise, even if it would only be left over, and is not to be replaced.
        """
        provenance = self.provenance
        files = [self.output, *([self.probabilities] if self.probabilities else [])]
        same = {file: provenance_in(file) == provenance for file in files if file.exists()}
        leftover = self.leftover
        others = [file for file, is_same in same.items() if not is_same] + ([leftover] if leftover else [])
        if others and not overwrite:
            raise InputError(
                f"{others[0]} exists already and was made otherwise; give --overwrite to replace it, or another name"
            )
        return len(same) == len(files) and not others

    def write(self, advance: Callable[[float], None]) -> NDArray[np.int64]:
        """Write the map, and the probabilities if they are wanted; return the pixels of each value.

        Those of a map that is replaced go with it.
        """
        class_pixels = np.zeros(IGNORE + 1, np.int64)
        kept = self.probabilities
        with (
            cog_writer(self.output, self._class_profile(), overwrite=True) as write_classes,
            cog_writer(kept, self._probability_profile(), overwrite=True) if kept else nullcontext() as write_all,
        ):
            blocks = self._blocks(write_all, advance)
            drawn = self._crisp(blocks) if self.labels else ((block.window, block.classes) for block in blocks)
            for window, values in drawn:
                class_pixels += np.bincount(values.ravel(), minlength=IGNORE + 1)
                write_classes(window, values)
        if leftover := self.leftover:
            leftover.unlink()
        return class_pixels

    def describe(self, source: Source) -> str:
        """Write the STAC Item beside the map, and return where it is."""
        return write_map_item(
            self.output,
            probabilities=self.probabilities,
            raster=self.raster,
            source=source,
            checkpoint=self.network.path,
            module=self.network.module,
            batch_size=self.settings.batch_size,
            provenance=self.provenance,
        )

    def _blocks(
        self, write_all: Callable[[Window, NDArray[np.float32]], None] | None, advance: Callable[[float], None]
    ) -> Iterator[Block]:
        """Yield the raster's blocks in raster order."""
        recipe = self.network.recipe
        n_pixels = self.raster.shape[0] * self.raster.shape[1]
        for tile in TileGrid(shape=self.raster.shape, size=block_size(len(recipe.classes))):
            window = tile.core
            probabilities = self.network.predict(self.raster, window, self.settings)
            _, valid = self.raster.read(window)
            if write_all:
                write_all(window, np.where(valid, probabilities, np.float32(np.nan)))
            yield Block(window=window, probabilities=probabilities, valid=valid)
            advance(window.n_rows * window.n_cols / n_pixels)

    def _crisp(self, blocks: Iterator[Block]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        assert self.labels is not None  # noqa: S101  # for the type checker
        n_classes = len(self.network.recipe.classes)
        return crisp_blocks(blocks, self.labels, self._class_profile(), self.output.parent, n_classes=n_classes)

    def _class_profile(self) -> CogProfile:
        return CogProfile(
            georeference=self.raster.georeference,
            dtype="uint8",
            nodata=IGNORE,
            band_names=("class",),
            colormap=self.network.recipe.classes.colormap,
            tags=self._tags(),
        )

    def _probability_profile(self) -> CogProfile:
        return CogProfile(
            georeference=self.raster.georeference,
            dtype="float32",
            nodata=float("nan"),
            band_names=self.network.recipe.classes.names,
            tags=self._tags(),
        )

    def _tags(self) -> dict[str, Any]:
        return {CLASSES_TAG: self.network.recipe.classes.to_dict(), PROVENANCE_TAG: self.provenance}


def probabilities_of(output: Path) -> Path:
    """Return the file of class probabilities that goes with a map."""
    return output.with_suffix(".probabilities.tif")


def _counted(output: Path) -> NDArray[np.int64]:
    """Count the values of a map that is there."""
    counts = np.zeros(IGNORE + 1, np.int64)
    with open_dataset(str(output)) as dataset:
        for tile in TileGrid(shape=dataset.shape, size=COUNTED_AT_ONCE):
            rows, cols = tile.core.slices
            area = ((rows.start, rows.stop), (cols.start, cols.stop))
            counts += np.bincount(dataset.read(1, window=area).ravel(), minlength=IGNORE + 1)
    return counts
