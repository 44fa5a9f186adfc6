"""A pipeline file: read, changed by --set, and checked before anything is done."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError
from superpoint.pipelines.steps import FORMS, steps_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of tables.

    Raises
    ------
    InputError
        If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the pipeline {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the pipeline {path} is not TOML: {error}") from error


def changed(tables: Mapping[str, Any], changes: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return tables with some settings replaced.

    Parameters
    ----------
    tables : mapping
        A file's content.
    changes : mapping of str to value
        A setting, as `seed` or `train.epochs`, and its value; a step and false leave the step out.
    where : str
        What messages call the file.

    Raises
    ------
    InputError
        If a setting is of something that is no table.

    Examples
    --------
    >>> changed({"train": {"epochs": 5}}, {"train.epochs": 9, "label": False}, where="a.toml")
    {'train': {'epochs': 9}, 'label': False}
    """
    made = {name: dict(value) if isinstance(value, dict) else value for name, value in tables.items()}
    for name, value in changes.items():
        step, dot, key = name.partition(".")  # an axis of a grid is grid.STEP.NAME
        table, key = (made.setdefault(step, {}), key) if dot else (made, name)
        if table is False:
            continue  # of a step that is left out
        if not isinstance(table, dict):
            raise InputError(f"--set {name}: {step!r} is not a table of {where}")
        table[key] = value
    return made


def check_pipeline(pipeline: Mapping[str, Any], *, where: str, beside: Collection[str] = ()) -> None:
    """Refuse a pipeline with tables or settings that there are not.

    Parameters
    ----------
    pipeline : mapping
        A pipeline file's content.
    where : str
        What messages call the file.
    beside : collection of str
        Further names that the file may hold.

    Raises
    ------
    InputError
        If it has one; the message names it.
    """
    shared = {key for form in FORMS.values() for key in form.model_fields}
    unknown = sorted(set(pipeline) - set(FORMS) - shared - set(beside) - {"out"})
    if unknown:
        raise InputError(f"{where}: unknown setting {unknown[0]!r}; steps are {', '.join(FORMS)}")
    for step in [step for step in FORMS if pipeline.get(step, False) is not False]:
        if not isinstance(pipeline[step], dict):
            raise InputError(f"{where}: [{step}] must be a table, or false")
        strange = sorted(set(pipeline[step]) - set(FORMS[step].model_fields))
        if strange:
            known = ", ".join(FORMS[step].model_fields)
            raise InputError(f"{where}: [{step}] has no setting {strange[0]!r}; known: {known}")
    if not steps_of(pipeline):
        raise InputError(f"{where} asks for no step; add a table, one of [{'], ['.join(FORMS)}]")
