"""Turns: runs that work on one group at once begin at different tiles, and so hardly ever compute one twice.

The first run at a group takes its tiles in raster order, the second one backwards, any further one shuffled; whoever
comes to a tile that is done meanwhile leaves it out. Nobody waits for anybody, and nothing depends on it: a run that
was killed leaves its turn behind, and the next one merely begins elsewhere.
"""

from __future__ import annotations

import logging
import secrets
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from superpoint.errors import SuperpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from superpoint.cache.groups import TiledGroup
    from superpoint.cache.stores import Store

log = logging.getLogger("superpoint")

MOST_TURNS = 100  # of runs at one group, or left behind by runs that were killed


@contextmanager
def turn_at(group: TiledGroup) -> Iterator[int]:
    """Take the first turn at a group that is free, from 0, and give it back in the end."""
    store = group.ledger.store
    turn = _take(store)
    try:
        yield turn
    finally:
        with suppress(SuperpointError):  # a turn that stays is no harm
            store.delete([f"turn-{turn}"])


def _take(store: Store) -> int:
    try:
        for turn in range(MOST_TURNS):
            if store.write_new(f"turn-{turn}", socket.gethostname().encode()):
                return turn
    except SuperpointError as error:  # not every store can write only what is not there
        log.debug("no turn: %s", error)
    return MOST_TURNS + secrets.randbelow(2**31)
