"""Settings of the steps that train networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from superpoint.pipelines.settings.base import CacheSettings


class TrainSettings(CacheSettings):
    """Settings of `train`."""

    raster: Annotated[list[Path], Field(min_length=1, description="Training rasters, in the order of --labels.")]
    labels: Annotated[
        list[Path],
        Field(min_length=1, description="Pseudo-mask (COG or .zarr of the cache) or mask of each raster."),
    ]
    out: Annotated[Path, Field(description="Folder for checkpoints, metrics and settings.")]
    validation_raster: Annotated[
        list[Path], Field(description="Rasters that val_miou is measured on after each epoch.")
    ] = []
    validation_labels: Annotated[list[Path], Field(description="Mask of each validation raster.")] = []
    classes: Annotated[Path | None, Field(description="Class table, for masks that carry none. [as in the labels]")] = (
        None
    )
    bands: Annotated[list[int], Field(description="Band numbers from 1. [all but alpha]")] = []
    model: Annotated[
        str,
        Field(description="Segmentation network: unet, deeplabv3, deeplabv3plus, fcn, segformer or upernet."),
    ] = "unet"
    encoder: Annotated[str, Field(description="Encoder, any name of segmentation-models-pytorch.")] = "resnet34"
    encoder_weights: Annotated[
        str | None,
        Field(description="What the encoder starts from: imagenet, or a file (.safetensors, .pt). [random weights]"),
    ] = None
    input_statistics: Annotated[
        Literal["auto", "imagenet", "none"],
        Field(
            description="Mean and deviation that scaled bands are normalised by: auto takes those of pretrained "
            "weights given by name, and none otherwise."
        ),
    ] = "auto"
    loss: Annotated[
        str,
        Field(
            description="weighted-masked-mse, partial-cross-entropy, partial-focal, dice, lovasz-softmax, "
            "superpixel-consistency, or a sum such as 'partial-cross-entropy + 0.5*dice'."
        ),
    ] = "weighted-masked-mse"
    normalize: Annotated[
        Literal["all", "labelled"],
        Field(
            description="What weighted-masked-mse is divided by: all pixels, as published, or the labelled ones.",
        ),
    ] = "all"
    weighting: Annotated[
        Literal["per-channel", "own-class"] | None,
        Field(
            description="What the class frequencies divide: each channel's error (MSE), or each pixel's loss by its "
            "own class (MSE, cross-entropy, focal). [MSE per-channel, the others not at all]"
        ),
    ] = None
    class_weights: Annotated[
        Literal["balanced"] | None,
        Field(
            description="balanced weighs pixels of a class by 1 / (classes x its frequency) in cross-entropy and focal "
            "loss. [all alike]"
        ),
    ] = None
    gamma: Annotated[float, Field(ge=0, description="How much less the focal loss counts pixels that are right.")] = 2.0
    smoothing: Annotated[float, Field(ge=0, description="Added above and below in the Dice loss.")] = 0.0
    epochs: Annotated[int, Field(ge=1, description="Passes over all patches that have labels.")] = 20
    early_stopping: Annotated[
        int | None, Field(ge=1, description="Stop when val_loss was not lower for so many epochs. [never]")
    ] = None
    max_time: Annotated[
        float | None,
        Field(gt=0, description="Minutes; stop where another epoch would take longer. --resume goes on. [no limit]"),
    ] = None
    patch: Annotated[int, Field(ge=32, multiple_of=32, description="Side of a patch in pixels, a multiple of 32.")] = (
        256
    )
    sampling: Annotated[
        Literal["all", "balanced"],
        Field(
            description="Patches of an epoch: all of them once, or as many drawn so that each class is as often the "
            "reason."
        ),
    ] = "all"
    placement: Annotated[
        Literal["grid", "random"],
        Field(
            description="Where patches lie: on a grid, or in each epoch moved at random by up to half a patch, if a "
            "label is in it."
        ),
    ] = "grid"
    radiometric: Annotated[
        float,
        Field(ge=0, le=1, description="How far brightness, contrast and noise of patches are changed; 0: not at all."),
    ] = 0.0
    batch_size: Annotated[int, Field(ge=1, description="Patches in a batch, of each device.")] = 8
    accumulate: Annotated[int, Field(ge=1, description="Batches a step: the gradient is their mean.")] = 1
    optimizer: Annotated[Literal["adam", "adamw"], Field(description="adam or adamw.")] = "adam"
    learning_rate: Annotated[float, Field(gt=0, description="The optimizer's step size, a schedule's highest.")] = 1e-3
    weight_decay: Annotated[
        float, Field(ge=0, description="Decay of the weights (adamw), or L2 penalty of the gradient (adam).")
    ] = 0.0
    schedule: Annotated[
        Literal["constant", "plateau", "cosine"],
        Field(
            description="Learning rate: constant; plateau, a tenth whenever val_loss stays up; or cosine, a short rise "
            "and then down to 0 at the last epoch."
        ),
    ] = "constant"
    plateau_patience: Annotated[
        int, Field(ge=1, description="Epochs without a lower val_loss before the plateau schedule goes down.")
    ] = 10
    precision: Annotated[
        Literal["32", "bf16-mixed", "16-mixed"],
        BeforeValidator(str),
        Field(description="Numbers of the network: 32 bits, or mixed with 16, which saves memory on a GPU."),
    ] = "32"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    devices: Annotated[int, Field(ge=1, description="GPUs of this machine that train together.")] = 1
    loaders: Annotated[
        int, Field(ge=0, description="Processes that read patches, for each device; 0 reads where it trains.")
    ] = 0
    tensorboard: Annotated[
        bool, Field(description="Also write for TensorBoard, into --out; the package must be installed.")
    ] = False
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0
    resume: Annotated[bool, Field(description="Go on from the last checkpoint in --out.")] = False
    overwrite: Annotated[bool, Field(description="Replace what --out holds.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> TrainSettings:
        for rasters, labels in ((self.raster, self.labels), (self.validation_raster, self.validation_labels)):
            if len(rasters) != len(labels):
                raise ValueError(f"{len(rasters)} rasters and {len(labels)} labels; give one mask for each raster")
        needs = "--early-stopping" if self.early_stopping else "--schedule plateau" * (self.schedule == "plateau")
        if needs and not self.validation_raster:
            raise ValueError(f"{needs} looks at val_loss; give --validation-raster and --validation-labels")
        return self


class TrainAffinitySettings(CacheSettings):
    """Settings of `train-affinity`."""

    raster: Annotated[list[Path], Field(min_length=1, description="Training rasters, in the order of --labels.")]
    labels: Annotated[
        list[Path], Field(min_length=1, description="Mask of each raster; unlabelled pixels are left out.")
    ]
    out: Annotated[Path, Field(description="Folder for the weights (affinity.safetensors), history and settings.")]
    validation_raster: Annotated[list[Path], Field(description="Rasters that the best epoch is chosen by.")] = []
    validation_labels: Annotated[list[Path], Field(description="Mask of each validation raster.")] = []
    classes: Annotated[Path | None, Field(description="Class table, for masks that carry none. [as in the labels]")] = (
        None
    )
    bands: Annotated[list[int], Field(description="Three band numbers from 1: red, green, blue. [all but alpha]")] = []
    width: Annotated[
        float, Field(gt=0, le=1, description="Multiplies the channels of the network; 1 is the published one.")
    ] = 0.25
    epochs: Annotated[int, Field(ge=1, description="Passes.")] = 30
    patches: Annotated[
        int | None, Field(ge=1, description="Patches a pass. [as many as cover the labelled pixels, drawn anywhere]")
    ] = None
    patch: Annotated[int, Field(ge=16, multiple_of=16, description="Side of a patch in pixels, a multiple of 16.")] = (
        256
    )
    batch_size: Annotated[int, Field(ge=1, description="Patches a step.")] = 4
    shrink: Annotated[
        float, Field(ge=1, description="Also learn from patches shrunk by up to this factor, as from coarser rasters.")
    ] = 1.0
    boundary_weight: Annotated[
        float, Field(gt=0, description="What a pair of pixels across a boundary weighs beside one within a segment.")
    ] = 10.0
    sharpness: Annotated[
        float, Field(gt=0, description="Power of the affinities in use: higher heeds boundaries more; 1 as published.")
    ] = 4.0
    sigma: Annotated[
        float,
        Field(ge=0, description="Affinities also fade where colours differ by this much; 0 as published: they do not."),
    ] = 0.08
    learning_rate: Annotated[float, Field(gt=0, description="Adam's highest step size.")] = 2e-3
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto takes a GPU if there is one.")] = "auto"
    seed: Annotated[int, Field(ge=0, description="Seed of everything random.")] = 0
    overwrite: Annotated[bool, Field(description="Replace what --out holds.")] = False

    @model_validator(mode="after")
    def _pairs(self) -> TrainAffinitySettings:
        for rasters, labels in ((self.raster, self.labels), (self.validation_raster, self.validation_labels)):
            if len(rasters) != len(labels):
                raise ValueError(f"{len(rasters)} rasters and {len(labels)} labels; give one mask for each raster")
        return self
