"""The STAC Item beside a map: the map, its probabilities, and the network that made them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from superpoint import __version__
from superpoint.cache.items import OutputAsset, OutputBand, item_of
from superpoint.cache.keys import digest
from superpoint.cache.modelitems import ModelFacts, name_of_model
from superpoint.cache.runs import now_text
from superpoint.cache.stores import Store
from superpoint.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from superpoint.cache.inputs import Source
    from superpoint.cache.rasters import Raster
    from superpoint.training.module import SegmentationModule
    from superpoint.training.recipe import Recipe

ARCHITECTURES = {
    "deeplabv3": "DeepLabV3", "deeplabv3plus": "DeepLabV3+", "fcn": "FCN", "segformer": "SegFormer", "unet": "U-Net",
    "upernet": "UPerNet",
}  # fmt: skip
"""Networks as the field writes them."""
SAID_ELSEWHERE = (
    "model", "classes", "frequencies", "encoder_weights", "input_mean", "input_std", "patch_size", "scaling_low",
    "scaling_high", "band_numbers",
)  # fmt: skip
"""Parts of a recipe that have fields of their own in an Item, or are no single values."""


def write_map_item(
    output: Path,
    *,
    probabilities: Path | None,
    raster: Raster,
    source: Source,
    checkpoint: Path,
    module: SegmentationModule,
    batch_size: int,
    provenance: Mapping[str, Any],
) -> str:
    """Write `NAME.stac.json` beside a map, and return where it is.

    Parameters
    ----------
    output : Path
        The map.
    probabilities : Path, optional
        The class probabilities beside it.
    raster : Raster
        What was mapped, with the bands that the network saw.
    source : Source
        As the user named it: when it was taken.
    checkpoint : Path
        The network's file.
    module : SegmentationModule
        The network.
    batch_size : int
        Patches at once.
    provenance : mapping
        All that decided the map.
    """
    place = output.absolute().with_suffix(".stac.json")
    item = item_of(
        f"{output.name.partition('.')[0]}-{digest(provenance)}",
        path=str(place),
        georeference=raster.georeference,
        provenance=provenance,
        sources=source.paths,
        assets=_assets(output, probabilities, module.recipe),
        created=now_text(),
        taken=source.datetime,
        software={"superpoint": __version__, "torch": _torch_version()},
        model=model_facts(raster, checkpoint, module, batch_size=batch_size, digest=provenance["checkpoint"]["digest"]),
    )
    Store(str(place.parent)).write(place.name, (json.dumps(item, indent=1) + "\n").encode())
    return str(place)


def model_facts(
    raster: Raster, checkpoint: Path, module: SegmentationModule, *, batch_size: int, digest: str
) -> ModelFacts:
    """Return what there is to say of a network that sees a raster."""
    recipe = module.recipe
    trained = {name: value for name, value in recipe.to_dict().items() if name not in SAID_ELSEWHERE}
    return ModelFacts(
        name=name_of_model(recipe.model, recipe.encoder, digest[:8]),
        architecture=ARCHITECTURES.get(recipe.model, recipe.model),
        path=str(checkpoint.absolute()),
        framework_version=_torch_version(),
        n_parameters=sum(weights.numel() for weights in module.model.parameters()),
        pretrained_source=recipe.encoder_weights,
        band_names=raster.band_names,
        band_dtype=raster.dtype,
        patch_size=recipe.patch_size,
        batch_size=batch_size,
        scaling=tuple(zip(recipe.scaling_low, recipe.scaling_high, strict=True)),
        normalization=tuple(zip(recipe.input_mean, recipe.input_std, strict=True)),
        classes=recipe.classes,
        output=f"raw outputs, trained with {recipe.loss}",
        hyperparameters={name: value for name, value in trained.items() if value not in (None, "")},
    )


def _assets(output: Path, probabilities: Path | None, recipe: Recipe) -> dict[str, OutputAsset]:
    assets = {
        "map": OutputAsset(
            path=str(output.absolute()),
            title="class map (COG)",
            bands=(OutputBand(name="class", dtype="uint8", nodata=IGNORE),),
            n_bytes=output.stat().st_size,
            classes=recipe.classes,
        )
    }
    if probabilities:
        assets["probabilities"] = OutputAsset(
            path=str(probabilities.absolute()),
            title="class probabilities (COG)",
            bands=tuple(OutputBand(name=name, dtype="float32", nodata=float("nan")) for name in recipe.classes.names),
            n_bytes=probabilities.stat().st_size,
        )
    return assets


def _torch_version() -> str:
    import torch

    return str(torch.__version__)
