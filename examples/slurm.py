"""Superpixels of rasters on a SLURM cluster: every worker is in a SLURM job, this script is the client.

    pip install dask-jobqueue
    python examples/slurm.py RASTER... --cache FOLDER_THAT_ALL_NODES_SEE --jobs 8 --partition cpu

Run it where sbatch works and the nodes can connect to: on a login node, or in a small job of its own. Without rasters
it holds the workers until Ctrl-C and says where their scheduler is, for the command line:

    superpoint superpixelize RASTER... --cache FOLDER_THAT_ALL_NODES_SEE --scheduler ADDRESS

If it is killed nothing is lost: run it again. `docs/clusters.md` says more.
"""

from __future__ import annotations

import argparse
import shutil
import signal
from contextlib import suppress

import superpoint as sp


def main() -> None:
    """Ask for the workers, superpixelize, and give the workers back."""
    parser = argparse.ArgumentParser(description="Superpixels of rasters on a SLURM cluster.")
    parser.add_argument("rasters", nargs="*")
    parser.add_argument("--cache", default="cache", help="a folder that all nodes see, or s3://, gs://, az://")
    parser.add_argument("--algorithm", default="slic")
    parser.add_argument("--tile", type=int, default=2048)
    parser.add_argument("--jobs", type=int, default=4, help="SLURM jobs, kept at this number")
    parser.add_argument("--cores", type=int, default=4, help="cores of a job, each for a thread")
    parser.add_argument("--memory", default="8GiB", help="memory of a job; superpoint superpixelize --dry-run helps")
    parser.add_argument("--minutes", type=int, default=60, help="walltime of a job")
    parser.add_argument("--partition", help="SLURM partition")
    parser.add_argument("--account", help="SLURM account")
    parser.add_argument("--interface", help="network interface of the nodes, as ib0")
    arguments = parser.parse_args()
    if shutil.which("sbatch") is None:
        parser.error("there is no sbatch on this machine; run this on a login node of a SLURM cluster")

    from dask_jobqueue.slurm import SLURMCluster

    with (
        SLURMCluster(
            cores=arguments.cores,
            processes=1,  # of a job of several, Dask would not notice that it ended
            memory=arguments.memory,
            walltime=f"{arguments.minutes}:00",
            queue=arguments.partition,
            account=arguments.account,
            interface=arguments.interface,
            log_directory="slurm-logs",
            scheduler_options={"dashboard_address": ":0"},  # any free port: a login node has many users
            worker_extra_args=leave_early(arguments.minutes),
        ) as cluster,
        cluster.get_client() as client,
    ):
        # Whatever ends a job, another one takes its place; after `cluster.scale(jobs=4)` none would.
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


def leave_early(minutes: int) -> list[str]:
    """Let workers leave at 85 to 95 % of the walltime, not all at once, before SLURM ends their jobs."""
    return ["--lifetime", f"{54 * minutes}s", "--lifetime-stagger", f"{3 * minutes}s"]


if __name__ == "__main__":
    main()
