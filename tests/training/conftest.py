from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _small_networks(one_thread: None) -> None:
    """Every test here may run one."""
