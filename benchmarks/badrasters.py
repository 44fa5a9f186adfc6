"""Bad rasters among good ones, in one run: all good ones finish, and each bad one is a line with its reason.

    python benchmarks/badrasters.py [--rasters 300] [--good 20] [--seed 0] [--folder PATH] [--scheduler local:2]

The bad ones are GeoTIFFs of several makes in whose headers Hypothesis has set absurd values, types and counts, strewn
random bytes or cut off the end; files that are no rasters at all; and what `--folder` holds. Those that can be read
all the same count as readable. Prints how often each reason was given, what was said beside the reasons, the time
and the peak of memory of the client, and exits with 1 if a good raster was not done or has other labels than alone, if
the run crashed or hung, if a bad one was not exactly one line, or if the memory went beyond 1.5 GB (Linux).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from superpoint.cache.runs import find_run
from superpoint.pipelines.settings import SuperpixelizeSettings
from superpoint.pipelines.superpixelize import superpixelize
from superpoint.scenes import make_scene

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from commands import Ended, watched
from mutants import write_mutants, write_oddities
from smallworld import write_raster
from wreckage import differences, objects_of

MOST_BYTES = 1.5e9
SECONDS_PER_RASTER = 10.0
QUARANTINED = 3
SAID = "warning: quarantined: "
OPTIONS = {"tile": 512, "region_size": 12}


def main() -> None:
    """Make the archive, run it, judge."""
    parser = argparse.ArgumentParser(description="Superpixelize an archive of good and bad rasters in one run.")
    parser.add_argument("--rasters", type=int, default=300, help="GeoTIFFs with wrong headers")
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="further bad rasters")
    parser.add_argument("--scheduler", default="inprocess")
    parser.add_argument("--keep", type=Path, help="where the archive is made and kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).absolute()
        good, bad = make_archive(folder / "archive", arguments)
        (folder / "archive.txt").write_text("".join(f"{path}\n" for path in shuffled([*good, *bad], arguments.seed)))
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
        words = (folder / "archive.txt", "--cache", folder / "cache", "--scheduler", arguments.scheduler, *flags)
        began = time.monotonic()
        ended = watched(folder, "superpixelize", *words, seconds=SECONDS_PER_RASTER * len([*good, *bad]))
        seconds = time.monotonic() - began
        wrong = judge(ended, good, bad, folder)
        report(ended, good, bad, folder / "cache", seconds)
    print("\n".join(wrong) or "\nall of it holds")
    sys.exit(bool(wrong))


def make_archive(folder: Path, arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Write good and bad rasters and return their paths."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(arguments.seed)
    good = []
    for number in range(arguments.good):
        shape = (int(rng.integers(130, 900)), int(rng.integers(130, 900)))
        good.append(write_raster(folder / f"good-{number:04}.tif", make_scene(size=shape, seed=number).image))
    given = sorted(arguments.folder.iterdir()) if arguments.folder else []
    return good, [*write_mutants(folder, arguments.rasters, seed=arguments.seed), *write_oddities(folder, rng), *given]


def shuffled(paths: list[Path], seed: int) -> list[Path]:
    """Return paths in an order of the seed's."""
    return [paths[place] for place in np.random.default_rng(seed).permutation(len(paths))]


def judge(ended: Ended, good: list[Path], bad: list[Path], folder: Path) -> list[str]:
    """Return what does not hold."""
    if ended.code != QUARANTINED:
        return [f"the run ended with {ended.code}: {ended.lines[-1:]}"]
    wrong = []
    rows = {row.raster: row for row in find_run(folder / "cache", "latest").rows()}
    if sorted(rows) != sorted(map(str, [*good, *bad])):
        wrong.append(f"{len(rows)} rows for {len([*good, *bad])} rasters")
    for path in map(str, [*good, *bad]):
        said = [line for line in ended.lines if line.startswith(SAID) and path in line]
        is_quarantined = path in rows and rows[path].state == "quarantined"
        if said != ([SAID + rows[path].sentence] if is_quarantined else []):
            wrong.append(f"{path} is {'' if is_quarantined else 'not '}quarantined, and there are these lines: {said}")
    settings = {"rasters": good, "cache": folder / "alone", **OPTIONS}
    superpixelize(SuperpixelizeSettings(**settings))
    alone, together = (objects_of(str(folder / name)) for name in ("alone", "cache"))
    wanted = {key.partition("/")[2].partition("/")[0] for key in alone if ".zarr/" in key}
    ours = {key: kept for key, kept in together.items() if key.partition("/")[2].partition("/")[0] in wanted}
    wrong += differences(ours, alone)
    if not 0 < ended.peak_bytes < MOST_BYTES:
        wrong.append(f"the client took {ended.peak_bytes / 1e9:.2f} GB")
    return wrong


def report(ended: Ended, good: list[Path], bad: list[Path], cache: Path, seconds: float) -> None:
    """Print what became of the rasters."""
    rows = list(find_run(cache, "latest").rows())
    put_aside = [row for row in rows if row.state == "quarantined"]
    reasons = Counter(gist(str(row.reason)) for row in put_aside)
    print("| times | reason |\n|---:|---|")
    for reason, count in reasons.most_common():
        print(f"| {count} | {reason} |")
    names = {str(path) for path in [*good, *bad]}
    others = [line.removeprefix("warning: ") for line in ended.lines[1:-1] if not line.startswith(SAID)]
    others = [line for line in others if line.partition(" ")[0] not in names]
    print(f"\n{len(good)} good and {len(bad)} bad rasters in {seconds:.0f} s, peak {ended.peak_bytes / 1e6:.0f} MB;")
    print(f"{len(put_aside)} quarantined, {len(rows) - len(put_aside) - len(good)} of the bad ones readable;")
    print(f"{len(others)} lines beside: {dict(Counter(others))}")


def gist(reason: str) -> str:
    """Return a reason without names and numbers."""
    return re.sub(r"'?/\S+|\S+\.tiff?|\d[\d.,]*", "…", reason).replace("|", "/")[:150]


if __name__ == "__main__":
    main()
