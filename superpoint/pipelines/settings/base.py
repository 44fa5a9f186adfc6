"""What all settings have in common: how values are read, and where results are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

import superpoint


class Positional:
    """Marks a field that the command line takes by its place."""


class Settings(BaseModel):
    """Checked and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def default_cache() -> Path:
    """Return `$SUPERPOINT_CACHE`, else the checkout's `cache/`, else the user's cache folder."""
    checkout = Path(superpoint.__file__).parents[1] / "cache"
    if os.environ.get("SUPERPOINT_CACHE"):
        return Path(os.environ["SUPERPOINT_CACHE"])
    return checkout if (checkout / "README.md").exists() else Path(platformdirs.user_cache_dir("superpoint"))


def as_text(value: object) -> object:
    """Take paths as text, one or several."""
    if isinstance(value, Path):
        return str(value)
    return [as_text(one) for one in value] if isinstance(value, list | tuple) else value


def as_list(value: object) -> object:
    """Take one path as a list of one."""
    return [value] if isinstance(value, str | Path) else value


def as_number(value: object) -> object:
    """Take digits as a number."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def split_names(names: object) -> object:
    """Split names that are joined by commas."""
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return names
    return [word.strip() for name in names for word in name.split(",") if word.strip()]


type Place = Annotated[str, BeforeValidator(as_text)]
"""A path or URL."""


type Band = Annotated[int | str, BeforeValidator(as_number)]
"""A band's number from 1, or its name."""


def wherever(settings: Settings) -> dict[str, Any]:
    """Return settings as JSON that mean the same in whatever folder they are read again."""
    paths = {name: str(value.absolute()) for name, value in settings if isinstance(value, Path)}
    lists = {
        name: [str(one.absolute()) for one in value]
        for name, value in settings
        if isinstance(value, list) and any(isinstance(one, Path) for one in value)
    }
    return settings.model_dump(mode="json") | paths | lists


class CacheSettings(Settings):
    """Where intermediate results are kept."""

    cache: Annotated[
        str,
        BeforeValidator(as_text),
        Field(
            description="Folder of the cache, or s3://, gs://, az://. "
            "[$SUPERPOINT_CACHE, a checkout's cache/, or the user's cache folder]"
        ),
    ] = Field(default_factory=lambda: str(default_cache()))
