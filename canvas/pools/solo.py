"""SoloPool: jobs run one at a time in the worker's own thread: for development, debuggers and tests. A job that dies takes the worker along."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence

from ..errors import ImproperlyConfigured
from ..limit import LimitsKept
from .alarm import AlarmLimit
from .base import Job, Report, Told
from .runner import Runner


class SoloPool:
    """Runs a job in `submit` and reports it from the next `collect` or `stop`.

    It keeps soft time limits if it is used in the main thread. While a task runs nobody is there to end it, so it never keeps hard ones,
    and a job whose message asks for one ends as failed.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._limit = AlarmLimit(hard=False)
        self._reports: list[Report] = []
        self._wake, self._waker = socket.socketpair()
        self._stopped = False

    @property
    def limits(self) -> LimitsKept:
        return self._limit.kept

    @property
    def free(self) -> int:
        return 0 if self._reports or self._stopped else 1

    @property
    def queue_limit(self) -> int:
        return 0

    def room(self, depth: int) -> int:  # noqa: ARG002 - none waits
        return self.free

    def since(self, key: str) -> float | None:  # noqa: ARG002 - nothing runs when anyone can ask
        return None

    def pid_of(self, key: str) -> int | None:  # noqa: ARG002 - as above
        return None

    @property
    def pids(self) -> Sequence[int]:
        return (os.getpid(),)

    @property
    def oldest_before_others(self) -> float | None:
        return None

    def take_back(self, before: float) -> None:
        """Nothing: no job waits."""

    @property
    def size(self) -> int:
        return 1

    def resize(self, size: int) -> None:
        if size != 1:
            raise ImproperlyConfigured(
                f"pool solo runs one task at a time, in the worker itself: it cannot run {size:,}"
            )

    def restart(self) -> None:
        raise ImproperlyConfigured("pool solo has no processes that could be replaced: restart the worker")

    def submit(self, jobs: Sequence[Job]) -> None:
        if len(jobs) > self.free:
            raise ValueError(f"{len(jobs)} jobs for {self.free} places")
        for job in jobs:
            self._reports.append(self._runner(job, self._limit))
            self._waker.send(b".")

    def collect(self) -> list[Report | Told]:
        reports: list[Report | Told] = [*self._ended()]
        return reports

    def _ended(self) -> list[Report]:
        reports, self._reports = self._reports, []
        if reports and not self._stopped:
            self._wake.recv(len(reports))
        return reports

    def wakers(self) -> Sequence[int]:
        return () if self._stopped else (self._wake.fileno(),)

    def kill(self, key: str, signum: int = signal.SIGKILL) -> None:
        """Nothing: what was submitted has ended by the time that anyone can ask."""

    def stop(self, grace_seconds: float) -> list[Report]:  # noqa: ARG002 - nothing runs that could be waited for
        self._stopped = True
        self._wake.close()
        self._waker.close()
        return self._ended()
