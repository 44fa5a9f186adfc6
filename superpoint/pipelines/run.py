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

A step takes what an earlier one made unless its table says otherwise: with a table [split], the training rasters are
labelled and learned from, the others validate and test. Paths are relative to where the command
runs, as flags are. The same command again goes on where a killed run stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from superpoint import __version__
from superpoint.errors import InputError
from superpoint.pipelines.outputs import claim_folder, write_document
from superpoint.pipelines.pipelinefile import changed, check_pipeline, read_toml
from superpoint.pipelines.steps import STEPS, resolve, steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.inspection.facts import Inspection
    from superpoint.pipelines.evaluate import Evaluation
    from superpoint.pipelines.label import PseudoMask
    from superpoint.pipelines.predict import Map
    from superpoint.pipelines.sample import SampledPoints
    from superpoint.pipelines.settings import RunSettings
    from superpoint.pipelines.split import DatasetSplit
    from superpoint.pipelines.superpixelize import LabelMap
    from superpoint.pipelines.train import Training


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a pipeline made; a step that was not asked for is None."""

    out: str
    split: DatasetSplit | None = None
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
    pipeline = changed(read_toml(settings.pipeline), settings.set, where=str(settings.pipeline))
    check_pipeline(pipeline, where=str(settings.pipeline))
    out = Path(str(pipeline.get("out") or "")).absolute()
    if not pipeline.get("out"):
        raise InputError(f"{settings.pipeline} has no 'out'; name the folder for the results")
    goes_on = _claim(out, pipeline, overwrite=settings.overwrite)
    results: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    resolved: dict[str, Any] = {}
    for step in steps_of(pipeline):
        resume = step == "train" and goes_on and (out / "model" / "last.ckpt").exists()
        switches = {"resume": True} if resume else {"overwrite": goes_on or settings.overwrite}
        form = resolve(step, pipeline, documents, _places(step, out), **switches)
        resolved[step] = form.model_dump(mode="json")
        results[step] = STEPS[step](form)
        documents[step] = to_jsonable_python(results[step])
    result = Run(out=str(out), **results, seconds=round(time.perf_counter() - started, 3))
    document = {"superpoint": __version__, "settings": resolved, "results": to_jsonable_python(result)}
    write_document(out / "run.json", document)
    return result


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


def _places(step: str, out: Path) -> dict[str, Path]:
    """Return where in the folder of a run a step's results go."""
    folders = {"superpixelize": "label-maps", "label": "pseudo-masks", "predict": "maps"}
    if step in folders:
        (out / folders[step]).mkdir(exist_ok=True)
    if step == "train":
        return {"out": out / "model"}
    names = {"split": "split.csv", "sample": "points.csv", "inspect": "inspect.html"} | folders
    return {"output": out / names[step]} if step in names else {}
