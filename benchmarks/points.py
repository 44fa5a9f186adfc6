"""Ten million query points: seconds and peak memory of reading, placing and settling them, beside geopandas and pandas.

    python benchmarks/points.py [--points 10000000] [--geopackage 1000000] [--folder FOLDER]

Writes the points as CSV, GeoParquet and GeoPackage, then reads each in processes of its own: ours to a table of
columns that is placed on a raster; theirs to a (Geo)DataFrame whose coordinates are floored to pixels. Peak memory
(Linux) is beyond what a process takes with all libraries loaded. Last, the points are settled: voted on a million
superpixels, with duplicates told apart, the account entered and written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyproj

from superpoint.cache.georeference import Georeference
from superpoint.cache.points.accounts import write_account
from superpoint.cache.points.reading import PlacedPoints, PointColumns, read_point_files
from superpoint.labels.vote import VoteRule
from superpoint.points.account import Account, settle
from superpoint.points.matching import match_classes
from superpoint.points.query import pixels_of

if TYPE_CHECKING:
    from superpoint.points.query import QueryPoints

CRS = "EPSG:32633"
SIDE, BLOCK = 20_000, 20
GRID = Georeference(
    shape=(SIDE, SIDE), transform=(10, 0, 300_000, 0, -10, 5_200_000), crs=pyproj.CRS(CRS).to_wkt("WKT2_2019")
)
CLASSES = np.array(["building", "land", "road", "vegetation", "water"])
MEBI = 2**20


def write(folder: Path, n_points: int, n_geopackage: int) -> dict[str, Path]:
    """Write random points on the raster in three formats, unless they are there."""
    paths = {name: folder / f"points.{name}" for name in ("csv", "parquet", "gpkg")}
    if all(path.exists() for path in paths.values()):
        return paths
    rng = np.random.default_rng(0)
    cols, rows = rng.uniform(0, SIDE, n_points), rng.uniform(0, SIDE, n_points)
    xs, ys = GRID.affine @ (cols, rows)
    names = CLASSES[rng.integers(0, len(CLASSES), n_points)]
    table = pa.table({"x": xs.round(3), "y": ys.round(3), "class": names})
    pacsv.write_csv(table, paths["csv"])
    frame = gpd.GeoDataFrame({"class": names}, geometry=gpd.points_from_xy(xs, ys), crs=CRS)
    frame.to_parquet(paths["parquet"])
    frame.iloc[:n_geopackage].to_file(paths["gpkg"], use_arrow=True)
    return paths


def ours(path: Path) -> tuple[int, QueryPoints]:
    """Read and place."""
    table = read_point_files([path], PointColumns(crs=CRS))
    points = PlacedPoints(table=table, match=match_classes(table, table.class_table())).on(GRID, names=["raster"])
    return table.nbytes // len(table), points


def theirs(path: Path) -> int:
    """Read to a (Geo)DataFrame and floor its coordinates."""
    if path.suffix == ".csv":
        plain = pd.read_csv(path)
        xs, ys = plain["x"].to_numpy(), plain["y"].to_numpy()
        classes = pd.Categorical(plain["class"])
    else:
        frame = gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)
        xs, ys = frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy()
        classes = pd.Categorical(frame["class"])
    rows, cols = pixels_of(xs, ys, GRID.affine)
    return len(rows) + len(cols) + len(classes)


def settling(path: Path) -> dict[str, float]:
    """Settle points on a million superpixels, enter and write the account: seconds of CPU of each."""
    table = read_point_files([path], PointColumns(crs=CRS))
    match = match_classes(table, table.class_table())
    points = PlacedPoints(table=table, match=match).on(GRID, names=["raster"])
    superpixels = (points.rows // BLOCK * (SIDE // BLOCK) + points.cols // BLOCK + 1).astype(np.uint32)
    started = time.process_time()
    _, labels, states = settle(points, superpixels, GRID.shape, VoteRule())
    settled = time.process_time()
    account = Account.open(table, ["raster"])
    account.enter(points, states, raster=0, superpixels=superpixels, labels=labels)
    entered = time.process_time()
    write_account(path.with_name("account.parquet"), table, match, account)
    return {"settle": settled - started, "enter": entered - settled, "write": time.process_time() - entered}


def measure(what: str, path: Path) -> dict[str, float]:
    """Run one of them in a process of its own."""
    command = [sys.executable, __file__, "--only", what, "--file", str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def peak_mib() -> float:
    """Peak of this process's memory so far; getrusage would count what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_one(what: str, path: Path) -> dict[str, float]:
    """Do one thing, and say how long it took and what memory."""
    loaded = peak_mib()
    started, worked = time.perf_counter(), time.process_time()
    facts: dict[str, float] = {}
    if what == "ours":
        facts["bytes"] = ours(path)[0]
    elif what == "theirs":
        theirs(path)
    else:
        facts |= settling(path)
    return facts | {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
        "mib": peak_mib() - loaded,
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--geopackage", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=["ours", "theirs", "settle"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(run_one(arguments.only, arguments.file)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = write(arguments.folder or Path(scratch), arguments.points, arguments.geopackage)
        print(f"{'format':10}{'':8}{'seconds':>9}{'of CPU':>9}{'MiB':>9}")
        for name, path in paths.items():
            mine, other = measure("ours", path), measure("theirs", path)
            for who, facts in (("ours", mine), ("theirs", other)):
                print(f"{name:10}{who:8}{facts['seconds']:9.2f}{facts['cpu']:9.2f}{facts['mib']:9.0f}")
            ratios = "".join(f"{other[what] / mine[what]:8.1f}x" for what in ("seconds", "cpu", "mib"))
            print(f"{name:10}{'ratio':8}{ratios}", flush=True)
        print(f"a table takes {mine['bytes']:.0f} bytes a point")
        facts = measure("settle", paths["parquet"])
        print(
            f"settled in {facts['settle']:.2f} s, entered in {facts['enter']:.2f} s, "
            f"written in {facts['write']:.2f} s of CPU; peak {facts['mib']:.0f} MiB from reading to writing"
        )


if __name__ == "__main__":
    main()
