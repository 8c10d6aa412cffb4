"""Blow: something that was done to a worker or to one of its processes; the checker explains by it what ran twice or was lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BlowKind(Enum):
    """What was done."""

    CHILD = "child"
    """SIGKILL of a process that runs tasks, or of the one that starts these."""
    PARENT = "parent"
    """SIGKILL of the worker's own process; its children end by themselves, after what they run."""
    WORKER = "worker"
    """SIGKILL of the worker and all its children."""
    STOP = "stop"
    """SIGTERM, and what runs may end within the grace."""


KILLS = (BlowKind.CHILD, BlowKind.PARENT, BlowKind.WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """`worker` is the number of the worker, `pid` that of the process that was killed. `at_us`: wall clock; `fatal_us`: when what runs is killed."""

    kind: BlowKind
    worker: int
    pid: int
    at_us: int
    fatal_us: int
