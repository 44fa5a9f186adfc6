"""A label map as copies of what stood before.

Zstandard writes data as sequences: so many new bytes, then so many bytes copied from so far before. A distance that
was used lately costs next to nothing; the decoder keeps the last three, and here they nearly always are one row, one
pixel, and one row less a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from superpoint.frames.entropy import MAX_CODES, log2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint32]
    Ints = NDArray[np.int64]
    Recent = tuple[int, int, int]

PIXEL_BYTES = 4
BLOCK_PIXELS = 2**17 // PIXEL_BYTES  # the largest block of Zstandard is 128 KiB
REACH = 32  # pixels that an outline's way to the left is followed in one row
STATE_BITS = 9 + 8 + 9  # at most, of the three states that one sequence moves
HEADERS_BYTES = 160  # at most, of a block: its sections' headers and three tables

MIN_MATCH = 3  # bytes; lengths of matches are counted from it


def _codes(n_plain: int, extra_bits: list[int], first: int, n_pixels: int) -> tuple[NDArray[np.uint8], ...]:
    """Return code, number of extra bits and extra bits of lengths of 0, 1, ... pixels (RFC 8878, 3.1.1.3.2.1.1)."""
    n_bits = np.array([0] * n_plain + extra_bits)
    starts = np.concatenate([[0], np.cumsum(1 << n_bits)[:-1]]) + first
    lengths = np.maximum(np.arange(n_pixels + 1) * PIXEL_BYTES, first)
    codes = np.searchsorted(starts, lengths, side="right") - 1
    return codes.astype(np.uint8), n_bits[codes].astype(np.uint8), (lengths - starts[codes]).astype(np.uint32)


_LITERAL_CODE, _LITERAL_BITS, _LITERAL_EXTRA = _codes(
    16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, *range(7, 17)], 0, BLOCK_PIXELS
)
_MATCH_CODE, _MATCH_BITS, _MATCH_EXTRA = _codes(
    32, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17)], MIN_MATCH, BLOCK_PIXELS
)


class Copies(NamedTuple):
    """The copies that pixels are written as; room for them, used again and again."""

    edges: NDArray[np.int32]
    """Where pixels begin to equal those above, where they cease to, and so on."""
    codes: NDArray[np.int64]
    """Of each sequence: codes of literals, offset and match, and the number of extra bits, a byte each."""
    extra: NDArray[np.int64]
    """Extra bits of each sequence, in the order of reading."""
    new: Pixels
    """Literals: pixels that are copied from nowhere."""
    bits: Pixels
    """Sequences as words of bits, block by block."""
    sequences: NDArray[np.int64]
    """Number of sequences up to the end of each block."""
    literals: NDArray[np.int64]
    """Number of literals up to the end of each block."""
    words: NDArray[np.int64]
    """Number of words up to the end of each block."""
    n_bytes: NDArray[np.int64]
    """Number of bytes of each block's words."""
    plain: NDArray[np.bool_]
    """Blocks that are better stored as they are; they have no sequences."""
    counts: NDArray[np.int64]
    """How often each code occurs, of literals, offsets and matches."""

    @classmethod
    def empty(cls, n_pixels: int) -> Copies:
        """Make room for the copies of `n_pixels` pixels."""
        n_blocks = -(-n_pixels // BLOCK_PIXELS)
        sequences, literals, words, n_bytes = np.empty((4, n_blocks), np.int64)
        return cls(
            edges=np.empty(n_pixels + 3, np.int32),
            codes=np.empty(n_pixels, np.int64),
            extra=np.empty(n_pixels, np.int64),
            new=np.empty(n_pixels, np.uint32),
            bits=np.empty(n_pixels + 2 * n_blocks, np.uint32),
            sequences=sequences,
            literals=literals,
            words=words,
            n_bytes=n_bytes,
            plain=np.empty(n_blocks, np.bool_),
            counts=np.empty((3, MAX_CODES), np.int64),
        )


@njit(cache=True, nogil=True)
def find_copies(pixels: Pixels, width: int, copies: Copies) -> None:
    """Write pixels as copies, block by block.

    Parameters
    ----------
    pixels : uint32 array of shape (rows * cols,)
        A label map, row by row.
    width : int
        Its number of columns.
    copies : Copies
        Room for that many pixels; receives the copies, without their words.
    """
    n_edges = _find_edges(pixels, width, copies.edges)
    for index in range(3):
        copies.edges[n_edges + index] = len(pixels)
        for code in range(MAX_CODES):
            copies.counts[index, code] = 0
    recent = (1, 4, 8)  # bytes; what a decoder begins with
    edge = n_sequences = n_literals = 0
    for block in range(len(copies.plain)):
        start = block * BLOCK_PIXELS
        stop = min(start + BLOCK_PIXELS, len(pixels))
        found, literals, n_bits, edge, moved = _copy_block(
            pixels, width, start, stop, edge, recent, n_sequences, n_literals, copies
        )
        n_bytes = HEADERS_BYTES + PIXEL_BYTES * (literals - n_literals) + ((n_bits + 7) >> 3)
        copies.plain[block] = n_bytes > PIXEL_BYTES * (stop - start)
        if not copies.plain[block]:
            n_sequences, n_literals, recent = found, literals, moved
        copies.sequences[block] = n_sequences
        copies.literals[block] = n_literals
    if n_sequences == 0:
        for kind in range(3):
            copies.counts[kind, 0] = 1  # tables are made, though nothing is coded


@njit(cache=True, nogil=True)
def _find_edges(pixels: Pixels, width: int, edges: NDArray[np.int32]) -> int:
    """Collect where pixels begin or cease to equal those above, without a branch that could be guessed wrongly."""
    n_edges = 0
    was = np.uint8(0)
    for pixel in range(width, len(pixels)):
        equal = np.uint8(pixels[pixel] == pixels[pixel - width])
        edges[n_edges] = pixel
        n_edges += int(equal ^ was)
        was = equal
    return n_edges


@njit(cache=True, nogil=True)
def _copy_block(
    pixels: Pixels,
    width: int,
    start: int,
    stop: int,
    edge: int,
    recent: Recent,
    n_sequences: int,
    n_literals: int,
    copies: Copies,
) -> tuple[int, int, int, int, Recent]:
    """Write one block as copies; return the numbers of sequences, literals and bits, the next edge, and distances."""
    edges, codes, extra, counts, literals = copies.edges, copies.codes, copies.extra, copies.counts, copies.new
    pixel, new, n_bits = start, 0, 0
    while pixel < stop:
        last = min(stop, edges[edge])
        while pixel < last:  # not what is above
            distance = _distance(pixels, width, pixel)
            end = pixel + 1
            if distance == 0:
                literals[n_literals] = pixels[pixel]
                n_literals += 1
                new += 1
            else:
                while end < last and pixels[end] == pixels[end - distance]:
                    end += 1
                value, recent = _offset(distance * PIXEL_BYTES, new, recent)
                n_bits += STATE_BITS + _add_sequence(new, end - pixel, value, n_sequences, codes, extra, counts)
                n_sequences += 1
                new = 0
            pixel = end
        if pixel < stop:
            end = min(stop, edges[edge + 1])
            value, recent = _offset(width * PIXEL_BYTES, new, recent)
            n_bits += STATE_BITS + _add_sequence(new, end - pixel, value, n_sequences, codes, extra, counts)
            n_sequences += 1
            pixel, new = end, 0
            edge += 2 if end == edges[edge + 1] else 0
    return n_sequences, n_literals, n_bits, edge, recent


@njit(cache=True, nogil=True)
def _distance(pixels: Pixels, width: int, pixel: int) -> int:
    """Return how many pixels before there is an equal one; 0 if none is near."""
    value = pixels[pixel]
    if pixel > 0 and pixels[pixel - 1] == value:
        return 1
    above = pixel - width
    if above >= 0:
        for step in range(1, min(REACH, width)):
            if pixels[above + step] == value:
                return width - step
            if above >= step and pixels[above - step] == value:
                return width + step
    return 0


@njit(cache=True, nogil=True)
def _offset(distance: int, new: int, recent: Recent) -> tuple[int, Recent]:
    """Return the value that stands for a distance in bytes, and the distances used last (RFC 8878, 3.1.1.5)."""
    first, second, third = recent
    shift = 0 if new else 1  # right after a match the same distance again would be one match: values move up
    if distance == first and new:
        return 1, recent
    if distance == second:
        return 2 - shift, (second, first, third)
    if distance == third:
        return 3 - shift, (third, first, second)
    return distance + 3, (distance, first, second)


@njit(cache=True, nogil=True)
def _add_sequence(new: int, copied: int, value: int, index: int, codes: Ints, extra: Ints, counts: Ints) -> int:
    """Add a sequence of `new` and `copied` pixels, count its codes, and return its number of extra bits."""
    offset_code = value >> 1 if value < 4 else log2(value)  # noqa: PLR2004  # mostly 1 to 3
    literal_bits, match_bits = int(_LITERAL_BITS[new]), int(_MATCH_BITS[copied])
    n_bits = literal_bits + match_bits + offset_code
    bits = int(_LITERAL_EXTRA[new]) | int(_MATCH_EXTRA[copied]) << literal_bits
    bits |= (value - (1 << offset_code)) << (literal_bits + match_bits)
    literal_code, match_code = int(_LITERAL_CODE[new]), int(_MATCH_CODE[copied])
    codes[index] = literal_code | offset_code << 8 | match_code << 16 | n_bits << 24
    extra[index] = bits
    counts[0, literal_code] += 1
    counts[1, offset_code] += 1
    counts[2, match_code] += 1
    return n_bits
