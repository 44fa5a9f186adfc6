"""The command line in a process of its own, watched: how it ended, what it said, and how much memory it took."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import pathlib, sys
from superpoint.cli import main
try:
    main()
finally:
    pathlib.Path({status!r}).write_text(pathlib.Path("/proc/self/status").read_text())
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    """Exit code; a negative one is the signal that killed it."""
    lines: list[str]
    """What it said on standard error."""
    result: Any
    """What it printed, as JSON."""
    peak_bytes: int
    """The most memory that it held; 0 if it was killed."""


def watched(folder: Path, *words: object, seconds: float) -> Ended:
    """Run `superpoint WORDS --json`; `folder` is for notes (Linux)."""
    status = folder / "status"
    program = _PROGRAM.format(status=str(status))
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, words), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
    return Ended(
        code=ended.returncode,
        lines=ended.stderr.splitlines(),
        result=json.loads(ended.stdout) if ended.stdout.strip() else None,
        peak_bytes=int(fields["VmHWM"].split()[0]) * 1024 if fields else 0,
    )
