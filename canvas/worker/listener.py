"""Listener: who wants to know what a worker does. The log is one; `backbeat dev` shows it on a terminal; events will be another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from ..built_in import BUILT_IN
from ..commit.taken import Taken
from ..commit.transition import Transition
from ..message import Message
from ..outcome import Failure, Ignored, Rejected, Replaced, Retry, Revoked, Success
from ..replacing import VALUE_TASK

logger = logging.getLogger("backbeat.worker")


class Listener(Protocol):
    """Told of what happened, after it happened; must not raise and must not wait."""

    def ready(self) -> None:
        """The worker takes messages from now on."""
        ...

    def started(self, message: Message) -> None:
        """A task was given to the pool."""
        ...

    def applied(self, transition: Transition, seconds: float | None) -> None:
        """A transition is stored; `seconds` is how long its task ran, None if nothing ran."""
        ...

    def lost(self, taken: Taken, reason: str) -> None:
        """The process that ran a task died; the task is handed back."""
        ...

    def passed(self, busy: int, fault: str = "") -> None:
        """The loop went round while `busy` tasks run; `fault` says why nothing can be consumed, if nothing can."""
        ...


class Listeners:
    """Tells several listeners, in their order."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def ready(self) -> None:
        for listener in self._listeners:
            listener.ready()

    def started(self, message: Message) -> None:
        for listener in self._listeners:
            listener.started(message)

    def applied(self, transition: Transition, seconds: float | None) -> None:
        for listener in self._listeners:
            listener.applied(transition, seconds)

    def lost(self, taken: Taken, reason: str) -> None:
        for listener in self._listeners:
            listener.lost(taken, reason)

    def passed(self, busy: int, fault: str = "") -> None:
        for listener in self._listeners:
            listener.passed(busy, fault)


class LogListener:
    """Writes one line for each task that ended, as Celery's worker does."""

    def ready(self) -> None:
        logger.info("ready", extra={"action": "worker_ready"})

    def started(self, message: Message) -> None:
        logger.debug(
            "Task %s[%s] started",
            message.task,
            message.id,
            extra={"action": "task_started", "id": message.id},
        )

    def applied(self, transition: Transition, seconds: float | None) -> None:
        message, outcome = transition.message, transition.outcome
        if message is None or outcome is None or (message.task in BUILT_IN and message.task != VALUE_TASK):
            return
        name, extra = f"Task {message.task}[{message.id}]", {"id": message.id, "task": message.task}
        match outcome:
            case Success(value=value):
                shown = value if len(value) <= 200 else value[:197] + "..."  # noqa: PLR2004 - a line
                logger.info(
                    "%s succeeded in %.6fs: %s",
                    name,
                    seconds or 0,
                    shown,
                    extra={"action": "task_succeeded", **extra},
                )
            case Failure(error=error, expected=True):
                logger.info(
                    "%s raised %s, as it may: %s",
                    name,
                    error.type,
                    error.text,
                    extra={"action": "task_failed", **extra},
                )
            case Failure(error=error, traceback=traceback):
                logger.error(
                    "%s raised %s: %s%s",
                    name,
                    error.type,
                    error.text,
                    f"\n{traceback}" if traceback else "",
                    extra={"action": "task_failed", **extra},
                )
            case Retry(error=error):
                reason = "" if error is None else f": {error.type}({error.text!r})"
                logger.info("%s will be retried%s", name, reason, extra={"action": "task_retried", **extra})
            case Revoked(reason=reason):
                logger.info("%s did not run: %s", name, reason, extra={"action": "task_revoked", **extra})
            case Replaced():
                logger.info(
                    "%s was replaced by another canvas", name, extra={"action": "task_replaced", **extra}
                )
            case Rejected() | Ignored():
                logger.info(
                    "%s %s", name, type(outcome).__name__.lower(), extra={"action": "task_ended", **extra}
                )

    def lost(self, taken: Taken, reason: str) -> None:
        id_ = taken.message.id if taken.message else None
        logger.warning(
            "the process that ran task %s died (%s)", id_, reason, extra={"action": "task_lost", "id": id_}
        )

    def passed(self, busy: int, fault: str = "") -> None:
        """Nothing to write."""
