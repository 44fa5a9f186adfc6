"""Several processes, one for each device, that train one network together.

The process that was started is rank 0: it reports and writes. It starts the others itself and sends them what they need
as bytes, so that it does not matter how it was started: Lightning would run the command line anew for each, and with it
whatever the command did before, or would need the whole program to be picklable. PyTorch's distributed data parallel
then averages the gradients after each batch.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from superpoint.errors import SuperpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

HOST = "127.0.0.1"
PATIENCE_S = 10.0  # how long the others may take to end
POLL_S = 0.02


class Rank(ClusterEnvironment):
    """One of the processes of a training on one machine, as Lightning asks for it.

    Parameters
    ----------
    rank : int
        From 0.
    n_ranks : int
        How many there are.
    port : int
        Where rank 0 can be reached.
    """

    def __init__(self, rank: int = 0, n_ranks: int = 1, port: int = 0) -> None:
        super().__init__()
        self.rank = rank
        self.n_ranks = n_ranks
        self.port = port

    @property
    def creates_processes_externally(self) -> bool:
        """Return True: Lightning starts none."""
        return True

    @property
    def main_address(self) -> str:
        """Return this machine's."""
        return HOST

    @property
    def main_port(self) -> int:
        """Return the port of rank 0."""
        return self.port

    @staticmethod
    def detect() -> bool:
        """Return False: it is never guessed."""
        return False

    def world_size(self) -> int:
        """Return how many processes there are."""
        return self.n_ranks

    def set_world_size(self, size: int) -> None:
        """Leave it; Lightning says the same."""

    def global_rank(self) -> int:
        """Return the rank."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """Leave it; Lightning says the same."""

    def local_rank(self) -> int:
        """Return the rank: there is one machine."""
        return self.rank

    def node_rank(self) -> int:
        """Return 0."""
        return 0


@contextmanager
def together(n_ranks: int, work: Callable[[Rank], object]) -> Iterator[Rank]:
    """Start the other processes, each of which does `work`, and end them when this one is done.

    Parameters
    ----------
    n_ranks : int
        Processes in all, this one included.
    work : callable
        What the others do; takes their rank. Pickled.

    Yields
    ------
    Rank
        Of this process.

    Raises
    ------
    SuperpointError
        If another process ended before its time, or could not be started; with its last words. None is left running.
    """
    port = _free_port() if n_ranks > 1 else 0
    with tempfile.TemporaryFile() as words:
        others: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(1, n_ranks):
                message = pickle.dumps(sys.path) + pickle.dumps((work, Rank(rank, n_ranks, port)))
                others.append(_started(words))
                _send(others[-1], message)
            yield Rank(0, n_ranks, port)
            _one_failed(others)  # they have done what they had to; what is still at it is ended
        except SuperpointError:
            raise  # of all alike
        except Exception as error:
            if not _one_failed(others):
                raise
            raise SuperpointError(f"another process of this training ended: {_last_of(words)}") from error
        finally:
            for process in others:
                process.kill()
                process.wait()
            if others and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()  # Lightning leaves it to the end of the program


def summed(values: NDArray[np.generic], device: torch.device) -> NDArray[Any]:
    """Return the sum of an array over all processes; all of them call this.

    Parameters
    ----------
    values : array
        Of the same shape in each process.
    device : torch.device
        Through which the processes talk.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    total = torch.from_numpy(values).to(device, copy=True)
    torch.distributed.all_reduce(total)
    return np.asarray(total.cpu().numpy())


def _started(words: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401  # a file
    """Start a process that reads what to do from its input."""
    command = [sys.executable, "-c", "from superpoint.training.ranks import main; main()"]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words, env=os.environ | threads
    )


def _send(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  # for the type checker
    with process.stdin as ear:  # closed even if the process ended before it heard all
        ear.write(message)


def _one_failed(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Wait until all have ended or one has failed, not for ever; return whether one has."""
    until = time.monotonic() + PATIENCE_S
    while (codes := [process.poll() for process in processes]) and not any(codes):
        if None not in codes or time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return any(codes)


def _last_of(words: Any) -> str:  # noqa: ANN401  # a file
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    return str(lines[-1]) if lines else "without a word"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Do what the process that started this one sent."""
    sys.path[:] = pickle.load(sys.stdin.buffer)  # noqa: S301  # this and the next: from our own process
    work, rank = pickle.load(sys.stdin.buffer)  # noqa: S301
    work(rank)
