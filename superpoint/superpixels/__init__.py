"""Superpixel algorithms, looked up by name in the entry-point group `superpoint.superpixels`."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import sys
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superpoint.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.superpixels.algorithm import SuperpixelAlgorithm, Traits

GROUP = "superpoint.superpixels"
IS_FILE = "is_file"  # in a parameter's metadata: its value is a file's path, and the labels depend on what is in it


def algorithm_names() -> list[str]:
    """Return the names of the installed algorithms, sorted."""
    return sorted({entry.name for entry in _entries(tuple(sys.path))})


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
    algorithm_class = load_algorithm(name)
    require_package(name, traits_of(algorithm_class))
    known = [field.name for field in dataclasses.fields(algorithm_class)]  # type: ignore[arg-type]  # a plug-in is a dataclass by contract
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InputError(f"{name} has no parameter {unknown[0]!r}; known: {', '.join(known)}")
    try:
        return algorithm_class(**parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"superpixel algorithm {name}: {error}") from error


def describe_algorithm(algorithm: SuperpixelAlgorithm) -> dict[str, object]:
    """Return what rebuilds the algorithm and tells its labels from any other's, as JSON.

    Where another package does the work, its version is part of it, and so are digests of the files that parameters
    name: labels may change with them.
    """
    parameters = dataclasses.asdict(algorithm)  # type: ignore[call-overload]  # a plug-in is a dataclass by contract
    described = {"name": algorithm.name, "version": algorithm.version, "parameters": parameters}
    traits = traits_of(type(algorithm))
    if traits is not None and traits.package is not None:
        described["package_version"] = package_version(traits.package)
    if digests := file_digests(algorithm):
        described["files"] = digests
    return described


def identify_algorithm(algorithm: SuperpixelAlgorithm) -> dict[str, object]:
    """Return what tells the algorithm's labels from any other's: its description, without where files lie."""
    described = describe_algorithm(algorithm)
    named = file_digests(algorithm)
    parameters: dict[str, object] = dict(described["parameters"])  # type: ignore[call-overload]  # a dictionary, above
    described["parameters"] = {name: value for name, value in parameters.items() if name not in named}
    return described


def file_digests(algorithm: SuperpixelAlgorithm) -> dict[str, str]:
    """Return a digest of each file that a parameter names, by the parameter (one with `IS_FILE` in its metadata)."""
    fields = dataclasses.fields(algorithm)  # type: ignore[arg-type]  # a plug-in is a dataclass by contract
    paths = {field.name: getattr(algorithm, field.name) for field in fields if field.metadata.get(IS_FILE)}
    return {name: _digest(path) for name, path in paths.items() if path is not None}


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@lru_cache(maxsize=4)
def _entries(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of all packages on the path; looking takes as long as superpixelizing a small raster."""
    return tuple(entry_points(group=GROUP))


def load_algorithm(name: str) -> type[SuperpixelAlgorithm]:
    """Return the class of the algorithm `name`, whether or not the package that it calls is there.

    Raises
    ------
    InputError
        If the name is unknown; the message lists what is known.
    MissingExtraError
        If the class cannot be imported.
    """
    found = [entry for entry in _entries(tuple(sys.path)) if entry.name == name]
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


def traits_of(algorithm_class: type[SuperpixelAlgorithm]) -> Traits | None:
    """Return an algorithm's traits; None where another package's class has none."""
    return getattr(algorithm_class, "traits", None)


def is_installed(traits: Traits | None) -> bool:
    """Return whether the package that does the work can be imported."""
    return traits is None or traits.package is None or find_spec(traits.package) is not None


def require_package(name: str, traits: Traits | None) -> None:
    """Refuse an algorithm whose package is not installed.

    Raises
    ------
    MissingExtraError
        If it is not; the message says how to install it.
    """
    if traits is not None and not is_installed(traits):
        raise MissingExtraError(
            f"superpixel algorithm {name!r} needs {traits.package}, which is not installed; "
            f"install it with: {traits.install}"
        )


def import_package(name: str, traits: Traits) -> Any:  # noqa: ANN401  # a module that may have no types
    """Import the package that does the work of the algorithm `name`, when it is called.

    Raises
    ------
    MissingExtraError
        If it is not installed; the message says how to install it.
    """
    require_package(name, traits)
    return importlib.import_module(str(traits.package))


def package_version(package: str) -> str:
    """Return the version of the installed distribution that a package came with."""
    distributions = sorted(_distributions().get(package, []))
    return version(distributions[0]) if distributions else "unknown"


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # reads the files of all that is installed
