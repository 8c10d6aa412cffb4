"""Admission: which of the tasks that could start now may, by their limits; the others are put off (commit/put_off.py).

It is asked when a slot is free for the task, and so not long before it starts. The rate of a task without a limit_key is the worker's own
affair (pacing.py): whose turn was kept starts without being asked again, whichever worker has it by then, unless it comes too late: what
was due while no worker ran would start all at once. What has a limit_key is asked of the store, each time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ..argument_key import formatted_key
from ..codec import loads
from ..commit.put_off import PutOff
from ..commit.transition import Transition
from ..commit.verdict import Run
from ..errors import Unavailable
from ..message import Message
from ..outcome import lost
from ..perform import Execute, Performer
from ..quota import Ask, Quota
from ..rate import Rate, rate_of
from ..value import key
from .pacing import Pacing

logger = logging.getLogger("backbeat.worker")

LATE_US = 5 * 1_000_000
"""How long after its time a turn is still kept."""


class Admission:
    """Of one worker. `tasks` are those that it knows, by name; `default` is the rate of those that say none, and have no limit_key."""

    def __init__(self, tasks: Mapping[str, Any], *, default: Any = None, is_off: bool = False) -> None:
        self._tasks = tasks
        self._default = default
        self._is_off = is_off
        self._pacing = Pacing()
        self._rates: dict[str, Rate | None] = {}
        self._keyed: dict[str, bool] = {}

    def is_limited(self, execute: Execute) -> bool:
        """Whether it must start when it may, and wait nowhere."""
        task = execute.message.task
        return self._rate(task) is not None or self._is_keyed(task)

    def set_rate(self, task: str, value: Any) -> None:
        """Of starts from now on; None or 0 for no limit. Raises ImproperlyConfigured for what is no rate."""
        rate = rate_of("rate_limit", value)
        self._tasks[task].rate_limit = 0 if rate is None else value  # None would be the setting's
        self._rates.pop(task, None)

    def sifted(
        self, executes: Sequence[Execute], performer: Performer
    ) -> tuple[list[Execute], list[Transition]]:
        """Those that start now; and what becomes of the others, where the store has not put them off itself. Raises Unavailable."""
        if not any(map(self.is_limited, executes)):
            return [*executes], []
        instead: list[Transition] = []
        admitted = self._of_store([e for e in executes if self._is_keyed(e.message.task)], performer, instead)
        starting = []
        for execute in executes:
            if self._is_keyed(execute.message.task):
                starting += [each for each in admitted if each.taken is execute.taken]
            elif (paced := self._paced(execute)) is None:
                starting.append(execute)
            else:
                instead.append(paced)
        return starting, instead

    def _paced(self, execute: Execute) -> Transition | None:
        rate = self._rate(execute.message.task)
        if rate is None or _has_turn(execute):
            return None
        wait = self._pacing.wait(execute.message.task, rate, time.monotonic())
        if wait is None:
            return None
        return Transition(puts_off=PutOff(execute.message, wait), delivery=execute.taken.delivery)

    # --- by key --------------------------------------------------------------------------------------------------------------

    def _of_store(
        self, executes: Sequence[Execute], performer: Performer, instead: list[Transition]
    ) -> list[Execute]:
        """Those that may start; `instead` gets what becomes of those of which that cannot be said."""
        starting: list[Execute] = []
        asking: list[tuple[Execute, Ask]] = []
        for execute in executes:
            try:
                quota = self._quota(execute.message)
            except Exception as error:  # noqa: BLE001 - the callable is the user's
                instead.append(_refused(performer, execute, f"its limit_key cannot be made: {error}"))
                continue
            if quota is None:
                starting.append(execute)
            else:
                message = execute.taken.message
                has_turn = message is not None and message.paced_us is not None
                frees = None if quota.concurrency is None else quota.key
                asking.append((replace(execute, frees=frees), Ask(execute.message, quota, has_turn)))
        return [*starting, *self._admitted(asking, performer, instead)]

    def _admitted(
        self, asking: Sequence[tuple[Execute, Ask]], performer: Performer, instead: list[Transition]
    ) -> list[Execute]:
        if not asking:
            return []
        try:
            asks = [Transition(admits=ask, delivery=execute.taken.delivery) for execute, ask in asking]
            admitted = performer.admitted(asks)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one message must not end the worker and all that it runs
            if len(asking) > 1:
                return [e for pair in asking for e in self._admitted([pair], performer, instead)]
            instead.append(_refused(performer, asking[0][0], f"its limits cannot be asked for: {error}"))
            return []
        return [execute for execute, ask in asking if ask.message.id in admitted]

    def _quota(self, message: Message) -> Quota | None:
        task = self._tasks[message.task]
        options, args, kwargs = task.options, loads(message.args), loads(message.kwargs)
        asked = options.limit_key
        if callable(asked):
            made = asked(*args, **kwargs)
            if made is None:
                return None
        else:
            made = formatted_key("limit_key", asked, task.run, args, kwargs)
        rate = None if self._is_off else rate_of("rate_limit", options.rate_limit)
        if rate is None and options.limit_concurrency is None:
            return None
        return Quota(key("limit_key", made), rate, options.limit_concurrency)

    # --- what is known of tasks ----------------------------------------------------------------------------------------------

    def _is_keyed(self, name: str) -> bool:
        if name not in self._keyed:
            task = self._tasks.get(name)
            self._keyed[name] = task is not None and task.options.limit_key is not None
        return self._keyed[name]

    def _rate(self, task: str) -> Rate | None:
        """Of the worker alone."""
        if task not in self._rates:
            self._rates[task] = self._known_rate(task)
        return self._rates[task]

    def _known_rate(self, name: str) -> Rate | None:
        task = None if self._is_off or self._is_keyed(name) else self._tasks.get(name)
        if task is None:
            return None
        own = task.options.rate_limit
        return rate_of("rate_limit", self._default if own is None else own)


def _has_turn(execute: Execute) -> bool:
    message, verdict = execute.taken.message, execute.taken.verdict
    if message is None or message.paced_us is None or not isinstance(verdict, Run):
        return False
    return verdict.started_us - message.paced_us <= LATE_US


def _refused(performer: Performer, execute: Execute, reason: str) -> Transition:
    id_, text = execute.message.id, f"the task cannot be started: {reason}"
    logger.error("task %s: %s", id_, text, extra={"action": "limit_refused", "id": id_})
    return performer.dead(execute.taken, execute.message, lost("LimitError", text, id_))
