"""The errors a caller may want to catch; `cli.py` turns them into one sentence and an exit code."""

from __future__ import annotations

from typing import Any


class SuperpointError(Exception):
    """Anything superpoint refuses or fails to do, said in one sentence."""

    exit_code = 1


class InputError(SuperpointError, ValueError):
    """A file, field or value given by the user cannot be used: what, where, and what to do."""

    exit_code = 2


class MissingExtraError(SuperpointError, ImportError):
    """An optional dependency is not installed; the message says how to install it."""

    exit_code = 2


class TilesFailedError(SuperpointError, RuntimeError):
    """Some rasters were quarantined, or tiles of one; the others are done and stay in the cache."""

    exit_code = 3

    def __init__(self, sentence: str, *, results: Any = None) -> None:  # noqa: ANN401  # whatever was asked for
        super().__init__(sentence)
        self.results = results
        """What the command returns, of the others."""


class UnreachableError(SuperpointError, OSError):
    """A store or server did not answer, or a disk did not give what it holds; trying again may help."""

    exit_code = 3


class DiskFullError(SuperpointError, OSError):
    """There is no space left where results are kept; nothing can go on until there is."""
