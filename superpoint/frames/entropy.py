"""Finite state entropy: codes that occur often cost a fraction of a bit (RFC 8878, 4.1; J. Duda, arXiv:1311.2540).

Three kinds of codes, each with its own table: of literals, offsets and matches, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bytes = NDArray[np.uint8]

MAX_LOGS = (9, 8, 9)
MAX_CODES = 53
MAX_TABLE_BYTES = 64


class Tables(NamedTuple):
    """How an encoder's states move, for each kind of code."""

    logs: Ints
    """There are `2 ** log` states; 0 if only one code occurs, which then costs nothing. Shape (3,)."""
    shares: Ints
    """Number of states of each code. Shape (3, codes)."""
    states: Ints
    """The next states, code by code. Shape (3, states)."""
    thresholds: Ints
    """Of each code: `(state + threshold) >> 16` is the number of bits to write. Shape (3, codes)."""
    starts: Ints
    """Of each code: `states[(state >> bits) + start]` is the next state. Shape (3, codes)."""
    written: Bytes
    """What a decoder needs to make the tables. Shape (3, bytes)."""
    sizes: Ints
    """Number of bytes of that. Shape (3,)."""

    @classmethod
    def empty(cls) -> Tables:
        """Make room for tables."""
        n_states = 1 << max(MAX_LOGS)
        return cls(
            logs=np.empty(3, np.int64),
            shares=np.empty((3, MAX_CODES), np.int64),
            states=np.empty((3, n_states), np.int64),
            thresholds=np.empty((3, MAX_CODES), np.int64),
            starts=np.empty((3, MAX_CODES), np.int64),
            written=np.empty((3, MAX_TABLE_BYTES), np.uint8),
            sizes=np.empty(3, np.int64),
        )


@njit(cache=True, nogil=True)
def make_tables(counts: Ints, tables: Tables) -> None:
    """Make the tables of codes that occur so often.

    Parameters
    ----------
    counts : int64 array of shape (3, codes)
        At least one of each kind above 0.
    tables : Tables
        Receives them.
    """
    codes = np.empty(tables.states.shape[1], np.int64)
    for kind in range(3):
        n_codes = 0
        for count in counts[kind]:
            n_codes += 1 if count else 0
        log = MAX_LOGS[kind] if n_codes > 1 else 0
        tables.logs[kind] = log
        _share_out(counts[kind], 1 << log, tables.shares[kind])
        _lay_states(tables.shares[kind], log, codes, tables.states[kind], tables.thresholds[kind], tables.starts[kind])
        tables.sizes[kind] = _write(tables.written[kind], tables.shares[kind], log)


@njit(cache=True, nogil=True)
def _share_out(counts: Ints, n_states: int, shares: Ints) -> None:
    """Share states out in proportion to counts, at least one to each that occurs, the rest to the most frequent."""
    total = 0
    for count in counts:
        total += count
    spare = n_states
    for code, count in enumerate(counts):
        shares[code] = max(count * n_states // total, 1) if count else 0
        spare -= shares[code]
    while spare:
        most = 0
        for code, share in enumerate(shares):
            if share > shares[most]:
                most = code
        given = max(spare, -1)
        shares[most] += given
        spare -= given


@njit(cache=True, nogil=True)
def _lay_states(shares: Ints, log: int, codes: Ints, states: Ints, thresholds: Ints, starts: Ints) -> None:
    """Spread codes over the states as a decoder does, and note the way back."""
    n_states = 1 << log
    step, place, total = (n_states >> 1) + (n_states >> 3) + 3, 0, 0
    for code, share in enumerate(shares):
        if share == 0:
            continue
        for _ in range(share):
            codes[place] = code
            place = (place + step) & (n_states - 1)
        n_bits = log - log2(share - 1) if share > 1 else log
        thresholds[code] = (n_bits << 16) - (share << n_bits)
        starts[code] = total - share
        total += share
    taken = np.zeros_like(shares)
    for state in range(n_states):
        code = codes[state]
        states[starts[code] + shares[code] + taken[code]] = n_states + state
        taken[code] += 1


@njit(cache=True, nogil=True)
def log2(number: int) -> int:
    """Return the place of the highest bit of a number; 0 for 0."""
    log = 0
    while number >> (log + 1):
        log += 1
    return log


@njit(cache=True, nogil=True)
def first_state(tables: Tables, kind: int, code: int) -> int:
    """Return the state that begins with a code, the last one to be decoded."""
    threshold = tables.thresholds[kind, code]
    n_bits = (threshold + (1 << 15)) >> 16
    return int(tables.states[kind, (((n_bits << 16) - threshold) >> n_bits) + tables.starts[kind, code]])


@njit(cache=True, nogil=True)
def _write(out: Bytes, shares: Ints, log: int) -> int:
    """Write what a decoder needs to make a table, and return its number of bytes (RFC 8878, 4.1.1)."""
    if log == 0:  # the one code
        for code, share in enumerate(shares):
            if share:
                out[0] = code
        return 1
    place, bits, n_bits = 0, log - 5, 4
    left = (1 << log) + 1  # what the next share plus one may be at most
    code = 0
    while left > 1:
        size = log2(left) + 1
        short = (1 << size) - 1 - left  # so many small values need one bit less
        share = shares[code]
        value = share + 1
        if value >= 1 << (size - 1):
            value += short
        elif value < short:
            size -= 1
        bits |= value << n_bits
        n_bits += size
        left -= share
        code += 1
        if share == 0:  # in two bits, how many more have none, up to three at a time
            absent = 0
            while shares[code + absent] == 0:
                absent += 1
            code += absent
            while absent >= 0:
                bits |= min(absent, 3) << n_bits
                n_bits += 2
                absent -= 3
                place, bits, n_bits = _flush(out, place, bits, n_bits)
        place, bits, n_bits = _flush(out, place, bits, n_bits)
    out[place] = bits
    return place + 1 if n_bits else place


@njit(cache=True, nogil=True)
def _flush(out: Bytes, place: int, bits: int, n_bits: int) -> tuple[int, int, int]:
    while n_bits >= 8:  # noqa: PLR2004  # a byte
        out[place] = bits & 255
        place, bits, n_bits = place + 1, bits >> 8, n_bits - 8
    return place, bits, n_bits
