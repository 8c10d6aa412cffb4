"""ProcessPool: jobs run in child processes. A child that dies costs the jobs that it ran, and is replaced at once.

Several pools are made of it (runner.Kind): *processes* has many children with one job each, in their main threads; *threads*, *asyncio*, *gevent* and
*eventlet* have one child with many jobs, in threads, one event loop or greenlets. Also there the tasks are not in the worker's process: it stays
free to renew what it holds whatever they do.

Which child has which job is in assignments.py, which children there are in brood.py, and which can be given a job in openings.py.

A job is ended by ending its process. Where others share that it is reported as lost there and then, and its process is ended without
harm to them where that can be (leaving.py).
"""

from __future__ import annotations

import math
import signal
from collections import defaultdict
from collections.abc import Sequence

from ..errors import BackbeatError, ImproperlyConfigured
from ..limit import LimitsKept
from .assignments import Assignments
from .base import Job, Report, Told
from .brood import LEAVE_SECONDS
from .line import Line
from .nursery import StartMethod
from .runner import ChildSpec, Kind, RunnerSpec

MOST = 10_000
"""Jobs side by side, unless said otherwise."""
_KILL_SECONDS = 5.0
"""How long the system may take to end a child that was sent SIGKILL."""
TERMINATE_SECONDS = 5.0
"""How long a task that is ended by a signal other than SIGKILL may take to clean up, and a shared process to say that it is not stuck."""


class ChildrenCannotStart(BackbeatError):
    """The children cannot be started; the text has the traceback of the app's import, or how they died."""


class ProcessPool:
    """The pool over `size` processes of `slots` jobs, each with a runner that it makes itself (runner.py). See base.Pool for the contract.

    kind              how a process runs its jobs; unless said, one in its main thread, or several in threads
    max_tasks         a process is replaced after so many jobs
    max_memory_kib    and once it is larger, after a job
    most              it never runs more jobs side by side, however it is resized
    spare             one more process is kept ready where a new one takes an import (spawn, or an app that is not safe to fork)

    Raises ChildrenCannotStart from `collect`, then and ever after: the app cannot be imported, or children die as soon as they start.
    """

    def __init__(
        self,
        size: int,
        runner: RunnerSpec,
        start_method: StartMethod = StartMethod.FORKSERVER,
        *,
        kind: Kind | None = None,
        slots: int = 1,
        max_tasks: int | None = None,
        max_memory_kib: int | None = None,
        spare: bool = False,
        most: int = MOST,
        terminate_seconds: float = TERMINATE_SECONDS,
    ) -> None:
        if size < 1 or slots < 1:
            raise ValueError(f"a pool of {size} processes for {slots} jobs each")
        kind = kind or (Kind.ALONE if slots == 1 else Kind.THREADS)
        if kind.is_green:
            start_method = StartMethod.SPAWN  # patched before anything else is imported
        if slots > 1 and not kind.is_shared:
            raise ValueError(f"a process for {slots} jobs that runs one at a time")
        self._is_shared = kind.is_shared
        """Of a process that jobs share one cannot be ended by a signal, and none waits there."""
        self._slots = slots
        self._size = size
        self._most = most
        self._terminate_seconds = terminate_seconds
        spec = ChildSpec(runner, kind, slots, max_memory_kib)
        self._jobs = Assignments(
            size, spec, start_method, spare=spare, max_tasks=max_tasks, terminate_seconds=terminate_seconds
        )
        self._brood = self._jobs.brood
        self._openings = self._jobs.openings

    # --- the contract --------------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> LimitsKept:
        return LimitsKept(soft=True, hard=True)

    @property
    def free(self) -> int:
        """How many slots of children that are ready are free."""
        return self.room(0)

    @property
    def queue_limit(self) -> int:
        return self._openings.queue_limit

    def room(self, depth: int) -> int:
        return self._openings.room(depth, len(self._jobs.alone))

    def submit(self, jobs: Sequence[Job]) -> None:
        if any(job.alone for job in jobs):
            places = self.free  # nothing waits behind it
        else:
            # what was young when the caller counted may be so no more
            places = self._openings.room(self.queue_limit, len(self._jobs.alone), behind_long=True)
        if len(jobs) > places:
            raise ValueError(f"{len(jobs)} jobs for {places} places")
        batches: defaultdict[Line, list[Job]] = defaultdict(list)
        alone = self._jobs.alone
        turn = self._openings.in_turn(len(alone), self.queue_limit)
        # where processes are shared a job that runs alone may retire the only one that is open; elsewhere it needs one that is free
        for job in sorted(jobs, key=lambda job: job.alone == self._is_shared):
            if job.key in self._jobs.busy:
                raise ValueError(f"job {job.key!r} runs already")
            if job.alone and self._is_shared:
                alone.append(job)
                self._jobs.give_alone()
            else:
                line = next(turn)
                self._jobs.enter(line, job)
                batches[line].append(job)
        for line, batch in batches.items():
            self._jobs.give(line, batch)

    def since(self, key: str) -> float | None:
        line = self._jobs.busy.get(key)
        return None if line is None else line.jobs[key]

    def pid_of(self, key: str) -> int | None:
        line = self._jobs.busy.get(key)
        return None if line is None else line.pid

    @property
    def pids(self) -> Sequence[int]:
        lines = self._brood.lines.values()
        return tuple(line.pid for line in lines if line.pid is not None and not line.retired)

    @property
    def oldest_before_others(self) -> float | None:
        return min((line.since for line in self._waited_for() if line.since is not None), default=None)

    def take_back(self, before: float) -> None:
        for line in self._waited_for():
            if line.since is not None and line.since < before:
                self._jobs.take_back(line)

    def _waited_for(self) -> list[Line]:
        return [line for line in self._brood.lines.values() if len(line.jobs) > self._slots]

    def collect(self) -> list[Report | Told]:
        if not self._jobs.stopping:
            self._brood.turn(0)
            self._jobs.replace_stuck()
            if self._brood.broken is not None:
                # what was reported meanwhile is returned by stop
                raise ChildrenCannotStart(self._brood.broken)
        jobs = self._jobs
        reports = [*jobs.told.values(), *jobs.reports]
        jobs.told, jobs.reports = {}, []
        return reports

    def kill(self, key: str, signum: int = signal.SIGKILL) -> None:
        signum = signal.Signals(signum)
        line = self._jobs.busy.get(key)
        if line is None:
            self._jobs.forget_alone(key)
            return
        if self._is_shared:
            self._jobs.abandon(line, key)
            return
        if not line.doomed:
            # the others, too: what comes next must not be killed in place of what has just ended
            is_first = line.jobs[key] is not None
            self._jobs.take_back(line, whole=is_first)
            if key not in line.jobs:
                if is_first:
                    self._brood.end(line)  # it had all the time and has not even begun
                return
            if signum != signal.SIGKILL:
                line.turnstile.order(signum)
        if signum == signal.SIGKILL:
            self._brood.end(line)
        else:
            # SIGINT is ignored by children, as it comes from terminals; see child_signal.py
            sent = signal.SIGTERM if signum == signal.SIGINT else signum
            self._brood.end(line, sent, self._terminate_seconds)

    def wakers(self) -> Sequence[int]:
        return () if self._jobs.stopping else (self._brood.fileno(),)

    def stop(self, grace_seconds: float) -> list[Report]:
        if not self._jobs.stopping:
            self._jobs.stopping = True
            self._brood.have_no_more()
            self.take_back(math.inf)
            self._end_children(grace_seconds)
            self._brood.close()
        reports, self._jobs.reports = self._jobs.reports, []
        return reports

    @property
    def size(self) -> int:
        return self._size * self._slots

    def resize(self, size: int) -> None:
        if not 1 <= size <= self._most:
            raise ImproperlyConfigured(
                f"a pool of {size:,} cannot be: it runs 1 to {self._most:,} tasks side by side, now {self.size:,}"
            )
        if self._is_shared:
            self._slots = size
        else:
            self._size = size
            self._brood.resize(size)
        self._jobs.resize(slots=self._slots, total=self.size)
        lines = [line for line in self._brood.lines.values() if not line.retired]
        # first those that are not ready yet, and those without a job
        lines.sort(key=lambda line: (line.pid is not None, len(line.jobs), -line.number))
        for line in lines[: max(0, self._brood.surplus)]:
            self._jobs.let_go(line)

    def restart(self) -> None:
        self._brood.restart()

    # --- ending --------------------------------------------------------------------------------------------------------------

    def _end_children(self, grace_seconds: float) -> None:
        lines = self._brood.lines
        for line in list(lines.values()):
            if not line.jobs:
                self._brood.dismiss(line)
        self._brood.turn_until(lambda: not self._jobs.busy, grace_seconds)
        for line in list(self._jobs.busy.values()):
            self._brood.end(line)
        self._brood.turn_until(lambda: not lines, LEAVE_SECONDS)
        for line in list(lines.values()):
            self._brood.end(line)
        self._brood.turn_until(lambda: not lines, _KILL_SECONDS)
        for line in list(lines.values()):
            self._brood.forget(line, "the child did not end when it was killed")
