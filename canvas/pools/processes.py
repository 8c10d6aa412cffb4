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
from .nursery import Nursery, StartMethod
from .pipe import Inbox, pack, report_of
from .runner import RunnerSpec

logger = logging.getLogger(__name__)

_DEATHS_ON_START = 10
"""So many children in a row that died before they were ready are taken for a fault of the app or the host."""
_LEAVE_SECONDS = 3.0
"""How long a child without a job may take to end by itself (exit handlers, threads that a task left behind)."""
_KILL_SECONDS = 5.0
"""How long the system may take to end a child that was sent SIGKILL."""
_CHUNK = 1 << 18


class ChildrenCannotStart(BackbeatError):
    """The children cannot be started; the text has the traceback of the app's import, or how they died."""


class _Child:
    """What the pool knows of one child."""

    __slots__ = ("doomed", "inbox", "key", "number", "orphan", "outbox", "pid", "pipe", "ready")

    def __init__(self, number: int, pipe: socket.socket, outbox: bytes) -> None:
        self.number = number
        self.pipe = pipe
        self.inbox = Inbox()
        self.outbox = bytearray(outbox)
        self.pid: int | None = None
        self.ready = False
        self.key: str | None = None
        """Its job."""
        self.doomed = False
        """It was told to end, or killed: it gets no more jobs."""
        self.orphan = False
        """Its nursery is dead."""


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
        self._children: dict[int, _Child] = {}
        self._idle: dict[int, _Child] = {}
        self._busy: dict[str, _Child] = {}
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
    def free(self) -> int:
        """How many children are ready and idle."""
        return len(self._idle)

    def submit(self, jobs: Sequence[Job]) -> None:
        if len(jobs) > len(self._idle):
            raise ValueError(f"{len(jobs)} jobs for {len(self._idle)} free children")
        for job in jobs:
            if job.key in self._busy:
                raise ValueError(f"job {job.key!r} runs already")
            child = self._idle.pop(next(iter(self._idle)))
            child.key = job.key
            self._busy[job.key] = child
            child.outbox += pack([[job.key, job.raw, job.queue]])
            self._write(child)

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

    def kill(self, key: str) -> None:
        """Kill the child that runs this job. It is reported as Lost, unless it has just ended; nothing happens if it is not running."""
        child = self._busy.get(key)
        if child is not None:
            self._kill(child)

    @property
    def pids(self) -> tuple[int, ...]:
        """The children that are ready."""
        return tuple(child.pid for child in self._children.values() if child.ready and child.pid is not None)

    # --- what can be heard ---------------------------------------------------------------------------------------------------

    def _turn(self, timeout: float) -> None:
        for found, events in self._selector.select(timeout):
            child = found.data
            if child is None:
                self._hear()
            elif child.number in self._children:  # else it was buried in this very turn
                if events & selectors.EVENT_WRITE:
                    self._write(child)
                if events & selectors.EVENT_READ:
                    self._read(child)

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
                case ["born", int(number), int(pid)]:
                    self._children[number].pid = pid
                case ["died", int(number), str(reason)]:
                    self._bury(self._children[number], reason)
        if not alive:
            self._nursery_died()

    def _read(self, child: _Child) -> None:
        """Take what the child wrote. Its end is not its death, unless it is an orphan."""
        ended = False
        while True:
            try:
                data = child.pipe.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                ended = True
                break
            child.inbox.feed(data)
            if len(data) < _CHUNK:
                break
        for frame in child.inbox.frames():
            for note in frame:
                match note:
                    case ["ready"]:
                        self._be_ready(child)
                    case ["broken", str(text)]:
                        self._broken = text
                    case _:
                        self._report(child, report_of(note))
        if ended and child.number in self._children:
            self._deafen(child)
            if child.orphan:
                self._forget(child, "the process that started the child died, then the child")

    def _be_ready(self, child: _Child) -> None:
        child.ready = True
        self._deaths_on_start = 0
        if not child.doomed:
            self._idle[child.number] = child

    def _report(self, child: _Child, report: Report) -> None:
        self._reports.append(report)
        del self._busy[report.key]
        child.key = None
        if child.orphan:
            self._forget(child)
        elif self._stopping:
            self._dismiss(child)
        elif not child.doomed:
            self._idle[child.number] = child

    def _write(self, child: _Child) -> None:
        try:
            del child.outbox[: child.pipe.send(child.outbox)]
        except BlockingIOError:
            pass
        except ConnectionError:
            child.outbox.clear()  # it died; the nursery will say so
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.outbox else 0)
        if self._hears(child) and self._selector.get_key(child.pipe).events != events:
            self._selector.modify(child.pipe, events, child)

    # --- births and deaths ---------------------------------------------------------------------------------------------------

    def _open_nursery(self) -> None:
        self._nursery = Nursery(self._runner, self._method, preload=self._preload)
        self._nursery_ready = self._nursery_retires = False
        self._selector.register(self._nursery, selectors.EVENT_READ)

    def _refill(self) -> None:
        """Ask for as many children as are missing."""
        if self._nursery is None or not self._nursery_ready or self._stopping or self._broken is not None:
            return
        while len(self._children) < self._size:
            self._last_number += 1
            pipe, first = self._nursery.bear(self._last_number)
            child = self._children[self._last_number] = _Child(self._last_number, pipe, first)
            self._selector.register(pipe, selectors.EVENT_READ, child)
            if first:
                self._write(child)

    def _bury(self, child: _Child, reason: str) -> None:
        """The nursery has waited for it, so all that it ever wrote is in the pipe now."""
        self._read(child)
        if child.doomed and self._stopping:
            reason = f"{reason}: killed, as the worker stops"
        elif not child.doomed:
            ran = "" if child.key is None else f"; it ran {child.key}"
            extra = {"action": "pool_child_died", "id": child.key}
            logger.warning("child %s died: %s%s", child.pid, reason, ran, extra=extra)
            if not child.ready:
                self._count_death_on_start(f"children die as soon as they start: {reason}")
        self._forget(child, reason)

    def _nursery_died(self) -> None:
        assert self._nursery is not None
        self._selector.unregister(self._nursery)
        how = self._nursery.close(kill=True)
        self._nursery = None
        for child in list(self._children.values()):
            if child.key is None or not self._hears(child):
                self._forget(child, f"the process that started the child died ({how})")
            else:
                child.orphan = True
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

    def _forget(self, child: _Child, reason: str = "") -> None:
        """It is gone: its job is lost, if it has one, and its place is free."""
        self._deafen(child)
        child.pipe.close()
        del self._children[child.number]
        self._idle.pop(child.number, None)
        if child.key is not None:
            del self._busy[child.key]
            self._reports.append(Lost(child.key, reason))
        self._refill()

    def _hears(self, child: _Child) -> bool:
        return child.pipe in self._selector.get_map()

    def _deafen(self, child: _Child) -> None:
        if self._hears(child):
            self._selector.unregister(child.pipe)

    # --- ending --------------------------------------------------------------------------------------------------------------

    def _dismiss(self, child: _Child) -> None:
        """Let a child without a job end: by the end of its pipe, or at once while it starts, as it may be long in importing."""
        if not child.ready:
            self._kill(child)
            return
        child.doomed = True
        self._idle.pop(child.number, None)
        with contextlib.suppress(OSError):  # it is dead already
            child.pipe.shutdown(socket.SHUT_WR)

    def _kill(self, child: _Child) -> None:
        child.doomed = True  # so it cannot be given another job between now and its death
        self._idle.pop(child.number, None)
        if not child.orphan:
            assert self._nursery is not None
            self._nursery.kill(child.number)
        elif child.pid is not None:
            with contextlib.suppress(
                ProcessLookupError
            ):  # its pipe has not ended, so the number is still its own
                os.kill(child.pid, signal.SIGKILL)

    def _turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def _end_children(self, grace_seconds: float) -> None:
        for child in list(self._children.values()):
            if child.key is None:
                self._dismiss(child)
        self._turn_until(lambda: not self._busy, grace_seconds)
        for child in list(self._busy.values()):
            self._kill(child)
        self._turn_until(lambda: not self._children, _LEAVE_SECONDS)
        for child in list(self._children.values()):
            self._kill(child)
        self._turn_until(lambda: not self._children, _KILL_SECONDS)
        for child in list(self._children.values()):
            self._forget(child, "the child did not end when it was killed")

    def _close(self) -> None:
        if self._nursery is not None:
            self._selector.unregister(self._nursery)
            self._nursery.close(kill=not self._nursery_ready)
            self._nursery = None
        self._selector.close()
