"""Working: a worker of one of the systems, from its start to its end, and what its processes take of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .jobs.counted import counted
from .systems import JOBS, Place, System

START_SECONDS, END_SECONDS = 60.0, 15.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Working:
    """A worker that runs."""

    process: subprocess.Popen[bytes]
    counts: Path
    seconds_to_ready: float

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def counted(self) -> tuple[int, int]:
        """How many tasks ran, and the sum of their numbers."""
        return counted(self.counts)

    @property
    def cpu_seconds(self) -> float:
        """What all its processes took, since they began; those that have ended count as their parents'."""
        return sum(cpu_seconds(pid) for pid in tree(self.pid))


@contextmanager
def working(system: System, place: Place, *, awaited: bool = True) -> Iterator[Working]:
    """Start a worker, and stop it orderly; it must end by itself. `awaited`: it has said that it is ready."""
    with tempfile.TemporaryDirectory() as home:
        counts, log = Path(home, "counts"), Path(home, "log")
        counts.mkdir()
        began = time.monotonic()
        with log.open("w") as out:
            process = subprocess.Popen(
                [system.python, "-W", "ignore", *system.worker],
                cwd=JOBS,
                env=system.environment(place, counts),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            if awaited:
                _await_ready(system, process, log, began + START_SECONDS)
            yield Working(process, counts, time.monotonic() - began)
        except BaseException:
            print(log.read_text(errors="replace")[-3000:], flush=True)
            raise
        finally:
            _end(system, process)


def _end(system: System, process: subprocess.Popen[bytes]) -> None:
    """Stop it orderly; a peer that does not end is killed, with its processes: taskiq's workers wait on for a stream."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in reversed(tree(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait(END_SECONDS)
        if not system.is_peer:
            raise SystemExit(f"the worker of {system.name} did not end") from None


def _await_ready(system: System, process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    while system.ready not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the worker of {system.name} is not ready:\n{log.read_text(errors='replace')}")
        time.sleep(0.01)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for known in found:
        for task in Path(f"/proc/{known}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # a thread that has just ended
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User's and system's time of a process and of those of its children that have ended; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def resident_mb(pid: int) -> float:
    """The resident size of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
