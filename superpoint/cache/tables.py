"""Reading class tables."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from superpoint.classes import ClassTable
from superpoint.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def read_class_table(path: Path) -> ClassTable:
    """Read a class table from TOML.

    Raises
    ------
    InputError
        If the file is missing or not such a table.
    """
    try:
        return ClassTable.from_dict(tomllib.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"cannot read the class table {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the class table {path} is not TOML: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
