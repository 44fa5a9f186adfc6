"""Stages that cells share: each is done once, under a digest of all that decides its result, and then read.

A stage is a step with its settings. Its folder is named by the digest, and later stages name it in their settings, so
that their digests hold what the earlier ones were made of. What a stage returned is written last: a folder without
it is one that a kill left, and is done again; a training goes on from its last epoch.
"""

from __future__ import annotations

import importlib
import json
import time
from dataclasses import dataclass
from glob import glob
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from superpoint import __version__
from superpoint.cache.keys import digest
from superpoint.pipelines.outputs import write_document
from superpoint.pipelines.steps import STEPS, resolve
from superpoint.superpixels import load_algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from distributed import Client

    from superpoint.pipelines.settings import Settings
    from superpoint.pipelines.steps import Results

RESULT, GOES = "result.json", "goes.json"
WHEREVER = frozenset({
    "cache", "check", "device", "error_map", "loaders", "out", "output", "overwrite", "resume", "retries", "scheduler",
    "sharding", "tensorboard", "timeout", "workers",
})  # fmt: skip
"""Settings that say how and where something is done, and do not decide what comes of it."""
PLACES = {
    "split": ("output", "split.csv"),
    "sample": ("output", "points.csv"),
    "train": ("out", ""),
    "predict": ("output", "maps"),
}
"""The setting that says where a step's results go, and their name in its folder."""
IF_ASKED = {"label": {"output": "pseudo-masks"}, "evaluate": {"error_map": "errors"}}
"""The same of what a step writes only if it is asked to."""
FOLDERS = {"predict": ("maps",), "label": ("pseudo-masks",), "evaluate": ("errors",)}
MADE = {"split": "output", "sample": "output", "label": "path", "train": "checkpoint", "predict": "output"}
WITH_NETWORKS = ("train", "predict")
ON_CLUSTER = ("label",)  # steps that divide their own work


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a cell, with all its settings."""

    step: str
    form: Settings
    digest: str
    folder: Path

    @property
    def document(self) -> dict[str, Any] | None:
        """What was written when it was done: `result` and `seconds`; None if it is to be done."""
        try:
            document: dict[str, Any] = json.loads((self.folder / RESULT).read_text())
        except (OSError, ValueError):
            return None
        return document if all(Path(path).exists() for path in _made(self.step, document["result"])) else None

    def do(self, client: Client | None = None) -> dict[str, Any]:
        """Return what was written when it was done, doing it if it was not."""
        done = self.document
        if done is not None:
            return done
        for folder in (self.folder, *(self.folder / name for name in FOLDERS.get(self.step, ()))):
            folder.mkdir(parents=True, exist_ok=True)
        if self.step in WITH_NETWORKS:  # before the clock starts
            importlib.import_module("superpoint.training.fit")
        before, started = self._kept_seconds(), time.time()
        write_document(self.folder / GOES, {"seconds": before, "started": started})
        result = STEPS[self.step](self._form(), **({"client": client} if self.step in ON_CLUSTER else {}))
        seconds = round(before + time.time() - started, 3)
        document = {"result": to_jsonable_python(result), "seconds": seconds, "digest": self.digest}
        write_document(self.folder / RESULT, document | {"settings": self.form.model_dump(mode="json")})
        return document

    def _kept_seconds(self) -> float:
        """Return how long earlier goes worked on what this one goes on from: up to their last checkpoint."""
        goes, last = self.folder / GOES, self.folder / "last.ckpt"
        if not (goes.exists() and last.exists()):
            return 0.0
        earlier = json.loads(goes.read_text())
        return float(earlier["seconds"] + max(0.0, last.stat().st_mtime - earlier["started"]))

    def _form(self) -> Settings:
        goes_on = self.step == "train" and (self.folder / "last.ckpt").exists()
        switches: dict[str, Any] = {"resume": True} if goes_on else {"overwrite": True}
        if current_process().daemon:  # as a worker of Dask is, which may have no processes of its own
            switches["loaders"] = 0
        return self.form.model_copy(
            update={name: value for name, value in switches.items() if name in type(self.form).model_fields}
        )


def stage_of(step: str, pipeline: Mapping[str, Any], results: Results, out: Path) -> Stage:
    """Put a step of a cell together, and name it by a digest of all that decides its result.

    Parameters
    ----------
    step : str
        One of the steps of a cell.
    pipeline : mapping
        The cell's.
    results : mapping
        Results of the stages before.
    out : Path
        Folder of the experiment.

    Raises
    ------
    InputError
        If a setting is missing or not allowed.
    """
    setting, name = PLACES.get(step, ("", ""))
    form = resolve(step, pipeline, results, {setting: Path(name or step)} if setting else {})
    key = digest(_deciding(step, form, out))
    folder = out / "stages" / f"{step}-{key[:16]}"
    asked = {key: folder / kept for key, kept in IF_ASKED.get(step, {}).items() if getattr(form, key) is not None}
    placed = form.model_copy(update=asked | ({setting: folder / name} if setting else {}))
    return Stage(step=step, form=placed, digest=key, folder=folder)


def _deciding(step: str, form: Settings, out: Path) -> dict[str, Any]:
    values = {name: value for name, value in form.model_dump(mode="json").items() if name not in WHEREVER}
    algorithm = {"version": load_algorithm(values["algorithm"]).version} if "algorithm" in values else {}
    files = _files(values, out)
    moved = _anywhere(values, {str(out): "OUT", str(getattr(form, "cache", "")): "CACHE"})
    return {"step": step, "superpoint": __version__, "settings": moved, "files": files, **algorithm}


def _anywhere(values: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return settings in which the folders of the experiment and the cache have names that do not change."""
    text = json.dumps(values)
    for place, name in places.items():
        text = text.replace(f'"{place}/', f'"{name}/') if place else text
    settings: dict[str, Any] = json.loads(text)
    return settings


def _files(values: Mapping[str, Any], out: Path) -> list[tuple[str, int, int]]:
    """Return size and time of change of the files that settings name, but for those of other stages."""
    named = [text for text in _texts(values) if text and not text.startswith(f"{out}/")]
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for text in named for path in _named_by(text)]


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in settings, those in lists and tables too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _named_by(text: str) -> list[Path]:
    """Return the file of that name, or those that a glob or folder holds; none if it is no path at all."""
    try:
        path = Path(text)
        if path.is_file():
            return [path]
        inside = path.iterdir() if path.is_dir() and path.suffix != ".zarr" else map(Path, glob(text, recursive=True))  # noqa: PTH207  # absolute ones too
        return sorted(one for one in inside if one.is_file())
    except OSError:  # too long a text to be a path
        return []


def _made(step: str, result: Any) -> list[str]:  # noqa: ANN401  # any step's
    """Return the files and folders that a stage is worth nothing without."""
    if step in MADE:
        rows = result if isinstance(result, list) else [result]
        return [row[MADE[step]] for row in rows]
    return []
