"""Votes and painting against the usual ways of doing the same: one core, from arrays to arrays.

    uv run python benchmarks/votes.py RASTER [--points 10000000] [--superpixels 1000000] [--repeats 9]

First the vote: points with a superpixel and a class each, to the class, share and number of votes of each superpixel.
Then painting: from a label map (SLIC of the raster, region size 20, the raster tiled up) to the pseudo-mask: superpoint
with its evidence, as the pipeline does it, the others alone. The calls are interleaved, and medians of the time that
each kept its core busy compared: on a shared machine that tells more than the clock. The classes that all elect are
checked to be the same, and NumPy's masks.
"""

# ruff: noqa: E402  # the threads of libraries are limited before they load

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pandas as pd
import pyarrow as pa
import rasterio
from skimage.measure import regionprops
from skimage.util import map_array

from superpoint.classes import IGNORE
from superpoint.labels.paint import paint, paint_shares
from superpoint.labels.vote import VoteRule, elect, tally_votes
from superpoint.superpixels.arrays import superpixelize_array
from superpoint.superpixels.slic import Slic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from superpoint.labels.evidence import PseudoLabels
    from superpoint.labels.vote import Tally

N_CLASSES = 6
SLOW = 3
"""Repeats of what is slow enough to tell."""
PAINT = "superpoint, mask, share, votes and flags"


def main() -> None:
    """Run every part and print Markdown tables."""
    parser = argparse.ArgumentParser(description="Votes and painting against their peers.")
    parser.add_argument("raster", type=Path)
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--superpixels", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    voting(rng, arguments.points, arguments.superpixels, arguments.repeats)
    for size in (1024, 4096):
        labels = superpixels_of(arguments.raster, size)
        maps = {"as it is": labels, "cut from a wide raster": cut_from_wide(labels), "anywhere": scattered(labels)}
        report({ids: painting(rng, labels, arguments.repeats) for ids, labels in maps.items()}, size, count_of(labels))
    small(rng, superpixels_of(arguments.raster, 512), arguments.repeats)
    regions(rng, arguments.repeats)


def voting(rng: np.random.Generator, n_points: int, n_superpixels: int, repeats: int) -> None:
    """Compare votes; only the first two give share, number of votes and flags as well."""
    superpixels = rng.integers(1, n_superpixels + 1, n_points).astype(np.uint32)
    values = rng.integers(0, N_CLASSES, n_points).astype(np.uint8)
    annotators = rng.integers(0, 5, n_points).astype(np.int32)
    calls: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "superpoint": lambda: elect(tally_votes(superpixels, values), VoteRule()).classes,
        "superpoint, 5 annotators balanced": lambda: (
            elect(tally_votes(superpixels, values, annotators), VoteRule()).classes
        ),
        "NumPy: bincount into a dense table, argmax": lambda: dense_vote(superpixels, values),
        "NumPy: unique of pairs, lexsort": lambda: unique_vote(superpixels, values),
        "pyarrow: group_by, count; sort by count": lambda: arrow_vote(superpixels, values),
        "slow: pandas: groupby, size; sort, drop_duplicates": lambda: pandas_vote(superpixels, values),
        "slow: pandas: groupby, size; groupby, idxmax": lambda: idxmax_vote(superpixels, values),
    }
    expected = calls["superpoint"]()
    for name, call in calls.items():
        if "annotators" not in name and not np.array_equal(call(), expected):
            raise RuntimeError(f"{name} elects others")
    seconds = medians(calls, repeats)
    print(f"{n_points:,} points on {n_superpixels:,} superpixels, {N_CLASSES} classes\n")
    print("| | seconds | times as long as superpoint |\n|---|---:|---:|")
    for name, taken in seconds.items():
        print(f"| {name.removeprefix('slow: ')} | {taken:.2f} | {taken / seconds['superpoint']:.1f} |")
    print()


def dense_vote(superpixels: NDArray[np.uint32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count in a table of all ids up to the highest and all classes: only where ids are few and dense."""
    counts = np.bincount(superpixels.astype(np.int64) * N_CLASSES + values).astype(np.uint32)
    table = np.resize(np.pad(counts, (0, -len(counts) % N_CLASSES)), (-(-len(counts) // N_CLASSES), N_CLASSES))
    return table[table.any(1)].argmax(1).astype(np.uint8)


def unique_vote(superpixels: NDArray[np.uint32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count pairs, and sort them by superpixel, most votes and lowest class."""
    pairs, counts = np.unique(superpixels.astype(np.uint64) << np.uint64(8) | values, return_counts=True)
    ids, classes = pairs >> np.uint64(8), pairs.astype(np.uint8)
    order = np.lexsort((classes, -counts, ids))
    return classes[order][np.unique(ids[order], return_index=True)[1]]


def arrow_vote(superpixels: NDArray[np.uint32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count pairs in a hash table."""
    table = pa.table({"superpixel": superpixels, "value": values})
    counted = table.group_by(["superpixel", "value"], use_threads=False).aggregate([([], "count_all")])
    ids, classes, counts = (counted[column].to_numpy() for column in ("superpixel", "value", "count_all"))
    order = np.lexsort((classes, -counts, ids))
    return classes[order][np.unique(ids[order], return_index=True)[1]]


def pandas_vote(superpixels: NDArray[np.uint32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count pairs; the first of each superpixel, most votes first, wins."""
    frame = pd.DataFrame({"superpixel": superpixels, "value": values})
    sizes = frame.groupby(["superpixel", "value"]).size().rename("votes").reset_index()
    leading = sizes.sort_values(["superpixel", "votes", "value"], ascending=[True, False, True])
    return leading.drop_duplicates("superpixel")["value"].to_numpy()


def idxmax_vote(superpixels: NDArray[np.uint32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count pairs; the index of the highest count holds the class."""
    frame = pd.DataFrame({"superpixel": superpixels, "value": values})
    leading = frame.groupby(["superpixel", "value"]).size().groupby(level="superpixel").idxmax()
    return np.array([value for _, value in leading], np.uint8)


def superpixels_of(path: Path, size: int) -> NDArray[np.uint32]:
    """Return the label map of a square of the raster, repeated where it is too small."""
    with rasterio.open(path) as dataset:
        image = dataset.read()[:, :size, :size]
    times = [-(-size // n) for n in image.shape[1:]]
    return superpixelize_array(np.tile(image, (1, *times))[:, :size, :size], Slic(region_size=20))


def cut_from_wide(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return ids as of a raster of 20,000 superpixels a row: those of a tile's rows lie that far apart."""
    n_cols = np.uint32(round(labels.shape[1] / 20))
    return np.where(labels > 0, labels // n_cols * np.uint32(20_000) + labels % n_cols + np.uint32(1), np.uint32(0))


def scattered(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return other ids, spread over all that 32 bits hold."""
    return (labels.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)).astype(np.uint32)


def votes_on(rng: np.random.Generator, labels: NDArray[np.uint32]) -> Tally:
    """Label half of the superpixels, and a million elsewhere in the raster."""
    ids = np.unique(labels[labels > 0])
    here = rng.choice(rng.choice(ids, len(ids) // 2, replace=False), len(ids) * 5)
    highest = min(max(2 * int(ids[-1]), 2_000_000), 2**32)
    elsewhere = rng.integers(1, highest, 1_000_000).astype(np.uint32)
    superpixels = np.concatenate([here, np.setdiff1d(elsewhere, ids)])
    return tally_votes(superpixels, rng.integers(0, N_CLASSES, len(superpixels)).astype(np.uint8))


def painting(rng: np.random.Generator, labels: NDArray[np.uint32], repeats: int) -> dict[str, float]:
    """Return the seconds of painting; what NumPy looks up in is made before the clock starts, where ids allow it."""
    tally = votes_on(rng, labels)
    pseudo = elect(tally, VoteRule())
    calls: dict[str, Callable[[], object]] = {
        PAINT: lambda: paint(labels, pseudo),
        f"superpoint, shares of {N_CLASSES} classes": lambda: paint_shares(labels, tally, N_CLASSES),
    }
    if labels.max() < labels.size:
        table = np.full(int(labels.max()) + 1, IGNORE, np.uint8)
        inside = pseudo.superpixels < len(table)
        table[pseudo.superpixels[inside]] = pseudo.classes[inside]
        calls["NumPy: table[labels], the mask"] = lambda: table[labels]
        calls["NumPy: take(table, labels), the mask"] = lambda: np.take(table, labels)
    known = np.isin(pseudo.superpixels, labels)
    classes = pd.Series(pseudo.classes[known], index=pseudo.superpixels[known])
    calls |= {
        "slow: NumPy: unique, take by its inverse": lambda: inverse_paint(labels, pseudo),
        "slow: scikit-image: map_array": lambda: map_array(labels, pseudo.superpixels[known], pseudo.classes[known]),
        "slow: pandas: Series.map": lambda: pd.Series(labels.ravel()).map(classes).fillna(IGNORE).astype(np.uint8),
    }
    expected = paint(labels, pseudo)[0]
    for name in calls.keys() & {"NumPy: take(table, labels), the mask", "slow: NumPy: unique, take by its inverse"}:
        if not np.array_equal(calls[name](), expected):
            raise RuntimeError(f"{name} paints something else")
    return medians(calls, repeats)


def inverse_paint(labels: NDArray[np.uint32], pseudo: PseudoLabels) -> NDArray[np.uint8]:
    """Paint by the inverse of the distinct ids."""
    found, inverse = np.unique(labels, return_inverse=True)
    return pseudo.class_of(found)[inverse]


def regions(rng: np.random.Generator, repeats: int) -> None:
    """Paint small superpixels and single pixels: where a memory of superpixels helps little, and not at all."""
    columns = {}
    for side in (10, 5, 1):
        cells = np.indices((1024, 1024)) // side
        labels = (cells[0] * (1024 // side + 1) + cells[1] + 1).astype(np.uint32)
        pseudo = elect(votes_on(rng, labels), VoteRule())
        calls = {PAINT: lambda labels=labels, pseudo=pseudo: paint(labels, pseudo)}
        columns[f"{side} x {side} pixels each"] = medians(calls, repeats)
    report(columns, 1024, "square superpixels")


def small(rng: np.random.Generator, labels: NDArray[np.uint32], repeats: int) -> None:
    """Paint a smaller tile as with a loop over regions."""
    pseudo = elect(votes_on(rng, labels), VoteRule())
    calls: dict[str, Callable[[], object]] = {
        PAINT: lambda: paint(labels, pseudo),
        "slow: scikit-image: loop over regionprops": lambda: loop_paint(labels, pseudo),
    }
    report({"as it is": medians(calls, repeats)}, len(labels), count_of(labels))


def loop_paint(labels: NDArray[np.uint32], pseudo: PseudoLabels) -> NDArray[np.uint8]:
    """Paint superpixel by superpixel."""
    known = dict(zip(pseudo.superpixels.tolist(), pseudo.classes.tolist(), strict=True))
    mask = np.full(labels.shape, IGNORE, np.uint8)
    for region in regionprops(labels.astype(np.int64)):
        mask[region.slice][region.image] = known.get(region.label, IGNORE)
    return mask


def count_of(labels: NDArray[np.uint32]) -> str:
    """Return the number of superpixels in words."""
    return f"{np.count_nonzero(np.unique(labels)):,} superpixels"


def report(columns: dict[str, dict[str, float]], side: int, title: str) -> None:
    """Print how many pixels each way paints in a second."""
    print(f"{side} x {side} pixels, {title}; Mpx/s\n")
    print(f"| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name in next(iter(columns.values())):
        seconds = [column.get(name) for column in columns.values()]
        speeds = [f"{side**2 / 1e6 / taken:,.1f}" if taken else "" for taken in seconds]
        print(f"| {name.removeprefix('slow: ')} | {' | '.join(speeds)} |")
    print()


def medians(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds that interleaved runs kept a core busy, after one that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            if name.startswith("slow") and round_ > SLOW:
                continue
            started = time.process_time()
            call()
            if round_:
                taken[name].append(time.process_time() - started)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
