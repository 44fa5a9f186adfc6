"""Frames and blocks of Zstandard (RFC 8878, 3.1.1) around the copies of a label map."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from superpoint.frames.copies import BLOCK_PIXELS, PIXEL_BYTES, Copies, find_copies
from superpoint.frames.entropy import Tables, first_state, make_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Stream = tuple[int, int, int]

MAX_BYTES = 2**32 - 1
_MAGIC = bytes.fromhex("28b52ffd")
_ONE_SEGMENT = 0b1010_0000  # content size in four bytes; no checksum, no dictionary
_RAW, _COMPRESSED = 0, 2
_ONE_CODE, _TABLE, _AS_BEFORE = 1, 2, 3


class _Kept(threading.local):
    """Room that a thread uses again: getting pages from the system anew costs a third of the time."""

    def __init__(self) -> None:
        self.tables = Tables.empty()
        self.copies = Copies.empty(0)

    def copies_of(self, n_pixels: int) -> Copies:
        if len(self.copies.codes) != n_pixels:
            self.copies = Copies.empty(n_pixels)
        return self.copies


_kept = _Kept()


def encode_frame(labels: NDArray[np.generic]) -> bytes:
    """Encode a label map as a frame of Zstandard.

    Parameters
    ----------
    labels : array of shape (rows, cols)
        uint32, or another type of four bytes. Any values; they take little room where they are equal over areas.

    Returns
    -------
    bytes
        A frame that decodes to the array's bytes, row by row, little-endian. The same labels give the same bytes.

    Raises
    ------
    ValueError
        If the array is not of that kind, or of 4 GiB or more.

    Examples
    --------
    >>> from numcodecs import Zstd
    >>> labels = np.repeat(np.arange(8, dtype=np.uint32), 8192).reshape(256, 256)
    >>> frame = encode_frame(labels)
    >>> len(frame), Zstd().decode(frame) == labels.tobytes()
    (116, True)
    """
    if labels.ndim != 2 or labels.itemsize != PIXEL_BYTES or not 0 < labels.nbytes <= MAX_BYTES:  # noqa: PLR2004
        raise ValueError(f"labels must be of shape (rows, cols), 4 bytes a pixel, got {labels.dtype} {labels.shape}")
    pixels = np.ascontiguousarray(labels, labels.dtype.newbyteorder("<")).view(np.uint32).reshape(-1)
    copies, tables = _kept.copies_of(labels.size), _kept.tables
    find_copies(pixels, labels.shape[1], copies)
    make_tables(copies.counts, tables)
    _write_sequences(copies, tables)
    header = _MAGIC + bytes([_ONE_SEGMENT]) + labels.nbytes.to_bytes(4, "little")
    return b"".join([header, *_blocks(pixels, copies, tables)])


def _blocks(pixels: NDArray[np.uint32], copies: Copies, tables: Tables) -> Iterator[bytes | memoryview]:
    """Yield the parts of each block."""
    whole, new, bits = (memoryview(each).cast("B") for each in (pixels, copies.new, copies.bits))
    ends = (each.tolist() for each in (copies.plain, copies.sequences, copies.literals, copies.words, copies.n_bytes))
    sequence = literal = word = 0
    known = False
    for block, (plain, sequences, literals, words, n_bytes) in enumerate(zip(*ends, strict=True)):
        if plain:
            start = block * BLOCK_PIXELS * PIXEL_BYTES
            parts: list[bytes | memoryview] = [whole[start : start + BLOCK_PIXELS * PIXEL_BYTES]]
        else:
            added = new[PIXEL_BYTES * literal : PIXEL_BYTES * literals]
            header = _literals_header(len(added))
            start = PIXEL_BYTES * word
            parts = [header, added, _tables(sequences - sequence, tables, known), bits[start : start + n_bytes]]
            known = True
        last = block == len(copies.plain) - 1
        size = sum(map(len, parts))
        yield (last | (_RAW if plain else _COMPRESSED) << 1 | size << 3).to_bytes(3, "little")
        yield from parts
        sequence, literal, word = sequences, literals, words


def _literals_header(n_bytes: int) -> bytes:
    """Return the header of literals that are stored as they are."""
    return (n_bytes << 4 | 0b1100).to_bytes(3, "little")


def _tables(n_sequences: int, tables: Tables, known: bool) -> bytes:
    """Return the number of sequences and the tables, or that they are those of the block before."""
    modes, written = 0, b""
    for kind, log in enumerate(tables.logs):
        mode = _ONE_CODE if log == 0 else _AS_BEFORE if known else _TABLE
        modes = modes << 2 | mode
        if mode != _AS_BEFORE:
            written += tables.written[kind, : tables.sizes[kind]].tobytes()
    return _number_of(n_sequences) + bytes([modes << 2]) + written


def _number_of(n_sequences: int) -> bytes:
    if n_sequences < 0x7F00:  # noqa: PLR2004  # what two bytes hold
        return bytes([(n_sequences >> 8) + 128, n_sequences & 255])
    return b"\xff" + (n_sequences - 0x7F00).to_bytes(2, "little")


@njit(cache=True, nogil=True)
def _write_sequences(copies: Copies, tables: Tables) -> None:
    """Write the sequences of each block from the last to the first, as they are read from the end."""
    start = n_words = 0
    for block in range(len(copies.plain)):
        stop = copies.sequences[block]
        first_word = n_words
        n_waiting = 0
        if stop > start:
            n_words, waiting, n_waiting = _write_block(copies, tables, start, stop, n_words)
            copies.bits[n_words] = waiting
        copies.n_bytes[block] = (n_words - first_word) * 4 + ((n_waiting + 7) >> 3)
        n_words += 1 if n_waiting else 0
        copies.words[block] = n_words
        start = stop


@njit(cache=True, nogil=True)
def _write_block(copies: Copies, tables: Tables, start: int, stop: int, n_words: int) -> Stream:
    states, thresholds, starts = tables.states, tables.thresholds, tables.starts
    codes = copies.codes[stop - 1]
    literals = first_state(tables, 0, codes & 255)
    offset = first_state(tables, 1, (codes >> 8) & 255)
    match = first_state(tables, 2, (codes >> 16) & 255)
    stream = _put_extra(copies, stop - 1, (n_words, 0, 0))
    for index in range(stop - 2, start - 1, -1):
        codes = copies.codes[index]
        code = (codes >> 8) & 255
        n_bits = (offset + thresholds[1, code]) >> 16
        bits, shift = offset & ((1 << n_bits) - 1), n_bits
        offset = states[1, (offset >> n_bits) + starts[1, code]]
        code = (codes >> 16) & 255
        n_bits = (match + thresholds[2, code]) >> 16
        bits, shift = bits | (match & ((1 << n_bits) - 1)) << shift, shift + n_bits
        match = states[2, (match >> n_bits) + starts[2, code]]
        code = codes & 255
        n_bits = (literals + thresholds[0, code]) >> 16
        bits, shift = bits | (literals & ((1 << n_bits) - 1)) << shift, shift + n_bits
        literals = states[0, (literals >> n_bits) + starts[0, code]]
        stream = _put_extra(copies, index, _put(copies.bits, stream, bits, shift))
    logs = tables.logs
    stream = _put(copies.bits, stream, match & ((1 << logs[2]) - 1), logs[2])
    stream = _put(copies.bits, stream, offset & ((1 << logs[1]) - 1), logs[1])
    stream = _put(copies.bits, stream, literals & ((1 << logs[0]) - 1), logs[0])
    return _put(copies.bits, stream, 1, 1)  # marks the end


@njit(cache=True, nogil=True)
def _put_extra(copies: Copies, index: int, stream: Stream) -> Stream:
    extra, n_bits = copies.extra[index], copies.codes[index] >> 24
    if n_bits > 32:  # noqa: PLR2004  # a word
        stream = _put(copies.bits, stream, extra & 0xFFFFFFFF, 32)
        extra, n_bits = extra >> 32, n_bits - 32
    return _put(copies.bits, stream, extra, n_bits)


@njit(cache=True, nogil=True)
def _put(words: NDArray[np.uint32], stream: Stream, bits: int, n_bits: int) -> Stream:
    """Append at most 32 bits to a stream of words, of which fewer than 32 bits wait; without a branch."""
    n_words, waiting, n_waiting = stream
    waiting |= bits << n_waiting
    n_waiting += n_bits
    words[n_words] = waiting & 0xFFFFFFFF
    full = n_waiting >> 5
    return n_words + full, waiting >> (full << 5), n_waiting & 31
