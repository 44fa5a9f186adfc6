"""Label improvement: steps that fill in or take away the classes of superpixels, looked up by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

from superpoint.errors import InputError
from superpoint.labels.nearest import FillNearest
from superpoint.labels.propagation import Propagate
from superpoint.labels.suspects import RemoveSuspects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.superpixels.graph import SuperpixelGraph


class LabelStep(Protocol):
    """A step: a frozen dataclass of its parameters, which are JSON.

    It promises the same output for the same input, whatever ids the superpixels have but for ties, and to leave alone
    what it has no business with. Steps know nothing of each other; their order is the user's.
    """

    @property
    def name(self) -> str:
        """The name it is looked up by."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever its results do."""
        ...

    def __call__(self, labels: PseudoLabels, graph: SuperpixelGraph) -> PseudoLabels:
        """Improve labels.

        Parameters
        ----------
        labels : PseudoLabels
            Of superpixels of the graph; those that are left out, and those of class 255, are unlabelled.
        graph : SuperpixelGraph
            All superpixels of the raster.

        Returns
        -------
        PseudoLabels
            New ones. A superpixel that was given a class has `Flag.FILLED`, one that lost its class has class 255 and
            `Flag.REMOVED`; their votes are still told.

        Raises
        ------
        ValueError
            If a label is of a superpixel that the graph does not have.
        """
        ...


STEPS: dict[str, type[FillNearest | Propagate | RemoveSuspects]] = {
    step.name: step for step in (FillNearest, Propagate, RemoveSuspects)
}


def step_names() -> list[str]:
    """Return the names of all steps, sorted."""
    return sorted(STEPS)


def make_step(name: str, parameters: Mapping[str, object]) -> LabelStep:
    """Build the step `name` with its `parameters`.

    Parameters
    ----------
    name : str
        One of `step_names()`.
    parameters : mapping of str to JSON value
        Fields of the step's dataclass; those left out have their defaults.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or a value is not allowed; the message lists what is known.

    Examples
    --------
    >>> make_step("fill-nearest", {"max_distance": 40})
    FillNearest(max_distance=40.0)
    """
    if name not in STEPS:
        raise InputError(f"unknown label step {name!r}; known: {', '.join(step_names())}")
    known = [field.name for field in dataclasses.fields(STEPS[name])]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise InputError(f"label step {name} has no parameter {unknown[0]!r}; known: {', '.join(known)}")
    values: dict[str, Any] = dict(parameters)
    try:
        return STEPS[name](**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"label step {name}: {error}") from error


def identify_step(step: LabelStep) -> dict[str, object]:
    """Return what rebuilds a step and tells its results from any other's, as JSON.

    Examples
    --------
    >>> identify_step(make_step("fill-nearest", {}))
    {'name': 'fill-nearest', 'version': '1', 'parameters': {'max_distance': None}}
    """
    parameters = dataclasses.asdict(step)  # type: ignore[call-overload]  # a step is a dataclass by contract
    return {"name": step.name, "version": step.version, "parameters": parameters}
