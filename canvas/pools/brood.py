"""Brood: the children of a pool: it has them born, listens to them, lets them go, and replaces those that went.

    asked for --born, ready--> at work --retire--> retired --dismiss or end--> doomed --> gone
        |                         |                   |                                     ^
        +-------------------------+------- died ------+-------------------------------------+

It listens (switchboard.py) to a pipe per child, and to the nursery (nursery.py), which starts children and tells of their deaths. A child is dead when the nursery says so, not when its pipe ends: a program that a task started may hold the pipe open. Only then
is the pipe read to its end, so a report that was written before the death counts. A child that is not to get more jobs has a successor at once.

If the nursery itself is killed, the children in the middle of a job finish it (orphans: then their pipe is all we know of them),
and a new nursery starts the others.

A restart begins with a fresh nursery, and one child of it. When that is ready the fresh nursery takes over, and all children of the former one are
let go, which lives until the last of them is gone. An app that cannot be imported anew changes nothing, but for a line in the log.
"""

from __future__ import annotations

import logging
import math
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol

from .line import Line
from .nurseries import Nurseries
from .nursery import Nursery, StartMethod
from .pipe import Frame, pack
from .runner import ChildSpec
from .switchboard import Switchboard

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

    def let_go(self, line: Line) -> None:
        """The child shall get no more jobs, and end when it has done what it has."""
        ...


class Brood:
    """`size` children, all alike. It never waits but in `turn`. Used by one thread.

    With `spare` one child more is kept ready where a new one takes an import of the app: a dead one is replaced at once there too.
    """

    def __init__(
        self, size: int, spec: ChildSpec, method: StartMethod, keeper: Keeper, *, spare: bool
    ) -> None:
        self._size = size
        self._keeper = keeper
        self._spare = spare
        self._board = Switchboard()
        self.nudge = self._board.nudge
        """Have `fileno` be readable until the next turn."""
        self.nudge_in = self._board.nudge_in
        self.lines: dict[int, Line] = {}
        self.broken: str | None = None
        """Why no children can be started, if so."""
        self._last_number = 0
        self._deaths_on_start = 0
        self._closing = False
        self._nurseries = Nurseries(spec, method, self._board.selector)

    def fileno(self) -> int:
        return self._board.selector.fileno()

    # --- what is asked of it -------------------------------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Deal with what can be heard now; wait for it up to `timeout` seconds."""
        for found, events in self._board.selector.select(timeout):
            line = found.data
            if line is None:
                self._board.take_nudges()
            elif isinstance(line, Nursery):
                self._hear(line)
            elif line.number in self.lines:  # else it was buried in this very turn
                if events & selectors.EVENT_WRITE:
                    line.flush()
                    self._board.watch(line)
                if events & selectors.EVENT_READ:
                    self._read(line)

    def turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and (left := deadline - time.monotonic()) > 0:
            self.turn(left)

    def say(self, line: Line, frame: Frame) -> None:
        line.say(pack(frame))
        self._board.watch(line)

    def give(self, line: Line, jobs: Frame) -> None:
        """Jobs that the child runs one at a time."""
        line.give(jobs)
        self._board.watch(line)

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
        line.kill(0, LEAVE_SECONDS)

    def end(self, line: Line, signum: int = signal.SIGKILL, seconds: float = 0.0) -> None:
        """End a child by a signal, and by SIGKILL if it lives so many seconds later."""
        line.doomed = True
        self.retire(line)
        if line.orphan:
            line.kill_orphan()
        else:
            line.kill(signum, seconds)

    def end_unless_it_answers(self, line: Line, seconds: float) -> None:
        """Kill it after so many seconds, which `answered` takes back."""
        line.unanswered += 1
        line.kill(0, seconds)

    def answered(self, line: Line) -> None:
        line.unanswered -= 1
        if not line.unanswered and not line.doomed:
            line.kill(0, math.inf)

    def forget(self, line: Line, reason: str = "") -> None:
        """It is gone, and so is what it ran; its place is free."""
        self._board.disconnect(line)
        if line.orphan and line.haunted:
            line.kill_orphan()
        del self.lines[line.number]
        line.retired = True
        self._keeper.changed(line)
        self._keeper.gone(line, reason)
        line.close()
        self._nurseries.drop_childless([line.nursery for line in self.lines.values() if not line.orphan])
        self._refill()

    def resize(self, size: int) -> None:
        """Be so many from now on; who is too many must be let go."""
        self._size = size
        self._refill()

    @property
    def surplus(self) -> int:
        """How many more there are than should be."""
        return (
            sum(not line.retired for line in self.lines.values()) - self._wanted - (self._herald is not None)
        )

    def restart(self) -> None:
        """Have all children replaced by such as have imported the app anew; see above. One that is under way begins anew, too."""
        self._give_up_fresh()
        self._nurseries.open_fresh()

    def have_no_more(self) -> None:
        """Start none from now on."""
        self._closing = True

    def close(self) -> None:
        """End the nurseries, and what children they still have."""
        self._nurseries.close_all()
        self._board.close()

    # --- what it hears -------------------------------------------------------------------------------------------------------

    def _hear(self, nursery: Nursery) -> None:
        if nursery not in self._nurseries:
            return  # it was closed in this very turn
        notes, alive = nursery.hear()
        for note in notes:
            match note:
                case ["ready"]:
                    nursery.is_ready = True
                    if nursery is self._nurseries.fresh:
                        self._bear(nursery)
                    self._refill()
                case ["unsafe", str(why)]:
                    nursery.is_unsafe = True
                    extra = {"action": "pool_preload_refused"}
                    logger.info("%s, so each child imports it for itself", why, extra=extra)
                case ["broken", str(text)]:
                    self._cannot_start(nursery, text)
                case ["died", int(number), int(pid), str(reason)] if number in self.lines:
                    self._bury(self.lines[number], pid, reason)
        if not alive and nursery in self._nurseries:
            self._nursery_died(nursery)

    def _cannot_start(self, nursery: object, text: str) -> None:
        """The app cannot be imported: the end of the pool, or of a restart."""
        if nursery in self._nurseries.former:
            return  # it is not needed any more
        if nursery is not self._nurseries.fresh:
            self.broken = text
            return
        extra = {"action": "pool_restart_failed"}
        logger.error(
            "the app cannot be imported anew, so its processes stay as they are: %s", text, extra=extra
        )
        self._give_up_fresh()

    def _give_up_fresh(self) -> None:
        nursery = self._nurseries.fresh
        if nursery is not None:
            self._nurseries.drop(nursery)
            self._nurseries.close(nursery)
            self._forget_children(nursery, "the restart was given up")

    def _read(self, line: Line) -> None:
        """Take what the child wrote. Its end is not its death, unless it is an orphan."""
        notes, more = line.hear()
        for note in notes:
            match note:
                case ["ready", int(pid)]:
                    line.pid = pid
                    self._deaths_on_start = 0
                    self._keeper.changed(line)
                    if line.nursery is self._nurseries.fresh:
                        self._take_over()
                case ["broken", str(text)]:
                    self._cannot_start(line.nursery, text)
                case _:
                    self._keeper.heard(line, note)
        if not more and line.number in self.lines:
            self._board.disconnect(line)
            if line.orphan:
                self.forget(line, "the process that started the child died, and then the child")

    # --- births and deaths ---------------------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> int:
        """How many children there should be, the spare one included."""
        return self._size + (self._spare and self._nurseries.import_in_children)

    @property
    def _herald(self) -> Line | None:
        """The first child of a restart."""
        lines = self.lines.values()
        return next(
            (line for line in lines if line.nursery is self._nurseries.fresh and not line.retired), None
        )

    def _refill(self) -> None:
        """Ask for as many children as are missing."""
        nursery = self._nurseries.current
        if nursery is None or not nursery.is_ready or self._closing or self.broken is not None:
            return
        for _ in range(-self.surplus):
            self._bear(nursery)

    def _bear(self, nursery: Nursery) -> None:
        self._last_number += 1
        line = self.lines[self._last_number] = nursery.bear(self._last_number)
        self._board.connect(line)

    def _take_over(self) -> None:
        """The fresh nursery has a child that is ready."""
        self._nurseries.take_over()
        extra = {"action": "pool_restarted"}
        logger.info("the app is imported anew; what runs in its former processes ends there", extra=extra)
        for line in [each for each in self.lines.values() if each.nursery is not self._nurseries.current]:
            self._keeper.let_go(line)
        self._nurseries.drop_childless([line.nursery for line in self.lines.values() if not line.orphan])
        self._refill()

    def _bury(self, line: Line, pid: int, reason: str) -> None:
        """The nursery has waited for it, so all that it ever wrote is in the pipe now."""
        self._read(line)
        if line.doomed and self._closing:
            reason = f"{reason}: killed, as the worker stops"
        elif not line.doomed:
            ran = ", ".join(sorted(key for key, since in line.jobs.items() if since is not None))
            extra = {"action": "pool_child_died", "id": ran or None}
            logger.warning("child %s died: %s%s", pid, reason, f"; it ran {ran}" if ran else "", extra=extra)
            if line.pid is None and line.nursery is self._nurseries.fresh:
                self._cannot_start(line.nursery, f"its process died as soon as it started: {reason}")
                return
            if line.pid is None:
                self._count_death_on_start(f"children die as soon as they start: {reason}")
        self.forget(line, reason)

    def _nursery_died(self, nursery: Nursery) -> None:
        how = self._nurseries.close(nursery, kill=True)
        was_fresh = nursery is self._nurseries.fresh
        self._nurseries.drop(nursery)
        if was_fresh:
            self._reopen_fresh(nursery, how)
        self._forget_children(nursery, f"the process that started the child died ({how})")
        if self._nurseries.current is not None or self._closing or self.broken is not None:
            return
        if not nursery.is_unsafe:
            extra = {"action": "pool_nursery_died"}
            logger.warning("the process that starts the children died: %s", how, extra=extra)
            if not nursery.is_ready:
                self._count_death_on_start(f"the process that starts the children dies: {how}")
        if self.broken is None:
            self._nurseries.open_current(after=nursery)

    def _reopen_fresh(self, nursery: Nursery, how: str) -> None:
        if nursery.is_unsafe and not self._closing:
            self._nurseries.open_fresh(preload=False)
        elif not self._closing:
            extra = {"action": "pool_restart_failed"}
            text = "the process that was to import the app anew died (%s), so the others stay as they are"
            logger.error(text, how, extra=extra)

    def _forget_children(self, nursery: Nursery, reason: str) -> None:
        """Those of a nursery that is no more."""
        for line in [each for each in self.lines.values() if each.nursery is nursery]:
            line.orphan = self._board.hears(line)
            if line.orphan and line.doomed:
                line.kill_orphan()
            if line.jobs and line.orphan:
                self.retire(line)
            else:
                self.forget(line, reason)

    def _count_death_on_start(self, text: str) -> None:
        self._deaths_on_start += 1
        if self._deaths_on_start >= _DEATHS_ON_START and self.broken is None:
            self.broken = text
