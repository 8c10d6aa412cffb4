"""ProcessPool: jobs run in child processes. A child that dies costs the jobs that it ran, and is replaced at once.

Several pools are made of it (runner.Kind): *processes* has many children with one job each, in their main threads; *threads*, *asyncio*, *gevent* and
*eventlet* have one child with many jobs, in threads, one event loop or greenlets. Also there the tasks are not in the worker's process: it stays
free to renew what it holds whatever they do.

A child that runs one job at a time may be given more jobs, which wait behind the one that it runs (turnstile.py); until they start they can be taken back.

A child that has run its number of jobs, or that says that it has grown too large, is retired: it gets no more jobs, its successor is born at
once, and it ends when what it has is reported. More jobs than slots never run side by side, however many children there are meanwhile.

A job is ended by ending its process. A thread cannot be ended; so where a process is shared, the job is reported as lost there and then, its
process is retired, and killed as soon as the others have ended: they are not lost for it. Only if it holds the interpreter, so that none of
them can go on, they are. A coroutine or greenlet can be ended, if it does not resist: such a process is given no jobs until it has answered, and
retired only if it does not answer soon, or if the job has not left it after a few seconds. When a shared process dies nobody knows which of its jobs did it; so a job that was in one that died runs alone the next
time (`Job.alone`), in a child that is retired for it.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from ..errors import BackbeatError, ImproperlyConfigured
from ..json_text import Json
from ..limit import LimitsKept
from .base import Ended, Job, Lost, Report, Requeue, Told, Unstarted
from .brood import LEAVE_SECONDS, Brood
from .leaving import ANSWER_SECONDS, Leaving
from .line import Line
from .nursery import StartMethod
from .openings import Openings
from .pipe import report_of
from .runner import ChildSpec, Kind, RunnerSpec

logger = logging.getLogger(__name__)

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
        self._kind = kind or (Kind.ALONE if slots == 1 else Kind.THREADS)
        if self._kind.is_green:
            start_method = StartMethod.SPAWN  # patched before anything else is imported
        if slots > 1 and not self._kind.is_shared:
            raise ValueError(f"a process for {slots} jobs that runs one at a time")
        self._is_shared = self._kind.is_shared
        self._slots = slots
        self._size = size
        self._most = most
        self._max_tasks = max_tasks
        self._terminate_seconds = terminate_seconds
        self._busy: dict[str, Line] = {}
        self._alone: deque[Job] = deque()
        """Jobs that wait for a child without any."""
        self._reports: list[Report] = []
        self._told: dict[str, Told] = {}
        """By key, what jobs say of themselves."""
        self._stopping = False
        spec = ChildSpec(runner, self._kind, slots, max_memory_kib)
        self._brood = Brood(size, spec, start_method, self, spare=spare)
        self._leaving = Leaving(self._brood.nudge_in)
        self._openings = Openings(
            self._brood.lines,
            slots=slots,
            total=size * slots,
            max_tasks=max_tasks,
            is_shared=self._is_shared,
        )

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
        return self._openings.room(depth, len(self._alone))

    def submit(self, jobs: Sequence[Job]) -> None:
        if any(job.alone for job in jobs):
            places = self.free  # nothing waits behind it
        else:
            # what was young when the caller counted may be so no more
            places = self._openings.room(self.queue_limit, len(self._alone), behind_long=True)
        if len(jobs) > places:
            raise ValueError(f"{len(jobs)} jobs for {places} places")
        batches: defaultdict[Line, list[Job]] = defaultdict(list)
        turn = self._openings.in_turn(len(self._alone), self.queue_limit)
        # where processes are shared a job that runs alone may retire the only one that is open; elsewhere it needs one that is free
        for job in sorted(jobs, key=lambda job: job.alone == self._is_shared):
            if job.key in self._busy:
                raise ValueError(f"job {job.key!r} runs already")
            if job.alone and self._is_shared:
                self._alone.append(job)
                self._give_alone()
            else:
                line = next(turn)
                self._enter(line, job)
                batches[line].append(job)
        for line, batch in batches.items():
            self._give(line, batch)

    def since(self, key: str) -> float | None:
        line = self._busy.get(key)
        return None if line is None else line.jobs[key]

    def pid_of(self, key: str) -> int | None:
        line = self._busy.get(key)
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
                self._take_back(line)

    def _waited_for(self) -> list[Line]:
        return [line for line in self._brood.lines.values() if len(line.jobs) > self._slots]

    def _enter(self, line: Line, job: Job) -> None:
        line.jobs[job.key] = time.monotonic() if len(line.jobs) < self._slots else None
        line.given += 1
        self._busy[job.key] = line
        if job.alone or line.given == self._max_tasks:
            self._brood.retire(line)  # now, so that its successor gets ready while this job runs
        self.changed(line)

    def _give(self, line: Line, jobs: Sequence[Job]) -> None:
        frame = [[job.key, job.raw, job.queue] for job in jobs]
        if self._is_shared:
            self._brood.say(line, frame)
        else:
            self._brood.give(line, frame)

    def _give_alone(self) -> None:
        """Each to a child without jobs; where there is none, one is retired, so that it is followed by one that has none."""
        for line in self._openings:
            if not self._alone:
                return
            if line.jobs:
                self._brood.retire(line)
            else:
                job = self._alone.popleft()
                self._enter(line, job)
                self._give(line, [job])

    def collect(self) -> list[Report | Told]:
        if not self._stopping:
            self._brood.turn(0)
            for line in self._leaving.stuck(list(self._brood.lines.values())):
                self._replace_stuck(line)
            if self._brood.broken is not None:
                # what was reported meanwhile is returned by stop
                raise ChildrenCannotStart(self._brood.broken)
        reports = [*self._told.values(), *self._reports]
        self._told, self._reports = {}, []
        return reports

    def kill(self, key: str, signum: int = signal.SIGKILL) -> None:
        signum = signal.Signals(signum)
        line = self._busy.get(key)
        if line is None:
            self._forget_alone(key)
            return
        if self._is_shared:
            self._abandon(line, key)
            return
        if not line.doomed:
            # the others, too: what comes next must not be killed in place of what has just ended
            is_first = line.jobs[key] is not None
            self._take_back(line, whole=is_first)
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
        return () if self._stopping else (self._brood.fileno(),)

    def stop(self, grace_seconds: float) -> list[Report]:
        if not self._stopping:
            self._stopping = True
            self._brood.have_no_more()
            self.take_back(math.inf)
            self._end_children(grace_seconds)
            self._brood.close()
        reports, self._reports = self._reports, []
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
        self._openings.resize(slots=self._slots, total=self.size)
        lines = [line for line in self._brood.lines.values() if not line.retired]
        # first those that are not ready yet, and those without a job
        lines.sort(key=lambda line: (line.pid is not None, len(line.jobs), -line.number))
        for line in lines[: max(0, self._brood.surplus)]:
            self.let_go(line)

    def restart(self) -> None:
        self._brood.restart()

    # --- what the brood tells ------------------------------------------------------------------------------------------------

    def heard(self, line: Line, note: list[Any]) -> None:
        match note:
            case ["full", int(kib)]:
                extra = {"action": "pool_child_full", "kib": kib}
                logger.info("child %s has %s KiB, and is replaced", line.pid, f"{kib:,}", extra=extra)
                self._brood.retire(line)
                if not self._is_shared and not line.doomed:
                    self._take_back(line)
            case ["dropped", str(key)]:
                self._brood.answered(line)
                if key in line.leaving:
                    self._leaving.expect(line, key, self._terminate_seconds)
                self.changed(line)
            case ["left", str(key)]:
                line.haunted -= 1
                line.leaving.pop(key, None)
                if not line.haunted:
                    self._has_less(line)
            case ["told", str(key), str(state), str(value)]:
                if key in line.jobs:
                    self._told[key] = Told(key, state, Json(value))
            case _:
                self._report(line, report_of(note))

    def changed(self, line: Line) -> None:
        self._openings.look_at(line)
        self._give_alone()

    def let_go(self, line: Line) -> None:
        self._brood.retire(line)
        if not self._is_shared and not line.doomed:
            self._take_back(line)
        if not line.jobs and not line.doomed:
            self._brood.dismiss(line)

    def gone(self, line: Line, reason: str) -> None:
        if not self._is_shared:
            self._back(line.take_back())
        count = len(line.jobs) + line.haunted
        shared = count > 1 and not line.doomed
        if shared and line.unanswered:
            reason += "; a job of the same process was ended, and the process did not answer"
        elif shared:
            reason += f"; the process ran {count} jobs, and which of them ended it is not known"
        for key in line.jobs:
            del self._busy[key]
            self._reports.append(Lost(key, reason, shared=shared))
        line.jobs.clear()

    def _report(self, line: Line, report: Ended | Requeue) -> None:
        if report.key not in line.jobs:
            return  # it was reported as lost
        self._reports.append(report)
        del self._busy[report.key]
        line.ended(report.key)
        self._has_less(line)

    def _take_back(self, line: Line, *, whole: bool = False) -> None:
        keys = line.take_back(whole=whole)
        if keys:
            self._back(keys)
            self._has_less(line)

    def _back(self, keys: Sequence[str]) -> None:
        for key in reversed(keys):  # who puts each before what it holds has them in their order
            del self._busy[key]
            self._reports.append(Unstarted(key))
        if keys:
            self._brood.nudge()

    def _has_less(self, line: Line) -> None:
        """It has fewer jobs than before: what becomes of it."""
        if line.jobs or not (line.retired or self._stopping):
            self.changed(line)
        elif line.orphan:
            self._brood.forget(line)
        elif line.doomed:
            line.end()  # it may be too large, and wait for this alone
        else:
            self._brood.dismiss(line)

    def _forget_alone(self, key: str) -> None:
        """It is ended before a child had it."""
        for job in [job for job in self._alone if job.key == key]:
            self._alone.remove(job)
            self._reports.append(Lost(key, "it was ended before it began"))
            self._brood.nudge()

    # --- ending --------------------------------------------------------------------------------------------------------------

    def _abandon(self, line: Line, key: str) -> None:
        """End a job of a process that it shares, and report it now."""
        del self._busy[key]
        del line.jobs[key]
        line.haunted += 1
        how = ", and the process in which its thread ran is replaced"
        self._reports.append(Lost(key, f"it was ended{'' if self._kind.can_cancel else how}"))
        self._brood.nudge()
        if self._kind.can_cancel:
            self._leaving.expect(line, key, ANSWER_SECONDS)
        else:
            self._brood.retire(line)
        if line.jobs or self._kind.can_cancel:
            self._brood.say(line, [["drop", key]])
            self._brood.end_unless_it_answers(line, self._terminate_seconds)
            self.changed(line)
        else:
            self._brood.end(line)

    def _replace_stuck(self, line: Line) -> None:
        extra = {"action": "pool_child_stuck"}
        text = "a job of child %s was ended and goes on, so the process is replaced"
        logger.warning(text, line.pid, extra=extra)
        self._brood.retire(line)
        if not line.jobs:
            self._brood.end(line)

    def _end_children(self, grace_seconds: float) -> None:
        lines = self._brood.lines
        for line in list(lines.values()):
            if not line.jobs:
                self._brood.dismiss(line)
        self._brood.turn_until(lambda: not self._busy, grace_seconds)
        for line in list(self._busy.values()):
            self._brood.end(line)
        self._brood.turn_until(lambda: not lines, LEAVE_SECONDS)
        for line in list(lines.values()):
            self._brood.end(line)
        self._brood.turn_until(lambda: not lines, _KILL_SECONDS)
        for line in list(lines.values()):
            self._brood.forget(line, "the child did not end when it was killed")
