"""Superpixel algorithms, looked up by name in the entry-point group `superpoint.superpixels`."""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from superpoint.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm

GROUP = "superpoint.superpixels"


def algorithm_names() -> list[str]:
    """Return the names of the installed algorithms, sorted."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def make_algorithm(name: str, parameters: Mapping[str, object]) -> SuperpixelAlgorithm:
    """Build the algorithm `name` with its `parameters`.

    Parameters
    ----------
    name : str
        One of `algorithm_names()`.
    parameters : mapping of str to JSON value
        Fields of the algorithm's dataclass; those left out have their defaults.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or a value is not allowed; the message lists what is known.
    MissingExtraError
        If the algorithm is known but what it needs is not installed.
    """
    algorithm_class = _load(name)
    known = [field.name for field in dataclasses.fields(algorithm_class)]  # type: ignore[arg-type]  # a plug-in is a dataclass by contract
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InputError(f"{name} has no parameter {unknown[0]!r}; known: {', '.join(known)}")
    try:
        return algorithm_class(**parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"superpixel algorithm {name}: {error}") from error


def describe_algorithm(algorithm: SuperpixelAlgorithm) -> dict[str, object]:
    """Return what rebuilds the algorithm and tells its labels from any other's, as JSON."""
    parameters = dataclasses.asdict(algorithm)  # type: ignore[call-overload]  # a plug-in is a dataclass by contract
    return {"name": algorithm.name, "version": algorithm.version, "parameters": parameters}


def _load(name: str) -> type[SuperpixelAlgorithm]:
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise InputError(f"unknown superpixel algorithm {name!r}; known: {', '.join(algorithm_names())}")
    try:
        loaded: type[SuperpixelAlgorithm] = found[0].load()
    except ImportError as error:
        raise MissingExtraError(
            f"superpixel algorithm {name!r} needs a package that is not installed ({error.name}); "
            f"install it, or the extra of the package that provides {name}"
        ) from error
    return loaded
