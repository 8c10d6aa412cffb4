"""Worker: one thread that takes, has the pool run, decides with flow, and commits; the acknowledgement comes last.

Theory of operation. A pass of the loop (`_step`) brings what ended, in one commit, and takes as many new messages as the pool has room
for, in the same call; while servers work on that it tells the log what they stored before, and hears what has ended since (where a Commit can
do so). It waits only when nothing came of it. Short tasks are given to the pool some at a time, so that the next ones run while
what ended is stored; behind one that turns out long none stays. Whatever is taken is renewed by this thread, also while tasks run in
other processes, so a long task keeps its lease and a dead worker's tasks run elsewhere; where the pool runs a task in this very thread
another one does that meanwhile (see stand_in.py). What it holds and cannot run goes back for others, at once when it stops, else when all
slots have been taken for a while (see appetite.py). If store or broker cannot be reached, what ended is kept and brought again; nothing is
acknowledged meanwhile.

    stop()        take nothing more, let what runs end within the grace, commit it, return; what does not end is handed back
    stop() again  the grace is over
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from ..commit.base import Commit
from ..commit.limits import Limits
from ..commit.taken import Taken
from ..errors import BackbeatError, Unavailable
from ..killpoint import reach
from ..patience import Patience
from ..perform import Performer
from ..pools.base import LONG_SECONDS, Pool
from ..readable import readable
from .admission import Admission
from .appetite import FULL_SECONDS, Appetite
from .bringing import Bringing
from .chores import Chore, faults
from .doorbell import Doorbell
from .errands import Errands
from .inside import Inside
from .listener import Listener
from .presence import PRESENCE_SECONDS, Presence
from .reporting import Reporting
from .room import Room
from .running import RunningTasks
from .sizing import Sizing
from .stand_in import stand_in
from .starting import Starting
from .surviving import surviving
from .task_limits import TaskLimits
from .words import Words

logger = logging.getLogger("backbeat.worker")

LONGEST_WAIT_SECONDS = 1.0
SWEEP_SECONDS = 2.0
LOOK_SECONDS = 0.5
"""How often the store is asked whether something that runs shall be ended."""


class Worker:
    """Runs tasks until it is stopped. What `beside` returns is entered for as long as it runs; `runs_tasks_in_loop`: the pool runs them in `submit`.

    `broadcasts`: its own queue for each broadcast that it gets.
    Its pool may be resized up to `most`, and sizes itself between the two of `autoscale` (see sizing.py).
    """

    def __init__(
        self,
        commit: Commit,
        performer: Performer,
        pool: Pool,
        listener: Listener,
        limits: Limits,
        *,
        grace_seconds: float = math.inf,
        task_limits: TaskLimits | None = None,
        admission: Admission | None = None,
        beside: Callable[[Worker], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
        runs_tasks_in_loop: bool = False,
        broadcasts: Mapping[str, str] | None = None,
        most: int = 1,
        autoscale: tuple[int, int] | None = None,
    ) -> None:
        self._commit = commit
        self._performer = performer
        self._pool = pool
        self._listener = listener
        self._beside = beside
        self._runs_tasks_in_loop = runs_tasks_in_loop
        self._presence = Presence(commit, broadcasts or {})
        self._grace_seconds = grace_seconds
        task_limits, admission = task_limits or TaskLimits(), admission or Admission({})
        self._running = RunningTasks(pool, task_limits)
        self._words = Words(commit, self._running)
        self._taken: deque[Taken] = deque()
        self._bringing = Bringing(performer, listener, self._taken)
        self._starting = Starting(
            performer,
            pool,
            self._running,
            self._bringing,
            listener,
            self._taken,
            admission,
            self._stand_in,
        )
        self._appetite = Appetite()
        self._reporting = Reporting(
            performer,
            pool,
            self._running,
            self._words,
            self._bringing,
            self._starting,
            self._appetite,
            listener,
            self._release,
        )
        self._stops = 0
        self._grace_until = math.inf
        self._doorbell = Doorbell()
        self.sizing = Sizing(pool, most, self._doorbell.ring, autoscale)
        self._room = Room(
            pool,
            self._running,
            self._taken,
            performer,
            self._appetite,
            self.sizing,
            at_once=commit.at_once,
            is_kept_free=runs_tasks_in_loop,
        )
        self.errands = Errands(self._doorbell.ring)
        """What other threads ask of this one."""
        self.inside = Inside(commit, pool, self._running, self._taken, task_limits, admission)
        """What can be told of it, and done to it; for this thread."""
        self.shutdown: Callable[[], None] = self.stop
        """What stops it when somebody far away tells it to: `stop`, unless the program has more to do then."""
        self._renewal = Chore(self._renew, limits.lease_seconds / 3)
        self._chores = (
            Chore(self._presence.tell, PRESENCE_SECONDS / 3, again=SWEEP_SECONDS),
            Chore(self._work_off),
            Chore(self._run_errands),
            Chore(self._size),
            Chore(self._hand_back),
            Chore(lambda: self._running.kill_overdue(time.monotonic())),
            Chore(self._look_for_terminations, LOOK_SECONDS, again=LOOK_SECONDS),
            self._renewal,
            Chore(self._sweep, SWEEP_SECONDS, again=SWEEP_SECONDS),
        )
        self._patience = Patience()
        self._fault: Exception | None = None
        """What went wrong while an exchange was under way."""
        self._is_drained = False
        """Whether there was less than was asked for; only the next wait says whether that is still so."""

    def stop(self) -> None:
        """Stop, orderly; called a second time: at once. Safe in a signal handler and from other threads."""
        self._stops += 1
        self._grace_until = min(self._grace_until, time.monotonic() + self._grace_seconds)
        self._doorbell.ring()

    def run(self) -> None:
        """Work until `stop` was called and what ran has ended."""
        with self._beside(self):
            self._work()

    def _work(self) -> None:
        with contextlib.suppress(Unavailable):  # the chore says so
            self._presence.tell()
        self._listener.ready()
        try:
            while self._stops == 0 or ((self._running or self._bringing) and not self._is_over):
                self._guarded_step()
        except BackbeatError:
            self._stops = 2  # nothing can run any more: as at a second stop
            self._shut_down()
            raise
        else:
            self._shut_down()
        finally:
            self._pool.stop(0)
            self._commit.close()
            self._doorbell.close()

    @property
    def goes_on(self) -> bool:
        """Whether nobody has told it to stop."""
        return self._stops == 0

    @property
    def busy(self) -> int:
        """How many tasks run now, besides those that wait in the pool."""
        return self._running.busy

    @property
    def _held(self) -> list[Taken]:
        """What must be renewed."""
        return [*(running.taken for running in self._running), *self._taken, *self._performer.left]

    @property
    def _is_over(self) -> bool:
        """The grace for what runs has passed, or was skipped."""
        return self._stops > 1 or time.monotonic() >= self._grace_until

    # --- a pass --------------------------------------------------------------------------------------------------------------

    def _guarded_step(self) -> None:
        fault = ""
        try:
            moved = self._step()
            self._patience.reset()
            if not moved and (self._stops == 0 or self._running):
                self._wait()
                self._doorbell.hear()
        except Unavailable as error:
            self._bringing.tell()
            fault = str(error)
            pause, is_told = self._patience.next()
            level, extra = logging.WARNING if is_told else logging.DEBUG, {"action": "unavailable"}
            logger.log(level, "%s; trying again in %.1f s", error, pause, extra={**extra, "pause": pause})
            readable([self._doorbell.fileno()], pause)
            self._doorbell.hear()
        self._listener.passed(self.busy, fault)

    def _step(self) -> bool:
        self._reporting.collect()
        self._words.bring()
        self._appetite.look(time.monotonic(), is_free=self._reporting.has_news() or self._room.is_there)
        # what ended must be brought whatever failed: where the store is another server than the broker it may be there, and what is not
        # stored before its claim is over runs again
        fault: Exception | None = faults(self._chores, time.monotonic())
        room = self._room.places if self._stops == 0 and fault is None else 0
        brings, known = bool(self._bringing), len(self._taken)
        if brings or (room and not self._is_drained):
            self._bringing.bring(room, self._meanwhile)
            self._is_drained = len(self._taken) - known < room
        taken = len(self._taken) > known
        if taken:
            reach("worker.taken")
            self._hold_little(known)
        fault, self._fault = fault or self._fault, None
        if fault is not None:
            raise fault
        self._work_off()
        return taken or brings or bool(self._bringing)

    def _meanwhile(self) -> None:
        """While store and broker work on what was brought: tell what they stored before, and see what has ended since."""
        try:
            self._bringing.tell()
            self._reporting.collect()
            self._reporting.work_off_outcomes()
        except Exception as error:  # noqa: BLE001 - what is under way comes to its end first
            self._fault = error

    def _hold_little(self, known: int) -> None:
        """Hand back what cannot start at once if a task was taken with which a worker died: that worker held others, too, which are not to blame."""
        if any(item.suspect for item in islice(self._taken, known, None)):
            self._appetite.beware(time.monotonic())
            rest = [self._taken.pop() for _ in range(len(self._taken) - self._pool.free)]
            if rest:
                self._release(rest)

    def _work_off(self) -> None:
        """Reports and taken messages, each off its list only when it is dealt with: what Unavailable interrupts is done again."""
        self._reporting.work_off()
        while self._taken and self._stops == 0 and self._starting.some(self._room.depth):
            pass

    def _stand_in(self) -> contextlib.AbstractContextManager[None]:
        """Somebody goes on holding what is held, and hands back what cannot run, while this thread runs a task itself."""
        if not self._runs_tasks_in_loop:
            return contextlib.nullcontext()
        self._bringing.tell()
        self._appetite.look(time.monotonic(), is_free=False)
        return stand_in((Chore(self._hand_back), self._renewal), min(FULL_SECONDS, self._renewal.seconds))

    def _wait(self) -> None:
        self._bringing.tell()
        wakers = [self._doorbell.fileno(), *self._pool.wakers()]
        patience = self._appetite.patience if self._running else 0.0
        if patience and readable(wakers, patience):
            return
        if self._stops == 0 and self._room.is_there:
            self._is_drained = False
            self._commit.wait(self._longest_wait(), wakers)
        else:  # what lies in the queues is no reason to wake: nothing can be taken
            readable(wakers, self._longest_wait())

    def _release(self, held: Sequence[Taken], lost: bool = False) -> None:
        reach("worker.releasing")
        self._commit.release(held, lost=lost)
        reach("worker.released")

    def _longest_wait(self) -> float:
        deadline = self._running.next_deadline()
        renewal = self._renewal.due if self._held else math.inf
        now = time.monotonic()
        until = min(
            self._grace_until,
            renewal,
            math.inf if deadline is None else deadline,
            self._appetite.next_look(now),
            self._words.due,
            math.inf if (since := self._pool.oldest_before_others) is None else since + LONG_SECONDS,
        )
        return max(0.0, min(LONGEST_WAIT_SECONDS, until - now))

    def _hand_back(self) -> None:
        """What has not started goes back, where it would wait here while others could run it."""
        now = time.monotonic()
        if self._stops == 0 and not self._appetite.is_gone(now):
            self._pool.take_back(now - LONG_SECONDS)
            return
        self._pool.take_back(math.inf)
        taken = [*self._taken]
        self._starting.forget()
        self._taken.clear()  # first: what was handed back in part must not start, and the rest comes back after its lease
        if taken:
            self._release(taken)
        self._commit.pause()

    def _run_errands(self) -> None:
        self._bringing.tell()
        self.errands.run()

    def _size(self) -> None:
        if self._stops == 0 and self.sizing.turn(lambda: self.busy, len(self._taken)):
            self._commit.pause()  # what is sent ahead is told to the broker when it is asked for messages again

    def _look_for_terminations(self) -> None:
        if self._running:
            self._running.terminate(self._commit.terminations(self._running.ids), time.monotonic())

    def _renew(self) -> None:
        # also if it is nothing: the connection to a broker lives of it, and so does what the commit itself holds
        self._commit.renew(self._held)

    def _sweep(self) -> None:
        for record in self._commit.sweep():
            with surviving():
                self._performer.settle_interrupted(record)

    def _shut_down(self) -> None:
        """What ended is committed; what did not is handed back, uncounted; but what was acknowledged early must not run again."""
        self._reporting.stop_pool()
        reach("worker.stopping")
        try:
            self._work_off()
            while self._bringing:
                self._bringing.bring()
            self._bringing.tell()
            killed = [running.taken for running in self._running if running.early]
            unfinished = [
                *(running.taken for running in self._running if not running.early),
                *self._taken,
                *self._performer.left,
            ]
            if unfinished:
                self._release(unfinished)
            if killed:
                self._release(killed, lost=True)
            self._presence.leave()
        except Unavailable as error:
            logger.warning(
                "%s; what was held comes back after its lease", error, extra={"action": "unavailable"}
            )
