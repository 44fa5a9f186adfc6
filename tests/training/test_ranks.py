"""Processes that train together: what becomes of them if one cannot start."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from superpoint.errors import SuperpointError
from superpoint.training.ranks import together

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
if mkdir first 2> /dev/null; then
    echo $$ > pid
    cat > /dev/null
    exec sleep 60
fi
exec 0<&-
echo "no module named superpoint" >&2
exit 3
"""
"""An interpreter that hears all and waits, started for the first time; from then on one that ends without hearing."""


def test_one_that_cannot_start_is_named_in_a_sentence_and_ends_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    more_than_a_pipe_holds = partial(print, bytes(2**20))
    with (
        pytest.raises(SuperpointError, match=r"^another process of this training ended: no module named superpoint$"),
        together(4, more_than_a_pipe_holds),
    ):
        pytest.fail("went on without the others")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_work_that_cannot_be_sent_is_refused_as_it_is_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(AttributeError, match="lambda"), together(2, lambda _: None):
        pytest.fail("went on without the other")
