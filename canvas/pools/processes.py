"""ProcessPool: jobs run in child processes, one at a time in each. A child that dies costs its own job only, and is replaced at once.

    asked for --born, ready--> idle --submit--> busy --report--> idle
        |                        |                |
        +------------------------+------died------+--> gone; its job, if it had one and had not reported it: Lost

The pool is one thread that never waits but in `stop`. All it listens to is behind one descriptor (epoll or kqueue): a pipe per child, and the
nursery (nursery.py), which starts children and tells of their deaths. A child is dead when the nursery says so, not when its pipe ends:
a program that a task started may hold the pipe open. Only then is the pipe read to its end, so a report that was written before the death counts.

If the nursery itself is killed, the children in the middle of a job finish it (orphans: then their pipe is all we know of them),
and a new nursery starts the others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence

from ..errors import BackbeatError
from .base import Job, Lost, Report
from .line import Line
from .nursery import Nursery, StartMethod
from .pipe import pack, report_of
from .runner import RunnerSpec

logger = logging.getLogger(__name__)

_DEATHS_ON_START = 10
"""So many children in a row that died before they were ready are taken for a fault of the app or the host."""
_LEAVE_SECONDS = 3.0
"""How long a child without a job may take to end by itself (exit handlers, threads that a task left behind)."""
_KILL_SECONDS = 5.0
"""How long the system may take to end a child that was sent SIGKILL."""


class ChildrenCannotStart(BackbeatError):
    """The children cannot be started; the text has the traceback of the app's import, or how they died."""


class ProcessPool:
    """The pool over `size` processes, each with a runner that it makes itself (runner.py). See base.Pool for the contract.

    Raises ChildrenCannotStart from `collect`, then and ever after: the app cannot be imported, or children die as soon as they start.
    """

    def __init__(
        self, size: int, runner: RunnerSpec, start_method: StartMethod = StartMethod.FORKSERVER
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} processes")
        self._size = size
        self._runner = runner
        self._method = start_method
        self._selector = selectors.DefaultSelector()
        self._lines: dict[int, Line] = {}
        self._idle: dict[int, Line] = {}
        self._busy: dict[str, Line] = {}
        self._reports: list[Report] = []
        self._last_number = 0
        self._deaths_on_start = 0
        self._broken: str | None = None
        self._stopping = False
        self._preload = True
        self._nursery: Nursery | None = None
        self._nursery_ready = self._nursery_retires = False
        self._open_nursery()

    # --- the contract --------------------------------------------------------------------------------------------------------

    @property
    def keeps_limits(self) -> bool:
        return True

    @property
    def free(self) -> int:
        """How many children are ready and idle."""
        return len(self._idle)

    def submit(self, jobs: Sequence[Job]) -> None:
        if len(jobs) > len(self._idle):
            raise ValueError(f"{len(jobs)} jobs for {len(self._idle)} free children")
        for job in jobs:
            if job.key in self._busy:
                raise ValueError(f"job {job.key!r} runs already")
            line = self._idle.pop(next(iter(self._idle)))
            line.key = job.key
            self._busy[job.key] = line
            line.say(pack([[job.key, job.raw, job.queue]]))
            self._watch(line)

    def collect(self) -> list[Report]:
        if not self._stopping:
            self._turn(0)
            if self._broken is not None:
                raise ChildrenCannotStart(self._broken)  # what was reported meanwhile is returned by stop
        reports, self._reports = self._reports, []
        return reports

    def wakers(self) -> Sequence[int]:
        return () if self._stopping else (self._selector.fileno(),)

    def stop(self, grace_seconds: float) -> list[Report]:
        if not self._stopping:
            self._stopping = True
            self._end_children(grace_seconds)
            self._close()
        reports, self._reports = self._reports, []
        return reports

    # --- beyond the contract -------------------------------------------------------------------------------------------------

    def kill(self, key: str, signum: int = signal.SIGKILL) -> None:  # noqa: ARG002 - WIP
        """Kill the child that runs this job. It is reported as Lost, unless it has just ended; nothing happens if it is not running."""
        line = self._busy.get(key)
        if line is not None:
            self._kill(line)

    @property
    def pids(self) -> tuple[int, ...]:
        """The children that are ready."""
        return tuple(line.pid for line in self._lines.values() if line.pid is not None)

    # --- what can be heard ---------------------------------------------------------------------------------------------------

    def _turn(self, timeout: float) -> None:
        for found, events in self._selector.select(timeout):
            line = found.data
            if line is None:
                self._hear()
            elif line.number in self._lines:  # else it was buried in this very turn
                if events & selectors.EVENT_WRITE:
                    line.flush()
                    self._watch(line)
                if events & selectors.EVENT_READ:
                    self._read(line)

    def _hear(self) -> None:
        assert self._nursery is not None
        notes, alive = self._nursery.hear()
        for note in notes:
            match note:
                case ["ready"]:
                    self._nursery_ready = True
                    self._refill()
                case ["unsafe", str(why)]:
                    self._preload, self._nursery_retires = False, True
                    extra = {"action": "pool_preload_refused"}
                    logger.info("%s, so each child imports it for itself", why, extra=extra)
                case ["broken", str(text)]:
                    self._broken = text
                case ["died", int(number), int(pid), str(reason)]:
                    self._bury(self._lines[number], pid, reason)
        if not alive:
            self._nursery_died()

    def _read(self, line: Line) -> None:
        """Take what the child wrote. Its end is not its death, unless it is an orphan."""
        notes, more = line.hear()
        for note in notes:
            match note:
                case ["ready", int(pid)]:
                    self._be_ready(line, pid)
                case ["broken", str(text)]:
                    self._broken = text
                case _:
                    self._report(line, report_of(note))
        if not more and line.number in self._lines:
            self._deafen(line)
            if line.orphan:
                self._forget(line, "the process that started the child died, and then the child")

    def _be_ready(self, line: Line, pid: int) -> None:
        line.pid = pid
        self._deaths_on_start = 0
        if not line.doomed:
            self._idle[line.number] = line

    def _report(self, line: Line, report: Report) -> None:
        self._reports.append(report)
        del self._busy[report.key]
        line.key = None
        if line.orphan:
            self._forget(line)
        elif self._stopping:
            self._dismiss(line)
        elif not line.doomed:
            self._idle[line.number] = line

    def _watch(self, line: Line) -> None:
        if self._hears(line) and self._selector.get_key(line.pipe).events != line.events:
            self._selector.modify(line.pipe, line.events, line)

    # --- births and deaths ---------------------------------------------------------------------------------------------------

    def _open_nursery(self) -> None:
        self._nursery = Nursery(self._runner, self._method, preload=self._preload)
        self._nursery_ready = self._nursery_retires = False
        self._selector.register(self._nursery, selectors.EVENT_READ)

    def _refill(self) -> None:
        """Ask for as many children as are missing."""
        if self._nursery is None or not self._nursery_ready or self._stopping or self._broken is not None:
            return
        while len(self._lines) < self._size:
            self._last_number += 1
            pipe, first = self._nursery.bear(self._last_number)
            line = self._lines[self._last_number] = Line(self._last_number, pipe)
            line.say(first)
            self._selector.register(pipe, line.events, line)

    def _bury(self, line: Line, pid: int, reason: str) -> None:
        """The nursery has waited for it, so all that it ever wrote is in the pipe now."""
        self._read(line)
        if line.doomed and self._stopping:
            reason = f"{reason}: killed, as the worker stops"
        elif not line.doomed:
            ran = "" if line.key is None else f"; it ran {line.key}"
            extra = {"action": "pool_child_died", "id": line.key}
            logger.warning("child %s died: %s%s", pid, reason, ran, extra=extra)
            if line.pid is None:
                self._count_death_on_start(f"children die as soon as they start: {reason}")
        self._forget(line, reason)

    def _nursery_died(self) -> None:
        assert self._nursery is not None
        self._selector.unregister(self._nursery)
        how = self._nursery.close(kill=True)
        self._nursery = None
        for line in list(self._lines.values()):
            if line.key is None or not self._hears(line):
                self._forget(line, f"the process that started the child died ({how})")
            else:
                line.orphan = True
                if line.doomed:
                    self._kill(line)
        if self._stopping or self._broken is not None:
            return
        if not self._nursery_retires:
            extra = {"action": "pool_nursery_died"}
            logger.warning("the process that starts the children died: %s", how, extra=extra)
            if not self._nursery_ready:
                self._count_death_on_start(f"the process that starts the children dies: {how}")
        if self._broken is None:
            self._open_nursery()

    def _count_death_on_start(self, text: str) -> None:
        self._deaths_on_start += 1
        if self._deaths_on_start >= _DEATHS_ON_START and self._broken is None:
            self._broken = text

    def _forget(self, line: Line, reason: str = "") -> None:
        """It is gone: its job is lost, if it has one, and its place is free."""
        self._deafen(line)
        line.pipe.close()
        del self._lines[line.number]
        self._idle.pop(line.number, None)
        if line.key is not None:
            del self._busy[line.key]
            self._reports.append(Lost(line.key, reason))
        self._refill()

    def _hears(self, line: Line) -> bool:
        return line.pipe in self._selector.get_map()

    def _deafen(self, line: Line) -> None:
        if self._hears(line):
            self._selector.unregister(line.pipe)

    # --- ending --------------------------------------------------------------------------------------------------------------

    def _dismiss(self, line: Line) -> None:
        """Let a child without a job end: by the end of its pipe, or at once while it starts, as it may be long in importing."""
        if line.pid is None:
            self._kill(line)
            return
        line.doomed = True
        self._idle.pop(line.number, None)
        with contextlib.suppress(OSError):  # it is dead already
            line.pipe.shutdown(socket.SHUT_WR)

    def _kill(self, line: Line) -> None:
        line.doomed = True  # so it cannot be given another job between now and its death
        self._idle.pop(line.number, None)
        if not line.orphan:
            assert self._nursery is not None
            self._nursery.kill(line.number)
        elif line.pid is not None:
            # its pipe has not ended, so it lives, and the number is its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(line.pid, signal.SIGKILL)

    def _turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def _end_children(self, grace_seconds: float) -> None:
        for line in list(self._lines.values()):
            if line.key is None:
                self._dismiss(line)
        self._turn_until(lambda: not self._busy, grace_seconds)
        for line in list(self._busy.values()):
            self._kill(line)
        self._turn_until(lambda: not self._lines, _LEAVE_SECONDS)
        for line in list(self._lines.values()):
            self._kill(line)
        self._turn_until(lambda: not self._lines, _KILL_SECONDS)
        for line in list(self._lines.values()):
            self._forget(line, "the child did not end when it was killed")

    def _close(self) -> None:
        if self._nursery is not None:
            self._selector.unregister(self._nursery)
            self._nursery.close(kill=not self._nursery_ready)
            self._nursery = None
        self._selector.close()
