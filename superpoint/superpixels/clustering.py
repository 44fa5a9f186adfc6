"""Clustering pixels round centres on a lattice, in 16-bit integers: the hot loops of SLIC.

The strategy: nothing is kept per pixel but the quantised bands. A row of pixels is given to its nearest centres in
two buffers that stay in the first-level cache, sixteen pixels to an instruction, and its runs of equal owner are
summed at once; only the last sweep writes its runs down. The sweeps before it look at every fifth row, always the
same ones: centres come to rest as well on a fifth of the pixels.

What cannot be avoided: a kernel that the compiler can turn into vectors has to know the number of bands, so each
number of bands is compiled once, and kept on disk.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Words = NDArray[np.uint16]
    Mask = NDArray[np.bool_]
    Floats = NDArray[np.float32]
    Owners = NDArray[np.uint16] | NDArray[np.uint32]

SUBPIXEL = 16  # centres are kept in sixteenths of a pixel
PLACE_BITS = 24  # of a fraction that weights of place have
LANES = 16  # pixels of a 256-bit instruction; searches are whole numbers of them wide
OUTSIDE = 2**15  # added to whatever distance, it is farther than any centre can be
FARTHEST = OUTSIDE - 1  # no distance that counts reaches it
MARGIN = 0.1  # values beyond 0..1 that are still told apart
_LOWEST, _HIGHEST = np.float32(-1), np.float32(2)  # where outliers are cut before bands are mixed


@njit(cache=True, nogil=True)
def quantise(
    image: NDArray[Any], valid: Mask, low: Floats, span: Floats, chroma: float, levels: int, rows: tuple[int, int],
    quantised: Bytes, full: Mask,
) -> None:  # fmt: skip
    """Scale, weigh colour against brightness, smooth and quantise the rows `rows[0]:rows[1]` of an image.

    Parameters
    ----------
    image : array of shape (bands, rows, cols)
        As stored, any number type.
    valid : bool array of shape (rows, cols)
        False on nodata.
    low, span : float32 arrays of shape (bands,)
        A value `v` of a band is scaled to `(v - low) / span`.
    chroma : float
        What a band's difference from the pixel's mean over bands is multiplied by.
    levels : int
        Steps of the quantised range from 0 to 1.
    rows : (int, int)
        The rows to do.
    quantised : uint8 array of shape (bands, rows, at least cols)
        Written. A binomial filter of 3 x 3 pixels smooths those that have no nodata beside them.
    full : bool array of shape (rows,)
        Written: rows without nodata.
    """
    n_bands, n_rows, n_cols = image.shape
    scaled = np.empty((3, n_bands, n_cols), np.float32)  # the last three rows
    across = np.empty((3, n_bands, n_cols), np.float32)  # smoothed along the row
    mean = np.empty(n_cols, np.float32)
    whole = np.empty(3, np.bool_)
    top = np.float32((1 + 2 * MARGIN) * levels)
    for row in range(max(rows[0] - 1, 0), rows[1] + 1):
        if row < n_rows:
            slot = row % 3
            whole[slot] = _scale_row(image[:, row], valid[row], low, span, np.float32(chroma), mean, scaled[slot])
            _smooth_row(scaled[slot], across[slot])
        done = row - 1
        if done < rows[0]:
            continue
        above, here, below = max(done - 1, 0) % 3, done % 3, min(done + 1, n_rows - 1) % 3
        full[done] = whole[here]
        for band in range(n_bands):
            first, second, third = across[above, band], across[here, band], across[below, band]
            target = quantised[band, done]
            for col in range(n_cols):
                value = (first[col] + np.float32(2) * second[col] + third[col]) * np.float32(1 / 16)
                level = min(max((value + np.float32(MARGIN)) * np.float32(levels), np.float32(0)), top)
                target[col] = np.uint8(np.int32(level + np.float32(0.5)))
        if not (whole[above] and whole[here] and whole[below]):
            _leave_unsmoothed(scaled[here], valid, done, levels, quantised)


@njit(cache=True, nogil=True)
def _scale_row(
    image: NDArray[Any], valid: Mask, low: Floats, span: Floats, chroma: np.float32, mean: Floats, scaled: Floats
) -> bool:
    n_bands, n_cols = scaled.shape
    mean[:] = np.float32(0)
    for band in range(n_bands):
        values, target, lowest, width = image[band], scaled[band], low[band], span[band]
        for col in range(n_cols):
            value = (np.float32(values[col]) - lowest) / width
            value = value if value == value else np.float32(0)  # noqa: PLR0124  # NaN is not itself
            value = max(_LOWEST, value)
            value = min(_HIGHEST, value)
            target[col] = value
            mean[col] += value
    n_valid = 0
    for col in range(n_cols):
        mean[col] /= np.float32(n_bands)
        n_valid += valid[col]
    for band in range(n_bands):
        target = scaled[band]
        for col in range(n_cols):
            target[col] = mean[col] + chroma * (target[col] - mean[col])
    return bool(n_valid == n_cols)


@njit(cache=True, nogil=True)
def _smooth_row(scaled: Floats, across: Floats) -> None:
    n_bands, n_cols = scaled.shape
    for band in range(n_bands):
        values, target = scaled[band], across[band]
        before_all, after_all, inner = values[:-2], values[2:], target[1:-1]
        for col in range(n_cols - 2):
            inner[col] = before_all[col] + np.float32(2) * values[col + 1] + after_all[col]
        for col in (0, n_cols - 1):
            before, after = values[max(col - 1, 0)], values[min(col + 1, n_cols - 1)]
            target[col] = before + np.float32(2) * values[col] + after


@njit(cache=True, nogil=True)
def _leave_unsmoothed(scaled: Floats, valid: Mask, row: int, levels: int, quantised: Bytes) -> None:
    """Quantise anew, without their neighbours, the pixels of a row that have nodata beside them."""
    n_rows, n_cols = valid.shape
    top = np.float32((1 + 2 * MARGIN) * levels)
    for col in range(n_cols):
        beside = valid[max(row - 1, 0) : min(row + 2, n_rows), max(col - 1, 0) : min(col + 2, n_cols)]
        if beside.all():
            continue
        for band in range(len(scaled)):
            level = min(max((scaled[band, col] + np.float32(MARGIN)) * np.float32(levels), np.float32(0)), top)
            quantised[band, row, col] = np.uint8(np.int32(level + np.float32(0.5))) if valid[row, col] else 0


@njit(cache=True, nogil=True)
def start_centres(
    quantised: Bytes, valid: Mask, full: Mask, row_edges: Longs, col_edges: Longs, cell_rows: tuple[int, int],
    sampling: tuple[int, int], sums: Longs,
) -> None:  # fmt: skip
    """Add up the sampled pixels of each cell: `sums` as `sweep` makes them."""
    n_bands, n_cell_cols = len(quantised), len(col_edges) - 1
    for cell_row in range(cell_rows[0], cell_rows[1]):
        for row in _sampled(row_edges[cell_row], row_edges[cell_row + 1], sampling):
            for cell_col in range(n_cell_cols):
                first, stop = col_edges[cell_col], col_edges[cell_col + 1]
                cell = cell_row * n_cell_cols + cell_col
                # Nodata is quantised to 0.
                count, cols = stop - first, (stop - first) * (first + stop - 1)
                if not full[row]:
                    count, cols = 0, 0
                    for col in range(first, stop):
                        count += valid[row, col]
                        cols += 2 * col * valid[row, col]
                sums[cell, 0] += count
                sums[cell, 1] += count * row
                sums[cell, 2] += cols
                for band in range(n_bands):
                    sums[cell, 3 + band] += _total(quantised[band, row, first:stop])


@njit(cache=True, nogil=True)
def _sampled(first: int, stop: int, sampling: tuple[int, int]) -> range:
    """Return the rows of `first:stop` that are looked at: each `sampling[0]`th, from `sampling[1]` on."""
    step, phase = sampling
    return range(first + (phase - first) % step, stop, step)


@njit(cache=True, nogil=True)
def move_centres(sums: Longs, centres: Ints, alive: Mask) -> None:
    """Set each centre to the mean of its pixels; one without pixels stays where it was."""
    for cell in range(len(centres)):
        count = sums[cell, 0]
        if count > 0:
            alive[cell] = True
            centres[cell, 0] = (2 * SUBPIXEL * sums[cell, 1] + count) // (2 * count)
            centres[cell, 1] = (SUBPIXEL * sums[cell, 2] + count) // (2 * count)
            for axis in range(2, centres.shape[1]):
                centres[cell, axis] = (2 * sums[cell, 1 + axis] + count) // (2 * count)


@njit(cache=True, nogil=True)
def aim(centres: Ints, col_edges: Longs, weight: int, n_cols: int, starts: Ints, across: Words) -> None:
    """Find for each centre the columns that it searches, and their distance from it.

    Parameters
    ----------
    centres : int32 array of shape (cells, 2 + bands)
        Row and column in sixteenths of a pixel, then the quantised bands.
    col_edges : int64 array of shape (cell columns + 1,)
        Edges of the lattice's cells in the window.
    weight : int
        Of a squared distance in sixteenths of a pixel, times 2**24.
    n_cols : int
        Columns of the quantised array.
    starts : int32 array of shape (cells,)
        Written: the first column of each search.
    across : uint16 array of shape (cells, width)
        Written: the weighted squared distance along the row, `OUTSIDE` where the centre does not search.
    """
    width, n_cell_cols = across.shape[1], len(col_edges) - 1
    for cell in range(len(centres)):
        cell_col = cell % n_cell_cols
        wanted = (centres[cell, 1] // SUBPIXEL) - width // 2
        # What a centre searches must not depend on where the window ends, so only the array's part of it is cut.
        first = max(wanted, col_edges[max(cell_col - 1, 0)])
        stop = min(wanted + width, col_edges[min(cell_col + 2, n_cell_cols)])
        starts[cell] = min(max(wanted, 0), n_cols - width)
        for index in range(width):
            col = starts[cell] + index
            offset = col * SUBPIXEL - centres[cell, 1]
            across[cell, index] = (offset * offset * weight) >> PLACE_BITS if first <= col < stop else OUTSIDE


@cache
def make_sweep(n_bands: int) -> Callable[..., None]:
    """Return the kernel that gives sampled pixels to centres and adds them up, for a number of bands."""
    assign = _make_assign(n_bands)

    @njit(cache=True, nogil=True)
    def sweep(  # noqa: PLR0917  # a kernel takes its arrays one by one
        quantised: Bytes, valid: Mask, full: Mask, row_edges: Longs, n_cell_cols: int, cell_rows: tuple[int, int],
        sampling: tuple[int, int], centres: Ints, alive: Mask, starts: Ints, across: Words, weight: int,
        owners: Owners, sums: Longs,
    ) -> None:  # fmt: skip
        n_cols = valid.shape[1]
        distances = np.empty(len(owners), np.uint16)
        unreached = _unreached(n_cell_cols)
        for cell_row in range(cell_rows[0], cell_rows[1]):
            first_cell = (cell_row - 1) * n_cell_cols
            for row in _sampled(row_edges[cell_row], row_edges[cell_row + 1], sampling):
                assign(quantised, row, cell_row, n_cell_cols, centres, alive, starts, across, weight, distances, owners)
                if not full[row]:
                    _mask(owners, valid[row], unreached)
                col = 0
                while col < n_cols:
                    owner, begin = owners[col], col
                    while col < n_cols and owners[col] == owner:
                        col += 1
                    if owner < unreached:
                        cell, count = first_cell + owner, col - begin
                        sums[cell, 0] += count
                        sums[cell, 1] += count * row
                        sums[cell, 2] += count * (begin + col - 1)
                        for band in range(n_bands):
                            sums[cell, 3 + band] += _total(quantised[band, row, begin:col])

    return sweep


@cache
def make_finish(n_bands: int) -> Callable[..., tuple[Ints, Ints, Ints, Longs]]:  # noqa: C901  # one pass over a row
    """Return the kernel that gives all pixels to centres and writes down the runs of equal cell.

    The kernel returns, for the rows of cells `cell_rows`, what `regions.Runs` holds.
    """
    assign = _make_assign(n_bands)

    @njit(cache=True, nogil=True)
    def finish(
        quantised: Bytes, valid: Mask, full: Mask, row_edges: Longs, col_edges: Longs, cell_rows: tuple[int, int],
        centres: Ints, alive: Mask, starts: Ints, across: Words, weight: int, owners: Owners,
    ) -> tuple[Ints, Ints, Ints, Longs]:  # fmt: skip
        n_cols, n_cell_cols = valid.shape[1], len(col_edges) - 1
        distances = np.empty(len(owners), np.uint16)
        unreached = _unreached(n_cell_cols)
        top, bottom = row_edges[cell_rows[0]], row_edges[cell_rows[1]]
        firsts = np.empty((bottom - top) * min(n_cols, 4 * n_cell_cols) + n_cols, np.int32)
        stops, cells = np.empty_like(firsts), np.empty_like(firsts)
        row_starts = np.empty(bottom - top + 1, np.int64)
        n_runs = 0
        for cell_row in range(cell_rows[0], cell_rows[1]):
            for row in range(row_edges[cell_row], row_edges[cell_row + 1]):
                row_starts[row - top] = n_runs
                if n_runs + n_cols > len(firsts):
                    firsts, stops = _longer(firsts, n_runs, n_cols), _longer(stops, n_runs, n_cols)
                    cells = _longer(cells, n_runs, n_cols)
                assign(quantised, row, cell_row, n_cell_cols, centres, alive, starts, across, weight, distances, owners)
                if not full[row]:
                    _mask(owners, valid[row], unreached)
                col = 0
                while col < n_cols:
                    owner, begin = owners[col], col
                    while col < n_cols and owners[col] == owner:
                        col += 1
                    cell = (cell_row - 1) * n_cell_cols + np.int64(owner)
                    if owner == unreached:
                        # Pixels that no centre searched belong to the cell they lie in.
                        home = np.searchsorted(col_edges, begin, side="right")
                        cell, col = cell_row * n_cell_cols + home - 1, min(col, col_edges[home])
                    if owner > unreached:
                        cell = np.int64(-1)
                    if n_runs == row_starts[row - top] or cells[n_runs - 1] != cell:
                        firsts[n_runs], cells[n_runs] = begin, cell
                        n_runs += 1
                    stops[n_runs - 1] = col
        row_starts[bottom - top] = n_runs
        return firsts[:n_runs].copy(), stops[:n_runs].copy(), cells[:n_runs].copy(), row_starts

    return finish


@cache
def _make_assign(n_bands: int) -> Callable[..., None]:
    @njit(cache=True, nogil=True)
    def assign(
        quantised: Bytes, row: int, cell_row: int, n_cell_cols: int, centres: Ints, alive: Mask, starts: Ints,
        across: Words, weight: int, distances: Words, owners: Owners,
    ) -> None:  # fmt: skip
        """Give each pixel of a row to the nearest centre that searches it; a tie goes to the earlier seed."""
        width = across.shape[1]
        reach = width // 2 * SUBPIXEL
        n_cell_rows = len(centres) // n_cell_cols
        distances[:] = FARTHEST
        owners[:] = _unreached(n_cell_cols)
        for candidate_row in range(max(cell_row - 1, 0), min(cell_row + 2, n_cell_rows)):
            for cell_col in range(n_cell_cols):
                cell = candidate_row * n_cell_cols + cell_col
                offset = row * SUBPIXEL - centres[cell, 0]
                if not alive[cell] or abs(offset) > reach:
                    continue
                down = np.uint16((offset * offset * weight) >> PLACE_BITS)
                number = owners.dtype.type((candidate_row - cell_row + 1) * n_cell_cols + cell_col)
                start = starts[cell]
                colour, along = centres[cell], across[cell]
                pixels = quantised[:, row, start : start + width]
                nearest, owner = distances[start : start + width], owners[start : start + width]
                for index in range(width):
                    total = np.uint16(along[index] + down)
                    for band in range(n_bands):  # unrolled: the number is known when this is compiled
                        difference = np.int16(np.int16(pixels[band, index]) - np.int16(colour[2 + band]))
                        total = np.uint16(total + np.uint16(np.int16(difference * difference)))
                    closer = total < nearest[index]
                    nearest[index] = total if closer else nearest[index]
                    owner[index] = number if closer else owner[index]

    return assign


@njit(cache=True, nogil=True)
def _unreached(n_cell_cols: int) -> int:
    """Return the owner's number that says no centre searches a pixel; one more says nodata."""
    return 3 * n_cell_cols


@njit(cache=True, nogil=True)
def _mask(owners: Owners, valid: Mask, unreached: int) -> None:
    for col in range(len(valid)):
        if not valid[col]:
            owners[col] = unreached + 1


@njit(cache=True, nogil=True)
def _total(values: Bytes) -> np.int64:
    total = np.int32(0)
    for index in range(len(values)):
        total += values[index]
    return np.int64(total)


@njit(cache=True, nogil=True)
def _longer(values: Ints, n_used: int, n_more: int) -> Ints:
    longer = np.empty(2 * len(values) + n_more, np.int32)
    longer[:n_used] = values[:n_used]
    return longer
