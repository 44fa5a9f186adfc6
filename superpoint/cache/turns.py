"""Turns: runs that work on one group at once begin at different tiles, and so hardly ever compute one twice.

The first run at a group takes its tiles in raster order, the second one backwards, any further one shuffled; whoever
comes to a tile that is done meanwhile leaves it out. Nobody waits for anybody, and nothing depends on it: a run that
was killed leaves its turn behind, and the next one merely begins elsewhere.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.cache.groups import TiledGroup


@contextmanager
def turn_at(group: TiledGroup) -> Iterator[int]:
    """Take the first turn at a group that is free, from 0, and give it back in the end."""
    store = group.ledger.store
    turn = next(turn for turn in count() if store.write_new(f"turn-{turn}", socket.gethostname().encode()))
    try:
        yield turn
    finally:
        store.delete([f"turn-{turn}"])
