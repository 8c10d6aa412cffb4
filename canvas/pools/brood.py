"""Brood: the children of a pool: it has them born, listens to them, lets them go, and replaces those that went.

    asked for --born, ready--> at work --retire--> retired --dismiss or end--> doomed --> gone
        |                         |                   |                                     ^
        +-------------------------+------- died ------+-------------------------------------+

All it listens to is behind one descriptor (epoll or kqueue): a pipe per child, and the nursery (nursery.py), which starts children and tells of
their deaths. A child is dead when the nursery says so, not when its pipe ends: a program that a task started may hold the pipe open. Only then
is the pipe read to its end, so a report that was written before the death counts. A child that is not to get more jobs has a successor at once.

If the nursery itself is killed, the children in the middle of a job finish it (orphans: then their pipe is all we know of them),
and a new nursery starts the others.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .line import Line
from .nursery import Nursery, StartMethod
from .pipe import Frame, pack
from .runner import ChildSpec

logger = logging.getLogger(__name__)

_DEATHS_ON_START = 10
"""So many children in a row that died before they were ready are taken for a fault of the app or the host."""
LEAVE_SECONDS = 3.0
"""How long a child without a job may take to end by itself (exit handlers, threads that a task left behind)."""


class Keeper(Protocol):
    """Who has a brood, and is told of it."""

    def heard(self, line: Line, note: list[Any]) -> None:
        """The child said so."""
        ...

    def changed(self, line: Line) -> None:
        """The child became ready, or retired."""
        ...

    def gone(self, line: Line, reason: str) -> None:
        """The child is no more, with the jobs that it still has."""
        ...


class Brood:
    """`size` children, all alike. It never waits but in `turn`. Used by one thread.

    With `spare` one child more is kept ready where a new one takes an import of the app: a dead one is replaced at once there too.
    """

    def __init__(
        self, size: int, spec: ChildSpec, method: StartMethod, keeper: Keeper, *, spare: bool
    ) -> None:
        self._size = size
        self._spec = spec
        self._method = method
        self._keeper = keeper
        self._spare = spare
        self._selector = selectors.DefaultSelector()
        self._nudged, self._nudge = socket.socketpair()
        self._selector.register(self._nudged, selectors.EVENT_READ)
        self.lines: dict[int, Line] = {}
        self.broken: str | None = None
        """Why no children can be started, if so."""
        self._last_number = 0
        self._deaths_on_start = 0
        self._closing = False
        self._preload = True
        self._nursery: Nursery | None = None
        self._nursery_ready = self._nursery_retires = False
        self._open_nursery()

    def fileno(self) -> int:
        return self._selector.fileno()

    # --- what is asked of it -------------------------------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Deal with what can be heard now; wait for it up to `timeout` seconds."""
        for found, events in self._selector.select(timeout):
            line = found.data
            if found.fileobj is self._nudged:
                self._nudged.recv(4096)
            elif line is None:
                self._hear()
            elif line.number in self.lines:  # else it was buried in this very turn
                if events & selectors.EVENT_WRITE:
                    line.flush()
                    self._watch(line)
                if events & selectors.EVENT_READ:
                    self._read(line)

    def turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and (left := deadline - time.monotonic()) > 0:
            self.turn(left)

    def nudge(self) -> None:
        """Have `fileno` be readable until the next turn."""
        self._nudge.send(b".")

    def nudge_in(self, seconds: float) -> None:
        """Likewise after so many seconds, for what is to be looked at then. Seldom: it takes a thread."""
        timer = threading.Timer(seconds, self._nudge_later)
        timer.daemon = True
        timer.start()

    def _nudge_later(self) -> None:
        with contextlib.suppress(OSError):  # it may be closed by now
            self.nudge()

    def say(self, line: Line, frame: Frame) -> None:
        line.say(pack(frame))
        self._watch(line)

    def give(self, line: Line, jobs: Frame) -> None:
        """Jobs that the child runs one at a time."""
        line.give(jobs)
        self._watch(line)

    def retire(self, line: Line) -> None:
        """It gets no more jobs. Its successor is born now, so that it is ready by the time that this one is gone."""
        if not line.retired:
            line.retired = True
            self._keeper.changed(line)
            self._refill()

    def dismiss(self, line: Line) -> None:
        """Let a child without a job end: by the end of its pipe; or at once while it starts, as it may be long in importing, or if it cannot."""
        if line.pid is None or line.haunted:
            self.end(line)
            return
        line.doomed = True
        self.retire(line)
        line.end()
        if self._nursery is not None and not line.orphan:
            self._nursery.kill(line.number, 0, LEAVE_SECONDS)

    def end(self, line: Line, signum: int = signal.SIGKILL, seconds: float = 0.0) -> None:
        """End a child by a signal, and by SIGKILL if it lives so many seconds later."""
        line.doomed = True
        self.retire(line)
        if line.orphan:
            self._kill_orphan(line)
        elif self._nursery is not None:
            self._nursery.kill(line.number, signum, seconds)

    def end_unless_it_answers(self, line: Line, seconds: float) -> None:
        """Kill it after so many seconds, which `answered` takes back."""
        line.unanswered += 1
        if self._nursery is not None and not line.orphan:
            self._nursery.kill(line.number, 0, seconds)

    def answered(self, line: Line) -> None:
        line.unanswered -= 1
        if not line.unanswered and not line.doomed and self._nursery is not None and not line.orphan:
            self._nursery.kill(line.number, 0, math.inf)

    def forget(self, line: Line, reason: str = "") -> None:
        """It is gone, and so is what it ran; its place is free."""
        self._deafen(line)
        if line.orphan and line.haunted:
            self._kill_orphan(line)
        del self.lines[line.number]
        line.retired = True
        self._keeper.changed(line)
        self._keeper.gone(line, reason)
        line.close()
        self._refill()

    def have_no_more(self) -> None:
        """Start none from now on."""
        self._closing = True

    def close(self) -> None:
        """End the nursery, and what children it still has."""
        if self._nursery is not None:
            self._selector.unregister(self._nursery)
            self._nursery.close(kill=not self._nursery_ready)
            self._nursery = None
        self._selector.close()
        self._nudged.close()
        self._nudge.close()

    # --- what it hears -------------------------------------------------------------------------------------------------------

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
                    self.broken = text
                case ["died", int(number), int(pid), str(reason)]:
                    self._bury(self.lines[number], pid, reason)
        if not alive:
            self._nursery_died()

    def _read(self, line: Line) -> None:
        """Take what the child wrote. Its end is not its death, unless it is an orphan."""
        notes, more = line.hear()
        for note in notes:
            match note:
                case ["ready", int(pid)]:
                    line.pid = pid
                    self._deaths_on_start = 0
                    self._keeper.changed(line)
                case ["broken", str(text)]:
                    self.broken = text
                case _:
                    self._keeper.heard(line, note)
        if not more and line.number in self.lines:
            self._deafen(line)
            if line.orphan:
                self.forget(line, "the process that started the child died, and then the child")

    def _watch(self, line: Line) -> None:
        if self._hears(line) and self._selector.get_key(line.pipe).events != line.events:
            self._selector.modify(line.pipe, line.events, line)

    def _hears(self, line: Line) -> bool:
        return line.pipe in self._selector.get_map()

    def _deafen(self, line: Line) -> None:
        if self._hears(line):
            self._selector.unregister(line.pipe)

    # --- births and deaths ---------------------------------------------------------------------------------------------------

    def _open_nursery(self) -> None:
        self._nursery = Nursery(self._spec, self._method, preload=self._preload)
        self._nursery_ready = self._nursery_retires = False
        self._selector.register(self._nursery, selectors.EVENT_READ)

    def _refill(self) -> None:
        """Ask for as many children as are missing."""
        if self._nursery is None or not self._nursery_ready or self._closing or self.broken is not None:
            return
        imports = self._method is StartMethod.SPAWN or not self._preload
        missing = self._size + (self._spare and imports)
        missing -= sum(not line.retired for line in self.lines.values())
        for _ in range(missing):
            self._last_number += 1
            line = self.lines[self._last_number] = self._nursery.bear(self._last_number)
            self._selector.register(line.pipe, line.events, line)

    def _bury(self, line: Line, pid: int, reason: str) -> None:
        """The nursery has waited for it, so all that it ever wrote is in the pipe now."""
        self._read(line)
        if line.doomed and self._closing:
            reason = f"{reason}: killed, as the worker stops"
        elif not line.doomed:
            ran = ", ".join(sorted(key for key, since in line.jobs.items() if since is not None))
            extra = {"action": "pool_child_died", "id": ran or None}
            logger.warning("child %s died: %s%s", pid, reason, f"; it ran {ran}" if ran else "", extra=extra)
            if line.pid is None:
                self._count_death_on_start(f"children die as soon as they start: {reason}")
        self.forget(line, reason)

    def _nursery_died(self) -> None:
        assert self._nursery is not None
        self._selector.unregister(self._nursery)
        how = self._nursery.close(kill=True)
        self._nursery = None
        for line in list(self.lines.values()):
            line.orphan = self._hears(line)
            if line.orphan and line.doomed:
                self._kill_orphan(line)
            if line.jobs and line.orphan:
                self.retire(line)
            else:
                self.forget(line, f"the process that started the child died ({how})")
        if self._closing or self.broken is not None:
            return
        if not self._nursery_retires:
            extra = {"action": "pool_nursery_died"}
            logger.warning("the process that starts the children died: %s", how, extra=extra)
            if not self._nursery_ready:
                self._count_death_on_start(f"the process that starts the children dies: {how}")
        if self.broken is None:
            self._open_nursery()

    def _count_death_on_start(self, text: str) -> None:
        self._deaths_on_start += 1
        if self._deaths_on_start >= _DEATHS_ON_START and self.broken is None:
            self.broken = text

    @staticmethod
    def _kill_orphan(line: Line) -> None:
        """Its pipe has not ended, so it lives, and the number is its own."""
        if line.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(line.pid, signal.SIGKILL)
