"""Superpixels of rasters on a SLURM cluster: every worker is a SLURM job, this script is the client.

    pip install dask-jobqueue
    python examples/slurm.py RASTER... --cache FOLDER_ALL_NODES_SEE --jobs 8 --partition cpu

Run it where sbatch works and jobs can connect to: a login node, or a small job of its own. Without rasters it
holds the workers until Ctrl-C and prints their scheduler's address, for the command line:

    superpoint superpixelize RASTER... --cache FOLDER_ALL_NODES_SEE --scheduler ADDRESS

A killed script loses nothing that is written: run it again. `docs/clusters.md` has the reasons.
"""

from __future__ import annotations

import argparse
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import superpoint as sp


def main() -> None:
    """Start the workers, superpixelize, and give the workers back."""
    parser = argparse.ArgumentParser(description="Superpixels of rasters on a SLURM cluster.")
    parser.add_argument("rasters", nargs="*", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="where all nodes see it")
    parser.add_argument("--algorithm", default="slic")
    parser.add_argument("--tile", type=int, default=2048)
    parser.add_argument("--jobs", type=int, default=4, help="SLURM jobs, kept at this number")
    parser.add_argument("--cores", type=int, default=4, help="cores of a job; each one is a worker process")
    parser.add_argument("--memory", default="8GiB", help="memory of a job")
    parser.add_argument("--minutes", type=int, default=60, help="walltime of a job")
    parser.add_argument("--partition", help="SLURM partition")
    parser.add_argument("--account", help="SLURM account")
    parser.add_argument("--interface", help="network interface of the nodes, as ib0")
    arguments = parser.parse_args()
    if shutil.which("sbatch") is None:
        parser.error("there is no sbatch on this machine; run this on a login node of a SLURM cluster")

    from dask_jobqueue import SLURMCluster
    from distributed import Client

    with (
        SLURMCluster(
            cores=arguments.cores,
            processes=arguments.cores,  # of one thread each
            memory=arguments.memory,
            walltime=f"{arguments.minutes}:00",
            queue=arguments.partition,
            account=arguments.account,
            interface=arguments.interface,
            log_directory="slurm-logs",
            # A worker finishes its tile and leaves before SLURM ends its job; not all of them at the same time.
            worker_extra_args=["--lifetime", f"{0.9 * arguments.minutes}m", "--lifetime-stagger", f"{0.05 * arguments.minutes}m"],
        ) as cluster,
        Client(cluster) as client,
    ):
        # Not scale(), which never replaces a job that has ended.
        cluster.adapt(minimum_jobs=arguments.jobs, maximum_jobs=arguments.jobs)
        print(f"scheduler {cluster.scheduler_address}, dashboard {cluster.dashboard_link}", flush=True)
        if not arguments.rasters:
            with suppress(KeyboardInterrupt):
                signal.pause()
            return
        client.wait_for_workers(1)
        settings = sp.SuperpixelizeSettings(
            rasters=arguments.rasters, cache=arguments.cache, algorithm=arguments.algorithm, tile=arguments.tile
        )
        for made in sp.superpixelize(settings, client=client):
            print(f"{made.path}: {made.n_superpixels} superpixels, {made.n_computed} of {made.n_tiles} tiles computed")


if __name__ == "__main__":
    main()
