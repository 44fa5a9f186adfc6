"""The errors a caller may want to catch; `cli.py` turns them into one sentence and an exit code."""


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
    """Some tiles failed after their retries; the others are done and stay in the cache."""

    exit_code = 3
