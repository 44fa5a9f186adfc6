"""What Lightning does to the process it runs in, kept within bounds."""

from __future__ import annotations

import logging
import signal
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMINATED = 128 + signal.SIGTERM  # how a shell reports a program that SIGTERM ended


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Lightning's words off the console, and undo what it sets in PyTorch for the whole process."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric"))}
    deterministic = torch.get_deterministic_debug_mode()
    determinism: Any = torch.utils.deterministic  # its types do not know its one switch
    fills = determinism.fill_uninitialized_memory
    for logger in levels:
        logger.setLevel(logging.ERROR)
    # With deterministic algorithms PyTorch also writes NaN into all memory that nobody should read: a safeguard, at the
    # price of a share of each step.
    determinism.fill_uninitialized_memory = False
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # What the user chose: the number of workers, no validation, the CPU.
            for choice in ("does not have many workers", "have no `val_dataloader`", "available but not used"):
                warnings.filterwarnings("ignore", f".*{choice}", PossibleUserWarning)
            # On a login node of a cluster, where a demo may well be run.
            warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
            # Lightning 2.6 with newer versions of PyTorch: its own use of a deprecated class.
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            # Of a 1 x 1 convolution both orders of its weights are the same.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
            yield
    finally:
        determinism.fill_uninitialized_memory = fills
        torch.set_deterministic_debug_mode(deterministic)
        for logger, level in levels.items():
            logger.setLevel(level)


@contextmanager
def stops_passed_on() -> Iterator[None]:
    """Let the caller see Ctrl+C and SIGTERM as any other program would.

    Lightning answers Ctrl+C by leaving the process and stays deaf to the next one, and leaves with exit code
    0, as if all was done, on SIGTERM.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, interrupt)
            raise KeyboardInterrupt from stop
        raise SystemExit(stop.code or TERMINATED) from stop
