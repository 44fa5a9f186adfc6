"""A whole pipeline from one TOML file: what the steps share, and a table for each step that is to be done.

    out = "runs/fields"             # folder of all results
    rasters = ["fields.tif"]        # any setting up here is given to every step that has it
    [label]
    points = "points.gpkg"
    [train]
    epochs = 20
    [predict]
    [evaluate]
    truth = ["truth.tif"]

A step takes what an earlier one made unless its table says otherwise. Paths are relative to where the command
runs, as flags are. The same command again goes on where a killed run stopped.
"""

from __future__ import annotations

import json
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from superpoint import __version__
from superpoint.errors import InputError
from superpoint.pipelines.evaluate import Evaluation, evaluate
from superpoint.pipelines.inspect import inspect
from superpoint.pipelines.label import PseudoMask, label
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.predict import Map, predict
from superpoint.pipelines.sample import SampledPoints, sample
from superpoint.pipelines.settings import (
    EvaluateSettings,
    InspectSettings,
    LabelSettings,
    PredictSettings,
    SampleSettings,
    Settings,
    SuperpixelizeSettings,
    TrainSettings,
)
from superpoint.pipelines.superpixelize import LabelMap, superpixelize
from superpoint.pipelines.train import Training, train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.inspection.facts import Inspection
    from superpoint.pipelines.settings import RunSettings

FORMS: dict[str, type[Settings]] = {
    "superpixelize": SuperpixelizeSettings,
    "sample": SampleSettings,
    "label": LabelSettings,
    "inspect": InspectSettings,
    "train": TrainSettings,
    "predict": PredictSettings,
    "evaluate": EvaluateSettings,
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a pipeline made; a step that was not asked for is None."""

    out: str
    superpixelize: list[LabelMap] | None = None
    sample: SampledPoints | None = None
    label: list[PseudoMask] | None = None
    inspect: Inspection | None = None
    train: Training | None = None
    predict: list[Map] | None = None
    evaluate: Evaluation | None = None
    seconds: float = 0.0


def run(settings: RunSettings) -> Run:
    """Do the steps of a pipeline file, in the order of the data.

    Parameters
    ----------
    settings : RunSettings
        See the fields.

    Returns
    -------
    Run
        Also kept as `run.json` in the pipeline's `out` folder, with the resolved settings of every step.

    Raises
    ------
    InputError
        If the file or a setting cannot be used, or `out` holds a run with other settings.
    """
    started = time.perf_counter()
    pipeline = _read(settings.pipeline, settings.set)
    out = Path(str(pipeline.get("out") or "")).absolute()
    if not pipeline.get("out"):
        raise InputError(f"{settings.pipeline} has no 'out'; name the folder for the results")
    goes_on = _claim(out, pipeline, overwrite=settings.overwrite)
    results: dict[str, Any] = {}
    resolved: dict[str, Any] = {}
    for step in [step for step in FORMS if step in pipeline]:
        form = _resolve(step, pipeline, results, out, replace=goes_on or settings.overwrite, resume=goes_on)
        resolved[step] = form.model_dump(mode="json")
        results[step] = _STEPS[step](form)
    result = Run(out=str(out), **results, seconds=round(time.perf_counter() - started, 3))
    document = {"superpoint": __version__, "settings": resolved, "results": to_jsonable_python(result)}
    write_document(out / "run.json", document)
    return result


_STEPS: dict[str, Any] = {
    "superpixelize": superpixelize,
    "sample": sample,
    "label": label,
    "inspect": inspect,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
}


def _read(path: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        pipeline = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the pipeline {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the pipeline {path} is not TOML: {error}") from error
    for name, value in changes.items():
        step, _, key = name.rpartition(".")
        table = pipeline.setdefault(step, {}) if step else pipeline
        if not isinstance(table, dict):
            raise InputError(f"--set {name}: {step!r} is not a table of {path}")
        table[key] = value
    shared = {key for form in FORMS.values() for key in form.model_fields}
    unknown = sorted(set(pipeline) - set(FORMS) - shared)
    if unknown:
        raise InputError(f"{path}: unknown setting {unknown[0]!r}; steps are {', '.join(FORMS)}")
    for step in set(pipeline) & set(FORMS):
        if not isinstance(pipeline[step], dict):
            raise InputError(f"{path}: [{step}] must be a table")
        strange = sorted(set(pipeline[step]) - set(FORMS[step].model_fields))
        if strange:
            known = ", ".join(FORMS[step].model_fields)
            raise InputError(f"{path}: [{step}] has no setting {strange[0]!r}; known: {known}")
    if not set(pipeline) & set(FORMS):
        raise InputError(f"{path} asks for no step; add a table, one of [{'], ['.join(FORMS)}]")
    return pipeline


def _claim(out: Path, pipeline: Mapping[str, Any], *, overwrite: bool) -> bool:
    """Make the folder ours; return whether it holds an earlier go of this very run."""
    record = out / "pipeline.json"
    asked = to_jsonable_python(pipeline)
    held = _read_record(record) if record.exists() else None
    if held is not None and held != asked and not overwrite:
        raise InputError(f"{out} holds a run with other settings; give --overwrite to replace it, or another out")
    claim_folder(out)
    if overwrite:  # else a run killed before its training would go on with the older model
        for name in ("last.ckpt", "best.ckpt"):
            (out / "model" / name).unlink(missing_ok=True)
    write_document(record, asked)
    return held == asked and not overwrite


def _read_record(record: Path) -> object:
    try:
        return json.loads(record.read_text())
    except ValueError:  # damaged: whatever it was, it is not this run
        return record.name


def _resolve(
    step: str, pipeline: Mapping[str, Any], results: Mapping[str, Any], out: Path, *, replace: bool, resume: bool
) -> Settings:
    """Put together a step's settings: what earlier steps made, what all share, what its table says."""
    form = FORMS[step]
    shared = {key: value for key, value in pipeline.items() if key in form.model_fields and key not in FORMS}
    made = _made(step, pipeline, results, out)
    switches = {"overwrite": replace} if "overwrite" in form.model_fields else {}
    if step == "train" and resume and (out / "model" / "last.ckpt").exists():
        switches = {"resume": True}
    values = {key: value for key, value in (shared | made).items() if key in form.model_fields}
    try:
        return form(**values | switches | pipeline[step])
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"[{step}] {name}: {first['msg'].removeprefix('Value error, ')}") from error


def _made(step: str, pipeline: Mapping[str, Any], results: Mapping[str, Any], out: Path) -> dict[str, Any]:
    if step in ("superpixelize", "label", "predict"):
        folder = out / {"superpixelize": "label-maps", "label": "pseudo-masks", "predict": "maps"}[step]
        folder.mkdir(exist_ok=True)
        trained = {"checkpoint": results["train"].checkpoint} if "train" in results else {}
        sampled = {"points": results["sample"].output, "raster_column": "raster"} if "sample" in results else {}
        return {"output": folder, **trained, **sampled}
    if step == "sample":
        return {"raster": pipeline.get("rasters", []), "output": out / "points.csv"}
    if step == "inspect":
        masks = {"pseudo_masks": [mask.path for mask in results["label"]]} if "label" in results else {}
        return {"output": out / "inspect.html", **masks}
    if step == "train":
        masks = {"labels": [mask.path for mask in results["label"]]} if "label" in results else {}
        return {"raster": pipeline.get("rasters", []), "out": out / "model", **masks}
    return {"maps": [made.output for made in results["predict"]]} if "predict" in results else {}
