"""Starting: what was taken is routed: what needs no function ends at once, and of the others as many start as the pool has room for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from ..commit.taken import Taken
from ..commit.transition import Transition
from ..errors import Unavailable
from ..killpoint import reach
from ..outcome import lost
from ..perform import Execute, Performer
from ..pools.base import Pool
from .admission import Admission
from .bringing import Bringing
from .listener import Listener
from .running import RunningTasks
from .surviving import surviving

logger = logging.getLogger("backbeat.worker")


class Starting:
    """Takes from `taken`. `while_submitting` is entered while the pool is given jobs, which some pools run in that call."""

    def __init__(
        self,
        performer: Performer,
        pool: Pool,
        running: RunningTasks,
        bringing: Bringing,
        listener: Listener,
        taken: deque[Taken],
        admission: Admission,
        while_submitting: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._performer = performer
        self._pool = pool
        self._running = running
        self._bringing = bringing
        self._listener = listener
        self._taken = taken
        self._admission = admission
        self._while_submitting = while_submitting
        self._again: set[str] = set()
        """Ids of those that the pool had already, of which the listener has been told."""

    def put_back(self, taken: Taken) -> None:
        """The pool had it, and it has not started: it is the next to start."""
        self._taken.appendleft(taken)
        if taken.message is not None:
            self._again.add(taken.message.id)

    def forget(self) -> None:
        """What was put back is here no more."""
        self._again.clear()

    def some(self, depth: int) -> int:
        """Route taken messages, and start as many as there is room for if `depth` may wait for each slot; how many were routed.

        Whatever Unavailable interrupts is still on the list.
        """
        routed: list[Transition] = []
        starting: list[Execute] = []
        count, free, room = 0, self._pool.free, self._pool.room(depth)
        for item in self._taken:
            if len(starting) >= room:
                break
            count += 1
            with surviving():
                route = self._performer.route(item)
                if not isinstance(route, Execute):
                    routed.append(route)
                elif len(starting) < free or not self._starts_at_once(route):
                    starting.append(route)
                    if item.suspect:
                        room = free  # nothing may wait behind it
                else:
                    count -= 1
                    break
        starting, put_off = self._admission.sifted(starting, self._performer)
        early = [execute for execute in starting if execute.early]
        if early:
            reach("worker.acking_early")
            refused = self._ack_early(early)
            starting = [execute for execute in starting if execute not in refused]
            reach("worker.acked_early")
        for _ in range(count):
            self._taken.popleft()
        for transition in (*routed, *put_off):
            self._bringing.add(transition)
        for message in (execute.message for execute in starting):
            if message.id in self._again:
                self._again.discard(message.id)
            else:
                self._listener.started(message)
        jobs = self._running.enter(starting)
        if jobs:
            with self._while_submitting():
                self._running.submit(jobs)
        return count

    def _starts_at_once(self, execute: Execute) -> bool:
        """It must not wait in the pool: it would start later than it may."""
        return execute.starts_at_once or self._admission.is_limited(execute)

    def _ack_early(self, early: Sequence[Execute]) -> list[Execute]:
        """Acknowledge these before they start. Those that cannot be, as what guards them cannot be stored, end as failed; returns them."""
        try:
            acks = [Transition(early=execute.message, delivery=execute.taken.delivery) for execute in early]
            self._taken += self._performer.commit(acks)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one message must not end the worker and all that it runs
            if len(early) > 1:
                return [refused for execute in early for refused in self._ack_early([execute])]
            for execute in early:
                self._refuse_early(execute, error)
            return [*early]
        return []

    def _refuse_early(self, execute: Execute, error: Exception) -> None:
        id_, text = execute.message.id, f"the task cannot be acknowledged before it runs: {error}"
        logger.error("task %s: %s", id_, text, extra={"action": "early_refused", "id": id_})
        with surviving():
            failure = lost("EncodeError", text, id_)
            self._bringing.add(self._performer.dead(execute.taken, execute.message, failure))
