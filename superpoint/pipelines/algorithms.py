"""What superpixel algorithms there are: what each takes, whether it is installed, and its parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superpoint.errors import MissingExtraError
from superpoint.superpixels import algorithm_names, is_installed, load_algorithm, package_version, traits_of
from superpoint.superpixels.algorithm import Traits

if TYPE_CHECKING:
    from superpoint.pipelines.settings import AlgorithmsSettings


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One algorithm as it is listed."""

    name: str
    bands: str
    nodata: str
    ids: str
    licence: str
    """SPDX name of the licence of the code that does the work."""
    installed: bool
    install: str | None
    """What to do where it is not installed."""
    version: str | None
    """None if the algorithm cannot be imported."""
    package_version: str | None
    """Version of the package that does the work; None if superpoint does it, or if it is not installed."""
    parameters: dict[str, Any]
    """Default of each parameter; None also where there is no default."""


def algorithms(settings: AlgorithmsSettings) -> list[Listed]:  # noqa: ARG001  # every step takes its settings
    """List the superpixel algorithms that `superpixelize` knows, by name.

    Parameters
    ----------
    settings : AlgorithmsSettings
        There are none.

    Returns
    -------
    list of Listed
        Also those whose package is not installed.
    """
    return [_listed(name) for name in algorithm_names()]


def _listed(name: str) -> Listed:
    try:
        algorithm_class = load_algorithm(name)
    except MissingExtraError as error:
        unknown = {"bands": "unknown", "nodata": "unknown", "ids": "unknown", "licence": "unknown"}
        return Listed(
            name=name, installed=False, install=str(error), version=None, package_version=None, parameters={}, **unknown
        )
    traits = traits_of(algorithm_class) or Traits()
    installed = is_installed(traits)
    return Listed(
        name=name,
        bands=traits.bands,
        nodata=traits.nodata,
        ids=traits.ids,
        licence=traits.licence,
        installed=installed,
        install=None if installed else traits.install,
        version=algorithm_class.version,
        package_version=package_version(traits.package) if installed and traits.package else None,
        parameters=_defaults(algorithm_class),
    )


def _defaults(algorithm_class: type[Any]) -> dict[str, Any]:
    return {
        field.name: None if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(algorithm_class)
    }
