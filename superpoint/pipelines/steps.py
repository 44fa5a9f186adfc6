"""The steps in the order of the data: their settings, what each takes of earlier ones, and where its results go.

What a step takes is written down once here, for a single run and for the cells of an experiment alike. Results are
looked at as JSON values, as they are kept on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from superpoint.errors import InputError
from superpoint.pipelines.evaluate import evaluate
from superpoint.pipelines.inspect import inspect
from superpoint.pipelines.label import label
from superpoint.pipelines.predict import predict
from superpoint.pipelines.sample import sample
from superpoint.pipelines.settings import (
    EvaluateSettings,
    InspectSettings,
    LabelSettings,
    PredictSettings,
    SampleSettings,
    Settings,
    SplitSettings,
    SuperpixelizeSettings,
    TrainSettings,
)
from superpoint.pipelines.split import split
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.pipelines.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FORMS: dict[str, type[Settings]] = {
    "split": SplitSettings,
    "superpixelize": SuperpixelizeSettings,
    "sample": SampleSettings,
    "label": LabelSettings,
    "inspect": InspectSettings,
    "train": TrainSettings,
    "predict": PredictSettings,
    "evaluate": EvaluateSettings,
}

STEPS: dict[str, Callable[[Any], Any]] = {
    "split": split,
    "superpixelize": superpixelize,
    "sample": sample,
    "label": label,
    "inspect": inspect,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
}

type Results = Mapping[str, Any]
"""What the steps so far returned, as JSON values, by the name of the step."""


def steps_of(pipeline: Mapping[str, Any]) -> list[str]:
    """Return the steps that a pipeline asks for, in the order of the data; `step = false` leaves one out."""
    return [step for step in FORMS if pipeline.get(step, False) is not False]


def resolve(
    step: str,
    pipeline: Mapping[str, Any],
    results: Results,
    places: Mapping[str, Path],
    **switches: Any,  # noqa: ANN401  # settings of the step
) -> Settings:
    """Put together a step's settings: what all share, what earlier steps made, where its results go, its own table.

    Parameters
    ----------
    step : str
        One of `FORMS`.
    pipeline : mapping
        A pipeline file's content.
    results : mapping
        Results of the steps before.
    places : mapping of str to Path
        The setting that says where the step's results go, and the place.
    **switches
        Settings that depend on how the pipeline is run; those that the step has count.

    Raises
    ------
    InputError
        If a setting is missing or not allowed.
    """
    form = FORMS[step]
    shared = {key: value for key, value in pipeline.items() if key not in FORMS}
    values: dict[str, Any] = shared | taken(step, pipeline, results) | dict(places) | switches
    known = {key: value for key, value in values.items() if key in form.model_fields}
    try:
        return form(**known | pipeline[step])
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise InputError(f"[{step}] {name}: {first['msg'].removeprefix('Value error, ')}{got}") from error


def taken(step: str, pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """Return the settings that a step takes of earlier results."""
    return _TAKEN[step](pipeline, results) if step in _TAKEN else {}


def _for_superpixels(_pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    return {"rasters": _part(results, "train")["rasters"]} if "split" in results else {}


def _for_sampling(pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    if "split" not in results:
        return {"raster": pipeline.get("rasters", [])}
    return {"masks": _part(results, "train")["masks"], "raster": _part(results, "train")["rasters"]}


def _for_labels(pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    sampled = {"points": results["sample"]["output"], "raster_column": "raster"} if "sample" in results else {}
    return _for_superpixels(pipeline, results) | sampled


def _for_inspection(_pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    masks = {"pseudo_masks": [mask["path"] for mask in results["label"]]} if "label" in results else {}
    return masks | ({"truth": _part(results, "train")["masks"]} if "split" in results else {})


def _for_training(pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    masks = {"labels": [mask["path"] for mask in results["label"]]} if "label" in results else {}
    if "split" not in results:
        return {"raster": pipeline.get("rasters", []), **masks}
    train, validation = _part(results, "train"), _part(results, "validation")
    judged = {"validation_raster": validation["rasters"], "validation_labels": validation["masks"]}
    return {"raster": train["rasters"], "labels": train["masks"]} | masks | (judged if validation["masks"] else {})


def _for_prediction(_pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    trained = {"checkpoint": results["train"]["checkpoint"]} if "train" in results else {}
    return trained | ({"rasters": _part(results, "test")["rasters"]} if "split" in results else {})


def _for_evaluation(_pipeline: Mapping[str, Any], results: Results) -> dict[str, Any]:
    maps = {"maps": [made["output"] for made in results["predict"]]} if "predict" in results else {}
    return maps | ({"truth": _part(results, "test")["masks"]} if "split" in results else {})


def _part(results: Results, name: str) -> dict[str, Any]:
    part: dict[str, Any] = results["split"][name]
    if name in ("train", "test") and not part["rasters"]:
        raise InputError(f"[split] puts no raster into {name}, which a later step needs; give it a group or a share")
    return part


_TAKEN = {
    "superpixelize": _for_superpixels,
    "sample": _for_sampling,
    "label": _for_labels,
    "inspect": _for_inspection,
    "train": _for_training,
    "predict": _for_prediction,
    "evaluate": _for_evaluation,
}
